//! What waits for the writer. It is woken for the first record after a while without any; what comes soon after that waits for the others that do, so
//! that a thread is woken, and the disk asked, once for many.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::QUEUE;
use super::spool::Place;
use crate::engine::Recorded;

/// The way to the writer: many put, one takes.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    waiting: Mutex<Waiting>,
    told: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    records: VecDeque<Recorded>,
    posted: Option<Posted>,
    must_reopen: bool,
    /// The writer wants to be woken for a record.
    is_idle: bool,
}

/// The webhook has a batch.
#[derive(Debug)]
pub(super) struct Posted {
    /// What comes after it.
    pub(super) next: Place,
    /// How many it took.
    pub(super) taken: u64,
    /// How many it refused for good.
    pub(super) refused: u64,
}

/// What there is to do beside records.
#[derive(Debug, Default)]
pub(super) struct News {
    /// More records wait than were taken.
    pub(super) is_more: bool,
    /// Files may have been put away.
    pub(super) must_reopen: bool,
    pub(super) posted: Option<Posted>,
}

impl Inbox {
    /// To be kept; false: there is no room.
    #[must_use]
    pub(super) fn put(&self, record: Recorded) -> bool {
        let mut waiting = self.waiting();
        if waiting.records.len() >= QUEUE {
            return false;
        }
        waiting.records.push_back(record);
        let must_wake = std::mem::take(&mut waiting.is_idle);
        drop(waiting);
        if must_wake {
            self.told.notify_one();
        }
        true
    }

    /// Files may have been put away; also wakes who has to end.
    pub(super) fn reopen(&self) {
        self.waiting().must_reopen = true;
        self.told.notify_one();
    }

    /// The webhook has its batch, of which there is one at a time.
    pub(super) fn posted(&self, posted: Posted) {
        self.waiting().posted = Some(posted);
        self.told.notify_one();
    }

    /// Takes records, `most` of them: for `rest` whatever comes is left to gather, then the first one is waited for with patience.
    pub(super) fn take(
        &self,
        to: &mut Vec<Recorded>,
        most: usize,
        [rest, patience]: [Duration; 2],
    ) -> News {
        let mut waiting = self.waiting();
        if !rest.is_zero() {
            let gathered = self
                .told
                .wait_timeout_while(waiting, rest, |waiting| !waiting.is_urgent());
            waiting = gathered.unwrap_or_else(PoisonError::into_inner).0;
        }
        waiting.is_idle = true;
        let came = self.told.wait_timeout_while(waiting, patience, |waiting| {
            waiting.records.is_empty() && !waiting.is_urgent()
        });
        waiting = came.unwrap_or_else(PoisonError::into_inner).0;
        waiting.is_idle = false;
        let taken = waiting.records.len().min(most);
        to.extend(waiting.records.drain(..taken));
        News {
            is_more: !waiting.records.is_empty(),
            must_reopen: std::mem::take(&mut waiting.must_reopen),
            posted: waiting.posted.take(),
        }
    }

    /// Nothing in it can be half done: who panicked while he had it left it whole.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn is_urgent(&self) -> bool {
        self.must_reopen || self.posted.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::CallRecord;

    const NEVER: Duration = Duration::from_secs(3600);
    const AT_ONCE: [Duration; 2] = [Duration::ZERO; 2];

    fn record() -> Recorded {
        Recorded::Done(CallRecord::default())
    }

    #[test]
    fn as_many_are_taken_as_are_wanted_and_no_more_wait_than_there_is_room_for() {
        let inbox = Inbox::default();
        let mut taken = Vec::new();
        assert!(!inbox.take(&mut taken, 2, AT_ONCE).is_more);
        assert!(taken.is_empty());
        for _ in 0..QUEUE {
            assert!(inbox.put(record()));
        }
        assert!(!inbox.put(record()));
        assert!(inbox.take(&mut taken, 2, AT_ONCE).is_more);
        assert_eq!(taken.len(), 2);
        assert!(inbox.put(record()) && inbox.put(record()) && !inbox.put(record()));
        assert!(!inbox.take(&mut taken, QUEUE, AT_ONCE).is_more);
        assert_eq!(taken.len(), 2 + QUEUE);
    }

    #[test]
    fn a_record_ends_patience_and_what_is_urgent_ends_rest_too() {
        let inbox = Arc::new(Inbox::default());
        let waits = |waits| {
            let inbox = Arc::clone(&inbox);
            std::thread::spawn(move || {
                let mut taken = Vec::new();
                let news = inbox.take(&mut taken, 9, waits);
                (taken.len(), news.must_reopen, news.posted.is_some())
            })
        };
        let idle = waits([Duration::ZERO, NEVER]);
        assert!(inbox.put(record()));
        assert_eq!(idle.join().unwrap(), (1, false, false));
        // What gathers meanwhile comes along.
        let resting = waits([NEVER, NEVER]);
        assert!(inbox.put(record()) && inbox.put(record()));
        inbox.reopen();
        assert_eq!(resting.join().unwrap(), (2, true, false));
        let resting = waits([NEVER, NEVER]);
        let next = Place { at: 1, number: 1 };
        inbox.posted(Posted {
            next,
            taken: 1,
            refused: 0,
        });
        assert_eq!(resting.join().unwrap(), (0, false, true));
    }
}
