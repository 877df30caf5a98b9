//! How a daemon is to run, beside its config.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::host;
use super::reload::Loader;
use super::service::Notifier;
use super::signalling::Limits;

/// More threads than this for media in user space are not started unasked.
const MAX_WORKERS: usize = 8;

/// How to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Limits of TCP connections.
    pub limits: Limits,
    /// Threads for media in user space.
    pub workers: usize,
    /// How long calls have to end when the daemon stops.
    pub farewell: Duration,
    /// What everything that must not be guessed is made from.
    pub seed: [u8; 32],
    /// Reads the config again when it is asked to; none where there is no file.
    pub loader: Option<Loader>,
    /// Where what outlives the process is kept; without it nothing is.
    pub state: Option<PathBuf>,
    /// A bpf file system of the daemon's own, in which the kernel path stays should the process die; without it, it does not.
    pub bpffs: Option<PathBuf>,
    /// The service manager, if one listens.
    pub notifier: Notifier,
}

impl Options {
    /// What suits this host, with a seed from the kernel's random source.
    ///
    /// # Errors
    /// There is no random source.
    pub fn of_host() -> io::Result<Self> {
        Ok(Options {
            limits: Limits::default(),
            workers: std::thread::available_parallelism()
                .map_or(1, |cores| cores.get().min(MAX_WORKERS)),
            farewell: Duration::from_secs(4),
            seed: host::random()?,
            loader: None,
            state: None,
            bpffs: None,
            notifier: Notifier::default(),
        })
    }
}
