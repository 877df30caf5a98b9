//! The flow pairs of one call: what there is, what there should be, and the commands that make the difference.

use std::collections::VecDeque;

use super::described::{Carried, Described, negotiated};
use super::leg::{End, Leg, LegId};
use super::ports::{PortPair, Ports};
use super::{Fallback, FlowCommand, FlowKind, FlowPair, NetworkPath, PairId, Path, Side};

/// The flow pairs that the shells have, or have been asked to make, and what is still to be asked of them.
#[derive(Debug, Default)]
pub(super) struct Flows {
    installed: Vec<Installed>,
    actions: VecDeque<FlowCommand>,
}

#[derive(Debug)]
pub(super) struct Installed {
    pub(super) stream: usize,
    pub(super) legs: [LegId; 2],
    pub(super) pair: FlowPair,
    /// Why it was asked of user space after the kernel had refused it.
    fallback: Option<Fallback>,
}

/// A flow pair that there should be.
#[derive(Debug)]
pub(super) struct Wanted {
    stream: usize,
    kind: FlowKind,
    legs: [LegId; 2],
    sides: [Side; 2],
    path: Path,
}

impl Flows {
    pub(super) fn poll_action(&mut self) -> Option<FlowCommand> {
        self.actions.pop_front()
    }

    pub(super) fn pairs(&self) -> impl Iterator<Item = &FlowPair> {
        self.installed.iter().map(|flow| &flow.pair)
    }

    /// Makes the flows of these two legs the wanted ones. Any other flow of either leg goes, before a new one comes:
    /// they share ports.
    pub(super) fn bring_about(
        &mut self,
        ports: &mut Ports,
        legs: [LegId; 2],
        mut wanted: Vec<Wanted>,
    ) {
        for flow in &self.installed {
            if let Some(want) = wanted.iter_mut().find(|want| want.is(flow)) {
                want.keep(flow);
            }
        }
        let stays = |flow: &Installed| {
            !legs.iter().any(|leg| flow.legs.contains(leg))
                || wanted
                    .iter()
                    .any(|want| want.is(flow) && want.path == flow.pair.path)
        };
        self.remove_where(|flow| !stays(flow));
        for want in wanted {
            match self.installed.iter_mut().find(|flow| want.is(flow)) {
                Some(flow) if flow.pair.sides == want.sides => {}
                Some(flow) => {
                    flow.pair.sides = want.sides;
                    let pair = Box::new(flow.pair.clone());
                    self.actions.push_back(FlowCommand::Update(pair));
                }
                None => {
                    let pair = FlowPair {
                        id: ports.next_pair(),
                        kind: want.kind,
                        sides: want.sides,
                        path: want.path,
                        companion: None,
                    };
                    self.actions
                        .push_back(FlowCommand::Install(Box::new(pair.clone())));
                    self.installed.push(Installed {
                        stream: want.stream,
                        legs: want.legs,
                        pair,
                        fallback: None,
                    });
                }
            }
        }
    }

    pub(super) fn end_leg(&mut self, leg: LegId) {
        self.remove_where(|flow| flow.legs.contains(&leg));
    }

    /// The kernel refused a pair: asks it of user space, under the same id. `false` when it was in user space already.
    pub(super) fn fall_back(&mut self, id: PairId, reason: Fallback) -> bool {
        let found = self
            .installed
            .iter_mut()
            .find(|flow| flow.pair.id == id && flow.pair.path == Path::Kernel);
        let Some(flow) = found else {
            return false;
        };
        flow.pair.path = Path::User(reason);
        flow.fallback = Some(reason);
        let pair = Box::new(flow.pair.clone());
        self.actions.push_back(FlowCommand::Install(pair));
        true
    }

    /// Forgets a pair that the shells do not have.
    pub(super) fn forget(&mut self, id: PairId) -> Option<Installed> {
        let index = self.installed.iter().position(|flow| flow.pair.id == id)?;
        Some(self.installed.swap_remove(index))
    }

    fn remove_where(&mut self, gone: impl Fn(&Installed) -> bool) {
        let actions = &mut self.actions;
        self.installed.retain(|flow| {
            let gone = gone(flow);
            if gone {
                actions.push_back(FlowCommand::Remove(flow.pair.id));
            }
            !gone
        });
    }
}

impl Wanted {
    fn is(&self, flow: &Installed) -> bool {
        (self.stream, self.kind, self.legs) == (flow.stream, flow.pair.kind, flow.legs)
    }

    /// What the flow that is there already has and signalling leaves open: the kernel's refusal, and where a peer was
    /// before it named the unspecified address to be put on hold.
    fn keep(&mut self, flow: &Installed) {
        if let (Path::Kernel, Some(reason)) = (self.path, flow.fallback) {
            self.path = Path::User(reason);
        }
        for (side, before) in self.sides.iter_mut().zip(&flow.pair.sides) {
            if side.named.is_none() {
                side.named = before.named;
                side.sources.clone_from(&before.sources);
            }
        }
    }
}

/// The flow pairs that two legs should have, once `to` has answered `from`.
pub(super) fn wanted(
    from: &Leg,
    to: &Leg,
    offered: &[Described],
    answers: &[Option<Carried>],
) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    for (stream, (described, answer)) in offered.iter().zip(answers).enumerate() {
        let (Some(offer), Some(answer)) = (described.carried(), answer) else {
            continue;
        };
        let (Some(from_port), Some(to_port)) = (from.port(stream), to.port(stream)) else {
            continue;
        };
        let payload_types = negotiated(offer, answer);
        for kind in [FlowKind::Rtp, FlowKind::Rtcp] {
            let mut legs = [from.id, to.id];
            let mut ends = [&from.end, &to.end];
            let mut sides = [
                side(kind, from, from_port, offer, payload_types),
                side(kind, to, to_port, answer, payload_types),
            ];
            // The side that called comes first, whoever offers this time.
            if from.id > to.id {
                legs.reverse();
                ends.reverse();
                sides.reverse();
            }
            let path = path(ends, &sides);
            wanted.push(Wanted {
                stream,
                kind,
                legs,
                sides,
                path,
            });
        }
    }
    wanted
}

fn side(kind: FlowKind, leg: &Leg, port: &PortPair, said: &Carried, payload_types: u128) -> Side {
    let (local, named) = match kind {
        FlowKind::Rtp | FlowKind::Opaque => (port.rtp(), said.rtp),
        FlowKind::Rtcp => (port.rtcp(), said.rtcp),
    };
    let signalling = leg.end.signalling.to_canonical();
    let elsewhere = named.is_none_or(|named| named.ip() != signalling);
    Side {
        named,
        sources: elsewhere.then_some(signalling.into()).into_iter().collect(),
        payload_types,
        ..Side::new(leg.end.network, local)
    }
}

/// The kernel, if it forwards for both networks and neither peer is on this host.
fn path(ends: [&End; 2], sides: &[Side; 2]) -> Path {
    for (end, side) in ends.iter().zip(sides) {
        if let NetworkPath::User(reason) = end.path {
            return Path::User(reason);
        }
        let ours = side.named.is_some_and(|named| {
            named.ip().is_loopback() || ends.iter().any(|end| end.address == named.ip())
        });
        if end.local || ours {
            return Path::User(Fallback::LocalPeer);
        }
    }
    Path::Kernel
}
