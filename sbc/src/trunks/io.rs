//! What goes into [`super::Trunks`] and what comes out.

use std::net::SocketAddr;

use crate::config::{Config, NetworkId, PhoneId, TrunkId};
use crate::engine::Event;
use crate::registrar::Registrar;
use crate::routing::locate::{Place, Places, Unwell};
use crate::sip::Message;
use crate::transaction::{ConnectionId, Failure, Hop};

/// What it may look at.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// The config in force.
    pub config: &'a Config,
    /// Where phones are.
    pub registrar: &'a Registrar,
    /// Where trunks are.
    pub places: &'a Places,
}

/// Who is asked whether he is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Probed {
    /// A trunk, at its server.
    Trunk(TrunkId),
    /// A contact of a phone: each has a source of its own.
    Contact {
        /// The account.
        phone: PhoneId,
        /// The side of the box.
        network: NetworkId,
        /// Where its REGISTER came from.
        source: SocketAddr,
    },
}

/// What a request of ours is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// A registration, and its CSeq: an answer to an older one says nothing any more.
    Registration(TrunkId, u32),
    /// Whether someone is there, and which of all probes it is: one that is not waited for any more says less.
    Probe(Probed, u64),
}

/// What happens.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// An answer to a request.
    Answer {
        /// What the request was for.
        asker: Asker,
        /// As it came in.
        hop: Hop,
        /// The answer.
        message: &'a Message,
    },
    /// A request got none.
    Failed {
        /// What it was for.
        asker: Asker,
        /// Why.
        failure: Failure,
    },
    /// There was no room for a request: it was not sent.
    Full(Asker),
    /// A connection is gone.
    ConnectionClosed(ConnectionId),
    /// What we are called on this network has changed: trunks there are to know at once.
    Readdressed(NetworkId),
    /// A phone's contact is there from now on.
    Registered(Probed),
    /// It was refreshed: it lives.
    Heard(Probed),
    /// It is gone.
    Unregistered(Probed),
    /// Take back all registrations; there are no new ones, and nobody is asked any more.
    Stop,
}

/// What is wanted.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "events are few, and told at once"
)]
pub enum Action {
    /// Send a request of ours.
    Request {
        /// What for.
        asker: Asker,
        /// Where to.
        hop: Hop,
        /// The request.
        message: Message,
    },
    /// A server of a trunk has failed, or has said something.
    Server {
        /// The trunk.
        trunk: TrunkId,
        /// Where.
        place: Place,
        /// How it has failed, if it has.
        unwell: Option<Unwell>,
    },
    /// Nothing comes back over this connection.
    Close(ConnectionId),
    /// For the log.
    Event(Event),
}
