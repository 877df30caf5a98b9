//! Everything but INVITE, client side: RFC 3261 17.1.2.

use std::time::Instant;

use bytes::Bytes;

use super::Failure;
use super::machine::ClientEffect;
use super::timers::{GIVE_UP, Repeat, T2, T4, earlier};

/// The states of RFC 3261 figure 6.
#[derive(Debug, Default)]
pub(super) enum Client {
    /// Nothing has come back.
    Trying {
        request: Bytes,
        /// Timer E, not on a reliable transport: T1, doubling up to T2.
        repeat: Option<Repeat>,
        /// Timer F.
        give_up: Instant,
    },
    /// A provisional answer has.
    Proceeding {
        request: Bytes,
        /// Timer E: T2.
        repeat: Option<Repeat>,
        /// Timer F, still.
        give_up: Instant,
    },
    /// The final answer has; repeated ones are absorbed.
    Completed {
        /// Timer K, not on a reliable transport.
        until: Instant,
    },
    /// It is over.
    #[default]
    Terminated,
}

impl Client {
    /// The request is being sent.
    pub(super) fn begin(now: Instant, request: Bytes, reliable: bool) -> Self {
        Client::Trying {
            request,
            repeat: Repeat::begin(now, reliable),
            give_up: now + GIVE_UP,
        }
    }

    /// A response came.
    pub(super) fn handle_response(
        self,
        now: Instant,
        code: u16,
        reliable: bool,
    ) -> (Self, ClientEffect) {
        match self {
            Client::Trying {
                request, give_up, ..
            } if code < 200 => {
                let repeat = (!reliable).then(|| Repeat::after(now, T2));
                (
                    Client::Proceeding {
                        request,
                        repeat,
                        give_up,
                    },
                    ClientEffect::Tell,
                )
            }
            Client::Proceeding { .. } if code < 200 => (self, ClientEffect::Tell),
            Client::Trying { .. } | Client::Proceeding { .. } if reliable => {
                (Client::Terminated, ClientEffect::Tell)
            }
            Client::Trying { .. } | Client::Proceeding { .. } => {
                (Client::Completed { until: now + T4 }, ClientEffect::Tell)
            }
            Client::Completed { .. } | Client::Terminated => (self, ClientEffect::Nothing),
        }
    }

    /// The request could not be sent.
    pub(super) fn handle_send_failure(self) -> (Self, ClientEffect) {
        match self {
            Client::Trying { .. } | Client::Proceeding { .. } => {
                (Client::Terminated, ClientEffect::Fail(Failure::Transport))
            }
            Client::Completed { .. } | Client::Terminated => (self, ClientEffect::Nothing),
        }
    }

    /// When the next timer fires.
    pub(super) fn timeout(&self) -> Option<Instant> {
        match self {
            Client::Trying {
                repeat, give_up, ..
            }
            | Client::Proceeding {
                repeat, give_up, ..
            } => Some(earlier(*repeat, *give_up)),
            Client::Completed { until } => Some(*until),
            Client::Terminated => None,
        }
    }

    /// A timer has fired.
    pub(super) fn handle_timeout(self, now: Instant) -> (Self, ClientEffect) {
        match self {
            Client::Trying { give_up, .. } | Client::Proceeding { give_up, .. }
                if give_up <= now =>
            {
                (Client::Terminated, ClientEffect::Fail(Failure::Timeout))
            }
            Client::Trying {
                request,
                repeat: Some(repeat),
                give_up,
            } if repeat.at <= now => {
                let send = ClientEffect::Send(request.clone());
                let repeat = Some(repeat.next(now, T2));
                (
                    Client::Trying {
                        request,
                        repeat,
                        give_up,
                    },
                    send,
                )
            }
            Client::Proceeding {
                request,
                repeat: Some(repeat),
                give_up,
            } if repeat.at <= now => {
                let send = ClientEffect::Send(request.clone());
                let repeat = Some(Repeat::after(now, T2));
                (
                    Client::Proceeding {
                        request,
                        repeat,
                        give_up,
                    },
                    send,
                )
            }
            Client::Completed { until } if until <= now => {
                (Client::Terminated, ClientEffect::Nothing)
            }
            state => (state, ClientEffect::Nothing),
        }
    }
}
