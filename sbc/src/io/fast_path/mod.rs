//! The fast path: media that is only forwarded, forwarded in the kernel.
//!
//! Loads the XDP program, attaches it to the interfaces that networks live on, and keeps its maps: flows, next hops, media ranges.
//! Part of `io`: imports all, imported by nothing but the wiring. Nothing here blocks but for the kernel's own answers.

mod flows;
mod interfaces;
mod netlink;
mod next_hops;
mod privileges;
mod probe;
mod program;
mod tables;

use std::collections::BTreeMap;

use sbc_ebpf::abi::{Local, MAX_NETWORKS};

pub use probe::{Foreseen, foresee};
pub use program::{HopMap, Program, ProgramFailure};

use self::flows::Flows;
use self::interfaces::{Attached, Interfaces};
use self::netlink::Link;
use self::next_hops::NextHops;
use crate::config::{Config, FastPath as Wanted, Network, NetworkId};
use crate::engine::FlowFailure;
use crate::media::{Fallback, FlowPair, FlowReport, MediaStats, NetworkPath, PairId, XdpMode};

/// The kernel path: owned by whoever performs flow commands. Dropping it detaches and ends every flow.
pub struct FastPath {
    program: Program,
    hops: NextHops,
    flows: Flows,
    /// By interface.
    attached: BTreeMap<u32, Attached>,
    networks: Vec<NetworkId>,
    /// Whether every interface takes what another one's driver redirects to it.
    has_native: bool,
}

/// What came of opening the fast path.
pub struct Opened {
    /// None when no network has it.
    pub fast_path: Option<FastPath>,
    /// How each network's media is forwarded, in the config's order.
    pub paths: Vec<(NetworkId, NetworkPath)>,
    /// For the log, a line each: where the program is attached, and why it is not where it is not.
    pub notes: Vec<String>,
}

impl FastPath {
    /// Finds the networks' interfaces, loads the program and attaches it as the config wants. Whatever is not possible is in
    /// [`Opened::paths`] with its reason, and in [`Opened::notes`] in words.
    #[must_use]
    pub fn open(config: &Config) -> Opened {
        let mut notes = Vec::new();
        let ids = (0_u16..).map(NetworkId);
        let networks: Vec<(NetworkId, &Network)> = ids.zip(&config.networks).collect();
        let is_wanted = |network: &Network| network.fast_path != Wanted::Off;
        let base = if networks.iter().any(|(_, network)| is_wanted(network)) {
            Base::load(ports(config), &mut notes)
        } else {
            Err(Fallback::Off)
        };
        let (mut fast_path, reason) = match base {
            Ok(base) => (Some(base), Fallback::Unsupported),
            Err(reason) => (None, reason),
        };
        if let Some((fast_path, interfaces)) = &mut fast_path {
            let wanted = networks.iter().filter(|(_, network)| is_wanted(network));
            let links = wanted.filter_map(|(_, network)| interfaces.of(network));
            let links: BTreeMap<u32, Link> = links.flatten().collect();
            let why_not = interfaces::no_native(&links);
            fast_path.has_native = why_not.is_none();
            notes.extend(why_not);
        }
        let mut paths = Vec::new();
        for (id, network) in networks {
            let path = match &mut fast_path {
                _ if !is_wanted(network) => Err(Fallback::Off),
                None => Err(reason),
                Some((fast_path, interfaces)) => fast_path.add(interfaces, id, network, &mut notes),
            };
            paths.push((id, path.unwrap_or_else(NetworkPath::User)));
        }
        let fast_path = fast_path.map(|(fast_path, _)| fast_path);
        Opened {
            fast_path: fast_path.filter(|fast_path| !fast_path.networks.is_empty()),
            paths,
            notes,
        }
    }

    /// Begins to forward a pair; one whose path is user space is let through to its socket instead of being dropped.
    ///
    /// # Errors
    /// A table is full; nothing is installed.
    pub fn install(&mut self, pair: &FlowPair) -> Result<(), FlowFailure> {
        self.flows.install(&mut self.program, &self.hops, pair)
    }

    /// What signalling has since named. A side whose sources are others than before learns anew where its packets come from.
    ///
    /// # Errors
    /// A table is full; the pair is as it was.
    pub fn update(&mut self, pair: &FlowPair) -> Result<(), FlowFailure> {
        self.flows.update(&mut self.program, &self.hops, pair)
    }

    /// Ends a pair. None for one that is not forwarded here.
    pub fn remove(&mut self, pair: PairId) -> Option<FlowReport> {
        self.flows.remove(&mut self.program, &self.hops, pair)
    }

    /// What a pair has done so far. None for one that is not forwarded here.
    #[must_use]
    pub fn report(&self, pair: PairId) -> Option<FlowReport> {
        self.flows.report(&self.program, pair)
    }

