//! Where phones are: what a REGISTER binds, for how long, and what is left of it (RFC 3261 10.3).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::asked::{Asked, Device, EXPIRES_MIN, Refusal};
use crate::config::{NetworkId, PhoneId};
use crate::engine::{Census, Event};
use crate::sip::{Message, Name, reason_phrase, response_to};
use crate::transaction::{ConnectionId, Hop};

/// How often a phone that keeps its TCP connection open is to show that it is there, in seconds (RFC 5626 4.4.1).
const FLOW_TIMER: u32 = 120;

/// A contact of a phone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Its URI as the phone gave it: the Request-URI of what is sent there.
    pub contact: Box<str>,
    /// Where its REGISTER came from: where it is sent, because a NAT lets nothing else in.
    pub hop: Hop,
    /// The proxies between, as they want to be named in Route (RFC 3327).
    pub path: Option<Box<str>>,
    /// Which device it is, if it says so.
    pub device: Option<Box<Device>>,
    /// When it ends.
    pub expires: Instant,
    pub(super) call_id: Box<str>,
    pub(super) cseq: u32,
}

/// The contacts of one phone, the oldest first; never empty.
#[derive(Debug)]
struct Account {
    bindings: Vec<Binding>,
    /// When they are looked at; none ends before. A refresh leaves it as it is.
    wake: Instant,
}

/// The bindings of all phones.
#[derive(Debug)]
pub struct Registrar {
    phones: BTreeMap<PhoneId, Account>,
    /// When each account is looked at.
    queue: BTreeSet<(Instant, PhoneId)>,
    sources: BTreeMap<(NetworkId, SocketAddr), usize>,
    /// Who is reached through a connection: most that close are nobody's.
    connections: BTreeSet<(ConnectionId, PhoneId)>,
    /// Whose bindings are not as they were when they were last asked for.
    changed: BTreeSet<PhoneId>,
    total: usize,
    /// By the network that they registered from.
    census: Census<NetworkId>,
    limit: usize,
    full: u64,
    events: VecDeque<Event>,
}

