//! Where a message came from, and where one goes.

use std::net::SocketAddr;

use crate::config::NetworkId;
use crate::sip::Transport;

/// A stream connection, given by the shell; never used again once closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// One hop of signalling: our end and the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hop {
    /// The side of the box.
    pub network: NetworkId,
    /// UDP or TCP.
    pub transport: Transport,
    /// Our address and listening port: what Via and Contact show, what a datagram leaves from.
    pub local: SocketAddr,
    /// The other end: source of what came in, destination of what goes out.
    pub remote: SocketAddr,
    /// The connection that it came over. `None` on what goes out by TCP: an open connection to `remote` if there is
    /// one, else a new one.
    pub connection: Option<ConnectionId>,
}