    /// Totals since the start: one read of the kernel's table for each pair.
    #[must_use]
    pub fn stats(&self) -> MediaStats {
        let mut stats = self.flows.traffic(&self.program);
        for &network in &self.networks {
            let media = stats.networks.entry(network).or_default();
            for reason in sbc_ebpf::Drop::ALL {
                let count = self.program.drops(network.0, reason).unwrap_or(0);
                media.dropped.insert(reason.label(), count);
            }
        }
        stats
    }

    /// How often the program has run, where the kernel counts that (`sysctl kernel.bpf_stats_enabled=1`); 0 where it does not.
    #[must_use]
    pub fn run_count(&mut self) -> u64 {
        self.program.run_count().unwrap_or(0)
    }

    /// Brings one network onto the fast path.
    fn add(
        &mut self,
        interfaces: &mut Interfaces,
        id: NetworkId,
        network: &Network,
        notes: &mut Vec<String>,
    ) -> Result<NetworkPath, Fallback> {
        let name = &network.name;
        if id.index() >= MAX_NETWORKS {
            notes.push(format!(
                "network {name}: the kernel path knows {MAX_NETWORKS} networks"
            ));
            return Err(Fallback::Full);
        }
        let Some(links) = interfaces.of(network) else {
            notes.push(format!(
                "network {name}: an address is on no Ethernet interface"
            ));
            return Err(Fallback::Interface);
        };
        let wanted = network.fast_path;
        let mut attached = BTreeMap::new();
        let mut mode = XdpMode::Native;
        for (index, link) in links {
            let found = match self.attached.get(&index) {
                Some(other) => other.mode,
                None => {
                    let one = interfaces::attach(
                        &mut self.program,
                        index,
                        &link,
                        wanted,
                        self.has_native,
                        notes,
                    )?;
                    attached.entry(index).or_insert(one).mode
                }
            };
            match (found, wanted) {
                (XdpMode::Native, Wanted::Generic) | (XdpMode::Generic, Wanted::Native) => {
                    notes.push(format!(
                        "network {name}: {} is shared with a network that has it in the other mode",
                        link.name
                    ));
                    return Err(Fallback::Unsupported);
                }
                (XdpMode::Generic, _) => mode = XdpMode::Generic,
                (XdpMode::Native, _) => {}
            }
        }
        self.guard(id, network).map_err(|failure| {
            notes.push(format!("network {name}: {failure}"));
            Fallback::Full
        })?;
        for one in attached.values() {
            notes.push(format!(
                "XDP program attached to {}, {} mode",
                one.name,
                interfaces::label(one.mode)
            ));
        }
        self.attached.append(&mut attached);
        self.networks.push(id);
        Ok(NetworkPath::Kernel { mode })
    }

    /// From now on nothing passes to the network's media ports but what belongs to a flow.
    fn guard(&mut self, id: NetworkId, network: &Network) -> Result<(), ProgramFailure> {
        let ports = &network.media_ports;
        for &ip in &network.addresses {
            let Some(base) = self.flows.places().add(ip, ports) else {
                return Err(ProgramFailure::Object("room for so many media ports"));
            };
            self.program.put_local(Local {
                address: ip.into(),
                low: *ports.start(),
                count: u16::try_from(ports.len()).unwrap_or(u16::MAX),
                network: id.0,
                base,
                ..Local::default()
            })?;
        }
        Ok(())
    }
}

/// Media ports of all addresses of the networks that want the kernel to forward.
fn ports(config: &Config) -> u32 {
    let wanted = config.networks.iter();
    let wanted = wanted.filter(|network| network.fast_path != Wanted::Off);
    let ports = wanted.map(|network| network.addresses.len() * network.media_ports.len());
    u32::try_from(ports.sum::<usize>()).unwrap_or(u32::MAX)
}

/// A fast path without networks.
struct Base;

impl Base {
    fn load(ports: u32, notes: &mut Vec<String>) -> Result<(FastPath, Interfaces), Fallback> {
        let missing = privileges::missing();
        if !missing.is_empty() {
            notes.push(format!("the kernel path needs {}", missing.join(", ")));
            return Err(Fallback::Unprivileged);
        }
        let mut refuse = |why: &dyn std::fmt::Display, reason| {
            // A verifier's log has hundreds of lines.
            let why = why.to_string();
            notes.push(
                why.lines()
                    .next()
                    .unwrap_or_default()
                    .chars()
                    .take(300)
                    .collect(),
            );
            reason
        };
        let (program, hops) = Program::load(ports)
            .map_err(|failure| refuse(&failure, interfaces::fallback(&failure)))?;
        let interfaces =
            Interfaces::read().map_err(|error| refuse(&error, Fallback::Unsupported))?;
        let hops = NextHops::start(hops).map_err(|error| refuse(&error, Fallback::Unsupported))?;
        let fast_path = FastPath {
            flows: Flows::new(&program),
            program,
            hops,
            attached: BTreeMap::new(),
            networks: Vec::new(),
            has_native: true,
        };
        Ok((fast_path, interfaces))
    }
}
