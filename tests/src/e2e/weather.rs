//! A cable on which voice is lost, delayed and overtaken, between the phone and the box: a host in the middle that hands on each
//! packet when, and if, the weather lets it.
//!
//! ```text
//! phone eth0 --- near middle far --- left edge
//! ```
//! The host does not route. What comes is read beside its stack and sent on with a raw socket; signalling passes at once.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{ErrorKind, Read as _};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use socket2::{Domain, Protocol, Socket, Type};

use super::family::{EDGE_LEFT, PHONE};
use super::lab::{Lab, Namespace};

const ETH_P_IP: u16 = 0x0800;
/// What the header is that whoever sends has written himself.
const IPPROTO_RAW: i32 = 255;
const SIP: u16 = 5060;
/// How long it looks for a packet before it looks for one that is due.
const LOOK: Duration = Duration::from_millis(1);

/// What happens to voice, in either direction, each packet by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    /// Of 100 packets so many are lost.
    pub loss: u64,
    /// Each takes up to so long: more than the time between two, and they overtake each other.
    pub jitter: Duration,
}

/// The cable; as good as any other once it is dropped.
#[derive(Debug)]
pub struct Cable {
    _middle: Namespace,
    weather: Arc<Mutex<Weather>>,
    counts: Arc<Counts>,
    stop: Arc<AtomicBool>,
    carrier: Option<JoinHandle<()>>,
}

/// What the weather has done so far.
#[derive(Debug, Default)]
struct Counts {
    lost: AtomicU64,
    overtaken: AtomicU64,
    passed: AtomicU64,
}

impl Cable {
    /// Takes the phone's cable away and lays this one; the weather is fair. Nothing may run at the phone or the edge yet. The same seed, the same fates.
    ///
    /// # Errors
    /// Not root, or `ip` or `ethtool` refused something.
    pub fn lay(lab: &Lab, seed: u64) -> Result<Cable> {
        let middle = Namespace::new("middle")?;
        let name = middle.name();
        lab.phone
            .ip(&format!("link set eth0 netns {name} name far"))?;
        lab.phone.ip(&format!(
            "link add eth0 type veth peer name near netns {name}"
        ))?;
        lab.phone.exec("ethtool -K eth0 tx off gro on")?;
        middle.exec("ethtool -K near tx off")?;
        middle.exec("ethtool -K far tx off gro on")?;
        for device in ["near", "far"] {
            middle.ip(&format!("link set {device} up"))?;
        }
        lab.phone.ip("link set eth0 up")?;
        lab.phone.live("eth0", PHONE)?;
        lab.phone.route(EDGE_LEFT)?;
        // Nobody is asked where anybody is: the one in the middle has no address to answer with.
        let [eth0, near] = [mac(&lab.phone, "eth0")?, mac(&middle, "near")?];
        let [left, far] = [mac(&lab.edge, "left")?, mac(&middle, "far")?];
        let is = |host: &Namespace, address, at: &str, device| {
            host.ip(&format!(
                "neigh replace {address} lladdr {at} dev {device} nud permanent"
            ))
        };
        middle.ip(&format!("route add {PHONE} dev near"))?;
        middle.ip(&format!("route add {EDGE_LEFT} dev far"))?;
        is(&lab.phone, EDGE_LEFT, &near, "eth0")?;
        is(&middle, PHONE, &eth0, "near")?;
        is(&middle, EDGE_LEFT, &left, "far")?;
        is(&lab.edge, PHONE, &far, "left")?;

        // Of one protocol: what leaves the host does not come here.
        let ip = Protocol::from(i32::from(ETH_P_IP.to_be()));
        let heard = middle.enter(|| Socket::new(Domain::PACKET, Type::DGRAM, Some(ip)))??;
        heard.set_read_timeout(Some(LOOK))?;
        let raw = Protocol::from(IPPROTO_RAW);
        let said = middle.enter(|| Socket::new(Domain::IPV4, Type::RAW, Some(raw)))??;
        let (counts, stop) = (
            Arc::new(Counts::default()),
            Arc::new(AtomicBool::new(false)),
        );
        let weather = Arc::new(Mutex::new(Weather::default()));
        let mut on_its_way = OnItsWay {
            weather: weather.clone(),
            said,
            waiting: BinaryHeap::new(),
            number: 0,
            dice: seed,
            latest: [0; 2],
            counts: counts.clone(),
        };
        let stopped = stop.clone();
        let carrier = std::thread::spawn(move || {
            let mut bytes = [0; 2048];
            while !stopped.load(Ordering::Relaxed) {
                match (&heard).read(&mut bytes) {
                    Ok(length) => on_its_way.take(&bytes[..length]),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    // The host is gone.
                    Err(_) => return,
                }
                on_its_way.hand_on(Instant::now());
            }
        });
        Ok(Cable {
            _middle: middle,
            weather,
            counts,
            stop,
            carrier: Some(carrier),
        })
    }

