//! INVITE, server side: RFC 3261 17.2.1 with RFC 6026 8.5.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Failure;
use super::machine::ServerEffect;
use super::timers::{GIVE_UP, Repeat, T2, T4, earlier};
use crate::sip::{Message, response_to};

/// How long the user may take before the layer says 100 for it (RFC 3261 17.2.1).
pub(super) const TRYING: Duration = Duration::from_millis(200);

/// The states of RFC 3261 figure 7 and RFC 6026 figure 7; Trying is the part of Proceeding before the first answer.
#[derive(Debug, Default)]
pub(super) enum InviteServer {
    /// The user has not answered.
    Trying {
        request: Message,
        source: SocketAddr,
        /// When a 100 is due.
        answer: Instant,
        cancelled: bool,
    },
    /// The last provisional answer is repeated when the request is.
    Proceeding { last: Bytes, cancelled: bool },
    /// Refused, not yet acknowledged.
    Completed {
        last: Bytes,
        /// Timer G, not on a reliable transport: T1, doubling up to T2.
        repeat: Option<Repeat>,
        /// Timer H.
        give_up: Instant,
    },
    /// Refused and acknowledged; repeated ACKs are absorbed.
    Confirmed {
        /// Timer I, not on a reliable transport.
        until: Instant,
    },
    /// Accepted: the dialog repeats the 2xx and gets the ACKs; repeated requests are absorbed.
    Accepted {
        /// Timer L.
        until: Instant,
    },
    /// It is over.
    #[default]
    Terminated,
}

impl InviteServer {
    /// The request came for the first time.
    pub(super) fn begin(now: Instant, request: Message, source: SocketAddr) -> Self {
        InviteServer::Trying {
            request,
            source,
            answer: now + TRYING,
            cancelled: false,
        }
    }

    /// The request came again.
    pub(super) fn handle_request(self) -> (Self, ServerEffect) {
        match self {
            InviteServer::Trying {
                request,
                source,
                cancelled,
                ..
            } => trying(&request, source, cancelled),
            InviteServer::Proceeding { ref last, .. }
            | InviteServer::Completed { ref last, .. } => {
                let send = ServerEffect::Send(last.clone());
                (self, send)
            }
            InviteServer::Confirmed { .. }
            | InviteServer::Accepted { .. }
            | InviteServer::Terminated => (self, ServerEffect::Nothing),
        }
    }

    /// An ACK came.
    pub(super) fn handle_ack(self, now: Instant, reliable: bool) -> (Self, ServerEffect) {
        match self {
            InviteServer::Completed { .. } if reliable => {
                (InviteServer::Terminated, ServerEffect::Nothing)
            }
            InviteServer::Completed { .. } => {
                let until = now + T4;
                (InviteServer::Confirmed { until }, ServerEffect::Nothing)
            }
            InviteServer::Accepted { .. } => (self, ServerEffect::PassAck),
            InviteServer::Trying { .. }
            | InviteServer::Proceeding { .. }
            | InviteServer::Confirmed { .. }
            | InviteServer::Terminated => (self, ServerEffect::Nothing),
        }
    }

    /// A CANCEL came. Whether the user is to be told: once, and as long as there is no final answer.
    pub(super) fn handle_cancel(&mut self) -> bool {
        match self {
            InviteServer::Trying { cancelled, .. } | InviteServer::Proceeding { cancelled, .. } => {
                !std::mem::replace(cancelled, true)
            }
            InviteServer::Completed { .. }
            | InviteServer::Confirmed { .. }
            | InviteServer::Accepted { .. }
            | InviteServer::Terminated => false,
        }
    }

    /// The last answer, as long as it may have to be repeated.
    pub(super) fn last(&self) -> Option<&Bytes> {
        match self {
            InviteServer::Proceeding { last, .. } | InviteServer::Completed { last, .. } => {
                Some(last)
            }
            InviteServer::Trying { .. }
            | InviteServer::Confirmed { .. }
            | InviteServer::Accepted { .. }
            | InviteServer::Terminated => None,
        }
    }

