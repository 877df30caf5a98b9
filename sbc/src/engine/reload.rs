//! Another config while calls are up.

use std::sync::Arc;
use std::time::Instant;

use super::{Engine, Event, Party};
use crate::config::{Changes, Config, InUse, NeedsRestart};
use crate::trunks::Surroundings;

impl Engine {
    /// Puts a new config in force, bound to this host as the one before: calls and registrations that it says nothing new of go on as they are. A phone that is
    /// gone, or has another password, has to register anew; a call that is up keeps what it was made with.
    ///
    /// # Errors
    /// [`NeedsRestart`]: nothing is changed then.
    pub fn reload(&mut self, now: Instant, config: Config) -> Result<Changes, NeedsRestart> {
        let (config, changes) = config.succeed(&self.config, &self.in_use())?;
        let before = std::mem::replace(&mut self.config, Arc::new(config));
        self.renumber_routes(&before);
        self.sources.reload(&self.config);
        self.passes(now);
        self.tracer.set(self.config.trace);
        self.places.reload(now, &self.config);
        for &trunk in changes.given_away.iter().chain(&changes.changed_trunks) {
            self.remembered.forget(Some(trunk));
        }
        for &trunk in &changes.given_away {
            self.counters.forget(Party::Trunk(trunk));
        }
        for &phone in &changes.gone_phones {
            self.registrar.forget(phone, "no account any more");
        }
        for &phone in &changes.new_passwords {
            self.registrar.forget(phone, "password changed");
        }
        let around = Surroundings {
            config: &self.config,
            registrar: &self.registrar,
            places: &self.places,
        };
        self.trunks.reload(now, around, &before, &changes);
        self.reload_external(now, &before);
        self.tell(Event::Reloaded(changes.clone()));
        self.pump(now, None);
        Ok(changes)
    }

    /// What calls and subscriptions refer to.
    fn in_use(&self) -> InUse {
        let mut in_use = InUse::default();
        for slot in self.calls.values() {
            slot.call.mark(&mut in_use);
        }
        for subscription in self.outside.subscriptions.values() {
            for end in [&subscription.near, &subscription.far] {
                in_use.trunks.extend(end.trunk);
                in_use.phones.extend(end.phone);
            }
        }
        for pending in self.outside.pending.values() {
            for peer in &pending.peers {
                in_use.trunks.extend(peer.trunk);
                in_use.phones.extend(peer.phone);
            }
        }
        in_use
    }
}
