//! Networks on the fast path, as interfaces and addresses come and go.
//!
//! An interface that goes takes its program with it, and its addresses: flows that are up stay in the tables, what is to leave by it is dropped and counted
//! (`no-next-hop`), and it all goes on once the interface is back. User space could do nothing better: no socket sends without the address.

use std::collections::BTreeMap;
use std::net::IpAddr;

use sbc_ebpf::abi::MAX_NETWORKS;

use super::flows::Flows;
use super::interfaces::{self, Interfaces, Place};
use super::link::Link;
use super::program::{Program, ProgramFailure};
use super::{FastPath, Wanted};
use crate::config::{Network, NetworkId};
use crate::media::{Fallback, NetworkPath, XdpMode};

/// A network that wants the kernel to forward.
pub(super) struct Served {
    pub(super) id: NetworkId,
    /// With the addresses that it has now.
    pub(super) network: Network,
    pub(super) path: NetworkPath,
}

/// What has become of the networks.
#[derive(Debug, Default)]
pub struct Changes {
    /// Networks that are forwarded in another way from now on.
    pub paths: Vec<(NetworkId, NetworkPath)>,
    /// For the log, a line each.
    pub notes: Vec<String>,
}

impl FastPath {
    /// Interfaces or addresses have changed; `moved` are the networks that have other addresses now. The program is attached where an interface is back,
    /// media ranges follow the addresses. Those of an address that has gone stay as long as it has flows.
    pub fn refresh(&mut self, moved: &[(NetworkId, Vec<IpAddr>)]) -> Changes {
        let mut changes = Changes::default();
        for (id, addresses) in moved {
            if let Some(served) = self.networks.iter_mut().find(|one| one.id == *id) {
                served.network.addresses.clone_from(addresses);
            }
        }
        if let Err(error) = self.interfaces.reread() {
            let note = format!("cannot list the addresses of this host: {error}");
            changes.notes.push(note);
            return changes;
        }
        self.look_at_links(&mut changes.notes);
        // Before new addresses need their places.
        self.retire();
        for index in 0..self.networks.len() {
            let Some((id, before)) = self.networks.get(index).map(|one| (one.id, one.path)) else {
                continue;
            };
            let mut notes = Vec::new();
            let path = self.bring_up(index, &mut notes);
            let has_attached = notes.iter().any(|note| note.starts_with(ATTACHED));
            if path == before && !has_attached {
                continue;
            }
            changes.notes.append(&mut notes);
            if path != before {
                changes.paths.push((id, path));
            }
        }
        self.hops.set_native(self.is_native());
        changes
    }

    /// Brings a network onto the fast path, or says why not.
    pub(super) fn bring_up(&mut self, index: usize, notes: &mut Vec<String>) -> NetworkPath {
        let Some(served) = self.networks.get(index) else {
            return NetworkPath::User(Fallback::Off);
        };
        let (id, network) = (served.id, served.network.clone());
        let path = self.add(id, &network, notes);
        let path = path.unwrap_or_else(NetworkPath::User);
        if let Some(served) = self.networks.get_mut(index) {
            served.path = path;
        }
        path
    }

    /// Whether frames go from driver to driver anywhere.
    pub(super) fn is_native(&self) -> bool {
        self.attached
            .values()
            .any(|one| one.mode == XdpMode::Native)
    }

    /// Media ranges of addresses that no network has any more, and no flow either, are nobody's.
    pub(super) fn retire(&mut self) {
        let networks = &self.networks;
        let is_had = |ip: &IpAddr| {
            networks
                .iter()
                .any(|one| one.network.addresses.contains(ip))
        };
        let (flows, program) = (&mut self.flows, &mut self.program);
        self.has_retired = false;
        let has_retired = &mut self.has_retired;
        self.guarded.retain(|&ip, _| {
            let is_had = is_had(&ip);
            let stays = is_had || flows.at(ip) > 0;
            *has_retired |= stays && !is_had;
            if !stays {
                unguard(program, flows, ip);
            }
            stays
        });
        self.tell_guarded();
    }

    /// Whoever reads totals has them of these networks.
    fn tell_guarded(&self) {
        let networks = self.guarded.values().copied().collect();
        self.flows.totals().guards(networks);
    }

