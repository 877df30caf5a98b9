//! A name server of the tests' own: says what a test wants, when it wants it, and lies as it is told.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;
use sbc_tests::e2e::Namespace;

const A: u16 = 1;
const CNAME: u16 = 5;
const SRV: u16 = 33;
const NAPTR: u16 = 35;

/// How it answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mood {
    /// From its zone.
    #[default]
    Honest,
    /// Not at all.
    Silent,
    /// With bytes that are no message, or one that is cut off.
    Garbage,
    /// Each name is an alias of itself.
    Circle,
}

#[derive(Debug, Default)]
struct Zone {
    mood: Mood,
    ttl: u32,
    records: BTreeMap<(String, u16), Vec<Vec<u8>>>,
    asked: u64,
}

/// Listens at port 53 until it is dropped.
#[derive(Debug)]
pub(super) struct NameServer {
    zone: Arc<Mutex<Zone>>,
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NameServer {
    pub(super) fn start(namespace: &Namespace, at: Ipv4Addr) -> Result<NameServer> {
        let socket = namespace.enter(|| UdpSocket::bind((at, 53)))??;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let zone = Arc::new(Mutex::new(Zone {
            ttl: 60,
            ..Zone::default()
        }));
        let done = Arc::new(AtomicBool::new(false));
        let (its, until) = (Arc::clone(&zone), Arc::clone(&done));
        let thread = std::thread::spawn(move || serve(&socket, &its, &until));
        Ok(NameServer {
            zone,
            done,
            thread: Some(thread),
        })
    }

    fn zone(&self) -> std::sync::MutexGuard<'_, Zone> {
        self.zone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn mood(&self, mood: Mood) {
        self.zone().mood = mood;
    }

    pub(super) fn ttl(&self, seconds: u32) {
        self.zone().ttl = seconds;
    }

    /// How many questions have come.
    pub(super) fn asked(&self) -> u64 {
        self.zone().asked
    }

    pub(super) fn a(&self, name: &str, addresses: &[Ipv4Addr]) {
        let data = addresses.iter().map(|ip| ip.octets().to_vec()).collect();
        self.set(name, A, data);
    }

    /// Priority, weight, port, target.
    pub(super) fn srv(&self, name: &str, records: &[(u16, u16, u16, &str)]) {
        let data = records.iter().map(|(priority, weight, port, target)| {
            let numbers = [priority, weight, port].map(|number| number.to_be_bytes());
            [numbers.concat(), encoded(target)].concat()
        });
        self.set(name, SRV, data.collect());
    }

    /// Order, preference, service, replacement.
    pub(super) fn naptr(&self, name: &str, records: &[(u16, u16, &str, &str)]) {
        let data = records.iter().map(|(order, preference, service, to)| {
            let mut data = [order.to_be_bytes(), preference.to_be_bytes()].concat();
            for text in ["s", service, ""] {
                data.push(text.len() as u8);
                data.extend(text.as_bytes());
            }
            data.extend(encoded(to));
            data
        });
        self.set(name, NAPTR, data.collect());
    }

    fn set(&self, name: &str, kind: u16, data: Vec<Vec<u8>>) {
        self.zone().records.insert((name.to_owned(), kind), data);
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(socket: &UdpSocket, zone: &Mutex<Zone>, done: &AtomicBool) {
    let mut buffer = [0; 1500];
    while !done.load(Ordering::Relaxed) {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        let mut zone = zone.lock().unwrap_or_else(PoisonError::into_inner);
        zone.asked += 1;
        if let Some(answer) = answer(&zone, &buffer[..length]) {
            let _ = socket.send_to(&answer, from);
        }
    }
}

/// RFC 1035 4: header, the question again, what the zone has.
fn answer(zone: &Zone, query: &[u8]) -> Option<Vec<u8>> {
    let (mut name, mut at) = (String::new(), 12);
    loop {
        let length = usize::from(*query.get(at)?);
        let label = query.get(at + 1..at + 1 + length)?;
        at += 1 + length;
        if length == 0 {
            break;
        }
        name += &String::from_utf8_lossy(label).to_ascii_lowercase();
        name.push('.');
    }
    let name = name.trim_end_matches('.').to_owned();
    let question = query.get(12..at + 4)?;
    let kind = u16::from_be_bytes(query.get(at..at + 2)?.try_into().ok()?);
    let records = match zone.mood {
        Mood::Silent => return None,
        Mood::Garbage => return Some(query.get(..2)?.iter().copied().chain([0x81]).collect()),
        Mood::Circle => vec![(CNAME, encoded(&name))],
        Mood::Honest => {
            let known = zone.records.get(&(name, kind));
            let known = known.into_iter().flatten();
            known.map(|data| (kind, data.clone())).collect()
        }
    };
    let count = u16::try_from(records.len()).ok()?;
    let mut answer = query.get(..2)?.to_vec();
    answer.extend([0x85, 0x80, 0, 1]);
    answer.extend(count.to_be_bytes());
    answer.extend([0; 4]);
    answer.extend(question);
    for (kind, data) in records {
        answer.extend([0xc0, 12]);
        answer.extend(kind.to_be_bytes());
        answer.extend([0, 1]);
        answer.extend(zone.ttl.to_be_bytes());
        answer.extend(u16::try_from(data.len()).ok()?.to_be_bytes());
        answer.extend(data);
    }
    Some(answer)
}

fn encoded(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}
