//! Whatever strangers send, a page has no more series than the config and our own words give.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;

use super::*;
use crate::engine::{Engine, Input};
use crate::media::PortCommand;
use crate::transaction::Hop;

/// Messages of a storm: far more than there may be series.
const MESSAGES: usize = 6_000;
/// In all that is made up, and in nothing else.
const MARK: &str = "zq";
/// More methods than we know by name, and more reasons for a network than we have words.
const METHODS: usize = 16;
const REASONS: usize = 80;
const CLASSES: usize = 7;

/// Numbers out of a seed (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }

    /// One that nobody has had yet.
    fn name(&mut self) -> String {
        format!("{MARK}{:x}", self.below(1 << 40))
    }

    fn method(&mut self) -> String {
        match self.below(3) {
            0 => self
                .of(&[
                    "INVITE", "ACK", "BYE", "CANCEL", "REGISTER", "OPTIONS", "MESSAGE", "NOTIFY",
                    "PRACK",
                ])
                .to_owned(),
            _ => self.name().to_uppercase(),
        }
    }

    fn start(&mut self) -> (String, String) {
        let method = self.method();
        let start = match self.below(3) {
            0 => format!("SIP/2.0 {} {}", 90 + self.below(700), self.name()),
            1 => format!("{method} sip:{}@127.0.0.1 SIP/2.0", self.name()),
            _ => format!("{method} {}:{} SIP/2.0", self.name(), self.name()),
        };
        // Sometimes another one in CSeq.
        let said = match self.below(8) {
            0 => self.method(),
            _ => method,
        };
        (start, said)
    }

    fn message(&mut self) -> Vec<u8> {
        let (start, method) = self.start();
        let [from, to, call, branch, header] = [(); 5].map(|()| self.name());
        let transport = self.of(&["UDP", "TCP", "zqP"]);
        let mut text = format!(
            "{start}\r\nVia: SIP/2.0/{transport} 127.0.0.3:5060;branch=z9hG4bK{branch}\r\nMax-Forwards: 70\r\n\
             From: <sip:{from}@127.0.0.3>;tag={from}\r\nTo: <sip:{to}@127.0.0.1>\r\nCall-ID: {call}\r\n\
             CSeq: 1 {method}\r\nContact: <sip:{from}@127.0.0.3>\r\n{header}: {header}\r\nContent-Length: 0\r\n\r\n"
        )
        .into_bytes();
        // What is not understood is told by the reason.
        if self.below(4) == 0 {
            let at = self.below(text.len());
            match self.below(2) {
                0 => text.truncate(at),
                _ => text[at] = self.below(256) as u8,
            }
        }
        text
    }
}

fn storm(engine: &mut Engine, now: Instant, dice: &mut Dice) {
    for _ in 0..MESSAGES {
        let remote = ["127.0.0.3:5060", "127.0.0.9:5060"][dice.below(2)];
        let (network, transport, local) = match dice.below(3) {
            0 => (0, Transport::Udp, "127.0.0.1:5060"),
            1 => (0, Transport::Tcp, "127.0.0.1:5060"),
            _ => (1, Transport::Udp, "127.0.0.2:5060"),
        };
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let hop = Hop {
            network: NetworkId(network),
            transport,
            local: at(local),
            remote: at(remote),
            connection: None,
        };
        let bytes = Bytes::from(dice.message());
        engine.handle_input(now, Input::Message { hop, bytes });
        while let Some(command) = engine.poll_ports() {
            if let PortCommand::Hold(reserve) = command {
                let is_taken = false;
                engine.handle_input(now, Input::PortsFound { reserve, is_taken });
            }
        }
        while engine.poll_action().is_some() {}
        while engine.poll_event().is_some() || engine.poll_shed().is_some() {}
    }
}

#[test]
fn strangers_make_no_series() {
    let config = Arc::new(Config::parse(TWO_SIDES, "test.toml", &NoSecrets).unwrap());
    let now = Instant::now();
    let mut engine = Engine::new(config, [7; 32], now);
    let names = |engine: &Engine| -> BTreeSet<String> {
        let stats = engine.stats(now);
        let page = page(|reading| reading.engine = stats);
        series(&page).into_keys().map(str::to_owned).collect()
    };
    let before = names(&engine);
    let networks = 2;
    let listeners = 3;
    let more = 2 * listeners * METHODS * CLASSES + networks * REASONS;
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for _ in 0..2 {
        storm(&mut engine, now, &mut dice);
        let after = names(&engine);
        assert!(before.is_subset(&after), "a series is gone");
        let strange: Vec<_> = after
            .iter()
            .filter(|name| name.to_lowercase().contains(MARK))
            .collect();
        assert!(strange.is_empty(), "{strange:?}");
        assert!(
            after.len() <= before.len() + more,
            "{} series, where there were {}",
            after.len(),
            before.len()
        );
    }
    let odd = r#"sbc_sip_messages_total{network="left",transport="udp",direction="in",method="OTHER",class="request"}"#;
    let stats = engine.stats(now);
    let page = page(|reading| reading.engine = stats);
    assert!(series(&page)[odd] > 100.0, "the storm has gone by");
    assert!(MESSAGES > more);
}
