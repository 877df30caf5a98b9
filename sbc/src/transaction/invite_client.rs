//! INVITE, client side: RFC 3261 17.1.1 with RFC 6026 8.4.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Failure;
use super::machine::ClientEffect;
use super::timers::{GIVE_UP, Repeat, earlier};
use crate::sip::{Message, Name, Start, Writer};

/// How long an INVITE may go on after its last provisional answer: as timer C of RFC 3261 16.6, which must be more than three
/// minutes. A peer that vanishes while it rings must not leave anything behind.
const RINGING: Duration = Duration::from_secs(300);

/// The states of RFC 3261 figure 5 and RFC 6026 figure 5.
#[derive(Debug, Default)]
pub(super) enum InviteClient {
    /// Nothing has come back.
    Calling {
        request: Message,
        /// Timer A, not on a reliable transport: T1, 2 T1, 4 T1, …
        repeat: Option<Repeat>,
        /// Timer B.
        give_up: Instant,
    },
    /// A provisional answer has.
    Proceeding {
        request: Message,
        /// As timer C; 64 T1 once it is cancelled (9.1).
        give_up: Instant,
        cancelled: bool,
    },
    /// A refusal has, and its ACK was sent; repeated refusals get it again.
    Completed {
        ack: Bytes,
        /// Timer D, not on a reliable transport.
        until: Instant,
    },
    /// A 2xx has; each further one is the user's.
    Accepted {
        /// Timer M.
        until: Instant,
    },
    /// It is over.
    #[default]
    Terminated,
}

impl InviteClient {
    /// The request is being sent.
    pub(super) fn begin(now: Instant, request: Message, reliable: bool) -> Self {
        InviteClient::Calling {
            request,
            repeat: Repeat::begin(now, reliable),
            give_up: now + GIVE_UP,
        }
    }

    /// A response came.
    pub(super) fn handle_response(
        self,
        now: Instant,
        response: &Message,
        reliable: bool,
    ) -> (Self, ClientEffect) {
        let code = response.code().unwrap_or(0);
        match self {
            InviteClient::Calling { request, .. } if code < 200 => {
                let give_up = now + RINGING;
                let cancelled = false;
                (
                    InviteClient::Proceeding {
                        request,
                        give_up,
                        cancelled,
                    },
                    ClientEffect::Tell,
                )
            }
            InviteClient::Proceeding {
                request,
                give_up,
                cancelled,
            } if code < 200 => {
                let give_up = if cancelled { give_up } else { now + RINGING };
                (
                    InviteClient::Proceeding {
                        request,
                        give_up,
                        cancelled,
                    },
                    ClientEffect::Tell,
                )
            }
            InviteClient::Calling { .. } | InviteClient::Proceeding { .. } if code < 300 => {
                let until = now + GIVE_UP;
                (InviteClient::Accepted { until }, ClientEffect::Tell)
            }
            InviteClient::Calling { request, .. } | InviteClient::Proceeding { request, .. } => {
                let ack = ack(&request, response);
                let state = if reliable {
                    InviteClient::Terminated
                } else {
                    InviteClient::Completed {
                        ack: ack.clone(),
                        until: now + GIVE_UP,
                    }
                };
                (state, ClientEffect::AckAndTell(ack))
            }
            InviteClient::Completed { ack, until } if code >= 300 => {
                let send = ClientEffect::Send(ack.clone());
                (InviteClient::Completed { ack, until }, send)
            }
            InviteClient::Accepted { .. } if (200..300).contains(&code) => {
                (self, ClientEffect::Tell)
            }
            InviteClient::Completed { .. }
            | InviteClient::Accepted { .. }
            | InviteClient::Terminated => (self, ClientEffect::Nothing),
        }
    }

    /// The user has sent a CANCEL: if not even that brings a final answer, it is over after 64 T1 (9.1).
    pub(super) fn handle_cancel(self, now: Instant) -> Self {
        match self {
            InviteClient::Proceeding {
                request,
                cancelled: false,
                ..
            } => InviteClient::Proceeding {
                request,
                give_up: now + GIVE_UP,
                cancelled: true,
            },
            state => state,
        }
    }

    /// What was to be sent could not be.
    pub(super) fn handle_send_failure(self) -> (Self, ClientEffect) {
        match self {
            InviteClient::Calling { .. } | InviteClient::Proceeding { .. } => (
                InviteClient::Terminated,
                ClientEffect::Fail(Failure::Transport),
            ),
            // The ACK: the user has the final answer, there is nothing more to be told.
            InviteClient::Completed { .. } => (InviteClient::Terminated, ClientEffect::Nothing),
            InviteClient::Accepted { .. } | InviteClient::Terminated => {
                (self, ClientEffect::Nothing)
            }
        }
    }

    /// When the next timer fires.
    pub(super) fn timeout(&self) -> Option<Instant> {
        match self {
            InviteClient::Calling {
                repeat, give_up, ..
            } => Some(earlier(*repeat, *give_up)),
            InviteClient::Proceeding { give_up, .. } => Some(*give_up),
            InviteClient::Completed { until, .. } | InviteClient::Accepted { until } => {
                Some(*until)
            }
            InviteClient::Terminated => None,
        }
    }

    /// A timer has fired.
    pub(super) fn handle_timeout(self, now: Instant) -> (Self, ClientEffect) {
        match self {
            InviteClient::Calling { give_up, .. } | InviteClient::Proceeding { give_up, .. }
                if give_up <= now =>
            {
                (
                    InviteClient::Terminated,
                    ClientEffect::Fail(Failure::Timeout),
                )
            }
            InviteClient::Calling {
                request,
                repeat: Some(repeat),
                give_up,
            } if repeat.at <= now => {
                let bytes = request.bytes().clone();
                let repeat = Some(repeat.next(now, GIVE_UP));
                (
                    InviteClient::Calling {
                        request,
                        repeat,
                        give_up,
                    },
                    ClientEffect::Send(bytes),
                )
            }
            InviteClient::Completed { until, .. } | InviteClient::Accepted { until }
                if until <= now =>
            {
                (InviteClient::Terminated, ClientEffect::Nothing)
            }
            state => (state, ClientEffect::Nothing),
        }
    }
}

/// The ACK to a refusal (RFC 3261 17.1.1.3): the request's Request-URI, topmost Via, Route, From, Call-ID and number; the
/// response's To.
fn ack(request: &Message, response: &Message) -> Bytes {
    let uri = match request.start() {
        Start::Request { uri, .. } => uri,
        Start::Response { .. } => "",
    };
    let mut writer = Writer::request("ACK", uri);
    if let Some(via) = request.values(Name::Via).next() {
        writer = writer.header(Name::Via, via);
    }
    writer = writer.header(Name::MaxForwards, 70);
    for field in request.fields() {
        if matches!(field.name, Name::Route | Name::From | Name::CallId) {
            writer = writer.copy(field);
        }
    }
    if let Some(to) = response.fields().find(|f| f.name == Name::To) {
        writer = writer.copy(to);
    }
    writer
        .header(Name::CSeq, format_args!("{} ACK", request.cseq().number))
        .finish()
}
