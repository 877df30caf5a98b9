//! The backend on io_uring: multishot receives into provided buffers, sockets in the ring's own file table, sends in batches.
//!
//! A turn is one system call: it submits the sends of the turn before and waits for what comes next, under load for several
//! datagrams at once ([`pace`]). A datagram is never copied in user space: it leaves from the buffer it came in. Requests name a
//! socket by its place in the file table; its descriptor is kept for what io_uring learnt only after Linux 6.1, setting options.
//!
//! Needs Linux 6.1. Architecture Invariant: this module, its children included, has all unsafe code of the daemon. What it rests on:
//! - Memory that the kernel may read or write (buffers, the wake-up's counter, the message header) is on the heap, never
//!   moves, and is freed after the ring is closed *and* every request in flight has completed ([`Ring`]'s `Drop`).
//! - A buffer is the kernel's or ours, never both: [`buffers::Held`].
#![expect(
    unsafe_code,
    reason = "io_uring shares memory with the kernel: its safety is what this module is about"
)]

use std::io;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::time::Duration;

use io_uring::types::{CancelBuilder, Fd, Fixed, SubmitArgs, Timespec};
use io_uring::{IoUring, Probe, cqueue, opcode, squeue};

use super::backend::{Backend, Bell, Handler, Local, SendFailure, SocketId, Turn, Wait};
use super::refusal::Refusal;
use super::system::nanoseconds;
use buffers::{Buffers, Pages};
use pace::Pace;
use sockets::{Sockets, State};
use system::refused;
use tag::Tag;

mod buffers;
mod pace;
pub(super) mod scheduling;
mod sending;
mod sockets;
mod system;
mod tag;

/// Sends and other requests that are pushed before the ring is entered in any case.
const SUBMISSIONS: u32 = 1024;
/// Completions that fit before the kernel has to put some aside: all buffers, and requests to spare.
const COMPLETIONS: u32 = 8192;
/// The one group of buffers.
const GROUP: u16 = 0;

/// io_uring, and all that its requests point to.
pub(super) struct Ring {
    io: ManuallyDrop<IoUring>,
    shared: ManuallyDrop<Shared>,
    sockets: Sockets,
    /// Their descriptors, by place.
    descriptors: Box<[Option<UdpSocket>]>,
    /// Sends under way.
    sending: u32,
    /// Requests under way that are not sends.
    pending: u32,
    /// Datagrams that this turn has brought.
    arrived: u32,
    pace: Pace,
    bell: Bell,
}

/// What the kernel reads and writes while requests are under way: all of it behind pointers.
struct Shared {
    buffers: Buffers,
    /// What to receive of a datagram's source, the same for all sockets; and the wake-up's counter at [`COUNTER`].
    pages: Pages,
}

/// Where the counter is in its page.
const COUNTER: usize = 512;
const _: () = assert!(size_of::<libc::msghdr>() <= COUNTER);

impl Ring {
    /// A ring with room for so many sockets. It belongs to the calling thread for good.
    ///
    /// # Errors
    /// The kernel has no io_uring as it is needed here, or does not let us, or is short of memory or descriptors.
    pub(super) fn new(capacity: u16, bell: Bell) -> Result<Ring, Refusal> {
        let io: IoUring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_clamp()
            .setup_cqsize(COMPLETIONS)
            .build(SUBMISSIONS)
            .map_err(refused)?;
        let mut probe = Probe::new();
        io.submitter().register_probe(&mut probe).map_err(refused)?;
        let needed = [
            opcode::RecvMsgMulti::CODE,
            opcode::Send::CODE,
            opcode::AsyncCancel::CODE,
            opcode::Read::CODE,
        ];
        if !needed.iter().all(|&code| probe.is_supported(code)) {
            return Err(Refusal::Old);
        }
        io.submitter()
            .register_files_sparse(u32::from(capacity))
            .map_err(refused)?;

        // SAFETY: a msghdr of zeros is one without name, data and control data.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_namelen = buffers::NAME as libc::socklen_t;
        let pages = Pages::new(COUNTER + size_of::<u64>());
        // SAFETY: the page has room for a header (asserted above), and is aligned for it.
        unsafe { pages.start().cast::<libc::msghdr>().write(header) };
        let shared = Shared {
            buffers: Buffers::new(),
            pages,
        };
        // From here on the ring is dropped before the buffers are.
        let mut ring = Ring {
            io: ManuallyDrop::new(io),
            shared: ManuallyDrop::new(shared),
            sockets: Sockets::new(capacity),
            descriptors: (0..capacity).map(|_| None).collect(),
            sending: 0,
            pending: 0,
            arrived: 0,
            pace: Pace::default(),
            bell,
        };
        // SAFETY: the ring of buffers has COUNT entries, and is freed only after io_uring is closed (`Drop`).
        unsafe {
            ring.io.submitter().register_buf_ring_with_flags(
                ring.shared.buffers.ring_address(),
                buffers::COUNT,
                GROUP,
                0,
            )
        }
        .map_err(refused)?;
        // Entering it may be refused too: that is to be known now.
        ring.listen()
            .and_then(|()| ring.submit())
            .map_err(refused)?;
        Ok(ring)
    }

