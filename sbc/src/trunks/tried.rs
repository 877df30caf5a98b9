//! The servers of a trunk that have failed in one try, and what they said: the next one is asked at once (RFC 3263 4.3), each of them once.

use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::config::{Config, TrunkId};
use crate::routing::locate::{Place, Places};
use crate::transaction::ConnectionId;

/// A server that has not said anything for so long is not waited for where there are others. Over UDP a request has gone out four
/// times by then.
pub(super) const SILENCE: Duration = Duration::from_secs(4);
/// Servers that one try asks.
const MAX_SERVERS: usize = 8;
/// Requests that are not waited for any more and still have a connection of theirs.
const MAX_LEFT: usize = 4;

/// The servers that have failed in this try.
#[derive(Debug, Default)]
pub(super) struct Tried {
    servers: SmallVec<[Spent; 1]>,
}

#[derive(Debug)]
struct Spent {
    place: Place,
    why: String,
    /// Retry-After.
    wait: Option<Duration>,
}

impl Tried {
    /// Another try begins.
    pub(super) fn clear(&mut self) {
        self.servers.clear();
    }

    /// A server has failed; `wait`: for how long it does not want to be asked.
    pub(super) fn add(&mut self, place: Place, why: String, wait: Option<Duration>) {
        self.servers.retain(|spent| spent.place != place);
        self.servers.push(Spent { place, why, wait });
    }

    /// Whom to ask next, if anybody is left but `asked`.
    pub(super) fn next(
        &self,
        now: Instant,
        config: &Config,
        places: &Places,
        trunk: TrunkId,
        asked: Option<Place>,
    ) -> Option<Place> {
        if self.servers.len() >= MAX_SERVERS {
            return None;
        }
        places.other(now, config, trunk, |place| {
            Some(place) == asked || self.servers.iter().any(|spent| spent.place == place)
        })
    }

    /// When all of several servers want to be left alone, how long the first of them does.
    pub(super) fn wait(&self) -> Option<Duration> {
        let waits = self.servers.iter().map(|spent| spent.wait);
        waits.min_by_key(|wait| wait.unwrap_or_default())?
    }

    /// Others than this one have failed, too.
    pub(super) fn is_several(&self, last: Option<Place>) -> bool {
        self.servers.iter().any(|spent| Some(spent.place) != last)
    }

    /// Why the try came to nothing: what the last server said, with what each of the others did.
    pub(super) fn words(&self, last: Option<Place>, why: String) -> String {
        if !self.is_several(last) {
            return why;
        }
        let others = self
            .servers
            .iter()
            .filter(|spent| Some(spent.place) != last);
        let mut all: Vec<(Option<Place>, &str)> = others
            .map(|spent| (Some(spent.place), spent.why.as_str()))
            .chain([(last, why.as_str())])
            .collect();
        // The same in whichever order they were asked: what has been told is not told again.
        all.sort_by_key(|(place, _)| *place);
        let told = |(place, why): &(Option<Place>, &str)| match place {
            Some(place) => format!("{place}: {why}"),
            None => (*why).to_owned(),
        };
        all.iter().map(told).collect::<Vec<_>>().join("; ")
    }
}

/// Connections over which requests went that are not waited for any more: when one comes to its end without an answer, its
/// connection is none.
#[derive(Debug, Default)]
pub(super) struct Left {
    requests: SmallVec<[(u64, ConnectionId); 1]>,
}

impl Left {
    /// Request `number` is not waited for. Of too many the oldest is forgotten.
    pub(super) fn add(&mut self, number: u64, connection: Option<ConnectionId>) {
        if let Some(connection) = connection {
            if self.requests.len() >= MAX_LEFT {
                self.requests.remove(0);
            }
            self.requests.push((number, connection));
        }
    }

    /// It has ended.
    pub(super) fn take(&mut self, number: u64) -> Option<ConnectionId> {
        let index = self.requests.iter().position(|(left, _)| *left == number)?;
        Some(self.requests.remove(index).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::Transport;

    fn place(host: u8) -> Place {
        Place {
            address: ([10, 0, 0, host], 5060).into(),
            transport: Transport::Udp,
        }
    }

    #[test]
    fn what_failed_is_told_in_the_same_words_whoever_came_first() {
        let silent = || "no answer in time".to_owned();
        let refused = || "503 Later".to_owned();
        let [mut one, mut two] = [Tried::default(), Tried::default()];
        assert_eq!(one.words(Some(place(1)), silent()), "no answer in time");
        one.add(place(1), silent(), None);
        assert_eq!(one.words(Some(place(1)), silent()), "no answer in time");
        two.add(place(2), refused(), None);
        let told = one.words(Some(place(2)), refused());
        assert_eq!(
            told,
            "udp:10.0.0.1:5060: no answer in time; udp:10.0.0.2:5060: 503 Later"
        );
        assert_eq!(two.words(Some(place(1)), silent()), told);
        assert!(one.words(None, refused()).starts_with("503 Later; udp:"));
    }

    #[test]
    fn one_that_asks_for_no_time_is_asked_again_as_usual() {
        let mut tried = Tried::default();
        assert_eq!(tried.wait(), None);
        for (host, seconds, expected) in [(1, 30, 30), (2, 20, 20), (3, 60, 20)] {
            let wait = Duration::from_secs(seconds);
            tried.add(place(host), String::new(), Some(wait));
            assert_eq!(tried.wait(), Some(Duration::from_secs(expected)));
        }
        tried.add(place(4), String::new(), None);
        assert_eq!(tried.wait(), None);
        tried.clear();
        assert!(!tried.is_several(None));
    }

    #[test]
    fn a_few_connections_are_remembered() {
        let mut left = Left::default();
        for number in 0..6 {
            left.add(number, Some(ConnectionId(number)));
        }
        left.add(6, None);
        assert_eq!(left.take(1), None);
        assert_eq!(left.take(6), None);
        assert_eq!(left.take(2), Some(ConnectionId(2)));
        assert_eq!(left.take(2), None);
    }
}