    /// The weather changes.
    pub fn turns(&self, weather: Weather) {
        *self.weather.lock().unwrap_or_else(PoisonError::into_inner) = weather;
    }

    /// Packets of voice that were lost, that were overtaken, and that arrived.
    #[must_use]
    pub fn counts(&self) -> [u64; 3] {
        let Counts {
            lost,
            overtaken,
            passed,
        } = &*self.counts;
        [lost, overtaken, passed].map(|count| count.load(Ordering::Relaxed))
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(carrier) = self.carrier.take() {
            // It does not panic, and nothing depends on how it ended.
            let _ = carrier.join();
        }
    }
}

/// Packets between one end and the other.
struct OnItsWay {
    weather: Arc<Mutex<Weather>>,
    said: Socket,
    /// When it is due, its number, and itself.
    waiting: BinaryHeap<Reverse<(Instant, u64, Vec<u8>)>>,
    number: u64,
    dice: u64,
    /// The number of the latest that has arrived, by direction.
    latest: [u64; 2],
    counts: Arc<Counts>,
}

impl OnItsWay {
    fn take(&mut self, packet: &[u8]) {
        let Some((_, is_voice)) = look(packet) else {
            return;
        };
        let mut due = Instant::now();
        if is_voice {
            let weather = *self.weather.lock().unwrap_or_else(PoisonError::into_inner);
            if self.roll(100) < weather.loss {
                self.counts.lost.fetch_add(1, Ordering::Relaxed);
                return;
            }
            let most = weather.jitter.as_micros() as u64;
            due += Duration::from_micros(self.roll(most.max(1)));
        }
        self.number += 1;
        self.waiting
            .push(Reverse((due, self.number, packet.to_vec())));
    }

    fn hand_on(&mut self, now: Instant) {
        while self.waiting.peek().is_some_and(|next| next.0.0 <= now) {
            let Some(Reverse((_, number, packet))) = self.waiting.pop() else {
                return;
            };
            let Some((to, is_voice)) = look(&packet) else {
                continue;
            };
            if is_voice {
                let latest = &mut self.latest[usize::from(to == IpAddr::from(PHONE))];
                let counts = &self.counts;
                counts.passed.fetch_add(1, Ordering::Relaxed);
                counts
                    .overtaken
                    .fetch_add(u64::from(number < *latest), Ordering::Relaxed);
                *latest = number.max(*latest);
            }
            // A test that hears nothing says so.
            let _ = self.said.send_to(&packet, &SocketAddr::new(to, 0).into());
        }
    }

    /// Below `sides`: SplitMix64.
    fn roll(&mut self, sides: u64) -> u64 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.dice;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }
}

/// Where a packet goes, and whether it is voice: UDP, and not signalling.
fn look(packet: &[u8]) -> Option<(IpAddr, bool)> {
    let sliced = SlicedPacket::from_ip(packet).ok()?;
    let Some(NetSlice::Ipv4(ip)) = &sliced.net else {
        return None;
    };
    let to = IpAddr::from(ip.header().destination_addr());
    let is_voice = match &sliced.transport {
        Some(TransportSlice::Udp(udp)) => {
            ![udp.source_port(), udp.destination_port()].contains(&SIP)
        }
        _ => false,
    };
    [IpAddr::from(PHONE), IpAddr::from(EDGE_LEFT)]
        .contains(&to)
        .then_some((to, is_voice))
}

fn mac(host: &Namespace, device: &str) -> Result<String> {
    let shown = host.ip(&format!("link show dev {device}"))?;
    let mut words = shown.split_whitespace();
    words
        .find(|word| *word == "link/ether")
        .and_then(|_| words.next())
        .map(str::to_owned)
        .with_context(|| format!("{device} has no Ethernet address: {shown}"))
}
