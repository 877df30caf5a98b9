//! A file that records are written to: whole lines, none twice, and another file from time to time.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use tracing::{info, warn};

use super::format::Format;
use crate::config::Rotate;
use crate::routing::Timestamp;

/// What is looked at of a file after a crash: much more than there is between two looks at the disk.
const LONGEST_TAIL: u64 = 256 << 20;

/// The file, and the ones before it.
#[derive(Debug)]
pub(super) struct Lines {
    path: PathBuf,
    format: Format,
    rotate: Rotate,
    keep: Option<usize>,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    inode: u64,
    /// In seconds since 1970.
    began: i64,
    is_dirty: bool,
}

impl Lines {
    pub(super) fn new(path: PathBuf, format: Format, rotate: Rotate, keep: Option<usize>) -> Self {
        Lines {
            path,
            format,
            rotate,
            keep,
            open: None,
        }
    }

    pub(super) fn format(&self) -> Format {
        self.format
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Which file it is, and how long; none if it is not open.
    pub(super) fn state(&self) -> Option<(u64, u64)> {
        let open = self.open.as_ref()?;
        Some((open.inode, open.file.metadata().ok()?.len()))
    }

    /// Goes on where another daemon ended: `before` is the file that it knew last, and how long that was, `next` the lines that come then, in order.
    /// How many of these are there already; what is behind them was not finished, and is taken away.
    pub(super) fn resume(
        &mut self,
        before: Option<(u64, u64)>,
        mut next: impl FnMut(usize) -> io::Result<Option<Vec<u8>>>,
    ) -> io::Result<usize> {
        let mut there = 0;
        if let Some((inode, length)) = before
            && let Some(path) = find(&self.path, inode)?
        {
            let file = OpenOptions::new().read(true).write(true).open(&path)?;
            there = match_tail(&file, length, 0, &mut next)?;
            if path == self.path {
                self.open()?;
                return Ok(there);
            }
        }
        // The one before was put away: this one was begun after it.
        if let (Some(_), Ok(file)) = (
            before,
            OpenOptions::new().read(true).write(true).open(&self.path),
        ) {
            let header = self.format.header()?.len() as u64;
            // Someone else's lines are left alone.
            if is_ours(&file, header, there, &mut next)? {
                there = match_tail(&file, header, there, &mut next)?;
            }
        }
        self.open()?;
        Ok(there)
    }

    /// Adds lines: all of them, or none.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let header = self.format.header()?;
        let open = self.open()?;
        let length = open.file.metadata()?.len();
        let written = match length {
            0 => (&open.file).write_all(&[&header, lines].concat()),
            _ => (&open.file).write_all(lines),
        };
        if let Err(error) = written {
            // Part of it may be there. If even that cannot be taken back, a restart does it.
            if open.file.set_len(length).is_err() {
                self.open = None;
            }
            return Err(error);
        }
        open.is_dirty = true;
        Ok(())
    }

    /// What was written is on the disk.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if let Some(open) = &mut self.open
            && open.is_dirty
        {
            open.file.sync_data()?;
            open.is_dirty = false;
        }
        Ok(())
    }

    /// Whether it was put away by someone else, or is to be.
    pub(super) fn must_turn(&self, now: Timestamp) -> bool {
        let Some(open) = &self.open else {
            return false;
        };
        let is_elsewhere = std::fs::metadata(&self.path).map_or(true, |m| m.ino() != open.inode);
        is_elsewhere || self.is_due(open, now)
    }

    fn is_due(&self, open: &Open, now: Timestamp) -> bool {
        let length = open.file.metadata().map_or(0, |metadata| metadata.len());
        if length == 0 {
            return false;
        }
        let is_old = self.rotate.every.is_some_and(|every| {
            let every = i64::try_from(every.as_secs()).unwrap_or(i64::MAX).max(1);
            now.as_second().div_euclid(every) != open.began.div_euclid(every)
        });
        is_old || self.rotate.size.is_some_and(|size| length >= size)
    }

    /// Puts the file away if it is time, and begins another one. All that was written is on the disk, and the spool knows it.
    pub(super) fn turn(&mut self, now: Timestamp) -> io::Result<()> {
        let is_due = self
            .open
            .as_ref()
            .is_some_and(|open| self.is_due(open, now));
        let is_here = |open: &Open| {
            std::fs::metadata(&self.path).is_ok_and(|metadata| metadata.ino() == open.inode)
        };
        if is_due && self.open.as_ref().is_some_and(is_here) {
            let to = self.name_at(now);
            std::fs::rename(&self.path, &to)?;
            info!(file = %to.display(), "records of calls: this file is complete");
        }
        self.open = None;
        self.open()?;
        self.forget_old();
        Ok(())
    }

    /// `calls.json` becomes `calls-20261122T031500.000Z.json`; one that is there already has the next millisecond.
    fn name_at(&self, now: Timestamp) -> PathBuf {
        let [stem, extension] = parts(&self.path);
        let mut now = now;
        loop {
            let date = now.strftime("%Y%m%dT%H%M%S.%3fZ").to_string();
            let to = self
                .path
                .with_file_name(format!("{stem}-{date}{extension}"));
            if !to.exists() {
                return to;
            }
            let later = now.saturating_add(std::time::Duration::from_millis(1));
            now = later.unwrap_or(now);
        }
    }

    fn forget_old(&self) {
        let Some(keep) = self.keep else {
            return;
        };
        let [stem, extension] = parts(&self.path);
        let mut old: Vec<PathBuf> = siblings(&self.path)
            .filter(|path| {
                let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
                let date = name
                    .strip_prefix(stem.as_str())
                    .and_then(|rest| rest.strip_prefix('-'))
                    .and_then(|rest| rest.strip_suffix(extension.as_str()));
                date.is_some_and(is_date)
            })
            .collect();
        // By their dates.
        old.sort_unstable();
        let surplus = old.len().saturating_sub(keep);
        for path in old.into_iter().take(surplus) {
            if let Err(error) = std::fs::remove_file(&path) {
                warn!(file = %path.display(), %error, "an old file of records cannot be removed");
            }
        }
    }

    fn open(&mut self) -> io::Result<&mut Open> {
        if self.open.is_none() {
            if let Some(directory) = self.path.parent() {
                std::fs::create_dir_all(directory)?;
            }
            let mut options = OpenOptions::new();
            let file = options.append(true).create(true).open(&self.path)?;
            let metadata = file.metadata()?;
            let began = match metadata.len() {
                0 => Timestamp::now().as_second(),
                _ => metadata.mtime(),
            };
            self.open = Some(Open {
                file,
                inode: metadata.ino(),
                began,
                is_dirty: false,
            });
        }
        let none = || io::Error::other("no file");
        self.open.as_mut().ok_or_else(none)
    }
}

