//! A file as one of those that the spool is for: how far it is, and what is done when it cannot be written.

use std::io;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::counters::Counters;
use super::file::Lines;
use super::spool::{Cursor, Kind, Place, Spool, record_of};

/// When a file that could not be written is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// Bytes of lines at a time.
const LINES: usize = 1 << 20;

/// A file.
pub(super) struct Sink {
    pub(super) name: &'static str,
    pub(super) lines: Lines,
    /// The next frame that is not in it.
    pub(super) next: Place,
    /// What it had already is known.
    is_resumed: bool,
    /// It failed; when it is tried again.
    pub(super) again: Option<Instant>,
}

impl Sink {
    pub(super) fn new(name: &'static str, lines: Lines, next: Place) -> Sink {
        Sink {
            name,
            lines,
            next,
            is_resumed: false,
            again: None,
        }
    }

    /// How far it is, once that is known.
    pub(super) fn cursor(&self) -> Option<Cursor> {
        let file = self.lines.state();
        let next = self.next;
        self.is_resumed.then_some(Cursor { next, file })
    }

    /// Finds out what the file has already. Before anything is written the spool has to know that.
    pub(super) fn resume(&mut self, spool: &Spool, counters: &Counters) -> io::Result<()> {
        let cursor = spool.cursor(self.name);
        let format = self.lines.format();
        // The frame that follows those which have been asked for.
        let mut places = vec![cursor.next];
        let there = self.lines.resume(cursor.file, |index| {
            while places.len() <= index + 1 {
                let Some(last) = places.last() else {
                    return Ok(None);
                };
                match next_done(spool, *last)? {
                    Some((_, next)) => places.push(next),
                    None => return Ok(None),
                }
            }
            let before = places.get(index).copied();
            let found = before.map(|place| next_done(spool, place)).transpose()?;
            let record = found.flatten().map(|(record, _)| format.line(&record));
            record.transpose()
        })?;
        self.next = places.get(there).copied().unwrap_or(cursor.next);
        counters.wrote(self.name, there as u64);
        self.is_resumed = true;
        Ok(())
    }

    /// Writes what the spool has for it.
    pub(super) fn pump(&mut self, spool: &Spool, counters: &Counters) -> io::Result<()> {
        loop {
            let (mut rows, mut count, mut next) = (self.lines.format().rows(), 0, self.next);
            while rows.len() < LINES {
                let Some(frame) = spool.read(next)? else {
                    break;
                };
                next = frame.next;
                if frame.kind == Kind::Done {
                    rows.add(record_of(&frame.content))?;
                    count += 1;
                }
            }
            if count > 0 {
                self.lines.write(&rows.finish()?)?;
                counters.wrote(self.name, count);
                if self.again.take().is_some() {
                    let file = self.lines.path().display();
                    info!(%file, "records of calls are written again");
                }
            }
            if next == self.next {
                return Ok(());
            }
            self.next = next;
        }
    }

    pub(super) fn fail(&mut self, counters: &Counters, error: &io::Error) {
        counters.failed(self.name);
        if self.again.is_none() {
            let file = self.lines.path().display();
            warn!(%file, %error, "records of calls wait in the spool until this file can be written");
        }
        self.again = Some(Instant::now() + AGAIN);
    }
}

/// The next record from a place on, and what comes after it.
fn next_done(spool: &Spool, place: Place) -> io::Result<Option<(Vec<u8>, Place)>> {
    let mut place = place;
    while let Some(frame) = spool.read(place)? {
        if frame.kind == Kind::Done {
            return Ok(Some((record_of(&frame.content).to_vec(), frame.next)));
        }
        place = frame.next;
    }
    Ok(None)
}

/// How many records there are from a place on.
pub(super) fn count(spool: &Spool, from: Place) -> io::Result<i64> {
    let (mut place, mut count) = (from, 0);
    while let Some((_, next)) = next_done(spool, place)? {
        place = next;
        count += 1;
    }
    Ok(count)
}
