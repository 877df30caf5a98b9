//! Opening B legs: one round after the other, all contacts of all phones of a round at once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use smallvec::SmallVec;

use super::context::{AGENT, Context, SUPPORTED, SUPPORTED_UNRELIABLE, hop_to};
use super::elsewhere::Onward;
use super::failure::Failure;
use super::filter::{Filter, allowed};
use super::hiding::Hidden;
use super::identity;
use super::io::{Action, Purpose};
use super::legs::{Attempt, Branch};
use super::machine::{Call, LEG_A, State};
use super::plan::{Round, Terms, Then};
use super::reachable::reachable;
use super::relay::cancel_of;
use super::session::Session;
use super::side::{Side, Why, contact, face, via};
use crate::config::{Codec, Config, MediaTimeout, Peer, PhoneId, TrunkId};
use crate::engine::{Outcome, Party, Tried};
use crate::media::{End, LegId};
use crate::registrar::Registrar;
use crate::routing::locate::{Place, Places, Way};
use crate::routing::{Caller, Destination};
use crate::sip::{Message, Method, Name, Transport, Uri, Writer};
use crate::transaction::Hop;

/// How many legs a call may have in all: those who ring together, those who ring after them, and those of its transfers.
const MAX_LEGS: u32 = 128;

/// Whom to ask next.
#[derive(Clone, Debug)]
pub(crate) struct Next {
    pub(crate) destination: Destination,
    /// With another number than was dialled.
    pub(crate) number: Option<String>,
    /// Elsewhere than at the trunk's server.
    pub(crate) place: Option<(SocketAddr, Transport)>,
    /// At these of the trunk's servers, the others have been tried.
    pub(crate) way: Option<Way>,
}

impl Next {
    /// As the route has it.
    pub(crate) fn of(destination: Destination) -> Next {
        Next {
            destination,
            number: None,
            place: None,
            way: None,
        }
    }
}

/// Where one B leg goes.
pub(crate) struct Target<'a> {
    pub(crate) party: Party,
    pub(crate) trunk: Option<TrunkId>,
    pub(crate) phone: Option<PhoneId>,
    pub(crate) media_timeout: MediaTimeout,
    pub(crate) hop: Hop,
    /// The Request-URI.
    pub(crate) uri: String,
    /// To, without angle brackets.
    pub(crate) to: String,
    /// The proxies that a phone registered by (RFC 3327).
    pub(crate) path: Option<Box<str>>,
    pub(crate) codecs: &'a [Codec],
    pub(crate) destination: Destination,
    /// Where else it may be asked, if it cannot be there.
    pub(crate) onward: Option<Box<Onward>>,
}

impl Target<'_> {
    /// Adds the Route that leads there, if there is one.
    pub(crate) fn routed(&self, writer: Writer) -> Writer {
        match &self.path {
            Some(path) => writer.header(Name::Route, path),
            None => writer,
        }
    }

    /// What its media is behind.
    pub(crate) fn end(&self, cx: &Context<'_>) -> End {
        let trunk = self.trunk.map(|id| cx.config.trunk(id));
        match self.phone {
            Some(phone) => {
                let uri = Some(self.uri.as_str());
                cx.host.end_of_phone(cx.config, &self.hop, phone, uri)
            }
            None => cx.host.end(cx.config, &self.hop, trunk, self.codecs),
        }
    }

    /// Who it is.
    pub(crate) fn peer(&self) -> Peer {
        Peer {
            trunk: self.trunk,
            phone: self.phone,
            network: self.hop.network,
        }
    }
}

impl Call {
    /// Asks the next destination that can be asked; gives up when there is none.
    pub(super) fn ask_next(&mut self, now: Instant, cx: &mut Context<'_>) {
        while let State::Ringing(plan) = &mut self.state {
            match plan.next(now) {
                Then::Ask(round) if self.ask_all(now, cx, &round) => return,
                Then::Ask(_) => {}
                Then::GiveUp(failure) => return self.give_up(now, cx, failure),
            }
        }
    }

