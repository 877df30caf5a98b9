//! Exact actions for exact inputs; whole calls under loss are in the package `sbc-tests`.

mod accounts;
mod admission;
mod attempts;
mod bans;
mod calls;
mod dialogs;
mod external;
mod forks;
mod holds;
mod hops;
mod keys;
mod limits;
mod offers;
mod passed;
mod passwords;
mod phones;
mod reasons;
mod records;
mod redirects;
mod referred;
mod refreshes;
mod relearn;
mod reliable;
mod reloads;
mod routes;
mod servers;
mod sessions;
mod silence;
mod strangers;
mod torture;
mod traces;
mod transcoding;
mod transfers;
mod trunks;
mod updates;
mod verdicts;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Action, Engine, FlowFailure, Input, Limits, Outcome, Party};
use crate::call::{Call, CallState, LegState};
use crate::config::{Config, NetworkId, NoSecrets, TrunkId};
use crate::media::{FlowCommand, FlowKind, StreamView};
use crate::sip::{Message, Name, Transport, digest};
use crate::transaction::{ConnectionId, Hop};

const CONFIG: &str = r#"
[sbc]
name = "lab"
state_dir = "/tmp/sbc-test"
admin = "127.0.0.1:9960"

[network.left]
address = ["10.71.1.1"]
sip = ["udp:5060", "tcp:5060"]
media_ports = "20000-20099"

[network.right]
address = ["10.71.2.1"]
sip = ["udp:5060", "tcp:5060"]
media_ports = "20000-20099"

[trunk.a]
network = "left"
server = "sip:10.71.1.2:5060"
codecs = ["PCMU", "PCMA"]

[trunk.b]
network = "right"
server = "sip:10.71.2.2:5060"
codecs = ["PCMU", "PCMA"]

[trunk.c]
network = "right"
server = "sip:10.71.2.3:5060"
codecs = ["PCMU"]
media_from = ["203.0.113.0/24", "2001:db8::/32"]

[phone.6001]
password = "secret1"
name = "Living \"Room\""

[[route]]
from = ["trunk:a"]
number = "2XX"
to = ["trunk:b", "trunk:c"]

[[route]]
from = ["trunk:a"]
number = "1XX"
to = ["trunk:b"]

[[route]]
from = ["trunk:a"]
number = "6XXX"
to = ["phone:{number}"]

[[route]]
from = ["phone:*"]
to = ["trunk:b"]
"#;

const LEFT: NetworkId = NetworkId(0);
const RIGHT: NetworkId = NetworkId(1);
const A: &str = "10.71.1.2:5060";
const B: &str = "10.71.2.2:5060";
const C: &str = "10.71.2.3:5060";

struct Bench {
    engine: Engine,
    now: Instant,
}

fn bench() -> Bench {
    bench_with(Limits::default())
}

fn bench_with(limits: Limits) -> Bench {
    bench_of(CONFIG, limits)
}

fn bench_of(config: &str, limits: Limits) -> Bench {
    let config = Config::parse(config, "test.toml", &NoSecrets).unwrap();
    let now = Instant::now();
    Bench {
        engine: Engine::with_limits(Arc::new(config), [9; 32], now, limits),
        now,
    }
}

fn hop(network: NetworkId, remote: &str) -> Hop {
    let local = if network == LEFT {
        "10.71.1.1:5060"
    } else {
        "10.71.2.1:5060"
    };
    Hop {
        network,
        transport: Transport::Udp,
        local: local.parse().unwrap(),
        remote: remote.parse().unwrap(),
        connection: None,
    }
}

/// What is told of a call in short is what is told of all of it.
fn assert_told(call: &Call) {
    let detail = call.detail();
    let audio = |stream: &&StreamView| stream.kind.eq_ignore_ascii_case("audio");
    let audio = detail.streams.iter().find(audio);
    let spoken = audio.map(|stream| stream.sides.each_ref().map(|side| side.speaks));
    assert_eq!(detail.call.codecs, spoken.unwrap_or_default());
    let legs = || detail.legs.iter().filter(|leg| leg.state == LegState::Up);
    if call.progress() == CallState::Up && legs().count() == 2 {
        let is_held = detail.call.state == CallState::Held;
        assert_eq!(is_held, legs().any(|leg| leg.holds), "{detail:?}");
    }
}

impl Bench {
    fn message(&mut self, network: NetworkId, from: &str, text: &str) {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        let hop = hop(network, from);
        self.engine
            .handle_input(self.now, Input::Message { hop, bytes });
        self.assert_counted();
    }

    /// What is counted as it comes and goes is what there is.
    fn assert_counted(&self) {
        assert_eq!(*self.engine.census.counts(), self.engine.counted());
        assert_eq!(*self.engine.flows.census(), self.engine.flows.counted());
        for (_, call) in self.engine.calls(None) {
            assert_told(call);
        }
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.engine.poll_action()).collect()
    }

    /// What is sent, as destination and message; nothing else is to be done.
    fn sent(&mut self) -> Vec<(SocketAddr, Message)> {
        self.actions().into_iter().map(sent).collect()
    }

    /// One message and nothing else.
    fn one(&mut self) -> (SocketAddr, Message) {
        let mut all = self.sent();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.engine.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.engine.handle_timeout(self.now);
            self.assert_counted();
        }
        self.now = end;
    }

    fn assert_empty(&mut self) {
        self.pass(Duration::from_secs(100));
        let stats = self.engine.stats(self.now);
        assert_eq!(stats.transactions, 0);
        assert_eq!(stats.dialogs, 0);
        assert!(stats.calls.is_empty());
        assert!(stats.flows.is_empty());
        assert_eq!(stats.media_ports_free[&LEFT], 100);
        assert_eq!(stats.media_ports_free[&RIGHT], 100);
        assert!(self.engine.is_idle());
        for trunk in self.engine.trunks(self.now) {
            assert_eq!(trunk.calls, 0, "{trunk:?} is still busy");
        }
        assert!(self.engine.clients.is_empty());
        assert!(self.engine.acks.is_empty());
        assert!(self.engine.invites.is_empty());
        assert!(self.engine.timers.is_empty());
        assert!(self.engine.requests.is_empty());
    }
}

