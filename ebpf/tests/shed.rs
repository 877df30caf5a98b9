//! What is shed: the bucket against a plain count of tokens, who is served first, and which packets are SIP.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use etherparse::PacketBuilder;
use proptest::prelude::*;
use sbc_ebpf::abi::{Address, Port};
use sbc_ebpf::shed::{Knock, Shed, Tables, Word, admit, take, take_shared};
use sbc_ebpf::shed_abi::{Host, Rate, SipKey, Source, SourcePrefix, TCP, UDP, WHO, Who};

const SECOND: u64 = 1_000_000_000;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_bucket_gives_its_burst_and_then_its_rate() {
    let rate = Rate::new(50, 200, SECOND);
    let bucket = Cell::new(0);
    let taken = |now: u64, tries: u32| {
        (0..tries)
            .filter(|_| take_shared(&bucket, now, &rate))
            .count()
    };
    assert_eq!(taken(7 * SECOND, 20_000), 200);
    assert_eq!(taken(8 * SECOND, 20_000), 50);
    assert_eq!(taken(8 * SECOND + SECOND / 50 - 1, 10), 0);
    assert_eq!(taken(8 * SECOND + SECOND / 50, 10), 1);
    assert_eq!(taken(100 * SECOND, 20_000), 200);
}

#[test]
fn no_rate_is_no_limit() {
    let bucket = Cell::new(0);
    assert!((0..10_000).all(|_| take_shared(&bucket, 5, &Rate::new(0, 0, SECOND))));
}

#[test]
fn whoever_loses_the_race_four_times_gets_nothing() {
    struct Contended(Cell<u32>);
    impl Word for Contended {
        fn load(&self) -> u64 {
            0
        }
        fn exchange(&self, seen: u64, _: u64) -> u64 {
            self.0.set(self.0.get() + 1);
            seen + 1
        }
    }
    let word = Contended(Cell::new(0));
    assert!(!take_shared(&word, 5, &Rate::new(1, 1000, SECOND)));
    assert_eq!(word.0.get(), 4);
}

proptest! {
    /// Against tokens counted as fractions, from any moment on, over the wrap-around too.
    #[test]
    fn a_bucket_is_a_count_of_tokens(
        start in prop_oneof![Just(u64::MAX - 1000), any::<u64>()],
        interval in 1..1000_u64,
        burst in 1..100_u32,
        steps in prop::collection::vec(0..3000_u64, 1..300),
    ) {
        let rate = Rate { interval, capacity: interval * u64::from(burst) };
        let (mut full_at, mut now) = (start, start);
        // In `interval`ths of a token.
        let mut tokens = rate.capacity;
        for step in steps {
            now = now.wrapping_add(step);
            tokens = (tokens + step).min(rate.capacity);
            let expected = tokens >= interval;
            if expected {
                tokens -= interval;
            }
            match take(full_at, now, &rate) {
                Some(next) => {
                    prop_assert!(expected);
                    full_at = next;
                }
                None => prop_assert!(!expected),
            }
        }
    }

    /// Any word is a bucket, and never gives more than one burst at once.
    #[test]
    fn any_word_is_a_bucket(word: u64, now: u64, interval in 1..u64::MAX / 200, burst in 1..100_u32) {
        let rate = Rate { interval, capacity: interval * u64::from(burst) };
        let bucket = Cell::new(word);
        let taken = (0..200).filter(|_| take_shared(&bucket, now, &rate)).count();
        prop_assert!(taken <= burst as usize);
    }

    #[test]
    fn nothing_panics_on_any_frame(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Knock::of(bytes.as_slice()).map(|knock| knock.is_metered(bytes.as_slice()));
    }
}

/// Tables in memory.
#[derive(Default)]
struct Memory {
    banned: Vec<Source>,
    known: Vec<Source>,
    rates: [Rate; WHO],
    strangers: Kept,
    buckets: RefCell<HashMap<Host, Kept>>,
}

#[derive(Clone, Default)]
struct Kept(Rc<Cell<u64>>);

impl Word for Kept {
    fn load(&self) -> u64 {
        self.0.get()
    }
    fn exchange(&self, seen: u64, new: u64) -> u64 {
        self.0.exchange(seen, new)
    }
}

impl Tables for Memory {
    type Bucket<'a> = Kept;

    fn is_banned(&self, source: &Source) -> bool {
        self.banned.contains(source)
    }
    fn is_known(&self, source: &Source) -> bool {
        self.known.contains(source)
    }
    fn rate(&self, _: u16, who: Who) -> Option<&Rate> {
        self.rates.get(who as usize)
    }
    fn strangers(&self, _: u16) -> Option<Kept> {
        Some(self.strangers.clone())
    }
    fn bucket(&self, host: &Host) -> Option<Kept> {
        self.buckets.borrow().get(host).cloned()
    }
    fn remember(&self, host: &Host, full_at: u64) {
        let word = Kept(Rc::new(Cell::new(full_at)));
        self.buckets.borrow_mut().insert(*host, word);
    }
}