    /// Waits for the next ring of the bell.
    fn listen(&mut self) -> io::Result<()> {
        // SAFETY: the page was made with room for the counter there.
        let counter = unsafe { self.shared.pages.start().add(COUNTER) };
        let read = opcode::Read::new(Fd(self.bell.as_raw_fd()), counter.as_ptr(), 8).build();
        self.push(&read, Tag::Wake)?;
        self.pending += 1;
        Ok(())
    }

    /// Gives a socket a place in the file table.
    fn enter(&mut self, socket: UdpSocket) -> io::Result<SocketId> {
        let id = self.sockets.take().ok_or_else(sockets::full)?;
        let submitter = self.io.submitter();
        submitter
            .register_files_update(id.index.into(), &[socket.as_raw_fd()])
            .inspect_err(|_| self.sockets.give_back(id))?;
        if let Some(place) = self.descriptors.get_mut(usize::from(id.index)) {
            *place = Some(socket);
        }
        Ok(id)
    }

    /// Arms what is not, as long as there are buffers to receive into.
    fn arm_all(&mut self) {
        while self.shared.buffers.free() > 0
            && let Some(id) = self.sockets.next_unarmed()
        {
            let header = self.shared.pages.start().cast::<libc::msghdr>().as_ptr();
            let receive = opcode::RecvMsgMulti::new(Fixed(id.index.into()), header, GROUP).build();
            if self.push(&receive, Tag::Receive(id)).is_err() {
                return self.sockets.not_armed(id);
            }
            self.pending += 1;
            self.sockets.armed(id);
        }
    }

    /// Begins to close what was closed.
    fn close_all(&mut self, handler: &mut impl Handler) -> io::Result<()> {
        while let Some(id) = self.sockets.next_closed() {
            match self.sockets.state(id) {
                State::Closed => {
                    self.release(id, handler)?;
                    continue;
                }
                State::Closing => {}
                // Its receive has ended before it could be cancelled, and it was released then.
                _ => continue,
            }
            let cancel = opcode::AsyncCancel::new(Tag::Receive(id).pack()).build();
            if self.push(&cancel, Tag::Cancel).is_err() {
                self.sockets.not_closed(id);
                break;
            }
            self.pending += 1;
        }
        Ok(())
    }

    /// Puts a request into the queue, and submits what is in it if it is full. Fails if the kernel does not take any just now.
    fn push(&mut self, entry: &squeue::Entry, tag: Tag) -> io::Result<()> {
        let entry = entry.clone().user_data(tag.pack());
        for _ in 0..2 {
            // SAFETY: whatever our requests point to (a held buffer, `Shared`) stays where it is until their completion: a
            // buffer is not given back before, and `Shared` is freed when nothing is under way.
            if unsafe { self.io.submission().push(&entry) }.is_ok() {
                return Ok(());
            }
            self.submit()?;
        }
        Err(io::ErrorKind::QuotaExceeded.into())
    }

    fn submit(&mut self) -> io::Result<()> {
        if self.io.submission().is_empty() {
            return Ok(());
        }
        settle(self.io.submit()).map(drop)
    }

