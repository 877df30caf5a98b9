//! What two legs had agreed upon before they agreed upon something that turns out not to be possible: a media worker takes no more, a port is
//! someone else's. Both are brought back to it; the call goes on.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::context::Context;
use super::io::Action;
use super::machine::{Call, State};
use crate::engine::{Event, FlowFailure};
use crate::media::{LegId, Transcoding};

/// Shells say at once what they cannot do. What fails later has another reason, and what was said before then is long past.
const SOON: Duration = Duration::from_secs(10);

/// An agreement.
pub(super) struct Before {
    at: Instant,
    /// Who offered what took its place, and who answered.
    legs: [LegId; 2],
    /// What each of them had said.
    said: [Option<Bytes>; 2],
    /// It holds again.
    is_back: bool,
}

impl Call {
    /// What these two have agreed upon by now.
    pub(super) fn agreed(&mut self, now: Instant, legs: [LegId; 2]) -> Before {
        let said = legs.map(|leg| self.side(leg).and_then(|side| side.received.clone()));
        Before {
            at: now,
            legs,
            said,
            is_back: false,
        }
    }

    /// That took the place of this.
    pub(super) fn keep_before(&mut self, before: Before) {
        if self.media.has_former() {
            self.before = Some(Box::new(before));
        } else {
            self.before.take_if(|before| !before.is_back);
        }
    }

    /// Whether a worker may be asked for the media of what is offered now: whom none had time for a moment ago does not ask again.
    pub(super) fn transcoding(&self, now: Instant, cx: &Context<'_>) -> Transcoding {
        let is_recent = |at| now.saturating_duration_since(at) <= SOON;
        match self.before.as_deref() {
            Some(Before {
                at, is_back: true, ..
            }) if is_recent(*at) => cx.host.transcoding.now(Transcoding::Full),
            _ => cx.host.transcoding,
        }
    }

    /// Media of the last agreement cannot be forwarded: that of the one before goes on, and both are told. `false` if there is no such thing.
    pub(super) fn go_back(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        failure: FlowFailure,
    ) -> bool {
        let Some(before) = self.before.take_if(|before| !before.is_back) else {
            return false;
        };
        let State::Up { near, leg, .. } = self.state else {
            return false;
        };
        let is_here = before.legs.iter().all(|of| [near, leg].contains(of));
        let is_soon = now.saturating_duration_since(before.at) <= SOON;
        if !is_here || !is_soon || !self.media.go_back(cx.ports) {
            return false;
        }
        self.order_flows();
        let legs = before.legs;
        for (leg, said) in legs.into_iter().zip(before.said) {
            if let Some(side) = self.side(leg) {
                side.received = said;
            }
        }
        self.before = Some(Box::new(Before {
            at: now,
            legs,
            said: [None, None],
            is_back: true,
        }));
        self.actions.push_back(Action::Event(Event::MediaTakenBack {
            call: self.id,
            failure,
        }));
        self.note_hold(now);
        // Who answered hears again what the other one had said, and the other one what comes of it.
        let [offerer, _] = legs;
        self.tell_other(now, cx, offerer, 0);
        true
    }
}
