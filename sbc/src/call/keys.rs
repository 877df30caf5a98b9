//! Keys of a telephone in signalling: an INFO of one leg whose body is a key, for a leg that has keys otherwise; and keys of one leg's media for a leg that has them
//! as INFO. Where both have them as INFO they pass as any other (`passing`).
//!
//! One INFO is on its way to a leg at a time, so that keys keep their order; the others wait. What is pressed is a password now and then, and is told to no log.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::context::{AGENT, Context};
use super::effects::ends_call;
use super::io::{Action, Purpose};
use super::machine::{Call, LEG_A, State};
use super::passing::Asked;
use super::side::{Why, via};
use super::way::Way;
use crate::config::Dtmf;
use crate::engine::Outcome;
use crate::media::{LegId, PairId};
use crate::rtp::info::Pressed;
use crate::sip::{Message, Method, Name};
use crate::transaction::Hop;

/// Keys that wait for one leg at most.
const MAX_WAITING: usize = 32;

/// Legs that keys wait for, or that have said how they have them; a transfer brings new ones.
const MAX_LEGS: usize = 8;

/// So many keys of a call at once,
const BURST: u32 = 64;
/// and one more each time that so much has passed: nobody presses faster, as a key and a pause are 90 ms at least.
const PERIOD: Duration = Duration::from_millis(60);

const RELAY: &str = "application/dtmf-relay";
const PLAIN: &str = "application/dtmf";

/// What a call remembers of keys.
#[derive(Debug, Default)]
pub(super) struct Keys {
    legs: SmallVec<[OfLeg; 1]>,
    /// Of [`BURST`], how many have been used; and until when that has been reckoned.
    used: u32,
    since: Option<Instant>,
}

/// What a leg is told by INFO.
#[derive(Debug)]
struct OfLeg {
    leg: LegId,
    body: Body,
    waiting: VecDeque<Pressed>,
    sent: Option<Sent>,
}

/// A key that has no answer.
#[derive(Clone, Copy, Debug)]
struct Sent {
    key: Pressed,
    /// It has been sent again with a password, and with the other body.
    with_password: bool,
    with_other: bool,
}

/// The two that there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Body {
    /// `application/dtmf-relay`: key and duration.
    #[default]
    Relay,
    /// `application/dtmf`: the key alone.
    Plain,
}

impl Body {
    fn named(kind: &str) -> Option<Body> {
        let kind = kind.split(';').next().unwrap_or_default().trim();
        match kind {
            _ if kind.eq_ignore_ascii_case(RELAY) => Some(Body::Relay),
            _ if kind.eq_ignore_ascii_case(PLAIN) => Some(Body::Plain),
            _ => None,
        }
    }

    fn read(self, body: &[u8]) -> Option<Pressed> {
        match self {
            Body::Relay => Pressed::from_relay(body).ok(),
            Body::Plain => Pressed::from_plain(body).ok(),
        }
    }

    fn write(self, key: Pressed) -> Option<(&'static str, String)> {
        match self {
            Body::Relay => Some((RELAY, key.to_relay()?)),
            Body::Plain => Some((PLAIN, key.to_plain()?)),
        }
    }

    /// What a 415 leaves, if it is the other one.
    fn other(self, refusal: &Message) -> Option<Body> {
        let accepted: SmallVec<[Body; 2]> = refusal
            .values(Name::Accept)
            .filter_map(Body::named)
            .collect();
        let other = match self {
            Body::Relay => Body::Plain,
            Body::Plain => Body::Relay,
        };
        (accepted.contains(&other) && !accepted.contains(&self)).then_some(other)
    }
}

impl Keys {
    /// Whether one more may be taken.
    fn takes(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        let passed = now.saturating_duration_since(since);
        let more = u32::try_from(passed.as_millis() / PERIOD.as_millis()).unwrap_or(u32::MAX);
        self.used = self.used.saturating_sub(more);
        self.since = match self.used {
            0 => Some(now),
            _ => Some(since + PERIOD * more),
        };
        let takes = self.used < BURST;
        self.used += u32::from(takes);
        takes
    }

