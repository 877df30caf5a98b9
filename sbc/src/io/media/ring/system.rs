//! What the system is asked for around a ring.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use super::super::backend::Bell;

/// Tells a kernel that will not from one that cannot at the moment.
pub(super) fn unsupported(error: io::Error) -> io::Error {
    let why = match error.raw_os_error() {
        Some(libc::ENOSYS) => "this kernel has no io_uring",
        Some(libc::EPERM | libc::EACCES) => "io_uring is refused here",
        Some(libc::EINVAL | libc::EOPNOTSUPP) => "this kernel's io_uring is older than Linux 6.1",
        _ => return error,
    };
    io::Error::new(io::ErrorKind::Unsupported, why)
}

/// A bell: the ringing end and the listening end are the same.
///
/// # Errors
/// No more file descriptors.
pub(in super::super) fn bell() -> io::Result<Bell> {
    // SAFETY: eventfd takes no pointer.
    let descriptor = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor that nobody else has.
    Ok(Bell::new(unsafe { OwnedFd::from_raw_fd(descriptor) }))
}

/// Raises the soft limit on file descriptors to the hard one, and returns it.
///
/// # Errors
/// Those of getrlimit and setrlimit.
pub(in super::super) fn raise_file_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is to an rlimit of ours, for the time of the call.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: as above.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(limit.rlim_cur)
}
