//! One call: its state, its verbs.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use thin_vec::ThinVec;

use super::before::Before;
use super::context::Context;
use super::ended::Ended;
use super::failure::Failure;
use super::filter::allowed;
use super::io::{Action, Input, Purpose};
use super::keys::Keys;
use super::late::{Again, Late};
use super::legs::{Branch, Incoming};
use super::moved::Moved;
use super::passing::Passing;
use super::plan::Plan;
use super::referral::Referral;
use super::referring::Referred;
use super::rejoin::Own;
use super::relay::Relay;
use super::reliable::Provisionals;
use super::replacing::Lent;
use super::side::Side;
use super::silence::Watch;
use super::transfer::Transfer;
use super::view::AllTried;
use crate::config::{Peer, RouteId};
use crate::engine::{CallId, Event, Party};
use crate::media::{CallMedia, LegId};
use crate::routing::{Caller, Decision};
use crate::sip::Message;
use crate::transaction::{Hop, ServerId};

/// The A leg's name; B legs count up from 1.
pub const LEG_A: LegId = LegId(0);

/// A call: one A leg, many B legs. Knows nothing of transactions' names but those that it is told.
///
/// What most calls never have, or only for a moment, is boxed, or a vector of one word: thousands of them wait at a time.
pub struct Call {
    pub(super) id: CallId,
    pub(super) number: String,
    /// No limit and no failed probe stops it.
    pub(super) is_emergency: bool,
    pub(super) a: Incoming,
    pub(super) branches: Vec<Branch>,
    pub(super) media: CallMedia,
    pub(super) relay: Option<Box<Relay>>,
    /// An offer of one leg's that the other one is to answer in its ACK.
    pub(super) late: Option<Box<Late>>,
    /// What the two had agreed upon before the last exchange, as long as it may have to be brought back.
    pub(super) before: Option<Box<Before>>,
    /// What one leg has still to be told of the other.
    pub(super) again: Option<Again>,
    /// Once it is up: when it has lasted long enough.
    pub(super) ends: Option<Instant>,
    /// While peers have still to be told at which address they see us now.
    pub(super) moved: Option<Box<Moved>>,
    /// While it is up, if silence may end it.
    pub(super) watch: Option<Box<Watch>>,
    pub(super) state: State,
    /// How many 3xx were followed.
    pub(super) redirects: u8,
    /// Its caller had a sign that it rings, or an answer.
    pub(super) has_rung: bool,
    pub(super) started: Instant,
    /// Requests that one party has for the other.
    pub(super) passing: Vec<Passing>,
    /// How many there have been.
    pub(super) passed: u32,
    /// Keys in INFO, where the two have them in different forms.
    pub(super) keys: Option<Box<Keys>>,
    pub(super) transfer: Option<Box<Transfer>>,
    /// An offer of ours.
    pub(super) own: Option<Box<Own>>,
    pub(super) referrals: ThinVec<Referral>,
    /// REFERs that were passed on.
    pub(super) referred: ThinVec<Referred>,
    /// Who has sent a REFER before.
    pub(super) referrers: ThinVec<LegId>,
    /// INVITEs that took a party's place.
    pub(super) guests: ThinVec<ServerId>,
    /// Legs that go back to where they came from.
    pub(super) returned: ThinVec<Lent>,
    /// B legs that there have been.
    pub(super) legs: u32,
    /// By which route; none where the config in force has it no more.
    pub(super) route: Option<RouteId>,
    pub(super) tried: AllTried,
    /// BYEs of ours that have no final answer yet.
    pub(super) closing: u32,
    /// How it ended, until its record has it.
    pub(super) ended: Option<Box<Ended>>,
    pub(super) actions: VecDeque<Action>,
}

/// How far it is.
pub(super) enum State {
    /// Someone is being asked, or will be.
    Ringing(Box<Plan>),
    /// Two legs talk.
    Up {
        /// Who called, or who stayed when another party was replaced.
        near: LegId,
        /// Who took it, or who came.
        leg: LegId,
        /// When.
        since: Instant,
    },
    /// Nothing is left but transactions that end by themselves.
    Over,
}

/// What a call begins with.
pub struct Invitation {
    /// Who calls.
    pub caller: Caller,
    /// To answer it.
    pub id: ServerId,
    /// Where it came from.
    pub hop: Hop,
    /// The INVITE.
    pub message: Message,
    /// The user part that was dialled.
    pub number: String,
    /// Where it leads.
    pub decision: Decision,
}

