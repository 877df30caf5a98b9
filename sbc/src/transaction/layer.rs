//! The table of transactions.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use bytes::Bytes;

use super::key::{ClientKey, ServerKey};
use super::large::over_tcp;
use super::machine::{ClientEffect, ClientMachine, ServerEffect, ServerMachine};
use super::timers::{Owner, Queue};
use super::{Action, ClientId, Full, Hop, Input, Limits, Room, ServerId};
use crate::sip::{self, Message, Method, Transport, reason_phrase, response_to};

/// All transactions of the box, client and server. In trees: with so much coming and going a hash table fills up with the places
/// of what was deleted, and doubles. Boxed: names count up, and a tree whose last leaf is always the one that splits is half empty.
#[derive(Debug)]
pub struct Layer {
    limits: Limits,
    clients: BTreeMap<ClientId, Box<ClientEntry>>,
    client_ids: BTreeMap<ClientKey, ClientId>,
    servers: BTreeMap<ServerId, Box<ServerEntry>>,
    server_ids: BTreeMap<ServerKey, ServerId>,
    queue: Queue,
    actions: VecDeque<Action>,
    next: u64,
}

#[derive(Debug)]
struct ClientEntry {
    key: ClientKey,
    hop: Hop,
    machine: ClientMachine,
    wake: Option<Instant>,
    /// What goes out instead if this cannot be sent.
    instead: Option<Box<(Hop, Message)>>,
}

#[derive(Debug)]
struct ServerEntry {
    key: ServerKey,
    /// Where answers go.
    hop: Hop,
    machine: ServerMachine,
    wake: Option<Instant>,
}

impl Layer {
    /// An empty one.
    #[must_use]
    pub fn new(limits: Limits) -> Layer {
        Layer {
            limits,
            clients: BTreeMap::new(),
            client_ids: BTreeMap::new(),
            servers: BTreeMap::new(),
            server_ids: BTreeMap::new(),
            queue: Queue::default(),
            actions: VecDeque::new(),
            next: 0,
        }
    }

