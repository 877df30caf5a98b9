//! The spool: one file of a fixed size in `state_dir`, written round and round, that holds each record until it is where it belongs. All of
//! its bytes are taken from the disk when it is made, so that a disk which is full later has room for what it may hold.
//!
//! Frames follow one another, numbered without a gap; what is behind the last one has an older number, so that the end is found without being
//! written anywhere. Where to begin, and how far each sink is, stands in one of two heads, written in turn.
//!
//! Frames gather in memory; they are whole in the file when [`Spool::flush`] returns: that is enough for the end of the daemon, whatever ends it. The
//! end of the machine takes what came after the last [`Spool::sync`].

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use compact_str::CompactString;
use thiserror::Error;

use super::frames::{Frame, Recent, Window};
pub(super) use super::layout::{Cursor, Kind, Place};
use super::layout::{HEAD, Head, PREFIX, read_head, write_head};

/// The file.
const FILE: &str = "cdr.spool";
/// Where frames begin.
const START: u64 = 2 * HEAD;
/// Bytes of a frame's content.
pub(super) const LONGEST: usize = 128 << 10;
/// At once, when the file is made.
const ZEROS: usize = 1 << 20;

/// Why there is no spool.
#[derive(Debug, Error)]
pub enum SpoolError {
    /// The directory or the file cannot be made or used.
    #[error("cannot use {}: {source}; the records of calls wait there: make room, or set `spool` in [cdr] to less", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another daemon has it.
    #[error("{} is in use: another daemon has this state_dir", .0.display())]
    InUse(PathBuf),
}

/// A frame was not taken.
#[derive(Debug, Error)]
pub(super) enum Refused {
    /// All that is in there is still needed.
    #[error("the spool is full")]
    Full,
    /// Calls that go on have their share of it.
    #[error("too many calls go on")]
    Crowded,
    /// It never has room for that.
    #[error("a record of {0} bytes is too long")]
    TooLong(usize),
    /// The system refuses to write.
    #[error(transparent)]
    Disk(#[from] io::Error),
}

/// The file.
#[derive(Debug)]
pub(super) struct Spool {
    file: File,
    size: u64,
    /// The latest frames.
    recent: Recent,
    head: Head,
    /// As of the last sync: what is behind it may be written over.
    settled: u64,
    /// Where the next frame goes.
    end: Place,
    /// Bytes between the tail and the end.
    used: u64,
    /// Calls that go on, by their ids: the last frame of each, and the length of its content.
    open: BTreeMap<CompactString, (Place, u64)>,
    /// What these take.
    going_on: u64,
    /// Whose content is read and not known to go on: opened by a daemon that is gone.
    orphans: Vec<CompactString>,
}

impl Spool {
    /// Opens it, or makes it with this size; one that is there keeps its own until nothing is left in it.
    pub(super) fn open(directory: &Path, size: u64) -> Result<Spool, SpoolError> {
        let path = directory.join(FILE);
        let failed = |source| SpoolError::File {
            file: path.clone(),
            source,
        };
        std::fs::create_dir_all(directory).map_err(failed)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SpoolError::InUse(path)),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let known = read_head(&file).map_err(failed)?;
        let mut spool = match known {
            Some(head) => {
                let size = file.metadata().map_err(failed)?.len();
                Spool::at(file, size, head)
            }
            None => make(file, START + size).map_err(failed)?,
        };
        spool.find_end().map_err(failed)?;
        let is_empty =
            spool.open.is_empty() && spool.head.cursors.values().all(|c| c.next == spool.end);
        if is_empty && spool.size != START + size {
            let (turn, end) = (spool.head.turn, spool.end);
            let cursors = std::mem::take(&mut spool.head.cursors);
            let mut fresh = make(spool.file, START + size).map_err(failed)?;
            // Files go on where they are.
            fresh.head.turn = turn + 1;
            fresh.head.tail.number = end.number;
            fresh.end = fresh.head.tail;
            for (name, cursor) in cursors {
                let next = fresh.end;
                fresh.head.cursors.insert(name, Cursor { next, ..cursor });
            }
            fresh.sync().map_err(failed)?;
            return Ok(fresh);
        }
        Ok(spool)
    }

