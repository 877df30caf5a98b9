//! The records of calls, on their way to files and to a webhook.
//!
//! The engine's task hands each one over and goes on (`put`, into the `inbox`); a thread of its own has it in the `spool` first (`layout` is what stands there, in `frames`), and then in each `file` (a `sink`), in the
//! `format` that this has, and sends it to the `webhook`, which has another thread. What is promised:
//!
//! - A call attempt has one record in each file, also when the daemon is killed or the disk is full for a while: `writer` compares the end of a file
//!   with the spool when it starts. Of a call that was up when the daemon ended without ending it, there is one with the outcome `interrupted`.
//! - The webhook gets each record at least once and in order; a record that it gets twice has the same id.
//! - When the machine itself fails, what came within the last [`writer::PACE`] may be gone.
//! - When the disk has been full for so long that the spool is, records wait in memory, [`QUEUE`] at most; after that they are lost, and counted.

mod counters;
mod file;
mod format;
mod frames;
mod inbox;
mod layout;
mod sink;
mod spool;
#[cfg(test)]
mod tests;
mod tls;
mod webhook;
mod writer;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use thiserror::Error;
use tracing::error;

pub use counters::{Counters, SINKS};
pub use spool::SpoolError;

use self::inbox::Inbox;
use self::tls::Trust;
use self::writer::Writer;
use crate::config;
use crate::engine::Recorded;

/// Records that wait for the writer.
pub const QUEUE: usize = 16_384;

/// Why records cannot be kept.
#[derive(Debug, Error)]
pub enum CdrError {
    /// There is no spool.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// It cannot be read.
    #[error("cannot read the spool of call records: {0}")]
    Unreadable(io::Error),
    /// Nothing makes their ids unique.
    #[error("the kernel gives no random numbers: {0}")]
    Random(io::Error),
    /// There is no thread for it.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

/// The way to the writer.
#[derive(Debug)]
pub struct Cdr {
    inbox: Arc<Inbox>,
    counters: Arc<Counters>,
    thread: Option<JoinHandle<()>>,
}

impl Cdr {
    /// Opens the spool in this directory, goes on where the last daemon ended, and starts to write.
    ///
    /// # Errors
    /// See [`CdrError`]. Files and a webhook that cannot be reached are none: they are tried again.
    pub fn open(config: &config::Cdr, directory: &Path) -> Result<Cdr, CdrError> {
        Cdr::open_trusting(config, directory, tls::system)
    }

    /// The same where others than the system say whose certificates are believed.
    fn open_trusting(
        config: &config::Cdr,
        directory: &Path,
        trust: Trust,
    ) -> Result<Cdr, CdrError> {
        let inbox = Arc::new(Inbox::default());
        let counters = Arc::new(Counters::new(config));
        let worker = config.webhook.as_ref().map(|hook| {
            let told = Arc::clone(&inbox);
            webhook::start(hook.clone(), trust, Arc::clone(&counters), told)
        });
        let worker = worker.transpose().map_err(CdrError::Thread)?;
        let mut writer = Writer::open(config, directory, worker, Arc::clone(&counters))?;
        let waiting = Arc::clone(&inbox);
        let thread = std::thread::Builder::new()
            .name("sbc-cdr".to_owned())
            .spawn(move || writer.run(&waiting))
            .map_err(CdrError::Thread)?;
        Ok(Cdr {
            inbox,
            counters,
            thread: Some(thread),
        })
    }

    /// To be kept. Never waits: where there is no room it is lost, and counted.
    pub fn put(&self, record: Recorded) {
        if !self.inbox.put(record) && self.counters.lose("queue", 1) {
            error!(
                "the records of calls are lost: {QUEUE} wait, the spool is full, and nothing can be written; free the disk, or see why the log complains of a file"
            );
        }
    }

    /// Files are opened anew: they may have been put away.
    pub fn reopen(&self) {
        self.inbox.reopen();
    }

    /// What was written and what waits.
    #[must_use]
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }
}

impl Drop for Cdr {
    /// Waits until everything is in the spool, and in the files if that is possible.
    fn drop(&mut self) {
        self.counters.close();
        self.inbox.reopen();
        if let Some(thread) = self.thread.take() {
            // It never panics; if it did all the same there is nothing left to wait for.
            let _ = thread.join();
        }
    }
}
