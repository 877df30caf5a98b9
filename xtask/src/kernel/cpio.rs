//! An archive that the kernel unpacks as its first file system (cpio, format "newc").

use std::collections::BTreeSet;
use std::io::{self, Write};

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;

/// An archive that is being written.
pub(super) struct Archive<W> {
    out: W,
    /// Directories that are in it.
    directories: BTreeSet<String>,
    /// The last entry's number; and where the next one begins.
    inode: u32,
}

impl<W: Write> Archive<W> {
    pub(super) fn new(out: W) -> Self {
        Archive {
            out,
            directories: BTreeSet::new(),
            inode: 0,
        }
    }

    /// Puts a file in that can be run, with the directories above it. Paths have no `/` in front.
    pub(super) fn file(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.above(path)?;
        self.entry(path, PROGRAM, bytes)
    }

    /// Puts an empty directory in.
    pub(super) fn directory(&mut self, path: &str) -> io::Result<()> {
        if self.directories.insert(path.to_owned()) {
            self.above(path)?;
            self.entry(path, DIRECTORY, &[])?;
        }
        Ok(())
    }

    /// Ends it.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.entry("TRAILER!!!", 0, &[])?;
        Ok(self.out)
    }

    fn above(&mut self, path: &str) -> io::Result<()> {
        match path.rsplit_once('/') {
            Some((directory, _)) => self.directory(directory),
            None => Ok(()),
        }
    }

    fn entry(&mut self, path: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
        self.inode += 1;
        let size = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let name = path.len() as u32 + 1;
        // Number, mode, owner, group, links, time, size, device and special device (each two), length of the name, no checksum.
        let fields = [self.inode, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name, 0];
        self.out.write_all(b"070701")?;
        for field in fields {
            write!(self.out, "{field:08x}")?;
        }
        self.out.write_all(path.as_bytes())?;
        self.out.write_all(b"\0")?;
        // Header and name together, and the content, end at a multiple of four.
        self.pad(6 + 8 * fields.len() + path.len() + 1)?;
        self.out.write_all(bytes)?;
        self.pad(bytes.len())
    }

    fn pad(&mut self, length: usize) -> io::Result<()> {
        self.out.write_all(&[0; 3][..length.wrapping_neg() % 4])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_has_directories_once_and_ends_at_multiples_of_four() {
        let mut archive = Archive::new(Vec::new());
        archive.file("bin/a", b"12345").unwrap();
        archive.file("bin/b", b"1").unwrap();
        let bytes = archive.finish().unwrap();
        assert_eq!(bytes.len() % 4, 0);
        let text = String::from_utf8(bytes).unwrap();
        let names: Vec<&str> = text
            .split("070701")
            .skip(1)
            .map(|entry| entry[104..].split('\0').next().unwrap())
            .collect();
        assert_eq!(names, ["bin", "bin/a", "bin/b", "TRAILER!!!"]);
        let size = |index: usize| &text.split("070701").nth(index).unwrap()[48..56];
        assert_eq!((size(2), size(3)), ("00000005", "00000001"));
    }
}
