//! A bpf file system of a test's own.

use std::collections::BTreeSet;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::lab::Scratch;

/// A mounted bpf file system, in whose root the user of [`super::RunAs::User`] may do as they like; gone on drop, with what is pinned in it.
#[derive(Debug)]
pub struct Bpffs {
    path: PathBuf,
}

impl Bpffs {
    /// Below `scratch`, which has to be there for longer.
    ///
    /// # Errors
    /// It cannot be mounted.
    pub fn new(scratch: &Scratch) -> Result<Bpffs> {
        let path = scratch.path().join("bpf");
        std::fs::create_dir(&path)?;
        let options = Some("mode=0700");
        mount(Some("bpf"), &path, Some("bpf"), MsFlags::empty(), options)
            .context("cannot mount a bpf file system")?;
        let bpffs = Bpffs { path };
        chown(&bpffs.path, Some(NOBODY), Some(NOBODY))?;
        Ok(bpffs)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of what is pinned: not those of the kernel's own lists (`maps.debug`), which have the dot that nobody else may have.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn pins(&self) -> Result<BTreeSet<String>> {
        let names = std::fs::read_dir(&self.path)?;
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            Ok(entry?.file_name().to_string_lossy().into_owned())
        };
        let mut names = names.map(name).collect::<Result<BTreeSet<String>>>()?;
        names.retain(|name| !name.contains('.'));
        Ok(names)
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        let _ = umount2(&self.path, MntFlags::MNT_DETACH);
    }
}

const NOBODY: u32 = 65534;
