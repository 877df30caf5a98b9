//! SIP on the wire: one UDP socket and one TCP listener for each address that a network names, and all TCP connections.
//!
//! Tasks read; what they read comes to the engine's owner through the [`Inbox`]; that owner sends, by calling
//! [`Signalling::send`]. Imports tokio, [`crate::sip::stream`], the shapes of [`crate::transaction`] and [`crate::engine`].

mod connection;
mod counters;
mod door;
mod inbox;
mod tcp;
mod udp;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use tracing::debug;

pub use connection::Patience;
pub use counters::{Closed, Count, Counters, NetworkCounters};
pub use door::Door;
pub use inbox::{Event, Events, Inbox, inbox};
pub use tcp::Limits;

use self::tcp::Connections;
use self::udp::UdpPort;
use super::bind::{self, ListenError, Purpose};
use crate::config::{Config, Network, NetworkId};
use crate::engine::Input;
use crate::shed::Action;
use crate::sip::Transport;
use crate::transaction::{ConnectionId, Hop};

/// Where SIP comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Local {
    /// The side of the box.
    pub network: NetworkId,
    /// UDP or TCP.
    pub transport: Transport,
    /// Address and port.
    pub address: SocketAddr,
}

impl Local {
    fn hop(self, remote: SocketAddr, connection: Option<ConnectionId>) -> Hop {
        Hop {
            network: self.network,
            transport: self.transport,
            local: self.address,
            remote,
            connection,
        }
    }
}

/// All sockets of signalling.
#[derive(Debug)]
pub struct Signalling {
    locals: Vec<Local>,
    udp: HashMap<(NetworkId, SocketAddr), UdpPort>,
    /// Tasks that take connections.
    listeners: HashMap<(NetworkId, SocketAddr), AbortHandle>,
    connections: Connections,
    inbox: Inbox,
    /// Receivers, listeners, readers: gone with this.
    tasks: JoinSet<()>,
}

/// Sockets that listen, with nobody reading yet.
#[derive(Debug, Default)]
pub struct Listening {
    udp: Vec<(Local, std::net::UdpSocket)>,
    tcp: Vec<(Local, std::net::TcpListener)>,
    /// For the connections that are opened from here, by network.
    dscp: BTreeMap<NetworkId, u8>,
}

/// Listens at every address of every network.
///
/// # Errors
/// The first address that cannot be listened on, and why; nothing is left then.
pub fn listen(config: &Config) -> Result<Listening, ListenError> {
    let mut listening = Listening::default();
    for local in locals(config) {
        listening.open(config.network(local.network), local)?;
    }
    Ok(listening)
}

impl Listening {
    fn open(&mut self, network: &Network, local: Local) -> Result<(), ListenError> {
        let purpose = Purpose::Sip {
            network: network.name.clone(),
        };
        let (address, dscp) = (local.address, network.dscp.sip);
        match local.transport {
            Transport::Udp => self.udp.push((local, bind::udp(&purpose, address, dscp)?)),
            Transport::Tcp => self.tcp.push((local, bind::tcp(&purpose, address, dscp)?)),
        }
        self.dscp.insert(local.network, dscp);
        Ok(())
    }
}

impl Signalling {
    /// Begins to read. Must be called within a runtime.
    ///
    /// # Errors
    /// The runtime does not take a socket.
    pub fn start(listening: Listening, limits: Limits, inbox: &Inbox) -> io::Result<Self> {
        let mut signalling = Signalling {
            locals: Vec::new(),
            udp: HashMap::new(),
            listeners: HashMap::new(),
            connections: Connections::new(limits, inbox.clone()),
            inbox: inbox.clone(),
            tasks: JoinSet::new(),
        };
        signalling.read(listening)?;
        Ok(signalling)
    }

    /// Listens at one more address of a network. Must be called within a runtime.
    ///
    /// # Errors
    /// The first port that cannot be listened on, and why; nothing is left at that address then.
    pub fn add(
        &mut self,
        id: NetworkId,
        network: &Network,
        address: IpAddr,
    ) -> Result<(), ListenError> {
        let mut listening = Listening::default();
        for local in locals_at(id, network, address) {
            listening.open(network, local)?;
        }
        let result = self.read(listening);
        result.map_err(|source| {
            self.remove(id, address);
            ListenError::Other {
                purpose: Purpose::Sip {
                    network: network.name.clone(),
                },
                transport: Transport::Udp,
                address: SocketAddr::new(address, 0),
                source,
            }
        })
    }

    /// Listens there no more, and closes the connections of that address. What comes back is for the engine.
    pub fn remove(&mut self, network: NetworkId, address: IpAddr) -> Vec<Input> {
        let is_it = |id: &NetworkId, local: &SocketAddr| *id == network && local.ip() == address;
        self.udp.retain(|(id, local), _| !is_it(id, local));
        self.listeners.retain(|(id, local), listener| {
            let goes = is_it(id, local);
            if goes {
                listener.abort();
            }
            !goes
        });
        self.locals
            .retain(|local| !is_it(&local.network, &local.address));
        let connections = self.connections.at(network, address);
        let closed = connections
            .into_iter()
            .filter_map(|id| self.connections.close(id, Closed::Local));
        closed.collect()
    }