    fn at(file: File, size: u64, head: Head) -> Spool {
        let end = head.tail;
        Spool {
            file,
            size,
            recent: Recent::default(),
            settled: 0,
            end,
            used: 0,
            open: BTreeMap::new(),
            going_on: 0,
            orphans: Vec::new(),
            head,
        }
    }

    /// Reads on from the tail for as long as the numbers do.
    fn find_end(&mut self) -> io::Result<()> {
        let mut done: Vec<CompactString> = Vec::new();
        let mut window = Window::default();
        while let Some(frame) = window.read(&self.file, self.size, self.end)? {
            self.used += self.length(&frame);
            self.end = frame.next;
            let id = id_of(&frame.content).into();
            match frame.kind {
                Kind::Open => self.goes_on(id, frame.place, frame.content.len()),
                Kind::Done => done.push(id),
                Kind::Wrap => {}
            }
        }
        for id in done {
            self.is_over(&id);
        }
        self.settled = self.used;
        // A head may have come to the disk without the last frames.
        for cursor in self.head.cursors.values_mut() {
            if cursor.next.number > self.end.number {
                cursor.next = self.end;
            }
        }
        self.orphans = self.open.keys().cloned().collect();
        Ok(())
    }

    /// The next call that a daemon left open which is gone: its record, as it was told last.
    pub(super) fn next_orphan(&mut self) -> io::Result<Option<Vec<u8>>> {
        while let Some(id) = self.orphans.pop() {
            if let Some((place, _)) = self.open.get(&id).copied()
                && let Some(frame) = self.read(place)?
            {
                return Ok(Some(record_of(&frame.content).to_vec()));
            }
        }
        Ok(None)
    }

    /// When the last daemon was known to be alive, in milliseconds since 1970.
    pub(super) fn alive(&self) -> i64 {
        self.head.alive
    }

    /// It is, now. Stands in the file with the next [`Spool::sync`].
    pub(super) fn live(&mut self, now: i64) {
        self.head.alive = now;
    }

    /// Whether calls go on.
    pub(super) fn has_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// How far a sink is; one that is new begins with what comes next.
    pub(super) fn cursor(&self, sink: &str) -> Cursor {
        let known = self.head.cursors.get(sink).copied();
        known.unwrap_or(Cursor {
            next: self.end,
            file: None,
        })
    }

    /// A sink is so far. Stands in the file with the next [`Spool::sync`].
    pub(super) fn advance(&mut self, sink: &str, cursor: Cursor) {
        match self.head.cursors.get_mut(sink) {
            Some(known) => *known = cursor,
            None => drop(self.head.cursors.insert(sink.to_owned(), cursor)),
        }
    }

    /// Only these are waited for.
    pub(super) fn keep(&mut self, sinks: &[&str]) {
        self.head
            .cursors
            .retain(|name, _| sinks.contains(&name.as_str()));
        for sink in sinks {
            let cursor = self.cursor(sink);
            self.advance(sink, cursor);
        }
    }

    /// Bytes in use, and bytes that there are.
    pub(super) fn usage(&self) -> (u64, u64) {
        (self.used, self.size.saturating_sub(START))
    }

