//! A request outside of calls whose server fails: it goes on at the next one, where the trunk has several (RFC 3263 4.3).

use std::sync::Arc;
use std::time::Instant;

use super::super::Engine;
use super::super::subscriptions::{Further, Outside};
use crate::call::targets;
use crate::routing::locate::Unwell;
use crate::transaction::ClientId;

impl Outside {
    /// A request may be asked elsewhere.
    pub(in super::super) fn wait_with(&mut self, client: ClientId, further: Further) {
        if let Some(pending) = self.pending.get_mut(&client) {
            self.patience.insert((further.onward.patience(), client));
            pending.further = Some(Box::new(further));
        }
    }

    /// Whoever was asked is at it: he has as long as he needs.
    pub(in super::super) fn has_said(&mut self, client: ClientId) {
        let pending = self.pending.get(&client);
        if let Some(further) = pending.and_then(|pending| pending.further.as_ref()) {
            self.patience.remove(&(further.onward.patience(), client));
        }
    }
}

impl Engine {
    /// Servers that have been silent for too long.
    pub(in super::super) fn leave_silent_servers(&mut self, now: Instant) {
        while let Some(&(at, client)) = self.outside.patience.first()
            && at <= now
        {
            self.outside.patience.remove(&(at, client));
            self.note_server(now, client, Some(Unwell::Silent));
            self.goes_on(now, client);
        }
    }

    /// Asks the next server in place of the one that has failed; `false` if there is none that can be asked: who was asked is waited for.
    pub(super) fn goes_on(&mut self, now: Instant, client: ClientId) -> bool {
        let Some(pending) = self.outside.pending.get_mut(&client) else {
            return false;
        };
        let Some(further) = pending.further.take() else {
            return false;
        };
        let waiting = (pending.id, pending.hop, pending.request.clone());
        let subscription = pending.subscription;
        let Further {
            sender,
            destination,
            onward,
        } = *further;
        self.outside.patience.remove(&(onward.patience(), client));
        let config = Arc::clone(&self.config);
        let next = onward.next(destination);
        let found = targets(now, &self.registrar, &config, &mut self.places, &next, "");
        let Some(target) = found.ok().and_then(|found| found.into_iter().next()) else {
            return false;
        };
        if self.send_outside(now, &sender, target, waiting).is_err() {
            return false;
        }
        self.outside.pending.remove(&client);
        // Whatever the one before has made of it is nobody's: its NOTIFYs are refused.
        if let Some(number) = subscription {
            self.end_subscription(now, number);
        }
        true
    }
}
