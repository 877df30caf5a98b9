//! What outlives the daemon: a file in `state_dir`, written by a thread of its own. Whoever has something to keep never waits for the disk.
//!
//! What is put is on disk within [`PACE`] and a commit: many changes are one commit.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use thiserror::Error;
use tracing::{debug, error, info};

/// The file.
const FILE: &str = "state.redb";
/// Changes that may wait for the disk.
const WAITING: usize = 4096;
/// How long changes are collected before they are written.
const PACE: Duration = Duration::from_millis(200);
/// Bytes that the database keeps in memory: it is read once.
const CACHE: usize = 4 << 20;

type Definition = TableDefinition<'static, &'static str, &'static [u8]>;

/// What is kept. The name has the version of what is in it: what another version wrote is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// Where phones are, by their names.
    Registrations,
    /// Who is banned, by slot.
    Bans,
}

impl Table {
    const ALL: [Table; 2] = [Table::Registrations, Table::Bans];

    fn definition(self) -> Definition {
        match self {
            Table::Registrations => TableDefinition::new("registrations-1"),
            Table::Bans => TableDefinition::new("bans-1"),
        }
    }
}

/// One change: a value, or none any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub table: Table,
    /// Of what.
    pub key: String,
    /// What it is now.
    pub value: Option<Vec<u8>>,
}

/// Why nothing is kept.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The directory cannot be made.
    #[error("cannot make {}: {source}", directory.display())]
    Directory {
        /// `state_dir`.
        directory: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file cannot be opened, or read.
    #[error("cannot use {}: {source}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: Box<redb::Error>,
    },
    /// It is a database, and not whole.
    #[error("cannot use {}: it is damaged; move it away, and the next start makes a new one", .0.display())]
    Damaged(PathBuf),
    /// There is no thread for it.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

/// The way to the file.
#[derive(Debug)]
pub struct Store {
    changes: Option<Sender<Change>>,
    thread: Option<JoinHandle<()>>,
}

/// What stands in a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Of what.
    pub key: String,
    /// What it was.
    pub value: Vec<u8>,
}

/// What was kept.
pub type Kept = Vec<(Table, Row)>;

impl Store {
    /// Opens the file, or makes it, and gives what is in it.
    ///
    /// # Errors
    /// See [`StoreError`]; another daemon may have it open.
    pub fn open(directory: &Path) -> Result<(Store, Kept), StoreError> {
        std::fs::create_dir_all(directory).map_err(|source| StoreError::Directory {
            directory: directory.to_owned(),
            source,
        })?;
        let file = directory.join(FILE);
        let opened = guarded(|| open(&file)).ok_or_else(|| StoreError::Damaged(file.clone()))?;
        let (database, kept) = opened.map_err(|source| match source {
            redb::Error::Corrupted(_) => StoreError::Damaged(file.clone()),
            source => StoreError::File {
                file: file.clone(),
                source: Box::new(source),
            },
        })?;
        let (sender, receiver) = bounded(WAITING);
        let thread = std::thread::Builder::new()
            .name("sbc-store".to_owned())
            .spawn(move || write_all(&database, &file, &receiver))
            .map_err(StoreError::Thread)?;
        let store = Store {
            changes: Some(sender),
            thread: Some(thread),
        };
        Ok((store, kept))
    }

    /// Whether there is room for one more.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.changes
            .as_ref()
            .is_some_and(|sender| !sender.is_full())
    }

    /// To be written. Where there is no room it comes back: later, then.
    ///
    /// # Errors
    /// The change, if it was not taken.
    pub fn put(&self, change: Change) -> Result<(), Change> {
        match &self.changes {
            Some(sender) => sender.try_send(change).map_err(|refused| match refused {
                TrySendError::Full(change) | TrySendError::Disconnected(change) => change,
            }),
            None => Err(change),
        }
    }
}

impl Drop for Store {
    /// Waits until everything is written.
    fn drop(&mut self) {
        self.changes = None;
        if let Some(thread) = self.thread.take() {
            // It never panics; if it did all the same there is nothing left to wait for.
            let _ = thread.join();
        }
    }
}

/// None if the database panics, as it does over pages that are not as it has written them.
fn guarded<T>(act: impl FnOnce() -> T) -> Option<T> {
    // What it leaves behind is not used again.
    std::panic::catch_unwind(AssertUnwindSafe(act)).ok()
}

fn open(file: &Path) -> Result<(Database, Kept), redb::Error> {
    let database = Database::builder().set_cache_size(CACHE).create(file)?;
    let begun = database.begin_write()?;
    for table in Table::ALL {
        begun.open_table(table.definition())?;
    }
    begun.commit()?;
    let mut kept = Vec::new();
    let reading = database.begin_read()?;
    for table in Table::ALL {
        for entry in reading.open_table(table.definition())?.iter()? {
            let (key, value) = entry?;
            let row = Row {
                key: key.value().to_owned(),
                value: value.value().to_owned(),
            };
            kept.push((table, row));
        }
    }
    Ok((database, kept))
}

