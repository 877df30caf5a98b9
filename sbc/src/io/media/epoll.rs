//! The backend on epoll, for hosts that refuse io_uring: readiness through mio, a batch of datagrams a system call.
//!
//! A turn waits until sockets are readable and reads each of them once, a batch at most; one that has more is behind all others
//! in the next turn's queue. So a flood on one port delays another by a batch, whatever it holds. Readiness comes once
//! (edge-triggered): a socket is out of the queue only when the kernel has said that it is empty.

use std::collections::VecDeque;
use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::backend::{Backend, Bell, Departure, Handler, Local, SendFailure, SocketId, Turn, Wait};
use super::system::nanoseconds;
use places::Places;
use reader::{BATCH, Outcome, Reader};

mod places;
mod reader;

/// Datagrams of a turn: commands have their turn too.
const DATAGRAMS_A_TURN: usize = 2048;
/// Sockets whose readiness is taken from the kernel at once.
const EVENTS: usize = 1024;
/// The bell; sockets have their index.
const BELL: Token = Token(usize::MAX - 1);

/// An epoll instance, and its sockets.
pub(super) struct Epoll {
    poll: Poll,
    events: Events,
    places: Places,
    /// Sockets that may have something to read, each once, who waits longest first.
    ready: VecDeque<SocketId>,
    /// Sockets that were closed and whose end is to be reported.
    closed: Vec<SocketId>,
    reader: Reader,
    /// Registered: must stay open.
    _bell: Bell,
}

impl Epoll {
    /// With room for so many sockets.
    ///
    /// # Errors
    /// No more memory or descriptors.
    pub(super) fn new(capacity: u16, bell: Bell) -> io::Result<Epoll> {
        let poll = Poll::new()?;
        poll.registry()
            .register(&mut SourceFd(&bell.as_raw_fd()), BELL, Interest::READABLE)?;
        Ok(Epoll {
            poll,
            events: Events::with_capacity(EVENTS),
            places: Places::new(capacity),
            ready: VecDeque::with_capacity(capacity.into()),
            closed: Vec::with_capacity(capacity.into()),
            reader: Reader::new(),
            _bell: bell,
        })
    }

    fn enter(&mut self, (local, socket): (Local, UdpSocket)) -> io::Result<SocketId> {
        socket.set_nonblocking(true)?;
        let descriptor = socket.as_raw_fd();
        let id = self.places.take(local, socket).ok_or_else(places::full)?;
        let token = Token(id.index.into());
        let mut source = SourceFd(&descriptor);
        let registered = self
            .poll
            .registry()
            .register(&mut source, token, Interest::READABLE);
        registered.inspect_err(|_| self.close(id))?;
        Ok(id)
    }

    /// Waits as long as told, and queues what has become readable. Whether the bell was rung.
    fn wait(&mut self, patience: Option<Duration>) -> io::Result<bool> {
        match self.poll.poll(&mut self.events, patience) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(false),
            polled => polled?,
        }
        let mut woken = false;
        for event in &self.events {
            if event.token() == BELL {
                // Each ring is an edge of its own: the counter need not be read.
                woken = true;
            } else if let Some(id) = self.places.becomes_ready(event.token().0) {
                self.ready.push_back(id);
            }
        }
        Ok(woken)
    }

    /// One batch of one socket. How many datagrams that was.
    fn serve(&mut self, id: SocketId, handler: &mut impl Handler) -> usize {
        let Some((socket, is_ipv4)) = self.places.readable(id) else {
            return 0;
        };
        let places = &self.places;
        let outcome = self
            .reader
            .read(socket, is_ipv4, |datagram| match datagram {
                None => handler.too_big(id),
                Some((from, payload)) => match handler.packet(id, from, payload) {
                    Some(departure) => {
                        if let Err(failure) = send(places, &departure, payload) {
                            handler.send_failed(departure.account, failure);
                        }
                    }
                    None => send_made(places, handler),
                },
            });
        let read = match outcome {
            Outcome::More(read) => {
                self.places.works(id);
                self.ready.push_back(id);
                return read;
            }
            Outcome::Empty(0) => 0,
            Outcome::Empty(read) => {
                self.places.works(id);
                read
            }
            // Errors of a socket are told once each, in front of what it has received.
            Outcome::Failed(error) if self.places.fails(id) => {
                self.deregister(id);
                handler.broken(id, &error);
                0
            }
            Outcome::Failed(_) => {
                self.ready.push_back(id);
                return 0;
            }
        };
        self.places.rests(id);
        read
    }

    fn deregister(&self, id: SocketId) {
        if let Some(socket) = self.places.socket(id) {
            // One that could not be registered is not there: then there is nothing to do.
            let _ = self
                .poll
                .registry()
                .deregister(&mut SourceFd(&socket.as_raw_fd()));
        }
    }
}

