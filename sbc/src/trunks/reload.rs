//! Another config: registrations and probes of what it changes, and of nothing else, begin anew or end.

use std::time::Instant;

use super::io::{Probed, Surroundings};
use super::machine::Trunks;
use super::registration::Registration;
use super::turn::Turn;
use crate::config::{Changes, Config, PhoneId, Trunk, TrunkId};

impl Trunks {
    /// Another config is in force; `before` was until now. Afterwards drain [`Trunks::poll_action`].
    pub fn reload(
        &mut self,
        now: Instant,
        around: Surroundings<'_>,
        before: &Config,
        changes: &Changes,
    ) {
        for &id in &changes.given_away {
            self.drop_registration(id);
            self.probes.forget(&Probed::Trunk(id));
            self.limits.forget(id);
        }
        for &id in &changes.gone_trunks {
            self.turn(now, around, id, &Turn::Stop);
            self.probes.forget(&Probed::Trunk(id));
        }
        for &id in &changes.new_trunks {
            self.begin_upkeep(now, around, id);
        }
        for &id in &changes.changed_trunks {
            if let Some(old) = before.trunks.get(id.index()) {
                self.change(now, around, id, old);
            }
        }
        for &id in &changes.changed_phones {
            let old = before.phones.get(id.index()).and_then(|old| old.probe);
            if old.is_some() != around.config.phone(id).probe.is_some() {
                self.watch_contacts(now, around, id);
            }
        }
    }

    /// Registers with it and asks it, if the config says so.
    pub(super) fn begin_upkeep(&mut self, now: Instant, around: Surroundings<'_>, id: TrunkId) {
        let trunk = around.config.trunk(id);
        if trunk.register.is_some() {
            self.drop_registration(id);
            let registration = Registration::new(now, around.config, &mut self.tokens, id);
            self.timers
                .extend(registration.poll_timeout().map(|at| (at, id)));
            self.registrations.insert(id, registration);
        }
        if trunk.probe.is_some() {
            self.probes.watch(now, &mut self.tokens, Probed::Trunk(id));
        }
    }

    fn change(&mut self, now: Instant, around: Surroundings<'_>, id: TrunkId, old: &Trunk) {
        let new = around.config.trunk(id);
        let is_elsewhere = (new.network, &new.server) != (old.network, &old.server);
        let is_another =
            is_elsewhere || new.credentials != old.credentials || new.register != old.register;
        match new.register {
            Some(_) if is_another => {
                self.drop_registration(id);
                self.begin_upkeep(now, around, id);
            }
            Some(_) => {}
            // What was made elsewhere ends by itself.
            None if is_elsewhere => self.drop_registration(id),
            None => self.turn(now, around, id, &Turn::Stop),
        }
        let who = Probed::Trunk(id);
        match new.probe {
            None => self.probes.forget(&who),
            Some(_) if old.probe.is_none() || is_elsewhere => {
                self.probes.watch(now, &mut self.tokens, who);
            }
            Some(_) => {}
        }
    }

    fn drop_registration(&mut self, id: TrunkId) {
        if let Some(at) = self
            .registrations
            .remove(&id)
            .and_then(|old| old.poll_timeout())
        {
            self.timers.remove(&(at, id));
        }
    }

    fn watch_contacts(&mut self, now: Instant, around: Surroundings<'_>, phone: PhoneId) {
        let is_asked = around.config.phone(phone).probe.is_some();
        for binding in around.registrar.bindings(phone) {
            let who = Probed::Contact {
                phone,
                network: binding.hop.network,
                source: binding.hop.remote,
            };
            match is_asked {
                true => self.probes.watch(now, &mut self.tokens, who),
                false => self.probes.forget(&who),
            }
        }
    }
}
