//! A network behind a router, on a clock of its own.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::stun::TransactionId;
use super::stun::tests::success;
use super::*;
use crate::config::NoSecrets;

const HOME: NetworkId = NetworkId(0);
const SERVER: &str = "198.51.100.1:3478";

struct Home {
    now: Instant,
    externals: Externals,
    request: u64,
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

impl Home {
    fn new(keys: &str) -> Home {
        let text = format!(
            "[network.home]\naddress = [\"192.168.1.2\"]\nexternal = \"auto\"\n{keys}\n[network.other]\naddress = [\"10.0.0.1\"]\n\
             [trunk.t]\nnetwork = \"home\"\nserver = \"sip:198.51.100.9\"\n"
        );
        let config = Config::parse(&text, "f", &NoSecrets).unwrap();
        let now = Instant::now();
        let mut externals = Externals::new(&config, [7; 32], now);
        externals.handle_timeout(now);
        Home {
            now,
            externals,
            request: 0,
        }
    }

    /// With a server at [`SERVER`], and its first question.
    fn asking() -> (Home, TransactionId) {
        let mut one = Home::new("stun = \"stun.example\"");
        let look_up = Action::LookUp {
            network: HOME,
            host: "stun.example".to_owned(),
            port: 3478,
        };
        assert_eq!(one.actions(), [look_up]);
        one.looked_up(&[SERVER]);
        let id = one.question(SERVER);
        (one, id)
    }

    fn looked_up(&mut self, addresses: &[&str]) {
        let addresses = addresses.iter().map(|text| at(text)).collect();
        let input = Input::LookedUp {
            network: HOME,
            addresses,
        };
        self.externals.handle_input(self.now, input);
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.externals.poll_action()).collect()
    }

    /// The one thing that is to be done is to ask that server.
    fn question(&mut self, server: &str) -> TransactionId {
        match self.actions().as_slice() {
            [Action::Send { network, to, bytes }] => {
                assert_eq!((*network, *to, bytes.len()), (HOME, at(server), 20));
                TransactionId(bytes[8..].try_into().unwrap())
            }
            other => panic!("{other:?}"),
        }
    }

    fn says(&mut self, from: &str, id: TransactionId, mapped: &str) -> Vec<Action> {
        let mapped = SocketAddr::new(ip(mapped), 5060);
        let input = Input::Answer {
            network: HOME,
            from: at(from),
            bytes: Bytes::from(success(id, mapped)),
        };
        self.externals.handle_input(self.now, input);
        self.actions()
    }

    fn seen(&mut self, mapped: &str) -> Vec<Action> {
        self.request += 1;
        self.seen_in(mapped, self.request)
    }

    /// In an answer to that request.
    fn seen_in(&mut self, mapped: &str, request: u64) -> Vec<Action> {
        let input = Input::Seen {
            network: HOME,
            at: ip(mapped),
            request,
        };
        self.externals.handle_input(self.now, input);
        self.actions()
    }

    /// How long nothing is due, and then what is.
    fn wait(&mut self) -> Duration {
        let due = self.externals.poll_timeout().unwrap();
        let waited = due.saturating_duration_since(self.now);
        self.now = due;
        self.externals.handle_timeout(due);
        waited
    }

    /// A server says the same twice.
    fn learns(&mut self, id: TransactionId, mapped: &str) -> Vec<Action> {
        assert_eq!(self.says(SERVER, id, mapped), []);
        let waited = self.wait();
        assert!((200..400).contains(&waited.as_millis()), "{waited:?}");
        let id = self.question(SERVER);
        self.says(SERVER, id, mapped)
    }
}

fn changed(from: Option<&str>, to: &str) -> Action {
    Action::Changed {
        network: HOME,
        from: from.map(ip),
        to: ip(to),
    }
}

#[test]
fn two_answers_in_a_row_make_an_address_and_two_others_the_next() {
    let (mut one, id) = Home::asking();
    assert_eq!(
        one.learns(id, "203.0.113.8"),
        [changed(None, "203.0.113.8")]
    );
    for _ in 0..3 {
        let waited = one.wait();
        assert!((25..35).contains(&waited.as_secs()), "{waited:?}");
        let id = one.question(SERVER);
        assert_eq!(one.says(SERVER, id, "203.0.113.8"), []);
    }
    one.wait();
    let id = one.question(SERVER);
    let now = changed(Some("203.0.113.8"), "203.0.113.9");
    assert_eq!(one.learns(id, "203.0.113.9"), [now]);
}

#[test]
fn an_answer_to_nobodys_question_changes_nothing() {
    let (mut one, id) = Home::asking();
    assert_eq!(
        one.learns(id, "203.0.113.8"),
        [changed(None, "203.0.113.8")]
    );
    one.wait();
    let id = one.question(SERVER);
    let other = TransactionId([9; 12]);
    for _ in 0..9 {
        assert_eq!(one.says(SERVER, other, "203.0.113.66"), []);
        assert_eq!(one.says("198.51.100.2:3478", id, "203.0.113.66"), []);
        assert_eq!(one.says("198.51.100.1:3479", id, "203.0.113.66"), []);
    }
    // One that is right, and wrong: the next differs.
    assert_eq!(one.says(SERVER, id, "203.0.113.66"), []);
    // And comes twice.
    assert_eq!(one.says(SERVER, id, "203.0.113.66"), []);
    one.wait();
    let id = one.question(SERVER);
    assert_eq!(one.says(SERVER, id, "203.0.113.8"), []);
    let waited = one.wait();
    assert!((25..35).contains(&waited.as_secs()), "{waited:?}");
}

