//! What calls take in memory, and what they leave: nothing that grows. The engine alone, on a virtual clock, below an allocator that counts.
//!
//! One test in a program of its own: what another test allocates would be counted too.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::alloc::System;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sbc::config::{Config, NetworkId, NoSecrets};
use sbc::engine::{Action, Engine, Input};
use sbc::media::{FlowCommand, FlowReport, Transcoding};
use sbc::sip::Transport;
use sbc::transaction::Hop;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// As the load of `e2e/load.rs`.
const CALLS: usize = 2_000;
const PACE: Duration = Duration::from_millis(10);
/// Calls that are up at a time.
const UP: usize = 100;
const ROUNDS: usize = 8;
/// What a full node of a tree, more or less, makes: names are random, so trees are not alike in every round.
const SLACK: usize = 16 << 10;
/// Of a whole round, at most this is left: queues that keep their length.
const LEFT: usize = 128 << 10;
/// Calls that are held together.
const HELD: usize = 1_000;
/// From one of them to the next.
const HELD_PACE: Duration = Duration::from_millis(2);
/// Bytes of one of them: just answered, while its transactions and its ACK wait for repeats, and when these are over. A few per cent more than it is.
const FRESH: usize = 8_600;
const RESTED: usize = 6_950;

const A: &str = "10.71.1.2:5060";
const B: &str = "10.71.2.2:5060";
const CONFIG: &str = r#"
[sbc]
name = "memory"
state_dir = "/tmp/sbc-memory"
admin = "127.0.0.1:9960"

[network.left]
address = ["10.71.1.1"]
sip = ["udp:5060"]
media_ports = "20000-29999"

[network.right]
address = ["10.71.2.1"]
sip = ["udp:5060"]
media_ports = "20000-29999"

[trunk.a]
network = "left"
server = "sip:10.71.1.2:5060"
codecs = ["G722", "PCMU", "PCMA"]

[trunk.b]
network = "right"
server = "sip:10.71.2.2:5060"
codecs = ["G722", "PCMU", "PCMA"]

[[route]]
from = ["trunk:a"]
to = ["trunk:b"]
"#;

#[test]
fn calls_take_little_and_leave_nothing() {
    let config = Config::parse(CONFIG, "memory.toml", &NoSecrets).unwrap();
    let now = Instant::now();
    let mut bench = Bench {
        engine: Engine::new(Arc::new(config), [7; 32], now).transcoding(Transcoding::On),
        now,
        calls: 0,
        peak: 0,
    };
    rounds_leave_no_more_than_the_first(&mut bench);
    held_calls_are_small(&mut bench);
}

fn rounds_leave_no_more_than_the_first(bench: &mut Bench) {
    let start = live();
    let rounds: Vec<Round> = (0..ROUNDS).map(|_| bench.round()).collect();
    for (index, round) in rounds.iter().enumerate() {
        println!("round {}: {round:?}", index + 1);
    }
    let first = rounds[0];
    assert!(
        first.left <= start + LEFT,
        "{} bytes after the first round, {start} before",
        first.left
    );
    for (index, round) in rounds.iter().enumerate() {
        assert_eq!(round.left, first.left, "bytes after round {}", index + 1);
        assert!(
            round.peak <= first.peak + SLACK,
            "{} bytes at the height of round {}, {} of the first",
            round.peak,
            index + 1,
            first.peak
        );
    }
}

fn held_calls_are_small(bench: &mut Bench) {
    let start = live();
    let mut up = Vec::with_capacity(HELD);
    let mut own = HELD * size_of::<Up>();
    for _ in 0..HELD {
        bench.pass(HELD_PACE);
        let call = bench.set_up();
        own += call.tag.capacity() + call.contact.capacity();
        up.push(call);
    }
    let each = || (live() - start - own) / HELD;
    let fresh = each();
    bench.pass(Duration::from_secs(100));
    let rested = each();
    println!("a held call: {fresh} bytes, later {rested}");
    assert!(
        fresh <= FRESH,
        "{fresh} bytes a call that was just answered"
    );
    assert!(rested <= RESTED, "{rested} bytes a held call");
    for call in &up {
        bench.pass(HELD_PACE);
        bench.hang_up(call);
    }
    bench.pass(Duration::from_secs(100));
    assert!(bench.engine.is_idle());
}

/// Live bytes.
#[derive(Clone, Copy, Debug)]
struct Round {
    /// At the height of the load.
    peak: usize,
    /// Once everything has come to rest.
    left: usize,
}

struct Bench {
    engine: Engine,
    now: Instant,
    calls: usize,
    peak: usize,
}

/// A call that is up, as its caller knows it.
struct Up {
    number: usize,
    tag: String,
    contact: String,
}

