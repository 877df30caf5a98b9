//! The tables behind what is said outside of calls: requests that wait for an answer, and subscriptions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::Hop;
use crate::config::{Peer, PhoneId, TrunkId};
use crate::dialog::Dialog;
use crate::sip::Message;
use crate::transaction::{ClientId, ServerId};

/// All that is said outside of calls.
#[derive(Default)]
pub(super) struct Outside {
    pub(super) pending: BTreeMap<ClientId, Pending>,
    pub(super) subscriptions: BTreeMap<u64, Subscription>,
    /// Subscriptions by our tags.
    pub(super) tags: BTreeMap<String, u64>,
    pub(super) timers: BTreeSet<(Instant, u64)>,
    pub(super) next: u64,
}

/// A request that was passed on.
pub(super) struct Pending {
    pub(super) id: ServerId,
    pub(super) hop: Hop,
    pub(super) request: Message,
    /// Ours.
    pub(super) sent: Message,
    /// Where it went.
    pub(super) to: Hop,
    /// Who sent it, and who got it.
    pub(super) peers: [Peer; 2],
    pub(super) subscription: Option<u64>,
}

/// Who wants to be told, and who tells.
pub(super) struct Subscription {
    pub(super) near: End,
    pub(super) far: End,
    /// NOTIFYs that overtook the answer to the SUBSCRIBE (RFC 6665 4.1.2.4).
    pub(super) held: Vec<(ServerId, Hop, Message)>,
    pub(super) open: usize,
    /// The last NOTIFY has come.
    pub(super) is_over: bool,
    pub(super) deadline: Instant,
}

pub(super) struct End {
    pub(super) tag: String,
    pub(super) call_id: String,
    pub(super) trunk: Option<TrunkId>,
    pub(super) phone: Option<PhoneId>,
    pub(super) hop: Hop,
    pub(super) dialog: Option<Dialog>,
}

impl End {
    /// Who is there, as the config knows him.
    pub(super) fn peer(&self) -> Peer {
        Peer {
            trunk: self.trunk,
            phone: self.phone,
            network: self.hop.network,
        }
    }
}

impl Outside {
    pub(super) fn knows(&self, tag: &str) -> bool {
        self.tags.contains_key(tag)
    }

    /// Dialogs that are alive.
    pub(super) fn dialogs(&self) -> usize {
        self.tags.len()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Forgets what nobody has refreshed; who still waits for an answer.
    pub(super) fn expired(&mut self, now: Instant) -> Vec<(ServerId, Hop, Message)> {
        let mut waiting = Vec::new();
        while let Some(&(at, number)) = self.timers.first()
            && at <= now
        {
            waiting.extend(self.forget(number));
        }
        waiting
    }

    pub(super) fn forget(&mut self, number: u64) -> Vec<(ServerId, Hop, Message)> {
        let Some(gone) = self.subscriptions.remove(&number) else {
            return Vec::new();
        };
        self.timers.remove(&(gone.deadline, number));
        self.tags.remove(&gone.near.tag);
        self.tags.remove(&gone.far.tag);
        gone.held
    }

    pub(super) fn lasts_until(&mut self, number: u64, deadline: Instant) {
        if let Some(subscription) = self.subscriptions.get_mut(&number) {
            self.timers.remove(&(subscription.deadline, number));
            subscription.deadline = deadline;
            self.timers.insert((deadline, number));
        }
    }
}
