//! The flow pairs of one call that there are, and the commands that make them what they should be.

use std::collections::VecDeque;
use std::sync::Arc;

use super::leg::{Leg, LegId};
use super::ports::Ports;
use super::wanted::{Wanted, sources};
use super::{Fallback, FlowCommand, FlowKind, FlowPair, PairId, Path, Side};

/// The flow pairs that the shells have, or have been asked to make, and what is still to be asked of them.
#[derive(Debug, Default)]
pub(super) struct Flows {
    installed: Vec<Installed>,
    actions: VecDeque<FlowCommand>,
    /// What there was before the last exchange that led to new ones; empty if it led to none.
    former: Box<[Installed]>,
    /// Of each side, whether what comes from there was ever wanted, in any flow.
    were_wanted: [bool; 2],
}

#[derive(Clone, Debug)]
pub(super) struct Installed {
    pub(super) stream: usize,
    pub(super) legs: [LegId; 2],
    pub(super) pair: Arc<FlowPair>,
    /// Why it was asked of user space after the kernel had refused it.
    pub(super) fallback: Option<Fallback>,
    /// What each side's peer sends is wanted, by what both said last.
    pub(super) is_wanted: [bool; 2],
}

impl Flows {
    pub(super) fn poll_action(&mut self) -> Option<FlowCommand> {
        let action = self.actions.pop_front();
        if action.is_none() {
            // A call has none for almost all of its time.
            self.actions = VecDeque::new();
        }
        action
    }

    pub(super) fn pairs(&self) -> impl Iterator<Item = &FlowPair> {
        self.installed.iter().map(|flow| &*flow.pair)
    }

    /// The legs of a pair, in the order of its sides.
    pub(super) fn legs(&self, pair: PairId) -> Option<[LegId; 2]> {
        let mut installed = self.installed.iter();
        installed.find(|flow| flow.pair.id == pair).map(|f| f.legs)
    }

    /// Of each side, whether what comes from there was ever wanted.
    pub(super) fn were_wanted(&self) -> [bool; 2] {
        self.were_wanted
    }

    /// The pair between two legs that a pipe has, and which of its sides the second is.
    pub(super) fn pipe(&self, legs: [LegId; 2]) -> Option<(PairId, usize)> {
        let [from, to] = legs;
        self.installed.iter().find_map(|flow| {
            let to = flow.legs.iter().position(|leg| *leg == to)?;
            let is_it = flow.legs.contains(&from) && flow.pair.keys().is_some();
            is_it.then_some((flow.pair.id, to))
        })
    }

    /// Whether a worker transcodes between these two.
    pub(super) fn transcodes(&self, legs: [LegId; 2]) -> bool {
        let is_between = |flow: &&Installed| flow.legs.iter().all(|leg| legs.contains(leg));
        let mut between = self.installed.iter().filter(is_between);
        between.any(|flow| flow.pair.transcoded().is_some())
    }

    pub(super) fn of_stream(
        &self,
        stream: usize,
        legs: [LegId; 2],
    ) -> impl Iterator<Item = &Installed> {
        let is_of = move |flow: &&Installed| flow.stream == stream && flow.legs == legs;
        self.installed.iter().filter(is_of)
    }

    /// Makes the flows of these two legs the wanted ones. Any other flow of either leg goes, before a new one comes:
    /// they share ports.
    pub(super) fn bring_about(
        &mut self,
        ports: &mut Ports,
        legs: [LegId; 2],
        mut wanted: Vec<Wanted>,
    ) {
        for want in &mut wanted {
            if let Some(flow) = self.installed.iter().find(|flow| want.succeeds(flow)) {
                want.keep(flow);
            }
        }
        super::wanted::agree(&mut wanted);
        for want in &wanted {
            for (were, is) in self.were_wanted.iter_mut().zip(want.is_wanted) {
                *were |= is;
            }
        }
        let is_between = |flow: &&Installed| legs.iter().all(|leg| flow.legs.contains(leg));
        let former: Vec<_> = self.installed.iter().filter(is_between).cloned().collect();
        let before = self.actions.len();
        self.remove_where(|flow| {
            legs.iter().any(|leg| flow.legs.contains(leg))
                && !wanted.iter().any(|want| want.is(flow))
        });
        let ids: Vec<PairId> = wanted
            .iter()
            .map(|want| {
                let known = self.installed.iter().find(|flow| want.is(flow));
                known.map_or_else(|| ports.next_pair(), |flow| flow.pair.id)
            })
            .collect();
        let new = wanted.len().saturating_sub(self.installed.len());
        self.installed.reserve_exact(new);
        for (index, want) in wanted.iter().enumerate() {
            let partner = wanted.iter().position(|other| want.accompanies(other));
            let pair = Arc::new(FlowPair {
                id: ids.get(index).copied().unwrap_or_else(|| ports.next_pair()),
                kind: want.kind,
                sides: want.sides.clone(),
                path: want.path,
                companion: partner.and_then(|partner| ids.get(partner).copied()),
            });
            match self.installed.iter_mut().find(|flow| want.is(flow)) {
                Some(flow) => {
                    flow.is_wanted = want.is_wanted;
                    if flow.pair != pair {
                        flow.pair = pair.clone();
                        self.actions.push_back(FlowCommand::Update(pair));
                    }
                }
                None => {
                    self.actions.push_back(FlowCommand::Install(pair.clone()));
                    self.installed.push(Installed {
                        stream: want.stream,
                        legs: want.legs,
                        pair,
                        fallback: want.fallback,
                        is_wanted: want.is_wanted,
                    });
                }
            }
        }
        if self.actions.len() > before {
            let is_new = |action: &FlowCommand| matches!(action, FlowCommand::Install(_));
            let has_new = self.actions.iter().skip(before).any(is_new);
            self.former = if has_new {
                former.into()
            } else {
                Box::default()
            };
        }
    }

