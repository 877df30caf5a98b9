//! The thread that writes: into the spool first, from there into files and to the webhook's thread.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use compact_str::CompactString;
use tracing::{error, info, warn};

use super::CdrError;
use super::counters::{Counters, SINKS};
use super::file::Lines;
use super::format::{Format, write};
use super::inbox::{Inbox, News, Posted};
use super::sink::{Sink, count};
use super::spool::{Cursor, Kind, Place, Refused, Spool, record_of};
use super::webhook::{Batch, Worker};
use crate::config;
use crate::engine::{CallRecord, Recorded};
use crate::routing::Timestamp;

/// How often what was written is made to be on the disk.
pub(super) const PACE: Duration = Duration::from_millis(100);
/// How often it is noted that the daemon is alive while calls go on: when one that is interrupted ended is known so well.
const ALIVE: Duration = Duration::from_secs(5);
/// How often a file that could not be written is looked at.
const AGAIN: Duration = Duration::from_secs(1);
/// Records taken at a time.
const BATCH: usize = 1024;
/// How long what comes behind others gathers: what a daemon that is killed loses.
const GATHER: Duration = Duration::from_millis(10);
/// What the webhook gets at a time.
const POSTED: usize = 100;
const POSTED_BYTES: usize = 256 << 10;

/// The thread's.
pub(super) struct Writer {
    spool: Spool,
    files: Vec<Sink>,
    hook: Option<Hook>,
    mask: usize,
    counters: Arc<Counters>,
    /// What the spool had no room for, or the disk would not take.
    pending: VecDeque<(CompactString, Vec<u8>)>,
    /// A record while it is put into the spool.
    scratch: Vec<u8>,
    is_dirty: bool,
    synced: Instant,
    lived: Instant,
    is_failing: bool,
}

struct Hook {
    worker: Worker,
    next: Place,
    is_busy: bool,
}

impl Writer {
    /// Goes on where the last daemon ended.
    pub(super) fn open(
        config: &config::Cdr,
        directory: &Path,
        worker: Option<Worker>,
        counters: Arc<Counters>,
    ) -> Result<Writer, CdrError> {
        let mut spool = Spool::open(directory, config.spool)?;
        let unreadable = CdrError::Unreadable;
        let places = [
            (&config.json, Format::Json, SINKS[0]),
            (&config.csv, Format::Csv, SINKS[1]),
        ];
        let mut files: Vec<Sink> = Vec::new();
        for (path, format, name) in places {
            if let Some(path) = path {
                let lines = Lines::new(path.clone(), format, config.rotate, config.keep);
                files.push(Sink::new(name, lines, spool.cursor(name).next));
            }
        }
        let mut names: Vec<&str> = files.iter().map(|sink| sink.name).collect();
        names.extend(worker.as_ref().map(|_| SINKS[2]));
        spool.keep(&names);
        for name in names {
            let waiting = count(&spool, spool.cursor(name).next).map_err(unreadable)?;
            counters.wait(name, waiting);
        }
        for sink in &mut files {
            if let Err(error) = sink.resume(&spool, &counters) {
                sink.fail(&counters, &error);
            }
            if let Some(cursor) = sink.cursor() {
                spool.advance(sink.name, cursor);
            }
        }
        let hook = worker.map(|worker| Hook {
            worker,
            next: spool.cursor(SINKS[2]).next,
            is_busy: false,
        });
        let now = Instant::now();
        let mut writer = Writer {
            spool,
            files,
            hook,
            mask: config.mask,
            counters,
            pending: VecDeque::new(),
            scratch: Vec::new(),
            is_dirty: false,
            synced: now,
            lived: now,
            is_failing: false,
        };
        writer.end_orphans().map_err(unreadable)?;
        writer.spool.sync().map_err(unreadable)?;
        writer.counters.use_spool(writer.spool.usage());
        Ok(writer)
    }

    /// Writes what comes until nobody wants that any more.
    pub(super) fn run(&mut self, inbox: &Inbox) {
        let mut records = Vec::new();
        let mut rest = Duration::ZERO;
        while !self.counters.is_closing() {
            if self.pending.is_empty() {
                let patience = self.patience();
                let rests = rest.min(patience);
                let waits = [rests, patience.saturating_sub(rests)];
                let news = inbox.take(&mut records, BATCH, waits);
                rest = match records.is_empty() || news.is_more {
                    true => Duration::ZERO,
                    false => GATHER,
                };
                self.handle(news, &mut records);
            } else {
                // Those that wait behind it wait where they are.
                std::thread::sleep(PACE);
                self.empty_pending();
            }
            self.pump();
            if self.is_dirty && self.synced.elapsed() >= PACE {
                self.sync();
            }
            self.live();
        }
        self.finish(inbox, &mut records);
    }

    /// What has come is kept, if that is possible at once.
    fn finish(&mut self, inbox: &Inbox, records: &mut Vec<Recorded>) {
        self.empty_pending();
        loop {
            let news = inbox.take(records, BATCH, [Duration::ZERO; 2]);
            let is_more = news.is_more;
            self.handle(news, records);
            if !is_more {
                break;
            }
        }
        self.pump();
        self.sync();
        let left = self.pending.len() as u64 + self.spool.unwritten();
        if left > 0 {
            self.counters.lose("queue", left);
            error!(
                records = left,
                "these records of calls are lost: there is no room for them in the spool, nor on the disk"
            );
        }
    }

