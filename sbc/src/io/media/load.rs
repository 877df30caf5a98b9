//! Whether a worker keeps up: what it takes of its processor, and how late it looks at what has waited for it.
//!
//! A worker that is at its limit serves everyone, later and later. So a call that needs it for more than forwarding is better refused
//! while those that are up still sound well. What is late is found out by an appointment of the worker with itself, as long as it
//! transcodes: what comes in waits as long as that does.

/// Everything is judged over this, in nanoseconds.
const WINDOW: u64 = 1_000_000_000;
/// From one appointment to the next.
const PROBE: u64 = 50_000_000;
/// An appointment is missed that is kept so much later: a packet time.
const LATE: u64 = 20_000_000;
/// Of a thousand: a thread that takes so much of its processor has no room for bursts.
const FULL: u64 = 850;
/// It has room again.
const ROOM: u64 = 700;

/// What a worker knows of itself.
#[derive(Debug, Default)]
pub(super) struct Load {
    /// The window's beginning, and what the thread had taken of its processor by then.
    began: u64,
    used: u64,
    /// The next appointment.
    probe: Option<u64>,
    kept: u64,
    missed: u64,
    is_over: bool,
}

/// What a window has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Judgement {
    /// What the thread took of its processor, of a thousand.
    pub(super) share: u64,
    /// What has changed, if anything.
    pub(super) change: Option<Change>,
}

/// From one window to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It does not keep up any more.
    Over,
    /// It does again.
    Fine,
}

impl Load {
    /// When [`Load::note`] wants to be asked, whatever happens.
    pub(super) fn poll_timeout(&self) -> Option<u64> {
        self.probe
    }

    /// Whether it does not keep up.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// A turn has ended, `now`; the worker `transcodes` or only forwards. `used` is what the thread has taken of its processor since it
    /// began. All in nanoseconds.
    pub(super) fn note(
        &mut self,
        now: u64,
        transcodes: bool,
        used: impl FnOnce() -> u64,
    ) -> Option<Judgement> {
        match self.probe {
            Some(due) if due <= now => {
                let late = now - due;
                // Who is away for long misses many.
                let count = 1 + late / PROBE;
                self.kept += count;
                self.missed += if late > LATE { count } else { 0 };
                self.probe = Some(now + PROBE);
            }
            Some(_) => {}
            None if transcodes => self.probe = Some(now + PROBE),
            None => {}
        }
        if !transcodes {
            self.probe = None;
        }
        let passed = now.saturating_sub(self.began);
        if passed < WINDOW {
            return None;
        }
        let used = used();
        let share = used.saturating_sub(self.used).saturating_mul(1000) / passed;
        let is_over = match self.is_over {
            false => share >= FULL || self.missed * 2 > self.kept,
            true => share >= ROOM || self.missed * 4 > self.kept,
        };
        let change = match (self.is_over, is_over) {
            (false, true) => Some(Change::Over),
            (true, false) => Some(Change::Fine),
            _ => None,
        };
        *self = Load {
            began: now,
            used,
            probe: self.probe,
            kept: 0,
            missed: 0,
            is_over,
        };
        Some(Judgement { share, change })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A worker, the time, and what its thread has taken.
    #[derive(Default)]
    struct Bench {
        load: Load,
        now: u64,
        used: u64,
    }

    impl Bench {
        /// It looks every `step` for some windows, and takes `share` of a thousand. What these have shown.
        fn look(&mut self, windows: u64, step: u64, share: u64) -> Vec<Judgement> {
            let mut shown = Vec::new();
            for _ in 0..windows * WINDOW / step {
                self.now += step;
                self.used += step / 1000 * share;
                let used = self.used;
                shown.extend(self.load.note(self.now, true, || used));
            }
            shown
        }

        fn changes(&mut self, windows: u64, step: u64, share: u64) -> Vec<Change> {
            let shown = self.look(windows, step, share);
            shown.iter().filter_map(|shown| shown.change).collect()
        }
    }

    #[test]
    fn who_has_room_is_fine() {
        let mut bench = Bench::default();
        for share in [0, 500, 849] {
            assert_eq!(bench.changes(3, 5_000_000, share), []);
        }
        assert!(!bench.load.is_over());
        let shown = bench.look(2, 5_000_000, 123);
        assert_eq!(shown.last().unwrap().share, 123);
    }

    #[test]
    fn who_takes_most_of_its_processor_is_over_until_it_has_room_again() {
        let mut bench = Bench::default();
        for (share, changes) in [
            (900, &[Change::Over][..]),
            (800, &[]),
            (710, &[]),
            (650, &[Change::Fine]),
            (800, &[]),
            (850, &[Change::Over]),
        ] {
            assert_eq!(bench.changes(3, PROBE, share), changes, "{share}");
        }
        assert!(bench.load.is_over());
    }

    #[test]
    fn who_comes_late_to_most_is_over() {
        let mut bench = Bench::default();
        // Each look is 21 ms late, then 20.
        let late = PROBE + LATE + 1_000_000;
        assert_eq!(bench.changes(3, late, 100), [Change::Over]);
        assert_eq!(bench.changes(3, late - 1_000_000, 100), [Change::Fine]);
        // Once a second away.
        assert_eq!(bench.changes(2, 2 * WINDOW, 100), [Change::Over]);
    }

    #[test]
    fn who_only_forwards_makes_no_appointments() {
        let mut load = Load::default();
        assert_eq!(load.note(1, false, || 0), None);
        assert_eq!(load.poll_timeout(), None);
        load.note(2, true, || 0);
        assert_eq!(load.poll_timeout(), Some(2 + PROBE));
        load.note(3, false, || 0);
        assert_eq!(load.poll_timeout(), None);
        // Asleep for an hour is not late.
        let hour = 3600 * WINDOW;
        let idle = load.note(hour, false, || WINDOW).unwrap();
        assert_eq!((idle.share, idle.change), (0, None));
    }
}
