//! The clock that the program notes packets by: ticks of the kernel (jiffies), which it gives to programs and not to processes.

use std::time::Duration;

use nix::time::ClockId;

use super::program::ticks_per_second;

/// The first tick: the kernel has its counter of 32 bits wrap five minutes after it was started.
const fn first(per_second: u64) -> u64 {
    (1 << 32) - 300 * per_second
}

/// How long ago that tick was: to the tick, and too long by as much as the kernel took to begin ticking when it was started (a few tenths of a second).
pub(super) fn since(tick: u64) -> Duration {
    // It is there on every Linux.
    let now = ClockId::CLOCK_MONOTONIC.now().map(Duration::from);
    ago(tick, now.unwrap_or_default(), ticks_per_second())
}

fn ago(tick: u64, since_start: Duration, per_second: u64) -> Duration {
    let per_second = per_second.max(1);
    let then = tick.saturating_sub(first(per_second));
    let then = Duration::from_secs(then / per_second)
        + Duration::from_secs(1).mul_f64((then % per_second) as f64 / per_second as f64);
    since_start.saturating_sub(then)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_is_as_long_ago_as_the_clock_says() {
        let minute = Duration::from_secs(60);
        for per_second in [100, 250, 300, 1000] {
            let tick = first(per_second) + 50 * per_second + per_second / 2;
            let ago = |since_start| ago(tick, since_start, per_second);
            assert_eq!(ago(minute), Duration::from_millis(9_500), "{per_second}");
            // The kernel's own clock lags: nothing is yet to come.
            assert_eq!(ago(Duration::from_secs(50)), Duration::ZERO);
        }
        // Five minutes after the start, and a year: the counter has 64 bits.
        let year = Duration::from_secs(365 * 86_400);
        let tick = first(250) + 250 * (year.as_secs() - 7);
        assert_eq!(ago(tick, year, 250), Duration::from_secs(7));
    }
}
