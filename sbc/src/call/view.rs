//! A call, for whoever looks at it. Reading changes nothing; what is told is put together when somebody asks, and nothing is kept for it but
//! who was tried in vain.

use std::time::{Duration, Instant};

use bytes::Bytes;
use smallvec::SmallVec;

use super::answering::sdp_of;
use super::failure::Failure;
use super::legs::{Attempt, Branch};
use super::machine::{Call, LEG_A, State};
use super::side::Side;
use super::silence::is_hold;
use crate::config::{Codec, PhoneId, RouteId, TrunkId};
use crate::engine::{CallId, Party};
use crate::media::{FlowKind, LegId, Path, StreamView, StreamWay};
use crate::routing::Destination;
use crate::sip::{Message, Name};
use crate::transaction::Hop;

/// Failed attempts of a call that are remembered.
const MAX_TRIED: usize = 8;
/// Characters of why one failed, or of a user agent.
const MAX_TEXT: usize = 100;

/// Who is at the end of a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// A trunk.
    Trunk(TrunkId),
    /// An account.
    Phone(PhoneId),
    /// Nobody that the config has by itself.
    Other(Party),
}

/// How far a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallState {
    /// Nobody has taken it yet.
    Ringing,
    /// Two talk.
    Up,
    /// One of the two has put the other one on hold.
    Held,
    /// It is over, and its last messages are on their way.
    Ending,
}

impl CallState {
    /// The word for it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            CallState::Ringing => "ringing",
            CallState::Up => "up",
            CallState::Held => "held",
            CallState::Ending => "ending",
        }
    }
}

/// A call in short.
#[derive(Clone, Debug)]
pub struct CallView {
    /// Its name.
    pub id: CallId,
    /// The caller's Call-ID.
    pub sip_call_id: String,
    /// Who calls, or who has been there longest.
    pub from: Who,
    /// Who took it, else who rings.
    pub to: SmallVec<[Who; 1]>,
    /// The user part that was dialled.
    pub number: String,
    /// How far it is.
    pub state: CallState,
    /// When the INVITE came.
    pub started: Instant,
    /// When it was taken.
    pub answered: Option<Instant>,
    /// By which route; none where the config in force has it no more.
    pub route: Option<RouteId>,
    /// What is spoken on each side, of the first stream of audio.
    pub codecs: [Option<Codec>; 2],
    /// How its media goes: of several flows the one that needs most.
    pub way: StreamWay,
}

/// What a [`CallView`] is made from. It holds what was described, and does not copy it.
#[derive(Clone, Debug)]
pub struct Gist {
    /// All but what is read from that.
    view: CallView,
    /// What those who talk have described last.
    said: [Option<Bytes>; 2],
}

/// What a peer has described last.
#[derive(Clone, Copy)]
enum Said<'c> {
    Kept(&'c Bytes),
    /// In an answer before the last one, of who rings.
    Early(&'c [u8]),
}

/// All of a call.
#[derive(Clone, Debug)]
pub struct CallDetail {
    /// In short.
    pub call: CallView,
    /// Who calls first.
    pub legs: Vec<LegView>,
    /// Who was asked in vain, in order; no more than a few.
    pub tried: Vec<Tried>,
    /// Until when those who ring are waited for.
    pub ring_until: Option<Instant>,
    /// When it has lasted as long as it may.
    pub ends: Option<Instant>,
    /// What its media is.
    pub streams: Vec<StreamView>,
}

/// A leg.
#[derive(Clone, Debug)]
pub struct LegView {
    /// 0: who called.
    pub leg: LegId,
    /// Who is there.
    pub who: Who,
    /// Our end and theirs.
    pub hop: Hop,
    /// Its Call-ID.
    pub sip_call_id: String,
    /// What the peer calls itself, if it has said so in its INVITE.
    pub agent: Option<String>,
    /// How far it is.
    pub state: LegState,
    /// Its peer has put the other one on hold.
    pub holds: bool,
    /// Its session timer (RFC 4028).
    pub session: Option<SessionView>,
}

/// How far a leg is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegState {
    /// Who calls, and waits.
    Waiting,
    /// Asked; nothing came back.
    Asked,
    /// Asked; a provisional answer came.
    Ringing,
    /// It talks.
    Up,
    /// It is being taken back.
    Cancelled,
    /// Over.
    Gone,
}

impl LegState {
    /// The word for it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            LegState::Waiting => "waiting",
            LegState::Asked => "asked",
            LegState::Ringing => "ringing",
            LegState::Up => "up",
            LegState::Cancelled => "cancelled",
            LegState::Gone => "gone",
        }
    }
}

/// A session timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionView {
    /// What was agreed upon.
    pub interval: Duration,
    /// We refresh it, not the peer.
    pub is_ours: bool,
    /// When it is over, unless somebody does.
    pub end: Instant,
}

/// Someone who was asked and did not take the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Who.
    pub who: Who,
    /// Why, in a few words: what he answered, where he did.
    pub why: Box<str>,
}