#[test]
fn a_question_is_repeated_as_it_is_and_the_silence_told_once() {
    let (mut one, id) = Home::asking();
    for expected in [500, 1000, 2000, 4000] {
        assert_eq!(one.wait(), Duration::from_millis(expected));
        assert_eq!(one.question(SERVER), id);
    }
    assert_eq!(one.wait(), Duration::from_secs(8));
    let silent = |known: Option<&str>| Action::Silent {
        network: HOME,
        known: known.map(ip),
    };
    assert_eq!(one.actions(), [silent(None)]);
    // Its name may lead elsewhere; it does not.
    assert_eq!(one.wait(), Duration::ZERO);
    assert!(matches!(one.actions()[..], [Action::LookUp { .. }]));
    one.looked_up(&[SERVER]);
    let waited = one.wait();
    assert!((25..35).contains(&waited.as_secs()), "{waited:?}");
    let id = one.question(SERVER);
    assert_eq!(
        one.learns(id, "203.0.113.8"),
        [changed(None, "203.0.113.8")]
    );
    // What is known stays.
    one.wait();
    one.question(SERVER);
    for _ in 0..4 {
        one.wait();
        one.question(SERVER);
    }
    one.wait();
    assert_eq!(one.actions(), [silent(Some("203.0.113.8"))]);
}

#[test]
fn the_next_server_is_asked_where_one_is_silent_or_refuses() {
    let mut one = Home::new("stun = \"stun.example:99\"");
    one.actions();
    one.looked_up(&["198.51.100.1:99", "198.51.100.2:99"]);
    let first = one.question("198.51.100.1:99");
    for _ in 0..4 {
        one.wait();
        assert_eq!(one.question("198.51.100.1:99"), first);
    }
    assert_eq!(one.wait(), Duration::from_secs(8));
    let id = one.question("198.51.100.2:99");
    assert_ne!(id, first);
    assert_eq!(one.says("198.51.100.2:99", id, "203.0.113.8"), []);
    one.wait();
    let id = one.question("198.51.100.2:99");
    let known = one.says("198.51.100.2:99", id, "203.0.113.8");
    assert_eq!(known, [changed(None, "203.0.113.8")]);
    // Nothing that could be used.
    one.wait();
    let id = one.question("198.51.100.2:99");
    // The first again, at once.
    assert_eq!(one.says("198.51.100.2:99", id, "127.0.0.1").len(), 1);
}

#[test]
fn a_name_that_leads_nowhere_is_looked_up_again() {
    let mut one = Home::new("stun = \"stun.example\"");
    one.actions();
    one.looked_up(&[]);
    assert_eq!(
        one.actions(),
        [Action::Silent {
            network: HOME,
            known: None
        }]
    );
    for expected in [5, 10, 20, 40, 60, 60] {
        assert_eq!(one.wait(), Duration::from_secs(expected));
        assert!(matches!(one.actions()[..], [Action::LookUp { .. }]));
        one.looked_up(&[]);
        assert_eq!(one.actions(), []);
    }
}

#[test]
fn trunks_tell_where_there_is_no_stun() {
    let mut one = Home::new("");
    assert_eq!(one.externals.poll_timeout(), None);
    assert_eq!(one.seen("203.0.113.8"), []);
    assert_eq!(one.seen("203.0.113.9"), []);
    assert_eq!(one.seen("203.0.113.8"), []);
    assert_eq!(one.seen("203.0.113.8"), [changed(None, "203.0.113.8")]);
    assert_eq!(one.seen("203.0.113.8"), []);
    assert_eq!(one.seen("203.0.113.9"), []);
    let now = changed(Some("203.0.113.8"), "203.0.113.9");
    assert_eq!(one.seen("203.0.113.9"), [now]);
    assert!(!one.externals.follows(NetworkId(1)));
    // One request is one witness, and an earlier one none any more.
    assert_eq!(one.seen("203.0.113.8"), []);
    for request in [one.request, one.request - 1, 1] {
        assert_eq!(one.seen_in("203.0.113.8", request), []);
    }
}

#[test]
fn what_a_trunk_sees_makes_stun_ask_at_once() {
    let (mut one, id) = Home::asking();
    assert_eq!(
        one.learns(id, "203.0.113.8"),
        [changed(None, "203.0.113.8")]
    );
    // Just asked.
    assert_eq!(one.seen("203.0.113.9"), []);
    one.now += Duration::from_secs(2);
    assert_eq!(one.seen("203.0.113.8"), []);
    one.request += 1;
    let input = Input::Seen {
        network: HOME,
        at: ip("203.0.113.9"),
        request: one.request,
    };
    one.externals.handle_input(one.now, input);
    let id = one.question(SERVER);
    let now = changed(Some("203.0.113.8"), "203.0.113.9");
    assert_eq!(one.learns(id, "203.0.113.9"), [now]);
}

#[test]
fn both_families_are_found() {
    let mut one = Home::new("stun = \"[2001:db8::1]:3478\"");
    one.actions();
    one.looked_up(&["[2001:db8::1]:3478"]);
    let id = one.question("[2001:db8::1]:3478");
    assert_eq!(one.says("[2001:db8::1]:3478", id, "2001:db8:8::2"), []);
    one.wait();
    let id = one.question("[2001:db8::1]:3478");
    let known = one.says("[2001:db8::1]:3478", id, "2001:db8:8::2");
    assert_eq!(known, [changed(None, "2001:db8:8::2")]);
}