    fn of(&mut self, leg: LegId) -> &mut OfLeg {
        if let Some(index) = self.legs.iter().position(|of| of.leg == leg) {
            return &mut self.legs[index];
        }
        // Whoever has been there longest is gone.
        if self.legs.len() >= MAX_LEGS {
            self.legs.remove(0);
        }
        self.legs.push(OfLeg {
            leg,
            body: Body::default(),
            waiting: VecDeque::new(),
            sent: None,
        });
        let last = self.legs.len() - 1;
        &mut self.legs[last]
    }
}

impl Call {
    /// A key was pressed in media, and the peer of this side of the pair is to be told.
    pub(super) fn on_key_pressed(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        pair: PairId,
        to: usize,
        key: Pressed,
    ) {
        let legs = self.media.legs_of(pair);
        if let Some(&leg) = legs.as_ref().and_then(|legs| legs.get(to))
            && self.takes_one(now)
        {
            self.tell_key(cx, leg, key);
        }
    }

    /// A request of one leg for another: whether it is a key, and that is done with it. Where both have the same form it is no business of ours.
    pub(super) fn takes_key(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        [from, to]: [LegId; 2],
        asked: Asked<'_>,
    ) -> bool {
        let Asked { id, hop, request } = asked;
        if request.method() != Method::Info {
            return false;
        }
        let kind = request.header(Name::ContentType).and_then(Body::named);
        let Some((body, key)) = kind.and_then(|body| Some((body, body.read(request.body())?)))
        else {
            return false;
        };
        let [mine, theirs] = [from, to].map(|leg| self.dtmf_of(leg));
        if mine == Dtmf::Info {
            self.keys.get_or_insert_default().of(from).body = body;
        }
        if mine == theirs || theirs != Dtmf::Info && !self.media.has_keys(from, to) {
            return false;
        }
        if !self.takes_one(now) {
            self.refuse(id, hop, request, 500);
            return true;
        }
        self.reply(cx, id, hop, request, 200, None);
        match theirs {
            Dtmf::Info => self.tell_key(cx, to, key),
            Dtmf::Rtp | Dtmf::Inband => {
                self.media.press(from, to, key);
                self.order_flows();
            }
        }
        true
    }

    /// An answer to an INFO with a key.
    pub(super) fn on_key_answer(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        leg: LegId,
        answer: &Message,
    ) {
        let code = answer.code().unwrap_or_default();
        if code < 200 {
            return;
        }
        let Some(sent) = self.take_sent(leg) else {
            return;
        };
        if let Some(side) = self.side(leg) {
            side.challenges.answered(code);
        }
        let other = self.keys.as_mut().and_then(|keys| {
            let of = keys.of(leg);
            let other = of.body.other(answer).filter(|_| code == 415)?;
            of.body = other;
            Some(other)
        });
        if matches!(code, 401 | 407)
            && !sent.with_password
            && self.learns_challenge(cx, leg, answer)
        {
            let with_password = true;
            return self.send_key(
                cx,
                leg,
                Sent {
                    with_password,
                    ..sent
                },
            );
        }
        if other.is_some() && !sent.with_other {
            let with_other = true;
            return self.send_key(cx, leg, Sent { with_other, ..sent });
        }
        if ends_call(Method::Info, code) && matches!(self.state, State::Up { .. }) {
            return self.close(
                now,
                cx,
                None,
                (Outcome::Failed, "a leg has forgotten the call".to_owned()),
                &Why::cause(481, "The other side is gone"),
            );
        }
        self.tell_next(cx, leg);
    }

    /// Nothing came back, or it could not be sent: a lost key is no reason to end a call.
    pub(super) fn on_key_failed(&mut self, cx: &mut Context<'_>, leg: LegId) {
        if self.take_sent(leg).is_some() {
            self.tell_next(cx, leg);
        }
    }

    /// In which form a leg has keys.
    fn dtmf_of(&self, leg: LegId) -> Dtmf {
        let branch = self.branches.iter().find(|branch| branch.leg == leg);
        branch.map_or(self.a.end.dtmf, |branch| branch.end.dtmf)
    }

    fn takes_one(&mut self, now: Instant) -> bool {
        let takes = self.keys.get_or_insert_default().takes(now);
        if !takes {
            self.actions.push_back(Action::Full("keys"));
        }
        takes
    }

