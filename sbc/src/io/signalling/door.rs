//! Who gets in: asked for each datagram, connection and message before it is read. Where the kernel sheds too, little is left to do here.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use sbc_ebpf::shed::Shed;

use crate::config::Config;
use crate::shed::{Action, Gate};
use crate::transaction::Hop;

/// The gate, shared by all sockets of signalling.
#[derive(Clone, Debug)]
pub struct Door(Arc<Mutex<Gate>>);

impl Door {
    /// Nobody is banned or known yet.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Door(Arc::new(Mutex::new(Gate::new(config, Instant::now()))))
    }

    /// Holds from now on.
    pub(in crate::io) fn apply(&self, action: &Action) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .apply(action);
    }

    /// Whether what came by this hop is let in.
    pub(super) fn admit(&self, hop: &Hop) -> Result<(), Shed> {
        let gate = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gate.admit(Instant::now(), hop.network, hop.remote.ip())
    }

    /// Whether a trunk or a registered phone is there.
    pub(super) fn knows(&self, hop: &Hop) -> bool {
        let gate = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gate.knows(hop.network, hop.remote.ip())
    }
}