    /// The user answers.
    pub(super) fn handle_response(
        self,
        now: Instant,
        code: u16,
        last: Bytes,
        reliable: bool,
    ) -> (Self, ServerEffect) {
        let send = ServerEffect::Send(last.clone());
        match self {
            InviteServer::Trying { cancelled, .. } | InviteServer::Proceeding { cancelled, .. }
                if code < 200 =>
            {
                (InviteServer::Proceeding { last, cancelled }, send)
            }
            InviteServer::Trying { .. } | InviteServer::Proceeding { .. } if code < 300 => {
                let until = now + GIVE_UP;
                (InviteServer::Accepted { until }, send)
            }
            InviteServer::Trying { .. } | InviteServer::Proceeding { .. } => {
                let state = InviteServer::Completed {
                    last,
                    repeat: Repeat::begin(now, reliable),
                    give_up: now + GIVE_UP,
                };
                (state, send)
            }
            InviteServer::Accepted { .. } if (200..300).contains(&code) => (self, send),
            InviteServer::Accepted { .. }
            | InviteServer::Completed { .. }
            | InviteServer::Confirmed { .. }
            | InviteServer::Terminated => (self, ServerEffect::Nothing),
        }
    }

    /// An answer could not be sent. A provisional one is not missed; a 2xx the dialog repeats, and requests that come again are
    /// still to be absorbed.
    pub(super) fn handle_send_failure(self) -> (Self, ServerEffect) {
        let fail = ServerEffect::Fail(Failure::Transport);
        match self {
            InviteServer::Completed { .. } => (InviteServer::Terminated, fail),
            InviteServer::Accepted { .. } => (self, fail),
            InviteServer::Trying { .. }
            | InviteServer::Proceeding { .. }
            | InviteServer::Confirmed { .. }
            | InviteServer::Terminated => (self, ServerEffect::Nothing),
        }
    }

    /// When the next timer fires.
    pub(super) fn timeout(&self) -> Option<Instant> {
        match self {
            InviteServer::Trying { answer, .. } => Some(*answer),
            InviteServer::Completed {
                repeat, give_up, ..
            } => Some(earlier(*repeat, *give_up)),
            InviteServer::Confirmed { until } | InviteServer::Accepted { until } => Some(*until),
            InviteServer::Proceeding { .. } | InviteServer::Terminated => None,
        }
    }

    /// A timer has fired.
    pub(super) fn handle_timeout(self, now: Instant) -> (Self, ServerEffect) {
        match self {
            InviteServer::Trying {
                request,
                source,
                answer,
                cancelled,
            } if answer <= now => trying(&request, source, cancelled),
            InviteServer::Completed { give_up, .. } if give_up <= now => (
                InviteServer::Terminated,
                ServerEffect::Fail(Failure::Timeout),
            ),
            InviteServer::Completed {
                last,
                repeat: Some(repeat),
                give_up,
            } if repeat.at <= now => {
                let send = ServerEffect::Send(last.clone());
                let repeat = Some(repeat.next(now, T2));
                (
                    InviteServer::Completed {
                        last,
                        repeat,
                        give_up,
                    },
                    send,
                )
            }
            InviteServer::Confirmed { until } | InviteServer::Accepted { until }
                if until <= now =>
            {
                (InviteServer::Terminated, ServerEffect::Nothing)
            }
            state => (state, ServerEffect::Nothing),
        }
    }
}

/// The layer's own 100.
fn trying(request: &Message, source: SocketAddr, cancelled: bool) -> (InviteServer, ServerEffect) {
    let last = response_to(request, source, 100, "Trying", None).finish();
    let send = ServerEffect::Send(last.clone());
    (InviteServer::Proceeding { last, cancelled }, send)
}
