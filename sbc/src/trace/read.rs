//! Traces, for whoever looks for one. Reading changes nothing.

use std::ops::Bound;

use super::keep::{Class, Totals};
use super::one::Trace;
use super::seen::{Name, Seen, SeenParty, State, Summary};
use super::store::Store;

impl Store {
    /// What there is.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals {
            bytes: self.shelf.used(),
            traces: self.shelf.counts(),
            omitted: self.omitted,
        }
    }

    /// Those that began before that one, the latest first; without one, all.
    pub fn before(&self, number: Option<u64>) -> impl Iterator<Item = Summary> {
        let before = number.map_or(Bound::Unbounded, Bound::Excluded);
        let slots = self.numbers.range((Bound::Unbounded, before)).rev();
        let traces = slots.filter_map(|(_, slot)| self.traces.get(*slot));
        traces.map(|trace| self.summary(trace))
    }

    /// Those that a name may stand for, `most` at most: an attempt's own name, a Call-ID, or what Call-IDs begin with.
    #[must_use]
    pub fn find(&self, name: &str, most: usize) -> Vec<Summary> {
        let own = match name.parse() {
            Ok(Name::Call(call)) => self.calls.get(&call).copied(),
            Ok(Name::Refused(number)) => {
                let slot = self.numbers.get(&number).copied();
                let known = slot.and_then(|slot| self.traces.get(slot));
                slot.filter(|_| known.is_some_and(|trace| trace.call.is_none()))
            }
            Err(_) => None,
        };
        let exact = own.or_else(|| self.ids.get(self.ids.key(name.as_bytes())));
        if let Some(trace) = exact.and_then(|slot| self.traces.get(slot)) {
            return vec![self.summary(trace)];
        }
        let slots = self.numbers.values().rev();
        slots
            .filter_map(|slot| self.traces.get(*slot))
            .filter(|trace| trace.ids.iter().any(|(_, id)| id.starts_with(name)))
            .take(most)
            .map(|trace| self.summary(trace))
            .collect()
    }

    /// All of one.
    #[must_use]
    pub fn see(&self, number: u64) -> Option<Seen> {
        let trace = self.traces.get(*self.numbers.get(&number)?)?;
        Some(Seen {
            summary: self.summary(trace),
            parties: trace
                .parties
                .iter()
                .map(|party| SeenParty {
                    name: party.name.to_string(),
                    address: party.address,
                })
                .collect(),
            hops: trace.hops.to_vec(),
            verdict: trace.verdict.clone(),
            log: trace.log.copy(&self.blocks),
        })
    }

    fn summary(&self, trace: &Trace) -> Summary {
        let until = trace.ended.unwrap_or(self.now);
        let is_over = trace.class != Class::Running;
        Summary {
            number: trace.number,
            name: trace.call.map_or(Name::Refused(trace.number), Name::Call),
            began: trace.at,
            lasted: until.saturating_duration_since(trace.began),
            state: match (is_over, trace.is_up) {
                (true, _) => State::Ended,
                (false, true) => State::Up,
                (false, false) => State::Ringing,
            },
            is_failed: matches!(trace.class, Class::Failed | Class::Unknown),
            from: trace
                .parties
                .first()
                .map_or_else(String::new, |party| party.name.to_string()),
            to: trace.to.as_deref().map(str::to_owned),
            dialled: trace.dialled.to_string(),
            outcome: match trace.class {
                Class::Unknown => Some("rejected"),
                _ => trace.outcome,
            },
            reason: trace.reason.as_deref().map(str::to_owned),
            entries: trace.log.entries(),
            bytes: trace.log.len(),
            omitted: trace.omitted,
        }
    }
}
