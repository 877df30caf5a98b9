//! What a kernel means that does not do io_uring for us.

use std::io;

use super::super::refusal::Refusal;

/// Why io_uring is not to be had, by the error that a step of its making ended with.
pub(super) fn refused(error: io::Error) -> Refusal {
    match error.raw_os_error() {
        Some(libc::ENOSYS) => Refusal::Absent,
        Some(libc::EPERM | libc::EACCES) => match disabled() {
            0 => Refusal::Forbidden,
            level => Refusal::Sysctl(level),
        },
        Some(libc::EINVAL | libc::EOPNOTSUPP) => Refusal::Old,
        _ => Refusal::Failed(error),
    }
}

/// `kernel.io_uring_disabled`: 0 for everyone allowed, or no such setting (before Linux 6.6).
fn disabled() -> u8 {
    let text = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled");
    text.ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_its_reason() {
        let label = |error| refused(io::Error::from_raw_os_error(error)).label();
        assert_eq!(label(libc::ENOSYS), "absent");
        assert_eq!(label(libc::EINVAL), "old");
        assert_eq!(label(libc::EOPNOTSUPP), "old");
        assert_eq!(label(libc::ENOMEM), "failed");
        // Which of the two depends on this machine's setting.
        assert!(["forbidden", "sysctl"].contains(&label(libc::EPERM)));
    }
}
