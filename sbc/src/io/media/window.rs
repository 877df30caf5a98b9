//! How long a worker waits for more frames of G.722, which cost less the more there are: [`super::relay`] gathers them.
//!
//! A turn of its own brings a few of them. Where many calls are transcoded the worker lets them come in for as long as the window says before
//! it looks; where there are few each is done as it comes, and nobody waits.

use std::time::Duration;

/// The longest that a worker may be told to wait.
pub const MAX_WINDOW: Duration = Duration::from_millis(5);
/// For as long it waits, unless it is told otherwise.
pub const WINDOW: Duration = MAX_WINDOW;

/// So many frames within a packet time of 20 ms, of both ways together, are worth the wait: 32 calls.
const WORTHWHILE: u64 = 64;
/// Once it waits, so many still are.
const STILL: u64 = 48;
/// In nanoseconds.
const PACKET_TIME: u64 = 20_000_000;
/// How fast they come is counted over this.
const COUNTED: u64 = 2 * PACKET_TIME;

/// How fast frames come.
#[derive(Debug)]
pub(super) struct Window {
    length: u64,
    /// When counting began, in nanoseconds.
    since: u64,
    frames: u64,
    is_open: bool,
}

impl Window {
    /// Closed; of that length, or never open where that is zero.
    pub(super) fn new(length: Duration) -> Window {
        Window {
            length: length.min(MAX_WINDOW).as_nanos() as u64,
            since: 0,
            frames: 0,
            is_open: false,
        }
    }

    /// A turn that ended `now` has brought so many.
    pub(super) fn note(&mut self, frames: u32, now: u64) {
        self.frames += u64::from(frames);
        let passed = now.saturating_sub(self.since);
        if passed >= COUNTED {
            let wanted = if self.is_open { STILL } else { WORTHWHILE };
            self.is_open = self.length > 0 && self.frames * PACKET_TIME / passed >= wanted;
            self.since = now;
            self.frames = 0;
        }
    }

    /// Until when the turn after one that ended `now` lets things come; `None`: it does not.
    pub(super) fn until(&self, now: u64) -> Option<u64> {
        self.is_open.then_some(now + self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGAN: u64 = 1 << 40;

    /// Turns with so many frames each, one every `step`, for 200 ms.
    fn after(window: &mut Window, began: u64, frames: u32, step: u64) -> u64 {
        let mut now = began;
        while now < began + 10 * PACKET_TIME {
            now += step;
            window.note(frames, now);
        }
        now
    }

    #[test]
    fn it_opens_where_many_come_and_closes_where_few_do() {
        let mut window = Window::new(Duration::from_millis(4));
        window.note(0, BEGAN);
        // 31 calls, one by one.
        let now = after(&mut window, BEGAN, 1, PACKET_TIME / 62);
        assert_eq!(window.until(now), None);
        // 100 calls, in turns of 5 ms.
        let now = after(&mut window, now, 50, PACKET_TIME / 4);
        assert_eq!(window.until(now), Some(now + 4_000_000));
        // 28 stay.
        let now = after(&mut window, now, 14, PACKET_TIME / 4);
        assert_eq!(window.until(now), Some(now + 4_000_000));
        // 20.
        let now = after(&mut window, now, 10, PACKET_TIME / 4);
        assert_eq!(window.until(now), None);
    }

    #[test]
    fn it_stays_closed_where_it_has_no_length_and_is_never_too_long() {
        let mut window = Window::new(Duration::ZERO);
        let now = after(&mut window, BEGAN, 100, PACKET_TIME / 10);
        assert_eq!(window.until(now), None);
        let mut window = Window::new(Duration::from_secs(1));
        let now = after(&mut window, BEGAN, 100, PACKET_TIME / 10);
        assert_eq!(window.until(now), Some(now + 5_000_000));
    }

    #[test]
    fn a_burst_after_a_pause_opens_nothing() {
        let mut window = Window::new(MAX_WINDOW);
        window.note(0, BEGAN);
        window.note(200, BEGAN + 1_000_000_000);
        assert_eq!(window.until(BEGAN + 1_000_000_000), None);
    }
}
