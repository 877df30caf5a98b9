//! The way from sockets to the task that owns the engine: bounded in messages and in bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sbc_ebpf::shed::Shed;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::counters::{Closed, Counters};
use super::door::Door;
use crate::config::NetworkId;
use crate::engine::Input;
use crate::transaction::{ConnectionId, Hop};

/// Events that may wait for the engine.
const EVENTS: usize = 8192;
/// Bytes of datagrams that may wait for the engine.
const BYTES: usize = 32 << 20;

/// Reports of media threads that may wait for the engine: as many as flows could end at once.
const REPORTS: usize = 1 << 16;

/// What sockets report.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "reports of flows are few, and nothing of them is allocated"
)]
pub enum Event {
    /// For the engine as it is.
    Input(Input),
    /// Someone connected to a listener.
    Accepted {
        /// Our listening address and the other end; no connection yet.
        hop: Hop,
        /// The connection.
        stream: TcpStream,
    },
    /// A connection takes nothing in any more.
    Closed {
        /// Which.
        connection: ConnectionId,
        /// Its side of the box.
        network: NetworkId,
        /// Why.
        reason: Closed,
    },
}

/// The sockets' end.
#[derive(Clone, Debug)]
pub struct Inbox {
    sender: mpsc::Sender<Event>,
    reports: mpsc::Sender<Input>,
    bytes: Arc<AtomicUsize>,
    counters: Arc<Counters>,
    door: Door,
}

/// The engine's end.
#[derive(Debug)]
pub struct Events {
    receiver: mpsc::Receiver<Event>,
    reports: mpsc::Receiver<Input>,
    bytes: Arc<AtomicUsize>,
}

/// Both ends.
#[must_use]
pub fn inbox(counters: Arc<Counters>, door: Door) -> (Inbox, Events) {
    let (sender, receiver) = mpsc::channel(EVENTS);
    let (report_sender, reports) = mpsc::channel(REPORTS);
    let bytes = Arc::new(AtomicUsize::new(0));
    let inbox = Inbox {
        sender,
        reports: report_sender,
        bytes: Arc::clone(&bytes),
        counters,
        door,
    };
    let events = Events {
        receiver,
        reports,
        bytes,
    };
    (inbox, events)
}

impl Inbox {
    /// Whether what came by this hop is read at all; what is not is counted.
    pub(super) fn admit(&self, hop: &Hop) -> Result<(), Shed> {
        let admitted = self.door.admit(hop);
        if let Err(shed) = admitted {
            self.counters.network(hop.network).count_shed(shed);
        }
        admitted
    }

    pub(super) fn door(&self) -> &Door {
        &self.door
    }

    /// A message that came in a datagram. Where there is no room it is dropped and counted: its sender repeats it.
    pub(super) fn datagram(&self, hop: Hop, bytes: bytes::Bytes) {
        let length = bytes.len();
        let waiting = self.bytes.fetch_add(length, Ordering::Relaxed);
        let event = Event::Input(Input::Message { hop, bytes });
        if waiting > BYTES || self.sender.try_send(event).is_err() {
            self.bytes.fetch_sub(length, Ordering::Relaxed);
            self.counters.network(hop.network).overload_in.add(1);
        }
    }

    /// What may not get lost: waits for room, so that a stream's sender is slowed down.
    pub(in crate::io) async fn put(&self, event: Event) {
        self.bytes.fetch_add(length(&event), Ordering::Relaxed);
        // Without a receiver the daemon is ending: nobody misses the event.
        let _ = self.sender.send(event).await;
    }

    /// What a media thread reports; it must not wait. Sockets cannot fill this queue. Whether there was room.
    pub fn report(&self, input: Input) -> bool {
        self.reports.try_send(input).is_ok()
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }
}

impl Events {
    /// Waits for at least one event, or report of a media thread, and appends at most `limit` of each: neither waits behind a flood of the
    /// other. Nothing is lost when the wait is given up.
    pub async fn receive(&mut self, into: &mut Vec<Event>, limit: usize) {
        let before = into.len();
        let (mut events, mut reports) = tokio::select! {
            count = self.receiver.recv_many(into, limit) => (limit.saturating_sub(count), limit),
            Some(report) = self.reports.recv() => {
                into.push(Event::Input(report));
                (limit, limit.saturating_sub(1))
            }
        };
        while events > 0
            && let Ok(event) = self.receiver.try_recv()
        {
            into.push(event);
            events -= 1;
        }
        while reports > 0
            && let Ok(report) = self.reports.try_recv()
        {
            into.push(Event::Input(report));
            reports -= 1;
        }
        let freed = into.iter().skip(before).map(length).sum();
        self.bytes.fetch_sub(freed, Ordering::Relaxed);
    }
}

fn length(event: &Event) -> usize {
    match event {
        Event::Input(Input::Message { bytes, .. } | Input::SendFailed { bytes, .. }) => bytes.len(),
        _ => 0,
    }
}
