//! A dialog as one agent has it, and what it may do in it.

use std::time::Instant;

use crate::heard::{Heard, Repeat};

/// How far a dialog is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Its INVITE has no final answer.
    Early,
    /// It has been taken.
    Up,
    /// Hung up, refused, or lost.
    Over,
}

/// A reliable provisional answer that has no PRACK.
pub(super) struct Unproven {
    pub(super) rseq: u32,
    pub(super) offers: bool,
    pub(super) repeat: Repeat,
}

/// A 2xx to an INVITE that has no ACK.
pub(super) struct Unacked {
    pub(super) cseq: u32,
    pub(super) offers: bool,
    pub(super) repeat: Repeat,
}

/// A dialog, or what may become one.
pub(super) struct Dialog {
    pub(super) call_id: String,
    /// With tags, as far as there are any.
    pub(super) local: String,
    pub(super) remote: String,
    pub(super) target: String,
    pub(super) cseq: u32,
    pub(super) heard_cseq: u32,
    pub(super) state: State,
    pub(super) is_caller: bool,
    /// An INVITE of ours is open, an offer of ours (in whatever) is, one of theirs is.
    pub(super) inviting: bool,
    pub(super) offering: bool,
    pub(super) offered: bool,
    /// Something has been agreed upon.
    pub(super) settled: bool,
    /// An INVITE of theirs that has no final answer.
    pub(super) invite: Option<Heard>,
    /// What was last said to it.
    pub(super) last: Vec<u8>,
    pub(super) unproven: Option<Unproven>,
    pub(super) unacked: Option<Unacked>,
    /// When an ACK came without the answer that was due.
    pub(super) unanswered: Option<Instant>,
    /// Of their last reliable answer.
    pub(super) heard_rseq: Option<u32>,
    pub(super) rseq: u32,
    /// The INVITE of ours has been called off.
    pub(super) cancelled: bool,
    /// A provisional answer came.
    pub(super) rings: bool,
    pub(super) version: u32,
    pub(super) port: u16,
    pub(super) way: &'static str,
}

impl Dialog {
    pub(super) fn new(call_id: String, local: String, remote: String, target: String) -> Dialog {
        Dialog {
            call_id,
            local,
            remote,
            target,
            cseq: 0,
            heard_cseq: 0,
            state: State::Early,
            is_caller: true,
            inviting: false,
            offering: false,
            offered: false,
            settled: false,
            invite: None,
            last: Vec::new(),
            unproven: None,
            unacked: None,
            unanswered: None,
            heard_rseq: None,
            rseq: 6,
            cancelled: false,
            rings: false,
            version: 1,
            port: 4000,
            way: "",
        }
    }

    /// No offer is open, so that one may be made (RFC 3261 14.1, RFC 3311 5.1, RFC 6337).
    pub(super) fn may_offer(&self) -> bool {
        let quiet = !self.offering && !self.offered && self.unproven.is_none();
        quiet && self.settled && self.unacked.is_none() && self.state != State::Over
    }

    /// No INVITE is open either.
    pub(super) fn may_invite(&self) -> bool {
        let open = self.inviting || self.invite.is_some();
        self.may_offer() && self.state == State::Up && !open
    }

    /// A request that is no offer.
    pub(super) fn may_ask(&self) -> bool {
        self.state == State::Up
    }

    /// RFC 3261 15: who was called waits for the ACK.
    pub(super) fn may_hang_up(&self) -> bool {
        self.state == State::Up && (self.is_caller || self.unacked.is_none())
    }

    pub(super) fn end(&mut self) {
        self.state = State::Over;
        self.unproven = None;
        self.unacked = None;
        self.unanswered = None;
    }
}
