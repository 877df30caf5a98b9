//! Re-INVITEs of our own: one leg is offered what another one has said, so that the two can talk (RFC 3725, RFC 3261 14).

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::answering::sdp_of;
use super::context::Context;
use super::effects::ends_call;
use super::io::{Action, Purpose};
use super::machine::Call;
use super::relay::back_off;
use crate::media::LegId;
use crate::sip::{Message, Method};
use crate::transaction::ClientId;

/// How often it is tried while the other side is busy with an offer of its own.
const MAX_TRIES: u8 = 8;

/// How long to wait while this side is.
const PAUSE: Duration = Duration::from_secs(1);

/// An offer of ours. There is one at a time.
pub(super) struct Own {
    /// Who is asked.
    pub(super) to: LegId,
    /// Whose description it is.
    from: LegId,
    sdp: Bytes,
    pub(super) what: What,
    /// What was sent.
    offer: Bytes,
    /// When it is to be sent; `None` while its answer is awaited.
    pub(super) again: Option<Instant>,
    tries: u8,
}

/// What the answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Who comes out of another call is asked for a description.
    Asking,
    /// Who stays gets that of who comes.
    Joining,
    /// What would have become of it is off: this side is to be brought back to what it had.
    Abandoned,
    /// It is brought back.
    Restoring,
}

impl Call {
    /// Offers `to` what `from` has said, as soon as nothing else is open there.
    pub(super) fn begin_own(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        [from, to]: [LegId; 2],
        sdp: Bytes,
        what: What,
    ) {
        self.own = Some(Box::new(Own {
            to,
            from,
            sdp,
            what,
            offer: Bytes::new(),
            again: Some(now),
            tries: 0,
        }));
        self.try_own(now, cx);
    }

    /// Sends it if it is due.
    pub(super) fn try_own(&mut self, now: Instant, cx: &mut Context<'_>) {
        let is_due = |own: &mut Box<Own>| own.again.is_some_and(|at| at <= now);
        let Some(mut own) = self.own.take_if(is_due) else {
            return;
        };
        let to = own.to;
        if self.is_busy(to) {
            return self.postpone(now, cx, own, PAUSE);
        }
        let (Some(mut from_end), Some(mut to_end)) = (self.end(own.from), self.end(to)) else {
            return self.lose_own(now, cx, &own, 481);
        };
        let transcoding = self.transcoding(now, cx);
        for end in [&mut from_end, &mut to_end] {
            end.transcoding = end.transcoding.now(transcoding);
        }
        let ends = ((own.from, &from_end), (to, &to_end));
        let offer = self.media.offer(
            now, cx.ports, ends.0.0, ends.0.1, ends.1.0, ends.1.1, &own.sdp,
        );
        self.order_flows();
        let offer = match offer {
            Ok(offer) => offer,
            Err(refused) => return self.lose_own(now, cx, &own, refused.code()),
        };
        let Some((hop, message)) = self.write_offer(cx, to, Method::Invite, Some(&offer)) else {
            return self.lose_own(now, cx, &own, 481);
        };
        own.offer = offer;
        own.again = None;
        self.own = Some(own);
        self.actions.push_back(Action::Request {
            purpose: Purpose::Own(to),
            hop,
            message,
        });
    }

    /// What the other side says to it.
    pub(super) fn on_own_answer(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        leg: LegId,
        id: ClientId,
        answer: &Message,
    ) {
        let code = answer.code().unwrap_or_default();
        if let Some(side) = self.side(leg) {
            side.challenges.answered(code);
        }
        if (200..300).contains(&code) {
            self.acknowledge_offer(cx, leg, id, answer, None);
            if let Some(side) = self.side(leg) {
                side.session.answered(now, answer);
            }
        }
        if code < 200 {
            return;
        }
        let is_it = |own: &mut Box<Own>| own.to == leg && own.again.is_none();
        let Some(own) = self.own.take_if(is_it) else {
            return;
        };
        match code {
            200..300 => self.on_own_accepted(now, cx, *own, answer),
            422 if self.side(leg).is_some_and(|s| s.session.raise(answer)) => {
                self.postpone(now, cx, own, Duration::ZERO);
                self.try_own(now, cx);
            }
            401 | 407 if self.learns_challenge(cx, leg, answer) => {
                self.postpone(now, cx, own, Duration::ZERO);
                self.try_own(now, cx);
            }
            491 if own.what != What::Abandoned => {
                let time = back_off(cx, leg);
                self.postpone(now, cx, own, time);
            }
            _ => self.lose_own(now, cx, &own, code),
        }
    }

    /// It came to nothing without an answer.
    pub(super) fn on_own_failed(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        leg: LegId,
        code: u16,
    ) {
        let is_it = |own: &mut Box<Own>| own.to == leg && own.again.is_none();
        if let Some(own) = self.own.take_if(is_it) {
            self.lose_own(now, cx, &own, code);
        }
    }

