//! All TCP connections: taken in within limits, opened on demand, used again for the same far end.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use tracing::{debug, warn};

use super::Local;
use super::connection::{self, Outgoing, Patience, Queue};
use super::counters::Closed;
use super::inbox::{Event, Inbox};
use crate::config::{Dscp, NetworkId};
use crate::engine::Input;
use crate::io::bind;
use crate::shed::Action;
use crate::transaction::{ConnectionId, Hop};

/// How many connections there may be, and how patient they are with the other end.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// In all.
    pub connections: usize,
    /// From sources that are neither a trunk nor a registered phone: the oldest of them makes room for another one.
    pub strangers: usize,
    /// From one IPv4 address, or one /64 of IPv6.
    pub per_source: usize,
    /// How long each thing may take.
    pub patience: Patience,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 4096,
            strangers: 3072,
            per_source: 64,
            patience: Patience::default(),
        }
    }
}

/// The table of connections.
#[derive(Debug)]
pub(super) struct Connections {
    limits: Limits,
    inbox: Inbox,
    next: u64,
    open: BTreeMap<ConnectionId, Connection>,
    by_remote: BTreeMap<(NetworkId, IpAddr, SocketAddr), ConnectionId>,
    by_source: BTreeMap<IpAddr, usize>,
    /// Those that came from sources that are not known yet, the oldest first.
    strangers: BTreeSet<ConnectionId>,
    /// DSCP of those that are opened from here.
    dscp: BTreeMap<NetworkId, u8>,
    writers: JoinSet<()>,
}

#[derive(Debug)]
struct Connection {
    hop: Hop,
    queue: Queue,
    /// The reading task.
    reader: AbortHandle,
}

impl Connections {
    pub(super) fn new(limits: Limits, inbox: Inbox) -> Self {
        Connections {
            limits,
            inbox,
            next: 0,
            open: BTreeMap::new(),
            by_remote: BTreeMap::new(),
            by_source: BTreeMap::new(),
            strangers: BTreeSet::new(),
            dscp: BTreeMap::new(),
            writers: JoinSet::new(),
        }
    }

    /// How connections that are opened from now on are marked, by network.
    pub(super) fn mark(&mut self, dscp: BTreeMap<NetworkId, u8>) {
        self.dscp.extend(dscp);
    }

    /// Takes a connection in, or drops it and counts that. What comes back, of the one that made room for it, is for the engine.
    pub(super) fn accept(
        &mut self,
        hop: Hop,
        stream: TcpStream,
        tasks: &mut JoinSet<()>,
    ) -> Option<Input> {
        let is_known = self.inbox.door().knows(&hop);
        let counters = self.inbox.counters().network(hop.network);
        if self.open.len() >= self.limits.connections {
            counters.refused_total.add(1);
            return None;
        }
        let from_source = self.by_source.get(&source(hop.remote.ip())).copied();
        if from_source.unwrap_or_default() >= self.limits.per_source {
            counters.refused_source.add(1);
            return None;
        }
        let is_crowded = !is_known && self.strangers.len() >= self.limits.strangers;
        let oldest = self.strangers.first().copied().filter(|_| is_crowded);
        let made_room = oldest.and_then(|oldest| self.close(oldest, Closed::Crowded));
        let hop = self.name(hop);
        let (queue, queued) = connection::queue();
        let (inbox, patience) = (self.inbox.clone(), self.limits.patience);
        let pong = queue.clone();
        tune(&stream);
        let (reading, writing) = stream.into_split();
        self.writers.spawn(connection::write(
            writing,
            queued,
            hop,
            inbox.clone(),
            patience,
        ));
        let reader = tasks.spawn(connection::read(reading, hop, pong, inbox, patience));
        self.strangers.extend(hop.connection.filter(|_| !is_known));
        self.insert(Connection { hop, queue, reader });
        made_room
    }

