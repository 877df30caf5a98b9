//! The shells around the engine: flows, ports, connections, and what they have to report.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use sbc::config::NetworkId;
use sbc::engine::{FlowFailure, Input};
use sbc::media::{
    Fallback, FlowCommand, FlowCount, FlowKind, FlowPair, FlowReport, NetworkPath, PairId, Path,
    XdpMode,
};

use super::step::Reader;

/// More flow pairs than all ports together allow.
const MAX_PAIRS: usize = 200;

#[derive(Default)]
pub(super) struct Shells {
    pairs: BTreeMap<PairId, FlowPair>,
    /// Names are used once.
    used: BTreeSet<PairId>,
    /// Packets that came in on each side of every pair.
    packets: u64,
    talks: bool,
    /// Reports come late.
    slow: bool,
    late: Vec<Input>,
    /// Someone else has the ports that are asked for.
    pub(super) taken: bool,
}

impl Shells {
    pub(super) fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    pub(super) fn pairs(&self) -> u64 {
        self.used.len() as u64
    }

    /// Does what is ordered; what there is to say about it at once.
    pub(super) fn order(&mut self, command: FlowCommand) -> Result<Option<Input>> {
        match command {
            FlowCommand::Install(pair) => {
                let again = self.used.insert(pair.id);
                // One that the kernel has refused may be tried in user space.
                ensure!(
                    again || matches!(pair.path, Path::User(_)),
                    "{:?} is used twice",
                    pair.id
                );
                self.is_possible(&pair)?;
                ensure!(
                    self.pairs
                        .insert(pair.id, Arc::unwrap_or_clone(pair))
                        .is_none(),
                    "it is installed already"
                );
                ensure!(self.pairs.len() <= MAX_PAIRS, "flows have no bound");
                Ok(None)
            }
            FlowCommand::Update(pair) => {
                let Some(old) = self.pairs.remove(&pair.id) else {
                    bail!("an update of {:?}, which is not installed", pair.id);
                };
                let locals = |pair: &FlowPair| pair.sides.each_ref().map(|side| side.local);
                // As the interface of the shells has it.
                ensure!(
                    locals(&old) == locals(&pair) && old.path == pair.path && old.kind == pair.kind,
                    "an update changes what it may not: {old:?} to {pair:?}"
                );
                self.is_possible(&pair)?;
                self.pairs.insert(pair.id, Arc::unwrap_or_clone(pair));
                Ok(None)
            }
            FlowCommand::Read(pair) => {
                ensure!(self.pairs.contains_key(&pair), "a read of no flow");
                let report = self.report(true);
                Ok(self.later(Input::FlowRead { pair, report }))
            }
            FlowCommand::Key(pair, to, _) => {
                let known = self.pairs.get(&pair);
                let side = known.and_then(|known| known.sides.get(to));
                ensure!(
                    side.is_some_and(|side| side.voice.is_some()),
                    "a key that nobody sends"
                );
                Ok(None)
            }
            FlowCommand::Remove(pair) => {
                ensure!(self.pairs.remove(&pair).is_some(), "a removal of no flow");
                let report = self.report(false);
                Ok(self.later(Input::FlowEnded { pair, report }))
            }
        }
    }

    /// Nobody else has its ports.
    fn is_possible(&self, new: &FlowPair) -> Result<()> {
        let [a, b] = &new.sides;
        ensure!(
            a.local != b.local || a.network != b.network,
            "a flow to itself"
        );
        for (own, side) in new.sides.iter().enumerate() {
            let range = 20_000..=20_039_u16;
            let is_ours = side
                .local
                .ip()
                .to_string()
                .starts_with(["10.71.1.", "10.71.2."][usize::from(side.network.0)]);
            ensure!(
                is_ours && range.contains(&side.local.port()),
                "{} is no port for media",
                side.local
            );
            // Media from one port of ours to another would go round.
            let to = side.named.map(|named| named.ip().to_string());
            let is_own = |ip: String| ip.starts_with("10.71.1.1") || ip.starts_with("10.71.2.1");
            ensure!(!to.is_some_and(is_own), "media goes to ourselves");
            for old in self.pairs.values().filter(|old| old.id != new.id) {
                let is_pair = new.companion == Some(old.id) || old.companion == Some(new.id);
                let other = old
                    .sides
                    .iter()
                    .position(|o| o.network == side.network && o.local == side.local);
                let is_shared = is_pair && other == Some(own) && side.multiplexed;
                ensure!(
                    other.is_none() || is_shared,
                    "{} is used twice: {old:?} and {new:?}",
                    side.local
                );
            }
            ensure!(
                new.kind != FlowKind::Rtp || side.local.port().is_multiple_of(2),
                "RTP on an odd port"
            );
        }
        Ok(())
    }

