//! The config in force, for everyone beside the engine's task: pages, metrics, the log.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use crate::config::Config;

/// The config in force; the same for all who have it.
#[derive(Clone, Debug)]
pub struct Current(Arc<ArcSwap<Config>>);

impl Current {
    /// This one, until another is put in force.
    #[must_use]
    pub fn new(config: Arc<Config>) -> Self {
        Current(Arc::new(ArcSwap::new(config)))
    }

    /// The one in force, for a moment.
    #[must_use]
    pub fn load(&self) -> Guard<Arc<Config>> {
        self.0.load()
    }

    /// Another is in force from now on.
    pub(super) fn put(&self, config: Arc<Config>) {
        self.0.store(config);
    }
}
