//! What is kept, what gives way, and that it is never more than the budget.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::config::{NetworkId, Trace as Settings};
use crate::engine::CallId;
use crate::routing::Timestamp;
use crate::sip::Transport;
use crate::transaction::Hop;

const HOUR: Duration = Duration::from_secs(3600);

fn settings(memory: usize) -> Settings {
    Settings {
        memory,
        keep: HOUR,
        keep_failed: 24 * HOUR,
    }
}

fn hop(last: u8) -> Hop {
    Hop {
        network: NetworkId(0),
        transport: Transport::Udp,
        local: "10.0.0.1:5060".parse().unwrap(),
        remote: format!("10.0.0.{last}:5060").parse().unwrap(),
        connection: None,
    }
}

fn invite(call_id: &str, body: usize) -> Vec<u8> {
    let body = "x".repeat(body);
    format!(
        "INVITE sip:1@h SIP/2.0\r\nCall-ID: {call_id}\r\nAuthorization: Digest f00\r\n\r\n{body}"
    )
    .into_bytes()
}

struct Bench {
    store: Store,
    start: Instant,
    now: Instant,
}

impl Bench {
    fn new(memory: usize) -> Bench {
        let now = Instant::now();
        let mut bench = Bench {
            store: Store::new(settings(memory), now),
            start: now,
            now,
        };
        bench.pass(Duration::ZERO);
        bench
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        let since = self.now - self.start;
        let wall = Timestamp::from_second(1_800_000_000).unwrap() + since;
        self.store.passes(self.now, wall);
        self.store.expire();
    }

    /// An attempt of so many bytes that becomes a call.
    fn call(&mut self, id: u64, body: usize) {
        let call_id = format!("c{id}");
        self.store
            .message(false, &hop(2), &invite(&call_id, body), true);
        self.store
            .recognised(&call_id, Some(CallId(id)), "phone:a", "1");
        self.pass(Duration::from_secs(1));
    }

    /// One that goes on with another message of so many bytes.
    fn long_call(&mut self, id: u64, body: usize) {
        self.call(id, 10);
        let more = invite(&format!("c{id}"), body);
        self.store.message(true, &hop(2), &more, false);
    }

    fn end(&mut self, id: u64, failed: bool) {
        let outcome = if failed { "failed" } else { "answered" };
        self.store.ended(CallId(id), outcome, Some("why"), failed);
        self.pass(Duration::from_secs(1));
    }

    fn names(&self) -> Vec<String> {
        let all = self.store.before(None);
        all.map(|one| one.name.to_string()).collect()
    }

    /// What is believed to be taken is what is taken.
    fn check(&self) {
        let sum: usize = self.store.traces.iter().map(|(_, t)| t.cost_now()).sum();
        let totals = self.store.totals();
        assert_eq!(sum, totals.bytes);
        assert!(sum <= self.store.settings.memory);
        assert_eq!(totals.traces.iter().sum::<usize>(), self.store.traces.len());
        let known = self.store.traces.iter().map(|(_, t)| t.ids.len());
        assert!(self.store.ids.len() <= known.sum());
        // Nothing leads to a slot that is free, or another one's.
        let slots = self.store.numbers.iter();
        assert!(
            slots
                .clone()
                .all(|(number, slot)| self.store.traces[*slot].number == *number)
        );
        assert_eq!(slots.count(), self.store.traces.len());
        let mut calls = self.store.calls.iter();
        assert!(calls.all(|(call, slot)| self.store.traces[*slot].call == Some(*call)));
        let mut ids = self.store.ids.iter();
        let mut leads = |(key, slot)| {
            self.store.traces[slot]
                .ids
                .iter()
                .any(|(known, _)| *known == key)
        };
        assert!(ids.all(&mut leads));
        assert!(self.store.calls.len() <= self.store.traces.len());
        let blocks = self.store.traces.iter().map(|(_, t)| t.log.blocks());
        assert_eq!(self.store.blocks.used(), blocks.sum::<usize>());
    }
}

#[test]
fn those_that_went_well_give_way_first_and_those_that_go_on_last() {
    let mut bench = Bench::new(40_000);
    for id in 1..=4 {
        bench.long_call(id, 6_000);
    }
    bench.end(2, true);
    bench.end(1, false);
    bench.end(3, false);
    assert_eq!(bench.names(), ["4", "3", "2", "1"]);
    bench.check();
    // Of the good ones the one that ended first.
    bench.long_call(5, 12_000);
    assert_eq!(bench.names(), ["5", "4", "3", "2"]);
    bench.long_call(6, 5_000);
    assert_eq!(bench.names(), ["6", "5", "4", "2"]);
    bench.long_call(7, 5_000);
    assert_eq!(bench.names(), ["7", "6", "5", "4"]);
    assert_eq!(bench.store.totals().omitted, 0);
    bench.check();
    // What goes on loses what follows its first message, and says so; the beginning stays.
    let more = invite("c4", 3_000);
    bench.store.message(true, &hop(2), &more, false);
    bench
        .store
        .message(true, &hop(2), &invite("c7", 3_100), false);
    bench
        .store
        .message(true, &hop(2), &invite("c7", 3_200), false);
    bench
        .store
        .message(true, &hop(2), &invite("c7", 3_300), false);
    bench.check();
    let all: Vec<Summary> = bench.store.before(None).collect();
    assert_eq!(all.len(), 4);
    assert!(all.iter().all(|one| one.entries >= 1));
    let left_out: u64 = all.iter().map(|one| u64::from(one.omitted)).sum();
    assert!(left_out > 0);
    assert_eq!(bench.store.totals().omitted, left_out);
    assert!(all[3].omitted > 0, "{all:?}");
}