fn tables() -> Memory {
    Memory {
        rates: [
            Rate::new(50, 100, SECOND),
            Rate::new(1000, 1000, SECOND),
            Rate::new(5000, 5000, SECOND),
        ],
        ..Memory::default()
    }
}

/// How many of so many are taken in.
fn served(tables: &Memory, source: &str, tries: u32, now: u64) -> u32 {
    let source = Address::from(ip(source));
    (0..tries)
        .filter(|_| admit(tables, 1, &source, true, now).is_ok())
        .count() as u32
}

#[test]
fn a_stranger_has_his_burst_and_another_one_his_own() {
    let tables = tables();
    assert_eq!(served(&tables, "192.0.2.1", 20_000, SECOND), 100);
    assert_eq!(served(&tables, "192.0.2.2", 20_000, SECOND), 100);
    assert_eq!(served(&tables, "192.0.2.1", 20_000, 2 * SECOND), 50);
}

#[test]
fn a_million_sources_leave_the_known_ones_theirs() {
    let mut tables = tables();
    tables.known.push(Source::new(1, &ip("192.0.2.9").into()));
    let strangers = (0..1_000_000_u32)
        .map(|n| Address::from_v4_word(n.to_be() | 10))
        .filter(|source| admit(&tables, 1, source, true, SECOND).is_ok())
        .count();
    assert_eq!(strangers, 1000);
    assert_eq!(tables.buckets.borrow().len(), 1000);
    assert_eq!(served(&tables, "192.0.2.9", 20_000, SECOND), 5000);
}

#[test]
fn a_network_of_ipv6_is_one_source_and_a_known_one_in_it_is_served() {
    let mut tables = tables();
    tables.known.push(Source::new(1, &ip("2001:db8::9").into()));
    assert_eq!(served(&tables, "2001:db8::1", 60, SECOND), 60);
    assert_eq!(served(&tables, "2001:db8::2", 60, SECOND), 40);
    assert_eq!(served(&tables, "2001:db8:0:1::1", 60, SECOND), 60);
    assert_eq!(served(&tables, "2001:db8::9", 60, SECOND), 60);
}

#[test]
fn a_ban_takes_what_costs_a_token_and_what_does_not() {
    let mut tables = tables();
    let source = ip("192.0.2.9");
    tables.banned.push(Source::new(1, &source.into()));
    tables.known.push(Source::new(1, &source.into()));
    for is_metered in [true, false] {
        let fate = admit(&tables, 1, &source.into(), is_metered, SECOND);
        assert_eq!(fate, Err(Shed::Banned));
    }
    assert_eq!(admit(&tables, 2, &source.into(), true, SECOND), Ok(()));
}

#[test]
fn a_segment_of_a_connection_costs_nothing() {
    let tables = tables();
    served(&tables, "192.0.2.1", 200, SECOND);
    let source = ip("192.0.2.1").into();
    assert_eq!(admit(&tables, 1, &source, false, SECOND), Ok(()));
    assert_eq!(admit(&tables, 1, &source, true, SECOND), Err(Shed::Flood));
}

#[test]
fn prefixes_of_one_family_or_network_hold_nothing_of_another() {
    let within = |prefix: &SourcePrefix, source: &Source| {
        let bits = |source: &Source| -> Vec<u8> {
            source
                .words()
                .iter()
                .flat_map(|word| word.to_ne_bytes())
                .collect()
        };
        let (a, b) = (bits(&prefix.source), bits(source));
        (0..prefix.bits as usize).all(|bit| (a[bit / 8] ^ b[bit / 8]) & (0x80 >> (bit % 8)) == 0)
    };
    let source = |network, text: &str| Source::new(network, &ip(text).into());
    let all_v6 = SourcePrefix::new(1, ip("::"), 0);
    assert!(within(&all_v6, &source(1, "2001:db8::1")));
    assert!(!within(&all_v6, &source(1, "192.0.2.1")));
    assert!(!within(&all_v6, &source(2, "2001:db8::1")));
    let all_v4 = SourcePrefix::new(1, ip("0.0.0.0"), 0);
    assert!(within(&all_v4, &source(1, "192.0.2.1")));
    assert!(!within(&all_v4, &source(1, "::1")));
    let some = SourcePrefix::new(1, ip("192.0.2.128"), 25);
    assert_eq!(some.bits, 32 + 96 + 25);
    assert!(within(&some, &source(1, "192.0.2.129")));
    assert!(!within(&some, &source(1, "192.0.2.1")));
    assert_eq!(SourcePrefix::new(1, ip("192.0.2.1"), 77).bits, 160);
}

