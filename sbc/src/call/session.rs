//! The session timer of one leg (RFC 4028): what is agreed upon, who refreshes, and when the session has to be over.
//!
//! Each leg has its own: what one side wants of us is no business of the other one.

use std::time::{Duration, Instant};

use super::view::SessionView;
use crate::sip::{Message, Method, Name, Writer};

/// Seconds: the interval that we ask for.
pub(super) const USUAL: u32 = 1800;

/// Seconds: the shortest interval that we take (RFC 4028 4).
pub const MIN_SE: u32 = 90;

/// Seconds: the longest interval that we let a peer's Min-SE force upon us.
const MOST: u32 = 86_400;

/// How long before its end a session that nobody has refreshed is hung up, if a third of it is not less (RFC 4028 10).
const BEFORE_THE_END: Duration = Duration::from_secs(32);

/// How often in a row a request is sent again because the peer wants a longer interval.
const MAX_RAISES: u8 = 3;

/// Who has to refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refresher {
    Us,
    Them,
}

/// What a leg knows of its session timer.
#[derive(Debug)]
pub(super) struct Session {
    timer: Option<Timer>,
    /// Seconds: the least that the peer takes, as far as it has said.
    least: u32,
    raises: u8,
    /// The peer takes UPDATE.
    updates: bool,
    /// A refresh of ours that has no final answer.
    open: Option<Method>,
}

/// An agreement.
#[derive(Clone, Copy, Debug)]
struct Timer {
    interval: u32,
    refresher: Refresher,
    /// When we refresh; `None` while we wait for an answer, or for the peer.
    refresh: Option<Instant>,
    /// When we hang up.
    end: Instant,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing yet.
    Nothing,
    /// Our refresh.
    Refresh,
    /// BYE: nobody refreshed it. The interval in seconds, and whether that was ours to do.
    End { interval: u32, ours: bool },
}

impl Session {
    /// Nothing is agreed upon.
    pub(super) fn new() -> Session {
        Session {
            timer: None,
            least: MIN_SE,
            raises: 0,
            updates: false,
            open: None,
        }
    }