    fn read(&mut self, listening: Listening) -> io::Result<()> {
        self.connections.mark(listening.dscp);
        for (local, socket) in listening.udp {
            let port = UdpPort::start(socket, local, self.inbox.clone(), &mut self.tasks)?;
            self.udp.insert((local.network, local.address), port);
            self.locals.push(local);
        }
        for (local, listener) in listening.tcp {
            let listener = TcpListener::from_std(listener)?;
            let task = tcp::listen(listener, local, self.inbox.clone());
            let task = self.tasks.spawn(task);
            self.listeners.insert((local.network, local.address), task);
            self.locals.push(local);
        }
        Ok(())
    }

    /// A dialog may name an address that is ours no more: what is to leave from there leaves from the one that came in its place.
    fn that_can_leave(&self, hop: Hop) -> Hop {
        let is_alike = |local: &&Local| {
            (local.network, local.transport) == (hop.network, hop.transport)
                && local.address.is_ipv4() == hop.local.is_ipv4()
        };
        let alike = || self.locals.iter().filter(is_alike);
        if alike().any(|local| local.address.ip() == hop.local.ip()) {
            return hop;
        }
        let same_port = alike().find(|local| local.address.port() == hop.local.port());
        let local = same_port.or_else(|| alike().next());
        Hop {
            local: local.map_or(hop.local, |local| local.address),
            ..hop
        }
    }

    /// What is listened on.
    #[must_use]
    pub fn locals(&self) -> &[Local] {
        &self.locals
    }

    /// Sends a message, or begins to. What comes back, failures found at once, is for the engine.
    pub fn send(&mut self, hop: Hop, bytes: Bytes) -> Vec<Input> {
        let hop = self.that_can_leave(hop);
        match hop.transport {
            Transport::Tcp => self.connections.send(hop, bytes, &mut self.tasks),
            Transport::Udp => {
                let port = self.udp.get(&(hop.network, hop.local));
                let sent = port
                    .ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))
                    .and_then(|port| port.send(hop.remote, bytes.clone()));
                match sent {
                    Ok(()) => Vec::new(),
                    Err(error) => {
                        debug!(%error, local = %hop.local, remote = %hop.remote, "cannot send");
                        vec![Input::SendFailed { hop, bytes }]
                    }
                }
            }
        }
    }

    /// A ban, the end of one, or a source that is known or is not any more. A ban closes the source's connections; what comes back is for the engine.
    pub fn apply(&mut self, action: &Action) -> Vec<Input> {
        self.connections.apply(action)
    }

    /// Closes a connection once what was sent over it has left.
    pub fn close(&mut self, connection: ConnectionId) -> Option<Input> {
        self.connections.close(connection, Closed::Local)
    }

    /// Closes a network's connections to all of whom that holds. What comes back is for the engine.
    pub fn close_peers(
        &mut self,
        network: NetworkId,
        is_meant: impl Fn(IpAddr) -> bool,
    ) -> Vec<Input> {
        let connections = self.connections.to(network, is_meant);
        let closed = connections
            .into_iter()
            .filter_map(|id| self.connections.close(id, Closed::Local));
        closed.collect()
    }

    /// Asks the system for the addresses of a host; [`Input::LookedUp`] comes in some time.
    pub fn look_up(&mut self, network: NetworkId, host: String, port: u16) {
        let inbox = self.inbox.clone();
        self.tasks.spawn(async move {
            let addresses = match tokio::net::lookup_host((host.as_str(), port)).await {
                Ok(found) => found.collect(),
                Err(error) => {
                    debug!(host, %error, "cannot look it up");
                    Vec::new()
                }
            };
            let input = Input::LookedUp { network, addresses };
            inbox.put(Event::Input(input)).await;
        });
    }

    /// Takes what a socket reported; what comes back is for the engine.
    pub fn handle(&mut self, event: Event) -> Option<Input> {
        // Ended tasks (readers of closed connections) are forgotten as others begin.
        while self.tasks.try_join_next().is_some() {}
        match event {
            Event::Input(input) => Some(input),
            Event::Accepted { hop, stream } => {
                self.connections.accept(hop, stream, &mut self.tasks)
            }
            Event::Closed {
                connection, reason, ..
            } => self.connections.close(connection, reason),
        }
    }

    /// Stops reading, and waits until what was to be sent has left, or `patience` is over.
    pub async fn finish(mut self, patience: Duration) {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline && !self.udp.values().all(UdpPort::is_idle) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.tasks.abort_all();
        if tokio::time::timeout_at(deadline, self.connections.finish())
            .await
            .is_err()
        {
            debug!("some connections did not take their last messages");
        }
    }
}

/// Every address with every listener of its network.
fn locals(config: &Config) -> impl Iterator<Item = Local> {
    (0u16..).zip(&config.networks).flat_map(|(index, network)| {
        let addresses = network.addresses.iter();
        addresses.flat_map(move |&address| locals_at(NetworkId(index), network, address))
    })
}

fn locals_at(
    id: NetworkId,
    network: &Network,
    address: IpAddr,
) -> impl Iterator<Item = Local> + '_ {
    network.sip.iter().map(move |listener| Local {
        network: id,
        transport: listener.transport,
        address: SocketAddr::new(address, listener.port),
    })
}

#[cfg(test)]
mod tests;