/// Writes what comes until nobody can send any more.
fn write_all(database: &Database, file: &Path, changes: &Receiver<Change>) {
    let mut is_failing = false;
    // What could not be written is tried again with what comes next.
    let mut batch: BTreeMap<(Table, String), Option<Vec<u8>>> = BTreeMap::new();
    while let Ok(first) = changes.recv() {
        batch.insert((first.table, first.key), first.value);
        let end = Instant::now() + PACE;
        let is_over = loop {
            match changes.recv_deadline(end) {
                Ok(next) => drop(batch.insert((next.table, next.key), next.value)),
                Err(RecvTimeoutError::Timeout) => break false,
                Err(RecvTimeoutError::Disconnected) => break true,
            }
        };
        let Some(written) = guarded(|| write(database, &batch)) else {
            error!(file = %file.display(), "cannot write: it is damaged; what changes from now on does not outlive a restart");
            return;
        };
        match written {
            Ok(()) => {
                debug!(changes = batch.len(), "written");
                batch.clear();
                if std::mem::replace(&mut is_failing, false) {
                    info!(file = %file.display(), "what is to outlive a restart is written again");
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut is_failing, true) {
                    error!(file = %file.display(), %error, "cannot write: registrations and bans since then do not outlive a restart");
                }
            }
        }
        if is_over {
            return;
        }
    }
}

fn write(
    database: &Database,
    batch: &BTreeMap<(Table, String), Option<Vec<u8>>>,
) -> Result<(), redb::Error> {
    let writing = database.begin_write()?;
    for table in Table::ALL {
        let mut open = writing.open_table(table.definition())?;
        for ((_, key), value) in batch.iter().filter(|((of, _), _)| *of == table) {
            match value {
                Some(value) => open.insert(key.as_str(), value.as_slice())?,
                None => open.remove(key.as_str())?,
            };
        }
    }
    writing.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Directory {
            let own = format!("sbc-store-{name}-{}", std::process::id());
            Directory(std::env::temp_dir().join(own))
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn change(key: &str, value: Option<&str>) -> Change {
        Change {
            table: Table::Registrations,
            key: key.to_owned(),
            value: value.map(|text| text.as_bytes().to_vec()),
        }
    }

    #[test]
    fn what_was_put_last_is_there_the_next_time() {
        let directory = Directory::new("next");
        let (store, kept) = Store::open(&directory.0.join("deep")).unwrap();
        assert_eq!(kept, []);
        for (key, value) in [
            ("6001", Some("one")),
            ("6002", Some("two")),
            ("6003", Some("three")),
            ("6001", Some("other")),
            ("6003", None),
            ("6004", None),
        ] {
            store.put(change(key, value)).unwrap();
        }
        // Only one daemon has it.
        let second = Store::open(&directory.0.join("deep"));
        assert!(matches!(second, Err(StoreError::File { .. })), "{second:?}");
        drop(store);
        let (_store, kept) = Store::open(&directory.0.join("deep")).unwrap();
        let entry = |key: &str, value: &str| {
            let row = Row {
                key: key.to_owned(),
                value: value.as_bytes().to_vec(),
            };
            (Table::Registrations, row)
        };
        assert_eq!(kept, [entry("6001", "other"), entry("6002", "two")]);
    }

    #[test]
    fn what_is_no_database_or_a_damaged_one_is_left_where_it_is() {
        let directory = Directory::new("foreign");
        std::fs::create_dir_all(&directory.0).unwrap();
        let file = directory.0.join(FILE);
        std::fs::write(&file, "something else").unwrap();
        let error = Store::open(&directory.0).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("cannot use {}: ", file.display())),
            "{error}"
        );
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "something else");
        // A database, but for some bytes.
        std::fs::remove_file(&file).unwrap();
        let (store, _) = Store::open(&directory.0).unwrap();
        store.put(change("6001", Some("one"))).unwrap();
        drop(store);
        let mut bytes = std::fs::read(&file).unwrap();
        for byte in bytes.iter_mut().skip(4096).step_by(97) {
            *byte ^= 0x5a;
        }
        std::fs::write(&file, &bytes).unwrap();
        let error = Store::open(&directory.0).unwrap_err();
        assert!(matches!(error, StoreError::Damaged(_)), "{error}");
        assert_eq!(std::fs::read(&file).unwrap().len(), bytes.len());
        let below = Store::open(&file.join("below")).unwrap_err();
        assert!(matches!(below, StoreError::Directory { .. }), "{below}");
    }
}
