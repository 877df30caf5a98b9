//! What the engine wants done.

use bytes::Bytes;

use crate::media::FlowCommand;
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
    /// Install, update or remove a flow pair.
    Flow(FlowCommand),
}
