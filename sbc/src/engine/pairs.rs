//! The flow pairs that the shells have, and how many there are of each kind.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Bound;
use std::sync::Arc;

use super::census::Census;
use super::handover::ports_of;
use super::reports::Subject;
use crate::config::{Codec, Dtmf, NetworkId};
use crate::media::{FlowPair, PairId};

/// A flow pair that the shells have.
pub(super) struct Flow {
    pub(super) subject: Subject,
    /// What its sides speak, if it is transcoded.
    codecs: Option<[Codec; 2]>,
    /// In which forms they have keys, if not in one.
    keys: Option<[Dtmf; 2]>,
    /// Those of its sockets, if it has any.
    pub(super) ports: Option<Box<[SocketAddr; 2]>>,
}

/// As what a pair is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind {
    pub(super) networks: [NetworkId; 2],
    /// Its label.
    pub(super) path: &'static str,
    pub(super) is_transcoded: bool,
}

/// What of a pair is new.
#[derive(Debug, Default)]
pub(super) struct Changed {
    /// It is transcoded between these now.
    pub(super) codecs: Option<[Codec; 2]>,
    /// Keys are turned from one of these into the other now.
    pub(super) keys: Option<[Dtmf; 2]>,
}

/// All of them.
#[derive(Default)]
pub(super) struct Pairs {
    /// Boxed, as calls are: a tree has room for more than there are.
    flows: BTreeMap<PairId, Box<Flow>>,
    census: Census<Kind>,
}

impl Flow {
    pub(super) fn new(pair: &FlowPair, subject: Subject) -> Flow {
        Flow {
            subject,
            codecs: pair.transcoded(),
            keys: pair.keys(),
            ports: ports_of(pair),
        }
    }

    fn kind(&self) -> Kind {
        Kind {
            networks: self.subject.networks(),
            path: self.subject.path(),
            is_transcoded: self.codecs.is_some(),
        }
    }
}

impl Pairs {
    /// The shells get one.
    pub(super) fn insert(&mut self, id: PairId, flow: Flow) {
        self.census.add(flow.kind());
        if let Some(old) = self.flows.insert(id, Box::new(flow)) {
            self.census.take(old.kind());
        }
    }

    /// They do not have it any more.
    pub(super) fn remove(&mut self, id: PairId) -> Option<Flow> {
        let flow = self.flows.remove(&id)?;
        self.census.take(flow.kind());
        Some(*flow)
    }

    /// What signalling has since named of one; none if there is no such pair.
    pub(super) fn update(&mut self, pair: &Arc<FlowPair>) -> Option<Changed> {
        let flow = self.flows.get_mut(&pair.id)?;
        self.census.take(flow.kind());
        flow.subject.update(pair);
        let codecs = std::mem::replace(&mut flow.codecs, pair.transcoded());
        let keys = std::mem::replace(&mut flow.keys, pair.keys());
        self.census.add(flow.kind());
        Some(Changed {
            codecs: flow.codecs.filter(|_| flow.codecs != codecs),
            keys: flow.keys.filter(|_| flow.keys != keys),
        })
    }

    /// One of them.
    pub(super) fn get(&self, id: PairId) -> Option<&Flow> {
        self.flows.get(&id).map(|flow| &**flow)
    }

    /// What reports of one are about.
    pub(super) fn subject(&mut self, id: PairId) -> Option<&mut Subject> {
        self.flows.get_mut(&id).map(|flow| &mut flow.subject)
    }

    /// The same of all.
    pub(super) fn subjects(&mut self) -> impl Iterator<Item = &mut Subject> {
        self.flows.values_mut().map(|flow| &mut flow.subject)
    }

    /// Those that come after this one, in the order of their ids.
    pub(super) fn after(&self, after: Option<PairId>) -> impl Iterator<Item = (PairId, &Flow)> {
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let flows = self.flows.range((after, Bound::Unbounded));
        flows.map(|(id, flow)| (*id, &**flow))
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    /// How many there are of each kind.
    pub(super) fn census(&self) -> &BTreeMap<Kind, u64> {
        self.census.counts()
    }

    /// The same, counted anew.
    #[cfg(test)]
    pub(super) fn counted(&self) -> BTreeMap<Kind, u64> {
        let mut counts = BTreeMap::new();
        for flow in self.flows.values() {
            *counts.entry(flow.kind()).or_default() += 1;
        }
        counts
    }
}