impl Call {
    /// A call that has come in and leads somewhere. Asks its first destination at once.
    pub fn new(now: Instant, cx: &mut Context<'_>, id: CallId, invitation: Invitation) -> Call {
        let Invitation {
            caller,
            id: server,
            hop,
            message,
            number,
            decision,
        } = invitation;
        let (party, trunk, phone, media_timeout) = match caller {
            Caller::Trunk(id) => {
                let timeout = cx.config.trunk_media_timeout(id);
                (Party::Trunk(id), Some(id), None, timeout)
            }
            Caller::Phone(id) => {
                let timeout = cx.config.phone_media_timeout(id, hop.network);
                (Party::Phones(hop.network), None, Some(id), timeout)
            }
        };
        let mut side = Side::new(party, trunk, media_timeout, hop);
        side.allow = allowed(
            cx.config,
            Peer {
                trunk,
                phone,
                network: hop.network,
            },
        );
        if !message.body().is_empty() {
            side.received = Some(message.body_bytes());
        }
        let mut call = Call {
            id,
            number: number.clone(),
            is_emergency: cx.config.route(decision.route).emergency,
            a: Incoming {
                side,
                phone,
                id: server,
                end: cx.host.end_of_caller(cx.config, &hop, caller, &message),
                provisionals: Provisionals::new(&message),
                hears: None,
                invite: message,
                tags: Vec::new(),
            },
            branches: Vec::new(),
            media: CallMedia::new(),
            relay: None,
            late: None,
            before: None,
            again: None,
            ends: None,
            moved: None,
            watch: None,
            state: State::Ringing(Box::new(Plan::new(now, cx.config, &decision))),
            redirects: 0,
            has_rung: false,
            started: now,
            passing: Vec::new(),
            passed: 0,
            keys: None,
            transfer: None,
            own: None,
            referrals: ThinVec::new(),
            referred: ThinVec::new(),
            referrers: ThinVec::new(),
            guests: ThinVec::new(),
            returned: ThinVec::new(),
            legs: 0,
            route: Some(decision.route),
            tried: None,
            closing: 0,
            ended: None,
            actions: VecDeque::new(),
        };
        call.actions.push_back(Action::Event(Event::CallStarted {
            call: id,
            sip_call_id: call.a.invite.call_id().to_owned(),
            from: party,
            number,
            route: decision.route.index(),
        }));
        call.ask_next(now, cx);
        call
    }

    /// Takes what happened to it.
    pub fn handle_input(&mut self, now: Instant, cx: &mut Context<'_>, input: Input) {
        match input {
            Input::Sent { purpose, id } => {
                if let Purpose::Invite(leg) = purpose
                    && let Some(branch) = self.branch(leg)
                {
                    branch.id = Some(id);
                }
            }
            Input::Response {
                purpose: Purpose::Invite(leg),
                message,
                ..
            } => self.on_invite_answer(now, cx, leg, &message),
            Input::Response {
                purpose: Purpose::Bye(leg),
                message,
                ..
            } => self.on_bye_answer(cx, leg, &message),
            Input::Failed {
                purpose: Purpose::Bye(_),
                ..
            }
            | Input::Full {
                purpose: Purpose::Bye(_),
            } => self.closing = self.closing.saturating_sub(1),
            Input::Response {
                purpose: Purpose::Prack(leg),
                message,
                ..
            } => self.on_prack_answer(now, cx, leg, &message),
            Input::Failed {
                purpose: Purpose::Prack(leg),
                ..
            }
            | Input::Full {
                purpose: Purpose::Prack(leg),
            } => self.on_prack_failed(now, cx, leg),
            Input::Response {
                purpose: Purpose::Update(leg),
                message,
                ..
            } => self.on_update_answer(now, cx, leg, Some(&message)),
            Input::Failed {
                purpose: Purpose::Update(leg),
                ..
            }
            | Input::Full {
                purpose: Purpose::Update(leg),
            } => self.on_update_answer(now, cx, leg, None),
            // The INVITE's own transaction tells how it ends.
            Input::Response {
                purpose: Purpose::Cancel(_) | Purpose::CancelRelay(_),
                ..
            }
            | Input::Failed {
                purpose: Purpose::Cancel(_) | Purpose::CancelRelay(_),
                ..
            }
            | Input::Full {
                purpose: Purpose::Cancel(_) | Purpose::CancelRelay(_),
            } => {}
            Input::Response {
                purpose: Purpose::Own(leg),
                id,
                message,
            } => self.on_own_answer(now, cx, leg, id, &message),
            Input::Failed {
                purpose: Purpose::Own(leg),
                ..
            } => self.on_own_failed(now, cx, leg, 408),
            Input::Full {
                purpose: Purpose::Own(leg),
            } => self.on_own_failed(now, cx, leg, 503),
            Input::Response {
                purpose: Purpose::Pass(_, number),
                message,
                ..
            } => self.on_passed(now, cx, number, &message),
            Input::Failed {
                purpose: Purpose::Pass(_, number),
                ..
            } => self.on_pass_failed(number, 504),
            Input::Full {
                purpose: Purpose::Pass(_, number),
            } => self.on_pass_failed(number, 503),
            Input::Response {
                purpose: Purpose::Key(leg),
                message,
                ..
            } => self.on_key_answer(now, cx, leg, &message),
            Input::Failed {
                purpose: Purpose::Key(leg),
                ..
            }
            | Input::Full {
                purpose: Purpose::Key(leg),
            } => self.on_key_failed(cx, leg),
            Input::Response {
                purpose: Purpose::Notify(leg),
                message,
                ..
            } => self.on_notified(cx, leg, message.code()),
            Input::Failed {
                purpose: Purpose::Notify(leg),
                ..
            }
            | Input::Full {
                purpose: Purpose::Notify(leg),
            } => self.on_notified(cx, leg, None),
            Input::Response {
                purpose: Purpose::Relay(leg),
                id,
                message,
            } => self.on_relay_answer(now, cx, leg, id, &message),
            Input::Failed {
                purpose: Purpose::Relay(leg),
                ..
            } => self.on_relay_failed(now, cx, leg),
            Input::Full {
                purpose: Purpose::Relay(leg),
            } => self.on_relay_full(leg),
            Input::Response {
                purpose: Purpose::Refresh(leg),
                id,
                message,
            } => self.on_refresh_answer(now, cx, leg, id, &message),
            Input::Failed {
                purpose: Purpose::Refresh(leg),
                ..
            } => self.on_refresh_failed(now, cx, leg),
            Input::Full {
                purpose: Purpose::Refresh(leg),
            } => self.on_refresh_full(now, leg),
            Input::Failed {
                purpose: Purpose::Invite(leg),
                failure,
            } => self.on_invite_failed(now, cx, leg, failure),
            Input::Full {
                purpose: Purpose::Invite(leg),
            } => self.on_branch_failed(now, cx, leg, Failure::full()),
            Input::Cancel { id, message } => self.on_cancel(now, cx, id, message),
            Input::ServerFailed(id) => self.on_server_failed(now, cx, id),
            Input::Ack { message, .. } => self.on_ack(now, cx, &message),
            Input::Request { id, hop, message } => self.on_request(now, cx, id, hop, &message),
            Input::KeyPressed { pair, to, key } => self.on_key_pressed(now, cx, pair, to, key),
            Input::FlowFailed { pair, failure } => self.on_flow_failed(now, cx, pair, failure),
            Input::FlowRead { pair, report } => self.on_flow_read(now, cx, pair, &report),
            Input::Readdressed => self.on_readdressed(now, cx),
            Input::Stop => self.on_stop(now, cx),
            Input::HangUp => self.on_hang_up(now, cx),
        }
    }

