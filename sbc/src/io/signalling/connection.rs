//! One TCP connection: a task that reads and frames, a task that writes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use sbc_ebpf::shed::Shed;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use super::counters::Closed;
use super::inbox::{Event, Inbox};
use crate::engine::Input;
use crate::sip::Limits;
use crate::sip::stream::{Frame, Framer};
use crate::transaction::Hop;

/// Bytes taken from the kernel at once.
const CHUNK: usize = 16 << 10;
/// Messages that may wait to be written.
const QUEUE: usize = 64;
/// Bytes that may wait to be written: two of the largest messages.
const QUEUE_BYTES: usize = 128 << 10;
/// What answers a keep-alive (RFC 5626 3.5.1).
const PONG: &[u8] = b"\r\n";
/// How long the rest of a broken stream is thrown away, so that the kernel does not reset the connection under our answer.
const LINGER: Duration = Duration::from_secs(2);

/// How long a connection may take over things.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Until it is open.
    pub connect: Duration,
    /// From its beginning to the first message, and from the first byte of each message to its last.
    pub message: Duration,
    /// Without a message or a keep-alive. Longer than a usual registration lives.
    pub idle: Duration,
    /// For the other end to take what we write.
    pub write: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            connect: Duration::from_secs(5),
            message: Duration::from_secs(30),
            idle: Duration::from_secs(3900),
            write: Duration::from_secs(20),
        }
    }
}

/// What a connection's writer writes.
#[derive(Debug)]
pub(super) enum Outgoing {
    /// A message, with the hop that it was to take.
    Message(Hop, Bytes),
    /// The answer to a keep-alive.
    Pong,
}

impl Outgoing {
    fn bytes(&self) -> &[u8] {
        match self {
            Outgoing::Message(_, bytes) => bytes,
            Outgoing::Pong => PONG,
        }
    }
}

/// The near end of the queue to a connection's writer.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    sender: mpsc::Sender<Outgoing>,
    bytes: Arc<AtomicUsize>,
}

/// The far end of it.
#[derive(Debug)]
pub(super) struct Queued {
    receiver: mpsc::Receiver<Outgoing>,
    bytes: Arc<AtomicUsize>,
}

/// A queue of messages to be written.
pub(super) fn queue() -> (Queue, Queued) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let bytes = Arc::new(AtomicUsize::new(0));
    let queue = Queue {
        sender,
        bytes: Arc::clone(&bytes),
    };
    (queue, Queued { receiver, bytes })
}

impl Queue {
    /// Whether there was room.
    pub(super) fn put(&self, outgoing: Outgoing) -> bool {
        let length = outgoing.bytes().len();
        let waiting = self.bytes.fetch_add(length, Ordering::Relaxed);
        // However large, one message always has room.
        let fits = waiting == 0 || waiting + length <= QUEUE_BYTES;
        let taken = fits && self.sender.try_send(outgoing).is_ok();
        if !taken {
            self.bytes.fetch_sub(length, Ordering::Relaxed);
        }
        taken
    }
}

impl Queued {
    /// Reports that the connection is lost, and all that waits, after `first`, as not sent.
    pub(super) async fn lose(
        mut self,
        first: Option<Outgoing>,
        hop: Hop,
        inbox: &Inbox,
        reason: Closed,
    ) {
        // From here on there is no room: whoever queues learns it at once.
        self.receiver.close();
        let mut next = first.or_else(|| self.receiver.try_recv().ok());
        while let Some(outgoing) = next {
            if let Outgoing::Message(hop, bytes) = outgoing {
                inbox
                    .put(Event::Input(Input::SendFailed { hop, bytes }))
                    .await;
            }
            next = self.receiver.try_recv().ok();
        }
        report_closed(hop, inbox, reason).await;
    }
}

async fn report_closed(hop: Hop, inbox: &Inbox, reason: Closed) {
    if let Some(connection) = hop.connection {
        let closed = Event::Closed {
            connection,
            network: hop.network,
            reason,
        };
        inbox.put(closed).await;
    }
}