    /// Sends over the hop's connection, else over one to the same far end, else over a new one: but for an answer to a stranger, whose own is
    /// gone.
    pub(super) fn send(&mut self, hop: Hop, bytes: Bytes, tasks: &mut JoinSet<()>) -> Vec<Input> {
        let key = (hop.network, hop.local.ip(), hop.remote);
        let known = hop.connection.filter(|id| self.open.contains_key(id));
        let known = known.or_else(|| self.by_remote.get(&key).copied());
        let id = match known {
            Some(id) => id,
            // A stranger that has gone does not have us try to reach him.
            None if bytes.starts_with(b"SIP/2.0 ") && !self.inbox.door().knows(&hop) => {
                return vec![Input::SendFailed { hop, bytes }];
            }
            None if self.open.len() >= self.limits.connections => {
                self.inbox
                    .counters()
                    .network(hop.network)
                    .refused_total
                    .add(1);
                return vec![Input::SendFailed { hop, bytes }];
            }
            None => self.connect(hop, tasks),
        };
        let Some(connection) = self.open.get(&id) else {
            return vec![Input::SendFailed { hop, bytes }];
        };
        if connection.queue.put(Outgoing::Message(hop, bytes.clone())) {
            return Vec::new();
        }
        let mut inputs = vec![Input::SendFailed { hop, bytes }];
        inputs.extend(self.close(id, Closed::Stuck));
        inputs
    }

    /// Forgets a connection: nothing more is read, what is queued is still written. The first time only, says so.
    pub(super) fn close(&mut self, id: ConnectionId, reason: Closed) -> Option<Input> {
        let connection = self.open.remove(&id)?;
        self.strangers.remove(&id);
        let hop = connection.hop;
        let key = (hop.network, hop.local.ip(), hop.remote);
        if self.by_remote.get(&key) == Some(&id) {
            self.by_remote.remove(&key);
        }
        let source = source(hop.remote.ip());
        if let Some(count) = self.by_source.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.by_source.remove(&source);
            }
        }
        // A reader that found its stream broken lingers by itself.
        if reason != Closed::Broken {
            connection.reader.abort();
        }
        let counters = self.inbox.counters().network(hop.network);
        counters.connections.subtract(1);
        counters.count_closed(reason);
        debug!(remote = %hop.remote, reason = reason.label(), "connection closed");
        // Those that have written their last are forgotten.
        while self.writers.try_join_next().is_some() {}
        Some(Input::ConnectionClosed(id))
    }

    /// Those that come from an address of ours, or go to it.
    pub(super) fn at(&self, network: NetworkId, address: IpAddr) -> Vec<ConnectionId> {
        let open = self.open.iter();
        open.filter(|(_, one)| one.hop.network == network && one.hop.local.ip() == address)
            .map(|(id, _)| *id)
            .collect()
    }

    /// Those of a network whose far end is meant.
    pub(super) fn to(
        &self,
        network: NetworkId,
        is_meant: impl Fn(IpAddr) -> bool,
    ) -> Vec<ConnectionId> {
        let open = self.open.iter();
        open.filter(|(_, one)| one.hop.network == network && is_meant(one.hop.remote.ip()))
            .map(|(id, _)| *id)
            .collect()
    }

    /// Tells the door; whoever is banned is cut off.
    pub(super) fn apply(&mut self, action: &Action) -> Vec<Input> {
        self.inbox.door().apply(action);
        let ban = match action {
            Action::Ban(ban) => ban,
            Action::Known { network, prefix } => {
                let open = &self.open;
                self.strangers.retain(|id| {
                    open.get(id).is_some_and(|one| {
                        let remote = one.hop.remote.ip().to_canonical();
                        one.hop.network != *network || !prefix.contains(&remote)
                    })
                });
                return Vec::new();
            }
            Action::Unban { .. } | Action::Unknown { .. } | Action::Limits { .. } => {
                return Vec::new();
            }
        };
        let is_banned = |hop: &Hop| {
            hop.network == ban.network && ban.prefix.contains(&hop.remote.ip().to_canonical())
        };
        let banned: Vec<ConnectionId> = self
            .open
            .iter()
            .filter(|(_, connection)| is_banned(&connection.hop))
            .map(|(id, _)| *id)
            .collect();
        banned
            .into_iter()
            .filter_map(|id| self.close(id, Closed::Banned))
            .collect()
    }

    /// Closes all, and waits until what is queued has been written.
    pub(super) async fn finish(mut self) {
        let all: Vec<ConnectionId> = self.open.keys().copied().collect();
        for id in all {
            self.close(id, Closed::Local);
        }
        while self.writers.join_next().await.is_some() {}
    }

    /// Opens a connection. Its writer connects, so that closing it at once still lets what is queued leave.
    fn connect(&mut self, hop: Hop, tasks: &mut JoinSet<()>) -> ConnectionId {
        let hop = self.name(hop);
        let id = ConnectionId(self.next);
        let (queue, queued) = connection::queue();
        let (inbox, patience) = (self.inbox.clone(), self.limits.patience);
        let (pass, passed) = oneshot::channel();
        let dscp = self.dscp.get(&hop.network).copied();
        let dscp = dscp.unwrap_or(Dscp::default().sip);
        let reader = tasks.spawn({
            let (inbox, pong) = (inbox.clone(), queue.clone());
            async move {
                if let Ok(reading) = passed.await {
                    connection::read(reading, hop, pong, inbox, patience).await;
                }
            }
        });
        self.writers.spawn(async move {
            let opened = timeout(patience.connect, open(hop, dscp)).await;
            match opened.unwrap_or_else(|late| Err(late.into())) {
                Ok(stream) => {
                    let (reading, writing) = stream.into_split();
                    // A reader that is gone: the connection is closed once what is queued has left.
                    let _ = pass.send(reading);
                    connection::write(writing, queued, hop, inbox, patience).await;
                }
                Err(error) => {
                    debug!(remote = %hop.remote, %error, "cannot connect");
                    queued.lose(None, hop, &inbox, Closed::Unreachable).await;
                }
            }
        });
        self.insert(Connection { hop, queue, reader });
        id
    }

    /// Gives a hop its connection.
    fn name(&mut self, hop: Hop) -> Hop {
        self.next += 1;
        Hop {
            connection: Some(ConnectionId(self.next)),
            ..hop
        }
    }

    fn insert(&mut self, connection: Connection) {
        let hop = connection.hop;
        let Some(id) = hop.connection else {
            return;
        };
        self.by_remote
            .insert((hop.network, hop.local.ip(), hop.remote), id);
        *self.by_source.entry(source(hop.remote.ip())).or_default() += 1;
        self.inbox
            .counters()
            .network(hop.network)
            .connections
            .add(1);
        self.open.insert(id, connection);
    }
}

