//! The thread that writes: into the spool first, from there into files and to the webhook's thread.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use tracing::{error, info, warn};

use super::CdrError;
use super::counters::{Counters, SINKS};
use super::file::Lines;
use super::format::{Format, written};
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
/// What the webhook gets at a time.
const POSTED: usize = 100;
const POSTED_BYTES: usize = 256 << 10;

/// What the writer is told.
#[derive(Debug)]
pub(super) enum Message {
    /// To be kept.
    Record(Recorded),
    /// Files may have been put away.
    Reopen,
    /// The webhook has this batch: its place, and how many it took and refused.
    Posted {
        next: Place,
        taken: u64,
        refused: u64,
    },
}

/// The thread's.
pub(super) struct Writer {
    spool: Spool,
    files: Vec<Sink>,
    hook: Option<Hook>,
    mask: usize,
    counters: Arc<Counters>,
    /// What the spool had no room for, or the disk would not take.
    pending: VecDeque<(String, Vec<u8>)>,
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
    pub(super) fn run(&mut self, messages: &Receiver<Message>) {
        while !self.counters.is_closing() {
            if self.pending.is_empty() {
                let mut next = messages.recv_timeout(self.patience()).ok();
                let mut left = BATCH;
                while let Some(message) = next {
                    self.take(message);
                    left = left.saturating_sub(1);
                    // One that is fetched is taken.
                    next = (left > 0).then(|| messages.try_recv().ok()).flatten();
                }
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
        self.finish(messages);
    }

    /// What has come is kept, if that is possible at once.
    fn finish(&mut self, messages: &Receiver<Message>) {
        self.empty_pending();
        while let Ok(message) = messages.try_recv() {
            self.take(message);
        }
        self.pump();
        self.sync();
        let left = self.pending.len() as u64;
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

    fn take(&mut self, message: Message) {
        match message {
            Message::Record(Recorded::Open(record)) => self.journal(&record),
            Message::Record(Recorded::Done(record)) => self.keep(&record),
            Message::Reopen => self.turn_files(true),
            Message::Posted {
                next,
                taken,
                refused,
            } => {
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
        }
    }

    /// A call goes on.
    fn journal(&mut self, record: &CallRecord) {
        let Ok(bytes) = written(record, self.mask) else {
            return;
        };
        if self.spool.append(Kind::Open, &record.id, &bytes).is_err() {
            // Perhaps there is only something to be let go. Its end is worth more than that it has begun.
            self.pump_files();
            self.sync();
            if self.spool.append(Kind::Open, &record.id, &bytes).is_err() {
                self.counters.skip_journal();
            }
        }
        self.is_dirty = true;
    }

    /// A call is over.
    fn keep(&mut self, record: &CallRecord) {
        let Ok(bytes) = written(record, self.mask) else {
            return;
        };
        if !self.pending.is_empty() || !self.spooled(&record.id, &bytes) {
            self.pending.push_back((record.id.clone(), bytes));
        }
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
                    if std::mem::replace(&mut self.is_failing, false) {
                        info!("records of calls are spooled again");
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
        self.post();
        self.counters.use_spool(self.spool.usage());
    }

    fn pump_files(&mut self) {
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
            if let Ok(bytes) = written(&record, 0) {
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
