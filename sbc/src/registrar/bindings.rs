//! Where phones are: what a REGISTER binds, for how long, and what is left of it (RFC 3261 10.3).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::config::{NetworkId, PhoneId};
use crate::engine::Event;
use crate::sip::{Message, Name, NameAddr, Uri, reason_phrase, response_to};
use crate::transaction::{ConnectionId, Hop};

/// The shortest time that a phone may register for (423 below it).
pub const EXPIRES_MIN: u32 = 60;
/// The longest; who asks for more gets this.
pub const EXPIRES_MAX: u32 = 3600;
/// Contacts an account may have; the oldest gives way.
pub const MAX_CONTACTS: usize = 4;
/// Longer Contact URIs are refused.
const MAX_CONTACT: usize = 512;

/// A contact of a phone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Its URI as the phone gave it: the Request-URI of what is sent there.
    pub contact: String,
    /// Where its REGISTER came from: where it is sent, because a NAT lets nothing else in.
    pub hop: Hop,
    /// When it ends.
    pub expires: Instant,
    call_id: String,
    cseq: u32,
}

/// The bindings of all phones.
#[derive(Debug)]
pub struct Registrar {
    phones: BTreeMap<PhoneId, Vec<Binding>>,
    sources: BTreeMap<(NetworkId, SocketAddr), usize>,
    /// Who is reached through a connection: most that close are nobody's.
    connections: BTreeSet<(ConnectionId, PhoneId)>,
    total: usize,
    limit: usize,
    full: u64,
    /// No binding ends before this.
    next: Option<Instant>,
    events: VecDeque<Event>,
}

/// What a REGISTER asks for.
struct Wish<'a> {
    uri: &'a str,
    seconds: u32,
}

/// Why it does not get it.
enum Refusal {
    Code(u16),
    TooBrief,
}

