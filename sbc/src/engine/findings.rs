//! Why a party of a call hears nothing: what signalling said and what its flows counted, brought together for [`crate::media::findings`].

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use super::{CallId, Engine};
use crate::call::{Talk, Who};
use crate::config::Config;
use crate::media::{
    Facts, Finding, FlowKind, FlowPair, FlowReport, LegFacts, PairId, Unreachable, findings,
};
use crate::routing::{Caller, Destination};

/// ICMP errors for what was sent to one side of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    to: SocketAddr,
    by: IpAddr,
    what: &'static str,
    count: u32,
    first: Instant,
    last: Instant,
}

/// What is known of the two who talked, once they do not any more.
#[derive(Clone, Debug)]
pub(super) struct Parted {
    talk: Talk,
    names: [String; 2],
    at: Instant,
}

/// A flow that was theirs.
#[derive(Clone, Debug)]
pub(super) struct Carried {
    pub(super) pair: Arc<FlowPair>,
    pub(super) report: FlowReport,
    pub(super) told: [Option<Told>; 2],
}

impl Told {
    /// What has been told so far, with one more.
    pub(super) fn another(before: Option<Told>, now: Instant, one: &Unreached) -> Told {
        let same = before.filter(|before| before.to == one.to);
        Told {
            to: one.to,
            by: one.by,
            what: one.what,
            count: same.map_or(0, |same| same.count).saturating_add(one.count),
            first: same.map_or(now, |same| same.first),
            last: now,
        }
    }

    fn by_now(&self, now: Instant) -> Unreachable {
        Unreachable {
            to: self.to,
            by: self.by,
            what: self.what,
            count: self.count,
            lasting: self.last.saturating_duration_since(self.first),
            ago: now.saturating_duration_since(self.last),
        }
    }
}

/// That something could not be delivered (ICMP type 3, ICMPv6 type 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreached {
    /// Our media address that it was sent from.
    pub local: SocketAddr,
    /// Where to.
    pub to: SocketAddr,
    /// Who says so.
    pub by: IpAddr,
    /// As in [`Unreachable::what`].
    pub what: &'static str,
    /// How often since it was told last.
    pub count: u32,
}

impl Parted {
    pub(super) fn new(now: Instant, config: &Config, talk: Talk) -> Parted {
        Parted {
            names: talk.who.map(|who| name(config, who)),
            talk,
            at: now,
        }
    }

    /// Whether each was ever to be heard by the other.
    pub(super) fn were_wanted(&self) -> [bool; 2] {
        self.talk.were_wanted
    }

    /// When that was.
    pub(super) fn at(&self) -> Instant {
        self.at
    }

    /// Why one of them heard nothing when it ended; `flow` is what carried their audio, if anything did.
    pub(super) fn findings(&self, flow: Option<&Carried>) -> Vec<Finding> {
        let Parted { talk, names, at } = self;
        let leg = |index: usize| LegFacts {
            name: names[index].clone(),
            direction: talk.directions[index],
            signalling: talk.signalling[index],
            flow: flow.map(|flow| (&flow.pair.sides[index], flow.report.sides[index])),
            unreachable: flow
                .and_then(|flow| flow.told[index])
                .map(|told| told.by_now(*at)),
        };
        findings(&Facts {
            legs: [leg(0), leg(1)],
            is_direct: talk.is_unseen,
            talked: at.saturating_duration_since(talk.since),
        })
    }
}

impl Engine {
    /// Why a party of a call that is up hears nothing. `report` is what the pair of [`Engine::heard_by`] has done.
    #[must_use]
    pub fn findings(&self, now: Instant, id: CallId, report: Option<&FlowReport>) -> Vec<Finding> {
        let Some(call) = self.call(id) else {
            return Vec::new();
        };
        let Some(talk) = call.talk() else {
            return Vec::new();
        };
        let pair = self.heard_by(id).and_then(|pair| {
            let flow = self.flows.get(pair)?;
            // Nobody says what it has done: that is no reason to say anything of it.
            let report = flow.subject.total(report?);
            Some(flow.subject.carried(report))
        });
        if pair.is_none() && self.heard_by(id).is_some() {
            return Vec::new();
        }
        Parted::new(now, &self.config, talk).findings(pair.as_ref())
    }

    /// The flow pair of a call's audio: the first of RTP that it has.
    #[must_use]
    pub fn heard_by(&self, id: CallId) -> Option<PairId> {
        let pairs = self.call(id)?.flow_pairs();
        let rtp = pairs.filter(|pair| pair.kind == FlowKind::Rtp);
        rtp.map(|pair| pair.id).min()
    }

    /// What was sent from one of our media ports could not be delivered.
    pub(super) fn on_unreached(&mut self, now: Instant, one: &Unreached) {
        for subject in self.flows.subjects() {
            if subject.unreached(now, one) {
                return;
            }
        }
    }
}

fn name(config: &Config, who: Who) -> String {
    match who {
        Who::Trunk(id) => Caller::Trunk(id).named(config).to_string(),
        Who::Phone(id) => Destination::Phone(id).named(config).to_string(),
        Who::Other(_) => "the other party".to_owned(),
    }
}