impl Registrar {
    /// Nobody is registered; no more than `limit` contacts ever are.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Registrar {
            phones: BTreeMap::new(),
            queue: BTreeSet::new(),
            sources: BTreeMap::new(),
            connections: BTreeSet::new(),
            changed: BTreeSet::new(),
            total: 0,
            census: Census::default(),
            limit,
            full: 0,
            events: VecDeque::new(),
        }
    }

    /// Takes a REGISTER of a phone that is who it says and may have `most` contacts; returns the answer.
    pub fn register(
        &mut self,
        now: Instant,
        (phone, most): (PhoneId, u8),
        hop: Hop,
        request: &Message,
        to_tag: &str,
    ) -> Bytes {
        self.handle_timeout(now);
        let answer =
            |code| response_to(request, hop.remote, code, reason_phrase(code), Some(to_tag));
        let asked = match Asked::read(request, usize::from(most))
            .and_then(|asked| self.apply(now, (phone, most), hop, request, asked))
        {
            Ok(asked) => asked,
            Err(Refusal::TooBrief) => {
                return answer(423).header(Name::MinExpires, EXPIRES_MIN).finish();
            }
            Err(Refusal::Code(code)) => return answer(code).finish(),
        };
        let mut writer = answer(200);
        for binding in self.bindings(phone) {
            // Rounded up: a phone that has just registered reads what it was granted.
            let left = binding.expires.saturating_duration_since(now);
            let left = left.as_millis().div_ceil(1000);
            let contact = &binding.contact;
            writer = match binding.device.as_deref() {
                Some(Device { instance, reg_id }) => {
                    let reg_id = reg_id.map_or_else(String::new, |id| format!(";reg-id={id}"));
                    let value =
                        format_args!("<{contact}>;+sip.instance={instance}{reg_id};expires={left}");
                    writer.header(Name::Contact, value)
                }
                None => writer.header(Name::Contact, format_args!("<{contact}>;expires={left}")),
            };
        }
        if let Some(path) = &asked.path {
            writer = writer.header(Name::Path, path);
        }
        if asked.is_outbound() {
            writer = writer.header(Name::Require, "outbound");
            // Over UDP it would ask us by STUN.
            if hop.transport.is_reliable() {
                writer = writer.header_named("Flow-Timer", FLOW_TIMER);
            }
        }
        writer.finish()
    }

    /// Where a phone can be reached, the latest first.
    pub fn bindings(&self, phone: PhoneId) -> impl Iterator<Item = &Binding> {
        let account = self.phones.get(&phone);
        account
            .into_iter()
            .flat_map(|account| account.bindings.iter().rev())
    }

    /// As [`Registrar::bindings`], each device once: over the flow that it registered last (RFC 5626 6).
    pub fn reachable(&self, phone: PhoneId) -> impl Iterator<Item = &Binding> {
        let device = |binding: &Binding| binding.device.as_ref().map(|d| d.instance.clone());
        self.bindings(phone)
            .enumerate()
            .filter(move |(index, binding)| {
                let later = self.bindings(phone).take(*index);
                device(binding)
                    .is_none_or(|this| !later.filter_map(device).any(|instance| instance == this))
            })
            .map(|(_, binding)| binding)
    }

    /// Whether a registered phone is at this very source.
    #[must_use]
    pub fn knows(&self, hop: &Hop) -> bool {
        self.sources.contains_key(&(hop.network, hop.remote))
    }

    /// Whether this phone has registered from that address, at whatever port.
    #[must_use]
    pub fn is_at(&self, phone: PhoneId, network: NetworkId, source: IpAddr) -> bool {
        let source = source.to_canonical();
        self.bindings(phone).any(|binding| {
            binding.hop.network == network && binding.hop.remote.ip().to_canonical() == source
        })
    }

    /// Contacts by the network that they registered from.
    #[must_use]
    pub fn count(&self) -> BTreeMap<NetworkId, u64> {
        self.census.counts().clone()
    }

    /// How often there was no room for another contact.
    #[must_use]
    pub fn full(&self) -> u64 {
        self.full
    }

    /// What has changed, for the log.
    pub fn poll_action(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Whose bindings have changed since they were last told here, a refresh included: [`Registrar::saved`] has what they are now.
    pub fn poll_changed(&mut self) -> Option<PhoneId> {
        self.changed.pop_first()
    }

    /// When to look for bindings that have expired.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Drops what has expired.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(at, phone)) = self.queue.first()
            && at <= now
        {
            self.drop_of(phone, "expired", |binding| binding.expires <= now);
            if let Some(account) = self.phones.get_mut(&phone) {
                let next = account.bindings.iter().map(|b| b.expires).min();
                // They are later than now, or they would be gone.
                let next = next.unwrap_or(at);
                self.queue.remove(&(at, phone));
                self.queue.insert((next, phone));
                account.wake = next;
            }
        }
    }

    /// A connection is gone: what was reached through it is not any more, until the phone is back.
    pub fn connection_closed(&mut self, connection: ConnectionId) {
        let (first, last) = (PhoneId(0), PhoneId(u16::MAX));
        let through = self
            .connections
            .range((connection, first)..=(connection, last));
        let phones: Vec<PhoneId> = through.map(|(_, phone)| *phone).collect();
        for phone in phones {
            self.drop_of(phone, "connection-closed", |binding| {
                binding.hop.connection == Some(connection)
            });
        }
    }

    /// Drops whatever a phone has.
    pub fn forget(&mut self, phone: PhoneId, reason: &'static str) {
        self.drop_of(phone, reason, |_| true);
    }

    fn apply<'a>(
        &mut self,
        now: Instant,
        (phone, most): (PhoneId, u8),
        hop: Hop,
        request: &Message,
        asked: Asked<'a>,
    ) -> Result<Asked<'a>, Refusal> {
        let (call_id, cseq) = (request.call_id(), request.cseq().number);
        if asked.removes_all()? {
            self.check_order(phone, None, call_id, cseq)?;
            self.drop_of(phone, "removed", |_| true);
            return Ok(asked);
        }
        if asked.contacts.len() > usize::from(most) {
            return Err(Refusal::Code(403));
        }
        let mut wishes = Vec::with_capacity(asked.contacts.len());
        for contact in &asked.contacts {
            let wish = asked.wish(contact)?;
            self.check_order(phone, Some(wish.uri), call_id, cseq)?;
            wishes.push(wish);
        }
        // All or nothing (RFC 3261 10.3, step 7): from here on nothing fails but for room.
        for wish in wishes {
            if wish.seconds == 0 {
                self.drop_of(phone, "removed", |binding| *binding.contact == *wish.uri);
                continue;
            }
            let binding = Binding {
                contact: wish.uri.into(),
                hop,
                path: asked.path.clone(),
                device: wish.device.map(Box::new),
                expires: now + Duration::from_secs(u64::from(wish.seconds)),
                call_id: call_id.into(),
                cseq,
            };
            self.bind(phone, most, binding, wish.seconds)?;
        }
        Ok(asked)
    }

    /// A REGISTER that was overtaken by a later one of the same phone changes nothing (RFC 3261 10.3, steps 6 and 7).
    fn check_order(
        &self,
        phone: PhoneId,
        uri: Option<&str>,
        call_id: &str,
        cseq: u32,
    ) -> Result<(), Refusal> {
        let overtaken = self.bindings(phone).any(|binding| {
            uri.is_none_or(|uri| *binding.contact == *uri)
                && *binding.call_id == *call_id
                && cseq <= binding.cseq
        });
        if overtaken {
            return Err(Refusal::Code(500));
        }
        Ok(())
    }

    /// Binds, in the place of what is the same, and if need be of the oldest.
    pub(super) fn bind(
        &mut self,
        phone: PhoneId,
        most: u8,
        new: Binding,
        seconds: u32,
    ) -> Result<(), Refusal> {
        let Some(new) = self.refresh(phone, new) else {
            return Ok(());
        };
        let is_same = |old: &Binding| replaces(&new, old);
        self.drop_of(phone, "replaced", is_same);
        // After a reload it may have more than it may now.
        let count = self.bindings(phone).count();
        let room = usize::from(most).saturating_sub(1);
        for _ in room..count.max(room) {
            let account = self.phones.get(&phone);
            let oldest = account
                .and_then(|account| account.bindings.first())
                .cloned();
            self.drop_of(phone, "replaced", |old| Some(old) == oldest.as_ref());
        }
        if self.total >= self.limit {
            self.full += 1;
            return Err(Refusal::Code(503));
        }
        let source = (new.hop.network, new.hop.remote);
        *self.sources.entry(source).or_default() += 1;
        let connection = new.hop.connection;
        self.connections.extend(connection.map(|id| (id, phone)));
        self.changed.insert(phone);
        self.total += 1;
        self.census.add(new.hop.network);
        self.events.push_back(Event::Registered {
            phone,
            network: new.hop.network,
            source: new.hop.remote,
            expires: Duration::from_secs(u64::from(seconds)),
        });
        let queue = &mut self.queue;
        let account = self.phones.entry(phone).or_insert_with(|| {
            queue.insert((new.expires, phone));
            Account {
                bindings: Vec::new(),
                wake: new.expires,
            }
        });
        wake_by(queue, phone, account, new.expires);
        // Nearly all phones have one.
        account.bindings.reserve_exact(1);
        account.bindings.push(new);
        Ok(())
    }

    /// The same contact from the same place, which is what nearly all REGISTERs are: no news, and nothing moves. Gives back what is no such.
    fn refresh(&mut self, phone: PhoneId, new: Binding) -> Option<Binding> {
        let Some(account) = self.phones.get_mut(&phone) else {
            return Some(new);
        };
        let is_it = |old: &Binding| {
            old.contact == new.contact && old.hop == new.hop && old.device == new.device
        };
        let mut same = account.bindings.iter().enumerate();
        let mut same = same.by_ref().filter(|(_, old)| replaces(&new, old));
        let (Some((at, old)), None) = (same.next(), same.next()) else {
            return Some(new);
        };
        if !is_it(old) {
            return Some(new);
        }
        wake_by(&mut self.queue, phone, account, new.expires);
        account.bindings.remove(at);
        account.bindings.push(new);
        self.changed.insert(phone);
        None
    }

    /// Drops bindings of a phone; says so unless the reason is empty.
    fn drop_of(&mut self, phone: PhoneId, reason: &'static str, gone: impl Fn(&Binding) -> bool) {
        let Some(account) = self.phones.get_mut(&phone) else {
            return;
        };
        for binding in account.bindings.extract_if(.., |binding| gone(binding)) {
            self.total -= 1;
            self.census.take(binding.hop.network);
            self.changed.insert(phone);
            let source = (binding.hop.network, binding.hop.remote);
            if let Some(count) = self.sources.get_mut(&source) {
                *count -= 1;
                if *count == 0 {
                    self.sources.remove(&source);
                }
            }
            if !reason.is_empty() {
                self.events.push_back(Event::Unregistered {
                    phone,
                    network: binding.hop.network,
                    source: binding.hop.remote,
                    reason,
                });
            }
            if let Some(connection) = binding.hop.connection {
                self.connections.remove(&(connection, phone));
            }
        }
        // Behind a proxy several of his may have one connection.
        let left = account.bindings.iter().filter_map(|b| b.hop.connection);
        self.connections.extend(left.map(|id| (id, phone)));
        if account.bindings.is_empty() {
            self.queue.remove(&(account.wake, phone));
            self.phones.remove(&phone);
        }
    }
}

/// An account is looked at by then.
fn wake_by(
    queue: &mut BTreeSet<(Instant, PhoneId)>,
    phone: PhoneId,
    account: &mut Account,
    at: Instant,
) {
    if at < account.wake {
        queue.remove(&(account.wake, phone));
        queue.insert((at, phone));
        account.wake = at;
    }
}

/// Whether a new binding of a phone takes the place of an old one.
fn replaces(new: &Binding, old: &Binding) -> bool {
    let source = |binding: &Binding| (binding.hop.network, binding.hop.remote);
    // One socket is one device, whatever it says; a proxy's is many.
    let is_socket = source(new) == source(old) && new.path.is_none() && old.path.is_none();
    match (&new.device, &old.device) {
        (Some(one), Some(other)) if one.instance == other.instance => {
            let is_one_request = new.call_id == old.call_id && new.cseq == old.cseq;
            match (one.reg_id, other.reg_id) {
                (Some(one), Some(other)) => one == other,
                // Several contacts of a device that does not tell its flows apart.
                _ if is_one_request => new.contact == old.contact,
                _ => true,
            }
        }
        // Two devices may have one private address behind two NATs.
        (Some(_), Some(_)) => is_socket,
        _ => new.contact == old.contact || is_socket,
    }
}