    /// Whether an offer of ours waits for this leg's answer.
    pub(super) fn is_asked(&self, leg: LegId) -> bool {
        let is_open = |own: &Own| own.to == leg && own.again.is_none();
        self.own.as_deref().is_some_and(is_open)
    }

    /// A leg has come back with an offer open that is of no use any more.
    pub(super) fn expect_abandoned(&mut self, to: LegId) {
        self.own = Some(Box::new(Own {
            to,
            from: to,
            sdp: Bytes::new(),
            what: What::Abandoned,
            offer: Bytes::new(),
            again: None,
            tries: 0,
        }));
    }

    /// Whether there is one at all.
    pub(super) fn has_own_offer(&self) -> bool {
        self.own.is_some()
    }

    /// Brings a leg back to what its opposite has said.
    pub(super) fn restore(&mut self, now: Instant, cx: &mut Context<'_>, leg: LegId) {
        let from = self.opposite(leg);
        let sdp = from.and_then(|from| self.side(from)?.received.clone());
        if let (Some(from), Some(sdp)) = (from, sdp) {
            self.begin_own(now, cx, [from, leg], sdp, What::Restoring);
        }
    }

    fn on_own_accepted(&mut self, now: Instant, cx: &mut Context<'_>, own: Own, answer: &Message) {
        let body = sdp_of(answer).map(Bytes::copy_from_slice);
        match (own.what, body) {
            (What::Abandoned, _) => self.restore(now, cx, own.to),
            (_, None) => self.lose_own(now, cx, &own, 488),
            (What::Asking, Some(body)) => {
                self.note_said(own.to, &body, own.offer);
                self.on_asked(now, cx, own.to, body);
            }
            (What::Joining | What::Restoring, Some(body)) => {
                let sdp = self.media.answer(now, cx.ports, own.to, &body);
                self.order_flows();
                match sdp {
                    Ok(sdp) => {
                        self.note_said(own.to, &body, own.offer);
                        match own.what {
                            What::Joining => self.finish_transfer(now, cx, sdp),
                            _ => self.note_hold(now),
                        }
                    }
                    Err(refused) => {
                        let code = refused.code();
                        self.lose_own(now, cx, &own, code);
                        if own.what == What::Joining {
                            self.restore(now, cx, own.to);
                        }
                    }
                }
            }
        }
    }

    fn note_said(&mut self, leg: LegId, said: &Bytes, told: Bytes) {
        if let Some(side) = self.side(leg) {
            side.received = Some(said.clone());
            side.sent = Some(told);
        }
    }

    fn postpone(&mut self, now: Instant, cx: &mut Context<'_>, mut own: Box<Own>, time: Duration) {
        if own.tries == MAX_TRIES {
            return self.lose_own(now, cx, &own, 500);
        }
        own.tries += 1;
        own.again = Some(now + time);
        self.own = Some(own);
    }

    fn lose_own(&mut self, now: Instant, cx: &mut Context<'_>, own: &Own, code: u16) {
        let is_gone = ends_call(Method::Invite, code);
        match own.what {
            What::Asking => self.on_asked_in_vain(now, cx, code),
            What::Joining => self.fail_transfer(now, cx, code, None),
            What::Abandoned | What::Restoring => {}
        }
        if is_gone && own.what != What::Asking {
            self.break_off(now, cx, "a leg has forgotten the call");
        }
    }
}

/// A description without what it says of hold: the one that it goes to now is another one.
pub(super) fn without_direction(sdp: &[u8]) -> Bytes {
    const DIRECTIONS: [&[u8]; 4] = [b"a=sendrecv", b"a=sendonly", b"a=recvonly", b"a=inactive"];
    let mut kept = Vec::with_capacity(sdp.len());
    for line in sdp.split_inclusive(|&b| b == b'\n') {
        if !DIRECTIONS.contains(&line.trim_ascii_end()) {
            kept.extend_from_slice(line);
        }
    }
    kept.into()
}

#[cfg(test)]
mod tests {
    use super::super::machine::LEG_A;
    use super::super::relay::spread;
    use super::*;

    #[test]
    fn the_owner_of_the_call_id_waits_longer_and_both_in_steps_of_ten() {
        // RFC 3261 14.1: 0 to 2 s, and 2.1 to 4 s for who owns the Call-ID: we, where we called.
        for (leg, least, most) in [(LEG_A, 0, 2000), (LegId(1), 2100, 4000)] {
            let all: Vec<u128> = (0..1000).map(|r| spread(leg, r).as_millis()).collect();
            assert_eq!(all.iter().min(), Some(&least));
            assert_eq!(all.iter().max(), Some(&most));
            assert!(all.iter().all(|time| time % 10 == 0));
            let different: std::collections::BTreeSet<_> = all.iter().collect();
            assert_eq!(different.len() as u128, (most - least) / 10 + 1);
        }
    }
}
