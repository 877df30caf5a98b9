//! What happens in a second: from two answers or more.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use sbc::io::admin::types::{Amount, MediaTotals, Status};

/// How far back rare things are looked for.
const WINDOW: Duration = Duration::from_secs(60);
/// Samples, whatever the interval is.
const MOST: usize = 400;

/// The counters of one answer.
#[derive(Clone, Debug)]
struct Sample {
    at: Duration,
    up_seconds: u64,
    media: MediaTotals,
    lost: u64,
    /// By kind and reason.
    dropped: BTreeMap<(Kind, String), u64>,
}

/// What was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Media,
    Sip,
}

/// Answers of the last minute.
#[derive(Debug, Default)]
pub(super) struct Rates(VecDeque<Sample>);

/// In a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct PerSecond {
    pub(super) packets: f64,
    pub(super) bytes: f64,
}

impl Rates {
    /// Another answer. What came before it of another daemon is forgotten.
    pub(super) fn add(&mut self, at: Duration, status: &Status) {
        let mut dropped = BTreeMap::new();
        for network in &status.networks {
            for (kind, reasons) in [
                (Kind::Media, &network.media_dropped),
                (Kind::Sip, &network.sip_dropped),
            ] {
                for (reason, count) in reasons {
                    *dropped.entry((kind, reason.clone())).or_default() += count;
                }
            }
        }
        let sample = Sample {
            at,
            up_seconds: status.up_seconds,
            media: status.media,
            lost: status.quality.lost,
            dropped,
        };
        if self
            .0
            .back()
            .is_some_and(|last| last.up_seconds > sample.up_seconds || last.at >= sample.at)
        {
            self.0.clear();
        }
        self.0.push_back(sample);
        while self.0.len() > MOST || self.0.get(1).is_some_and(|second| second.at + WINDOW <= at) {
            self.0.pop_front();
        }
    }

    /// What came in between the last two answers; none before there are two.
    pub(super) fn media(&self, of: fn(&MediaTotals) -> Amount) -> Option<PerSecond> {
        let [before, last] =
            [self.0.len().checked_sub(2)?, self.0.len() - 1].map(|index| self.0.get(index));
        let (before, last) = (before?, last?);
        let seconds = (last.at - before.at).as_secs_f64();
        let (before, last) = (of(&before.media), of(&last.media));
        Some(PerSecond {
            packets: last.packets.saturating_sub(before.packets) as f64 / seconds,
            bytes: last.bytes.saturating_sub(before.bytes) as f64 / seconds,
        })
    }

    /// Of a hundred packets that were sent in the last minute, how many never came; none where nothing was.
    pub(super) fn loss(&self) -> Option<f64> {
        let (first, last) = (self.0.front()?, self.0.back()?);
        let all = |media: &MediaTotals| {
            media.kernel.packets + media.user.packets + media.transcoded.packets
        };
        let lost = last.lost.saturating_sub(first.lost);
        let sent = all(&last.media).saturating_sub(all(&first.media)) + lost;
        (sent > 0).then(|| 100.0 * lost as f64 / sent as f64)
    }

    /// What was dropped in the last minute, the most frequent first.
    pub(super) fn dropped(&self) -> Vec<(Kind, &str, u64)> {
        let (Some(first), Some(last)) = (self.0.front(), self.0.back()) else {
            return Vec::new();
        };
        let mut all: Vec<(Kind, &str, u64)> = last
            .dropped
            .iter()
            .map(|(reason, count)| {
                let before = first.dropped.get(reason).copied().unwrap_or_default();
                (reason.0, reason.1.as_str(), count.saturating_sub(before))
            })
            .filter(|(.., count)| *count > 0)
            .collect();
        all.sort_by_key(|(kind, reason, count)| (std::cmp::Reverse(*count), *kind, *reason));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sbc::io::admin::types::{NetworkStatus, QualityTotals};

    fn status(up_seconds: u64, packets: u64, lost: u64, dropped: u64) -> Status {
        let mut status = Status {
            up_seconds,
            quality: QualityTotals {
                lost,
                ..QualityTotals::default()
            },
            ..Status::default()
        };
        status.media.kernel = Amount {
            packets,
            bytes: 200 * packets,
        };
        let mut network = NetworkStatus::default();
        network
            .media_dropped
            .insert("wrong-source".to_owned(), dropped);
        status.networks = vec![network.clone(), network];
        status
    }

    #[test]
    fn two_answers_make_a_rate() {
        let mut rates = Rates::default();
        let at = Duration::from_secs;
        rates.add(at(10), &status(5, 1000, 0, 0));
        assert_eq!((rates.media(|all| all.kernel), rates.loss()), (None, None));
        rates.add(at(12), &status(7, 1096, 4, 3));
        let expected = PerSecond {
            packets: 48.0,
            bytes: 9600.0,
        };
        assert_eq!(rates.media(|all| all.kernel), Some(expected));
        assert_eq!(rates.media(|all| all.user), Some(PerSecond::default()));
        assert_eq!(rates.loss(), Some(4.0));
        assert_eq!(rates.dropped(), [(Kind::Media, "wrong-source", 6)]);
    }

    #[test]
    fn another_daemon_begins_anew_and_a_minute_is_remembered() {
        let mut rates = Rates::default();
        let at = Duration::from_secs;
        rates.add(at(10), &status(500, 1_000_000, 9, 50));
        rates.add(at(11), &status(1, 10, 0, 1));
        assert_eq!(rates.media(|all| all.kernel), None);
        assert_eq!(rates.dropped(), []);
        for second in 12..200 {
            rates.add(at(second), &status(second, 10, 0, second));
        }
        // From second 139 to second 199, of two networks.
        assert_eq!(rates.dropped(), [(Kind::Media, "wrong-source", 120)]);
    }
}
