//! No new calls, while those that are up go on.

use super::{Engine, Event};

impl Engine {
    /// Takes no new calls from now on; registrations, requests in dialogs and emergency calls go on.
    pub(super) fn drain(&mut self) {
        if !std::mem::replace(&mut self.draining, true) {
            self.tell(Event::Draining);
        }
    }

    /// Takes new calls again. One that stops does not.
    pub(super) fn resume(&mut self) {
        if !self.stopping && std::mem::take(&mut self.draining) {
            self.tell(Event::Resumed);
        }
    }

    /// No new calls are taken, but for emergencies.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining
    }
}
