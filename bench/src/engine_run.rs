//! Calls straight through the engine, without sockets and on a virtual clock: what the deciding costs, and what is left of very many.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use bytes::Bytes;
use sbc::config::{Config, NetworkId, NoSecrets, Trace};
use sbc::engine::{Action, Engine, Input};
use sbc::io::cdr::Cdr;
use sbc::media::{FlowCommand, FlowReport, NetworkPath, Transcoding, XdpMode};
use sbc::sip::Transport;
use sbc::transaction::Hop;
use sbc_tests::e2e::{CARRIER, EDGE_LEFT, EDGE_RIGHT, FastPath, PHONE, lab_config, resident_bytes};

use crate::agent::{field, response, sdp};
use crate::between::{MEDIA_PORTS, SIP};
use crate::cpu_time;
use crate::media_lab::{MEDIA_PORT, at};

/// From one call to the next: 500 a second.
const PACE: Duration = Duration::from_millis(2);
/// Calls that are up at a time.
const UP: usize = 100;
/// Longer than any transaction lasts, or a port rests.
const REST: Duration = Duration::from_secs(100);

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Ran {
    /// CPU seconds of the engine per 1,000 calls, those of caller and callee not counted.
    pub cpu_per_thousand: f64,
    /// Calls, transactions, dialogs and flows that are still there.
    pub alive: u64,
    /// Media ports that are not free again.
    pub ports: u64,
    /// Resident bytes of this process after the first tenth.
    pub early: u64,
    /// At the end.
    pub late: u64,
}

/// So many calls of INVITE 180 200 ACK BYE 200, up for a fifth of a second each.
///
/// # Errors
/// A call does not go that way, or one is not over at the end.
pub fn run(calls: u32) -> Result<Ran> {
    run_in(Stage::new()?, calls)
}

/// The same, with a record of each call handed to `records`, which costs the engine's thread so much more.
///
/// # Errors
/// As [`run`].
pub fn run_recorded(calls: u32, records: Cdr) -> Result<Ran> {
    let mut stage = Stage::new()?;
    stage.engine = stage.engine.recording(1);
    stage.records = Some(records);
    run_in(stage, calls)
}

/// The same, with a trace of each call, as the usual config has it.
///
/// # Errors
/// As [`run`].
pub fn run_traced(calls: u32) -> Result<Ran> {
    let mut stage = Stage::new()?;
    stage.engine = stage.engine.keeping_traces(stage.now, Trace::default());
    run_in(stage, calls)
}

fn run_in(mut stage: Stage, calls: u32) -> Result<Ran> {
    let free = stage.free_ports();
    let process = std::process::id();
    let mut early = 0;
    let mut up = VecDeque::new();
    for number in 0..calls {
        stage.pass(PACE)?;
        up.push_back(stage.set_up(number)?);
        if up.len() > UP {
            let call = up.pop_front().context("there is one")?;
            stage.hang_up(&call)?;
        }
        if number == calls / 10 {
            early = resident_bytes(process)?;
        }
    }
    for call in &up {
        stage.hang_up(call)?;
    }
    stage.pass(REST)?;
    let stats = stage.engine.stats(stage.now);
    let answered: u64 = stats.calls_total.values().sum();
    ensure!(
        answered == u64::from(calls),
        "{answered} of {calls} calls were answered and ended"
    );
    let alive = [
        stats.calls.values().sum(),
        stats.transactions,
        stats.dialogs,
        stats.flows.values().sum(),
    ];
    Ok(Ran {
        cpu_per_thousand: stage.used.as_secs_f64() * 1000.0 / f64::from(calls.max(1)),
        alive: alive.iter().sum(),
        ports: free.saturating_sub(stage.free_ports()),
        early,
        late: resident_bytes(process)?,
    })
}

struct Stage {
    engine: Engine,
    now: Instant,
    used: Duration,
    records: Option<Cdr>,
    /// What the engine has sent and nobody has looked at yet.
    sent: Vec<Bytes>,
}

/// A call that is up, as its caller knows it.
struct Up {
    number: u32,
    to: String,
    contact: String,
}

impl Stage {
    fn new() -> Result<Stage> {
        let text = lab_config(FastPath::Native, Path::new("/nowhere"));
        let text = text.replace("20000-29999", MEDIA_PORTS);
        let config = Config::parse(&text, "lab.toml", &NoSecrets);
        let config = config.map_err(|errors| anyhow!("the lab's config: {errors}"))?;
        let now = Instant::now();
        let mut stage = Stage {
            engine: Engine::new(Arc::new(config), [7; 32], now).transcoding(Transcoding::On),
            now,
            used: Duration::ZERO,
            records: None,
            sent: Vec::new(),
        };
        let path = NetworkPath::Kernel {
            mode: XdpMode::Native,
        };
        for network in [NetworkId(0), NetworkId(1)] {
            stage.input(Input::NetworkPath { network, path })?;
        }
        Ok(stage)
    }

    fn free_ports(&mut self) -> u64 {
        self.engine.stats(self.now).media_ports_free.values().sum()
    }

