//! Where a 3xx may lead (RFC 3261 8.1.3.4): only where the config lets whoever sent it lead a call.
//!
//! A trunk may name another place among the sources that it is recognised by. A trunk or a phone may name a number at one of our own
//! addresses: it goes where the routes let that trunk or phone call. Anything else is a failure to the caller.

use std::net::IpAddr;
use std::time::Instant;

use smallvec::SmallVec;

use super::asking::Next;
use super::context::Context;
use super::failure::Failure;
use super::legs::{Attempt, Branch};
use super::machine::{Call, State};
use super::plan::{Round, Turn, turns};
use super::replaces::unescaped;
use crate::engine::Tried;
use crate::routing::{Caller, Destination, route};
use crate::sip::{Message, Name, NameAddr, Transport, Uri};

/// How many 3xx of a call are followed (RFC 3261 8.1.3.4 wants a bound).
const MAX_REDIRECTS: u8 = 5;

/// How many Contacts of a 3xx are looked at.
const MAX_CONTACTS: usize = 8;

/// The port of SIP where a URI names none.
const SIP_PORT: u16 = 5060;

impl Call {
    /// A B leg says where to ask instead.
    pub(super) fn on_redirected(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        index: usize,
        answer: &Message,
    ) {
        let Some(branch) = self.branches.get(index) else {
            return;
        };
        let leg = branch.leg;
        let mut failure = Failure::answer(leg, answer);
        let is_open =
            branch.is_ringing() && matches!(self.state, State::Ringing(_)) && !self.is_taken();
        let mut rounds = match is_open {
            true => permitted(cx, branch, answer),
            false => SmallVec::new(),
        };
        if rounds.is_empty() {
            failure.reason += ": to nowhere that the config permits";
        } else if self.redirects == MAX_REDIRECTS {
            failure.reason += ": redirected too often";
            rounds.clear();
        }
        if rounds.is_empty() {
            return self.on_branch_failed(now, cx, leg, failure);
        }
        self.redirects += 1;
        self.note_tried(index, Tried::Redirected);
        if let Some(branch) = self.branches.get_mut(index) {
            branch.attempt = Attempt::Done;
        }
        self.media.end_leg(now, cx.ports, leg);
        self.order_flows();
        self.forget_early(leg);
        self.note(failure);
        // The first at once, the others when it came to nothing.
        let mut rounds = rounds.into_iter();
        let asked = rounds.find(|round| self.ask_all(now, cx, round)).is_some();
        if let State::Ringing(plan) = &mut self.state {
            plan.redirect(now, rounds);
        }
        if self.branches.iter().any(Branch::is_ringing) {
            self.hear_another(now, cx);
        } else if !asked {
            self.ask_next(now, cx);
        }
    }
}

/// What of a 3xx may be asked, the most wanted first.
fn permitted(cx: &mut Context<'_>, branch: &Branch, answer: &Message) -> SmallVec<[Round; 2]> {
    let contacts = answer.values(Name::Contact).take(MAX_CONTACTS);
    let mut contacts: SmallVec<[(u16, &str); 2]> = contacts
        .filter_map(|contact| Some((wanted(contact), NameAddr::parse(contact).ok()?.uri())))
        .collect();
    contacts.sort_by_key(|(wanted, _)| std::cmp::Reverse(*wanted));
    let mut rounds: SmallVec<[Round; 2]> = SmallVec::new();
    for (_, uri) in contacts {
        let Ok(uri) = Uri::parse(uri) else {
            continue;
        };
        let Some((number, ip)) = uri.user().zip(uri.host_ip()) else {
            continue;
        };
        if !uri.scheme().eq_ignore_ascii_case("sip") {
            continue;
        }
        let network = branch.side.hop.network;
        if cx.config.network(network).is_ours(ip) {
            rounds.extend(dialled(cx, branch, number));
        } else {
            rounds.extend(elsewhere(cx, branch, &uri, number, ip));
        }
        if rounds.len() >= MAX_CONTACTS {
            break;
        }
    }
    rounds
}

/// A number of our own: as if whoever names it had dialled it. A rejection at the end of that is no reason to end the whole call.
fn dialled(cx: &mut Context<'_>, branch: &Branch, number: &str) -> SmallVec<[Round; 2]> {
    let caller = match branch.destination {
        Some(Destination::Trunk(id)) => Caller::Trunk(id),
        Some(Destination::Phone(id)) => Caller::Phone(id),
        None => return SmallVec::new(),
    };
    let from = branch
        .phone
        .map_or("", |id| cx.config.phone(id).name.as_str());
    let circumstances = cx.wall.circumstances(branch.side.hop.network, from);
    let Ok(decision) = route(cx.config, caller, &unescaped(number), circumstances) else {
        return SmallVec::new();
    };
    let turns = turns(cx.config, &decision, Some(number)).into_iter();
    turns
        .map_while(|turn| match turn {
            Turn::Ring(round) => Some(round),
            Turn::Reject(_) => None,
        })
        .collect()
}

/// Another place of the same trunk.
fn elsewhere(
    cx: &Context<'_>,
    branch: &Branch,
    uri: &Uri<'_>,
    number: &str,
    ip: IpAddr,
) -> Option<Round> {
    let Some(destination @ Destination::Trunk(id)) = branch.destination else {
        return None;
    };
    let is_its = cx.places.is_of(cx.config, id, ip);
    let server = &cx.config.trunk(id).server;
    let usual = server.fixed().map(|(_, transport)| transport);
    let transport = match uri.param("transport").flatten() {
        None => usual.or(server.transport).unwrap_or(Transport::Udp),
        Some(name) if name.eq_ignore_ascii_case("udp") => Transport::Udp,
        Some(name) if name.eq_ignore_ascii_case("tcp") => Transport::Tcp,
        Some(_) => return None,
    };
    let next = Next {
        destination,
        number: Some(number.to_owned()),
        place: Some(((ip, uri.port().unwrap_or(SIP_PORT)).into(), transport)),
        way: None,
    };
    is_its.then(|| Round {
        who: SmallVec::from_iter([next]),
        ring_for: None,
        terms: branch.terms.clone().unwrap_or_default(),
    })
}

/// The `q` of a Contact in thousandths: 1 where it says nothing (RFC 3261 20.10 leaves that open).
fn wanted(contact: &str) -> u16 {
    let params = contact.rsplit_once('>').map_or("", |(_, params)| params);
    let mut params = params.split(';').filter_map(|param| param.split_once('='));
    let q = params.find(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
    let q = q.and_then(|(_, value)| value.trim().parse::<f32>().ok());
    match q {
        Some(q) if (0.0..=1.0).contains(&q) => (q * 1000.0) as u16,
        _ => 1000,
    }
}
