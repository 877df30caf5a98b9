//! An account at a carrier that has its moods, over a line that loses, repeats and reorders: a virtual day for each seed.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand_chacha::ChaCha12Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use sbc::config::{Config, NetworkId, NoSecrets, TrunkId};
use sbc::engine::{Action, Engine, Input};
use sbc::sip::Transport;
use sbc::sip::digest::Credentials;
use sbc::transaction::Hop;
use sbc_tests::sim::{Datagram, Link, Weather};

const CONFIG: &str = r#"
[network.a]
address = ["10.0.0.1"]
sip = ["udp:5060"]
[trunk.t]
network = "a"
server = "sip:10.0.0.9"
register = true
probe = "30s"
username = "box"
password = "rosebud"
"#;

const DAY: Duration = Duration::from_secs(86_400);
const MINUTE: Duration = Duration::from_secs(60);
/// The longest time between two tries, after a refusal, and what the line takes.
const PATIENCE: Duration = Duration::from_secs(17 * 60);

/// What the carrier does with a REGISTER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    /// Takes it without a password, for an hour.
    Trusting,
    /// Wants a password with a nonce of its own for each, grants ten minutes.
    Careful,
    /// Wants at least two hours.
    Patient,
    /// Says nothing.
    Silent,
    /// 503, with a time.
    Busy,
    /// 403.
    Cross,
}

impl Mood {
    const ALL: [Mood; 6] = [
        Mood::Trusting,
        Mood::Careful,
        Mood::Patient,
        Mood::Silent,
        Mood::Busy,
        Mood::Cross,
    ];

    fn takes_it(self) -> bool {
        matches!(self, Mood::Trusting | Mood::Careful | Mood::Patient)
    }
}

struct Carrier {
    mood: Mood,
    /// Since when it has been in a mood to take it.
    willing: Option<Instant>,
    bound: Option<Instant>,
    nonces: u32,
    /// What was said to each transaction.
    said: BTreeMap<String, Option<String>>,
    call_id: Option<String>,
    cseq: u32,
    refused: Vec<Instant>,
}

impl Carrier {
    fn hears(&mut self, now: Instant, text: &str) -> Option<String> {
        let is_probe = text.starts_with("OPTIONS sip:10.0.0.9 SIP/2.0\r\n");
        assert!(
            is_probe || text.starts_with("REGISTER sip:10.0.0.9 SIP/2.0\r\n"),
            "{text}"
        );
        let value = |name| value(text, name);
        let branch = value("Via").unwrap();
        if let Some(before) = self.said.get(&branch) {
            return before.clone();
        }
        if is_probe {
            return (self.mood != Mood::Silent).then(|| answer("200 OK", text, ""));
        }
        let call_id = value("Call-ID").unwrap();
        assert_eq!(self.call_id.get_or_insert(call_id.clone()), &call_id);
        let cseq: u32 = value("CSeq")
            .unwrap()
            .split(' ')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        if cseq <= self.cseq {
            // Overtaken by a later one.
            self.said.insert(branch, None);
            return None;
        }
        self.cseq = cseq;
        let expires: u64 = value("Expires").unwrap().parse().unwrap();
        let (line, more) = self.decides(now, expires, value("Authorization").as_deref())?;
        let answer = answer(line, text, &more);
        self.said.insert(branch, Some(answer.clone()));
        Some(answer)
    }

    fn decides(
        &mut self,
        now: Instant,
        expires: u64,
        proof: Option<&str>,
    ) -> Option<(&'static str, String)> {
        let granted = match self.mood {
            Mood::Silent => return None,
            Mood::Busy => return Some(("503 Busy", "Retry-After: 45\r\n".to_owned())),
            Mood::Cross => {
                self.refused.push(now);
                return Some(("403 No", String::new()));
            }
            Mood::Trusting => expires.min(3600),
            Mood::Patient if expires > 0 && expires < 7200 => {
                return Some(("423 Longer", "Min-Expires: 7200\r\n".to_owned()));
            }
            Mood::Patient => expires,
            Mood::Careful => {
                let wanted = format!("nonce-{}", self.nonces);
                let read = proof.map(|proof| Credentials::parse(proof).unwrap());
                let is_right = read
                    .is_some_and(|read| read.nonce == wanted && read.verify("rosebud", "REGISTER"));
                self.nonces += 1;
                if !is_right {
                    let nonce = self.nonces;
                    let asked = format!(
                        "WWW-Authenticate: Digest realm=\"carrier\", nonce=\"nonce-{nonce}\", qop=\"auth\", algorithm=SHA-256\r\n"
                    );
                    return Some(("401 Who", asked));
                }
                expires.min(600)
            }
        };
        self.bound = (granted > 0).then(|| now + Duration::from_secs(granted));
        let contact = format!("Contact: <sip:box@10.0.0.1:5060>;expires={granted}\r\n");
        Some(("200 OK", contact))
    }

    fn changes(&mut self, now: Instant, mood: Mood) {
        self.mood = mood;
        self.willing = match mood.takes_it() {
            true => self.willing.or(Some(now)),
            false => None,
        };
        // It may have been started anew meanwhile.
        if mood == Mood::Silent {
            self.bound = None;
        }
    }
}

