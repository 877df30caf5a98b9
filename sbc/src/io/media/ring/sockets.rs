//! The sockets of a ring: which place in the file table is whose, and what it is waiting for.

use std::collections::VecDeque;
use std::io;

use super::super::backend::SocketId;

/// A socket whose receive fails this often without a datagram in between is given up.
const ERRORS: u8 = 64;

/// What a place in the file table is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nobody's.
    Free,
    /// Receives.
    Armed,
    /// Is to be armed.
    Unarmed,
    /// Was given up.
    Broken,
    /// Closed, and its receive is under way.
    Closing,
    /// Closed, and nothing of it is under way.
    Closed,
}

/// All places.
#[derive(Debug)]
pub(super) struct Sockets {
    places: Vec<Place>,
    free: VecDeque<u16>,
    /// Those that receive nothing until they are armed (again).
    unarmed: Vec<u16>,
    /// Those that somebody closed, until that is under way.
    closed: Vec<SocketId>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    generation: u32,
    state: State,
    errors: u8,
}

impl Sockets {
    /// So many places, all free.
    pub(super) fn new(capacity: u16) -> Sockets {
        let place = Place {
            generation: 0,
            state: State::Free,
            errors: 0,
        };
        Sockets {
            places: vec![place; capacity.into()],
            free: (0..capacity).collect(),
            unarmed: Vec::with_capacity(capacity.into()),
            closed: Vec::with_capacity(capacity.into()),
        }
    }

    /// How many are free.
    pub(super) fn free(&self) -> usize {
        self.free.len()
    }

    /// Takes a free place; it is to be armed.
    pub(super) fn take(&mut self) -> Option<SocketId> {
        let index = self.free.pop_front()?;
        let place = self.places.get_mut(usize::from(index))?;
        place.state = State::Unarmed;
        self.unarmed.push(index);
        Some(SocketId {
            index,
            generation: place.generation,
        })
    }

    /// Gives a place back: its next id is another.
    pub(super) fn give_back(&mut self, id: SocketId) {
        self.unarmed.retain(|&other| other != id.index);
        if let Some(place) = self.place(id) {
            *place = Place {
                generation: place.generation.wrapping_add(1),
                state: State::Free,
                errors: 0,
            };
            self.free.push_back(id.index);
        }
    }

    /// What a socket is doing; one that is gone is free.
    pub(super) fn state(&self, id: SocketId) -> State {
        match self.places.get(usize::from(id.index)) {
            Some(place) if place.generation == id.generation => place.state,
            _ => State::Free,
        }
    }

    /// A socket that is to be armed.
    pub(super) fn next_unarmed(&mut self) -> Option<SocketId> {
        let index = self.unarmed.pop()?;
        let generation = self.places.get(usize::from(index))?.generation;
        Some(SocketId { index, generation })
    }

    /// Whether one is to be armed.
    pub(super) fn has_unarmed(&self) -> bool {
        !self.unarmed.is_empty()
    }

    /// It receives.
    pub(super) fn armed(&mut self, id: SocketId) {
        if let Some(place) = self.place(id) {
            place.state = State::Armed;
        }
    }

    /// It could not be armed: later.
    pub(super) fn not_armed(&mut self, id: SocketId) {
        self.unarmed.push(id.index);
    }

    /// It has received something.
    pub(super) fn works(&mut self, id: SocketId) {
        if let Some(place) = self.place(id) {
            place.errors = 0;
        }
    }

    /// Its receive has ended with this result, unasked. True if it is given up for that, else it is to be armed again.
    pub(super) fn ended(&mut self, id: SocketId, result: i32) -> bool {
        let Some(place) = self.place(id) else {
            return false;
        };
        match -result {
            ..=0 | libc::ENOBUFS => {}
            // It will be so for ever.
            libc::EINVAL | libc::EBADF | libc::EOPNOTSUPP => place.errors = ERRORS,
            _ => place.errors += 1,
        }
        let broken = place.errors >= ERRORS;
        place.state = if broken {
            State::Broken
        } else {
            State::Unarmed
        };
        if !broken {
            self.unarmed.push(id.index);
        }
        broken
    }

    /// Somebody closes it.
    pub(super) fn close(&mut self, id: SocketId) {
        let Some(place) = self.place(id) else {
            return;
        };
        match place.state {
            State::Armed => place.state = State::Closing,
            State::Unarmed | State::Broken => place.state = State::Closed,
            State::Free | State::Closing | State::Closed => return,
        }
        self.unarmed.retain(|&other| other != id.index);
        self.closed.push(id);
    }

    /// A socket that somebody has closed.
    pub(super) fn next_closed(&mut self) -> Option<SocketId> {
        self.closed.pop()
    }

    /// Its closing could not begin: later.
    pub(super) fn not_closed(&mut self, id: SocketId) {
        self.closed.push(id);
    }

    /// Whether one waits to be closed.
    pub(super) fn has_closed(&self) -> bool {
        !self.closed.is_empty()
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

    #[test]
    fn an_id_never_comes_back() {
        let mut sockets = Sockets::new(2);
        let mut seen = Vec::new();
        for _ in 0..10 {
            let id = sockets.take().unwrap();
            assert!(!seen.contains(&id));
            assert_eq!(sockets.state(id), State::Unarmed);
            sockets.give_back(id);
            assert_eq!(sockets.state(id), State::Free);
            seen.push(id);
        }
        assert!(!sockets.has_unarmed());
        assert!(sockets.take().is_some() && sockets.take().is_some());
        assert_eq!((sockets.take(), sockets.free()), (None, 0));
    }

    #[test]
    fn what_is_armed_is_cancelled_and_what_is_not_is_closed() {
        let mut sockets = Sockets::new(2);
        let (first, second) = (sockets.take().unwrap(), sockets.take().unwrap());
        assert_eq!(sockets.next_unarmed(), Some(second));
        sockets.armed(second);
        sockets.close(first);
        sockets.close(second);
        sockets.close(second);
        assert_eq!(sockets.state(first), State::Closed);
        assert_eq!(sockets.state(second), State::Closing);
        assert!(!sockets.has_unarmed());
        assert_eq!(sockets.next_closed(), Some(second));
        assert_eq!(sockets.next_closed(), Some(first));
        assert_eq!(sockets.next_closed(), None);
    }

    #[test]
    fn a_socket_is_given_up_only_when_it_never_works() {
        let mut sockets = Sockets::new(1);
        let id = sockets.take().unwrap();
        for _ in 0..ERRORS - 1 {
            assert!(!sockets.ended(id, -libc::ENETDOWN));
        }
        sockets.works(id);
        assert!(!sockets.ended(id, -libc::ENETDOWN));
        for _ in 0..1000 {
            assert!(!sockets.ended(id, -libc::ENOBUFS));
        }
        assert!(sockets.ended(id, -libc::EINVAL));
        assert_eq!(sockets.state(id), State::Broken);
    }
}
