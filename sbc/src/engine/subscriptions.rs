//! The tables behind what is said outside of calls: requests that wait for an answer, and subscriptions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::Hop;
use crate::call::Onward;
use crate::config::{Peer, PhoneId, TrunkId};
use crate::dialog::Dialog;
use crate::routing::{Caller, CallerId, Destination};
use crate::sip::{Message, Name};
use crate::transaction::{ClientId, ServerId};

/// All that is said outside of calls.
#[derive(Default)]
pub(super) struct Outside {
    pub(super) pending: BTreeMap<ClientId, Pending>,
    pub(super) subscriptions: BTreeMap<u64, Subscription>,
    /// Subscriptions by our tags.
    pub(super) tags: BTreeMap<String, u64>,
    pub(super) timers: BTreeSet<(Instant, u64)>,
    /// When servers of which there are others should have said something.
    pub(super) patience: BTreeSet<(Instant, ClientId)>,
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
    /// Where else it may be asked.
    pub(super) further: Option<Box<Further>>,
}

/// The other servers of where a request went, and what is needed to ask there.
pub(super) struct Further {
    pub(super) sender: Sender,
    pub(super) destination: Destination,
    pub(super) onward: Onward,
}

/// Who sends something.
#[derive(Clone)]
pub(super) struct Sender {
    pub(super) caller: Caller,
    /// As the route shows him.
    pub(super) caller_id: Option<CallerId>,
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
        let patience = self.patience.first().map(|(at, _)| *at);
        let timers = self.timers.first().map(|(at, _)| *at);
        patience.into_iter().chain(timers).min()
    }

    /// A request that has come to its end.
    pub(super) fn take(&mut self, client: ClientId) -> Option<Pending> {
        let pending = self.pending.remove(&client)?;
        if let Some(further) = &pending.further {
            self.patience.remove(&(further.onward.patience(), client));
        }
        Some(pending)
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

/// Expires, in seconds.
pub(super) fn expires(message: &Message) -> Option<u32> {
    message.header(Name::Expires)?.trim().parse().ok()
}

/// Whether this NOTIFY is the last, and for how long it is not (RFC 6665 4.1.3).
pub(super) fn subscription_state(notify: &Message) -> (bool, Option<u32>) {
    let value = notify.header(Name::SubscriptionState).unwrap_or_default();
    let mut parts = value.split(';').map(str::trim);
    let state = parts.next().unwrap_or_default();
    let seconds = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        let is_it = name.trim().eq_ignore_ascii_case("expires");
        is_it.then(|| value.trim().parse().ok())?
    });
    (state.eq_ignore_ascii_case("terminated"), seconds)
}