fn frame(
    from: &str,
    to: &str,
    build: impl FnOnce(etherparse::PacketBuilderStep<etherparse::IpHeaders>, u16, u16) -> Vec<u8>,
) -> Vec<u8> {
    let [from, to] = [from, to].map(|at| at.parse::<SocketAddr>().unwrap());
    let link = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 1]);
    let step = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => link.ipv4(from.octets(), to.octets(), 64),
        (IpAddr::V6(from), IpAddr::V6(to)) => link.ipv6(from.octets(), to.octets(), 64),
        _ => unreachable!("one family"),
    };
    build(step, from.port(), to.port())
}

fn udp(from: &str, to: &str) -> Vec<u8> {
    frame(from, to, |step, from, to| {
        let mut frame = Vec::new();
        step.udp(from, to).write(&mut frame, b"OPTIONS").unwrap();
        frame
    })
}

fn tcp(from: &str, to: &str, syn: bool, ack: bool) -> Vec<u8> {
    frame(from, to, |step, from, to| {
        let mut step = step.tcp(from, to, 1, 1024);
        if syn {
            step = step.syn();
        }
        if ack {
            step = step.ack(1);
        }
        let mut frame = Vec::new();
        step.write(&mut frame, b"").unwrap();
        frame
    })
}

/// Who, where to, and whether it costs a token.
type Found = Option<(Address, SipKey, bool)>;

fn found(frame: &[u8]) -> Found {
    let knock = Knock::of(frame)?;
    Some((knock.source, knock.to, knock.is_metered(frame)))
}

fn knock(source: &str, to: &str, protocol: u8, is_metered: bool) -> Found {
    let [source, to] = [source, to].map(|at| at.parse::<SocketAddr>().unwrap());
    let to = SipKey::new(to.ip().into(), Port::new(to.port()), protocol);
    Some((source.ip().into(), to, is_metered))
}

const THEIRS: &str = "192.0.2.1:4000";
const OURS: &str = "10.0.0.1:5060";
const THEIRS6: &str = "[2001:db8::1]:4000";
const OURS6: &str = "[fd00::1]:5060";

#[test]
fn datagrams_and_segments_are_found() {
    for (from, to) in [(THEIRS, OURS), (THEIRS6, OURS6)] {
        assert_eq!(found(udp(from, to).as_slice()), knock(from, to, UDP, true));
        for (syn, ack, is_metered) in [
            (true, false, true),
            (true, true, false),
            (false, true, false),
        ] {
            let frame = tcp(from, to, syn, ack);
            assert_eq!(found(frame.as_slice()), knock(from, to, TCP, is_metered));
        }
        let mut tagged = udp(from, to);
        tagged.splice(12..12, [0x81, 0, 0, 42]);
        assert_eq!(found(tagged.as_slice()), knock(from, to, UDP, true));
    }
}

#[test]
fn options_fragments_and_extensions_hide_nothing() {
    let mut options = udp(THEIRS, OURS);
    options.splice(34..34, [1, 1, 1, 0]);
    options[14] = 0x46;
    assert_eq!(found(options.as_slice()), knock(THEIRS, OURS, UDP, true));
    let mut first = udp(THEIRS, OURS);
    first[20] = 0x20;
    assert_eq!(found(first.as_slice()), knock(THEIRS, OURS, UDP, true));
    let mut later = udp(THEIRS, OURS);
    later[21] = 0x10;
    assert_eq!(found(later.as_slice()), None);

    let mut extended = udp(THEIRS6, OURS6);
    extended.splice(54..54, [17, 0, 1, 4, 0, 0, 0, 0]);
    extended.splice(54..54, [44, 0, 1, 4, 0, 0, 0, 0]);
    extended[20] = 0;
    // A fragment header as the second of three.
    extended.splice(62..62, [60, 0, 0, 1, 0, 0, 0, 9]);
    assert_eq!(found(extended.as_slice()), knock(THEIRS6, OURS6, UDP, true));
    extended[65] = 9;
    assert_eq!(found(extended.as_slice()), None);
}

#[test]
fn what_is_cut_off_is_none() {
    for whole in [
        udp(THEIRS, OURS),
        tcp(THEIRS, OURS, true, false),
        udp(THEIRS6, OURS6),
    ] {
        for length in 0..whole.len() {
            // Whatever it is taken for: not a panic.
            let _ = found(&whole[..length]);
        }
        assert_eq!(found(&whole[..33]), None);
    }
}
