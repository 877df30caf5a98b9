//! The maps by which the kernel sheds SIP: where SIP is bound, who is banned, who is known, and how much each network takes in.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use aya::Ebpf;
use aya::maps::lpm_trie::Key;
use aya::maps::{Array, HashMap, LpmTrie, MapData, MapError};
use ipnet::IpNet;
use sbc_ebpf::abi::{MAX_NETWORKS, Port};
use sbc_ebpf::shed_abi::{Rate, SipKey, SourcePrefix, TCP, TICK_BITS, UDP, Who, rate_row};
use tracing::warn;

use super::program::{ProgramFailure, take, ticks_per_second};
use crate::config::{Limits, Network, NetworkId};
use crate::shed::{Action, rates};
use crate::sip::Transport;

/// Sources on a network: the key of both tries.
type Words = [u32; 5];

/// The maps of the loaded program.
pub struct ShedMaps {
    sip: HashMap<MapData, SipKey, u32>,
    bans: LpmTrie<MapData, Words, u32>,
    known: LpmTrie<MapData, Words, u32>,
    rates: Array<MapData, Rate>,
    /// What is in `sip` of each network.
    bound: BTreeMap<NetworkId, BTreeSet<(SocketAddr, Transport)>>,
    /// Told once: user space sheds what the kernel does not.
    has_failed: bool,
}

impl ShedMaps {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, ProgramFailure> {
        Ok(ShedMaps {
            sip: HashMap::try_from(take(ebpf, "SIP")?)?,
            bans: LpmTrie::try_from(take(ebpf, "BANS")?)?,
            known: LpmTrie::try_from(take(ebpf, "KNOWN")?)?,
            rates: Array::try_from(take(ebpf, "RATES")?)?,
            bound: BTreeMap::new(),
            has_failed: false,
        })
    }

    /// From now on a network's SIP is looked at, at the addresses that it has now and at no others.
    ///
    /// # Errors
    /// More than [`sbc_ebpf::shed_abi::MAX_SIP`] sockets.
    pub fn guard(&mut self, id: NetworkId, network: &Network) -> Result<(), ProgramFailure> {
        self.limit(id, &network.limits)?;
        let addresses = network.addresses.iter();
        let wanted = addresses.flat_map(|&address| {
            let place = move |port| SocketAddr::new(address, port);
            let sip = network.sip.iter();
            sip.map(move |listener| (place(listener.port), listener.transport))
        });
        let wanted: BTreeSet<_> = wanted.collect();
        let before = self.bound.remove(&id).unwrap_or_default();
        for &(local, transport) in before.difference(&wanted) {
            let is_anothers = |other: &BTreeSet<_>| other.contains(&(local, transport));
            if !self.bound.values().any(is_anothers) {
                self.remove_sip(local, transport);
            }
        }
        self.bound.insert(id, wanted.clone());
        for (local, transport) in wanted {
            self.put_sip(local, transport, id)?;
        }
        Ok(())
    }

    fn limit(&mut self, id: NetworkId, limits: &Limits) -> Result<(), MapError> {
        let rates = rates(limits, ticks_per_second() << TICK_BITS);
        let who = [Who::Stranger, Who::Strangers, Who::Known];
        for (who, rate) in who.into_iter().zip(rates) {
            self.rates.set(rate_row(id.0, who), rate, 0)?;
        }
        Ok(())
    }

    /// SIP is bound there.
    ///
    /// # Errors
    /// More than [`sbc_ebpf::shed_abi::MAX_SIP`] sockets.
    pub fn put_sip(
        &mut self,
        local: SocketAddr,
        transport: Transport,
        network: NetworkId,
    ) -> Result<(), ProgramFailure> {
        Ok(self
            .sip
            .insert(key(local, transport), u32::from(network.0), 0)?)
    }

    /// It is no more; what was not there is no error.
    pub fn remove_sip(&mut self, local: SocketAddr, transport: Transport) {
        let _ = self.sip.remove(&key(local, transport));
    }

    /// A ban, the end of one, a source that is known or is not any more. A table that is full is told once: user space sheds then.
    pub fn apply(&mut self, action: &Action) {
        let done = match *action {
            Action::Ban(ban) => put(&mut self.bans, ban.network, ban.prefix),
            Action::Unban {
                network, prefix, ..
            } => remove(&mut self.bans, network, prefix),
            Action::Known { network, prefix } => put(&mut self.known, network, prefix),
            Action::Unknown { network, prefix } => remove(&mut self.known, network, prefix),
            // Of a network that the kernel does not guard nobody reads them.
            Action::Limits { network, limits } if network.index() < MAX_NETWORKS => {
                self.limit(network, &limits)
            }
            Action::Limits { .. } => Ok(()),
        };
        if let Err(error) = done
            && !std::mem::replace(&mut self.has_failed, true)
        {
            warn!(%error, "fast path: the kernel does not take a ban, a known source or a limit; user space sheds");
        }
    }
}

fn key(local: SocketAddr, transport: Transport) -> SipKey {
    let protocol = match transport {
        Transport::Udp => UDP,
        Transport::Tcp => TCP,
    };
    SipKey::new(local.ip().into(), Port::new(local.port()), protocol)
}

fn put(
    trie: &mut LpmTrie<MapData, Words, u32>,
    network: NetworkId,
    prefix: IpNet,
) -> Result<(), MapError> {
    match source(network, prefix) {
        Some(key) => trie.insert(&key, 1, 0),
        None => Ok(()),
    }
}

fn remove(
    trie: &mut LpmTrie<MapData, Words, u32>,
    network: NetworkId,
    prefix: IpNet,
) -> Result<(), MapError> {
    match source(network, prefix).map(|key| trie.remove(&key)) {
        // It had found no room.
        Some(Err(MapError::KeyNotFound)) | None => Ok(()),
        Some(done) => done,
    }
}

/// None for a network that the kernel does not know.
fn source(network: NetworkId, prefix: IpNet) -> Option<Key<Words>> {
    if network.index() >= MAX_NETWORKS {
        return None;
    }
    let prefix = SourcePrefix::new(network.0, prefix.network(), prefix.prefix_len());
    Some(Key::new(prefix.bits, prefix.source.words()))
}
