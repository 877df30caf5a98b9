//! One UDP socket: a task that receives, sending from where the engine is, a queue for when the kernel's is full.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tracing::debug;

use super::Local;
use super::inbox::{Event, Inbox};
use crate::engine::Input;

/// The largest datagram there is.
const DATAGRAM: usize = 65_535;
/// Datagrams taken before other tasks get their turn.
const BATCH: usize = 64;
/// Datagrams that may wait until the kernel takes them.
const WAITING: usize = 512;

/// One address and port that SIP comes in at.
#[derive(Debug)]
pub(super) struct UdpPort {
    socket: Arc<UdpSocket>,
    waiting: mpsc::Sender<(SocketAddr, Bytes)>,
    /// How many have not left yet: those in the queue, and the one that its task has taken out and waits with.
    unsent: Arc<AtomicUsize>,
    inbox: Inbox,
    local: Local,
    receiver: AbortHandle,
}

impl UdpPort {
    /// Starts the tasks of an open socket.
    pub(super) fn start(
        socket: std::net::UdpSocket,
        local: Local,
        inbox: Inbox,
        tasks: &mut JoinSet<()>,
    ) -> io::Result<Self> {
        let socket = Arc::new(UdpSocket::from_std(socket)?);
        let (waiting, queue) = mpsc::channel(WAITING);
        let unsent = Arc::new(AtomicUsize::new(0));
        let receiver = tasks.spawn(receive(Arc::clone(&socket), local, inbox.clone()));
        tasks.spawn(send_waiting(
            Arc::clone(&socket),
            queue,
            Arc::clone(&unsent),
            local,
            inbox.clone(),
        ));
        Ok(UdpPort {
            socket,
            waiting,
            unsent,
            inbox,
            local,
            receiver,
        })
    }

    /// Sends now, or queues, or drops and counts (as the network itself might): an error is one that will not pass.
    pub(super) fn send(&self, remote: SocketAddr, bytes: Bytes) -> io::Result<()> {
        // Nothing overtakes what waits.
        if self.is_idle() {
            match self.socket.try_send_to(&bytes, remote) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        self.unsent.fetch_add(1, Ordering::Relaxed);
        if self.waiting.try_send((remote, bytes)).is_err() {
            self.unsent.fetch_sub(1, Ordering::Relaxed);
            let counters = self.inbox.counters().network(self.local.network);
            counters.overload_out.add(1);
        }
        Ok(())
    }

    /// Whether all that was to be sent has been.
    pub(super) fn is_idle(&self) -> bool {
        self.unsent.load(Ordering::Relaxed) == 0
    }
}

impl Drop for UdpPort {
    /// Nothing is received any more; what waits is still sent.
    fn drop(&mut self) {
        self.receiver.abort();
    }
}

async fn receive(socket: Arc<UdpSocket>, local: Local, inbox: Inbox) {
    let mut buffer = vec![0; DATAGRAM];
    loop {
        if let Err(error) = socket.ready(Interest::READABLE).await {
            debug!(%error, address = %local.address, "UDP socket");
        }
        for _ in 0..BATCH {
            match socket.try_recv_from(&mut buffer) {
                Ok((length, remote)) => {
                    let hop = local.hop(remote, None);
                    if inbox.admit(&hop).is_err() {
                        continue;
                    }
                    let datagram = buffer.get(..length).unwrap_or_default();
                    // A copy of its own size: a message that lives long must not hold a whole buffer.
                    inbox.datagram(hop, Bytes::copy_from_slice(datagram));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // What an earlier datagram of ours ran into; nothing is wrong with the socket.
                Err(error) => debug!(%error, address = %local.address, "UDP socket"),
            }
        }
        tokio::task::yield_now().await;
    }
}

async fn send_waiting(
    socket: Arc<UdpSocket>,
    mut queue: mpsc::Receiver<(SocketAddr, Bytes)>,
    unsent: Arc<AtomicUsize>,
    local: Local,
    inbox: Inbox,
) {
    while let Some((remote, bytes)) = queue.recv().await {
        let sent = socket.send_to(&bytes, remote).await;
        unsent.fetch_sub(1, Ordering::Relaxed);
        if let Err(error) = sent {
            debug!(%error, local = %local.address, %remote, "cannot send");
            let hop = local.hop(remote, None);
            inbox
                .put(Event::Input(Input::SendFailed { hop, bytes }))
                .await;
        }
    }
}
