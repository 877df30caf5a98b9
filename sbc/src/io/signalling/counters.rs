//! What the sockets have counted: plain numbers, read at scrape.

use std::sync::atomic::{AtomicU64, Ordering};

use sbc_ebpf::shed::Shed;

use crate::config::NetworkId;

/// A number that only grows, or a gauge; written by socket tasks, read at scrape.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(super) fn subtract(&self, less: u64) {
        self.0.fetch_sub(less, Ordering::Relaxed);
    }

    /// As of now.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Why a connection was closed, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The other end closed it.
    Peer,
    /// It could not be framed.
    Broken,
    /// A message was begun and not completed, or none ever came, or nothing came for an hour.
    Idle,
    /// The kernel gave it up.
    Failed,
    /// The other end does not read what it asked for.
    Stuck,
    /// We were done with it.
    Local,
    /// We could not open it.
    Unreachable,
    /// The other end is banned.
    Banned,
    /// A stranger's, the oldest of too many: another one needed the room.
    Crowded,
}

impl Closed {
    /// All of them.
    pub const ALL: [Closed; 9] = [
        Closed::Peer,
        Closed::Broken,
        Closed::Idle,
        Closed::Failed,
        Closed::Stuck,
        Closed::Local,
        Closed::Unreachable,
        Closed::Banned,
        Closed::Crowded,
    ];

    /// The metric label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Closed::Peer => "peer",
            Closed::Broken => "broken",
            Closed::Idle => "idle",
            Closed::Failed => "failed",
            Closed::Stuck => "stuck",
            Closed::Local => "local",
            Closed::Unreachable => "unreachable",
            Closed::Banned => "banned",
            Closed::Crowded => "crowded",
        }
    }
}

/// One network's.
#[derive(Debug, Default)]
pub struct NetworkCounters {
    /// Datagrams dropped because the engine's queue was full.
    pub overload_in: Count,
    /// Datagrams dropped because a socket's queue was full.
    pub overload_out: Count,
    /// Connections that are open now.
    pub connections: Count,
    /// Connections turned away because there were too many in all.
    pub refused_total: Count,
    /// Connections turned away because there were too many from that source.
    pub refused_source: Count,
    closed: [Count; Closed::ALL.len()],
    shed: [Count; Shed::ALL.len()],
}

impl NetworkCounters {
    /// Connections closed for this reason.
    #[must_use]
    pub fn closed(&self, reason: Closed) -> u64 {
        self.closed_count(reason).map_or(0, Count::value)
    }

    pub(super) fn count_closed(&self, reason: Closed) {
        if let Some(count) = self.closed_count(reason) {
            count.add(1);
        }
    }

    /// Datagrams, connections and messages that were dropped unread for this reason.
    #[must_use]
    pub fn shed(&self, reason: Shed) -> u64 {
        self.shed_count(reason).map_or(0, Count::value)
    }

    pub(super) fn count_shed(&self, reason: Shed) {
        if let Some(count) = self.shed_count(reason) {
            count.add(1);
        }
    }

    fn shed_count(&self, reason: Shed) -> Option<&Count> {
        let index = Shed::ALL.iter().position(|&one| one == reason)?;
        self.shed.get(index)
    }

    fn closed_count(&self, reason: Closed) -> Option<&Count> {
        let index = Closed::ALL.iter().position(|&one| one == reason)?;
        self.closed.get(index)
    }
}

/// All networks'.
#[derive(Debug)]
pub struct Counters {
    networks: Vec<NetworkCounters>,
    /// For an id that no config gave.
    stray: NetworkCounters,
}

impl Counters {
    /// For this many networks.
    #[must_use]
    pub fn new(networks: usize) -> Self {
        Counters {
            networks: (0..networks).map(|_| NetworkCounters::default()).collect(),
            stray: NetworkCounters::default(),
        }
    }

    /// One network's.
    #[must_use]
    pub fn network(&self, id: NetworkId) -> &NetworkCounters {
        self.networks.get(id.index()).unwrap_or(&self.stray)
    }
}
