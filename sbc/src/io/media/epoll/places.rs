//! The sockets of an epoll backend: which index is whose, and whether it waits in the queue of those to read.

use std::collections::VecDeque;
use std::io;
use std::net::UdpSocket;

use super::super::backend::{Local, SocketId};

/// A socket that fails this often without a datagram in between is given up.
const ERRORS: u8 = 64;

/// All of them.
#[derive(Debug)]
pub(super) struct Places {
    places: Vec<Place>,
    free: VecDeque<u16>,
}

#[derive(Debug, Default)]
struct Place {
    generation: u32,
    /// `None` from the time it is closed.
    socket: Option<UdpSocket>,
    is_ipv4: bool,
    /// In the queue.
    queued: bool,
    errors: u8,
}

impl Places {
    /// So many, all free.
    pub(super) fn new(capacity: u16) -> Places {
        Places {
            places: (0..capacity).map(|_| Place::default()).collect(),
            free: (0..capacity).collect(),
        }
    }

    /// How many are free.
    pub(super) fn free(&self) -> usize {
        self.free.len()
    }

    /// Puts a socket into a free place.
    pub(super) fn take(&mut self, local: Local, socket: UdpSocket) -> Option<SocketId> {
        let index = self.free.pop_front()?;
        let place = self.places.get_mut(usize::from(index))?;
        place.socket = Some(socket);
        place.is_ipv4 = local.address.is_ipv4();
        Some(SocketId {
            index,
            generation: place.generation,
        })
    }

    /// An open socket.
    pub(super) fn socket(&self, id: SocketId) -> Option<&UdpSocket> {
        let place = self.places.get(usize::from(id.index))?;
        (place.generation == id.generation).then_some(place.socket.as_ref()?)
    }

    /// A socket of the queue whose turn it is, and whether it is an IPv4 one; `None` if it is closed or given up.
    pub(super) fn readable(&self, id: SocketId) -> Option<(&UdpSocket, bool)> {
        let place = self.places.get(usize::from(id.index))?;
        Some((self.socket(id)?, place.is_ipv4))
    }

    /// The kernel says that something is to be read at this index. The socket, if it has to be queued for that.
    pub(super) fn becomes_ready(&mut self, index: usize) -> Option<SocketId> {
        let place = self.places.get_mut(index)?;
        let is_new = place.socket.is_some() && !place.queued && place.errors < ERRORS;
        is_new.then_some(())?;
        place.queued = true;
        Some(SocketId {
            index: u16::try_from(index).ok()?,
            generation: place.generation,
        })
    }

    /// It is out of the queue until it becomes ready again.
    pub(super) fn rests(&mut self, id: SocketId) {
        if let Some(place) = self.place(id) {
            place.queued = false;
        }
    }

    /// It has brought a datagram.
    pub(super) fn works(&mut self, id: SocketId) {
        if let Some(place) = self.place(id) {
            place.errors = 0;
        }
    }

    /// Reading from it fails. Whether it is to be given up.
    pub(super) fn fails(&mut self, id: SocketId) -> bool {
        let Some(place) = self.place(id) else {
            return false;
        };
        place.errors = place.errors.saturating_add(1);
        place.errors >= ERRORS
    }

    /// Closes it, its port is free; its place is not, until it is given back. Whether it was open.
    pub(super) fn close(&mut self, id: SocketId) -> bool {
        self.place(id)
            .is_some_and(|place| place.socket.take().is_some())
    }

    /// Gives a place back: its next id is another.
    pub(super) fn give_back(&mut self, id: SocketId) {
        if let Some(place) = self.place(id) {
            *place = Place {
                generation: place.generation.wrapping_add(1),
                ..Place::default()
            };
            self.free.push_back(id.index);
        }
    }

    fn place(&mut self, id: SocketId) -> Option<&mut Place> {
        let place = self.places.get_mut(usize::from(id.index))?;
        (place.generation == id.generation).then_some(place)
    }
}

/// No place is left.
pub(super) fn full() -> io::Error {
    io::Error::new(
        io::ErrorKind::StorageFull,
        "all places for media sockets are taken; raise the limit on open files (ulimit -n)",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(places: &mut Places) -> Option<SocketId> {
        let local = Local {
            address: "127.0.0.1:0".parse().unwrap(),
            dscp: 0,
        };
        places.take(local, UdpSocket::bind(local.address).unwrap())
    }

    #[test]
    fn an_id_never_comes_back() {
        let mut places = Places::new(2);
        let mut seen = Vec::new();
        for _ in 0..10 {
            let id = take(&mut places).unwrap();
            assert!(!seen.contains(&id));
            assert!(places.socket(id).is_some());
            assert!(places.close(id));
            assert!(!places.close(id));
            assert!(places.socket(id).is_none());
            places.give_back(id);
            places.give_back(id);
            seen.push(id);
        }
        assert!(take(&mut places).is_some() && take(&mut places).is_some());
        assert_eq!((take(&mut places), places.free()), (None, 0));
    }

    #[test]
    fn a_socket_is_queued_once_and_again_after_a_rest() {
        let mut places = Places::new(1);
        assert_eq!(places.becomes_ready(0), None);
        let id = take(&mut places).unwrap();
        assert_eq!(places.becomes_ready(0), Some(id));
        assert_eq!(places.becomes_ready(0), None);
        assert_eq!(places.becomes_ready(1), None);
        places.rests(id);
        assert_eq!(places.becomes_ready(0), Some(id));
    }

    #[test]
    fn a_socket_is_given_up_only_when_it_never_works() {
        let mut places = Places::new(1);
        let id = take(&mut places).unwrap();
        for _ in 0..ERRORS - 1 {
            assert!(!places.fails(id));
        }
        places.works(id);
        for _ in 0..ERRORS - 1 {
            assert!(!places.fails(id));
        }
        assert!(places.fails(id));
        places.rests(id);
        assert_eq!(places.becomes_ready(0), None);
    }
}
