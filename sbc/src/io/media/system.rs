//! What the system is asked for around the workers, whatever backend they have.

use std::io;
use std::time::{Duration, SystemTime};

use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use nix::time::ClockId;

use super::backend::Bell;

const FROM_1900_TO_1970: u64 = 2_208_988_800;

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

/// The NTP time (RFC 3550 4) at which [`nanoseconds`] was zero: seconds since 1900, and 1/2^32 of them. 0 where the system does not know what time
/// it is.
pub(super) fn epoch() -> u64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let up = Duration::from_nanos(nanoseconds());
    let Some(began) = since_1970.ok().and_then(|now| now.checked_sub(up)) else {
        return 0;
    };
    let seconds = began.as_secs().wrapping_add(FROM_1900_TO_1970) & u64::from(u32::MAX);
    let fraction = (u64::from(began.subsec_nanos()) << 32) / 1_000_000_000;
    seconds << 32 | fraction
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
    fn the_epoch_is_when_the_machine_began() {
        let now = (epoch() >> 32) + nanoseconds() / 1_000_000_000 - FROM_1900_TO_1970;
        let known = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        // Rounded down twice.
        assert!(known.unwrap().as_secs().abs_diff(now) <= 60);
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
