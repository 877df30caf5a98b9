//! The seam: how datagrams come and go, without a word about what happens to them.
//!
//! A [`Backend`] owns the sockets of one worker and moves datagrams; a [`Handler`] (the flow table, `relay.rs`) says of
//! each one where it goes, or makes others in its place. [`super::ring`] is the backend on io_uring, [`super::epoll`] the one for
//! hosts that refuse it.
//!
//! What every backend keeps: nothing is allocated and no lock is taken per datagram; after `close(id)` nothing more is
//! reported of `id` but one `closed`; nobody waits but in `turn`.

use std::io;
use std::net::SocketAddr;

/// The longest payload that is relayed, in bytes: more than an Ethernet frame carries.
pub const MAX_PAYLOAD: usize = 2048;

/// A socket of a backend. An index is used again after a socket was closed, a generation of an index never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct SocketId {
    /// Below the capacity that the backend was made with: for tables.
    pub(super) index: u16,
    /// How many sockets had this index before.
    pub(super) generation: u32,
}

/// What a socket is opened with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Local {
    /// It is bound here.
    pub(super) address: SocketAddr,
    /// What it sends has this DSCP, 0 to 63.
    pub(super) dscp: u8,
}

/// Where a datagram goes: from this socket to this address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Departure {
    /// It leaves from here.
    pub(super) socket: SocketId,
    /// To there; of the socket's address family.
    pub(super) to: SocketAddr,
    /// Comes back with [`Handler::send_failed`].
    pub(super) account: Account,
}

/// On whose account a datagram leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Account {
    /// The network it came in on.
    pub(super) network: u16,
    /// The index of the socket that it came in by.
    pub(super) socket: u16,
}

/// Why a datagram that was let in did not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SendFailure {
    /// The socket's or the backend's queue is full.
    Overload,
    /// The stack refused it: no route, a firewall, an address that cannot be.
    Refused,
}

/// What a backend reports; what happens to a datagram is answered at once.
pub(super) trait Handler {
    /// A datagram of at most [`MAX_PAYLOAD`] bytes: where it goes as it is. `None`: nowhere; [`Handler::made`] has what leaves in its
    /// place, if anything does.
    fn packet(&mut self, socket: SocketId, from: SocketAddr, payload: &[u8]) -> Option<Departure>;
    /// The next datagram that the handler has made, at most [`MAX_PAYLOAD`] bytes, and where it goes. To be asked whenever `packet` has
    /// given `None`, until there is none.
    fn made(&mut self) -> Option<(Departure, &[u8])>;
    /// A datagram that was longer than [`MAX_PAYLOAD`], and is gone.
    fn too_big(&mut self, socket: SocketId);
    /// A datagram that was to leave did not.
    fn send_failed(&mut self, account: Account, failure: SendFailure);
    /// A socket is closed, its port free.
    fn closed(&mut self, socket: SocketId);
    /// A socket receives no more, for this reason; it stays until it is closed.
    fn broken(&mut self, socket: SocketId, error: &io::Error);
    /// There were more datagrams than room to read them into: they wait in their sockets.
    fn starved(&mut self);
}

/// How long a turn waits for something to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// It only looks.
    No,
    /// Until then at most, in nanoseconds of the monotonic clock; whole milliseconds later, where the system counts these.
    Until(u64),
    /// The same, and it lets things come meanwhile, so as to have them together; it may end before, when that is many.
    Gather(u64),
    /// As long as it takes.
    Forever,
}

/// What a turn was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    /// Somebody rang the [`Bell`].
    pub(super) woken: bool,
    /// When it ended, in nanoseconds of the monotonic clock.
    pub(super) ended: u64,
}

/// Moves the datagrams of one worker's sockets.
pub(super) trait Backend {
    /// Opens the sockets of a pair's two sides, all that are wanted or none: receives from them, and sends from them as they
    /// are marked.
    ///
    /// # Errors
    /// `AddrInUse`: someone else has a port. Anything else: the backend is full, or the system refuses.
    fn open(&mut self, sockets: [Option<Local>; 2]) -> io::Result<[Option<SocketId>; 2]>;

    /// What this socket sends from now on has this DSCP, 0 to 63.
    ///
    /// # Errors
    /// The socket is not open, or the system refuses; it sends as before.
    fn mark(&mut self, socket: SocketId, dscp: u8) -> io::Result<()>;

    /// Ends a socket: at once for the handler, and for the system by the time of [`Handler::closed`]. What was to leave from it still does.
    fn close(&mut self, socket: SocketId);

    /// Sends what the handler has made without being asked, by copies. What there is no room for is [`SendFailure::Overload`].
    fn flush(&mut self, handler: &mut impl Handler);

    /// Waits until something happened, as long as it may, and reports all of it.
    ///
    /// # Errors
    /// The backend itself is broken: the worker ends.
    fn turn(&mut self, wait: Wait, handler: &mut impl Handler) -> io::Result<Turn>;
}

/// Wakes a worker out of its turn, from any thread: an eventfd.
#[derive(Debug)]
pub(super) struct Bell(std::fs::File);

impl Bell {
    /// Takes an eventfd, one that blocks.
    pub(super) fn new(eventfd: std::os::fd::OwnedFd) -> Bell {
        Bell(eventfd.into())
    }

    /// The other end of it.
    ///
    /// # Errors
    /// No more file descriptors.
    pub(super) fn try_clone(&self) -> io::Result<Bell> {
        self.0.try_clone().map(Bell)
    }

    /// Rings. A thousand rings before the worker looks are one.
    pub(super) fn ring(&self) {
        use std::io::Write;
        // It fails only when 2^64 - 2 rings were not heard, and then the worker is awake in any case.
        let _ = (&self.0).write(&1u64.to_ne_bytes());
    }

    /// For the backend.
    pub(super) fn as_raw_fd(&self) -> std::os::fd::RawFd {
        std::os::fd::AsRawFd::as_raw_fd(&self.0)
    }
}