    /// Has the kernel forget a socket, and its place used again.
    fn release(&mut self, id: SocketId, handler: &mut impl Handler) -> io::Result<()> {
        // What was to leave from this socket must have, before the place in the table is another's.
        self.submit()?;
        let submitter = self.io.submitter();
        submitter.register_files_update(id.index.into(), &[-1])?;
        if let Some(place) = self.descriptors.get_mut(usize::from(id.index)) {
            *place = None;
        }
        self.sockets.give_back(id);
        handler.closed(id);
        Ok(())
    }

    /// Whether that was the bell.
    fn complete(&mut self, entry: &cqueue::Entry, handler: &mut impl Handler) -> io::Result<bool> {
        match Tag::unpack(entry.user_data()) {
            Some(Tag::Receive(id)) => self.received(id, entry, handler)?,
            Some(Tag::Send { account, buffer }) => {
                self.sending = self.sending.saturating_sub(1);
                // SAFETY: this send has completed, and it held that buffer.
                if let Some(held) = unsafe { self.shared.buffers.take_sent(buffer) } {
                    self.shared.buffers.give_back(held);
                }
                match -entry.result() {
                    ..=0 => {}
                    libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM => {
                        handler.send_failed(account, SendFailure::Overload);
                    }
                    _ => handler.send_failed(account, SendFailure::Refused),
                }
            }
            Some(Tag::Wake) => {
                self.pending = self.pending.saturating_sub(1);
                self.listen()?;
                return Ok(true);
            }
            Some(Tag::Cancel) => self.pending = self.pending.saturating_sub(1),
            None => {}
        }
        Ok(false)
    }