impl Registrar {
    /// Nobody is registered; no more than `limit` contacts ever are.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Registrar {
            phones: BTreeMap::new(),
            sources: BTreeMap::new(),
            connections: BTreeSet::new(),
            total: 0,
            limit,
            full: 0,
            next: None,
            events: VecDeque::new(),
        }
    }

    /// Takes a REGISTER of a phone that is who it says; returns the answer.
    pub fn register(
        &mut self,
        now: Instant,
        phone: PhoneId,
        hop: Hop,
        request: &Message,
        to_tag: &str,
    ) -> Bytes {
        self.handle_timeout(now);
        let answer =
            |code| response_to(request, hop.remote, code, reason_phrase(code), Some(to_tag));
        match self.apply(now, phone, hop, request) {
            Ok(()) => {
                let mut writer = answer(200);
                for binding in self.bindings(phone) {
                    let left = binding.expires.saturating_duration_since(now);
                    writer = writer.header(
                        Name::Contact,
                        format_args!(
                            "<{}>;expires={}",
                            binding.contact,
                            // Rounded up: a phone that has just registered reads what it was granted.
                            left.as_millis().div_ceil(1000)
                        ),
                    );
                }
                writer.finish()
            }
            Err(Refusal::TooBrief) => answer(423).header(Name::MinExpires, EXPIRES_MIN).finish(),
            Err(Refusal::Code(code)) => answer(code).finish(),
        }
    }

    /// Where a phone can be reached, the latest first.
    pub fn bindings(&self, phone: PhoneId) -> impl Iterator<Item = &Binding> {
        self.phones.get(&phone).into_iter().flatten().rev()
    }

    /// Whether a registered phone is at this very source.
    #[must_use]
    pub fn knows(&self, hop: &Hop) -> bool {
        self.sources.contains_key(&(hop.network, hop.remote))
    }

    /// Contacts by the network that they registered from.
    #[must_use]
    pub fn count(&self) -> BTreeMap<NetworkId, u64> {
        let mut count = BTreeMap::new();
        for binding in self.phones.values().flatten() {
            *count.entry(binding.hop.network).or_default() += 1;
        }
        count
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

    /// When to look for bindings that have expired.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }

    /// Drops what has expired.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.next.is_some_and(|next| next <= now) {
            self.drop_where("expired", |binding| binding.expires <= now);
            self.next = self.phones.values().flatten().map(|b| b.expires).min();
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

    fn apply(
        &mut self,
        now: Instant,
        phone: PhoneId,
        hop: Hop,
        request: &Message,
    ) -> Result<(), Refusal> {
        let (call_id, cseq) = (request.call_id(), request.cseq().number);
        let default = request.header(Name::Expires).map_or(EXPIRES_MAX, seconds);
        let contacts: Vec<&str> = request
            .values(Name::Contact)
            .take(MAX_CONTACTS + 1)
            .collect();
        if contacts.iter().any(|contact| contact.trim() == "*") {
            if contacts.len() > 1 || default != 0 {
                return Err(Refusal::Code(400));
            }
            self.check_order(phone, None, call_id, cseq)?;
            self.drop_of(phone, "removed", |_| true);
            return Ok(());
        }
        if contacts.len() > MAX_CONTACTS {
            return Err(Refusal::Code(403));
        }
        let mut wishes = Vec::with_capacity(contacts.len());
        for contact in contacts {
            let wish = wish(contact, default)?;
            self.check_order(phone, Some(wish.uri), call_id, cseq)?;
            wishes.push(wish);
        }
        // All or nothing (RFC 3261 10.3, step 7): from here on nothing fails but for room.
        for wish in wishes {
            if wish.seconds == 0 {
                self.drop_of(phone, "removed", |binding| binding.contact == wish.uri);
            } else {
                self.bind(
                    phone,
                    Binding {
                        contact: wish.uri.to_owned(),
                        hop,
                        expires: now + Duration::from_secs(u64::from(wish.seconds)),
                        call_id: call_id.to_owned(),
                        cseq,
                    },
                    wish.seconds,
                )?;
            }
        }
        Ok(())
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
            uri.is_none_or(|uri| binding.contact == uri)
                && binding.call_id == call_id
                && cseq <= binding.cseq
        });
        if overtaken {
            return Err(Refusal::Code(500));
        }
        Ok(())
    }

    fn bind(&mut self, phone: PhoneId, new: Binding, seconds: u32) -> Result<(), Refusal> {
        let same = |old: &Binding| old.contact == new.contact;
        let known = self
            .phones
            .get(&phone)
            .is_some_and(|all| all.iter().any(|old| same(old) && old.hop == new.hop));
        let source = (new.hop.network, new.hop.remote);
        // The same contact, or the same socket with another contact: the phone was started anew.
        let quiet = known.then_some("");
        self.drop_of(phone, quiet.unwrap_or("replaced"), |old| {
            same(old) || (old.hop.network, old.hop.remote) == source
        });
        let count = self.phones.get(&phone).map_or(0, Vec::len);
        if count >= MAX_CONTACTS {
            let oldest = self
                .phones
                .get(&phone)
                .and_then(|all| all.first())
                .map(|oldest| oldest.contact.clone());
            self.drop_of(phone, "replaced", |old| {
                Some(&old.contact) == oldest.as_ref()
            });
        }
        if self.total >= self.limit {
            self.full += 1;
            return Err(Refusal::Code(503));
        }
        *self.sources.entry(source).or_default() += 1;
        let connection = new.hop.connection;
        self.connections.extend(connection.map(|id| (id, phone)));
        self.total += 1;
        self.next = Some(self.next.map_or(new.expires, |next| next.min(new.expires)));
        if !known {
            self.events.push_back(Event::Registered {
                phone,
                network: new.hop.network,
                source: new.hop.remote,
                expires: Duration::from_secs(u64::from(seconds)),
            });
        }
        self.phones.entry(phone).or_default().push(new);
        Ok(())
    }

    fn drop_where(&mut self, reason: &'static str, gone: impl Fn(&Binding) -> bool) {
        let touched: Vec<PhoneId> = self
            .phones
            .iter()
            .filter(|(_, all)| all.iter().any(&gone))
            .map(|(phone, _)| *phone)
            .collect();
        for phone in touched {
            self.drop_of(phone, reason, &gone);
        }
    }

    /// Drops bindings of a phone; says so unless the reason is empty.
    fn drop_of(&mut self, phone: PhoneId, reason: &'static str, gone: impl Fn(&Binding) -> bool) {
        let Some(all) = self.phones.get_mut(&phone) else {
            return;
        };
        for binding in all.extract_if(.., |binding| gone(binding)) {
            self.total -= 1;
            // It has no other one of his: each of a phone's bindings has a source of its own.
            if let Some(connection) = binding.hop.connection {
                self.connections.remove(&(connection, phone));
            }
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
        }
        if all.is_empty() {
            self.phones.remove(&phone);
        }
    }
}

/// What one Contact asks for.
fn wish(contact: &str, default: u32) -> Result<Wish<'_>, Refusal> {
    let address = NameAddr::parse(contact).map_err(|_| Refusal::Code(400))?;
    let uri = address.uri();
    let is_sip = Uri::parse(uri).is_ok_and(|parsed| {
        // A question mark wants brackets around the URI (RFC 3261 20.10): whose it is cannot be told otherwise.
        let is_clear = parsed.headers().is_none() || contact.contains('<');
        parsed.scheme().eq_ignore_ascii_case("sip") && is_clear
    });
    if !is_sip || uri.len() > MAX_CONTACT {
        return Err(Refusal::Code(400));
    }
    let asked = match address.param("expires") {
        Some(Some(text)) => seconds(text),
        _ => default,
    };
    match asked {
        0 => Ok(Wish { uri, seconds: 0 }),
        1..EXPIRES_MIN => Err(Refusal::TooBrief),
        _ => Ok(Wish {
            uri,
            seconds: asked.min(EXPIRES_MAX),
        }),
    }
}

/// What cannot be read counts as the default (RFC 3261 10.2.1.1).
fn seconds(text: &str) -> u32 {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse().unwrap_or(u32::MAX)
    } else {
        EXPIRES_MAX
    }
}