    /// Asks these at once, whoever rings already; `false` if none of them can be asked.
    pub(super) fn ask_all(&mut self, now: Instant, cx: &mut Context<'_>, round: &Round) -> bool {
        let config = cx.config;
        let mut all: SmallVec<[Target<'_>; 4]> = SmallVec::new();
        for next in &round.who {
            let found = targets(now, cx.registrar, config, cx.places, next, &self.number);
            match found.and_then(|found| reachable(now, cx, round.terms.is_emergency, found)) {
                Ok(targets) => all.extend(targets),
                Err(why) => {
                    self.tried(next.destination.into(), &why);
                    self.note(why);
                }
            }
        }
        let mut asked = false;
        let alone = all.len() == 1 && !self.branches.iter().any(Branch::is_ringing);
        for target in all {
            let destination = target.destination;
            match self.ask(now, cx, target, &round.terms, alone) {
                Ok(()) => asked = true,
                Err(why) => {
                    self.tried(destination.into(), &why);
                    self.note(why);
                }
            }
        }
        asked
    }

    /// Nobody took it: the caller is told why.
    pub(super) fn give_up(&mut self, now: Instant, cx: &mut Context<'_>, failure: Failure) {
        self.give_up_because(now, cx, failure, &Why::default());
    }

    /// As [`Call::give_up`]; those who are still being asked are told why.
    pub(super) fn give_up_because(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        failure: Failure,
        why: &Why,
    ) {
        let tag = self.own_tag(cx);
        let bytes = {
            let writer = crate::sip::response_to(
                &self.a.invite,
                self.a.side.hop.remote,
                failure.code,
                &failure.phrase,
                Some(&tag),
            )
            .header(Name::Server, AGENT);
            match &failure.answer {
                Some((leg, answer)) => {
                    let filter = self.filter(cx.config, [*leg, LEG_A], &self.a.side.hop);
                    Hidden::of(answer).pass(answer, &filter, writer).finish()
                }
                None => writer.finish(),
            }
        };
        self.respond(self.a.id, bytes);
        self.note_refusal(cx, &failure, why);
        self.close(now, cx, Some(LEG_A), (failure.outcome, failure.reason), why);
    }

    pub(super) fn note(&mut self, why: Failure) {
        if let State::Ringing(plan) = &mut self.state {
            plan.note(why);
        }
    }

    /// A tag towards A for an answer that belongs to no B leg: of an early dialog if he knows of one.
    fn own_tag(&self, cx: &mut Context<'_>) -> String {
        match self.a.tags.last() {
            Some(early) => early.clone(),
            None => cx.tokens.tag(),
        }
    }

    fn ask(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        target: Target<'_>,
        terms: &Arc<Terms>,
        alone: bool,
    ) -> Result<(), Failure> {
        let leg = self.next_asked(cx)?;
        let end = target.end(cx);
        let offer = match self.a.invite.body() {
            [] => None,
            sdp => Some(
                self.media
                    .offer(now, cx.ports, LEG_A, &self.a.end, leg, &end, sdp)
                    .map_err(|refused| Failure::media(&refused))?,
            ),
        };
        self.order_flows();
        let tag = cx.tokens.tag();
        let mut side = Side::new(target.party, target.trunk, target.media_timeout, target.hop);
        side.allow = allowed(cx.config, target.peer());
        side.challenges = cx.remembered.of(target.trunk);
        let with = (tag.as_str(), offer.as_deref(), alone);
        let invite = self.write_invite(cx, &target, &mut side, terms, with);
        let Ok(invite) = Message::parse(invite, &Default::default()) else {
            self.media.end_leg(now, cx.ports, leg);
            self.order_flows();
            let reason = "the INVITE is too large once it is ours";
            return Err(Failure::own(513, Outcome::Failed, reason));
        };
        side.sent = offer;
        let attempt = Attempt::Calling { cancel: false };
        // Most calls have one, and most of what a call takes is in there.
        self.branches.reserve_exact(1);
        let tally = self.tally(now);
        self.branches.push(Branch {
            phone: target.phone,
            destination: Some(target.destination),
            terms: Some(terms.clone()),
            onward: target.onward,
            tally,
            ..Branch::new(leg, side, invite.clone(), attempt, end)
        });
        self.actions.push_back(Action::Open(tag));
        self.actions.push_back(Action::Request {
            purpose: Purpose::Invite(leg),
            hop: target.hop,
            message: invite,
        });
        Ok(())
    }

    /// Leg B's INVITE: everything that names an address is ours, the rest of A's passes.
    fn write_invite(
        &self,
        cx: &mut Context<'_>,
        target: &Target<'_>,
        side: &mut Side,
        terms: &Terms,
        (tag, offer, alone): (&str, Option<&[u8]>, bool),
    ) -> Bytes {
        let trunk = target.trunk.map(|id| cx.config.trunk(id));
        let a = &self.a.invite;
        let hidden = Hidden::of(a);
        let hop = &target.hop;
        let phone = self.a.phone.map(Caller::Phone);
        let caller = phone.or(self.a.side.trunk.map(Caller::Trunk));
        let branch = match caller {
            Some(caller) => cx
                .tokens
                .branch_because(&target.uri, &caller.asking_for(&self.number)),
            None => cx.tokens.branch(&target.uri),
        };
        let told = identity::Caller::beside(cx.config, self.caller(), a, &hidden)
            .given(terms.caller_id.as_ref())
            .told(trunk, face(cx.config, hop), self.is_emergency);
        let writer = target
            .routed(
                Writer::request("INVITE", &target.uri)
                    .header(Name::Via, via(cx.config, hop, &branch)),
            )
            .header(
                Name::MaxForwards,
                a.max_forwards().map_or(70, |hops| hops.saturating_sub(1)),
            )
            .header(Name::From, format_args!("{};tag={tag}", told.from))
            .header(Name::To, format_args!("<{}>", target.to))
            .header(Name::CallId, cx.tokens.call_id())
            .header(Name::CSeq, format_args!("{} INVITE", cx.tokens.cseq()))
            .header(Name::Contact, contact(cx.config, hop))
            .header(Name::Allow, allowed(cx.config, target.peer()))
            .header(Name::UserAgent, AGENT);
        let writer = Session::new().ask(writer);
        let writer = side.authorize(cx, Method::Invite, &target.uri, writer);
        // A reliable provisional answer to an INVITE without an offer makes one, and its PRACK answers it: the caller has to do
        // as much, and one such offer at a time is what he can have.
        let writer = match offer.is_some() || alone && self.a.provisionals.is_possible() {
            true => writer.header(Name::Supported, SUPPORTED),
            false => writer.header(Name::Supported, SUPPORTED_UNRELIABLE),
        };
        let filter = Filter::new(
            cx.config,
            self.caller(),
            target.peer(),
            face(cx.config, hop).ip(),
        );
        let filter = filter.of_invite(told.withholds, &terms.add_headers);
        let writer = told.write(a, writer);
        let writer = hidden.pass(a, &filter, writer);
        let writer = terms.add_to(writer);
        match offer {
            Some(sdp) => writer.body("application/sdp", sdp),
            None => writer.finish(),
        }
    }

    /// A name for another leg; `None` if there have been enough of them.
    pub(super) fn next_leg(&mut self) -> Option<LegId> {
        if self.legs == MAX_LEGS {
            self.actions.push_back(Action::Full("legs"));
            return None;
        }
        self.legs += 1;
        Some(LegId(self.legs))
    }

    /// As [`Call::next_leg`], for someone who is asked: each has a dialog of his own.
    pub(super) fn next_asked(&mut self, cx: &Context<'_>) -> Result<LegId, Failure> {
        if cx.dialogs == 0 && !self.is_emergency {
            self.actions.push_back(Action::Full("dialogs"));
            return Err(Failure::own(503, Outcome::Failed, "too many dialogs"));
        }
        let too_many = Failure::own(503, Outcome::Failed, "too many B legs");
        self.next_leg().ok_or(too_many)
    }

    /// Nobody answered in time: those who were asked are told, the next are asked.
    pub(super) fn on_ring_limit(&mut self, now: Instant, cx: &mut Context<'_>) {
        self.note(Failure::rang_out());
        for index in 0..self.branches.len() {
            let rings = self.branches.get(index).filter(|b| b.is_ringing());
            if let Some(leg) = rings.map(|branch| branch.leg) {
                self.note_tried(index, Tried::NoAnswer);
                self.tried(self.who(leg), &Failure::rang_out());
                self.cancel(index, &Why::default());
                self.media.end_leg(now, cx.ports, leg);
                // Who comes next may be heard.
                self.forget_early(leg);
            }
        }
        self.order_flows();
        self.ask_next(now, cx);
    }

    /// Takes back what a B leg was asked: CANCEL at once if it has said anything, else when it does (RFC 3261 9.1).
    pub(super) fn cancel(&mut self, index: usize, why: &Why) {
        if self.branches.get(index).is_some_and(Branch::is_ringing) {
            self.note_tried(index, Tried::Cancelled);
        }
        let Some(branch) = self.branches.get_mut(index) else {
            return;
        };
        match branch.attempt {
            Attempt::Calling { .. } => {
                branch.attempt = Attempt::Calling { cancel: true };
                branch.why.get_or_insert_with(|| Box::new(why.clone()));
            }
            Attempt::Proceeding => {
                branch.attempt = Attempt::Cancelled;
                let earlier = branch.why.take();
                let reason = earlier.as_deref().unwrap_or(why).reason();
                if let Some(message) = cancel_of(&branch.invite, reason.as_deref()) {
                    self.actions.push_back(Action::Request {
                        purpose: Purpose::Cancel(branch.leg),
                        hop: branch.side.hop,
                        message,
                    });
                }
            }
            Attempt::Cancelled | Attempt::Up | Attempt::Done => {}
        }
    }
}

/// Where it is; a trunk is asked for `number` where nothing else is said.
pub(crate) fn targets<'c>(
    now: Instant,
    registrar: &Registrar,
    config: &'c Config,
    places: &mut Places,
    next: &Next,
    number: &str,
) -> Result<SmallVec<[Target<'c>; 4]>, Failure> {
    let mut targets = SmallVec::new();
    let destination = next.destination;
    match destination {
        Destination::Trunk(id) => {
            let trunk = config.trunk(id);
            let number = next.number.as_deref().unwrap_or(number);
            let mut way = match (next.place, &next.way) {
                (Some((address, transport)), _) => Way::to(Place { address, transport }),
                (None, Some(way)) => way.clone(),
                (None, None) => places.way(now, config, id),
            };
            let (place, hop) = way
                .find_map(|place| Some((place, hop_to(config, id, place)?)))
                .ok_or_else(|| Failure::nowhere(places.knows(config, id)))?;
            // The URI names the server as the file does, wherever it is (RFC 3263 4).
            let named = trunk.server.name().filter(|_| next.place.is_none());
            let host = match named {
                Some(_) => trunk.server.host_port(),
                None => place.address.to_string(),
            };
            let said = match named {
                Some(_) => trunk.server.transport,
                None => Some(place.transport),
            };
            let parameter = match said {
                Some(Transport::Tcp) => ";transport=tcp",
                Some(Transport::Udp) if named.is_some() => ";transport=udp",
                _ => "",
            };
            let [uri, to] = identity::called(trunk, number, &host, parameter);
            targets.push(Target {
                party: Party::Trunk(id),
                trunk: Some(id),
                phone: None,
                media_timeout: config.trunk_media_timeout(id),
                hop,
                uri,
                to,
                path: None,
                codecs: &trunk.codecs,
                destination,
                onward: Onward::new(now, next.number.clone(), way),
            });
        }
        Destination::Phone(id) => {
            let phone = config.phone(id);
            for binding in registrar.reachable(id) {
                targets.push(Target {
                    party: Party::Phones(binding.hop.network),
                    trunk: None,
                    phone: Some(id),
                    media_timeout: config.phone_media_timeout(id, binding.hop.network),
                    hop: binding.hop,
                    uri: Uri::parse(&binding.contact)
                        .map_or(&*binding.contact, |uri| uri.without_headers())
                        .to_owned(),
                    to: format!("sip:{}@{}", phone.name, face(config, &binding.hop)),
                    path: binding.path.clone(),
                    codecs: &phone.codecs,
                    destination,
                    onward: None,
                });
            }
            if targets.is_empty() {
                return Err(Failure::unreachable("the phone is not registered"));
            }
        }
    }
    Ok(targets)
}
