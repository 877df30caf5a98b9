//! Calls, for whoever looks at them, and the end that an operator puts to one.

use std::collections::HashMap;
use std::ops::Bound;
use std::time::Instant;

use super::{CallId, Engine};
use crate::call::{self, Call};
use crate::config::{Config, RouteId};
use crate::media::PairId;

impl Engine {
    /// The calls that there are, in the order in which they began, after this one.
    pub fn calls(&self, after: Option<CallId>) -> impl Iterator<Item = (CallId, &Call)> {
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let calls = self.calls.range((after, Bound::Unbounded));
        calls.map(|(id, slot)| (*id, &slot.call))
    }

    /// The call of this name.
    #[must_use]
    pub fn call(&self, id: CallId) -> Option<&Call> {
        self.calls.get(&id).map(|slot| &slot.call)
    }

    /// The call that a flow pair belongs to.
    #[must_use]
    pub fn call_of_pair(&self, pair: PairId) -> Option<CallId> {
        self.flows.get(pair).map(|flow| flow.subject.call)
    }

    /// Ends a call, whoever talks or rings; `false` if there is none that could be ended.
    pub fn hang_up(&mut self, now: Instant, id: CallId) -> bool {
        let Some(call) = self.call(id).filter(|call| call.parties().is_some()) else {
            return false;
        };
        let id = call.id();
        self.passes(now);
        self.tell_call(now, id, call::Input::HangUp);
        self.pump(now, None);
        true
    }

    /// Calls go by other numbers of routes now.
    pub(super) fn renumber_routes(&mut self, before: &Config) {
        let routes = self.config.routes.iter().zip((0..).map(RouteId));
        let known: HashMap<&str, RouteId> = routes
            .map(|(route, id)| (route.name.as_str(), id))
            .collect();
        let numbers: Vec<Option<RouteId>> = before
            .routes
            .iter()
            .map(|route| known.get(route.name.as_str()).copied())
            .collect();
        for slot in self.calls.values_mut() {
            let number = |route: RouteId| numbers.get(route.index()).copied().flatten();
            slot.call.route_is_now(number);
        }
    }
}