/// Those of a call.
pub(super) type AllTried = Option<Box<SmallVec<[Tried; 1]>>>;

impl Gist {
    /// The call's name.
    #[must_use]
    pub fn id(&self) -> CallId {
        self.view.id
    }

    /// The call in short, as it was then.
    #[must_use]
    pub fn view(self) -> CallView {
        let mut said = self.said.iter().flatten();
        let is_held = self.view.state == CallState::Up && said.any(|body| is_hold(body));
        CallView {
            state: match is_held {
                true => CallState::Held,
                false => self.view.state,
            },
            ..self.view
        }
    }
}

impl<'c> Said<'c> {
    fn bytes(self) -> &'c [u8] {
        match self {
            Said::Kept(bytes) => bytes,
            Said::Early(bytes) => bytes,
        }
    }

    fn to_bytes(self) -> Bytes {
        match self {
            Said::Kept(bytes) => bytes.clone(),
            Said::Early(bytes) => Bytes::copy_from_slice(bytes),
        }
    }
}

impl Call {
    /// Whether it goes by this name: its id as the log has it (leading zeros may be left out), or the Call-ID of one of its legs.
    #[must_use]
    pub fn is_named(&self, name: &str) -> bool {
        u64::from_str_radix(name, 16).is_ok_and(|id| CallId(id) == self.id)
            || self.sip_call_ids().any(|id| id == name)
    }

    /// Whether the Call-ID of one of its legs begins so.
    #[must_use]
    pub fn is_named_like(&self, start: &str) -> bool {
        self.sip_call_ids().any(|id| id.starts_with(start))
    }

    /// Another config is in force, which has its route there.
    pub fn route_is_now(&mut self, route: impl FnOnce(RouteId) -> Option<RouteId>) {
        self.route = self.route.and_then(route);
    }

    /// How far it is; whether somebody holds is not looked at.
    #[must_use]
    pub fn progress(&self) -> CallState {
        match self.state {
            State::Ringing(_) => CallState::Ringing,
            State::Up { .. } => CallState::Up,
            State::Over => CallState::Ending,
        }
    }

    /// The call in short.
    #[must_use]
    pub fn view(&self) -> CallView {
        self.gist().view()
    }

    /// What of that is the call's own: cheap to have. What its peers have described is yet to be read.
    #[must_use]
    pub fn gist(&self) -> Gist {
        let ringing = self.branches.iter().filter(|b| b.is_ringing());
        let (from, to, answered) = match self.state {
            State::Up { near, leg, since } => {
                let to = std::iter::once(self.who(leg)).collect();
                (self.who(near), to, Some(since))
            }
            State::Ringing(_) => (self.who(LEG_A), ringing.map(who).collect(), None),
            State::Over => {
                let last = self.branches.last().map(who);
                (self.who(LEG_A), last.into_iter().collect(), None)
            }
        };
        let legs = self.heard_legs();
        let said = |leg| self.said(leg).map(Said::to_bytes);
        Gist {
            said: legs.map_or([None, None], |legs| legs.map(said)),
            view: CallView {
                id: self.id,
                sip_call_id: self.a.invite.call_id().to_owned(),
                from,
                to,
                number: self.number.clone(),
                state: self.progress(),
                started: self.started,
                answered,
                route: self.route,
                codecs: self.spoken(),
                way: self.way(),
            },
        }
    }

    /// All of it.
    #[must_use]
    pub fn detail(&self) -> CallDetail {
        let a = LegView {
            leg: LEG_A,
            who: self.who(LEG_A),
            hop: self.a.side.hop,
            sip_call_id: self.a.invite.call_id().to_owned(),
            agent: agent(&self.a.invite),
            state: match (&self.state, self.a.side.is_gone) {
                (_, true) | (State::Over, _) => LegState::Gone,
                (State::Ringing(_), _) => LegState::Waiting,
                (State::Up { .. }, _) => LegState::Up,
            },
            holds: self.holds(LEG_A),
            session: self.a.side.session.view(),
        };
        let b = self.branches.iter().map(|branch| LegView {
            leg: branch.leg,
            who: who(branch),
            hop: branch.side.hop,
            sip_call_id: branch.invite.call_id().to_owned(),
            agent: None,
            state: match branch.attempt {
                Attempt::Calling { cancel: false } => LegState::Asked,
                Attempt::Proceeding => LegState::Ringing,
                Attempt::Calling { cancel: true } | Attempt::Cancelled => LegState::Cancelled,
                Attempt::Up if branch.side.is_gone => LegState::Gone,
                Attempt::Up => LegState::Up,
                Attempt::Done => LegState::Gone,
            },
            holds: self.holds(branch.leg),
            session: branch.side.session.view(),
        });
        CallDetail {
            call: self.view(),
            legs: std::iter::once(a).chain(b).collect(),
            tried: self
                .tried
                .iter()
                .flat_map(|all| all.iter().cloned())
                .collect(),
            ring_until: match &self.state {
                State::Ringing(plan) => Some(plan.deadline),
                State::Up { .. } | State::Over => None,
            },
            ends: self.ends,
            streams: self.streams(),
        }
    }

