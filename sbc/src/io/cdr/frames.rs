//! Frames of the spool, in memory: the latest ones, before and after they are written, and what is read of the file.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::layout::{HEAD, Kind, PREFIX, Place, checksum, unpack};
use super::spool::LONGEST;

/// Bytes that gather before they are written, at most.
const GATHERED: usize = 256 << 10;
/// Bytes that stay in memory once they are written: whoever reads them has them without asking the system.
const KEPT: usize = 256 << 10;
/// Bytes of the file that are read at once.
const AHEAD: usize = 64 << 10;
const SHORT: usize = 4 << 10;

/// A frame that was read.
pub(super) struct Frame<'f> {
    pub(super) kind: Kind,
    pub(super) place: Place,
    pub(super) content: Cow<'f, [u8]>,
    pub(super) next: Place,
}

/// The latest frames, as they stand one behind the other in the file.
#[derive(Debug, Default)]
pub(super) struct Recent {
    bytes: Vec<u8>,
    /// Where the first of them belongs.
    at: u64,
    /// Of `bytes`, how many are in the file.
    written: usize,
    /// Calls that are over among the rest.
    unwritten: u64,
    /// The file could not be written.
    is_stuck: bool,
}

impl Recent {
    /// Adds what stands at this place. Frames that do not follow the ones before are added when these are written.
    pub(super) fn add(&mut self, place: Place, kind: Kind, content: &[&[u8]]) {
        let is_next = self.at + self.bytes.len() as u64 == place.at;
        if !self.has_unwritten() && (self.bytes.len() >= KEPT || !is_next) {
            self.bytes.clear();
            (self.at, self.written) = (place.at, 0);
        }
        let begin = self.bytes.len();
        let length: usize = content.iter().map(|part| part.len()).sum();
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&place.number.to_le_bytes());
        self.bytes.push(kind.byte());
        for part in content {
            self.bytes.extend_from_slice(part);
        }
        let whole = self.bytes.get(begin + PREFIX..).unwrap_or_default();
        let sum = checksum(place.number, kind, whole).to_le_bytes();
        if let Some(field) = self.bytes.get_mut(begin + 4..begin + 8) {
            field.copy_from_slice(&sum);
        }
        self.unwritten += u64::from(kind == Kind::Done);
    }

    /// Nothing can be added before.
    pub(super) fn must_be_written(&self) -> bool {
        self.is_stuck || self.bytes.len() - self.written >= GATHERED
    }

    pub(super) fn has_unwritten(&self) -> bool {
        self.written < self.bytes.len()
    }

    /// Calls that are over and in memory alone.
    pub(super) fn unwritten(&self) -> u64 {
        self.unwritten
    }

    /// Writes what is not in the file, at once.
    pub(super) fn flush(&mut self, file: &File) -> io::Result<()> {
        if !self.has_unwritten() {
            return Ok(());
        }
        let rest = self.bytes.get(self.written..).unwrap_or_default();
        let written = file.write_all_at(rest, self.at + self.written as u64);
        self.is_stuck = written.is_err();
        if !self.is_stuck {
            (self.written, self.unwritten) = (self.bytes.len(), 0);
        }
        written
    }

    /// The frame at a place, if it is one of these.
    pub(super) fn read(&self, size: u64, place: Place) -> Option<Frame<'_>> {
        let place = in_file(place, size);
        let from = usize::try_from(place.at.checked_sub(self.at)?).ok()?;
        let bytes = self.bytes.get(from..).filter(|bytes| !bytes.is_empty())?;
        // What we wrote ourselves is whole.
        frame(bytes, place, size, |_, _| true)
    }
}

/// A part of the file, as it was when it was read.
pub(super) struct Window {
    bytes: Vec<u8>,
    at: u64,
    ahead: usize,
}

impl Default for Window {
    fn default() -> Window {
        Window {
            bytes: Vec::new(),
            at: 0,
            ahead: AHEAD,
        }
    }
}

impl Window {
    /// For one frame.
    pub(super) fn short() -> Window {
        Window {
            ahead: SHORT,
            ..Window::default()
        }
    }

    /// The frame at a place of a file of this size; none if there is none.
    pub(super) fn read(
        &mut self,
        file: &File,
        size: u64,
        place: Place,
    ) -> io::Result<Option<Frame<'_>>> {
        let place = in_file(place, size);
        self.load(file, size, place.at, PREFIX)?;
        let prefix = self.from(place.at).first_chunk();
        let length = prefix.and_then(unpack).map_or(0, |(length, ..)| length);
        let length = (length as usize).min(LONGEST);
        self.load(file, size, place.at, PREFIX + length)?;
        let is_whole = |content: &[u8], (kind, sum)| checksum(place.number, kind, content) == sum;
        Ok(frame(self.from(place.at), place, size, is_whole))
    }

    fn load(&mut self, file: &File, size: u64, at: u64, needed: usize) -> io::Result<()> {
        let left = usize::try_from(size.saturating_sub(at)).unwrap_or(usize::MAX);
        let is_before = at < self.at;
        if !is_before && self.from(at).len() >= needed.min(left) {
            return Ok(());
        }
        self.bytes.resize(needed.max(self.ahead).min(left), 0);
        self.at = at;
        file.read_exact_at(&mut self.bytes, at)
    }

    fn from(&self, at: u64) -> &[u8] {
        let from = at
            .checked_sub(self.at)
            .and_then(|at| usize::try_from(at).ok());
        let bytes = from.and_then(|from| self.bytes.get(from..));
        bytes.unwrap_or_default()
    }
}

/// Too little may be left for a frame at the end of the file: it is at the beginning.
fn in_file(place: Place, size: u64) -> Place {
    match place.at + PREFIX as u64 > size {
        true => Place {
            at: 2 * HEAD,
            ..place
        },
        false => place,
    }
}

fn frame(
    bytes: &[u8],
    place: Place,
    size: u64,
    is_whole: impl FnOnce(&[u8], (Kind, u32)) -> bool,
) -> Option<Frame<'_>> {
    let (length, sum, number, kind) = unpack(bytes.first_chunk()?)?;
    let length = length as usize;
    let after = place.at + (PREFIX + length) as u64;
    if number != place.number || length > LONGEST || after > size {
        return None;
    }
    let kind = Kind::of(kind)?;
    let content = bytes.get(PREFIX..PREFIX + length)?;
    if !is_whole(content, (kind, sum)) {
        return None;
    }
    let at = match kind {
        Kind::Wrap => 2 * HEAD,
        Kind::Open | Kind::Done => after,
    };
    let next = Place {
        at,
        number: number + 1,
    };
    Some(Frame {
        kind,
        place,
        content: Cow::Borrowed(content),
        next,
    })
}
