//! REFER that is passed on (`transfers = "pass"`): the other party calls the target itself, through us and by its own routes, and tells
//! who asked how that goes. Nothing of one side's addresses and dialogs shows on the other.

use std::time::{Duration, Instant};

use super::context::Context;
use super::hiding::Hidden;
use super::io::Action;
use super::machine::Call;
use super::passing::{Asked, Passing};
use super::replaces::Replaces;
use super::side::face;
use super::transfer::Wish;
use super::way::Way;
use crate::config::Config;
use crate::media::LegId;
use crate::routing::{Caller, Circumstances, NoRoute, route};
use crate::sip::{Message, Method, Name, NameAddr, Transport, Uri};
use crate::transaction::{Hop, ServerId};

/// How many REFERs of a call may have subscriptions that go on.
const MAX_REFERRED: usize = 4;

/// How long one keeps its place whatever comes: longer than any target rings.
const LASTS: Duration = Duration::from_secs(600);

/// A REFER that was passed on, and the subscription that it makes (RFC 3515 2.4.4).
pub(super) struct Referred {
    /// Who sent it, and the number of his REFER.
    asks: LegId,
    theirs: u32,
    /// It was his first: its subscription needs no id (RFC 3515 2.4.6).
    is_first: bool,
    /// Who has got it, and the number of ours.
    acts: LegId,
    ours: u32,
    until: Instant,
}

/// What another call says of the dialog that a REFER names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// It is with the very trunk that gets the REFER: the URI and the identifiers that the trunk itself knows it by.
    Known {
        /// The other end there.
        uri: String,
        /// Its dialog, as it sees it.
        replaces: Replaces,
    },
    /// It is with somebody else: a name that stands for it, good for whoever gets the REFER.
    Introduced(Replaces),
}

impl Call {
    /// A REFER goes on to the other party.
    pub(super) fn refer_on(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        leg: LegId,
        asked: Asked<'_>,
    ) {
        let Asked { id, hop, request } = asked;
        let Some(to) = self.opposite(leg) else {
            return self.refuse(id, hop, request, 481);
        };
        if self.transfer.is_some() {
            return self.refuse(id, hop, request, 491);
        }
        let (Some(by), Some(acts)) = (self.caller_of(leg), self.caller_of(to)) else {
            return self.refuse(id, hop, request, 481);
        };
        let code = match Wish::of(request) {
            Ok(Wish::Dialog(replaces)) => {
                return self.actions.push_back(Action::Introduce {
                    replaces,
                    by,
                    to: acts,
                    leg,
                    id,
                    hop,
                    request: request.clone(),
                });
            }
            // He has to be able to call it.
            Ok(Wish::Number(number)) => {
                let (network, from) = self.calls_from(cx.config, to);
                // He takes no turn yet.
                let circumstances = Circumstances {
                    turns: None,
                    ..cx.wall.circumstances(network, &from)
                };
                match route(cx.config, acts, &number, circumstances) {
                    Ok(_) => return self.send_refer(now, cx, [leg, to], asked, None),
                    Err(NoRoute::Caller | NoRoute::Number) => 403,
                    Err(NoRoute::Phone(_)) => 404,
                }
            }
            Err(code) => code,
        };
        self.refuse(id, hop, request, code);
    }

    /// The dialog that a REFER names is known now, or is none of his.
    pub fn on_introduced(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        refer: (LegId, ServerId, Hop, &Message),
        named: Result<Named, u16>,
    ) {
        let (leg, id, hop, request) = refer;
        let asked = Asked { id, hop, request };
        match (named, self.opposite(leg)) {
            (Ok(named), Some(to)) => self.send_refer(now, cx, [leg, to], asked, Some(&named)),
            (Ok(_), None) => self.refuse(id, hop, request, 481),
            (Err(code), _) => self.refuse(id, hop, request, code),
        }
    }

    /// What a dialog of this call is to `to`, who is to take the place of `by` in it.
    ///
    /// # Errors
    /// The code that says why it is not to be had.
    pub fn name_for(
        &self,
        by: Caller,
        to: Caller,
        replaces: &Replaces,
    ) -> Result<Option<Named>, u16> {
        let own = self.leg_named(replaces).ok_or(481_u16)?;
        if self.caller_of(own) != Some(by) {
            return Err(403);
        }
        let leg = self.opposite(own).ok_or(481_u16)?;
        if replaces.early_only {
            return Err(486);
        }
        let is_its_own = matches!(to, Caller::Trunk(_)) && self.caller_of(leg) == Some(to);
        let dialog = self.dialog(leg).filter(|_| is_its_own);
        Ok(dialog.map(|dialog| Named::Known {
            uri: dialog.remote_uri().to_owned(),
            replaces: Replaces {
                call_id: dialog.call_id().to_owned(),
                to_tag: dialog.remote_tag().to_owned(),
                from_tag: dialog.local_tag().to_owned(),
                early_only: false,
            },
        }))
    }

