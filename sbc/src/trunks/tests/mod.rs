//! Registrations and probes on a virtual clock, each answer by hand.

mod names;
mod probes;
mod registration;
mod servers;

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::*;
use crate::config::{Config, NetworkId, NoSecrets, PhoneId, TrunkId};
use crate::engine::Event;
use crate::registrar::Registrar;
use crate::routing::locate::Places;
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
    places: Places,
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
        places: Places::new(&config, [5; 32], now),
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
            places: &self.places,
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
                Action::Server {
                    trunk,
                    place,
                    unwell,
                } => match unwell {
                    Some(how) => self
                        .places
                        .failed(self.now, &self.config, trunk, place, how),
                    None => self.places.heard(&self.config, trunk, place),
                },
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
            places: &self.places,
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
        self.trunks.registered(self.now, &self.config)[&TrunkId(0)]
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