/// A field of a message.
fn value(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.map(|line| line.trim_start_matches(": ").to_owned())
}

fn answer(line: &str, request: &str, more: &str) -> String {
    let head: String = ["Via", "From", "Call-ID", "CSeq"]
        .iter()
        .map(|name| format!("{name}: {}\r\n", value(request, name).unwrap()))
        .collect();
    let to = value(request, "To").unwrap();
    format!("SIP/2.0 {line}\r\n{head}To: {to};tag=c\r\n{more}Content-Length: 0\r\n\r\n")
}

struct World {
    engine: Engine,
    carrier: Carrier,
    link: Link,
    now: Instant,
}

impl World {
    fn new(seed: u64) -> World {
        let config = Config::parse(CONFIG, "accounts.toml", &NoSecrets).unwrap();
        let mut random = ChaCha12Rng::seed_from_u64(seed);
        let mut key = [0; 32];
        random.fill_bytes(&mut key);
        let now = Instant::now();
        World {
            engine: Engine::new(Arc::new(config), key, now),
            carrier: Carrier {
                mood: Mood::Trusting,
                willing: Some(now),
                bound: None,
                nonces: 0,
                said: BTreeMap::new(),
                call_id: None,
                cseq: 0,
                refused: Vec::new(),
            },
            link: Link::new(Weather::STORM, random),
            now,
        }
    }

    fn run(&mut self, end: Instant) {
        loop {
            let due = self
                .engine
                .poll_timeout()
                .into_iter()
                .chain(self.link.next());
            let Some(at) = due.min().filter(|at| *at <= end) else {
                break;
            };
            self.now = self.now.max(at);
            while let Some(datagram) = self.link.receive(self.now) {
                self.deliver(&datagram);
            }
            if self.engine.poll_timeout().is_some_and(|at| at <= self.now) {
                self.engine.handle_timeout(self.now);
            }
            self.perform();
        }
        self.now = end;
    }

    fn deliver(&mut self, datagram: &Datagram) {
        if datagram.to.port() == 5060 && datagram.to.ip().to_string() == "10.0.0.9" {
            let text = String::from_utf8(datagram.bytes.clone()).unwrap();
            if let Some(answer) = self.carrier.hears(self.now, &text) {
                let (from, to) = (datagram.to, datagram.from);
                let bytes = answer.into_bytes();
                self.link.send(self.now, Datagram { from, to, bytes });
            }
            return;
        }
        let hop = Hop {
            network: NetworkId(0),
            transport: Transport::Udp,
            local: datagram.to,
            remote: datagram.from,
            connection: None,
        };
        let bytes = Bytes::from(datagram.bytes.clone());
        self.engine
            .handle_input(self.now, Input::Message { hop, bytes });
        self.perform();
    }

    fn perform(&mut self) {
        while let Some(action) = self.engine.poll_action() {
            let Action::Send { hop, bytes } = action else {
                continue;
            };
            let (from, to, bytes) = (hop.local, hop.remote, bytes.to_vec());
            self.link.send(self.now, Datagram { from, to, bytes });
        }
        while self.engine.poll_event().is_some() {}
    }

    fn is_registered(&self) -> bool {
        self.engine.stats(self.now).trunk_registered[&TrunkId(0)]
    }
}

#[test]
fn is_had_whenever_the_carrier_lets_us_and_never_hammered() {
    for seed in 0..5 {
        let mut world = World::new(seed);
        let mut random = ChaCha12Rng::seed_from_u64(seed ^ 0xacc0);
        let end = world.now + DAY;
        let mut checked = 0;
        while world.now < end {
            let minutes = 1 + random.next_u32() % 90;
            for _ in 0..minutes {
                world.run(world.now + MINUTE);
                let carrier = &world.carrier;
                let had_time = |since: Instant| world.now - since >= PATIENCE;
                if carrier.willing.is_some_and(had_time) {
                    checked += 1;
                    let bound = carrier.bound.is_some_and(|until| until > world.now);
                    assert!(
                        bound,
                        "seed {seed}: not at the carrier, who is {:?}",
                        carrier.mood
                    );
                    assert!(world.is_registered(), "seed {seed}: not here");
                }
            }
            let mood = Mood::ALL[random.next_u32() as usize % Mood::ALL.len()];
            world.carrier.changes(world.now, mood);
        }
        assert!(
            checked > 60,
            "seed {seed}: {checked} minutes were looked at"
        );
        // Who refuses us is asked four times in an hour once he has done so a few times; more in the first, while the time doubles.
        let refused = &world.carrier.refused;
        for some in refused.windows(9) {
            assert!(some[8] - some[0] >= 20 * MINUTE, "seed {seed}: hammered");
        }

        world.carrier.changes(world.now, Mood::Trusting);
        world.run(world.now + PATIENCE);
        assert!(world.is_registered());
        world.engine.handle_input(world.now, Input::Stop);
        world.perform();
        world.run(world.now + 2 * MINUTE);
        assert_eq!(world.carrier.bound, None, "seed {seed}: not taken back");
        assert!(world.engine.is_idle());
        assert_eq!(world.engine.poll_timeout(), None);
    }
}