/// Reads until the stream ends, breaks or takes too long, and reports that last.
pub(super) async fn read(
    half: OwnedReadHalf,
    hop: Hop,
    pong: Queue,
    inbox: Inbox,
    patience: Patience,
) {
    let reason = read_messages(&half, hop, pong, &inbox, patience).await;
    report_closed(hop, &inbox, reason).await;
    if reason == Closed::Broken {
        // Whoever goes on sending is cut off all the same.
        let _ = timeout(LINGER, discard(&half)).await;
    }
}

async fn read_messages(
    half: &OwnedReadHalf,
    hop: Hop,
    pong: Queue,
    inbox: &Inbox,
    patience: Patience,
) -> Closed {
    let mut framer = Framer::new(Limits::default());
    let mut deadline = Instant::now() + patience.message;
    let mut spoke = false;
    loop {
        let Ok(ready) = timeout_at(deadline, half.readable()).await else {
            return Closed::Idle;
        };
        let was_empty = framer.buffered() == 0;
        match ready.and_then(|()| fill(half, &mut framer)) {
            Ok(0) => return Closed::Peer,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(_) => return Closed::Failed,
        }
        let mut progress = false;
        loop {
            match framer.next() {
                Ok(Some(Frame::Message(bytes))) => {
                    spoke = true;
                    match inbox.admit(&hop) {
                        Ok(()) => {}
                        Err(Shed::Banned) => return Closed::Banned,
                        // What he asked for he may ask for again.
                        Err(Shed::Flood) => {
                            progress = true;
                            continue;
                        }
                    }
                    inbox.put(Event::Input(Input::Message { hop, bytes })).await;
                }
                Ok(Some(Frame::Ping)) => {
                    if !pong.put(Outgoing::Pong) {
                        return Closed::Stuck;
                    }
                }
                Ok(Some(Frame::Pong)) => {}
                Ok(None) => break,
                Err(error) => {
                    let reason = error.label();
                    inbox
                        .put(Event::Input(Input::StreamBroken { hop, reason }))
                        .await;
                    return Closed::Broken;
                }
            }
            progress = true;
        }
        // Who has not said anything yet, and who goes on with the same message: the time runs.
        if spoke && (progress || was_empty) {
            let patience = if framer.buffered() == 0 {
                patience.idle
            } else {
                patience.message
            };
            deadline = Instant::now() + patience;
        }
        // Whoever sends without a pause is always readable, and would have the thread to himself.
        tokio::task::yield_now().await;
    }
}

/// Takes what is there into the framer. The buffer lives for this call only: an idle connection costs none.
fn fill(half: &OwnedReadHalf, framer: &mut Framer) -> io::Result<usize> {
    let mut buffer = [0; CHUNK];
    let length = half.try_read(&mut buffer)?;
    framer.push(buffer.get(..length).unwrap_or_default());
    Ok(length)
}

async fn discard(half: &OwnedReadHalf) {
    let mut buffer = [0; 1024];
    while half.readable().await.is_ok() {
        match half.try_read(&mut buffer) {
            Ok(0) => return,
            // Also so that the time limit is looked at.
            Ok(_) => tokio::task::yield_now().await,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

/// Writes what is queued until the queue's near ends are gone, then says so to the other end.
pub(super) async fn write(
    mut half: OwnedWriteHalf,
    mut queued: Queued,
    hop: Hop,
    inbox: Inbox,
    patience: Patience,
) {
    while let Some(outgoing) = queued.receiver.recv().await {
        let reason = match timeout(patience.write, half.write_all(outgoing.bytes())).await {
            Ok(Ok(())) => {
                queued
                    .bytes
                    .fetch_sub(outgoing.bytes().len(), Ordering::Relaxed);
                continue;
            }
            Ok(Err(_)) => Closed::Failed,
            Err(_) => Closed::Stuck,
        };
        return queued.lose(Some(outgoing), hop, &inbox, reason).await;
    }
    // It may be gone already: then there is no one to tell.
    let _ = half.shutdown().await;
}