/// Takes connections for as long as it is left alone.
pub(super) async fn listen(listener: TcpListener, local: Local, inbox: Inbox) {
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                let hop = local.hop(remote, None);
                if inbox.admit(&hop).is_err() {
                    continue;
                }
                inbox.put(Event::Accepted { hop, stream }).await;
            }
            Err(error) => {
                // Out of files, most likely: those that are open will be closed some time.
                warn!(%error, address = %local.address, "cannot take a connection");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
    }
}

async fn open(hop: Hop, dscp: u8) -> std::io::Result<TcpStream> {
    let socket: std::net::TcpStream = bind::tcp_from(hop.local.ip(), dscp)?.into();
    let stream = TcpSocket::from_std_stream(socket)
        .connect(hop.remote)
        .await?;
    tune(&stream);
    Ok(stream)
}

/// No delay; a far end that is gone is found out in a few minutes.
fn tune(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(20))
        .with_retries(4);
    let set = socket
        .set_tcp_nodelay(true)
        .and_then(|()| socket.set_tcp_keepalive(&keepalive))
        .and_then(|()| socket.set_tcp_user_timeout(Some(Duration::from_secs(30))));
    if let Err(error) = set {
        debug!(%error, "a connection's options stay as they are");
    }
}

/// What counts as one source: an IPv4 address, or the /64 that an IPv6 host has for itself.
fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}