    /// A leg is told of a key, behind those before it.
    fn tell_key(&mut self, cx: &mut Context<'_>, leg: LegId, key: Pressed) {
        let of = self.keys.get_or_insert_default().of(leg);
        if of.waiting.len() >= MAX_WAITING {
            self.actions.push_back(Action::Full("keys"));
            return;
        }
        of.waiting.push_back(key);
        self.tell_next(cx, leg);
    }

    fn tell_next(&mut self, cx: &mut Context<'_>, leg: LegId) {
        let Some(keys) = &mut self.keys else {
            return;
        };
        let of = keys.of(leg);
        if of.sent.is_none()
            && let Some(key) = of.waiting.pop_front()
        {
            let sent = Sent {
                key,
                with_password: false,
                with_other: false,
            };
            self.send_key(cx, leg, sent);
        }
    }

    fn take_sent(&mut self, leg: LegId) -> Option<Sent> {
        let keys = self.keys.as_mut()?;
        let of = keys.legs.iter_mut().find(|of| of.leg == leg)?;
        of.sent.take()
    }

    /// Without a dialog there is nobody to tell: those that wait are of no use any more.
    fn send_key(&mut self, cx: &mut Context<'_>, leg: LegId, sent: Sent) {
        let written = self.write_key(cx, leg, sent.key);
        let Some(keys) = &mut self.keys else {
            return;
        };
        let of = keys.of(leg);
        let Some((hop, message)) = written else {
            of.waiting.clear();
            return;
        };
        of.sent = Some(sent);
        self.actions.push_back(Action::Request {
            purpose: Purpose::Key(leg),
            hop,
            message,
        });
    }

    fn write_key(
        &mut self,
        cx: &mut Context<'_>,
        leg: LegId,
        key: Pressed,
    ) -> Option<(Hop, Message)> {
        let body = self.keys.get_or_insert_default().of(leg).body;
        let (kind, body) = body.write(key)?;
        let way = self.key_way(leg)?;
        let mut dialog = self.take_dialog(cx, &way)?;
        let side = self.side(leg)?;
        let hop = side.next_hop(cx, &dialog);
        let via = via(cx.config, &hop, &cx.tokens.branch(dialog.request_uri()));
        let writer = dialog
            .request(Method::Info, &via)
            .header(Name::UserAgent, AGENT);
        let writer = side.authorize(cx, Method::Info, dialog.request_uri(), writer);
        self.put_dialog(&way, dialog);
        let bytes = writer.body(kind, body.as_bytes());
        Some((hop, Message::parse(bytes, &Default::default()).ok()?))
    }

    /// The dialog in which a leg is told: before the answer that of whose media is heard.
    fn key_way(&mut self, leg: LegId) -> Option<Way> {
        if matches!(self.state, State::Over) {
            return None;
        }
        let side = self.side(leg)?;
        if side.dialog.is_some() {
            return (!side.is_gone).then_some(Way::Up(leg));
        }
        let (speaker, theirs) = self.a.hears.clone()?;
        if leg == speaker {
            return Some(Way::Ringing(leg, theirs));
        }
        let branch = self.branches.iter().find(|b| b.leg == speaker)?;
        let early = branch.early.iter().find(|early| early.theirs == theirs)?;
        (leg == LEG_A).then(|| Way::Waiting(early.ours.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_taken_as_fast_as_anybody_presses_them() {
        let mut keys = Keys::default();
        let start = Instant::now();
        let taken = |keys: &mut Keys, at| (0..200).filter(|_| keys.takes(start + at)).count();
        assert_eq!(taken(&mut keys, Duration::ZERO), BURST as usize);
        assert_eq!(taken(&mut keys, PERIOD - Duration::from_millis(1)), 0);
        assert_eq!(taken(&mut keys, PERIOD), 1);
        assert_eq!(taken(&mut keys, PERIOD * 11), 10);
        assert_eq!(taken(&mut keys, PERIOD * 100_000), BURST as usize);
    }

    #[test]
    fn what_waits_for_legs_that_are_gone_gives_way() {
        let mut keys = Keys::default();
        for leg in 0..100 {
            assert_eq!(keys.of(LegId(leg)).leg, LegId(leg));
        }
        assert_eq!(keys.legs.len(), MAX_LEGS);
    }
}
