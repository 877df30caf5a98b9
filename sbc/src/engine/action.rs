//! What the engine wants done.

use bytes::Bytes;

use crate::config::NetworkId;
use crate::media::FlowCommand;
use crate::routing::locate::Question;
use crate::transaction::{ConnectionId, Hop};

/// What the shells do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a message to `hop.remote` from `hop.local`.
    Send {
        /// With a connection: over that one if it is still open, else as without (RFC 3261 18.2.2).
        hop: Hop,
        /// The message.
        bytes: Bytes,
    },
    /// Close a connection once what was sent has left.
    Close(ConnectionId),
    /// Close the connections of a network to all who are outside (see [`crate::config::Network::is_outside`]): the router's address is another
    /// one now, and nothing comes over them any more.
    CloseOutside(NetworkId),
    /// Find the addresses of a host, for [`super::Input::LookedUp`].
    LookUp {
        /// The side of the box that asks.
        network: NetworkId,
        /// A name, or an address.
        host: String,
        /// Theirs.
        port: u16,
    },
    /// Ask DNS; [`super::Input::Resolved`] follows in any case.
    Resolve(Question),
    /// Install, update or remove a flow pair.
    Flow(FlowCommand),
}