    /// Whether there were others before the last exchange, which can be brought back.
    pub(super) fn has_former(&self) -> bool {
        !self.former.is_empty()
    }

    /// Brings back what there was before the last exchange, in place of what there is between the two legs; each once. `false` if there was nothing.
    pub(super) fn go_back(&mut self, ports: &mut Ports) -> bool {
        let mut former = std::mem::take(&mut self.former).into_vec();
        let Some(legs) = former.first().map(|flow| flow.legs) else {
            return false;
        };
        self.remove_where(|flow| {
            let stays = former.iter().any(|old| old.pair.id == flow.pair.id);
            flow.legs.iter().any(|leg| legs.contains(leg)) && !stays
        });
        // RTCP leans on the RTP of its stream.
        former.sort_by_key(|flow| flow.pair.kind == FlowKind::Rtcp);
        let is_up = |id: PairId| self.installed.iter().any(|flow| flow.pair.id == id);
        // A name is used once.
        let named = former.iter().map(|old| match is_up(old.pair.id) {
            true => (old.pair.id, old.pair.id),
            false => (old.pair.id, ports.next_pair()),
        });
        let named: Vec<(PairId, PairId)> = named.collect();
        let now_named = |id: PairId| {
            named
                .iter()
                .find(|(old, _)| *old == id)
                .map(|(_, new)| *new)
        };
        for mut old in former {
            let pair = Arc::make_mut(&mut old.pair);
            let before = pair.id;
            pair.id = now_named(before).unwrap_or(before);
            pair.companion = pair.companion.and_then(now_named);
            match self
                .installed
                .iter_mut()
                .find(|flow| flow.pair.id == before)
            {
                Some(flow) if flow.pair == old.pair => {}
                Some(flow) => {
                    *flow = old;
                    self.actions
                        .push_back(FlowCommand::Update(flow.pair.clone()));
                }
                None => {
                    self.actions
                        .push_back(FlowCommand::Install(old.pair.clone()));
                    self.installed.push(old);
                }
            }
        }
        true
    }

    /// Another signalling address of a leg's peer: its media may come from there now.
    pub(super) fn moved(&mut self, leg: &Leg) {
        for flow in &mut self.installed {
            let mut changed = false;
            for (index, _) in (0..).zip(flow.legs).filter(|(_, id)| *id == leg.id) {
                let side: &Side = &flow.pair.sides[index];
                let sources = sources(&leg.end, side.named, side.local);
                if sources != side.sources {
                    Arc::make_mut(&mut flow.pair).sides[index].sources = sources;
                    changed = true;
                }
            }
            if changed {
                let pair = flow.pair.clone();
                self.actions.push_back(FlowCommand::Update(pair));
            }
        }
    }

    /// Asks the shells for something else.
    pub(super) fn order(&mut self, command: FlowCommand) {
        self.actions.push_back(command);
    }

    pub(super) fn end_leg(&mut self, leg: LegId) {
        self.remove_where(|flow| flow.legs.contains(&leg));
    }

    /// The kernel refused a pair: asks it of user space, under the same id, and its companion with it. `false` when it was
    /// in user space already.
    pub(super) fn fall_back(&mut self, ports: &mut Ports, id: PairId, reason: Fallback) -> bool {
        let place = |installed: &[Installed], id| installed.iter().position(|f| f.pair.id == id);
        let Some(index) = place(&self.installed, id) else {
            return false;
        };
        let companion = match self.installed.get(index) {
            Some(flow) if flow.pair.path == Path::Kernel => flow.pair.companion,
            _ => return false,
        };
        let mut both = vec![index];
        both.extend(companion.and_then(|companion| place(&self.installed, companion)));
        // RTP first: its RTCP leans on it.
        both.sort_by_key(|&i| self.installed.get(i).map(|f| f.pair.kind == FlowKind::Rtcp));
        let renamed = companion.map(|_| ports.next_pair());
        if let (Some(old), [_, _]) = (companion, both.as_slice()) {
            self.actions.push_back(FlowCommand::Remove(old));
        }
        for index in both {
            let Some(flow) = self.installed.get_mut(index) else {
                continue;
            };
            flow.fallback = Some(reason);
            let pair = Arc::make_mut(&mut flow.pair);
            pair.path = Path::User(reason);
            // The one that the shells have ends, and a name is used once.
            (pair.id, pair.companion) = match renamed {
                Some(new) if pair.id != id => (new, Some(id)),
                other => (id, other),
            };
            let pair = flow.pair.clone();
            self.actions.push_back(FlowCommand::Install(pair));
        }
        true
    }

    /// Forgets a pair that the shells do not have.
    pub(super) fn forget(&mut self, id: PairId) -> Option<Installed> {
        let index = self.installed.iter().position(|flow| flow.pair.id == id)?;
        let gone = self.installed.swap_remove(index);
        // What others had before does not bring this one back.
        let is_theirs = |old: &Installed| !old.legs.iter().any(|leg| gone.legs.contains(leg));
        if self.former.iter().any(is_theirs) {
            self.former = Box::default();
        }
        Some(gone)
    }

    fn remove_where(&mut self, gone: impl Fn(&Installed) -> bool) {
        let (mut removed, stay): (Vec<_>, Vec<_>) = std::mem::take(&mut self.installed)
            .into_iter()
            .partition(gone);
        self.installed = stay;
        // RTCP that leans on the RTP of its stream goes before it.
        removed
            .sort_by_key(|flow| flow.pair.companion.is_none() || flow.pair.kind != FlowKind::Rtcp);
        let removals = removed.iter().map(|flow| FlowCommand::Remove(flow.pair.id));
        self.actions.extend(removals);
    }
}