#[test]
fn each_is_kept_as_long_as_its_kind() {
    let mut bench = Bench::new(1 << 20);
    bench.call(1, 10);
    bench.call(2, 10);
    bench.call(3, 10);
    bench.end(1, false);
    bench.end(2, true);
    // Refused before it was a call.
    bench.store.message(false, &hop(3), &invite("r", 10), true);
    bench.store.recognised("r", None, "phone:a", "9");
    bench.store.refused("r", "rejected", "no route");
    bench.store.message(false, &hop(4), &invite("s", 10), true);
    assert_eq!(bench.names(), ["r5", "r4", "3", "2", "1"]);
    assert_eq!(bench.store.totals().traces, [1, 1, 1, 2]);
    bench.pass(HOUR);
    assert_eq!(bench.names(), ["r4", "3", "2"]);
    assert_eq!(
        bench.store.poll_timeout().map(|at| at > bench.now),
        Some(true)
    );
    bench.pass(24 * HOUR);
    assert_eq!(bench.names(), ["3"]);
    assert_eq!(bench.store.poll_timeout(), None);
    bench.end(3, false);
    bench.pass(HOUR);
    assert_eq!(bench.store.totals(), Totals::default());
    bench.check();
}

#[test]
fn strangers_push_out_nobody_but_strangers() {
    let mut bench = Bench::new(64_000);
    bench.call(1, 10_000);
    bench.end(1, false);
    for number in 0..100 {
        let call_id = format!("s{number}");
        bench
            .store
            .message(false, &hop(3), &invite(&call_id, 500), true);
        bench
            .store
            .turned_away(&call_id, "1", "nobody that the config knows");
        bench.check();
    }
    let all: Vec<Summary> = bench.store.before(None).collect();
    let (calls, strangers): (Vec<_>, Vec<_>) = all.iter().partition(|one| one.from != "unknown");
    assert_eq!(calls.len(), 1);
    assert!((1..=3).contains(&strangers.len()), "{strangers:?}");
    assert_eq!(
        strangers[0].reason.as_deref(),
        Some("nobody that the config knows")
    );
    assert!(bench.store.used_by_unknown() <= 4_000);
}

#[test]
fn a_copy_is_told_and_not_kept_and_secrets_neither() {
    let mut bench = Bench::new(1 << 20);
    bench.call(1, 1_000);
    let before = bench.store.before(None).next().unwrap().bytes;
    bench
        .store
        .message(false, &hop(2), &invite("c1", 1_000), false);
    // Another way round it is another message.
    bench
        .store
        .message(true, &hop(2), &invite("c1", 1_000), false);
    let summary = bench.store.before(None).next().unwrap();
    assert_eq!(summary.entries, 3);
    assert!((before + 1_000..before + 1_200).contains(&summary.bytes));
    let seen = bench.store.see(summary.number).unwrap();
    let copies = seen.entries().map(|entry| match entry.what {
        What::Message {
            is_sent,
            is_copy,
            bytes,
            ..
        } => {
            let text = std::str::from_utf8(bytes).unwrap();
            assert!(text.contains("Authorization: ***\r\n"), "{text}");
            assert!(!text.contains("f00"));
            (is_sent, is_copy)
        }
        What::Note { .. } => panic!(),
    });
    assert_eq!(
        copies.collect::<Vec<_>>(),
        [(false, false), (false, true), (true, false)]
    );
}

#[test]
fn it_goes_by_its_name_or_by_what_a_call_id_begins_with() {
    let mut bench = Bench::new(1 << 20);
    bench.call(0x1a, 1);
    bench
        .store
        .asks(CallId(0x1a), "leg@b", "trunk:b", hop(9).remote);
    bench.call(2, 1);
    let found = |name: &str| -> Vec<String> {
        let found = bench.store.find(name, 5).into_iter();
        found.map(|one| one.name.to_string()).collect()
    };
    for name in ["1a", "000000000000001a", "c26", "leg@b", "leg"] {
        assert_eq!(found(name), ["1a"], "{name}");
    }
    assert_eq!(found("c"), ["2", "1a"]);
    for name in ["r1", "r", "1b", "x", "ffffffffffffffffff"] {
        assert_eq!(found(name), [""; 0], "{name}");
    }
}

