//! The files of a package as they will lie on the disk of whoever installs it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::tool;

/// A root directory that is being filled.
pub(super) struct Tree {
    root: PathBuf,
}

impl Tree {
    pub(super) fn new(root: PathBuf) -> Tree {
        Tree { root }
    }

    /// Where a path of the package is.
    pub(super) fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// The same, with the directories above it made.
    pub(super) fn place(&self, path: &str) -> Result<PathBuf> {
        let file = self.at(path);
        let mut above = self.root.clone();
        fs::create_dir_all(&above)?;
        self.set_mode(&above, 0o755)?;
        for part in Path::new(path).parent().into_iter().flatten() {
            above.push(part);
            if !above.exists() {
                fs::create_dir(&above)?;
            }
            self.set_mode(&above, 0o755)?;
        }
        Ok(file)
    }

    /// A file that everyone may read.
    pub(super) fn text(&self, path: &str, text: &str) -> Result<()> {
        self.write(path, text, 0o644)
    }

    /// A script.
    pub(super) fn program(&self, path: &str, text: &str) -> Result<()> {
        self.write(path, text, 0o755)
    }

    fn write(&self, path: &str, text: &str, mode: u32) -> Result<()> {
        let file = self.place(path)?;
        fs::write(&file, text).with_context(|| file.display().to_string())?;
        self.set_mode(&file, mode)
    }

    /// Whatever the umask says.
    pub(super) fn set_mode(&self, file: &Path, mode: u32) -> Result<()> {
        Ok(fs::set_permissions(file, Permissions::from_mode(mode))?)
    }

    /// Makes a file one of gzip's, without name and time in it.
    pub(super) fn compress(&self, file: &Path) -> Result<()> {
        self.set_mode(file, 0o644)?;
        tool::output(Command::new("gzip").args(["-9n"]).arg(file)).map(drop)
    }

    /// What dpkg checks files against, and how large they are: not those of `DEBIAN`.
    fn installed(&self) -> Result<Vec<PathBuf>> {
        let mut all = files(&self.root)?;
        let control = self.at("DEBIAN");
        all.retain(|file| !file.starts_with(&control));
        Ok(all)
    }

    /// The lines of `md5sums`.
    pub(super) fn checksums(&self) -> Result<String> {
        let mut command = Command::new("md5sum");
        command.current_dir(&self.root);
        for file in self.installed()? {
            command.arg(file.strip_prefix(&self.root)?);
        }
        Ok(tool::output(&mut command)? + "\n")
    }

    /// What it takes of a disk, roughly.
    pub(super) fn kilobytes(&self) -> Result<u64> {
        let mut sum = 0;
        for file in self.installed()? {
            sum += fs::metadata(&file)?.len().div_ceil(1024);
        }
        Ok(sum)
    }
}

/// All files below a directory, in order.
///
/// # Errors
/// It cannot be read.
pub(crate) fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let path = entry?.path();
        match path.is_dir() {
            true => found.extend(files(&path)?),
            false => found.push(path),
        }
    }
    found.sort();
    Ok(found)
}
