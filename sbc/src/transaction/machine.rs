//! The four machines behind two faces: a client's and a server's.

use std::mem;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;

use super::Failure;
use super::client::Client;
use super::invite_client::InviteClient;
use super::invite_server::InviteServer;
use super::server::Server;
use crate::sip::{Message, Method};

/// What an event at a client transaction makes the layer do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ClientEffect {
    Nothing,
    /// Send this (again).
    Send(Bytes),
    /// The response is for the user.
    Tell,
    /// Send the ACK; the response is for the user.
    AckAndTell(Bytes),
    /// The user will get no answer.
    Fail(Failure),
}

/// What an event at a server transaction makes the layer do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ServerEffect {
    Nothing,
    /// Send this (again).
    Send(Bytes),
    /// The ACK is for the user.
    PassAck,
    /// The user's answer did not arrive.
    Fail(Failure),
}

/// A client transaction.
#[derive(Debug)]
pub(super) enum ClientMachine {
    Invite(InviteClient),
    Other(Client),
}

/// A server transaction.
#[derive(Debug)]
pub(super) enum ServerMachine {
    Invite(InviteServer),
    Other(Server),
}

impl ClientMachine {
    pub(super) fn begin(now: Instant, request: Message, reliable: bool) -> Self {
        match request.method() {
            Method::Invite => ClientMachine::Invite(InviteClient::begin(now, request, reliable)),
            _ => ClientMachine::Other(Client::begin(now, request.bytes().clone(), reliable)),
        }
    }

    pub(super) fn handle_response(
        &mut self,
        now: Instant,
        response: &Message,
        reliable: bool,
    ) -> ClientEffect {
        match self {
            ClientMachine::Invite(state) => {
                step(state, |s| s.handle_response(now, response, reliable))
            }
            ClientMachine::Other(state) => {
                let code = response.code().unwrap_or(0);
                step(state, |s| s.handle_response(now, code, reliable))
            }
        }
    }

    pub(super) fn handle_cancel(&mut self, now: Instant) {
        if let ClientMachine::Invite(state) = self {
            *state = mem::take(state).handle_cancel(now);
        }
    }

    pub(super) fn handle_send_failure(&mut self) -> ClientEffect {
        match self {
            ClientMachine::Invite(state) => step(state, InviteClient::handle_send_failure),
            ClientMachine::Other(state) => step(state, Client::handle_send_failure),
        }
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        match self {
            ClientMachine::Invite(state) => state.timeout(),
            ClientMachine::Other(state) => state.timeout(),
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> ClientEffect {
        match self {
            ClientMachine::Invite(state) => step(state, |s| s.handle_timeout(now)),
            ClientMachine::Other(state) => step(state, |s| s.handle_timeout(now)),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(
            self,
            ClientMachine::Invite(InviteClient::Terminated)
                | ClientMachine::Other(Client::Terminated)
        )
    }
}

impl ServerMachine {
    pub(super) fn begin(now: Instant, request: &Message, source: SocketAddr) -> Self {
        match request.method() {
            Method::Invite => {
                ServerMachine::Invite(InviteServer::begin(now, request.clone(), source))
            }
            _ => ServerMachine::Other(Server::Trying),
        }
    }

    /// The request came again.
    pub(super) fn handle_request(&mut self) -> ServerEffect {
        match self {
            ServerMachine::Invite(state) => step(state, InviteServer::handle_request),
            ServerMachine::Other(state) => state.handle_request(),
        }
    }

    pub(super) fn handle_response(
        &mut self,
        now: Instant,
        code: u16,
        bytes: Bytes,
        reliable: bool,
    ) -> ServerEffect {
        match self {
            ServerMachine::Invite(state) => {
                step(state, |s| s.handle_response(now, code, bytes, reliable))
            }
            ServerMachine::Other(state) => {
                step(state, |s| s.handle_response(now, code, bytes, reliable))
            }
        }
    }

    pub(super) fn handle_ack(&mut self, now: Instant, reliable: bool) -> ServerEffect {
        match self {
            ServerMachine::Invite(state) => step(state, |s| s.handle_ack(now, reliable)),
            ServerMachine::Other(_) => ServerEffect::Nothing,
        }
    }

    /// Whether the user is to be told.
    pub(super) fn handle_cancel(&mut self) -> bool {
        match self {
            ServerMachine::Invite(state) => state.handle_cancel(),
            ServerMachine::Other(_) => false,
        }
    }

    /// An INVITE's last answer, as long as it may have to be repeated.
    pub(super) fn last(&self) -> Option<&Bytes> {
        match self {
            ServerMachine::Invite(state) => state.last(),
            ServerMachine::Other(_) => None,
        }
    }

    pub(super) fn handle_send_failure(&mut self) -> ServerEffect {
        match self {
            ServerMachine::Invite(state) => step(state, InviteServer::handle_send_failure),
            ServerMachine::Other(state) => step(state, Server::handle_send_failure),
        }
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        match self {
            ServerMachine::Invite(state) => state.timeout(),
            ServerMachine::Other(state) => state.timeout(),
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> ServerEffect {
        match self {
            ServerMachine::Invite(state) => step(state, |s| s.handle_timeout(now)),
            ServerMachine::Other(state) => step(state, |s| s.handle_timeout(now)),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(
            self,
            ServerMachine::Invite(InviteServer::Terminated)
                | ServerMachine::Other(Server::Terminated)
        )
    }
}

/// Replaces a state by the one that follows; what is left in between is Terminated.
fn step<S: Default, E>(state: &mut S, transition: impl FnOnce(S) -> (S, E)) -> E {
    let (next, effect) = transition(mem::take(state));
    *state = next;
    effect
}
