//! Another config for the running daemon: read and checked beside the engine's task, then taken whole or refused.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;
use tracing::warn;

use super::control::{Control, Request, Unanswered};
use crate::config::{Changes, Config, NeedsRestart};

/// Reads the config anew, as the daemon was given it: with the addresses of this host, or what is wrong with it.
#[derive(Clone)]
pub struct Loader {
    load: Arc<dyn Fn() -> Result<Config, String> + Send + Sync>,
    file: PathBuf,
}

impl Loader {
    /// It reads this file, on a thread that may wait for files.
    pub fn new(
        file: PathBuf,
        load: impl Fn() -> Result<Config, String> + Send + Sync + 'static,
    ) -> Loader {
        Loader {
            load: Arc::new(load),
            file,
        }
    }

    /// What it reads.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }
}

impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Loader")
    }
}

/// Why the config in force stays.
#[derive(Debug, Error)]
pub enum ReloadError {
    /// There is no file.
    #[error(
        "the daemon runs on its built-in settings: start it with --config FILE to have something to reload"
    )]
    BuiltIn,
    /// The file is wrong; what is wrong with it.
    #[error("the config in force stays: {0}")]
    Wrong(String),
    /// The file is right, and says what cannot be changed now.
    #[error("{0}")]
    NeedsRestart(NeedsRestart),
    /// Reading it has failed in a way that it should not.
    #[error("the config in force stays: reading the file has crashed; please report this")]
    Crashed,
    /// The engine's task does not take it.
    #[error("{0}")]
    Unanswered(Unanswered),
}

impl Control {
    /// Reads the config file again and puts it in force.
    ///
    /// # Errors
    /// See [`ReloadError`]: the config in force stays.
    pub async fn reload(&self) -> Result<Changes, ReloadError> {
        self.notifier().reloading();
        let done = self.try_reload().await;
        self.notifier().reloaded(done.is_ok());
        if let Err(error) = &done {
            warn!("reload: {error}");
        }
        done
    }

    async fn try_reload(&self) -> Result<Changes, ReloadError> {
        let loader = self.loader().ok_or(ReloadError::BuiltIn)?.clone();
        // One at a time: who asked last has his file in force.
        let _turn = self.reloading().lock().await;
        let read = tokio::task::spawn_blocking(move || (loader.load)()).await;
        let config = read.map_err(|_| ReloadError::Crashed)?;
        let config = Box::new(config.map_err(ReloadError::Wrong)?);
        let asked = self.ask(|answer| Request::Reload { config, answer }).await;
        let changes = asked
            .map_err(ReloadError::Unanswered)?
            .map_err(ReloadError::NeedsRestart)?;
        self.loaded();
        Ok(changes)
    }
}