    /// Takes what came from the wire, or did not reach it.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        self.handle_input_in(now, input, Room::Usual);
    }

    /// As [`Layer::handle_input`], for a request that may use so much of the table.
    pub fn handle_input_in(&mut self, now: Instant, input: Input, room: Room) {
        match input {
            Input::Message { hop, message } if !message.is_request() => {
                self.handle_response(now, hop, message);
            }
            Input::Message { hop, message } => match message.method() {
                Method::Ack => self.handle_ack(now, hop, message),
                Method::Cancel => self.handle_cancel(hop, message),
                _ => self.handle_request(now, hop, message, room),
            },
            Input::SendFailed { hop, bytes } => self.handle_send_failure(now, hop, bytes),
        }
    }

    /// Sends a request of ours: complete, with our Via and a branch that no other has. An ACK is no transaction: send it as it
    /// is. A CANCEL has the branch of what it cancels.
    ///
    /// # Errors
    /// [`Full`]: nothing was sent.
    pub fn request(&mut self, now: Instant, hop: Hop, message: Message) -> Result<ClientId, Full> {
        self.request_in(now, hop, message, Room::Usual)
    }

    /// As [`Layer::request`], for one that may use so much of the table.
    ///
    /// # Errors
    /// [`Full`]: nothing was sent.
    pub fn request_in(
        &mut self,
        now: Instant,
        hop: Hop,
        message: Message,
        room: Room,
    ) -> Result<ClientId, Full> {
        self.begin(now, (hop, message), None, room)
    }

    /// The same with a request that is too large for a datagram: `tcp` is tried first; if it cannot be sent there `udp` goes out, with
    /// the same branch (RFC 3261 18.1.1), and [`Action::FellBack`] says so.
    ///
    /// # Errors
    /// [`Full`]: nothing was sent.
    pub fn request_large(
        &mut self,
        now: Instant,
        tcp: (Hop, Message),
        udp: (Hop, Message),
        room: Room,
    ) -> Result<ClientId, Full> {
        self.begin(now, tcp, Some(Box::new(udp)), room)
    }

    fn begin(
        &mut self,
        now: Instant,
        (mut hop, mut message): (Hop, Message),
        instead: Option<Box<(Hop, Message)>>,
        room: Room,
    ) -> Result<ClientId, Full> {
        if self.clients.len() >= room.of(self.limits.client) {
            return Err(Full);
        }
        if message.method() == Method::Cancel {
            // It takes the way of what it cancels (RFC 3261 9.1), which may have been too large for its own.
            if let Some(taken) = self.cancel_client(now, hop, &message)
                && taken.transport == Transport::Tcp
                && hop.transport == Transport::Udp
                && let Some(same) = over_tcp(&message, hop.local, taken.local)
            {
                (hop, message) = (taken, same);
            }
        }
        self.next += 1;
        let id = ClientId(self.next);
        let key = ClientKey::of(hop.network, &message);
        let bytes = message.bytes().clone();
        let reliable = hop.transport.is_reliable();
        let machine = ClientMachine::begin(now, message, reliable);
        let wake = machine.timeout();
        self.queue.set(Owner::Client(id), None, wake);
        self.client_ids.insert(key.clone(), id);
        self.clients.insert(
            id,
            Box::new(ClientEntry {
                key,
                hop,
                machine,
                wake,
                instead,
            }),
        );
        self.send(hop, bytes);
        Ok(id)
    }

    /// Answers a request: any number of provisional answers, then a final one, and, for an INVITE, its 2xx as often as the
    /// dialog repeats it. What comes too late is dropped.
    pub fn respond(&mut self, now: Instant, id: ServerId, message: Message) {
        let Some(entry) = self.servers.get_mut(&id) else {
            return;
        };
        let Some(code) = message.code() else {
            return;
        };
        let bytes = message.bytes().clone();
        let reliable = entry.hop.transport.is_reliable();
        let effect = entry.machine.handle_response(now, code, bytes, reliable);
        self.perform_server(id, effect, None);
    }

    /// The next thing to do; in order, until there is none.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Layer::handle_timeout`] wants to be called; `None` if there is nothing to wait for.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.queue.first()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(owner) = self.queue.due(now) {
            match owner {
                Owner::Client(id) => {
                    let Some(entry) = self.clients.get_mut(&id) else {
                        return;
                    };
                    let effect = entry.machine.handle_timeout(now);
                    self.perform_client(id, effect, None);
                }
                Owner::Server(id) => {
                    let Some(entry) = self.servers.get_mut(&id) else {
                        return;
                    };
                    let effect = entry.machine.handle_timeout(now);
                    self.perform_server(id, effect, None);
                }
            }
        }
    }

    /// Whether the next request that comes in is one too many, unless it is of an emergency call.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.servers.len() >= self.limits.server
    }

    /// How many transactions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.clients.len() + self.servers.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether no table holds anything: an index that outlives its transaction is a leak.
    #[cfg(test)]
    pub(super) fn holds_nothing(&self) -> bool {
        self.is_empty()
            && self.client_ids.is_empty()
            && self.server_ids.is_empty()
            && self.queue.first().is_none()
            && self.actions.is_empty()
    }

    fn handle_response(&mut self, now: Instant, hop: Hop, message: Message) {
        let key = ClientKey::of(hop.network, &message);
        let found = self.client_ids.get(&key).copied();
        let Some((id, entry)) = found.and_then(|id| Some((id, self.clients.get_mut(&id)?))) else {
            self.actions.push_back(Action::Stray { hop, message });
            return;
        };
        let reliable = entry.hop.transport.is_reliable();
        // It has arrived.
        entry.instead = None;
        let effect = entry.machine.handle_response(now, &message, reliable);
        self.perform_client(id, effect, Some((hop, message)));
    }

    /// Whether this is a copy of a request that is served or was served a moment ago, or the CANCEL of one.
    #[must_use]
    pub fn is_copy(&self, hop: &Hop, request: &Message) -> bool {
        let method = match request.method() {
            Method::Cancel => Method::Invite,
            method => method,
        };
        let key = ServerKey::of(hop.network, request, method);
        self.server_ids.contains_key(&key)
    }

    fn handle_request(&mut self, now: Instant, hop: Hop, message: Message, room: Room) {
        let method = message.method();
        let key = ServerKey::of(hop.network, &message, method);
        if let Some(&id) = self.server_ids.get(&key) {
            let Some(entry) = self.servers.get_mut(&id) else {
                return;
            };
            let effect = entry.machine.handle_request();
            self.perform_server(id, effect, None);
            return;
        }
        let reply = hop.reply_to(&message);
        if self.servers.len() >= room.of(self.limits.server) {
            let refusal = refuse(&message, hop, 503);
            self.send(reply, refusal);
            self.actions.push_back(Action::Full { hop, message });
            return;
        }
        self.next += 1;
        let id = ServerId(self.next);
        let machine = ServerMachine::begin(now, &message, hop.remote);
        let wake = machine.timeout();
        self.queue.set(Owner::Server(id), None, wake);
        self.server_ids.insert(key.clone(), id);
        self.servers.insert(
            id,
            Box::new(ServerEntry {
                key,
                hop: reply,
                machine,
                wake,
            }),
        );
        self.actions.push_back(Action::Request { id, hop, message });
    }

    fn handle_ack(&mut self, now: Instant, hop: Hop, message: Message) {
        let found = self.invite_of(hop, &message);
        let Some((id, entry)) = found.and_then(|id| Some((id, self.servers.get_mut(&id)?))) else {
            self.actions.push_back(Action::Ack { hop, message });
            return;
        };
        let reliable = entry.hop.transport.is_reliable();
        let effect = entry.machine.handle_ack(now, reliable);
        self.perform_server(id, effect, Some((hop, message)));
    }

    /// CANCEL (RFC 3261 9.2) needs no transaction of its own: its answer depends on nothing that a repetition would find
    /// changed, and what it does to the INVITE it does once.
    fn handle_cancel(&mut self, hop: Hop, message: Message) {
        let reply = hop.reply_to(&message);
        let found = self.invite_of(hop, &message);
        let Some((id, entry)) = found.and_then(|id| Some((id, self.servers.get_mut(&id)?))) else {
            let answer = refuse(&message, hop, 481);
            self.send(reply, answer);
            return;
        };
        let tell = entry.machine.handle_cancel();
        // The tag that the INVITE's answers have, once there is one (9.2).
        let last = entry.machine.last().cloned();
        let last = last.and_then(|bytes| Message::parse(bytes, &sip::Limits::default()).ok());
        let tag = last.as_ref().and_then(|m| m.to().tag());
        let tag = tag.map_or_else(|| stateless_tag(&message), str::to_owned);
        let answer = response_to(&message, hop.remote, 200, "OK", Some(&tag)).finish();
        self.send(reply, answer);
        if tell {
            self.actions.push_back(Action::Cancel {
                invite: id,
                message,
            });
        }
    }

    /// The INVITE that an ACK or a CANCEL belongs to.
    fn invite_of(&self, hop: Hop, message: &Message) -> Option<ServerId> {
        let key = ServerKey::of(hop.network, message, Method::Invite);
        self.server_ids.get(&key).copied()
    }

    /// A CANCEL of ours goes out: its INVITE does not wait for ever.
    /// Gives the way that the INVITE took.
    fn cancel_client(&mut self, now: Instant, hop: Hop, message: &Message) -> Option<Hop> {
        let key = ClientKey::with_method(hop.network, message, Method::Invite);
        let found = self.client_ids.get(&key).copied();
        let (id, entry) = found.and_then(|id| Some((id, self.clients.get_mut(&id)?)))?;
        entry.machine.handle_cancel(now);
        let taken = entry.hop;
        self.perform_client(id, ClientEffect::Nothing, None);
        Some(taken)
    }

    /// Finds by the message that was not sent whose it was (RFC 3261 18.4, 17.1.4, 17.2.4).
    fn handle_send_failure(&mut self, now: Instant, hop: Hop, bytes: Bytes) {
        let Ok(message) = Message::parse(bytes, &sip::Limits::default()) else {
            return;
        };
        if message.is_request() {
            let method = match message.method() {
                Method::Ack => Method::Invite,
                method => method,
            };
            let key = ClientKey::with_method(hop.network, &message, method);
            let found = self.client_ids.get(&key).copied();
            if let Some((id, entry)) = found.and_then(|id| Some((id, self.clients.get_mut(&id)?))) {
                if let Some(udp) = entry.instead.take() {
                    let (hop, message) = *udp;
                    let tcp = std::mem::replace(&mut entry.hop, hop);
                    let bytes = message.bytes().clone();
                    entry.machine = ClientMachine::begin(now, message, hop.transport.is_reliable());
                    self.perform_client(id, ClientEffect::Send(bytes), None);
                    self.actions.push_back(Action::FellBack { hop: tcp });
                    return;
                }
                let effect = entry.machine.handle_send_failure();
                self.perform_client(id, effect, None);
            }
        } else {
            // Found only by a unique branch: of an older one a response does not say enough.
            let key = ServerKey::of(hop.network, &message, message.method());
            let found = self.server_ids.get(&key).copied();
            if let Some((id, entry)) = found.and_then(|id| Some((id, self.servers.get_mut(&id)?))) {
                let effect = entry.machine.handle_send_failure();
                self.perform_server(id, effect, None);
            }
        }
    }

    /// Does what a client transaction's event asks for, and wakes it when it wants to be woken next.
    fn perform_client(
        &mut self,
        id: ClientId,
        effect: ClientEffect,
        response: Option<(Hop, Message)>,
    ) {
        let Some(entry) = self.clients.get_mut(&id) else {
            return;
        };
        let hop = entry.hop;
        let wake = entry.machine.timeout();
        self.queue.set(Owner::Client(id), entry.wake, wake);
        entry.wake = wake;
        if entry.machine.is_over() {
            // A request with the same branch may have taken the name over.
            if self.client_ids.get(&entry.key) == Some(&id) {
                self.client_ids.remove(&entry.key);
            }
            self.clients.remove(&id);
        }
        let tell = match effect {
            ClientEffect::Nothing => false,
            ClientEffect::Send(bytes) => {
                self.send(hop, bytes);
                false
            }
            ClientEffect::Tell => true,
            ClientEffect::AckAndTell(ack) => {
                self.send(hop, ack);
                true
            }
            ClientEffect::Fail(failure) => {
                self.actions.push_back(Action::Failed { id, failure });
                false
            }
        };
        if let Some((hop, message)) = response.filter(|_| tell) {
            self.actions
                .push_back(Action::Response { id, hop, message });
        }
    }

    /// Does what a server transaction's event asks for, and wakes it when it wants to be woken next.
    fn perform_server(&mut self, id: ServerId, effect: ServerEffect, ack: Option<(Hop, Message)>) {
        let Some(entry) = self.servers.get_mut(&id) else {
            return;
        };
        let hop = entry.hop;
        let wake = entry.machine.timeout();
        self.queue.set(Owner::Server(id), entry.wake, wake);
        entry.wake = wake;
        if entry.machine.is_over() {
            self.server_ids.remove(&entry.key);
            self.servers.remove(&id);
        }
        match effect {
            ServerEffect::Nothing => {}
            ServerEffect::Send(bytes) => self.send(hop, bytes),
            ServerEffect::PassAck => {
                if let Some((hop, message)) = ack {
                    self.actions.push_back(Action::Ack { hop, message });
                }
            }
            ServerEffect::Fail(failure) => {
                self.actions.push_back(Action::ServerFailed { id, failure });
            }
        }
    }

    fn send(&mut self, hop: Hop, bytes: Bytes) {
        self.actions.push_back(Action::Send { hop, bytes });
    }
}

/// An answer that leaves nothing behind (RFC 3261 8.2.7).
fn refuse(request: &Message, hop: Hop, code: u16) -> Bytes {
    let tag = stateless_tag(request);
    response_to(request, hop.remote, code, reason_phrase(code), Some(&tag)).finish()
}

/// The same tag each time the same request comes (RFC 3261 8.2.7): FNV-1a over what tells requests apart.
fn stateless_tag(request: &Message) -> String {
    let via = request.via();
    let parts = [
        request.call_id(),
        via.branch().unwrap_or(""),
        request.from().tag().unwrap_or(""),
    ];
    let bytes = parts.into_iter().flat_map(str::bytes);
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}
