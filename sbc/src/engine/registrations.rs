//! Registrations that outlive the daemon: what has changed, and what was kept.

use std::time::Instant;

use super::Engine;
use crate::config::PhoneId;
use crate::registrar::Saved;

impl Engine {
    /// A phone whose registrations are not as they were when they were last asked for, a refresh included, and what is to be kept of them now;
    /// nothing: nothing is. `None` when all has been told. Ids are those of [`Engine::config`].
    pub fn poll_registrations(&mut self, now: Instant) -> Option<(PhoneId, Vec<Saved>)> {
        let phone = self.registrar.poll_changed()?;
        Some((phone, self.registrar.saved(&self.config, now, phone)))
    }

    /// Takes back a registration that was kept; those of one phone in the order in which they were. `false`: it is not valid any more.
    pub fn restore_registration(&mut self, now: Instant, saved: &Saved) -> bool {
        let is_taken = self.registrar.restore(&self.config, now, saved);
        self.pump(now, None);
        is_taken
    }
}
