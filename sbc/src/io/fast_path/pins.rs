//! The program's links, pinned in a bpf file system of the daemon's own: of a daemon that dies they stay, and with them the program. Calls that it
//! forwarded are heard, ports that are no flow's stay closed, and who is banned is dropped, until the next daemon puts its own program in the place.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use aya::programs::links::{FdLink, PinnedLink};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};
use sbc_ebpf::pinned::detach;

use crate::media::XdpMode;

/// Nothing is pinned.
#[derive(Debug, thiserror::Error)]
pub(super) enum PinsFailure {
    /// There is something else, or nothing.
    #[error("{0} is no bpf file system: mount one there (mount -t bpf bpf {0})")]
    NoBpffs(String),
    /// Two daemons would take each other's programs away.
    #[error("another daemon has {0}")]
    InUse(String),
    /// It is another user's, most likely.
    #[error("{0} cannot be used: {1}; it has to belong to the daemon's user (chown)")]
    Closed(String, io::Error),
}

/// The directory of links, which no other daemon uses meanwhile.
pub(super) struct Pins {
    directory: PathBuf,
    /// This network namespace: numbers of interfaces are its own.
    host: u64,
    /// What was found there at the start and has not been taken over.
    left: BTreeMap<String, Pin>,
    _lock: File,
}

/// A link's name in the directory. Dropping it detaches the link and takes the name away, unless that is because something went wrong.
#[derive(Debug)]
pub(super) struct Pin(PathBuf);

impl Drop for Pin {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // At once: the kernel lets go of what has no name some time later, and until then nobody else may have the interface. One that is gone already, or
            // whose interface is, is what is wanted; nobody can do more about another.
            let _ = detach(&self.0);
            let _ = fs::remove_file(&self.0);
        }
    }
}

impl Pins {
    /// Takes the directory, with what an earlier daemon has left in it.
    ///
    /// # Errors
    /// It cannot be used; whatever is in it stays there.
    pub(super) fn open(directory: &Path) -> Result<Pins, PinsFailure> {
        let name = || directory.display().to_string();
        let closed = |error| PinsFailure::Closed(name(), error);
        let is_bpffs = statfs(directory).is_ok_and(|found| found.filesystem_type() == BPF_FS_MAGIC);
        if !is_bpffs {
            return Err(PinsFailure::NoBpffs(name()));
        }
        let lock = File::open(directory).map_err(closed)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => PinsFailure::InUse(name()),
            TryLockError::Error(error) => closed(error),
        })?;
        let host = fs::metadata("/proc/thread-self/ns/net").map_err(closed)?;
        let mut left = BTreeMap::new();
        for entry in fs::read_dir(directory).map_err(closed)? {
            let entry = entry.map_err(closed)?;
            if let Ok(name) = entry.file_name().into_string()
                && name.starts_with(PREFIX)
            {
                left.insert(name, Pin(entry.path()));
            }
        }
        Ok(Pins {
            directory: directory.to_owned(),
            host: host.ino(),
            left,
            _lock: lock,
        })
    }

    /// The link that an earlier daemon left on an interface, attached in this mode. Its program runs on until the link has another.
    pub(super) fn take(&mut self, interface: u32, mode: XdpMode) -> Option<(FdLink, Pin)> {
        let pin = self.left.remove(&self.name(interface, mode))?;
        // One that cannot be opened is let go of.
        let link = PinnedLink::from_pin(&pin.0).ok()?;
        Some((link.into(), pin))
    }

    /// Lets go of what an earlier daemon left on an interface.
    pub(super) fn release(&mut self, interface: u32) {
        for mode in [XdpMode::Native, XdpMode::Generic] {
            let name = self.name(interface, mode);
            self.left.remove(&name);
        }
    }

    /// Lets go of everything that has not been taken over; says of how many links that was.
    pub(super) fn release_all(&mut self) -> usize {
        std::mem::take(&mut self.left).len()
    }

    /// Gives a link a name there.
    ///
    /// # Errors
    /// The kernel refuses; the link is gone.
    pub(super) fn pin(
        &self,
        link: FdLink,
        interface: u32,
        mode: XdpMode,
    ) -> Result<(FdLink, Pin), String> {
        let path = self.directory.join(self.name(interface, mode));
        let link = link.pin(&path).map_err(|error| error.to_string())?;
        Ok((link.into(), Pin(path)))
    }

    /// A bpf file system takes no dots.
    fn name(&self, interface: u32, mode: XdpMode) -> String {
        let mode = super::interfaces::label(mode);
        format!("{PREFIX}{}-{interface}-{mode}", self.host)
    }
}

const PREFIX: &str = "link-";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_bpf_file_system_is_not_touched() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
        let refused = Pins::open(directory).map(drop).unwrap_err();
        let name = directory.display();
        assert_eq!(
            refused.to_string(),
            format!("{name} is no bpf file system: mount one there (mount -t bpf bpf {name})")
        );
        let gone = directory.join("nothing");
        assert!(matches!(Pins::open(&gone), Err(PinsFailure::NoBpffs(_))));
    }
}
