//! Everything but INVITE, server side: RFC 3261 17.2.2.

use std::time::Instant;

use bytes::Bytes;

use super::Failure;
use super::machine::ServerEffect;
use super::timers::GIVE_UP;

/// The states of RFC 3261 figure 8.
#[derive(Debug, Default)]
pub(super) enum Server {
    /// The user has not answered; repeated requests are absorbed.
    Trying,
    /// The last provisional answer is repeated when the request is.
    Proceeding { last: Bytes },
    /// The final answer is repeated when the request is.
    Completed {
        last: Bytes,
        /// Timer J, not on a reliable transport.
        until: Instant,
    },
    /// It is over.
    #[default]
    Terminated,
}

impl Server {
    /// The request came again.
    pub(super) fn handle_request(&self) -> ServerEffect {
        match self {
            Server::Proceeding { last } | Server::Completed { last, .. } => {
                ServerEffect::Send(last.clone())
            }
            Server::Trying | Server::Terminated => ServerEffect::Nothing,
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
            Server::Trying | Server::Proceeding { .. } if code < 200 => {
                (Server::Proceeding { last }, send)
            }
            Server::Trying | Server::Proceeding { .. } if reliable => (Server::Terminated, send),
            Server::Trying | Server::Proceeding { .. } => {
                let until = now + GIVE_UP;
                (Server::Completed { last, until }, send)
            }
            Server::Completed { .. } | Server::Terminated => (self, ServerEffect::Nothing),
        }
    }

    /// An answer could not be sent; a provisional one is not missed.
    pub(super) fn handle_send_failure(self) -> (Self, ServerEffect) {
        match self {
            Server::Completed { .. } => {
                (Server::Terminated, ServerEffect::Fail(Failure::Transport))
            }
            state => (state, ServerEffect::Nothing),
        }
    }

    /// When the next timer fires.
    pub(super) fn timeout(&self) -> Option<Instant> {
        match self {
            Server::Completed { until, .. } => Some(*until),
            Server::Trying | Server::Proceeding { .. } | Server::Terminated => None,
        }
    }

    /// A timer has fired.
    pub(super) fn handle_timeout(self, now: Instant) -> (Self, ServerEffect) {
        let state = match self {
            Server::Completed { until, .. } if until <= now => Server::Terminated,
            state => state,
        };
        (state, ServerEffect::Nothing)
    }
}
