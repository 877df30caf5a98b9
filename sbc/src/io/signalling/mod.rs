//! SIP on the wire: one UDP socket and one TCP listener for each address that a network names, and all TCP connections.
//!
//! Tasks read; what they read comes to the engine's owner through the [`Inbox`]; that owner sends, by calling
//! [`Signalling::send`]. Imports tokio, [`crate::sip::stream`], the shapes of [`crate::transaction`] and [`crate::engine`].

mod connection;
mod counters;
mod inbox;
mod tcp;
mod udp;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::debug;

pub use connection::Patience;
pub use counters::{Closed, Count, Counters, NetworkCounters};
pub use inbox::{Event, Events, Inbox, inbox};
pub use tcp::Limits;

use self::tcp::Connections;
use self::udp::UdpPort;
use super::bind::{self, ListenError, Purpose};
use crate::config::{Config, NetworkId};
use crate::engine::Input;
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
    connections: Connections,
    /// Receivers, listeners, readers: gone with this.
    tasks: JoinSet<()>,
}

/// Sockets that listen, with nobody reading yet.
#[derive(Debug)]
pub struct Listening {
    udp: Vec<(Local, std::net::UdpSocket)>,
    tcp: Vec<(Local, std::net::TcpListener)>,
}

/// Listens at every address of every network.
///
/// # Errors
/// The first address that cannot be listened on, and why; nothing is left then.
pub fn listen(config: &Config) -> Result<Listening, ListenError> {
    let mut listening = Listening {
        udp: Vec::new(),
        tcp: Vec::new(),
    };
    for local in locals(config) {
        let purpose = Purpose::Sip {
            network: config.network(local.network).name.clone(),
        };
        match local.transport {
            Transport::Udp => {
                let socket = bind::udp(&purpose, local.address)?;
                listening.udp.push((local, socket));
            }
            Transport::Tcp => {
                let listener = bind::tcp(&purpose, local.address)?;
                listening.tcp.push((local, listener));
            }
        }
    }
    Ok(listening)
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
            connections: Connections::new(limits, inbox.clone()),
            tasks: JoinSet::new(),
        };
        for (local, socket) in listening.udp {
            let port = UdpPort::start(socket, local, inbox.clone(), &mut signalling.tasks)?;
            signalling.udp.insert((local.network, local.address), port);
            signalling.locals.push(local);
        }
        for (local, listener) in listening.tcp {
            let listener = TcpListener::from_std(listener)?;
            signalling
                .tasks
                .spawn(tcp::listen(listener, local, inbox.clone()));
            signalling.locals.push(local);
        }
        Ok(signalling)
    }

    /// What is listened on.
    #[must_use]
    pub fn locals(&self) -> &[Local] {
        &self.locals
    }

    /// Sends a message, or begins to. What comes back, failures found at once, is for the engine.
    pub fn send(&mut self, hop: Hop, bytes: Bytes) -> Vec<Input> {
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

    /// Closes a connection once what was sent over it has left.
    pub fn close(&mut self, connection: ConnectionId) -> Option<Input> {
        self.connections.close(connection, Closed::Local)
    }

    /// Takes what a socket reported; what comes back is for the engine.
    pub fn handle(&mut self, event: Event) -> Option<Input> {
        // Ended tasks (readers of closed connections) are forgotten as others begin.
        while self.tasks.try_join_next().is_some() {}
        match event {
            Event::Input(input) => Some(input),
            Event::Accepted { hop, stream } => {
                self.connections.accept(hop, stream, &mut self.tasks);
                None
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
        network.addresses.iter().flat_map(move |&address| {
            network.sip.iter().map(move |listener| Local {
                network: NetworkId(index),
                transport: listener.transport,
                address: SocketAddr::new(address, listener.port),
            })
        })
    })
}

#[cfg(test)]
mod tests;
