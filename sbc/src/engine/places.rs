//! Where trunks are: what DNS is asked, and what follows from what it says.

use std::time::Instant;

use super::{Action, Engine, Event, Hop};
use crate::call::local_address;
use crate::config::TrunkId;
use crate::routing::locate::{self, Place, PlaceView, Unwell};
use crate::shed;
use crate::sip::{Message, Transport};
use crate::transaction::{ClientId, Full, Room, large};

impl Engine {
    /// The servers of a trunk, in the order of their priority.
    #[must_use]
    pub fn servers(&self, now: Instant, trunk: TrunkId) -> Vec<PlaceView> {
        self.places.view(now, &self.config, trunk)
    }

    /// Sends a request of ours; one that is too large for a datagram over TCP, where its network has that and the other end is a trunk
    /// (RFC 3261 18.1.1). A phone's NAT would not let a connection in.
    ///
    /// # Errors
    /// [`Full`]: nothing was sent.
    pub(super) fn request(
        &mut self,
        now: Instant,
        hop: Hop,
        message: Message,
        room: Room,
    ) -> Result<ClientId, Full> {
        match self.over_tcp(now, &hop, &message) {
            Some(tcp) => self.layer.request_large(now, tcp, (hop, message), room),
            None => self.layer.request_in(now, hop, message, room),
        }
    }

    fn over_tcp(&self, now: Instant, hop: &Hop, message: &Message) -> Option<(Hop, Message)> {
        if hop.transport == Transport::Tcp || message.bytes().len() <= large::LARGEST_DATAGRAM {
            return None;
        }
        let remote = hop.remote;
        let trunks = (0..).map(TrunkId).zip(&self.config.trunks);
        let mut here = trunks.filter(|(_, trunk)| trunk.network == hop.network);
        let (_, trunk) = here.find(|(id, _)| self.places.is_of(&self.config, *id, remote.ip()))?;
        // Who says UDP means it.
        if trunk.server.transport == Some(Transport::Udp)
            || !self.places.may_take_tcp(now, hop.network, remote)
        {
            return None;
        }
        let local = local_address(&self.config, hop.network, Transport::Tcp, remote.ip())?;
        let tcp = Hop {
            transport: Transport::Tcp,
            local,
            connection: None,
            ..*hop
        };
        Some((tcp, large::over_tcp(message, hop.local, local)?))
    }

    /// The server that a request outside of calls went to has failed, or has said something.
    pub(super) fn note_server(&mut self, now: Instant, client: ClientId, unwell: Option<Unwell>) {
        let Some(pending) = self.outside.pending.get(&client) else {
            return;
        };
        let Some(trunk) = pending.peers[1].trunk else {
            return;
        };
        let place = Place {
            address: pending.to.remote,
            transport: pending.to.transport,
        };
        match unwell {
            Some(how) => self.places.failed(now, &self.config, trunk, place, how),
            None => self.places.heard(&self.config, trunk, place),
        }
    }

    pub(super) fn pump_places(&mut self, now: Instant) {
        while let Some(action) = self.places.poll_action() {
            match action {
                locate::Action::Resolve(question) => {
                    self.actions.push_back(Action::Resolve(question));
                }
                locate::Action::Source(trunk, address) => {
                    let network = self.config.trunk(trunk).network;
                    let input = shed::Input::TrunkFound {
                        trunk,
                        network,
                        source: address,
                    };
                    self.sources.handle_input(now, input);
                }
                locate::Action::NoSource(trunk, address) => {
                    let network = self.config.trunk(trunk).network;
                    let input = shed::Input::TrunkGone {
                        trunk,
                        network,
                        source: address,
                    };
                    self.sources.handle_input(now, input);
                }
                locate::Action::News(news) => self.tell(Event::Servers(news)),
            }
        }
    }
}
