//! Whether the workers turn: each is asked for a sign of life, among its commands, and gives it as soon as it turns.

use tokio::sync::oneshot::Receiver;
use tokio::sync::oneshot::error::TryRecvError;

use crate::media::{FlowReport, PairId};

/// What a worker that turns gives: what it is asked for here is nothing.
type Sign = Vec<(PairId, FlowReport)>;

/// What was asked of each worker. Asking costs a wake-up of each, and nothing per packet.
#[derive(Debug)]
pub struct Pulse {
    waiting: Vec<Receiver<Sign>>,
}

/// What has come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Felt {
    /// Every worker has turned since it was asked.
    All,
    /// So many have not yet.
    Waiting(usize),
    /// So many could not be asked: they are gone, or have too many commands waiting.
    Lost(usize),
}

impl Pulse {
    /// One receiver for each worker: it gets something when the worker turns.
    pub(super) fn new(waiting: Vec<Receiver<Sign>>) -> Pulse {
        Pulse { waiting }
    }

    /// What has come of it by now.
    pub fn feel(&mut self) -> Felt {
        let mut lost = 0;
        self.waiting.retain_mut(|worker| match worker.try_recv() {
            Ok(_) => false,
            Err(TryRecvError::Empty) => true,
            Err(TryRecvError::Closed) => {
                lost += 1;
                true
            }
        });
        match (self.waiting.len(), lost) {
            (0, _) => Felt::All,
            (waiting, 0) => Felt::Waiting(waiting),
            (_, lost) => Felt::Lost(lost),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn all_have_to_answer() {
        let ((one, first), (other, second)) = (oneshot::channel(), oneshot::channel());
        let mut pulse = Pulse::new(vec![first, second]);
        assert_eq!(pulse.feel(), Felt::Waiting(2));
        one.send(Vec::new()).unwrap();
        assert_eq!(pulse.feel(), Felt::Waiting(1));
        other.send(Vec::new()).unwrap();
        assert_eq!(pulse.feel(), Felt::All);
        assert_eq!(pulse.feel(), Felt::All);
    }

    #[test]
    fn one_that_cannot_be_asked_is_lost_until_it_is_asked_anew() {
        let ((one, first), (_other, second)) = (oneshot::channel::<Sign>(), oneshot::channel());
        let mut pulse = Pulse::new(vec![first, second]);
        drop(one);
        assert_eq!(pulse.feel(), Felt::Lost(1));
        assert_eq!(pulse.feel(), Felt::Lost(1));
    }
}