    fn patience(&self) -> Duration {
        let is_waiting = self.files.iter().any(|sink| sink.again.is_some());
        match (self.is_dirty, is_waiting || self.spool.has_open()) {
            (true, _) => PACE.saturating_sub(self.synced.elapsed()),
            (false, true) => AGAIN,
            (false, false) => ALIVE,
        }
    }

    fn handle(&mut self, news: News, records: &mut Vec<Recorded>) {
        for record in records.drain(..) {
            match record {
                Recorded::Open(record) => self.journal(&record),
                Recorded::Done(record) => self.keep(&record),
            }
        }
        if let Some(posted) = news.posted {
            self.posted(&posted);
        }
        if news.must_reopen && self.is_flushed() {
            self.turn_files(true);
        }
    }

    fn posted(&mut self, posted: &Posted) {
        let Posted {
            next,
            taken,
            refused,
        } = *posted;
        if let Some(hook) = &mut self.hook {
            hook.is_busy = false;
            // Those that were given up meanwhile are not waited for again.
            if self.spool.cursor(SINKS[2]).next.number < next.number {
                self.counters.wrote(SINKS[2], taken);
                self.counters.wait(SINKS[2], -refused.cast_signed());
                self.spool.advance(SINKS[2], Cursor { next, file: None });
            }
            hook.next = self.spool.cursor(SINKS[2]).next;
            self.is_dirty = true;
        }
        self.counters.lose("refused", refused);
    }

    /// A call goes on.
    fn journal(&mut self, record: &CallRecord) {
        let Some(bytes) = self.written(record) else {
            return;
        };
        let mut added = self.spool.append(Kind::Open, &record.id, &bytes);
        if matches!(added, Err(Refused::Full)) {
            // Perhaps there is only something to be let go. Its end is worth more than that it has begun.
            self.pump_files();
            self.sync();
            added = self.spool.append(Kind::Open, &record.id, &bytes);
        }
        if added.is_err() {
            self.counters.skip_journal();
        }
        self.is_dirty = true;
        self.scratch = bytes;
    }

    /// A call is over.
    fn keep(&mut self, record: &CallRecord) {
        let Some(bytes) = self.written(record) else {
            return;
        };
        if !self.pending.is_empty() || !self.spooled(&record.id, &bytes) {
            self.pending.push_back((record.id.clone(), bytes));
        } else {
            self.scratch = bytes;
        }
    }

    fn written(&mut self, record: &CallRecord) -> Option<Vec<u8>> {
        let mut bytes = std::mem::take(&mut self.scratch);
        bytes.clear();
        write(record, self.mask, &mut bytes).ok()?;
        Some(bytes)
    }

    fn empty_pending(&mut self) {
        while let Some((id, bytes)) = self.pending.pop_front() {
            if !self.spooled(&id, &bytes) {
                self.pending.push_front((id, bytes));
                return;
            }
        }
    }