    /// The frame at a place; none if there is none yet.
    pub(super) fn read(&self, place: Place) -> io::Result<Option<Frame<'_>>> {
        if place.number >= self.end.number {
            return Ok(None);
        }
        if let Some(frame) = self.recent.read(self.size, place) {
            return Ok(Some(frame));
        }
        let mut window = Window::short();
        let frame = window.read(&self.file, self.size, place)?;
        Ok(frame.map(|frame| Frame {
            content: Cow::Owned(frame.content.into_owned()),
            ..frame
        }))
    }

    /// What a frame takes of the file, with what is left out behind it.
    fn length(&self, frame: &Frame<'_>) -> u64 {
        match frame.kind {
            Kind::Wrap => self.size - frame.place.at,
            Kind::Open | Kind::Done => {
                let left_out = if frame.next.at + PREFIX as u64 > self.size {
                    self.size - frame.next.at
                } else {
                    0
                };
                (PREFIX + frame.content.len()) as u64 + left_out
            }
        }
    }

    fn goes_on(&mut self, id: CompactString, place: Place, length: usize) {
        let length = (PREFIX + length) as u64;
        let before = self.open.insert(id, (place, length));
        self.going_on += length;
        self.going_on -= before.map_or(0, |(_, length)| length);
    }

    fn is_over(&mut self, id: &str) {
        let before = self.open.remove(id);
        self.going_on -= before.map_or(0, |(_, length)| length);
    }

    /// Adds a frame. Calls that go on take no more than a quarter of the file.
    ///
    /// # Errors
    /// [`Refused`]: nothing has changed.
    pub(super) fn append(&mut self, kind: Kind, id: &str, record: &[u8]) -> Result<(), Refused> {
        let length = id.len() + 1 + record.len();
        if length > LONGEST {
            return Err(Refused::TooLong(length));
        }
        let room = self.size - START;
        let needed = (PREFIX + length) as u64;
        if kind == Kind::Open && self.going_on + needed > room / 4 {
            return Err(Refused::Crowded);
        }
        // What goes on has to move before the oldest can be let go: so much stays free, and what the end of the file may cost.
        let reserve = LONGEST as u64 + self.going_on + needed;
        let place = self.put(kind, &[id.as_bytes(), b"\n", record], reserve)?;
        match kind {
            Kind::Open => self.goes_on(id.into(), place, length),
            Kind::Done => self.is_over(id),
            Kind::Wrap => {}
        }
        Ok(())
    }

    fn put(&mut self, kind: Kind, content: &[&[u8]], reserve: u64) -> Result<Place, Refused> {
        if self.recent.must_be_written() {
            self.flush()?;
        }
        let whole = PREFIX as u64 + content.iter().map(|part| part.len() as u64).sum::<u64>();
        let mut end = self.end;
        let mut used = self.settled;
        if end.at + PREFIX as u64 > self.size {
            self.flush()?;
            end.at = START;
        } else if end.at + whole > self.size {
            let rest = self.size - end.at;
            if used + rest + whole + reserve > self.size - START {
                return Err(Refused::Full);
            }
            self.recent.add(end, Kind::Wrap, &[]);
            self.end = Place {
                at: START,
                number: end.number + 1,
            };
            (self.used, self.settled) = (self.used + rest, self.settled + rest);
            self.flush()?;
            used = self.settled;
            end = self.end;
        }
        let next = end.at + whole;
        let left_out = match next + PREFIX as u64 > self.size {
            true => self.size - next,
            false => 0,
        };
        let takes = whole + left_out;
        // One frame's worth stays free: the end never meets the tail.
        if used + takes + reserve + PREFIX as u64 > self.size - START {
            return Err(Refused::Full);
        }
        self.recent.add(end, kind, content);
        self.end = Place {
            at: next,
            number: end.number + 1,
        };
        (self.used, self.settled) = (self.used + takes, self.settled + takes);
        Ok(end)
    }

    /// All frames are in the file.
    ///
    /// # Errors
    /// The system refuses to write. Until it does not, nothing can be added.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.recent.flush(&self.file)
    }

    /// Records of calls that are over which are in memory alone.
    pub(super) fn unwritten(&self) -> u64 {
        self.recent.unwritten()
    }

    /// Lets go of what nobody needs any more, once half of the file is in use. What goes on moves to the end.
    pub(super) fn release(&mut self) -> io::Result<()> {
        self.flush()?;
        let half = (self.size - START) / 2;
        let mut carried = 0;
        let mut window = Window::default();
        // What is carried comes behind it, and is needed.
        let end = self.end.number;
        while self.used > half && self.head.tail.number < end && carried < half {
            let Some(frame) = window.read(&self.file, self.size, self.head.tail)? else {
                break;
            };
            let is_needed = |cursor: &Cursor| cursor.next.number <= frame.place.number;
            if frame.kind == Kind::Done && self.head.cursors.values().any(is_needed) {
                break;
            }
            let id = id_of(&frame.content);
            let last = self.open.get(id).map(|(place, _)| *place);
            if frame.kind == Kind::Open && last == Some(frame.place) {
                match self.put(Kind::Open, &[&frame.content], 0) {
                    Ok(place) => self.goes_on(id.into(), place, frame.content.len()),
                    Err(Refused::Full | Refused::Crowded | Refused::TooLong(_)) => break,
                    Err(Refused::Disk(error)) => return Err(error),
                }
                carried += self.length(&frame);
            }
            self.used -= self.length(&frame).min(self.used);
            self.head.tail = frame.next;
            // Whoever has seen nothing since is not behind.
            let next = frame.next;
            for cursor in self.head.cursors.values_mut() {
                if cursor.next.number < next.number {
                    cursor.next = next;
                }
            }
        }
        Ok(())
    }

    /// One sink has had what is oldest, although it has not: there is no room for it any more. How many records that were; none if nobody waits
    /// for more than the others do.
    pub(super) fn give_up(&mut self, sink: &str) -> io::Result<u64> {
        let others = self.head.cursors.iter().filter(|(name, _)| *name != sink);
        let limit = others.map(|(_, cursor)| cursor.next.number).min();
        let limit = limit.unwrap_or(self.end.number);
        let mut cursor = self.cursor(sink);
        let (mut lost, mut freed) = (0, 0);
        while cursor.next.number < limit && freed < (self.size - START) / 8 {
            let Some(frame) = self.read(cursor.next)? else {
                break;
            };
            lost += u64::from(frame.kind == Kind::Done);
            freed += self.length(&frame);
            cursor.next = frame.next;
        }
        self.advance(sink, cursor);
        Ok(lost)
    }

    /// Frames are on the disk.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        self.flush()?;
        self.file.sync_data()
    }

    /// How far sinks are is on its way to the disk, behind all frames.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        self.head.turn += 1;
        write_head(&self.file, &self.head)?;
        if self.settled != self.used {
            // With what goes on and has moved.
            // What the tail has left may be written over once nobody begins there any more.
            self.file.sync_data()?;
            self.settled = self.used;
        }
        Ok(())
    }
}

/// What is before the line feed.
pub(super) fn id_of(content: &[u8]) -> &str {
    let id = content.split(|&byte| byte == b'\n').next();
    id.and_then(|id| std::str::from_utf8(id).ok())
        .unwrap_or_default()
}

/// What is behind it.
pub(super) fn record_of(content: &[u8]) -> &[u8] {
    let at = content.iter().position(|&byte| byte == b'\n');
    at.and_then(|at| content.get(at + 1..)).unwrap_or_default()
}

fn make(file: File, size: u64) -> io::Result<Spool> {
    file.set_len(0)?;
    // Zeros that are written are taken from the disk on every file system, which cannot be said of those that are only reserved.
    let zeros = vec![0; ZEROS];
    let mut at = 0;
    while at < size {
        let part = usize::try_from(size - at).map_or(ZEROS, |left| left.min(ZEROS));
        file.write_all_at(zeros.get(..part).unwrap_or_default(), at)?;
        at += part as u64;
    }
    let tail = Place {
        at: START,
        number: 1,
    };
    let head = Head {
        turn: 0,
        tail,
        alive: 0,
        cursors: BTreeMap::new(),
    };
    write_head(&file, &head)?;
    file.sync_all()?;
    Ok(Spool::at(file, size, head))
}