/// How many of the lines from `there` on stand in the file from `at` on; what is behind them is cut off.
fn match_tail(
    file: &File,
    at: u64,
    there: usize,
    next: &mut impl FnMut(usize) -> io::Result<Option<Vec<u8>>>,
) -> io::Result<usize> {
    let length = file.metadata()?.len();
    let (mut at, mut there) = (at, there);
    if length <= at || length - at > LONGEST_TAIL {
        return Ok(there);
    }
    while at < length {
        let Some(line) = next(there)? else {
            break;
        };
        let mut found = vec![0; line.len()];
        if file.read_exact_at(&mut found, at).is_err() || found != line {
            break;
        }
        at += line.len() as u64;
        there += 1;
    }
    if at < length {
        file.set_len(at)?;
        file.sync_data()?;
    }
    Ok(there)
}

/// Whether a file has nothing but its header and something like the beginning of the next line.
fn is_ours(
    file: &File,
    header: u64,
    there: usize,
    next: &mut impl FnMut(usize) -> io::Result<Option<Vec<u8>>>,
) -> io::Result<bool> {
    let length = file.metadata()?.len();
    let Some(line) = next(there)? else {
        return Ok(false);
    };
    if length <= header {
        return Ok(false);
    }
    let compared = usize::try_from(length - header).unwrap_or(usize::MAX);
    let expected = line.get(..compared.min(line.len())).unwrap_or_default();
    let mut found = vec![0; expected.len()];
    file.read_exact_at(&mut found, header)?;
    Ok(found == expected)
}

/// The file with this number: where it was, else one beside it.
fn find(path: &Path, inode: u64) -> io::Result<Option<PathBuf>> {
    let is_it = |path: &Path| std::fs::metadata(path).is_ok_and(|m| m.ino() == inode);
    if is_it(path) {
        return Ok(Some(path.to_owned()));
    }
    Ok(siblings(path).find(|path| is_it(path)))
}

fn siblings(path: &Path) -> impl Iterator<Item = PathBuf> {
    let directory = path.parent().map(std::fs::read_dir);
    let entries = directory.into_iter().flatten().flatten().flatten();
    entries.map(|entry| entry.path())
}

/// What is before the date, and what comes after it, with its dot.
fn parts(path: &Path) -> [String; 2] {
    let part = |part: Option<&OsStr>| part.map(|part| part.to_string_lossy().into_owned());
    let stem = part(path.file_stem()).unwrap_or_default();
    let extension = part(path.extension()).map(|extension| format!(".{extension}"));
    [stem, extension.unwrap_or_default()]
}

/// As [`Lines::name_at`] writes it.
fn is_date(text: &str) -> bool {
    let shape = "00000000T000000.000Z";
    text.len() == shape.len()
        && text
            .bytes()
            .zip(shape.bytes())
            .all(|(found, shape)| match shape {
                b'0' => found.is_ascii_digit(),
                _ => found == shape,
            })
}
