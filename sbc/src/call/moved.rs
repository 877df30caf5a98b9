//! A peer sees us at another address than he did, as our router has a new one or he has left the house: he is told where our media is now, with a
//! re-INVITE that says nothing else new.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::context::Context;
use super::machine::{Call, LEG_A, State};
use crate::media::{End, LegId};
use crate::sdp::{Limits, Sdp};
use crate::transaction::Hop;

/// How soon it is looked whether he has been told; after each try twice as long.
const SOON: Duration = Duration::from_secs(1);

/// How often it is tried, within four minutes: who has refused so often will go on to.
const MAX_TRIES: u8 = 8;

/// What is still to be said.
pub(super) struct Moved {
    /// When to look whether somebody has to be told.
    pub(super) at: Instant,
    tries: u8,
}

impl Moved {
    /// After what is going on, which may say it.
    pub(super) fn soon(now: Instant) -> Box<Moved> {
        let at = now + SOON;
        Box::new(Moved { at, tries: 0 })
    }
}

impl Call {
    /// Where its legs' signalling is, ours and theirs.
    pub fn hops(&self) -> impl Iterator<Item = &Hop> {
        let branches = self.branches.iter().map(|branch| &branch.side);
        let sides = std::iter::once(&self.a.side).chain(branches);
        sides.filter(|side| !side.is_gone).map(|side| &side.hop)
    }

    /// Peers outside see us at another address now.
    pub(super) fn on_readdressed(&mut self, now: Instant, cx: &mut Context<'_>) {
        if matches!(self.state, State::Over) {
            return;
        }
        // What is said from now on has it, whoever begins.
        let anew = |end: &mut End| {
            let network = cx.config.network(end.network);
            end.shown = network.shows(end.address, end.signalling);
        };
        anew(&mut self.a.end);
        self.branches
            .iter_mut()
            .for_each(|branch| anew(&mut branch.end));
        self.moved = Some(Box::new(Moved { at: now, tries: 0 }));
        self.tell_where(now, cx);
    }

    /// Tells one who has to be told, if it is time: one re-INVITE of ours at a time is what a call has.
    pub(super) fn tell_where(&mut self, now: Instant, cx: &mut Context<'_>) {
        let is_due = |moved: &mut Box<Moved>| moved.at <= now;
        let Some(mut moved) = self.moved.take_if(is_due) else {
            return;
        };
        match self.state {
            State::Over => return,
            // An INVITE that has no answer yet said what held then.
            State::Ringing { .. } => moved.at = now + SOON,
            State::Up { near, leg, .. } => {
                let misled = [near, leg].into_iter().find(|leg| self.is_misled(*leg));
                let Some(leg) = misled.filter(|_| moved.tries < MAX_TRIES) else {
                    return;
                };
                if self.own.is_none() && self.transfer.is_none() {
                    self.restore(now, cx, leg);
                }
                moved.at = now + SOON * 2_u32.pow(moved.tries.into());
                moved.tries += 1;
            }
        }
        self.moved = Some(moved);
    }

    /// Whether the last description that went to a leg has its media at another address than what he sees us at.
    pub(super) fn is_misled(&mut self, leg: LegId) -> bool {
        let end = match leg {
            LEG_A => Some(&self.a.end),
            _ => self.branches.iter().find(|b| b.leg == leg).map(|b| &b.end),
        };
        let Some(shown) = end.map(|end| end.shown) else {
            return false;
        };
        let side = self.side(leg).filter(|side| !side.is_gone);
        let sent = side.and_then(|side| side.sent.as_deref());
        sent.and_then(told).is_some_and(|told| told != shown)
    }
}

/// The address in a description of ours.
fn told(sdp: &[u8]) -> Option<IpAddr> {
    let sdp = Sdp::parse(sdp, &Limits::default()).ok()?;
    let first = || sdp.streams().find_map(|stream| stream.connection());
    sdp.connection().or_else(first)?.host.ip()
}