fn send_made(places: &Places, handler: &mut impl Handler) {
    while let Some((departure, payload)) = handler.made() {
        if let Err(failure) = send(places, &departure, payload) {
            handler.send_failed(departure.account, failure);
        }
    }
}

fn send(places: &Places, departure: &Departure, payload: &[u8]) -> Result<(), SendFailure> {
    let socket = places
        .socket(departure.socket)
        .ok_or(SendFailure::Refused)?;
    loop {
        let Err(error) = socket.send_to(payload, departure.to) else {
            return Ok(());
        };
        return Err(match error.raw_os_error() {
            Some(libc::EINTR) => continue,
            Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM) => SendFailure::Overload,
            _ => SendFailure::Refused,
        });
    }
}

impl Backend for Epoll {
    fn open(&mut self, sockets: [Option<Local>; 2]) -> io::Result<[Option<SocketId>; 2]> {
        let open = |local| super::socket::open(local).map(|socket| (local, socket));
        let [first, second] = sockets.map(|local| local.map(open).transpose());
        let [first, second] = [first?, second?];
        if self.places.free() < 2 {
            return Err(places::full());
        }
        let opened = first.map(|first| self.enter(first)).transpose()?;
        match second.map(|second| self.enter(second)).transpose() {
            Ok(other) => Ok([opened, other]),
            Err(error) => {
                opened.into_iter().for_each(|opened| self.close(opened));
                Err(error)
            }
        }
    }

    fn mark(&mut self, id: SocketId, dscp: u8) -> io::Result<()> {
        let socket = self.places.socket(id).ok_or(io::ErrorKind::NotFound)?;
        super::socket::mark(socket, dscp)
    }

    fn close(&mut self, id: SocketId) {
        self.deregister(id);
        if self.places.close(id) {
            self.closed.push(id);
        }
    }

    fn flush(&mut self, handler: &mut impl Handler) {
        send_made(&self.places, handler);
    }

    fn turn(&mut self, wait: Wait, handler: &mut impl Handler) -> io::Result<Turn> {
        if let Wait::Gather(time) = wait {
            // The bell waits, too. Nothing is lost: what comes is queued in its socket.
            std::thread::sleep(Duration::from_nanos(time.saturating_sub(nanoseconds())));
        }
        let idle = self.closed.is_empty() && self.ready.is_empty();
        for id in self.closed.drain(..) {
            self.places.give_back(id);
            handler.closed(id);
        }
        let patience = match wait {
            Wait::Forever if idle => None,
            Wait::Until(time) if idle => {
                Some(Duration::from_nanos(time.saturating_sub(nanoseconds())))
            }
            _ => Some(Duration::ZERO),
        };
        let woken = self.wait(patience)?;
        let mut room = DATAGRAMS_A_TURN;
        for _ in 0..self.ready.len() {
            if room < BATCH {
                handler.starved();
                break;
            }
            if let Some(id) = self.ready.pop_front() {
                room = room.saturating_sub(self.serve(id, handler));
            }
        }
        Ok(Turn {
            woken,
            ended: nanoseconds(),
        })
    }
}