    fn set_up(&mut self, number: u32) -> Result<Up> {
        self.receive(0, &invite(number))?;
        let invite = self.take("INVITE ")?;
        self.receive(1, &response(&invite, "180 Ringing", at(CARRIER, SIP), ""))?;
        let answer = sdp(at(CARRIER, MEDIA_PORT));
        self.receive(1, &response(&invite, "200 OK", at(CARRIER, SIP), &answer))?;
        let ok = self.take("SIP/2.0 200 ")?;
        let head = |name| field(&ok, name).with_context(|| format!("a 200 without {name}"));
        let up = Up {
            number,
            to: head("To")?.to_owned(),
            contact: head("Contact")?.trim_matches(['<', '>']).to_owned(),
        };
        self.receive(0, &up.request("ACK", 1))?;
        self.sent.clear();
        Ok(up)
    }

    fn hang_up(&mut self, call: &Up) -> Result<()> {
        self.receive(0, &call.request("BYE", 2))?;
        let bye = self.take("BYE ")?;
        self.receive(1, &response(&bye, "200 OK", at(CARRIER, SIP), ""))?;
        self.sent.clear();
        Ok(())
    }

    fn take(&mut self, start: &str) -> Result<String> {
        let found = self
            .sent
            .iter()
            .find(|bytes| bytes.starts_with(start.as_bytes()));
        let found = found.with_context(|| format!("the engine sends no {start}"))?;
        let text = String::from_utf8(found.to_vec())?;
        self.sent.clear();
        Ok(text)
    }

    fn receive(&mut self, network: u16, text: &str) -> Result<()> {
        let (ours, peer) = match network {
            0 => (EDGE_LEFT, PHONE),
            _ => (EDGE_RIGHT, CARRIER),
        };
        let hop = Hop {
            network: NetworkId(network),
            transport: Transport::Udp,
            local: at(ours, SIP),
            remote: SocketAddr::from((peer, SIP)),
            connection: None,
        };
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        self.input(Input::Message { hop, bytes })
    }

    fn input(&mut self, input: Input) -> Result<()> {
        let before = cpu_time::mine()?;
        self.engine.handle_input(self.now, input);
        self.perform();
        self.used += cpu_time::mine()?.saturating_sub(before);
        Ok(())
    }

    /// Everything succeeds at once, as it does with the kernel path.
    fn perform(&mut self) {
        loop {
            while let Some(command) = self.engine.poll_ports() {
                if let sbc::media::PortCommand::Hold(reserve) = command {
                    let is_taken = false;
                    let input = Input::PortsFound { reserve, is_taken };
                    self.engine.handle_input(self.now, input);
                }
            }
            while self.engine.poll_event().is_some() || self.engine.poll_shed().is_some() {}
            if let Some(records) = &self.records {
                std::iter::from_fn(|| self.engine.poll_record()).for_each(|one| records.put(one));
            }
            match self.engine.poll_action() {
                Some(Action::Send { bytes, .. }) => self.sent.push(bytes),
                Some(Action::Flow(FlowCommand::Remove(pair))) => {
                    let report = FlowReport::default();
                    let input = Input::FlowEnded { pair, report };
                    self.engine.handle_input(self.now, input);
                }
                Some(_) => {}
                None => return,
            }
        }
    }

    fn pass(&mut self, time: Duration) -> Result<()> {
        let end = self.now + time;
        let before = cpu_time::mine()?;
        while let Some(at) = self.engine.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.engine.handle_timeout(self.now);
            self.perform();
        }
        self.used += cpu_time::mine()?.saturating_sub(before);
        self.now = end;
        Ok(())
    }
}

impl Up {
    fn request(&self, method: &str, sequence: u32) -> String {
        let (number, to) = (self.number, &self.to);
        format!(
            "{method} {} SIP/2.0\r\nVia: SIP/2.0/UDP {PHONE}:{SIP};branch=z9hG4bK{method}{number}\r\nMax-Forwards: 70\r\n\
             From: <sip:load@{PHONE}>;tag=c{number}\r\nTo: {to}\r\nCall-ID: {number}@{PHONE}\r\n\
             CSeq: {sequence} {method}\r\nContent-Length: 0\r\n\r\n",
            self.contact
        )
    }
}

fn invite(number: u32) -> String {
    let body = sdp(at(PHONE, MEDIA_PORT));
    format!(
        "INVITE sip:15551234567@{EDGE_LEFT} SIP/2.0\r\nVia: SIP/2.0/UDP {PHONE}:{SIP};branch=z9hG4bKi{number}\r\nMax-Forwards: 70\r\n\
         From: <sip:load@{PHONE}>;tag=c{number}\r\nTo: <sip:15551234567@{EDGE_LEFT}>\r\nCall-ID: {number}@{PHONE}\r\n\
         CSeq: 1 INVITE\r\nContact: <sip:load@{PHONE}:{SIP}>\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_leave_nothing() {
        let ran = run(300).unwrap();
        assert_eq!((ran.alive, ran.ports), (0, 0));
        assert!(ran.cpu_per_thousand > 0.0);
    }
}
