//! What there is now, for whoever looks at it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::io::Probed;
use super::machine::Trunks;
use crate::config::{Config, Trunk, TrunkId};

/// A trunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrunkView {
    /// Which.
    pub trunk: TrunkId,
    /// Since it answered a probe last; none where it is not asked, or has not answered yet.
    pub answered: Option<Duration>,
    /// Why it is taken not to be there; none while nothing is known against it.
    pub silence: Option<String>,
    /// Where the config has `register`.
    pub registration: Option<RegistrationView>,
    /// Legs from and to it that ring or are up.
    pub calls: u32,
    /// Calls that it did not get because it had its `max_calls`, and its `max_calls_per_second`.
    pub refused: [u64; 2],
}

/// A registration of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationView {
    /// How long it lasts from now on; none while there is none.
    pub left: Option<Duration>,
    /// Where it was made.
    pub server: Option<SocketAddr>,
    /// Why it is not there or was not refreshed.
    pub trouble: Option<String>,
    /// When the next try is due; none while one is under way.
    pub next: Option<Duration>,
}

impl Trunks {
    /// All trunks, in the order of the config.
    #[must_use]
    pub fn view(&self, now: Instant, config: &Config) -> Vec<TrunkView> {
        let refused = self.limits.refused();
        let view = |id: TrunkId| TrunkView {
            trunk: id,
            answered: self
                .probes
                .answered(&Probed::Trunk(id))
                .map(|at| now.saturating_duration_since(at)),
            silence: self.probes.silence(&Probed::Trunk(id)).map(str::to_owned),
            registration: self.registrations.get(&id).map(|known| RegistrationView {
                left: known
                    .until(now)
                    .map(|until| until.saturating_duration_since(now)),
                server: known.at().map(|place| place.address),
                trouble: known.trouble().map(str::to_owned),
                next: known.next().map(|at| at.saturating_duration_since(now)),
            }),
            calls: self.limits.calls(id),
            refused: ["max-calls", "max-calls-per-second"]
                .map(|label| refused.get(&(id, label)).copied().unwrap_or_default()),
        };
        config.trunks().map(|(id, _)| view(id)).collect()
    }

    /// Why a phone's contact is taken not to be there.
    #[must_use]
    pub fn silence(&self, who: &Probed) -> Option<&str> {
        self.probes.silence(who)
    }

    /// Whether trunks answer: those that are asked, as they answer that; of others those with a registration, as that came about.
    #[must_use]
    pub fn up(&self, now: Instant, config: &Config) -> BTreeMap<TrunkId, bool> {
        let up = |(id, trunk): (TrunkId, &Trunk)| match trunk.probe {
            Some(_) => Some((id, self.is_there(&Probed::Trunk(id)))),
            None => Some((id, self.until(now, id, trunk)?)),
        };
        config.trunks().filter_map(up).collect()
    }

    /// Whether those that the config has `register` for are registered.
    #[must_use]
    pub fn registered(&self, now: Instant, config: &Config) -> BTreeMap<TrunkId, bool> {
        let all = config.trunks();
        all.filter_map(|(id, trunk)| Some((id, self.until(now, id, trunk)?)))
            .collect()
    }

    /// Whether it is registered with; none if it is not to be.
    fn until(&self, now: Instant, id: TrunkId, trunk: &Trunk) -> Option<bool> {
        trunk.register?;
        Some(self.registrations.get(&id)?.until(now).is_some())
    }

    /// Calls that trunks did not get, by [`super::Busy::label`].
    #[must_use]
    pub fn refused(&self) -> &BTreeMap<(TrunkId, &'static str), u64> {
        self.limits.refused()
    }

    /// How often a probe had to wait because too many were open.
    #[must_use]
    pub fn full(&self) -> u64 {
        self.probes.full()
    }
}