#[test]
fn one_that_is_very_long_says_what_is_left_out() {
    let mut bench = Bench::new(4 << 20);
    bench.call(1, 10);
    for number in 0..100 {
        bench
            .store
            .message(true, &hop(2), &invite("c1", 9_000 + number), false);
    }
    bench.end(1, false);
    let summary = bench.store.before(None).next().unwrap();
    assert!(summary.bytes <= 264 << 10 && summary.bytes > 240 << 10);
    assert!(summary.omitted > 60);
    let seen = bench.store.see(summary.number).unwrap();
    // How it ended is told in any case.
    let last = seen.entries().last().unwrap();
    assert!(matches!(last.what, What::Note { label: "ended", .. }));
    bench.check();
}

#[test]
fn other_settings_hold_at_once() {
    let mut bench = Bench::new(1 << 20);
    for id in 1..=9 {
        bench.call(id, 5_000);
        bench.end(id, false);
    }
    bench.store.set(settings(20_000));
    bench.check();
    assert!((1..=3).contains(&bench.names().len()));
    bench.store.set(settings(0));
    assert_eq!(bench.store.totals().bytes, 0);
    assert_eq!(bench.store.blocks.held(), 0);
    bench.call(10, 1);
    assert_eq!(bench.names(), [""; 0]);
}

impl Store {
    fn used_by_unknown(&self) -> usize {
        let unknown = self
            .traces
            .iter()
            .filter(|(_, t)| t.class == Class::Unknown);
        unknown.map(|(_, t)| t.cost_now()).sum()
    }
}

#[derive(Clone, Debug)]
enum Op {
    Message(u64, bool, usize),
    Recognised(u64),
    Asks(u64, u64),
    Joins(u64, u64),
    Refused(u64),
    Answered(u64),
    Ended(u64, bool),
    Judged(u64, usize),
    Note(u64, usize),
    Pass(u64),
    Memory(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let id = || 0u64..12;
    prop_oneof![
        8 => (id(), any::<bool>(), 0usize..6_000).prop_map(|(id, sent, size)| Op::Message(id, sent, size)),
        4 => id().prop_map(Op::Recognised),
        2 => (id(), 0u64..30).prop_map(|(id, leg)| Op::Asks(id, leg)),
        1 => (id(), id()).prop_map(|(id, call)| Op::Joins(id, call)),
        1 => id().prop_map(Op::Refused),
        1 => id().prop_map(Op::Answered),
        3 => (id(), any::<bool>()).prop_map(|(id, failed)| Op::Ended(id, failed)),
        1 => (id(), 0usize..3_000).prop_map(|(id, size)| Op::Judged(id, size)),
        2 => (id(), 0usize..800).prop_map(|(id, size)| Op::Note(id, size)),
        1 => (0u64..5_000).prop_map(Op::Pass),
        1 => (0usize..60_000).prop_map(Op::Memory),
    ]
}

proptest! {
    #[test]
    fn it_is_never_more_than_the_budget(ops in proptest::collection::vec(op(), 1..150), memory in 2_000usize..60_000) {
        let mut bench = Bench::new(memory);
        for op in ops {
            let store = &mut bench.store;
            match op {
                Op::Message(id, sent, size) => {
                    store.message(sent, &hop(id as u8), &invite(&format!("c{id}"), size), !sent);
                }
                Op::Recognised(id) => store.recognised(&format!("c{id}"), Some(CallId(id)), "phone:a", "1"),
                Op::Asks(id, leg) => store.asks(CallId(id), &format!("leg{leg}"), "trunk:b", hop(leg as u8).remote),
                Op::Joins(id, call) => store.joins(&format!("c{id}"), CallId(call), "phone:b", hop(1).remote),
                Op::Refused(id) => store.refused(&format!("c{id}"), "rejected", "why"),
                Op::Answered(id) => store.answered(CallId(id), "trunk:b"),
                Op::Ended(id, failed) => store.ended(CallId(id), "answered", Some("why"), failed),
                Op::Judged(id, size) => {
                    let text = "v".repeat(size);
                    store.judged(CallId(id), vec![Verdict { hears: "caller", cause: "x", text }]);
                }
                Op::Note(id, size) => store.note_call(CallId(id), "note", "n".repeat(size)),
                Op::Pass(seconds) => bench.pass(Duration::from_secs(seconds)),
                Op::Memory(memory) => store.set(settings(memory)),
            }
            bench.check();
        }
        let numbers: Vec<u64> = bench.store.before(None).map(|one| one.number).collect();
        for number in numbers {
            let seen = bench.store.see(number).unwrap();
            prop_assert_eq!(seen.entries().count(), seen.summary.entries as usize);
            for step in steps(&seen) {
                prop_assert!(step.from <= seen.parties.len() && step.to <= seen.parties.len());
            }
        }
    }

    /// What the wire brings is never trusted to be a message.
    #[test]
    fn any_bytes_may_be_written(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut bench = Bench::new(1 << 20);
        bench.call(1, 1);
        let mut text = b"INFO x SIP/2.0\r\nCall-ID: c1\r\n".to_vec();
        text.extend(&bytes);
        bench.store.message(false, &hop(2), &text, false);
        bench.store.message(false, &hop(2), &bytes, true);
        bench.check();
        let seen = bench.store.see(1).unwrap();
        prop_assert_eq!(steps(&seen).len(), 2);
    }
}
