//! What lies between: loses, delays, repeats and thereby reorders.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha12Rng;
use rand_core::RngCore as _;

/// What the link does to a datagram.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Of 1000 datagrams, how many are lost.
    pub loss: u32,
    /// Of 1000, how many arrive twice.
    pub twice: u32,
    /// The shortest time on the way, in ms.
    pub fastest: u32,
    /// The longest. Datagrams overtake each other as far as the two are apart.
    pub slowest: u32,
}

impl Weather {
    /// Nothing is lost, and everything takes 10 ms.
    pub const FAIR: Weather = Weather {
        loss: 0,
        twice: 0,
        fastest: 10,
        slowest: 10,
    };

    /// A fifth is lost, a tenth comes twice, and anything may overtake anything within 200 ms.
    pub const STORM: Weather = Weather {
        loss: 200,
        twice: 100,
        fastest: 5,
        slowest: 200,
    };
}

/// A datagram on its way.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// From where.
    pub from: SocketAddr,
    /// To where.
    pub to: SocketAddr,
    /// What.
    pub bytes: Vec<u8>,
}

/// How often in a row the same datagram may be lost. Whoever repeats himself as RFC 3261 17 wants it is heard then, and so is the answer,
/// before he gives up: a transaction that times out is somebody's fault.
const LOST_IN_A_ROW: u32 = 2;

/// An INVITE is sent seven times, other requests eleven times.
const INVITES_LOST_IN_A_ROW: u32 = 1;

/// All datagrams on their way.
pub struct Link {
    weather: Weather,
    random: ChaCha12Rng,
    /// Of each datagram that was lost last time, how often in a row.
    lost: HashMap<(SocketAddr, Vec<u8>), u32>,
    on_the_way: BTreeMap<(Instant, u64), Datagram>,
    sent: u64,
}

impl Link {
    /// An empty one.
    #[must_use]
    pub fn new(weather: Weather, random: ChaCha12Rng) -> Link {
        Link {
            weather,
            random,
            lost: HashMap::new(),
            on_the_way: BTreeMap::new(),
            sent: 0,
        }
    }

    /// Takes a datagram; what becomes of it is in the weather's hands, but for [`LOST_IN_A_ROW`].
    pub fn send(&mut self, now: Instant, datagram: Datagram) {
        let copies = if self.loses(&datagram) {
            0
        } else if self.chance(self.weather.twice) {
            2
        } else {
            1
        };
        for _ in 0..copies {
            let spread = self.weather.slowest - self.weather.fastest + 1;
            let delay = self.weather.fastest + self.random.next_u32() % spread;
            let at = now + Duration::from_millis(u64::from(delay));
            self.sent += 1;
            self.on_the_way.insert((at, self.sent), datagram.clone());
        }
    }

    /// When the next one arrives.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.on_the_way.keys().next().map(|(at, _)| *at)
    }

    /// What has arrived by now, in order.
    pub fn receive(&mut self, now: Instant) -> Option<Datagram> {
        self.next().filter(|&at| at <= now)?;
        self.on_the_way.pop_first().map(|(_, datagram)| datagram)
    }

    fn loses(&mut self, datagram: &Datagram) -> bool {
        let is_lost = self.chance(self.weather.loss);
        let most = match datagram.bytes.starts_with(b"INVITE ") {
            true => INVITES_LOST_IN_A_ROW,
            false => LOST_IN_A_ROW,
        };
        let key = (datagram.to, datagram.bytes.clone());
        let before = self.lost.remove(&key).unwrap_or(0);
        if !is_lost || before == most {
            return false;
        }
        self.lost.insert(key, before + 1);
        true
    }

    fn chance(&mut self, of_1000: u32) -> bool {
        self.random.next_u32() % 1000 < of_1000
    }
}