    /// When [`Session::due`] has something to say.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let timer = self.timer?;
        Some(timer.refresh.map_or(timer.end, |at| at.min(timer.end)))
    }

    /// What is agreed upon.
    pub(super) fn view(&self) -> Option<SessionView> {
        let timer = self.timer?;
        Some(SessionView {
            interval: Duration::from_secs(timer.interval.into()),
            is_ours: timer.refresher == Refresher::Us,
            end: timer.end,
        })
    }

    /// What is to be done by now.
    pub(super) fn due(&self, now: Instant) -> Due {
        match self.timer {
            Some(timer) if timer.end <= now => Due::End {
                interval: timer.interval,
                ours: timer.refresher == Refresher::Us,
            },
            Some(timer) if timer.refresh.is_some_and(|at| at <= now) => Due::Refresh,
            _ => Due::Nothing,
        }
    }

    /// The method of the refresh of ours that is in flight.
    pub(super) fn open(&self) -> Option<Method> {
        self.open
    }

    /// How we refresh: UPDATE if the peer takes it, as that makes no offer (RFC 4028 7.4).
    pub(super) fn method(&self) -> Method {
        match self.updates {
            true => Method::Update,
            false => Method::Invite,
        }
    }

    /// Our refresh is on its way.
    pub(super) fn refreshing(&mut self, method: Method) {
        self.open = Some(method);
        if let Some(timer) = &mut self.timer {
            timer.refresh = None;
        }
    }

    /// Our refresh came to an end; what it was.
    pub(super) fn refreshed(&mut self) -> Option<Method> {
        self.open.take()
    }

    /// A refresh that could not be is due at another time, which the end of the session does not wait for.
    pub(super) fn refresh_at(&mut self, at: Instant) {
        if let Some(timer) = &mut self.timer
            && timer.refresher == Refresher::Us
        {
            timer.refresh = Some(at);
        }
    }

    /// The same, unless the session has been refreshed otherwise since.
    pub(super) fn try_again_at(&mut self, at: Instant) {
        if self.timer.is_some_and(|timer| timer.refresh.is_none()) {
            self.refresh_at(at);
        }
    }

    /// Half of the time that is left: when to try again what failed.
    pub(super) fn half_of_the_rest(&self, now: Instant) -> Duration {
        let end = self.timer.map_or(now, |timer| timer.end);
        end.saturating_duration_since(now) / 2
    }

    /// What a message of the peer's says of what it takes.
    pub(super) fn learn(&mut self, message: &Message) {
        if message.header(Name::Allow).is_some() {
            self.updates = message.values(Name::Allow).any(|m| m.trim() == "UPDATE");
        }
    }

    /// The peer refused UPDATE.
    pub(super) fn takes_no_update(&mut self) {
        self.updates = false;
    }

    /// A 422: whether there is another interval to try with.
    pub(super) fn raise(&mut self, refusal: &Message) -> bool {
        let wanted = min_se(refusal).unwrap_or(0);
        if wanted <= self.interval() || wanted > MOST || self.raises == MAX_RAISES {
            return false;
        }
        self.raises += 1;
        self.least = wanted;
        true
    }

    /// What our session refresh requests say (RFC 4028 7.1, 7.4): the roles stay as they are.
    pub(super) fn ask(&self, writer: Writer) -> Writer {
        let interval = self.interval();
        let writer = match self.timer.map(|timer| timer.refresher) {
            None => writer.header(Name::SessionExpires, interval),
            Some(Refresher::Us) => writer.header(
                Name::SessionExpires,
                format_args!("{interval};refresher=uac"),
            ),
            Some(Refresher::Them) => writer.header(
                Name::SessionExpires,
                format_args!("{interval};refresher=uas"),
            ),
        };
        match self.least {
            MIN_SE => writer,
            least => writer.header(Name::MinSe, least),
        }
    }

    /// A 2xx to a request with [`Session::ask`] begins the session anew, or ends its timer (RFC 4028 7.2).
    pub(super) fn answered(&mut self, now: Instant, answer: &Message) {
        self.learn(answer);
        self.raises = 0;
        self.timer = expires(answer).map(|(interval, refresher)| {
            let refresher = match refresher {
                Some(Role::Uas) => Refresher::Them,
                Some(Role::Uac) | None => Refresher::Us,
            };
            // What was not asked for is held for what it should have been.
            Timer::new(now, interval.clamp(MIN_SE, MOST), refresher)
        });
    }

    /// The 2xx to an INVITE or UPDATE of the peer's (RFC 4028 9): begins the session anew, and says so.
    pub(super) fn accept(&mut self, now: Instant, request: &Message, writer: Writer) -> Writer {
        self.learn(request);
        let knows_it = supports(request);
        let asked = expires(request);
        let kept = self.timer.map(|timer| timer.refresher);
        let refresher = match (asked, knows_it) {
            // Who does not know it is not asked for it, and goes on to be refreshed if that was so before.
            (None, false) => kept.filter(|refresher| *refresher == Refresher::Us),
            // A proxy wants it.
            (Some(_), false) => Some(Refresher::Us),
            (Some((_, Some(Role::Uas))), true) => Some(Refresher::Us),
            (Some((_, Some(Role::Uac))), true) => Some(Refresher::Them),
            // As before; at first the peer, whose NAT its own requests open.
            (Some((_, None)) | None, true) => Some(kept.unwrap_or(Refresher::Them)),
        };
        let Some(refresher) = refresher else {
            self.timer = None;
            return writer;
        };
        let least = min_se(request).unwrap_or(0).clamp(MIN_SE, MOST);
        let interval = match asked {
            // Ours to lessen, though not below its Min-SE; never to raise, but for what is too short.
            Some((interval, _)) => interval.clamp(MIN_SE, USUAL.max(least)),
            None => USUAL.max(least),
        };
        self.timer = Some(Timer::new(now, interval, refresher));
        match refresher {
            Refresher::Us => writer.header(
                Name::SessionExpires,
                format_args!("{interval};refresher=uas"),
            ),
            Refresher::Them => writer.header(Name::Require, "timer").header(
                Name::SessionExpires,
                format_args!("{interval};refresher=uac"),
            ),
        }
    }

    /// Seconds: what our next request asks for.
    fn interval(&self) -> u32 {
        let agreed = self.timer.map_or(USUAL, |timer| timer.interval);
        agreed.max(self.least)
    }
}

impl Timer {
    fn new(now: Instant, interval: u32, refresher: Refresher) -> Timer {
        let whole = Duration::from_secs(interval.into());
        Timer {
            interval,
            refresher,
            refresh: (refresher == Refresher::Us).then(|| now + whole / 2),
            end: now + whole - BEFORE_THE_END.min(whole / 3),
        }
    }
}

/// Whether a request asks for a session that is too short: it is answered 422 with [`MIN_SE`]. Who does not know the extension
/// would not understand (RFC 4028 9).
#[must_use]
pub fn is_too_short(request: &Message) -> bool {
    supports(request) && expires(request).is_some_and(|(interval, _)| interval < MIN_SE)
}

/// Who refreshes, by who sent the request at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Uac,
    Uas,
}

fn supports(message: &Message) -> bool {
    let mut tags = [Name::Supported, Name::Require]
        .into_iter()
        .flat_map(|name| message.values(name));
    tags.any(|tag| tag.trim().eq_ignore_ascii_case("timer"))
}

/// Session-Expires: seconds, and the refresher.
fn expires(message: &Message) -> Option<(u32, Option<Role>)> {
    let mut parts = message.header(Name::SessionExpires)?.split(';');
    let interval = seconds(parts.next()?)?;
    let role = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        if !name.trim().eq_ignore_ascii_case("refresher") {
            return None;
        }
        match value.trim() {
            value if value.eq_ignore_ascii_case("uac") => Some(Role::Uac),
            value if value.eq_ignore_ascii_case("uas") => Some(Role::Uas),
            _ => None,
        }
    });
    Some((interval, role))
}

fn min_se(message: &Message) -> Option<u32> {
    seconds(message.header(Name::MinSe)?.split(';').next()?)
}

/// Digits; more than can be counted is as much as can be.
fn seconds(text: &str) -> Option<u32> {
    let text = text.trim();
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests;
