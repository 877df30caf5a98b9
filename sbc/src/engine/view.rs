//! What is there now, for whoever looks at it. Reading changes nothing.

use std::net::IpAddr;
use std::sync::Arc;

use super::pairs::Flow;
use super::{CallId, Engine, Party};
use crate::call::{Call, Host, Who};
use crate::config::{Codec, Dtmf};
use crate::media::{Fallback, FlowPair, FlowReport, PairId, Path};

/// The call that a flow pair belongs to.
#[derive(Clone, Copy)]
pub struct FlowOwner<'e> {
    call: &'e Call,
    flow: &'e Flow,
    host: &'e Host,
}

/// A flow pair and whose it is.
#[derive(Clone, Debug)]
pub struct FlowView {
    /// The call.
    pub call: CallId,
    /// The caller's Call-ID.
    pub sip_call_id: String,
    /// Who calls.
    pub from: Who,
    /// Who took it, else who is being asked.
    pub to: Who,
    /// The user part that was dialled.
    pub number: String,
    /// The pair: the call's own.
    pub pair: Arc<FlowPair>,
    /// What its sides speak, if its stream is transcoded.
    pub codecs: Option<[Codec; 2]>,
    /// In which forms its sides have keys, if a worker turns the one into the other.
    pub keys: Option<[Dtmf; 2]>,
    /// What it did before it fell back from the kernel to user space, if it has: whoever forwards it now does not know.
    pub before: Option<Box<FlowReport>>,
    /// Of each side, whether its address of ours is none of this host's now: nothing comes or leaves there until it is back.
    pub is_gone: [bool; 2],
}

impl Engine {
    /// The flow pairs that the shells have, in the order of their ids, after this one; each with its call.
    pub fn flows(&self, after: Option<PairId>) -> impl Iterator<Item = (PairId, FlowOwner<'_>)> {
        self.flows.after(after).filter_map(|(pair, flow)| {
            let slot = self.calls.get(&flow.subject.call)?;
            let owner = FlowOwner {
                call: &slot.call,
                host: &self.host,
                flow,
            };
            Some((pair, owner))
        })
    }

    /// How many calls have media at this address of ours.
    #[must_use]
    pub fn calls_at(&self, address: IpAddr) -> usize {
        let is_there = |call: &Call| {
            let mut sides = call.flow_pairs().flat_map(|pair| &pair.sides);
            sides.any(|side| side.local.ip() == address)
        };
        let calls = self.calls.values();
        calls.filter(|slot| is_there(&slot.call)).count()
    }
}

impl FlowOwner<'_> {
    /// Whether the call goes by this name: its id as the log has it (leading zeros may be left out), or the Call-ID of one of its legs.
    #[must_use]
    pub fn is_named(&self, name: &str) -> bool {
        self.call.is_named(name)
    }

    /// What a worker has to do with a pair, of RTCP with the RTP beside it.
    fn of_pipe<T>(&self, pair: &FlowPair, what: impl Fn(&FlowPair) -> Option<T>) -> Option<T> {
        let is_beside = |rtp: &&FlowPair| {
            let mut sides = rtp.sides.iter().zip(&pair.sides);
            sides.all(|(rtp, side)| {
                rtp.local.ip() == side.local.ip()
                    && [0, 1].contains(&side.local.port().wrapping_sub(rtp.local.port()))
            })
        };
        match pair.path {
            Path::User(Fallback::Transcoded | Fallback::Dtmf) => {
                let mut pairs = self.call.flow_pairs().filter(is_beside);
                pairs.find_map(what)
            }
            _ => None,
        }
    }

    /// The pair, if it is one of the call's.
    #[must_use]
    pub fn view(&self) -> Option<FlowView> {
        let (call, subject) = (self.call, &self.flow.subject);
        let pair = subject.pair();
        if !call.flow_pairs().any(|known| known.id == pair.id) {
            return None;
        }
        let [from, to] = call.ends().unwrap_or([Who::Other(Party::Nobody); 2]);
        Some(FlowView {
            call: call.id(),
            sip_call_id: call.sip_call_ids().next().unwrap_or_default().to_owned(),
            from,
            to,
            number: call.number().to_owned(),
            codecs: self.of_pipe(pair, FlowPair::transcoded),
            keys: self.of_pipe(pair, FlowPair::keys),
            pair: Arc::clone(pair),
            before: subject.before().map(|before| Box::new(*before)),
            is_gone: pair
                .sides
                .each_ref()
                .map(|side| self.host.lacks(side.local.ip())),
        })
    }
}

impl FlowView {
    /// With what it did before.
    #[must_use]
    pub fn total(&self, report: &FlowReport) -> FlowReport {
        match &self.before {
            Some(before) => before.then(report),
            None => *report,
        }
    }
}