fn sent(action: Action) -> (SocketAddr, Message) {
    match action {
        Action::Send { hop, bytes } => (
            hop.remote,
            Message::parse(bytes, &Default::default()).unwrap(),
        ),
        other => panic!("{other:?}"),
    }
}

fn first_line(message: &Message) -> String {
    let text = std::str::from_utf8(message.bytes()).unwrap();
    text.lines().next().unwrap().to_owned()
}

fn sdp(address: &str, port: u16) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"
    )
}

fn request(method: &str, uri: &str, extra: &str, body: &str) -> String {
    let content = if body.is_empty() {
        String::new()
    } else {
        "Content-Type: application/sdp\r\n".to_owned()
    };
    let number = if method == "INVITE" || method == "CANCEL" || method == "REGISTER" {
        1
    } else {
        2
    };
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {A};branch=z9hG4bK{method}{number}\r\n\
         From: \"Al\" <sip:al@10.71.1.2>;tag=aa\r\nCall-ID: a-call\r\nCSeq: {number} {method}\r\n\
         Contact: <sip:al@{A}>\r\n{extra}{content}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .replace("branch=z9hG4bKCANCEL1", "branch=z9hG4bKINVITE1")
}

fn invite(number: &str) -> String {
    request(
        "INVITE",
        &format!("sip:{number}@10.71.1.1"),
        &format!("To: <sip:{number}@10.71.1.1>\r\nMax-Forwards: 70\r\nSubject: test\r\n"),
        &sdp("10.71.1.2", 4000),
    )
}

/// B's answer to a request of ours.
fn answer(request: &Message, from: &str, code: u16, tag: &str, body: &str) -> String {
    let mut text = format!("SIP/2.0 {code} Whatever\r\n");
    for field in request.fields() {
        match field.name {
            Name::Via | Name::From | Name::CallId | Name::CSeq => {
                text += &format!("{}: {}\r\n", field.spelled, field.value);
            }
            Name::To if request.to().tag().is_none() && !tag.is_empty() => {
                text += &format!("To: {};tag={tag}\r\n", field.value);
            }
            Name::To => text += &format!("To: {}\r\n", field.value),
            _ => {}
        }
    }
    if !body.is_empty() {
        text += "Content-Type: application/sdp\r\n";
    }
    text + &format!(
        "Contact: <sip:bob@{from}>\r\nX-B: was {from}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn tag_of(message: &Message) -> String {
    message.to().tag().unwrap().to_owned()
}

/// Sets a call up; returns A's 200, B's INVITE and what was ordered of the flows.
fn set_up(bench: &mut Bench) -> (Message, Message, Vec<FlowCommand>) {
    set_up_with(bench, &sdp("10.71.2.2", 5000))
}

/// The same, with what B answers.
fn set_up_with(bench: &mut Bench, body: &str) -> (Message, Message, Vec<FlowCommand>) {
    bench.message(LEFT, A, &invite("100"));
    let (to, b_invite) = bench.one();
    assert_eq!(to, B.parse().unwrap());
    bench.message(RIGHT, B, &answer(&b_invite, B, 200, "bb", body));
    let mut actions = bench.actions();
    let flows: Vec<FlowCommand> = actions
        .iter()
        .take_while(|action| matches!(action, Action::Flow(_)))
        .map(|action| match action {
            Action::Flow(command) => command.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    let rest: Vec<_> = actions.drain(flows.len()..).map(sent).collect();
    assert_eq!(rest.len(), 2, "{rest:?}");
    assert_eq!(rest[0].0, B.parse().unwrap());
    assert_eq!(first_line(&rest[0].1), "ACK sip:bob@10.71.2.2:5060 SIP/2.0");
    assert_eq!(rest[1].0, A.parse().unwrap());
    let ok = rest[1].1.clone();
    assert_eq!(ok.code(), Some(200));
    bench.message(
        LEFT,
        A,
        &request(
            "ACK",
            "sip:10.71.1.1:5060",
            &format!("To: <sip:100@10.71.1.1>;tag={}\r\n", tag_of(&ok)),
            "",
        )
        .replace("CSeq: 2", "CSeq: 1"),
    );
    assert_eq!(bench.actions(), []);
    (ok, b_invite, flows)
}

fn with_credentials(bench: &mut Bench, from: &str, text: &str, password: &str) -> Message {
    bench.message(LEFT, from, text);
    let (_, challenge) = bench.one();
    assert_eq!(challenge.code(), Some(401), "{challenge:?}");
    let method = challenge.cseq().method.name();
    let offer = challenge.header(Name::WwwAuthenticate).unwrap();
    let value = digest::answer(offer, "6001", password, method, "sip:10.71.1.1", "cn").unwrap();
    let text = text
        .replace("branch=z9hG4bK", "branch=z9hG4bKx")
        .replace("Contact:", &format!("Authorization: {value}\r\nContact:"));
    bench.message(LEFT, from, &text);
    bench.one().1
}

fn register(contact: &str, extra: &str) -> String {
    request(
        "REGISTER",
        "sip:10.71.1.1",
        &format!("To: <sip:6001@10.71.1.1>\r\n{extra}"),
        "",
    )
    .replace("<sip:al@10.71.1.2:5060>", contact)
}