    fn received(
        &mut self,
        id: SocketId,
        entry: &cqueue::Entry,
        handler: &mut impl Handler,
    ) -> io::Result<()> {
        let ends = !cqueue::more(entry.flags());
        if ends {
            self.pending = self.pending.saturating_sub(1);
        }
        // SAFETY: the kernel hands this buffer over with this completion, and each completion is seen once.
        let held = cqueue::buffer_select(entry.flags())
            .and_then(|number| unsafe { self.shared.buffers.take_received(number) });
        let state = self.sockets.state(id);
        if let Some(held) = held {
            self.arrived += 1;
            self.relay(id, held, entry.result(), state == State::Armed, handler);
        }
        match state {
            State::Closing if ends => return self.release(id, handler),
            State::Armed if ends => {
                if entry.result() == -libc::ENOBUFS {
                    handler.starved();
                }
                if self.sockets.ended(id, entry.result()) {
                    handler.broken(id, &io::Error::from_raw_os_error(-entry.result()));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Submits, and waits for what is worth a turn: so many datagrams or so long, else one. Sends complete by the time they are submitted, so that more than these is
    /// news; but when sockets wait for buffers, the sends are what brings them.
    fn wait(&self, collects: Option<(usize, u64)>, until: Option<u64>) -> io::Result<usize> {
        let sending = self.sending as usize;
        if self.sockets.has_unarmed() {
            return self.io.submit_and_wait(usize::from(sending > 0));
        }
        let left = until.map(|until| until.saturating_sub(nanoseconds()));
        let (datagrams, patience) = match (collects, left) {
            (None, None) => return self.io.submit_and_wait(sending + 1),
            (None, Some(left)) => (1, left),
            (Some((datagrams, most)), left) => {
                (datagrams, left.map_or(most, |left| left.min(most)))
            }
        };
        let patience = Timespec::from(Duration::from_nanos(patience));
        let wait = SubmitArgs::new().timespec(&patience);
        let submitter = self.io.submitter();
        submitter.submit_with_args(sending + datagrams, &wait)
    }

    /// Reports all completions there are. Whether the bell was rung.
    fn drain(&mut self, handler: &mut impl Handler) -> io::Result<bool> {
        let mut woken = false;
        let mut batch = [const { MaybeUninit::<cqueue::Entry>::uninit() }; 128];
        // No more than two rings full: commands have their turn too.
        for _ in 0..2 * COMPLETIONS / 128 {
            let entries = self.io.completion().fill(&mut batch);
            if entries.is_empty() {
                break;
            }
            for entry in entries {
                woken |= self.complete(entry, handler)?;
            }
        }
        self.shared.buffers.publish();
        Ok(woken)
    }
}

impl Backend for Ring {
    fn open(&mut self, sockets: [Option<Local>; 2]) -> io::Result<[Option<SocketId>; 2]> {
        let [first, second] = sockets.map(|local| local.map(super::socket::open).transpose());
        let [first, second] = [first?, second?];
        if self.sockets.free() < 2 {
            return Err(sockets::full());
        }
        let opened = first.map(|socket| self.enter(socket)).transpose()?;
        match second.map(|socket| self.enter(socket)).transpose() {
            Ok(other) => Ok([opened, other]),
            Err(error) => {
                opened.into_iter().for_each(|opened| self.close(opened));
                Err(error)
            }
        }
    }

    fn mark(&mut self, id: SocketId, dscp: u8) -> io::Result<()> {
        let is_open = matches!(
            self.sockets.state(id),
            State::Armed | State::Unarmed | State::Broken
        );
        let descriptor = self.descriptors.get(usize::from(id.index));
        match descriptor.and_then(Option::as_ref) {
            Some(socket) if is_open => super::socket::mark(socket, dscp),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn close(&mut self, id: SocketId) {
        self.sockets.close(id);
    }

    fn flush(&mut self, handler: &mut impl Handler) {
        self.send_made(None, handler);
    }

    fn turn(&mut self, wait: Wait, handler: &mut impl Handler) -> io::Result<Turn> {
        self.close_all(handler)?;
        self.arm_all();
        let entered = match wait {
            _ if self.sockets.has_closed() => self.io.submit(),
            Wait::No => self.io.submit(),
            Wait::Until(time) => self.wait(self.pace.collects(), Some(time)),
            Wait::Gather(time) => self.wait(Some((pace::ENOUGH, u64::MAX)), Some(time)),
            Wait::Forever => self.wait(self.pace.collects(), None),
        };
        settle(entered)?;
        self.arrived = 0;
        let woken = self.drain(handler)?;
        let ended = nanoseconds();
        self.pace.note(self.arrived, ended);
        Ok(Turn { woken, ended })
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        let cancel = opcode::AsyncCancel2::new(CancelBuilder::any()).build();
        let cancelled = self.push(&cancel, Tag::Cancel).is_ok();
        self.pending += u32::from(cancelled);
        // What was cancelled completes at once. A time-out is for a count that is wrong after an error.
        let patience = Timespec::new().sec(1);
        let wait = SubmitArgs::new().timespec(&patience);
        while cancelled && self.pending + self.sending > 0 {
            if self.io.submitter().submit_with_args(1, &wait).is_err() {
                break;
            }
            for entry in self.io.completion() {
                match Tag::unpack(entry.user_data()) {
                    Some(Tag::Send { .. }) => self.sending = self.sending.saturating_sub(1),
                    Some(_) if !cqueue::more(entry.flags()) => {
                        self.pending = self.pending.saturating_sub(1);
                    }
                    _ => {}
                }
            }
        }
        let quiet = self.pending + self.sending == 0;
        // The ring itself is closed some time later: the sockets, and their ports, are not to wait for that.
        let _ = self.io.submitter().unregister_files();
        // SAFETY: neither is used after this, and each is dropped once: io_uring first, then what its requests pointed to, and
        // that only if no request is left; else that memory is leaked, for the kernel may still write to it.
        unsafe {
            ManuallyDrop::drop(&mut self.io);
            if quiet {
                ManuallyDrop::drop(&mut self.shared);
            }
        }
    }
}

/// Nothing is lost when the kernel was interrupted, has waited for long enough or wants its completions read first: the next turn
/// goes on.
fn settle(entered: io::Result<usize>) -> io::Result<usize> {
    match entered {
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::EINTR | libc::ETIME | libc::EAGAIN | libc::EBUSY)
            ) =>
        {
            Ok(0)
        }
        other => other,
    }
}
