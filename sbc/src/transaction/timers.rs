//! RFC 3261's timer values, and the queue of what is due when.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::{ClientId, ServerId};

/// Round-trip time estimate (RFC 3261 17.1.1.1): the first repetition comes after it.
pub(super) const T1: Duration = Duration::from_millis(500);
/// The longest time between two repetitions, INVITE requests excepted.
pub(super) const T2: Duration = Duration::from_secs(4);
/// How long a message may stay in the network.
pub(super) const T4: Duration = Duration::from_secs(5);
/// Timers B, D, F, H, J, L and M: 64 T1, after which nobody repeats anything.
pub(super) const GIVE_UP: Duration = Duration::from_secs(32);

/// When a message is sent again, and how long it has been waited for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Repeat {
    pub(super) at: Instant,
    interval: Duration,
}

impl Repeat {
    /// The first one, on a transport that needs any.
    pub(super) fn begin(now: Instant, reliable: bool) -> Option<Repeat> {
        (!reliable).then(|| Repeat::after(now, T1))
    }

    /// After a given time.
    pub(super) fn after(now: Instant, interval: Duration) -> Repeat {
        Repeat {
            at: now + interval,
            interval,
        }
    }

    /// The one after this one: twice as long, at most `longest`.
    pub(super) fn next(self, now: Instant, longest: Duration) -> Repeat {
        Repeat::after(now, longest.min(self.interval * 2))
    }
}

/// The earlier one of a repetition, if there is one, and an end.
pub(super) fn earlier(repeat: Option<Repeat>, end: Instant) -> Instant {
    repeat.map_or(end, |repeat| repeat.at.min(end))
}

/// Whose time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owner {
    Client(ClientId),
    Server(ServerId),
}

/// When each transaction wants to be woken: one entry for each, removed with it.
#[derive(Debug, Default)]
pub(super) struct Queue {
    wakes: BTreeSet<(Instant, Owner)>,
}

impl Queue {
    /// Moves an owner's entry from `old` to `new`.
    pub(super) fn set(&mut self, owner: Owner, old: Option<Instant>, new: Option<Instant>) {
        if old == new {
            return;
        }
        if let Some(at) = old {
            self.wakes.remove(&(at, owner));
        }
        if let Some(at) = new {
            self.wakes.insert((at, owner));
        }
    }

    /// When the next one is due.
    pub(super) fn first(&self) -> Option<Instant> {
        self.wakes.first().map(|&(at, _)| at)
    }

    /// Whose time has come by now; its entry stays until it is set anew.
    pub(super) fn due(&self, now: Instant) -> Option<Owner> {
        self.wakes
            .first()
            .filter(|&&(at, _)| at <= now)
            .map(|&(_, owner)| owner)
    }
}
