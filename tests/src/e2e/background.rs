//! Work that goes on beside a test, until its guard goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long one turn may wait for something: so long it takes to end.
pub(super) const LOOK: Duration = Duration::from_millis(50);

/// A thread; ends on drop, after its turn.
#[derive(Debug)]
pub(super) struct Background {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Does `turn` again and again. None may wait for longer than [`LOOK`].
    pub(super) fn run(mut turn: impl FnMut() + Send + 'static) -> Background {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                turn();
            }
        });
        Background {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Nothing depends on how it ended.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[test]
    fn what_goes_on_ends_with_its_guard() {
        let turns = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&turns);
        let background = Background::run(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            std::thread::yield_now();
        });
        while turns.load(Ordering::Relaxed) < 3 {
            std::thread::yield_now();
        }
        drop(background);
        assert_eq!(Arc::strong_count(&turns), 1);
    }
}
