//! What happens to a call, and what it wants done.

use std::time::Duration;

use bytes::Bytes;

use super::{Replaces, Talk};
use crate::engine::{CallId, Event, FlowFailure, Party, Tried};
use crate::media::{FlowCommand, FlowReport, LegId, PairId};
use crate::routing::Caller;
use crate::rtp::info::Pressed;
use crate::sip::Message;
use crate::transaction::{ClientId, Failure, Hop, ServerId};

/// What a request of ours is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// The INVITE that opens a B leg.
    Invite(LegId),
    /// Its CANCEL.
    Cancel(LegId),
    /// The PRACK to a provisional answer of it.
    Prack(LegId),
    /// An offer in an early dialog of this leg, relayed from the other one.
    Update(LegId),
    /// The end of a leg.
    Bye(LegId),
    /// A re-INVITE or UPDATE to this leg, relayed from the other one.
    Relay(LegId),
    /// Its CANCEL.
    CancelRelay(LegId),
    /// A refresh of this leg's session, of our own accord (RFC 4028).
    Refresh(LegId),
    /// A re-INVITE of our own to this leg.
    Own(LegId),
    /// A request that is passed on to this leg, and its number.
    Pass(LegId, u32),
    /// How a transfer goes that this leg asked for.
    Notify(LegId),
    /// A key for this leg.
    Key(LegId),
}

/// What happens to a call.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "reports of flows are few, and nothing of them is allocated"
)]
pub enum Input {
    /// A request of ours is on its way: its transaction's name.
    Sent {
        /// Which.
        purpose: Purpose,
        /// The transaction.
        id: ClientId,
    },
    /// An answer to a request of ours.
    Response {
        /// To which.
        purpose: Purpose,
        /// Its transaction.
        id: ClientId,
        /// The answer.
        message: Message,
    },
    /// A request of ours got no final answer.
    Failed {
        /// Which.
        purpose: Purpose,
        /// Time-out or transport.
        failure: Failure,
    },
    /// A request of ours found no room in the transaction table.
    Full {
        /// Which.
        purpose: Purpose,
    },
    /// The caller gave up.
    Cancel {
        /// On this INVITE.
        id: ServerId,
        /// The CANCEL.
        message: Message,
    },
    /// No ACK came to a failure, or the caller cannot be reached.
    ServerFailed(ServerId),
    /// An ACK to a 2xx in one of its dialogs.
    Ack {
        /// Where it came from.
        hop: Hop,
        /// The ACK.
        message: Message,
    },
    /// A request in one of its dialogs; not ACK, not CANCEL.
    Request {
        /// To answer it.
        id: ServerId,
        /// Where it came from.
        hop: Hop,
        /// The request.
        message: Message,
    },
    /// A flow pair of its media could not be installed.
    FlowFailed {
        /// The pair.
        pair: PairId,
        /// Why.
        failure: FlowFailure,
    },
    /// What a flow pair of its media has done so far.
    FlowRead {
        /// The pair.
        pair: PairId,
        /// What it did.
        report: FlowReport,
    },
    /// A key was pressed at one side of a flow pair of its media, and the other's peer is to be told of it.
    KeyPressed {
        /// The pair.
        pair: PairId,
        /// The side of who is told, 0 or 1.
        to: usize,
        /// Which, and for how long.
        key: Pressed,
    },
    /// Peers outside see a network of ours at another address now (`external`): those of this call are told.
    Readdressed,
    /// The box stops: end it.
    Stop,
    /// An operator ends it.
    HangUp,
}

/// What a call wants done, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Begin a client transaction; [`Input::Sent`] or [`Input::Full`] follows.
    Request {
        /// What for.
        purpose: Purpose,
        /// Where to.
        hop: Hop,
        /// The request.
        message: Message,
    },
    /// Answer a request.
    Respond {
        /// Which.
        id: ServerId,
        /// The answer.
        message: Message,
    },
    /// Send this ACK, and again for each copy of the 2xx that it answers.
    Ack {
        /// The INVITE's transaction.
        invite: ClientId,
        /// The To tag of the 2xx.
        tag: String,
        /// Where to.
        hop: Hop,
        /// The ACK.
        bytes: Bytes,
    },
    /// Requests with this To tag are this call's.
    Open(String),
    /// They are no more.
    Shut(String),
    /// Find the dialog of another call that a REFER names; [`super::Call::on_borrowed`] follows.
    Borrow {
        /// Which.
        replaces: Replaces,
        /// Whose it has to be.
        by: Caller,
        /// Who sent the REFER.
        leg: LegId,
        /// To answer it.
        id: ServerId,
        /// Where it came from.
        hop: Hop,
        /// The REFER.
        request: Message,
    },
    /// Find the dialog of another call that a REFER names which is passed on; [`super::Call::on_introduced`] follows.
    Introduce {
        /// Which.
        replaces: Replaces,
        /// Whose it has to be.
        by: Caller,
        /// Who gets the REFER.
        to: Caller,
        /// Who sent it.
        leg: LegId,
        /// To answer it.
        id: ServerId,
        /// Where it came from.
        hop: Hop,
        /// The REFER.
        request: Message,
    },
    /// Give a leg back to the call that it was borrowed from: [`super::Call::poll_returned`] has it.
    Return {
        /// That call.
        call: CallId,
        /// What the leg was called here.
        leg: LegId,
    },
    /// A leg that was borrowed stays: the call that it came from is over.
    Release(CallId),
    /// Count that somebody who was asked rings, or has answered.
    Rang {
        /// Who.
        to: Party,
        /// Since the INVITE.
        after: Duration,
    },
    /// Count that the caller had a first sign that it rings, or an answer.
    Ringback {
        /// Who called.
        from: Party,
        /// Since his INVITE.
        after: Duration,
    },
    /// Count what came of asking somebody.
    Tried {
        /// Whom.
        to: Party,
        /// What.
        result: Tried,
    },
    /// Count what there was no room for.
    Full(&'static str),
    /// These two talked when the call ended, before [`crate::engine::Event::CallEnded`].
    Parted(Box<Talk>),
    /// Order this of the media shells.
    Flow(FlowCommand),
    /// Tell this to the log and the counters.
    Event(Event),
}
