//! The subscription that a REFER makes (RFC 3515 2.4.4): how its transfer goes, told by NOTIFY in the same dialog.

use super::context::{AGENT, Context};
use super::io::{Action, Purpose};
use super::machine::Call;
use super::side::{Why, contact, via};
use crate::media::LegId;
use crate::sip::{Message, Method, Name};

/// How long the subscription lasts at most, as it is told: longer than any target rings.
const EXPIRES: u32 = 600;

/// Who asked for a transfer, and what he has been told of it.
pub(super) struct Referral {
    leg: LegId,
    /// `refer`, with an id for all but the first of a dialog (RFC 3515 2.4.6).
    event: String,
    /// He does not want to be told (RFC 4488).
    is_silent: bool,
    /// A NOTIFY has no answer yet: the next one waits, so that they stay in order.
    in_flight: bool,
    next: Option<(u16, String)>,
    is_final: bool,
    /// To be hung up once he has been told.
    hang_up: Option<Why>,
}

impl Referral {
    pub(super) fn is_of(&self, leg: LegId) -> bool {
        self.leg == leg
    }
}

impl Call {
    /// A REFER has been accepted.
    pub(super) fn open_referral(&mut self, cx: &mut Context<'_>, leg: LegId, refer: &Message) {
        let is_first = !self.referrers.contains(&leg);
        if is_first {
            self.referrers.push(leg);
        }
        self.referrals.retain(|referral| referral.leg != leg);
        self.referrals.push(Referral {
            leg,
            event: match is_first {
                true => "refer".to_owned(),
                false => format!("refer;id={}", refer.cseq().number),
            },
            is_silent: wants_silence(refer),
            in_flight: false,
            next: None,
            is_final: false,
            hang_up: None,
        });
        self.report(cx, leg, 100, "Trying");
    }

    /// Tells who asked for it how it goes.
    pub(super) fn report(&mut self, cx: &mut Context<'_>, leg: LegId, code: u16, phrase: &str) {
        let Some(referral) = self.referrals.iter_mut().find(|r| r.leg == leg) else {
            return;
        };
        if referral.is_silent {
            if code >= 200 {
                self.referrals.retain(|referral| referral.leg != leg);
            }
            return;
        }
        referral.next = Some((code, phrase.to_owned()));
        if !referral.in_flight {
            self.send_notify(cx, leg);
        }
    }

    /// Hangs up once he has been told, or at once if there is nothing to tell.
    pub(super) fn let_go_when_told(&mut self, cx: &mut Context<'_>, leg: LegId, why: Why) {
        match self.referrals.iter_mut().find(|r| r.leg == leg) {
            Some(referral) => referral.hang_up = Some(why),
            None => self.let_go(cx, leg, Some(&why)),
        }
    }

    /// A NOTIFY was answered; `None`: it was not.
    pub(super) fn on_notified(&mut self, cx: &mut Context<'_>, leg: LegId, code: Option<u16>) {
        if code.is_some_and(|code| code < 200) {
            return;
        }
        let Some(referral) = self.referrals.iter_mut().find(|r| r.leg == leg) else {
            return;
        };
        referral.in_flight = false;
        let is_wanted = code.is_some_and(|code| code < 300);
        if !is_wanted || referral.is_final && referral.next.is_none() {
            let hang_up = referral.hang_up.take();
            // He may not want to hear of it; when it is over he is hung up all the same.
            if referral.is_final || hang_up.is_some() {
                self.referrals.retain(|referral| referral.leg != leg);
            } else {
                referral.is_silent = true;
            }
            if let Some(why) = hang_up {
                self.let_go(cx, leg, Some(&why));
            }
        } else if referral.next.is_some() {
            self.send_notify(cx, leg);
        }
    }

    fn send_notify(&mut self, cx: &mut Context<'_>, leg: LegId) {
        let Some(referral) = self.referrals.iter_mut().find(|r| r.leg == leg) else {
            return;
        };
        let Some((code, phrase)) = referral.next.take() else {
            return;
        };
        referral.in_flight = true;
        referral.is_final = code >= 200;
        let state = match code {
            ..200 => format!("active;expires={EXPIRES}"),
            _ => "terminated;reason=noresource".to_owned(),
        };
        let event = referral.event.clone();
        let Some(side) = self.side(leg) else {
            return;
        };
        let Some(mut dialog) = side.dialog.take() else {
            return;
        };
        let hop = side.next_hop(cx, &dialog);
        let via = via(cx.config, &hop, &cx.tokens.branch(dialog.request_uri()));
        let bytes = dialog
            .request(Method::Notify, &via)
            .header(Name::Contact, contact(cx.config, &hop))
            .header(Name::Event, event)
            .header(Name::SubscriptionState, state)
            .header(Name::UserAgent, AGENT)
            .body(
                "message/sipfrag;version=2.0",
                format!("SIP/2.0 {code} {phrase}\r\n").as_bytes(),
            );
        side.dialog = Some(dialog);
        if let Ok(message) = Message::parse(bytes, &Default::default()) {
            self.actions.push_back(Action::Request {
                purpose: Purpose::Notify(leg),
                hop,
                message,
            });
        }
    }
}

/// `Refer-Sub: false` (RFC 4488).
pub(super) fn wants_silence(refer: &Message) -> bool {
    refer.header(Name::ReferSub).is_some_and(|value| {
        let value = value.split(';').next().unwrap_or_default();
        value.trim().eq_ignore_ascii_case("false")
    })
}