impl Bench {
    fn round(&mut self) -> Round {
        self.peak = 0;
        let mut up = std::collections::VecDeque::with_capacity(UP + 1);
        for _ in 0..CALLS {
            self.pass(PACE);
            up.push_back(self.set_up());
            if up.len() > UP {
                let call = up.pop_front().unwrap();
                self.hang_up(&call);
            }
            self.peak = self.peak.max(live());
        }
        for call in &up {
            self.pass(PACE);
            self.hang_up(call);
        }
        drop(up);
        self.pass(Duration::from_secs(100));
        assert!(self.engine.is_idle());
        Round {
            peak: self.peak,
            left: live(),
        }
    }

    fn set_up(&mut self) -> Up {
        self.calls += 1;
        let number = self.calls;
        self.receive(0, A, &invite(number));
        let sent = self.sent();
        let invite = sent.iter().find(|text| text.starts_with("INVITE")).unwrap();
        let ringing = answer(invite, "180 Ringing", "");
        let ok = answer(invite, "200 OK", &sdp("10.71.2.2"));
        self.receive(1, B, &ringing);
        self.receive(1, B, &ok);
        let sent = self.sent();
        let ok = sent.iter().find(|text| text.starts_with("SIP/2.0 200"));
        let ok = ok.unwrap();
        let call = Up {
            number,
            tag: field(ok, "To").rsplit_once("tag=").unwrap().1.to_owned(),
            contact: field(ok, "Contact").trim_matches(['<', '>']).to_owned(),
        };
        self.receive(0, A, &call.request("ACK", 1));
        assert!(self.sent().is_empty());
        call
    }

    fn hang_up(&mut self, call: &Up) {
        self.receive(0, A, &call.request("BYE", 2));
        let sent = self.sent();
        let bye = sent.iter().find(|text| text.starts_with("BYE")).unwrap();
        self.receive(1, B, &answer(bye, "200 OK", ""));
        self.sent();
    }

    fn receive(&mut self, network: u16, from: &str, text: &str) {
        let hop = Hop {
            network: NetworkId(network),
            transport: Transport::Udp,
            local: SocketAddr::from(([10, 71, 1 + network as u8, 1], 5060)),
            remote: from.parse().unwrap(),
            connection: None,
        };
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        let input = Input::Message { hop, bytes };
        self.engine.handle_input(self.now, input);
    }

    /// Does what is to be done; returns what was sent.
    fn sent(&mut self) -> Vec<String> {
        let mut sent = Vec::new();
        while let Some(action) = self.engine.poll_action() {
            match action {
                Action::Send { bytes, .. } => sent.push(String::from_utf8(bytes.to_vec()).unwrap()),
                Action::Flow(FlowCommand::Remove(pair)) => {
                    let report = FlowReport::default();
                    let input = Input::FlowEnded { pair, report };
                    self.engine.handle_input(self.now, input);
                }
                _ => {}
            }
        }
        while self.engine.poll_event().is_some() {}
        sent
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.engine.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.engine.handle_timeout(self.now);
            self.sent();
        }
        self.now = end;
    }
}

impl Up {
    fn request(&self, method: &str, sequence: u32) -> String {
        let (number, tag) = (self.number, &self.tag);
        format!(
            "{method} {} SIP/2.0\r\nVia: SIP/2.0/UDP {A};branch=z9hG4bK{method}{number:08}\r\n\
             From: <sip:al@10.71.1.2>;tag=from{number:08}\r\nTo: <sip:100@10.71.1.1>;tag={tag}\r\n\
             Call-ID: call-{number:08}\r\nCSeq: {sequence} {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
            self.contact
        )
    }
}

/// Bytes that are allocated now.
fn live() -> usize {
    let stats = ALLOCATOR.stats();
    // What a reallocation adds or takes away is in these too.
    stats.bytes_allocated - stats.bytes_deallocated
}

fn invite(number: usize) -> String {
    let body = sdp("10.71.1.2");
    format!(
        "INVITE sip:100@10.71.1.1 SIP/2.0\r\nVia: SIP/2.0/UDP {A};branch=z9hG4bKINVITE{number:08}\r\n\
         From: <sip:al@10.71.1.2>;tag=from{number:08}\r\nTo: <sip:100@10.71.1.1>\r\nCall-ID: call-{number:08}\r\n\
         CSeq: 1 INVITE\r\nContact: <sip:al@{A}>\r\nMax-Forwards: 70\r\nContent-Type: application/sdp\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn answer(request: &str, status: &str, body: &str) -> String {
    let copied = ["Via", "From", "Call-ID", "CSeq"]
        .map(|name| format!("{name}: {}\r\n", field(request, name)));
    let to = field(request, "To");
    let tag = if to.contains("tag=") {
        ""
    } else {
        ";tag=callee"
    };
    let kind = if body.is_empty() {
        ""
    } else {
        "Content-Type: application/sdp\r\n"
    };
    format!(
        "SIP/2.0 {status}\r\n{}To: {to}{tag}\r\nContact: <sip:bob@{B}>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
        copied.concat(),
        body.len()
    )
}

fn sdp(address: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
    )
}

fn field<'t>(text: &'t str, name: &str) -> &'t str {
    let mut lines = text.lines();
    lines
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .unwrap()
        .trim()
}
