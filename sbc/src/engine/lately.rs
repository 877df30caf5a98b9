//! How many there were in the last minute.

use std::time::{Duration, Instant};

/// Seconds that are looked back.
const SECONDS: usize = 60;

/// Counts by second: the newest of each.
#[derive(Debug)]
pub(super) struct Lately {
    counts: [u32; SECONDS],
    /// The second that was counted in last, and when it began.
    last: Option<(usize, Instant)>,
}

impl Default for Lately {
    fn default() -> Self {
        Lately {
            counts: [0; SECONDS],
            last: None,
        }
    }
}

impl Lately {
    /// There is one more.
    pub(super) fn note(&mut self, now: Instant) {
        let (place, began) = match self.last {
            None => (0, now),
            Some((place, began)) => {
                let passed = now.saturating_duration_since(began).as_secs();
                let skipped = usize::try_from(passed).unwrap_or(SECONDS).min(SECONDS);
                for step in 1..=skipped {
                    if let Some(count) = self.counts.get_mut((place + step) % SECONDS) {
                        *count = 0;
                    }
                }
                (
                    (place + skipped) % SECONDS,
                    began + Duration::from_secs(passed),
                )
            }
        };
        self.last = Some((place, began));
        if let Some(count) = self.counts.get_mut(place) {
            *count = count.saturating_add(1);
        }
    }

    /// How many there were in the minute before now, or in somewhat less of it.
    pub(super) fn count(&self, now: Instant) -> u64 {
        let Some((place, began)) = self.last else {
            return 0;
        };
        let passed = now.saturating_duration_since(began).as_secs();
        let old = usize::try_from(passed).unwrap_or(SECONDS).min(SECONDS);
        // Back from the last second; those that are too old are left out.
        let counts = (0..SECONDS - old).filter_map(|back| {
            let place = (place + SECONDS - back) % SECONDS;
            self.counts.get(place)
        });
        counts.map(|count| u64::from(*count)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_minute_old_is_not_counted() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut lately = Lately::default();
        assert_eq!(lately.count(at(0)), 0);
        for second in 0..120 {
            lately.note(at(second));
            lately.note(at(second));
            assert_eq!(lately.count(at(second)), 2 * (second + 1).min(60));
        }
        assert_eq!(lately.count(at(149)), 60);
        assert_eq!(lately.count(at(179)), 0);
        lately.note(at(160));
        assert_eq!(lately.count(at(160)), 2 * 19 + 1);
        lately.note(at(1000));
        assert_eq!(lately.count(at(1000)), 1);
        assert_eq!(lately.count(at(5000)), 0);
    }
}
