//! Reads a batch of datagrams from a socket with one system call, into memory that is the reader's own.

use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, SockaddrIn6, SockaddrLike, recvmmsg};

use super::super::backend::MAX_PAYLOAD;

/// Datagrams of a batch.
pub(super) const BATCH: usize = 16;

/// How reading ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// A whole batch: there may be more.
    More(usize),
    /// So many, and the socket is empty.
    Empty(usize),
    /// Nothing but this error.
    Failed(io::Error),
}

/// Memory for a batch, and the headers that the kernel fills. Each family has headers of its own: an address's length stays in them.
pub(super) struct Reader {
    memory: Box<[[u8; MAX_PAYLOAD]; BATCH]>,
    ipv4: MultiHeaders<SockaddrIn>,
    ipv6: MultiHeaders<SockaddrIn6>,
}

impl Reader {
    pub(super) fn new() -> Reader {
        Reader {
            memory: Box::new([[0; MAX_PAYLOAD]; BATCH]),
            ipv4: MultiHeaders::preallocate(BATCH, None),
            ipv6: MultiHeaders::preallocate(BATCH, None),
        }
    }

    /// Hands each datagram of a batch to `each`: where it is from and what it says, or `None` if it is longer than [`MAX_PAYLOAD`].
    pub(super) fn read(
        &mut self,
        socket: &UdpSocket,
        is_ipv4: bool,
        each: impl FnMut(Option<(SocketAddr, &[u8])>),
    ) -> Outcome {
        let memory = &mut *self.memory;
        if is_ipv4 {
            receive(
                socket,
                &mut self.ipv4,
                memory,
                |from| SocketAddr::V4((*from).into()),
                each,
            )
        } else {
            receive(
                socket,
                &mut self.ipv6,
                memory,
                |from| SocketAddr::V6((*from).into()),
                each,
            )
        }
    }
}

fn receive<S: SockaddrLike + Copy>(
    socket: &UdpSocket,
    headers: &mut MultiHeaders<S>,
    memory: &mut [[u8; MAX_PAYLOAD]; BATCH],
    address: impl Fn(&S) -> SocketAddr,
    mut each: impl FnMut(Option<(SocketAddr, &[u8])>),
) -> Outcome {
    let mut buffers = memory
        .each_mut()
        .map(|buffer| [IoSliceMut::new(buffer.as_mut_slice())]);
    let flags = MsgFlags::MSG_DONTWAIT;
    let received = match recvmmsg(socket.as_raw_fd(), headers, buffers.iter_mut(), flags, None) {
        Ok(received) => received,
        Err(Errno::EAGAIN) => return Outcome::Empty(0),
        Err(Errno::EINTR) => return Outcome::More(0),
        Err(error) => return Outcome::Failed(error.into()),
    };
    let mut count = 0;
    for message in received {
        count += 1;
        if message.flags.contains(MsgFlags::MSG_TRUNC) {
            each(None);
        } else if let Some(from) = &message.address {
            // An empty datagram has no slice.
            each(Some((
                address(from),
                message.iovs().next().unwrap_or_default(),
            )));
        }
    }
    // The kernel stops before the batch is full only at an empty socket, or at an error that is told when it is read again; that
    // comes with readiness of its own.
    match count {
        BATCH => Outcome::More(count),
        _ => Outcome::Empty(count),
    }
}