    /// Someone was asked, or was to be, and it came to nothing.
    pub(super) fn tried(&mut self, who: Who, failure: &Failure) {
        let tried = self.tried.get_or_insert_default();
        if tried.len() < MAX_TRIED {
            tried.push(Tried {
                who,
                why: text(&failure.reason).into(),
            });
        }
    }

    /// Ringing or answered: who calls, and who took it, else who was asked last.
    #[must_use]
    pub fn ends(&self) -> Option<[Who; 2]> {
        match self.state {
            State::Over => None,
            State::Up { near, leg, .. } => Some([self.who(near), self.who(leg)]),
            State::Ringing(_) => {
                let last = self.branches.last().map(who);
                Some([self.who(LEG_A), last.unwrap_or(Who::Other(Party::Nobody))])
            }
        }
    }

    pub(super) fn who(&self, leg: LegId) -> Who {
        match self.branches.iter().find(|b| b.leg == leg) {
            Some(branch) => who(branch),
            None => who_at(&self.a.side, self.a.phone),
        }
    }

    fn holds(&self, leg: LegId) -> bool {
        self.said(leg).is_some_and(|said| is_hold(said.bytes()))
    }

    fn said(&self, leg: LegId) -> Option<Said<'_>> {
        let branch = self.branches.iter().find(|b| b.leg == leg);
        let side = match branch {
            Some(branch) => &branch.side,
            None => &self.a.side,
        };
        let early = || {
            let mut early = branch?.early.iter().rev();
            early.find_map(|early| Some(Said::Early(sdp_of(early.said.as_ref()?)?)))
        };
        side.received.as_ref().map(Said::Kept).or_else(early)
    }

    /// The two who talk; while it rings the caller and who is heard, else who was asked last.
    fn heard_legs(&self) -> Option<[LegId; 2]> {
        match &self.state {
            State::Up { near, leg, .. } => Some([*near, *leg]),
            State::Ringing(_) => {
                let heard = self.a.hears.as_ref().map(|(leg, _)| *leg);
                let last = || self.branches.iter().rev().find(|b| b.is_ringing());
                let other = heard.or_else(|| last().map(|b| b.leg));
                other.map(|leg| [LEG_A, leg])
            }
            State::Over => None,
        }
    }

    /// Those between [`Call::heard_legs`].
    pub(crate) fn streams(&self) -> Vec<StreamView> {
        self.heard_legs().map_or_else(Vec::new, |legs| {
            let said = legs.map(|leg| (leg, self.said(leg)));
            let said = said.map(|(leg, said)| (leg, said.map(|said| said.bytes())));
            self.media.streams(said)
        })
    }

    /// What is spoken on the caller's side and on the other one, in the first stream of audio.
    pub(super) fn spoken(&self) -> [Option<Codec>; 2] {
        let Some(legs) = self.heard_legs() else {
            return [None; 2];
        };
        let [mut near, mut far] = self.media.spoken(legs);
        if !legs.is_sorted() {
            std::mem::swap(&mut near, &mut far);
        }
        [near, far]
    }

    /// As [`CallMedia::plainly`](crate::media::CallMedia::plainly), of those who talk.
    pub(crate) fn plain_streams(&self) -> Option<Vec<(&str, Option<Codec>)>> {
        self.media.plainly(self.heard_legs()?)
    }

    /// How its media goes: of several flows the one that needs most.
    pub(super) fn way(&self) -> StreamWay {
        let pairs = self.flow_pairs().filter(|pair| pair.kind != FlowKind::Rtcp);
        match pairs.min_by_key(|pair| pair.path == Path::Kernel) {
            Some(pair) => StreamWay::Here(pair.path),
            None => match self.streams().iter().any(|s| s.way == StreamWay::Direct) {
                true => StreamWay::Direct,
                false => StreamWay::Nowhere,
            },
        }
    }
}

impl From<Destination> for Who {
    fn from(destination: Destination) -> Who {
        match destination {
            Destination::Trunk(trunk) => Who::Trunk(trunk),
            Destination::Phone(phone) => Who::Phone(phone),
        }
    }
}

fn who(branch: &Branch) -> Who {
    who_at(&branch.side, branch.phone)
}

fn who_at(side: &Side, phone: Option<PhoneId>) -> Who {
    let trunk = side.trunk.map(Who::Trunk);
    let phone = || phone.map(Who::Phone);
    trunk.or_else(phone).unwrap_or(Who::Other(side.party))
}

fn agent(invite: &Message) -> Option<String> {
    invite.header(Name::UserAgent).map(text)
}

fn text(whole: &str) -> String {
    whole.chars().take(MAX_TEXT).collect()
}
