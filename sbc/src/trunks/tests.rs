//! Registrations and probes on a virtual clock, each answer by hand.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::*;
use crate::config::{Config, NetworkId, NoSecrets, PhoneId, TrunkId};
use crate::engine::Event;
use crate::registrar::Registrar;
use crate::sip::digest::Credentials;
use crate::sip::{Message, Name, Transport};
use crate::transaction::{ConnectionId, Failure, Hop};

const CARRIER: &str = "\
[trunk.carrier]
network = \"a\"
server = \"sip:10.0.0.9\"
accept_from = [\"10.0.0.8/31\"]
username = \"5555\"
password = \"rosebud\"
register = true
";

struct Bench {
    config: Config,
    registrar: Registrar,
    trunks: Trunks,
    now: Instant,
}

/// A request of ours that waits for its answer.
struct Sent {
    asker: Asker,
    hop: Hop,
    message: Message,
}

fn bench(sections: &str) -> Bench {
    let text = format!("[network.a]\naddress = [\"10.0.0.1\"]\n{sections}");
    let config = Config::parse(&text, "f", &NoSecrets).unwrap_or_else(|e| panic!("{e}"));
    let now = Instant::now();
    Bench {
        trunks: Trunks::new(&config, [5; 32], now),
        config,
        registrar: Registrar::new(10),
        now,
    }
}

impl Bench {
    fn input(&mut self, input: Input<'_>) {
        let around = Surroundings {
            config: &self.config,
            registrar: &self.registrar,
        };
        self.trunks.handle_input(self.now, around, input);
    }

    /// What is wanted.
    fn actions(&mut self) -> (Vec<Sent>, Vec<Event>, Vec<ConnectionId>) {
        let (mut sent, mut events, mut closed) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(action) = self.trunks.poll_action() {
            match action {
                Action::Request {
                    asker,
                    hop,
                    message,
                } => sent.push(Sent {
                    asker,
                    hop,
                    message,
                }),
                Action::Event(event) => events.push(event),
                Action::Close(connection) => closed.push(connection),
            }
        }
        (sent, events, closed)
    }

    fn one(&mut self) -> Sent {
        let (mut sent, events, closed) = self.actions();
        assert_eq!(
            (sent.len(), events.len(), closed.len()),
            (1, 0, 0),
            "{events:?}"
        );
        sent.remove(0)
    }

    /// One event and nothing else.
    fn event(&mut self) -> Event {
        let (sent, mut events, closed) = self.actions();
        assert_eq!(
            (sent.len(), events.len(), closed.len()),
            (0, 1, 0),
            "{events:?}"
        );
        events.remove(0)
    }

    fn nothing(&mut self) {
        let (sent, events, closed) = self.actions();
        assert_eq!(
            (sent.len(), events.len(), closed.len()),
            (0, 0, 0),
            "{events:?}"
        );
    }

    /// The next thing that is due, and after how long.
    fn next(&mut self) -> Duration {
        let at = self.trunks.poll_timeout().unwrap();
        let waited = at.saturating_duration_since(self.now);
        self.now = at;
        let around = Surroundings {
            config: &self.config,
            registrar: &self.registrar,
        };
        self.trunks.handle_timeout(self.now, around);
        waited
    }

    fn answer(&mut self, to: &Sent, code: u16, headers: &str) {
        self.answer_over(to, code, headers, None);
    }

    fn answer_over(&mut self, to: &Sent, code: u16, headers: &str, over: Option<ConnectionId>) {
        let phrase = match code {
            200 => "OK",
            403 => "Forbidden",
            503 => "Service\tUnavailable",
            _ => "Whatever",
        };
        let mut text = format!("SIP/2.0 {code} {phrase}\r\n");
        for field in to.message.fields() {
            match field.name {
                Name::Via | Name::From | Name::CallId | Name::CSeq => {
                    text += &format!("{}: {}\r\n", field.spelled, field.value);
                }
                Name::To => text += &format!("To: {};tag=t\r\n", field.value),
                _ => {}
            }
        }
        text += &format!("{headers}Content-Length: 0\r\n\r\n");
        let message = Message::parse(Bytes::from(text), &Default::default()).unwrap();
        let (asker, hop) = (
            to.asker,
            Hop {
                connection: over,
                ..to.hop
            },
        );
        self.input(Input::Answer {
            asker,
            hop,
            message: &message,
        });
    }

    fn fail(&mut self, to: &Sent, failure: Failure) {
        let asker = to.asker;
        self.input(Input::Failed { asker, failure });
    }

    /// Registered for an hour, without a word said.
    fn registered(sections: &str) -> Bench {
        let mut bench = bench(sections);
        assert!(bench.next() <= Duration::from_millis(500));
        let first = bench.one();
        bench.answer(&first, 200, "");
        assert!(matches!(bench.event(), Event::TrunkRegistered { .. }));
        bench
    }

    fn is_registered(&self) -> bool {
        self.trunks.registered(self.now)[&TrunkId(0)]
    }
}

fn challenge(nonce: &str, more: &str) -> String {
    format!("WWW-Authenticate: Digest realm=\"carrier\", nonce=\"{nonce}\"{more}\r\n")
}

/// Why it is not there, and after how many seconds it is tried again.
fn trouble(event: Event) -> (String, Option<u64>) {
    match event {
        Event::TrunkUnregistered { reason, retry, .. } => (reason, retry.map(|r| r.as_secs())),
        other => panic!("{other:?}"),
    }
}

fn credentials(message: &Message) -> (String, u32, bool) {
    let value = message.header(Name::Authorization).unwrap();
    let read = Credentials::parse(value).unwrap();
    assert_eq!((read.username, read.uri), ("5555", "sip:10.0.0.9"));
    let count = read.auth.map_or(0, |auth| auth.count);
    (
        read.nonce.to_owned(),
        count,
        read.verify("rosebud", "REGISTER"),
    )
}

#[test]
fn it_is_made_with_the_password_refreshed_in_time_and_taken_back() {
    let mut bench = bench(CARRIER);
    assert!(bench.next() <= Duration::from_millis(500));
    let first = bench.one();
    let text = std::str::from_utf8(first.message.bytes()).unwrap();
    assert!(
        text.starts_with("REGISTER sip:10.0.0.9 SIP/2.0\r\n"),
        "{text}"
    );
    assert!(text.contains("\r\nTo: <sip:5555@10.0.0.9>\r\n"), "{text}");
    assert!(
        text.contains("\r\nFrom: <sip:5555@10.0.0.9>;tag="),
        "{text}"
    );
    assert!(
        text.contains("\r\nContact: <sip:5555@10.0.0.1:5060>\r\n"),
        "{text}"
    );
    assert!(text.contains("\r\nExpires: 3600\r\n"), "{text}");
    assert_eq!(first.hop.remote, "10.0.0.9:5060".parse().unwrap());
    assert_eq!(bench.trunks.poll_timeout(), None);
    assert!(!bench.is_registered());

    bench.answer(&first, 100, "");
    bench.answer(&first, 401, &challenge("n1", ", qop=\"auth\""));
    let second = bench.one();
    assert_eq!(second.message.call_id(), first.message.call_id());
    assert_eq!(second.message.from().tag(), first.message.from().tag());
    let number = first.message.cseq().number;
    assert_eq!(second.message.cseq().number, number + 1);
    assert_eq!(credentials(&second.message), ("n1".to_owned(), 1, true));
    // What was said of the one before says nothing any more.
    bench.answer(&first, 403, "");
    bench.nothing();
    bench.answer(
        &second,
        200,
        "Contact: <sip:5555@10.0.0.1:5060>;expires=600\r\nExpires: 60\r\n",
    );
    let expected = Event::TrunkRegistered {
        trunk: TrunkId(0),
        server: "10.0.0.9:5060".parse().unwrap(),
        expires: Duration::from_secs(600),
    };
    assert_eq!(bench.event(), expected);
    assert!(bench.is_registered());

    // Refreshed between half and three quarters of its time, with the nonce that is known, and without a word in the log.
    let waited = bench.next();
    assert!((300..=450).contains(&waited.as_secs()), "{waited:?}");
    let third = bench.one();
    assert_eq!(third.message.call_id(), first.message.call_id());
    assert_eq!(third.message.cseq().number, number + 2);
    assert_eq!(credentials(&third.message), ("n1".to_owned(), 2, true));
    // The carrier has a new nonce for each.
    bench.answer(&third, 401, &challenge("n2", ", qop=\"auth\""));
    let fourth = bench.one();
    assert_eq!(credentials(&fourth.message), ("n2".to_owned(), 1, true));
    bench.answer(&fourth, 200, "");
    bench.nothing();

    bench.input(Input::Stop);
    let last = bench.one();
    assert!(bench.trunks.is_leaving());
    assert_eq!(last.message.header(Name::Expires), Some("0"));
    assert_eq!(
        last.message.header(Name::Contact),
        first.message.header(Name::Contact)
    );
    bench.answer(&last, 401, &challenge("n3", ", stale=true"));
    let last = bench.one();
    assert_eq!(last.message.header(Name::Expires), Some("0"));
    bench.answer(&last, 200, "");
    assert_eq!(trouble(bench.event()), ("taken back".to_owned(), None));
    assert!(!bench.trunks.is_leaving());
    assert_eq!(bench.trunks.poll_timeout(), None);
    bench.input(Input::Stop);
    bench.nothing();
}

#[test]
fn sha_256_is_answered_and_what_is_not_spoken_is_told() {
    let mut bench = bench(CARRIER);
    bench.next();
    let first = bench.one();
    bench.answer(&first, 401, &challenge("n1", ", qop=\"auth-int\""));
    let (why, retry) = trouble(bench.event());
    assert!(why.contains("its challenge cannot be answered"), "{why}");
    assert!((30..=60).contains(&retry.unwrap()), "{retry:?}");
    bench.next();
    let first = bench.one();
    let both = challenge("n1", ", algorithm=SHA-256, qop=\"auth\"") + &challenge("n2", "");
    bench.answer(&first, 401, &both);
    let second = bench.one();
    assert_eq!(credentials(&second.message), ("n1".to_owned(), 1, true));
    let by_proxy = challenge("n3", "").replace("WWW", "Proxy");
    bench.answer(&second, 407, &by_proxy);
    let third = bench.one();
    assert!(third.message.header(Name::ProxyAuthorization).is_some());
    assert!(third.message.header(Name::Authorization).is_some());
}

#[test]
fn a_wrong_password_is_not_final_and_not_hammered() {
    let mut bench = bench(CARRIER);
    let mut longest = Duration::ZERO;
    for index in 0..12 {
        longest = longest.max(bench.next());
        let first = bench.one();
        assert_eq!(first.message.header(Name::Authorization), None);
        bench.answer(&first, 401, &challenge("n", ""));
        let second = bench.one();
        // It asks for it again: the password is wrong.
        bench.answer(&second, 401, &challenge("m", ""));
        match index {
            0 => {
                let (why, retry) = trouble(bench.event());
                assert_eq!(
                    why,
                    "401 Whatever: it refuses its username or password; check both"
                );
                assert!((30..=60).contains(&retry.unwrap()), "{retry:?}");
            }
            // The same is not told again.
            _ => bench.nothing(),
        }
        assert!(!bench.is_registered());
    }
    assert!((450..=900).contains(&longest.as_secs()), "{longest:?}");
    // Somebody has mended it.
    bench.next();
    let first = bench.one();
    bench.answer(&first, 200, "");
    assert!(matches!(bench.event(), Event::TrunkRegistered { .. }));
}

#[test]
fn trouble_is_tried_again_soon_then_more_seldom_and_told_when_it_changes() {
    let mut bench = bench(CARRIER);
    bench.next();
    let mut delays = Vec::new();
    for index in 0..12 {
        let first = bench.one();
        bench.fail(&first, Failure::Timeout);
        match index {
            0 => {
                let (why, retry) = trouble(bench.event());
                assert_eq!(why, "10.0.0.9:5060: no answer in time");
                assert!((2..=4).contains(&retry.unwrap()), "{retry:?}");
            }
            _ => bench.nothing(),
        }
        delays.push(bench.next().as_secs());
    }
    assert!(
        delays[0] <= 4 && (120..=240).contains(&delays[11]),
        "{delays:?}"
    );
    let first = bench.one();
    bench.fail(&first, Failure::Transport);
    let (why, _) = trouble(bench.event());
    assert_eq!(why, "10.0.0.9:5060: it could not be sent");
    bench.next();
    let first = bench.one();
    bench.input(Input::Full(first.asker));
    assert_eq!(trouble(bench.event()).0, "the transaction table is full");
    bench.next();
    let first = bench.one();
    bench.answer(&first, 200, "");
    assert!(matches!(bench.event(), Event::TrunkRegistered { .. }));
    // The next trouble begins anew.
    bench.next();
    let first = bench.one();
    bench.fail(&first, Failure::Timeout);
    assert!(trouble(bench.event()).1.unwrap() <= 4);
    assert!(bench.is_registered(), "it still lasts");
}

#[test]
fn what_the_carrier_asks_for_is_honoured_within_bounds() {
    for (code, header, least, most) in [
        (503, "Retry-After: 30\r\n", 30, 33),
        (503, "Retry-After: 0\r\n", 4, 4),
        (503, "Retry-After: 86400 (tomorrow)\r\n", 600, 660),
        (503, "", 2, 4),
        (480, "Retry-After: 20\r\n", 20, 22),
        // Who refuses is not asked sooner because of it.
        (403, "Retry-After: 1\r\n", 30, 60),
        (403, "Retry-After: 300\r\n", 300, 330),
        (404, "", 30, 60),
        (603, "", 30, 60),
    ] {
        let mut bench = bench(CARRIER);
        bench.next();
        let first = bench.one();
        bench.answer(&first, code, header);
        let (why, retry) = trouble(bench.event());
        assert!(why.starts_with(&code.to_string()), "{why}");
        let retry = retry.unwrap();
        assert!((least..=most).contains(&retry), "{code} {header}: {retry}");
    }
    let mut bench = Bench::registered(CARRIER);
    bench.next();
    let refresh = bench.one();
    bench.answer(&refresh, 403, "");
    let (why, _) = trouble(bench.event());
    assert_eq!(why, "403 Forbidden: wrong username or password?");
    assert!(!bench.is_registered(), "whoever refuses it has it no more");
}

#[test]
fn a_longer_time_is_taken_once_it_is_asked_for() {
    let mut bench = bench(&format!("{CARRIER}expires = \"2m\"\n"));
    bench.next();
    let first = bench.one();
    assert_eq!(first.message.header(Name::Expires), Some("120"));
    bench.answer(&first, 423, "Min-Expires: 1800\r\n");
    let second = bench.one();
    assert_eq!(second.message.header(Name::Expires), Some("1800"));
    // It wants ever more: that is trouble.
    bench.answer(&second, 423, "Min-Expires: 1800\r\n");
    assert!(trouble(bench.event()).0.starts_with("423"));
    bench.next();
    let third = bench.one();
    assert_eq!(third.message.header(Name::Expires), Some("1800"));
    bench.answer(&third, 423, "Min-Expires: 86401\r\n");
    bench.nothing();
    bench.next();
    let fourth = bench.one();
    bench.answer(&fourth, 200, "Expires: 0\r\n");
    assert_eq!(trouble(bench.event()).0, "200 OK, but for no time at all");
}

#[test]
fn a_redirection_is_followed_among_the_sources_of_the_trunk() {
    let mut bench = bench(CARRIER);
    bench.next();
    let first = bench.one();
    let places = "Contact: <sip:192.0.2.1>, <sip:10.0.0.8:5070>\r\n";
    bench.answer(&first, 302, places);
    let second = bench.one();
    assert_eq!(second.hop.remote, "10.0.0.8:5070".parse().unwrap());
    assert_eq!(second.message.uri(), Some("sip:10.0.0.8:5070"));
    assert_eq!(second.message.to().uri(), "sip:5555@10.0.0.9");
    bench.answer(&second, 200, "");
    assert!(
        matches!(bench.event(), Event::TrunkRegistered { server, .. } if server == second.hop.remote)
    );
    // It stays there as long as that goes well.
    bench.next();
    let third = bench.one();
    assert_eq!(third.hop.remote, second.hop.remote);
    bench.fail(&third, Failure::Timeout);
    trouble(bench.event());
    bench.next();
    let fourth = bench.one();
    assert_eq!(fourth.hop.remote, first.hop.remote);
    bench.answer(&fourth, 302, "Contact: <sip:192.0.2.1>\r\n");
    let (why, _) = trouble(bench.event());
    assert_eq!(
        why,
        "302 Whatever: it leads to where this trunk is not (`accept_from`)"
    );
    // Round and round it does not go.
    bench.next();
    let mut turns = 0;
    loop {
        let (mut sent, events, _) = bench.actions();
        let Some(one) = sent.pop() else {
            let (why, _) = trouble(events[0].clone());
            assert_eq!(why, "302 Whatever: it leads on and on");
            break;
        };
        turns += 1;
        let to = if turns % 2 == 1 { 8 } else { 9 };
        bench.answer(&one, 302, &format!("Contact: <sip:10.0.0.{to}>\r\n"));
    }
    assert_eq!(turns, 8);
}

#[test]
fn a_lost_connection_is_made_again_at_once() {
    let sections = CARRIER.replace("10.0.0.9\"", "10.0.0.9;transport=tcp\"");
    let mut bench = bench(&sections);
    bench.next();
    let first = bench.one();
    assert_eq!(first.hop.transport, Transport::Tcp);
    let contact = first.message.header(Name::Contact).unwrap();
    assert_eq!(contact, "<sip:5555@10.0.0.1:5060;transport=tcp>");
    let connection = ConnectionId(7);
    bench.answer_over(&first, 200, "", Some(connection));
    bench.event();
    bench.input(Input::ConnectionClosed(ConnectionId(8)));
    bench.nothing();
    bench.input(Input::ConnectionClosed(connection));
    let (why, retry) = trouble(bench.event());
    assert_eq!(why, "its connection was closed");
    assert!(retry.unwrap() <= 2);
    assert!(!bench.is_registered());
    assert!(bench.next() <= Duration::from_secs(2));
    let again = bench.one();
    assert_eq!(again.message.call_id(), first.message.call_id());
    bench.answer_over(&again, 200, "", Some(ConnectionId(9)));
    assert!(matches!(bench.event(), Event::TrunkRegistered { .. }));
    // While it is refreshed: what was asked over it is not answered any more.
    bench.next();
    let refresh = bench.one();
    bench.answer_over(&refresh, 401, &challenge("n", ""), Some(ConnectionId(9)));
    let refresh = bench.one();
    bench.input(Input::ConnectionClosed(ConnectionId(9)));
    assert_eq!(trouble(bench.event()).0, "its connection was closed");
    bench.fail(&refresh, Failure::Timeout);
    bench.nothing();
    bench.next();
    let again = bench.one();
    bench.answer_over(&again, 200, "", Some(ConnectionId(9)));
    assert!(matches!(bench.event(), Event::TrunkRegistered { .. }));
    // One over which nothing comes back is closed.
    bench.next();
    let refresh = bench.one();
    bench.fail(&refresh, Failure::Timeout);
    let (sent, events, closed) = bench.actions();
    assert_eq!(
        (sent.len(), events.len(), closed),
        (0, 1, vec![ConnectionId(9)])
    );
}

#[test]
fn another_address_of_ours_is_told_at_once() {
    let mut bench = Bench::registered(CARRIER);
    bench.input(Input::Readdressed(NetworkId(1)));
    bench.nothing();
    let until = bench.trunks.poll_timeout();
    bench.input(Input::Readdressed(NetworkId(0)));
    assert!(bench.trunks.poll_timeout() < until);
    bench.config.networks[0].addresses = vec!["10.0.0.7".parse().unwrap()];
    assert!(bench.next() <= Duration::from_millis(500));
    let told = bench.one();
    let contact = told.message.header(Name::Contact).unwrap();
    assert_eq!(contact, "<sip:5555@10.0.0.7:5060>");
    // It changes again before that is answered.
    bench.input(Input::Readdressed(NetworkId(0)));
    bench.nothing();
    bench.config.networks[0].addresses = vec!["10.0.0.6".parse().unwrap()];
    bench.answer(&told, 200, "");
    let told = bench.one();
    let contact = told.message.header(Name::Contact).unwrap();
    assert_eq!(contact, "<sip:5555@10.0.0.6:5060>");
    bench.answer(&told, 200, "");
    bench.nothing();
    // A network that has lost its address of that family.
    bench.config.networks[0].addresses = vec!["2001:db8::1".parse().unwrap()];
    bench.next();
    assert!(trouble(bench.event()).0.contains("has no listener"));
}

#[test]
fn who_was_never_registered_has_nothing_to_take_back() {
    let mut bench = bench(CARRIER);
    bench.input(Input::Stop);
    bench.nothing();
    assert!(!bench.trunks.is_leaving());
    assert_eq!(bench.trunks.poll_timeout(), None);
    let mut bench = Bench::registered(CARRIER);
    bench.input(Input::Stop);
    let last = bench.one();
    // Nobody waits for ever for a carrier that says nothing.
    assert_eq!(bench.next(), Duration::from_secs(2));
    assert!(!bench.trunks.is_leaving());
    bench.fail(&last, Failure::Timeout);
    bench.nothing();
}

const PROBED: &str = "\
[trunk.carrier]
network = \"a\"
server = \"sip:10.0.0.9:5070\"
probe = \"30s\"
";
const TRUNK: Probed = Probed::Trunk(TrunkId(0));

#[test]
fn a_trunk_that_does_not_answer_is_not_there_until_it_does() {
    let mut bench = bench(PROBED);
    assert!(bench.trunks.is_there(&TRUNK), "nothing is known against it");
    assert!(bench.next() <= Duration::from_secs(3));
    let first = bench.one();
    let text = std::str::from_utf8(first.message.bytes()).unwrap();
    assert!(
        text.starts_with("OPTIONS sip:10.0.0.9:5070 SIP/2.0\r\n"),
        "{text}"
    );
    // Whatever it says but 503, it is there.
    bench.answer(&first, 404, "");
    bench.nothing();
    let waited = bench.next();
    assert!((27..=33).contains(&waited.as_secs()), "{waited:?}");
    let second = bench.one();
    assert_eq!(bench.next(), Duration::from_secs(8));
    let reason = "no answer within 8 s".to_owned();
    assert_eq!(bench.event(), Event::Silent { who: TRUNK, reason });
    assert!(!bench.trunks.is_there(&TRUNK));
    assert!(!bench.trunks.up(bench.now, &bench.config)[&TrunkId(0)]);
    // Late, but there.
    assert_eq!(bench.trunks.poll_timeout(), None);
    bench.now += Duration::from_secs(10);
    bench.answer(&second, 200, "");
    assert_eq!(bench.event(), Event::Answers { who: TRUNK });
    assert!(bench.trunks.is_there(&TRUNK));
    bench.next();
    let third = bench.one();
    bench.next();
    bench.event();
    bench.fail(&third, Failure::Timeout);
    bench.nothing();
    // Sooner at first, then as often as ever.
    let mut waits = Vec::new();
    for _ in 0..6 {
        waits.push(bench.next().as_secs());
        let again = bench.one();
        bench.answer(&again, 503, "");
        bench.nothing();
    }
    assert!(
        waits[0] <= 5 && waits[5] <= 30 && waits[5] >= 15,
        "{waits:?}"
    );
    assert_eq!(
        bench.trunks.view(bench.now, &bench.config)[0]
            .silence
            .as_deref(),
        Some("503 Service Unavailable")
    );
    bench.next();
    let again = bench.one();
    bench.answer(&again, 200, "");
    assert_eq!(bench.event(), Event::Answers { who: TRUNK });
}

#[test]
fn who_answers_again_is_registered_with_again() {
    let mut bench = Bench::registered(&format!("{CARRIER}probe = \"5m\"\n"));
    bench.next();
    let first = bench.one();
    assert_eq!(first.message.method().name(), "OPTIONS");
    bench.next();
    assert!(matches!(bench.event(), Event::Silent { .. }));
    bench.now += Duration::from_secs(5);
    bench.answer(&first, 200, "");
    assert!(matches!(bench.event(), Event::Answers { .. }));
    assert!(bench.next() <= Duration::from_secs(2));
    let again = bench.one();
    assert_eq!(again.message.method().name(), "REGISTER");
    bench.answer(&again, 403, "");
    trouble(bench.event());
    // Whoever has refused us is not asked sooner.
    let retry = bench.trunks.view(bench.now, &bench.config)[0]
        .registration
        .clone();
    let retry = bench.now + retry.unwrap().next.unwrap();
    while bench.trunks.poll_timeout().is_some_and(|at| at < retry) {
        bench.next();
        let probe = bench.one();
        bench.answer(&probe, 503, "");
        bench.actions();
        bench.next();
        if let (sent, ..) = bench.actions()
            && let [probe] = sent.as_slice()
        {
            assert_eq!(probe.message.method().name(), "OPTIONS");
            bench.answer(probe, 200, "");
            bench.event();
            break;
        }
    }
    let view = bench.trunks.view(bench.now, &bench.config)[0]
        .registration
        .clone();
    assert_eq!(bench.now + view.unwrap().next.unwrap(), retry);
}

#[test]
fn a_probe_that_cannot_be_sent_is_an_answer_too() {
    let mut bench = bench(PROBED);
    bench.next();
    let first = bench.one();
    bench.fail(&first, Failure::Transport);
    assert!(
        matches!(bench.event(), Event::Silent { reason, .. } if reason == "it could not be sent")
    );
    bench.next();
    let second = bench.one();
    bench.input(Input::Full(second.asker));
    bench.nothing();
    assert_eq!(bench.next(), Duration::from_secs(5));
    let third = bench.one();
    bench.answer_over(&third, 200, "", Some(ConnectionId(3)));
    bench.event();
    bench.next();
    let fourth = bench.one();
    bench.next();
    bench.event();
    bench.fail(&fourth, Failure::Timeout);
    let (sent, events, closed) = bench.actions();
    assert_eq!(
        (sent.len(), events.len(), closed),
        (0, 0, vec![ConnectionId(3)])
    );
    bench.input(Input::Stop);
    assert_eq!(bench.trunks.poll_timeout(), None);
    assert!(bench.trunks.is_there(&TRUNK));
}

#[test]
fn a_phones_contact_is_asked_while_it_is_there() {
    let mut bench =
        bench("[phone.6001]\npassword = \"x\"\nprobe = \"1m\"\n[phone.6002]\npassword = \"x\"\n");
    let hop = Hop {
        network: NetworkId(0),
        transport: Transport::Udp,
        local: "10.0.0.1:5060".parse().unwrap(),
        remote: "192.0.2.5:4444".parse().unwrap(),
        connection: None,
    };
    let who = |phone| Probed::Contact {
        phone: PhoneId(phone),
        network: hop.network,
        source: hop.remote,
    };
    let register = "REGISTER sip:h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:6001@h>;tag=1\r\nTo: <sip:6001@h>\r\n\
        Call-ID: c\r\nCSeq: 1 REGISTER\r\nContact: <sip:6001@10.9.9.9:5060;ob?a=b>\r\nContent-Length: 0\r\n\r\n";
    let register = Message::parse(Bytes::from(register), &Default::default()).unwrap();
    bench
        .registrar
        .register(bench.now, PhoneId(0), hop, &register, "t");
    for phone in [0, 1] {
        bench.input(Input::Registered(who(phone)));
    }
    bench.next();
    let first = bench.one();
    assert_eq!(first.message.uri(), Some("sip:6001@10.9.9.9:5060;ob"));
    assert_eq!(first.hop, hop);
    assert_eq!(bench.next(), Duration::from_secs(8));
    assert!(matches!(bench.event(), Event::Silent { .. }));
    assert!(!bench.trunks.is_there(&who(0)));
    assert!(bench.trunks.is_there(&who(1)));
    // Its REGISTER says as much as an answer.
    bench.input(Input::Heard(who(0)));
    assert_eq!(bench.event(), Event::Answers { who: who(0) });
    bench.fail(&first, Failure::Timeout);
    assert!(matches!(bench.event(), Event::Silent { .. }));
    bench.next();
    let second = bench.one();
    // To a phone its 503 is an answer as good as any.
    bench.answer(&second, 503, "");
    assert_eq!(bench.event(), Event::Answers { who: who(0) });
    bench.input(Input::Unregistered(who(0)));
    assert_eq!(bench.trunks.poll_timeout(), None);
    // What is gone without a word is forgotten.
    bench.input(Input::Registered(who(0)));
    bench.registrar = Registrar::new(10);
    bench.next();
    bench.nothing();
    assert_eq!(bench.trunks.poll_timeout(), None);
}

#[test]
fn probes_that_wait_have_a_bound() {
    let phones: String = (0..5000)
        .map(|n| format!("[phone.p{n}]\npassword = \"x\"\nprobe = \"5s\"\n"))
        .collect();
    let mut bench = bench(&phones);
    bench.registrar = Registrar::new(10_000);
    for n in 0..5000_u16 {
        let source = format!("192.0.2.5:{}", 10_000 + n).parse().unwrap();
        let hop = Hop {
            network: NetworkId(0),
            transport: Transport::Udp,
            local: "10.0.0.1:5060".parse().unwrap(),
            remote: source,
            connection: None,
        };
        let text = format!(
            "REGISTER sip:h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK{n}\r\nFrom: <sip:p@h>;tag=1\r\nTo: <sip:p@h>\r\n\
             Call-ID: c{n}\r\nCSeq: 1 REGISTER\r\nContact: <sip:p@h:{n}>\r\nContent-Length: 0\r\n\r\n"
        )
        .replace("h:0>", "h>");
        let message = Message::parse(Bytes::from(text), &Default::default()).unwrap();
        bench
            .registrar
            .register(bench.now, PhoneId(n), hop, &message, "t");
        bench.input(Input::Registered(Probed::Contact {
            phone: PhoneId(n),
            network: NetworkId(0),
            source,
        }));
    }
    let end = bench.now + Duration::from_millis(3_900);
    while bench.trunks.poll_timeout().is_some_and(|at| at <= end) {
        bench.next();
    }
    let (sent, ..) = bench.actions();
    assert_eq!(sent.len(), 4096);
    assert!(bench.trunks.full() >= 904);
    // When those have ended the others have their turn.
    for one in &sent {
        bench.answer(one, 200, "");
    }
    while bench
        .trunks
        .poll_timeout()
        .is_some_and(|at| at <= end + Duration::from_secs(5))
    {
        bench.next();
    }
    let (sent, ..) = bench.actions();
    assert!(sent.len() >= 904, "{}", sent.len());
}

#[test]
fn of_several_accounts_at_one_carrier_the_name_says_which() {
    let second = CARRIER
        .replace("carrier]", "second]")
        .replace("5555", "+49 30");
    let bench = bench(&format!("{CARRIER}{second}"));
    let hop = |source: &str| Hop {
        network: NetworkId(0),
        transport: Transport::Udp,
        local: "10.0.0.1:5060".parse().unwrap(),
        remote: source.parse().unwrap(),
        connection: None,
    };
    let invite = |uri: &str| {
        let text = format!(
            "INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:15550100@h>\r\n\
             Call-ID: c\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
        );
        Message::parse(Bytes::from(text), &Default::default()).unwrap()
    };
    let known = TrunkId(0);
    for (uri, source, expected) in [
        ("sip:5555@10.0.0.1", "10.0.0.9:5060", 0),
        ("sip:+49%2030@10.0.0.1", "10.0.0.9:5060", 1),
        ("sip:+49%2030@10.0.0.1", "10.0.0.8:9999", 1),
        ("sip:other@10.0.0.1", "10.0.0.9:5060", 0),
        ("sip:10.0.0.1", "10.0.0.9:5060", 0),
        // A source that is not the second's, though what it names is.
        ("sip:+49%2030@10.0.0.1", "10.0.0.7:5060", 0),
    ] {
        let named = Trunks::named(&bench.config, &hop(source), &invite(uri), known);
        assert_eq!(named, TrunkId(expected), "{uri} from {source}");
    }
    let message = invite("sip:5555@10.0.0.1");
    let dialled = |user| Trunks::dialled(&bench.config, known, user, &message);
    assert_eq!(dialled("5555"), "15550100");
    assert_eq!(dialled("15550199"), "15550199");
}