    /// A queue for what it will want done: what it wants already comes first. [`Call::return_queue`] gives it back.
    pub(crate) fn lend_queue(&mut self, mut queue: VecDeque<Action>) {
        queue.clear();
        queue.append(&mut self.actions);
        self.actions = queue;
    }

    /// The queue that was lent, once nothing is left in it: a call that waits needs none.
    pub(crate) fn return_queue(&mut self) -> VecDeque<Action> {
        std::mem::take(&mut self.actions)
    }

    /// What to do next, in order.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Call::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let ringing = match &self.state {
            State::Ringing(plan) => Some(plan.deadline),
            State::Up { .. } | State::Over => None,
        };
        let branches = self.branches.iter().map(|b| b.side.poll_timeout());
        let silent = self.branches.iter().map(Branch::patience);
        branches
            .chain(silent)
            .chain([
                ringing,
                self.a.side.poll_timeout(),
                self.own.as_ref().and_then(|own| own.again),
                self.moved.as_deref().map(|moved| moved.at),
                self.transfer_deadline(),
                self.watch.as_deref().map(Watch::poll_timeout),
                self.poll_sessions(),
                self.a.provisionals.poll_timeout(),
            ])
            .flatten()
            .min()
    }

    /// Does what is due by now.
    pub fn handle_timeout(&mut self, now: Instant, cx: &mut Context<'_>) {
        self.repeat_answers(now, cx);
        self.repeat_provisional(now, cx);
        self.leave_silent(now, cx);
        if let State::Ringing(plan) = &self.state
            && plan.deadline <= now
        {
            self.on_ring_limit(now, cx);
        }
        if self.transfer_deadline().is_some_and(|at| at <= now) {
            self.on_transfer_limit(now, cx);
        }
        self.try_own(now, cx);
        self.tell_where(now, cx);
        self.listen(now);
        self.keep_sessions(now, cx);
    }

    /// Nothing is left to do: it may be dropped once its actions are drained.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
            && self.closing == 0
            && self.a.side.unacked.is_none()
            && self
                .branches
                .iter()
                .all(|b| b.is_settled() && b.side.unacked.is_none())
    }

    pub(super) fn branch(&mut self, leg: LegId) -> Option<&mut Branch> {
        self.branches.iter_mut().find(|b| b.leg == leg)
    }

    /// Hands on what the media core ordered: before anything is sent that lets media start.
    pub(super) fn order_flows(&mut self) {
        while let Some(command) = self.media.poll_action() {
            self.actions.push_back(Action::Flow(command));
        }
        if let Some(why) = self.media.poll_anchored() {
            let event = Event::MediaAnchored { call: self.id, why };
            self.actions.push_back(Action::Event(event));
        }
    }

    pub(super) fn respond(&mut self, id: ServerId, bytes: Bytes) {
        // What we wrote is well-formed; if it were not, no answer is better than a broken one.
        if let Ok(message) = Message::parse(bytes, &Default::default()) {
            self.actions.push_back(Action::Respond { id, message });
        }
    }
}
