//! How busy a trunk is, and whether it may have another call.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::config::{Config, TrunkId};

/// What `max_calls_per_second` counts in.
const SECOND: Duration = Duration::from_secs(1);

/// Why a trunk has no call more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Busy {
    /// It has `max_calls`.
    #[error("has its {0} calls")]
    Calls(u32),
    /// It has had `max_calls_per_second` within this second.
    #[error("has had its {0} calls of this second")]
    Rate(u32),
}

impl Busy {
    /// The metric label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Busy::Calls(_) => "max-calls",
            Busy::Rate(_) => "max-calls-per-second",
        }
    }
}

/// The trunks that a call has legs with, each as often as it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held(SmallVec<[TrunkId; 4]>);

/// Of all trunks.
#[derive(Debug, Default)]
pub(super) struct Limits {
    trunks: BTreeMap<TrunkId, Use>,
    /// Legs that the call which runs has just got: it does not say so itself before it is done.
    pending: SmallVec<[TrunkId; 4]>,
    refused: BTreeMap<(TrunkId, &'static str), u64>,
}

#[derive(Debug, Default)]
struct Use {
    calls: u32,
    /// When its last calls began, as many as its limit has.
    begun: VecDeque<Instant>,
}

impl Limits {
    /// Whether it may have another call, which is counted then. What may not be stopped is counted all the same.
    pub(super) fn begin(
        &mut self,
        now: Instant,
        config: &Config,
        trunk: TrunkId,
        always: bool,
    ) -> Result<(), Busy> {
        let limits = config.trunk(trunk).limits;
        let used = self.trunks.entry(trunk).or_default();
        if let Some(most) = limits.calls
            && used.calls >= most
            && !always
        {
            return Err(self.refuse(trunk, Busy::Calls(most)));
        }
        if let Some(most) = limits.per_second {
            let most_kept = most as usize;
            while used.begun.len() >= most_kept
                && (always || used.begun.front().is_some_and(|at| *at + SECOND <= now))
            {
                used.begun.pop_front();
            }
            if used.begun.len() >= most_kept {
                return Err(self.refuse(trunk, Busy::Rate(most)));
            }
            used.begun.push_back(now);
        }
        used.calls += 1;
        self.pending.push(trunk);
        Ok(())
    }

    /// What a call has now in place of what it had.
    pub(super) fn settle(&mut self, held: &mut Held, legs: impl Iterator<Item = TrunkId>) {
        let legs: SmallVec<[TrunkId; 4]> = legs.collect();
        if self.pending.is_empty() && held.0 == legs {
            return;
        }
        let gone = self.pending.drain(..).chain(held.0.drain(..));
        let gone: SmallVec<[TrunkId; 8]> = gone.collect();
        for trunk in &legs {
            self.trunks.entry(*trunk).or_default().calls += 1;
        }
        for trunk in gone {
            if let Some(used) = self.trunks.get_mut(&trunk) {
                used.calls = used.calls.saturating_sub(1);
            }
        }
        held.0 = legs;
    }

    /// The trunk is another one from now on.
    pub(super) fn forget(&mut self, trunk: TrunkId) {
        self.trunks.remove(&trunk);
        self.refused.retain(|(of, _), _| *of != trunk);
    }

    /// Legs from and to it that ring or are up.
    pub(super) fn calls(&self, trunk: TrunkId) -> u32 {
        self.trunks.get(&trunk).map_or(0, |used| used.calls)
    }

    /// How often it had no call more, by [`Busy::label`].
    pub(super) fn refused(&self) -> &BTreeMap<(TrunkId, &'static str), u64> {
        &self.refused
    }

    fn refuse(&mut self, trunk: TrunkId, busy: Busy) -> Busy {
        *self.refused.entry((trunk, busy.label())).or_default() += 1;
        busy
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::NoSecrets;

    const TRUNK: TrunkId = TrunkId(0);

    fn config(keys: &str) -> Config {
        let text = format!(
            "[network.a]\naddress = [\"10.0.0.1\"]\n[trunk.t]\nnetwork = \"a\"\nserver = \"sip:10.0.0.9\"\n{keys}\n"
        );
        Config::parse(&text, "f", &NoSecrets).unwrap()
    }

    #[test]
    fn a_trunk_has_so_many_calls_and_another_when_one_is_over() {
        let (config, now) = (config("max_calls = 2"), Instant::now());
        let mut limits = Limits::default();
        let mut held = [Held::default(), Held::default(), Held::default()];
        for one in &mut held[..2] {
            assert_eq!(limits.begin(now, &config, TRUNK, false), Ok(()));
            limits.settle(one, [TRUNK].into_iter());
        }
        let busy = limits.begin(now, &config, TRUNK, false);
        assert_eq!(busy, Err(Busy::Calls(2)));
        assert_eq!(busy.unwrap_err().to_string(), "has its 2 calls");
        limits.settle(&mut held[2], std::iter::empty());
        // What nothing may stop is one more.
        assert_eq!(limits.begin(now, &config, TRUNK, true), Ok(()));
        limits.settle(&mut held[2], [TRUNK].into_iter());
        assert_eq!(limits.calls(TRUNK), 3);
        for one in &mut held {
            limits.settle(one, std::iter::empty());
        }
        assert_eq!(limits.calls(TRUNK), 0);
        assert_eq!(limits.begin(now, &config, TRUNK, false), Ok(()));
        assert_eq!(limits.refused()[&(TRUNK, "max-calls")], 1);
    }

    #[test]
    fn what_a_call_opens_in_one_turn_is_counted_at_once() {
        let (config, now) = (config("max_calls = 2"), Instant::now());
        let (mut limits, mut held) = (Limits::default(), Held::default());
        for expected in [Ok(()), Ok(()), Err(Busy::Calls(2))] {
            assert_eq!(limits.begin(now, &config, TRUNK, false), expected);
        }
        // Of both one was not opened after all.
        limits.settle(&mut held, [TRUNK].into_iter());
        assert_eq!(limits.calls(TRUNK), 1);
        assert_eq!(limits.begin(now, &config, TRUNK, false), Ok(()));
    }

    #[test]
    fn in_any_second_there_are_no_more_than_so_many() {
        let (config, start) = (config("max_calls_per_second = 3"), Instant::now());
        let mut limits = Limits::default();
        let at = |ms| start + Duration::from_millis(ms);
        let mut begin = |ms, always| limits.begin(at(ms), &config, TRUNK, always);
        assert_eq!(
            [begin(0, false), begin(400, false), begin(900, false)],
            [Ok(()); 3]
        );
        assert_eq!(begin(999, false), Err(Busy::Rate(3)));
        assert_eq!(begin(1000, false), Ok(()));
        assert_eq!(begin(1399, false), Err(Busy::Rate(3)));
        // What nothing may stop counts too: 900, 1000, 1399 are the last three then.
        assert_eq!(begin(1399, true), Ok(()));
        assert_eq!(begin(1400, false), Err(Busy::Rate(3)));
        assert_eq!(begin(1900, false), Ok(()));
        assert_eq!(limits.refused()[&(TRUNK, "max-calls-per-second")], 3);
    }
}