    fn later(&mut self, input: Input) -> Option<Input> {
        match self.slow {
            true => {
                self.late.push(input);
                None
            }
            false => Some(input),
        }
    }

    fn report(&mut self, runs: bool) -> FlowReport {
        self.packets += u64::from(self.talks);
        let count = FlowCount {
            packets: self.packets,
            bytes: self.packets * 160,
            silent: (runs && self.packets > 0).then_some(match self.talks {
                true => Duration::ZERO,
                false => Duration::from_secs(600),
            }),
            ..FlowCount::default()
        };
        FlowReport {
            sides: [count, count],
        }
    }

    /// Everything that was held back.
    pub(super) fn release(&mut self) -> Vec<Input> {
        self.slow = false;
        std::mem::take(&mut self.late)
    }

    /// What goes wrong with a flow, or how it goes on.
    pub(super) fn reports(&mut self, what: u8, step: &mut Reader<'_>) -> Vec<Input> {
        let index = usize::from(step.byte()) % self.pairs.len().max(1);
        let pair = self.pairs.keys().nth(index).copied();
        let failure = match step.byte() % 5 {
            0 => FlowFailure::PortTaken,
            1 => FlowFailure::Overloaded,
            2 => FlowFailure::Kernel(Fallback::Route),
            3 => FlowFailure::Kernel(Fallback::Full),
            _ => FlowFailure::Kernel(Fallback::Interface),
        };
        match (what, pair) {
            (0, Some(pair)) => {
                self.pairs.remove(&pair);
                vec![Input::FlowFailed { pair, failure }]
            }
            (1, Some(pair)) => {
                self.pairs.remove(&pair);
                let report = Some(self.report(false));
                vec![Input::FlowBroken {
                    pair,
                    failure,
                    report,
                }]
            }
            (2, Some(pair)) => {
                self.pairs.remove(&pair);
                let (report, last) = (None, self.report(false));
                let broken = Input::FlowBroken {
                    pair,
                    failure,
                    report,
                };
                let ended = Input::FlowEnded { pair, report: last };
                vec![broken, ended]
            }
            (3, _) => {
                self.talks = !self.talks;
                Vec::new()
            }
            (4, _) if !self.slow => {
                self.slow = true;
                Vec::new()
            }
            (4, _) => self.release(),
            (5, _) => {
                self.taken = !self.taken;
                Vec::new()
            }
            // About what there never was.
            _ => {
                let pair = PairId(u64::from(step.word()));
                let report = FlowReport::default();
                match self.used.contains(&pair) {
                    true => Vec::new(),
                    false => vec![
                        Input::FlowEnded { pair, report },
                        Input::FlowFailed { pair, failure },
                        Input::FlowRead { pair, report },
                    ],
                }
            }
        }
    }
}

/// What a network hears about its way, its addresses, its host.
pub(super) fn of_network(step: &mut Reader<'_>, others: &[SocketAddr]) -> Input {
    let network = NetworkId(u16::from(step.byte() % 2));
    match step.byte() % 6 {
        0 => Input::NetworkPath {
            network,
            path: NetworkPath::Kernel {
                mode: XdpMode::Native,
            },
        },
        1 => Input::NetworkPath {
            network,
            path: NetworkPath::User(Fallback::Unprivileged),
        },
        2 => Input::HostAddresses(others.iter().map(SocketAddr::ip).take(2).collect()),
        3 => Input::HostAddresses(Vec::new()),
        what => {
            let own = 1 + network.0;
            let addresses = [format!("10.71.{own}.1"), format!("10.71.{own}.9")];
            let first = usize::from(what == 5);
            let addresses = addresses
                .iter()
                .skip(first)
                .take(1 + usize::from(step.byte() % 2));
            Input::NetworkAddresses {
                network,
                addresses: addresses.filter_map(|ip| ip.parse().ok()).collect(),
            }
        }
    }
}