    fn send_refer(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        [leg, to]: [LegId; 2],
        asked: Asked<'_>,
        named: Option<&Named>,
    ) {
        let Asked { id, hop, request } = asked;
        self.referred.retain(|referred| referred.until > now);
        if self.referred.len() >= MAX_REFERRED {
            self.actions.push_back(Action::Full("referred"));
            return self.refuse(id, hop, request, 500);
        }
        let Some(user) = target_user(request) else {
            return self.refuse(id, hop, request, 403);
        };
        let by = self.side(to).map(|side| side.hop);
        let Some(by) = by.map(|hop| self.shown(cx, leg, &hop)) else {
            return self.refuse(id, hop, request, 481);
        };
        let config = cx.config;
        let said = |mut writer: crate::sip::Writer, hop: &Hop| {
            writer = writer
                .header(Name::ReferTo, refer_to(config, &user, named, hop))
                // Who he is we know; what he says of himself may name his side (RFC 3892).
                .header(Name::ReferredBy, &by);
            for name in [Name::Supported, Name::Require] {
                let mut tags = request.values(name);
                if tags.any(|tag| tag.eq_ignore_ascii_case("norefersub")) {
                    writer = writer.header(name, "norefersub");
                }
            }
            match request.header(Name::ReferSub) {
                Some(value @ ("true" | "false")) => writer.header(Name::ReferSub, value),
                _ => writer,
            }
        };
        let is_first = !self.referrers.contains(&leg);
        let sent = self.send_passed(cx, [leg, to], Way::Up(to), asked, None, Some(&said));
        let Some(ours) = sent else {
            return;
        };
        if is_first {
            self.referrers.push(leg);
        }
        self.referred.push(Referred {
            asks: leg,
            theirs: request.cseq().number,
            is_first,
            acts: to,
            ours,
            until: now + LASTS,
        });
    }

    /// The Event of a NOTIFY or SUBSCRIBE about a REFER that was passed on, as the other leg knows it; `None` if it is about
    /// something else.
    pub(super) fn event_across(
        &mut self,
        [from, to]: [LegId; 2],
        request: &Message,
    ) -> Option<String> {
        let is_told = match request.method() {
            Method::Notify => true,
            Method::Subscribe => false,
            _ => return None,
        };
        let mut parts = request.header(Name::Event)?.split(';').map(str::trim);
        if !parts.next()?.eq_ignore_ascii_case("refer") {
            return None;
        }
        let id = parts.find_map(|part| part.strip_prefix("id="));
        let id: Option<u32> = id.map(str::parse).transpose().ok()?;
        let index = self.referred.iter().position(|referred| {
            let (legs, number) = match is_told {
                true => ([referred.acts, referred.asks], referred.ours),
                false => ([referred.asks, referred.acts], referred.theirs),
            };
            legs == [from, to] && id.is_none_or(|id| id == number)
        })?;
        let referred = self.referred.get_mut(index)?;
        let number = match is_told {
            true => referred.theirs,
            false => referred.ours,
        };
        let event = match id.is_none() && referred.is_first {
            true => "refer".to_owned(),
            false => format!("refer;id={number}"),
        };
        if is_told && is_terminated(request) {
            self.referred.remove(index);
        }
        Some(event)
    }

    /// What a leg says to a REFER: perhaps there is no subscription.
    pub(super) fn note_referred(&mut self, passing: &Passing, acts: LegId, answer: &Message) {
        let is_refused = answer.code().is_none_or(|code| code >= 300);
        let is_silent = answer.header(Name::ReferSub) == Some("false");
        if is_refused || is_silent {
            self.forget_referred(acts, passing.cseq);
        }
    }

    /// A REFER came to nothing.
    pub(super) fn forget_referred(&mut self, acts: LegId, ours: u32) {
        let is_it = |referred: &Referred| referred.acts == acts && referred.ours == ours;
        self.referred.retain(|referred| !is_it(referred));
    }

    /// It was sent again, with another number.
    pub(super) fn renumber_referred(&mut self, acts: LegId, before: u32, now: u32) {
        for referred in &mut self.referred {
            if referred.acts == acts && referred.ours == before {
                referred.ours = now;
            }
        }
    }

    /// A leg is gone, or all are.
    pub(super) fn drop_referred(&mut self, leg: Option<LegId>) {
        self.referred
            .retain(|referred| leg.is_some_and(|leg| leg != referred.asks && leg != referred.acts));
    }
}

/// The user part that a REFER wants called, escaped; empty if it names none, `None` if that would tell an address.
fn target_user(request: &Message) -> Option<String> {
    let target = request.values(Name::ReferTo).next()?;
    let target = NameAddr::parse(target).ok()?;
    let uri = Uri::parse(target.uri()).ok()?;
    let user = uri.user().unwrap_or_default();
    let hidden = Hidden::of(request);
    hidden.allows(user).then(|| user.to_owned())
}

/// The target, at our address on the side that it goes to.
fn refer_to(config: &Config, user: &str, named: Option<&Named>, hop: &Hop) -> String {
    let at = if user.is_empty() { "" } else { "@" };
    let transport = match hop.transport {
        Transport::Udp => "",
        Transport::Tcp => ";transport=tcp",
    };
    let here = format!("sip:{user}{at}{}{transport}", face(config, hop));
    match named {
        None => format!("<{here}>"),
        Some(Named::Introduced(replaces)) => {
            format!("<{here}?Replaces={}>", escaped(&replaces.to_string()))
        }
        Some(Named::Known { uri, replaces }) => {
            let uri = Uri::parse(uri).map_or("", |uri| uri.without_headers());
            format!("<{uri}?Replaces={}>", escaped(&replaces.to_string()))
        }
    }
}

/// For a header in a URI (RFC 3261 25.1, hvalue).
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => out.push(char::from(byte)),
            _ if b"-_.!~*'()[]/?:+$".contains(&byte) => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Whether this NOTIFY is the last of its subscription.
fn is_terminated(notify: &Message) -> bool {
    let state = notify.header(Name::SubscriptionState).unwrap_or_default();
    let state = state.split(';').next().unwrap_or_default();
    state.trim().eq_ignore_ascii_case("terminated")
}
