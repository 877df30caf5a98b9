//! Networks behind a router: finding out at which address those outside see them, and telling them when it changes.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Action, CallId, Engine, Event};
use crate::call::{self, local_address};
use crate::config::{Config, NetworkId};
use crate::external;
use crate::sip::{Message, Transport};
use crate::transaction::{ClientId, Hop};
use crate::trunks as upkeep;

/// So long it takes at the most until all calls have been told where we are now: not all at once, as whoever gets it answers.
const SPREAD: Duration = Duration::from_millis(1500);

/// Calls whose peers outside have still to be told, in the order of when.
#[derive(Debug, Default)]
pub(super) struct Moves {
    calls: VecDeque<(Instant, CallId)>,
}

impl Moves {
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.calls.front().map(|(at, _)| *at)
    }
}

impl Engine {
    /// An answer of STUN's, where SIP comes in.
    pub(super) fn on_stun(&mut self, now: Instant, hop: &Hop, bytes: bytes::Bytes) {
        if !self.externals.follows(hop.network) {
            return self.counters.refused(hop.network, "stray-response");
        }
        let input = external::Input::Answer {
            network: hop.network,
            from: hop.remote,
            bytes,
        };
        self.externals.handle_input(now, input);
    }

    /// What an answer to a request of ours says of where that came from.
    pub(super) fn on_seen(&mut self, now: Instant, id: ClientId, hop: &Hop, answer: &Message) {
        let network = hop.network;
        if !self.externals.follows(network)
            || !self.config.network(network).is_outside(hop.remote.ip())
        {
            return;
        }
        let seen = answer.via().received().map(|at| at.to_canonical());
        if let Some(at) = seen.filter(|at| self.is_possible(network, *at)) {
            let input = external::Input::Seen {
                network,
                at,
                request: id.0,
            };
            self.externals.handle_input(now, input);
        }
    }

    /// Does what is to be done about addresses of routers.
    pub(super) fn pump_external(&mut self, now: Instant) {
        while let Some(action) = self.externals.poll_action() {
            match action {
                external::Action::LookUp {
                    network,
                    host,
                    port,
                } => self.actions.push_back(Action::LookUp {
                    network,
                    host,
                    port,
                }),
                external::Action::Send { network, to, bytes } => {
                    // From where SIP leaves: the way that the router opens for the one is there for the other.
                    let local = local_address(&self.config, network, Transport::Udp, to.ip());
                    if let Some(local) = local {
                        let hop = Hop {
                            network,
                            transport: Transport::Udp,
                            local,
                            remote: to,
                            connection: None,
                        };
                        self.actions.push_back(Action::Send { hop, bytes });
                    }
                }
                external::Action::Changed { network, from, to } => {
                    self.on_external_changed(now, network, from, to);
                }
                external::Action::Silent { network, known } => {
                    self.tell(Event::ExternalUnknown { network, known });
                }
            }
        }
    }

    /// From now on `to` is what peers outside are told. Calls that are up with them are told one after the other, within [`SPREAD`].
    fn on_external_changed(
        &mut self,
        now: Instant,
        network: NetworkId,
        from: Option<IpAddr>,
        to: IpAddr,
    ) {
        if !self.is_possible(network, to) {
            return;
        }
        let config = Arc::make_mut(&mut self.config);
        if let Some(known) = config.networks.get_mut(network.index()) {
            known.outside.set(to);
        }
        self.move_outside(now, network, from, to);
    }

    /// Peers outside are told another address by another config.
    pub(super) fn reload_external(&mut self, now: Instant, before: &Config) {
        self.externals.reload(now, &self.config);
        let networks = self.config.networks.iter().zip(&before.networks);
        let moved: Vec<(NetworkId, Option<IpAddr>, IpAddr)> = (0..)
            .map(NetworkId)
            .zip(networks)
            .flat_map(|(id, (new, old))| {
                let families = [true, false].into_iter();
                families.filter_map(move |family| {
                    let (from, to) = (old.outside.of(family), new.outside.of(family)?);
                    (from != Some(to)).then_some((id, from, to))
                })
            })
            .collect();
        for (network, from, to) in moved {
            self.move_outside(now, network, from, to);
        }
    }

    fn move_outside(&mut self, now: Instant, network: NetworkId, from: Option<IpAddr>, to: IpAddr) {
        let concerned = self.calls.iter().filter(|(_, slot)| {
            let sides = slot.call.hops();
            sides.into_iter().any(|hop| {
                hop.network == network
                    && hop.local.is_ipv4() == to.is_ipv4()
                    && self.config.network(network).is_outside(hop.remote.ip())
            })
        });
        let concerned: Vec<CallId> = concerned.map(|(id, _)| *id).collect();
        let count = u32::try_from(concerned.len()).unwrap_or(u32::MAX).max(1);
        for (index, id) in (0..).zip(&concerned) {
            let at = now + SPREAD / count * index;
            self.moves.calls.push_back((at, *id));
        }
        // Two changes one soon after the other.
        self.moves.calls.make_contiguous().sort_unstable();
        if from.is_some() {
            self.actions.push_back(Action::CloseOutside(network));
        }
        self.counters.external_changed(network);
        self.misled.remove(&network);
        self.tell(Event::ExternalChanged {
            network,
            from,
            to,
            calls: concerned.len(),
        });
        self.tell_moved(now);
        self.tell_trunks(now, upkeep::Input::Readdressed(network));
    }

    /// Tells the calls whose turn it is.
    pub(super) fn tell_moved(&mut self, now: Instant) {
        while let Some((_, id)) = self.moves.calls.pop_front_if(|(at, _)| *at <= now) {
            self.tell_call(now, id, call::Input::Readdressed);
        }
    }

    /// Notes whether the far end of a call's leg is told an address that is none on the internet, where it is.
    pub(super) fn note_face(&mut self, hop: &Hop) {
        let network = self.config.network(hop.network);
        if !network.misleads(hop.local.ip(), hop.remote.ip()) {
            return;
        }
        let address = network.shows(hop.local.ip(), hop.remote.ip());
        self.counters.misled(hop.network);
        if self.misled.insert(hop.network) {
            self.tell(Event::Misled {
                network: hop.network,
                address,
                peer: hop.remote,
            });
        }
    }

    /// Whether peers outside can know us by this address: one that is inside is somebody's mistake.
    fn is_possible(&self, network: NetworkId, address: IpAddr) -> bool {
        let network = self.config.network(network);
        let is_usable =
            !(address.is_unspecified() || address.is_loopback() || address.is_multicast());
        is_usable && (network.addresses.contains(&address) || network.is_outside(address))
    }
}
