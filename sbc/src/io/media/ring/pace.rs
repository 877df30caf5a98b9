//! How many datagrams a turn waits for: one, or, where they come fast, several.
//!
//! A wake-up costs more than a datagram does: the switch to the thread, the one away from it, and on the other side of the link a
//! wake-up too for what is sent by itself. So under load a turn collects for [`PATIENCE`]; where datagrams are rare, none is
//! kept waiting.

/// A datagram waits so long for others at most, in nanoseconds: an eightieth of what a voice packet holds.
const PATIENCE: u32 = 250_000;
/// So many are enough for a turn: no datagram waits for more.
pub(super) const ENOUGH: usize = 64;
/// Fewer than so many within [`PATIENCE`] are not worth the timer.
const WORTHWHILE: u64 = 3;
/// How fast they come is counted over this, in nanoseconds.
const WINDOW: u64 = 2_000_000;

/// How fast datagrams come.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When counting began, in nanoseconds.
    since: u64,
    /// How many have come since.
    datagrams: u64,
    is_fast: bool,
}

impl Pace {
    /// A turn has brought so many; `now` is in nanoseconds since whenever.
    pub(super) fn note(&mut self, datagrams: u32, now: u64) {
        self.datagrams += u64::from(datagrams);
        let passed = now.saturating_sub(self.since);
        if passed >= WINDOW {
            let expected = self.datagrams.saturating_mul(PATIENCE.into()) / passed;
            *self = Pace {
                since: now,
                datagrams: 0,
                is_fast: expected >= WORTHWHILE,
            };
        }
    }

    /// How many the next turn is to wait for, and how many nanoseconds at most; `None`: for the next one, however long that takes.
    pub(super) fn collects(&self) -> Option<(usize, u64)> {
        self.is_fast.then_some((ENOUGH, PATIENCE.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLLECTS: Option<(usize, u64)> = Some((64, 250_000));

    /// After `turns` turns, each of which brought so many and took so long.
    fn after(turns: u32, datagrams: u32, nanoseconds: u64) -> Pace {
        let mut pace = Pace::default();
        // The clock did not begin with us.
        pace.note(0, 1 << 40);
        for turn in 1..=u64::from(turns) {
            pace.note(datagrams, (1 << 40) + turn * nanoseconds);
        }
        pace
    }

    #[test]
    fn who_has_seen_nothing_waits_for_the_first() {
        assert_eq!(Pace::default().collects(), None);
    }

    #[test]
    fn a_few_calls_are_not_kept_waiting() {
        // 50 calls: 5,000 a second.
        assert_eq!(after(1000, 1, 200_000).collects(), None);
        // 11,000 a second, however they come.
        assert_eq!(after(100, 11, 1_000_000).collects(), None);
        assert_eq!(after(10, 110, 10_000_000).collects(), None);
    }

    #[test]
    fn where_several_come_meanwhile_they_are_collected() {
        // 12,500 a second.
        assert_eq!(after(1000, 1, 80_000).collects(), COLLECTS);
        assert_eq!(after(10, 125, 10_000_000).collects(), COLLECTS);
    }

    #[test]
    fn a_burst_after_a_pause_is_no_load() {
        let mut pace = Pace::default();
        pace.note(0, 1);
        pace.note(100, 1_000_000_000);
        assert_eq!(pace.collects(), None);
    }

    #[test]
    fn once_it_is_quiet_the_next_one_is_not_kept_waiting() {
        let mut pace = after(100, 50, 500_000);
        assert_eq!(pace.collects(), COLLECTS);
        let mut now = (1 << 40) + 100 * 500_000;
        // Turns that end for lack of patience.
        for _ in 0..2 * WINDOW / u64::from(PATIENCE) {
            now += u64::from(PATIENCE);
            pace.note(0, now);
        }
        assert_eq!(pace.collects(), None);
    }
}