    /// Forgets the programs that went with their interfaces, and says what goes down and up.
    fn look_at_links(&mut self, notes: &mut Vec<String>) {
        let interfaces = &mut self.interfaces;
        self.attached.retain(|&index, attached| {
            let name = &attached.name;
            match interfaces.link(index) {
                None => {
                    notes.push(format!(
                        "interface {name} is gone: its calls are silent until it is back"
                    ));
                    return false;
                }
                Some(link) if link.is_up != attached.is_up => {
                    attached.is_up = link.is_up;
                    let what = if link.is_up { "up again" } else { "down" };
                    notes.push(format!("interface {name} is {what}"));
                }
                Some(_) => {}
            }
            true
        });
    }

    fn add(
        &mut self,
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
        let links = links(&mut self.interfaces, network).map_err(|why| {
            notes.push(format!("network {name}: {why}"));
            Fallback::Interface
        })?;
        // First: what takes the place of an earlier daemon's program is to guard from its first packet on.
        let added = self.guard(id, network).map_err(|failure| {
            notes.push(format!("network {name}: {failure}"));
            Fallback::Full
        })?;
        let mode = self.attach_all(network, links, notes);
        if mode.is_err() {
            self.let_go(&added);
        }
        Ok(NetworkPath::Kernel { mode: mode? })
    }

    /// Has the program on all of a network's interfaces: how, if it is not native on each.
    fn attach_all(
        &mut self,
        network: &Network,
        links: BTreeMap<u32, Link>,
        notes: &mut Vec<String>,
    ) -> Result<XdpMode, Fallback> {
        let (name, wanted) = (&network.name, network.fast_path);
        let mut mode = XdpMode::Native;
        for (index, link) in links {
            let found = match self.attached.get(&index) {
                Some(other) => other.mode,
                None => self.attach(index, &link, wanted, notes)?,
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
        Ok(mode)
    }

    fn attach(
        &mut self,
        index: u32,
        link: &Link,
        wanted: Wanted,
        notes: &mut Vec<String>,
    ) -> Result<XdpMode, Fallback> {
        let mut has_native = self.has_native;
        if has_native && let Some(why) = interfaces::no_native([(&index, link)]) {
            notes.push(why);
            has_native = false;
        }
        let (program, pins) = (&mut self.program, self.pins.as_mut());
        let one = interfaces::attach(program, pins, (index, link), wanted, has_native, notes)?;
        let mode = one.mode;
        notes.push(format!(
            "{ATTACHED} to {}, {} mode{}",
            one.name,
            interfaces::label(mode),
            one.by.label()
        ));
        self.attached.insert(index, one);
        Ok(mode)
    }

    /// From now on nothing passes to the network's media ports but what belongs to a flow, and nothing to its SIP ports that is to be shed. The addresses
    /// that were not guarded before.
    fn guard(&mut self, id: NetworkId, network: &Network) -> Result<Vec<IpAddr>, ProgramFailure> {
        let mut added = Vec::new();
        for &ip in &network.addresses {
            if self.guarded.get(&ip) != Some(&id) {
                if let Err(failure) = self.guard_one(id, network, ip) {
                    self.let_go(&added);
                    return Err(failure);
                }
                self.guarded.insert(ip, id);
                added.push(ip);
            }
        }
        self.tell_guarded();
        if let Err(failure) = self.program.shed().guard(id, network) {
            self.let_go(&added);
            return Err(failure);
        }
        Ok(added)
    }

    /// The media ranges of these addresses are the stack's again.
    fn let_go(&mut self, addresses: &[IpAddr]) {
        for &ip in addresses {
            // It was another network's, and calls are left there.
            if self.flows.at(ip) > 0 {
                continue;
            }
            self.guarded.remove(&ip);
            unguard(&mut self.program, &mut self.flows, ip);
        }
        self.tell_guarded();
    }
}

/// What comes to the media range at an address is the stack's.
fn unguard(program: &mut Program, flows: &mut Flows, ip: IpAddr) {
    // What the kernel keeps all the same is only tighter than it need be.
    let _ = program.remove_local(ip.into());
    flows.places().remove(ip);
}

const ATTACHED: &str = "XDP program attached";

/// The interfaces that those of a network's addresses are on that are there now; why none, if one of them cannot be served.
pub(super) fn links(
    interfaces: &mut Interfaces,
    network: &Network,
) -> Result<BTreeMap<u32, Link>, String> {
    let mut links = BTreeMap::new();
    for &ip in &network.addresses {
        match interfaces.place(ip) {
            Place::Ethernet(index, link) => drop(links.insert(index, link)),
            Place::Other(name) => {
                return Err(format!("{ip} is on {name}, which is no Ethernet interface"));
            }
            Place::Missing => {}
        }
    }
    if links.is_empty() {
        return Err("none of its addresses is there".to_owned());
    }
    Ok(links)
}
