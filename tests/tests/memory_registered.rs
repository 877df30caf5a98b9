//! What accounts and registered phones take in memory, each: the engine alone, on a virtual clock, below an allocator that counts.
//!
//! One test in a program of its own: what another test allocates would be counted too.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::alloc::System;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sbc::config::{Config, NetworkId, NoSecrets};
use sbc::engine::{Action, Engine, Input};
use sbc::sip::{Message, Name, Transport, digest};
use sbc::transaction::Hop;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// A quarter of 50,000: tables that double are as full with these as with those.
const PHONES: usize = 12_500;
/// From one REGISTER to the next.
const PACE: Duration = Duration::from_micros(600);
/// Bytes of an account in the config, and with what the engine has of it while nobody is registered.
const ACCOUNT: usize = 350;
/// Bytes of a registered phone, above its account: while nonces and transactions of all are remembered, and when these are over. A few per cent more
/// than it is.
const FRESH: usize = 1_450;
const RESTED: usize = 600;
/// The same of one behind a proxy, which names its device.
const PROXIED: usize = 705;
/// Of one that is not registered any more: tables keep their length for the next.
const LEFT: usize = 140;

const HEAD: &str = r#"
[sbc]
name = "memory"
state_dir = "/tmp/sbc-memory"
admin = "127.0.0.1:9960"

[network.left]
address = ["10.71.1.1"]
sip = ["udp:5060"]

[[route]]
from = "phone:*"
to = "phone:{number}"
"#;

#[test]
fn accounts_and_registered_phones_are_small() {
    let mut text = HEAD.to_owned();
    for number in 0..PHONES {
        let _ = writeln!(
            text,
            "[phone.{}]\npassword = \"{}\"",
            name(number),
            password(number)
        );
    }
    let before = live();
    let config = Config::parse(&text, "memory.toml", &NoSecrets).unwrap();
    let now = Instant::now();
    let engine = Engine::new(Arc::new(config), [7; 32], now);
    let mut bench = Bench { engine, now };
    let account = (live() - before) / PHONES;
    println!("an account: {account} bytes");

    let start = live();
    let each = |from: usize| (live() - from) / PHONES;
    for number in 0..PHONES {
        bench.register(number, 1, "");
    }
    let fresh = each(start);
    bench.pass(Duration::from_secs(400));
    let rested = each(start);
    println!("a registered phone: {fresh} bytes, later {rested}");
    // Refreshed it takes no more.
    for number in 0..PHONES {
        bench.register(number, 3, "");
    }
    bench.pass(Duration::from_secs(400));
    let refreshed = each(start);
    // Expired, all of them.
    bench.pass(Duration::from_secs(4000));
    let left = each(start);
    println!("refreshed: {refreshed} bytes; expired: {left}");

    let start = live();
    let proxied = "Path: <sip:10.71.1.9:5060;lr;ob>\r\nSupported: path, gruu\r\n";
    for number in 0..PHONES {
        bench.register(number, 7, proxied);
    }
    bench.pass(Duration::from_secs(400));
    let proxied = each(start) + left;
    println!("behind a proxy: {proxied} bytes");

    assert!(account <= ACCOUNT, "{account} bytes an account");
    assert!(
        fresh <= FRESH,
        "{fresh} bytes a phone that has just registered"
    );
    assert!(rested <= RESTED, "{rested} bytes a registered phone");
    assert!(
        refreshed <= rested + 16,
        "{refreshed} bytes once refreshed, {rested} before"
    );
    assert!(
        left <= LEFT,
        "{left} bytes a phone that is not registered any more"
    );
    assert!(proxied <= PROXIED, "{proxied} bytes a phone behind a proxy");
}

struct Bench {
    engine: Engine,
    now: Instant,
}

impl Bench {
    /// A phone behind a NAT of its own, which is asked for its password.
    fn register(&mut self, number: usize, cseq: u32, more: &str) {
        self.pass(PACE);
        let challenge = self.ask(number, cseq, more);
        assert_eq!(challenge.code(), Some(401));
        let offer = challenge.header(Name::WwwAuthenticate).unwrap();
        let (name, password) = (name(number), password(number));
        let uri = "sip:10.71.1.1";
        let value = digest::answer(offer, &name, &password, "REGISTER", uri, "c0ffee").unwrap();
        let answer = self.ask(
            number,
            cseq + 1,
            &format!("{more}Authorization: {value}\r\n"),
        );
        assert_eq!(answer.code(), Some(200));
    }

    fn ask(&mut self, number: usize, cseq: u32, more: &str) -> Message {
        let name = name(number);
        let instance = match more.contains("Path") {
            true => format!(";+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-{number:012x}>\""),
            false => String::new(),
        };
        let text = format!(
            "REGISTER sip:10.71.1.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.23:5060;branch=z9hG4bK{number:06}{cseq:04};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{name}@10.71.1.1>;tag={number:010}\r\nTo: <sip:{name}@10.71.1.1>\r\n\
             Call-ID: {number:08}-4c7b-9f6a-1f1a20c0ffee\r\nCSeq: {cseq} REGISTER\r\n\
             Contact: <sip:{name}@192.168.1.23:5060;ob>{instance};expires=3600\r\n{more}Content-Length: 0\r\n\r\n"
        );
        let remote = SocketAddr::from(([198, 18, (number >> 8) as u8, number as u8], 40_000));
        let hop = Hop {
            network: NetworkId(0),
            transport: Transport::Udp,
            local: "10.71.1.1:5060".parse().unwrap(),
            remote,
            connection: None,
        };
        let bytes = Bytes::from(text);
        self.engine
            .handle_input(self.now, Input::Message { hop, bytes });
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1);
        Message::parse(sent.remove(0), &Default::default()).unwrap()
    }

    /// Does what is to be done; returns what was sent.
    fn sent(&mut self) -> Vec<Bytes> {
        let mut sent = Vec::new();
        while let Some(action) = self.engine.poll_action() {
            if let Action::Send { bytes, .. } = action {
                sent.push(bytes);
            }
        }
        while self.engine.poll_event().is_some() {}
        while self.engine.poll_shed().is_some() {}
        while self.engine.poll_event().is_some() {}
        while self.engine.poll_registrations(self.now).is_some() {}
        sent
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.engine.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.engine.handle_timeout(self.now);
            self.sent();
        }
        self.now = end;
    }
}

fn name(number: usize) -> String {
    format!("{}", 10_000 + number)
}

/// As long as those that are made up.
fn password(number: usize) -> String {
    format!("p{number:015}")
}

/// Bytes that are allocated now.
fn live() -> usize {
    let stats = ALLOCATOR.stats();
    // What a reallocation adds or takes away is in these too.
    stats.bytes_allocated - stats.bytes_deallocated
}
