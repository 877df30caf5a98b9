//! What the system is asked for around the workers, whatever backend they have.

use std::io;
use std::time::Duration;

use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use nix::time::ClockId;

use super::backend::Bell;

/// A bell: the ringing end and the listening end are the same.
///
/// # Errors
/// No more file descriptors.
pub(super) fn bell() -> io::Result<Bell> {
    let eventfd = EventFd::from_flags(EfdFlags::EFD_CLOEXEC)?;
    Ok(Bell::new(eventfd.into()))
}

/// Raises the soft limit on file descriptors to the hard one, and returns it.
///
/// # Errors
/// Those of getrlimit and setrlimit.
pub(super) fn raise_file_limit() -> io::Result<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(hard)
}

/// Nanoseconds of the monotonic clock.
pub(super) fn nanoseconds() -> u64 {
    // It is there on every Linux.
    let now = ClockId::CLOCK_MONOTONIC.now().map(Duration::from);
    now.map_or(0, |now| now.as_nanos() as u64)
}

/// Nanoseconds that the calling thread has had of a processor.
pub(super) fn thread_nanoseconds() -> u64 {
    let used = ClockId::CLOCK_THREAD_CPUTIME_ID.now().map(Duration::from);
    used.map_or(0, |used| used.as_nanos() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on() {
        let before = nanoseconds();
        assert!(before > 0 && nanoseconds() >= before);
    }

    #[test]
    fn a_thread_that_works_takes_time() {
        let before = thread_nanoseconds();
        let mut sum = 0_u64;
        while thread_nanoseconds() < before + 1_000_000 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(sum > 0);
    }
}