    /// Puts a record into the spool. Where there is no room, what is done with makes some, and then what only the webhook waits for.
    fn spooled(&mut self, id: &str, record: &[u8]) -> bool {
        for attempt in 0..3 {
            match self.spool.append(Kind::Done, id, record) {
                Ok(()) => {
                    self.is_dirty = true;
                    for (name, present) in SINKS.iter().zip(self.counters.present) {
                        if present {
                            self.counters.wait(name, 1);
                        }
                    }
                    return true;
                }
                Err(Refused::Full) if attempt == 0 => {
                    self.pump_files();
                    self.sync();
                }
                Err(Refused::Full) if attempt == 1 && self.hook.is_some() => {
                    self.give_up_posting();
                    self.sync();
                }
                Err(error @ Refused::TooLong(_)) => {
                    self.counters.lose("queue", 1);
                    error!(%error, "a record of a call is lost");
                    return true;
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.is_failing, true) {
                        warn!(%error, "records of calls wait in memory until they can be spooled");
                    }
                    return false;
                }
            }
        }
        false
    }

    fn give_up_posting(&mut self) {
        match self.spool.give_up(SINKS[2]) {
            Ok(0) => {}
            Ok(lost) => {
                self.counters.wait(SINKS[2], -lost.cast_signed());
                if self.counters.lose("webhook", lost) {
                    error!(
                        "the webhook does not take records, and the spool is full: the oldest of them are not sent"
                    );
                }
                if let Some(hook) = &mut self.hook {
                    hook.next = self.spool.cursor(SINKS[2]).next;
                }
            }
            Err(error) => warn!(%error, "the spool cannot be read"),
        }
    }

    fn pump(&mut self) {
        self.pump_files();
        if self.is_flushed() {
            self.post();
        }
        self.counters.use_spool(self.spool.usage());
    }

    /// Whether all records are in the spool's file. Before that they go nowhere else.
    fn is_flushed(&mut self) -> bool {
        let flushed = self.spool.flush();
        match &flushed {
            Err(error) if !self.is_failing => {
                warn!(%error, "records of calls wait in memory until they can be spooled");
            }
            Ok(()) if self.is_failing && self.pending.is_empty() => {
                info!("records of calls are spooled again");
            }
            _ => {}
        }
        self.is_failing = flushed.is_err() || (self.is_failing && !self.pending.is_empty());
        flushed.is_ok()
    }

    fn pump_files(&mut self) {
        if !self.is_flushed() {
            return;
        }
        self.turn_files(false);
        let mut is_new = false;
        for sink in &mut self.files {
            let is_resting = sink.again.is_some_and(|again| Instant::now() < again);
            if !is_resting && sink.cursor().is_none() {
                match sink.resume(&self.spool, &self.counters) {
                    Ok(()) => is_new = true,
                    Err(error) => sink.fail(&self.counters, &error),
                }
            }
        }
        if is_new {
            self.sync();
        }
        for sink in &mut self.files {
            let is_resting = sink.again.is_some_and(|again| Instant::now() < again);
            if is_resting || sink.cursor().is_none() {
                continue;
            }
            let before = sink.next;
            if let Err(error) = sink.pump(&self.spool, &self.counters) {
                sink.fail(&self.counters, &error);
            }
            self.is_dirty |= sink.next != before;
        }
    }

    /// Puts files away that are complete, and follows those that were put away.
    fn turn_files(&mut self, always: bool) {
        let now = Timestamp::now();
        let due = |sink: &Sink| sink.again.is_none() && (always || sink.lines.must_turn(now));
        if !self.files.iter().any(due) {
            return;
        }
        // What has been written stands where it is: nobody looks for it in the next one.
        self.sync();
        for sink in self.files.iter_mut().filter(|sink| due(sink)) {
            if let Err(error) = sink.lines.turn(now) {
                sink.fail(&self.counters, &error);
            }
        }
        self.sync();
    }

    /// Gives the webhook what comes next, if it waits for something.
    fn post(&mut self) {
        let Some(hook) = self.hook.as_mut().filter(|hook| !hook.is_busy) else {
            return;
        };
        let mut batch = Batch {
            records: Vec::new(),
            next: hook.next,
        };
        let mut bytes = 0;
        while batch.records.len() < POSTED && bytes < POSTED_BYTES {
            match self.spool.read(batch.next) {
                Ok(Some(frame)) => {
                    batch.next = frame.next;
                    if frame.kind == Kind::Done {
                        bytes += frame.content.len();
                        batch.records.push(record_of(&frame.content).to_vec());
                    }
                }
                Ok(None) => break,
                Err(error) => return warn!(%error, "the spool cannot be read"),
            }
        }
        if batch.records.is_empty() {
            // What is passed over is not looked at again.
            if hook.next != batch.next {
                hook.next = batch.next;
                let next = batch.next;
                self.spool.advance(SINKS[2], Cursor { next, file: None });
            }
            return;
        }
        hook.is_busy = hook.worker.send(batch);
    }

    /// What was written is on the disk: the spool, then files, then how far these are.
    fn sync(&mut self) {
        self.synced = Instant::now();
        if let Err(error) = self.try_sync() {
            if !std::mem::replace(&mut self.is_failing, true) {
                error!(%error, "the records of calls cannot be made to be on the disk");
            }
            return;
        }
        self.is_dirty = false;
    }

    fn try_sync(&mut self) -> io::Result<()> {
        self.spool.settle()?;
        for sink in &mut self.files {
            match sink.lines.sync() {
                Ok(()) => {
                    if let Some(cursor) = sink.cursor() {
                        self.spool.advance(sink.name, cursor);
                    }
                }
                Err(error) => sink.fail(&self.counters, &error),
            }
        }
        self.spool.release()?;
        self.spool.sync()
    }

    fn live(&mut self) {
        if self.lived.elapsed() >= ALIVE && self.spool.has_open() {
            self.lived = Instant::now();
            self.spool.live(Timestamp::now().as_millisecond());
            self.is_dirty = true;
        }
    }

    /// Calls that went on when the last daemon ended: they are over.
    fn end_orphans(&mut self) -> io::Result<()> {
        let alive = Timestamp::from_millisecond(self.spool.alive()).ok();
        let mut count = 0;
        while let Some(bytes) = self.spool.next_orphan()? {
            let Ok(mut record) = serde_json::from_slice::<CallRecord>(&bytes) else {
                continue;
            };
            if let Some(alive) = alive.filter(|alive| *alive > record.end) {
                record.end = alive;
            }
            if let Some(answer) = record.answer {
                let lasted = record.end.duration_since(answer);
                record.set_duration(lasted.try_into().unwrap_or_default());
            }
            // Masked when it was told.
            let mut bytes = Vec::new();
            if write(&record, 0, &mut bytes).is_ok() {
                count += 1;
                if !self.spooled(&record.id, &bytes) {
                    self.pending.push_back((record.id, bytes));
                }
            }
        }
        if count > 0 {
            warn!(
                calls = count,
                "the last daemon ended before these calls did: their records say `interrupted`"
            );
        }
        Ok(())
    }
}
