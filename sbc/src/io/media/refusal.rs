//! Why the workers are not on io_uring.

use std::io;

/// What moves a worker's datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Driver {
    /// io_uring: the first choice.
    IoUring,
    /// epoll, where io_uring is refused.
    Epoll,
}

impl Driver {
    /// How it is called in logs.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Driver::IoUring => "io_uring",
            Driver::Epoll => "epoll",
        }
    }
}

/// Why there is no io_uring for us. The texts name the cause and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// `ENOSYS`.
    #[error(
        "this kernel has no io_uring, or a seccomp profile hides it; it takes Linux 6.1 or later"
    )]
    Absent,
    /// `EPERM` or `EACCES`, and no sysctl says so.
    #[error(
        "io_uring is forbidden here, by a seccomp profile (of a container, of systemd's SystemCallFilter) or a security module; \
         allow io_uring_setup, io_uring_enter and io_uring_register"
    )]
    Forbidden,
    /// By `kernel.io_uring_disabled`, which is this: 1 for some, 2 for everyone.
    #[error("sysctl kernel.io_uring_disabled is {0}; 0 allows it")]
    Sysctl(u8),
    /// `EINVAL` or `EOPNOTSUPP`: it lacks what is needed.
    #[error("this kernel's io_uring is older than Linux 6.1")]
    Old,
    /// Memory or descriptors are short, or something else.
    #[error(
        "io_uring fails: {0}; raise the limits on open files and locked memory (ulimit -n, ulimit -l)"
    )]
    Failed(io::Error),
}

impl Refusal {
    /// One word for it.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Refusal::Absent => "absent",
            Refusal::Forbidden => "forbidden",
            Refusal::Sysctl(_) => "sysctl",
            Refusal::Old => "old",
            Refusal::Failed(_) => "failed",
        }
    }
}
