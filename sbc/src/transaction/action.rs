//! What goes into the layer and what comes out.

use bytes::Bytes;
use thiserror::Error;

use super::Hop;
use crate::sip::Message;

/// A request of ours, until its last answer and a while after. Given by the layer, never again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

/// A request that came in, until its last answer and a while after. Given by the layer, never again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId(pub u64);

/// How many transactions there may be at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Ours. A request over it is refused to the user: [`Full`].
    pub client: usize,
    /// Of others. A request over it is answered 503: [`Action::Full`].
    pub server: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            client: 65_536,
            server: 65_536,
        }
    }
}

/// How much of the table a request may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Room {
    /// What [`Limits`] say.
    #[default]
    Usual,
    /// [`RESERVE`] more: of emergency calls.
    Reserve,
}

/// Transactions of each kind that emergency calls may have when [`Limits`] are reached.
pub const RESERVE: usize = 1024;

impl Room {
    pub(super) fn of(self, limit: usize) -> usize {
        match self {
            Room::Usual => limit,
            Room::Reserve => limit.saturating_add(RESERVE),
        }
    }
}

/// There is no room for another client transaction; those that are there end by themselves within half a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no room for another client transaction")]
pub struct Full;

/// What happens to the layer.
#[derive(Clone, Debug)]
pub enum Input {
    /// A valid message from the wire.
    Message {
        /// `remote` is the source.
        hop: Hop,
        /// A request or a response.
        message: Message,
    },
    /// What an [`Action::Send`] asked for could not be done (RFC 3261 18.4).
    SendFailed {
        /// As in the action.
        hop: Hop,
        /// As in the action.
        bytes: Bytes,
    },
}

/// What the layer wants done, or has to tell its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Towards the wire. Responses go where RFC 3261 18.2.2 and RFC 3581 send them.
    Send {
        /// To `remote`.
        hop: Hop,
        /// The message.
        bytes: Bytes,
    },
    /// A new request; never an ACK or a CANCEL. An INVITE that is not answered within 200 ms gets a 100 of the layer's own.
    Request {
        /// To be given to [`super::Layer::respond`].
        id: ServerId,
        /// As it came in.
        hop: Hop,
        /// The request.
        message: Message,
    },
    /// A CANCEL for an INVITE that has no final answer yet. The CANCEL is answered; the INVITE is the user's to end (487).
    Cancel {
        /// The INVITE.
        invite: ServerId,
        /// The CANCEL, which may say why (RFC 3326).
        message: Message,
    },
    /// The ACK to a 2xx: it is a request of its own, for the dialog it names.
    Ack {
        /// As it came in.
        hop: Hop,
        /// The ACK.
        message: Message,
    },
    /// An answer to a request of ours: every provisional one, the final one once, and each 2xx to an INVITE
    /// (RFC 6026: repeated ones, and those of other branches, too).
    Response {
        /// The request.
        id: ClientId,
        /// As it came in.
        hop: Hop,
        /// The response.
        message: Message,
    },
    /// What was tried over TCP first, as it is large, could not be sent there: it has gone out over UDP instead.
    FellBack {
        /// The way over TCP.
        hop: Hop,
    },
    /// A request of ours has got no final answer and gets none any more: timers B and F, five minutes of
    /// ringing without a word, 32 seconds after our CANCEL, or a broken transport. The transaction is gone.
    Failed {
        /// The request.
        id: ClientId,
        /// Why.
        failure: Failure,
    },
    /// A final answer did not arrive: nothing acknowledged a refusal, or the answer could not be sent.
    ServerFailed {
        /// The request.
        id: ServerId,
        /// Why.
        failure: Failure,
    },
    /// A response that belongs to nothing here: to be counted and dropped.
    Stray {
        /// As it came in.
        hop: Hop,
        /// The response.
        message: Message,
    },
    /// A request that there was no room for: answered 503 by the layer, to be counted. An ACK is not answered.
    Full {
        /// As it came in.
        hop: Hop,
        /// The request.
        message: Message,
    },
}

/// Why a transaction did not end well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum Failure {
    /// The other end is silent: timer B, F or H.
    #[error("no answer in time")]
    Timeout,
    /// The message could not be sent.
    #[error("it could not be sent")]
    Transport,
}

impl Failure {
    /// The metric label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Failure::Timeout => "timeout",
            Failure::Transport => "transport",
        }
    }
}
