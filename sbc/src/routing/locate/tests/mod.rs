//! A trunk's servers, from what a made-up DNS says.

mod order;
mod property;
mod rules;
mod weather;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::{
    Action, Answer, Input, Kind, Naptr, News, Place, Places, Question, Records, Srv, Trouble,
};
use crate::config::{Config, HostName, NoSecrets, TrunkId};

/// An engine's worth of places, a DNS and a clock.
struct Stage {
    config: Config,
    places: Places,
    now: Instant,
    zone: BTreeMap<(&'static str, Kind), Answer>,
    /// What is not in the zone.
    otherwise: Answer,
    asked: Vec<String>,
    news: Vec<News>,
    sources: BTreeSet<String>,
}

const TTL: Duration = Duration::from_secs(60);
const TRUNK: TrunkId = TrunkId(0);

fn config(trunk: &str) -> Config {
    let text = format!(
        "[network.a]\naddress = [\"10.0.0.1\", \"2001:db8::1\"]\nsip = [\"udp:5060\", \"tcp:5060\"]\n\
         [trunk.t]\nnetwork = \"a\"\n{trunk}\n"
    );
    Config::parse(&text, "f", &NoSecrets).unwrap()
}

impl Stage {
    /// A trunk with these keys, in a DNS that knows nothing yet.
    fn new(trunk: &str) -> Stage {
        Stage::with(config(trunk), [0; 32])
    }

    fn server(server: &str) -> Stage {
        Stage::new(&format!("server = \"{server}\""))
    }

    fn with(config: Config, seed: [u8; 32]) -> Stage {
        let now = Instant::now();
        Stage {
            places: Places::new(&config, seed, now),
            config,
            now,
            zone: BTreeMap::new(),
            otherwise: Answer::Nothing { ttl: TTL },
            asked: Vec::new(),
            news: Vec::new(),
            sources: BTreeSet::new(),
        }
    }

    fn has(mut self, name: &'static str, kind: Kind, answer: Answer) -> Self {
        self.zone.insert((name, kind), answer);
        self
    }

    fn srv(self, name: &'static str, records: &[(u16, u16, u16, &str)]) -> Self {
        self.has(name, Kind::Srv, srv(records))
    }

    fn a(self, name: &'static str, addresses: &[&str]) -> Self {
        self.has(name, Kind::A, addresses_of(addresses))
    }

    fn naptr(self, name: &'static str, records: &[(u16, u16, &str, &str, &str)]) -> Self {
        let naptr =
            |&(order, preference, flags, service, replacement): &(u16, u16, &str, &str, &str)| {
                Naptr {
                    order,
                    preference,
                    flags: flags.to_owned(),
                    service: service.to_owned(),
                    replacement: HostName::parse(replacement).ok(),
                }
            };
        let records = Records::Naptr(records.iter().map(naptr).collect());
        self.has(name, Kind::Naptr, Answer::Found { records, ttl: TTL })
    }

    /// DNS answers at once, until nothing is left to ask.
    fn settle(mut self) -> Self {
        self.run();
        self
    }

    fn run(&mut self) {
        while let Some(action) = self.places.poll_action() {
            match action {
                Action::Resolve(question) => {
                    self.asked.push(question.to_string());
                    let key = (question.name.as_str(), question.kind);
                    let known = self
                        .zone
                        .iter()
                        .find(|((name, kind), _)| (*name, *kind) == key);
                    let answer = known.map_or(&self.otherwise, |(_, answer)| answer).clone();
                    let input = Input::Resolved { question, answer };
                    self.places.handle_input(self.now, &self.config, input);
                }
                Action::Source(_, address) => assert!(self.sources.insert(address.to_string())),
                Action::NoSource(_, address) => assert!(self.sources.remove(&address.to_string())),
                Action::News(news) => self.news.push(news),
            }
        }
    }

    /// Time passes, and what is due happens when it is.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.places.poll_timeout().filter(|due| *due <= end) {
            assert!(due >= self.now, "a timer in the past");
            self.now = due;
            self.places.handle_timeout(due, &self.config);
            self.run();
        }
        self.now = end;
    }

    fn way(&mut self) -> Vec<String> {
        let way = self.places.way(self.now, &self.config, TRUNK);
        way.map(|place| place.to_string()).collect()
    }

    fn told(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }
}

fn srv(records: &[(u16, u16, u16, &str)]) -> Answer {
    let srv = |&(priority, weight, port, target): &(u16, u16, u16, &str)| Srv {
        priority,
        weight,
        port,
        target: HostName::parse(target).ok(),
    };
    let records = Records::Srv(records.iter().map(srv).collect());
    Answer::Found { records, ttl: TTL }
}

fn addresses_of(addresses: &[&str]) -> Answer {
    let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
    Answer::Found {
        records: Records::Addresses(addresses),
        ttl: TTL,
    }
}

fn place(text: &str) -> Place {
    let (transport, address) = text.split_once(':').unwrap();
    Place {
        address: address.parse().unwrap(),
        transport: match transport {
            "udp" => crate::sip::Transport::Udp,
            _ => crate::sip::Transport::Tcp,
        },
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
