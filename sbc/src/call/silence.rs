//! Media that stops: whether anything still comes from the legs of an answered call.
//!
//! The counters of the call's flows are read four times in each `media_timeout` and compared with what they were. A leg that was
//! heard between two readings counts as heard at the second, so that a call ends between one and one and a quarter of it.

use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::config::MediaTimeout;
use crate::engine::Silent;
use crate::media::{FlowReport, PairId};
use crate::sdp::{Attribute, Direction, Host, Limits, Sdp};

/// The caller's leg, and that of who took the call: as the sides of its flow pairs.
type Legs<T> = [T; 2];

/// What is known of an answered call's media.
#[derive(Debug)]
pub(super) struct Watch {
    limits: Legs<MediaTimeout>,
    /// When something was last known to come from each leg, or nothing had to.
    heard: Legs<Instant>,
    due: Instant,
    is_held: bool,
    round: Round,
    /// What each pair had let in when it was last read.
    seen: SmallVec<[(PairId, Legs<u64>); 2]>,
    /// The next reading is only what later ones are compared with: nobody knows what came before the answer, and what while the
    /// call was on hold.
    is_first: bool,
}

/// One reading of all pairs.
#[derive(Debug)]
struct Round {
    begun: Instant,
    /// Those that have not answered.
    missing: SmallVec<[PairId; 2]>,
}

/// Who fell silent, and for how long at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Silence {
    pub(super) who: Silent,
    pub(super) time: Duration,
}

impl Watch {
    /// A call that was answered now; `None` if no silence ends it.
    pub(super) fn new(now: Instant, limits: Legs<MediaTimeout>) -> Option<Watch> {
        let mut watch = Watch {
            limits,
            heard: [now; 2],
            due: now,
            is_held: false,
            round: Round {
                begun: now,
                missing: SmallVec::new(),
            },
            seen: SmallVec::new(),
            is_first: true,
        };
        watch.deadlines().next()?;
        watch.wait(now);
        Some(watch)
    }

    /// When [`Watch::handle_timeout`] is due.
    pub(super) fn poll_timeout(&self) -> Instant {
        self.due
    }

    /// Begins a reading if one is due: of these pairs [`Watch::read`] is to be told. Gives none while there is nothing to hear.
    pub(super) fn handle_timeout(
        &mut self,
        now: Instant,
        pairs: impl Iterator<Item = PairId>,
    ) -> SmallVec<[PairId; 2]> {
        if now < self.due {
            return SmallVec::new();
        }
        self.round.begun = now;
        self.round.missing.clear();
        if !self.is_held {
            self.round.missing.extend(pairs);
        }
        let missing = &self.round.missing;
        self.seen.retain(|(pair, _)| missing.contains(pair));
        if missing.is_empty() {
            self.restart(now);
        }
        self.wait(now);
        self.round.missing.clone()
    }

    /// What a pair has let in by now. With the last answer of a reading it is clear whether someone has been silent for too long.
    pub(super) fn read(
        &mut self,
        now: Instant,
        pair: PairId,
        report: &FlowReport,
    ) -> Option<Silence> {
        let index = self.round.missing.iter().position(|&asked| asked == pair)?;
        self.round.missing.swap_remove(index);
        let counts = report.sides.map(|side| side.packets);
        let before = match self.seen.iter_mut().find(|(known, _)| *known == pair) {
            Some((_, counts_before)) => std::mem::replace(counts_before, counts),
            None => {
                self.seen.push((pair, counts));
                // A pair that is new to a call that is up.
                [0; 2]
            }
        };
        for ((heard, before), count) in self.heard.iter_mut().zip(before).zip(counts) {
            if self.is_first || before != count {
                *heard = now;
            }
        }
        if !self.round.missing.is_empty() {
            return None;
        }
        if std::mem::take(&mut self.is_first) {
            return None;
        }
        let (_, who) = self
            .deadlines()
            .filter(|(at, _)| *at <= self.round.begun)
            .min_by_key(|(at, _)| *at)?;
        let since = match who {
            Silent::Caller => self.heard[0],
            Silent::Called => self.heard[1],
            Silent::Both => self.heard[0].max(self.heard[1]),
        };
        let time = self.round.begun.saturating_duration_since(since);
        Some(Silence { who, time })
    }

    /// What signalling says now. The time begins anew when a hold ends.
    pub(super) fn hold(&mut self, now: Instant, is_held: bool) {
        let was_held = std::mem::replace(&mut self.is_held, is_held);
        if was_held && !is_held {
            self.restart(now);
            self.round.missing.clear();
            self.due = now;
            self.wait(now);
        }
    }

    fn restart(&mut self, now: Instant) {
        self.heard = [now; 2];
        self.is_first = true;
    }

    /// The next reading: after a quarter of the shortest limit, or as soon as the call could be at its end.
    fn wait(&mut self, now: Instant) {
        let limits = self.limits.into_iter().filter_map(length);
        let quarter = limits.min().unwrap_or_default() / 4;
        let ends = self.deadlines().map(|(at, _)| at).filter(|&at| at > now);
        self.due = ends.fold(now + quarter, Instant::min);
    }

    /// When the call ends if nothing is heard any more, and because of whom.
    fn deadlines(&self) -> impl Iterator<Item = (Instant, Silent)> + use<> {
        let [caller, called] = self.heard;
        let both = caller.max(called);
        let [of_caller, of_called] = self.limits;
        let deadline = |heard, who, limit, other| match limit {
            MediaTimeout::Off => None,
            MediaTimeout::Alone(limit) => Some((heard + limit, who)),
            MediaTimeout::Together(_) if other == MediaTimeout::Off => None,
            MediaTimeout::Together(limit) => Some((both + limit, Silent::Both)),
        };
        [
            deadline(caller, Silent::Caller, of_caller, of_called),
            deadline(called, Silent::Called, of_called, of_caller),
        ]
        .into_iter()
        .flatten()
    }
}

fn length(limit: MediaTimeout) -> Option<Duration> {
    match limit {
        MediaTimeout::Off => None,
        MediaTimeout::Alone(limit) | MediaTimeout::Together(limit) => Some(limit),
    }
}

/// Whether a session description puts all its streams on hold: sendonly, recvonly or inactive (RFC 3264 8.4), or wants media at the
/// unspecified address (RFC 2543). Without a stream there is nothing to be heard either.
pub(super) fn is_hold(body: &[u8]) -> bool {
    let Ok(sdp) = Sdp::parse(body, &Limits::default()) else {
        return false;
    };
    let direction = |attribute| match attribute {
        Attribute::Direction(direction) => Some(direction),
        _ => None,
    };
    let session = sdp
        .session_lines()
        .iter()
        .filter_map(|line| line.attribute())
        .find_map(direction);
    let mut live = sdp.streams().filter(|stream| stream.media().port != 0);
    live.all(|stream| {
        let own = stream.attributes().find_map(direction);
        let is_one_way = own
            .or(session)
            .is_some_and(|direction| direction != Direction::SendRecv);
        let nowhere = stream.connection().is_some_and(
            |connection| matches!(connection.host, Host::Ip(ip) if ip.is_unspecified()),
        );
        is_one_way || nowhere
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::FlowCount;

    const SECOND: Duration = Duration::from_secs(1);
    const RTP: PairId = PairId(1);
    const RTCP: PairId = PairId(2);

    fn alone(seconds: u64) -> MediaTimeout {
        MediaTimeout::Alone(Duration::from_secs(seconds))
    }

    fn together(seconds: u64) -> MediaTimeout {
        MediaTimeout::Together(Duration::from_secs(seconds))
    }

    fn report(packets: [u64; 2]) -> FlowReport {
        FlowReport {
            sides: packets.map(|packets| FlowCount {
                packets,
                ..FlowCount::default()
            }),
        }
    }

    /// When a call is ended whose legs have let in `packets` at each second, and by whom.
    fn ends(
        limits: Legs<MediaTimeout>,
        packets: impl Fn(u64) -> Legs<u64>,
    ) -> Option<(u64, Silence)> {
        let start = Instant::now();
        let mut watch = Watch::new(start, limits)?;
        for second in 0..1000 {
            let now = start + second as u32 * SECOND;
            for pair in watch.handle_timeout(now, [RTP, RTCP].into_iter()) {
                let counts = if pair == RTP { packets(second) } else { [0; 2] };
                if let Some(silence) = watch.read(now, pair, &report(counts)) {
                    return Some((second, silence));
                }
            }
        }
        None
    }

    fn silent(who: Silent, seconds: u64) -> Silence {
        Silence {
            who,
            time: Duration::from_secs(seconds),
        }
    }

    #[test]
    fn nothing_to_watch_is_nothing() {
        let now = Instant::now();
        let off = MediaTimeout::Off;
        assert!(Watch::new(now, [off; 2]).is_none());
        assert!(Watch::new(now, [together(60), off]).is_none());
        assert!(Watch::new(now, [off, together(60)]).is_none());
        assert!(Watch::new(now, [off, alone(60)]).is_some());
    }

    #[test]
    fn a_call_ends_between_one_and_one_and_a_quarter_of_the_limit() {
        for stops in 0..70 {
            let (at, silence) = ends([alone(60), MediaTimeout::Off], |second| {
                [second.min(stops), 0]
            })
            .unwrap();
            assert!(
                (stops + 60..=stops + 75).contains(&at),
                "stopped at {stops}, ended at {at}"
            );
            assert_eq!(silence.who, Silent::Caller);
            assert!((60..=75).contains(&silence.time.as_secs()), "{silence:?}");
        }
    }

    #[test]
    fn each_leg_has_its_own_limit() {
        let limits = [alone(100), alone(20)];
        assert_eq!(
            ends(limits, |second| [second, 0]),
            Some((25, silent(Silent::Called, 20)))
        );
        assert_eq!(
            ends(limits, |second| [0, second]),
            Some((105, silent(Silent::Caller, 100)))
        );
        assert_eq!(ends(limits, |second| [second, second]), None);
        // What one way alone is heard keeps that leg alive, and the other needs a limit of its own to end the call.
        assert_eq!(
            ends([alone(20), MediaTimeout::Off], |second| [second, 0]),
            None
        );
        assert_eq!(ends([alone(20), together(20)], |second| [second, 0]), None);
    }

    #[test]
    fn together_is_when_the_later_of_both_has_been_silent_for_so_long() {
        let limits = [together(60), together(60)];
        assert_eq!(ends(limits, |second| [second, 0]), None);
        assert_eq!(ends(limits, |second| [0, second]), None);
        assert_eq!(
            ends(limits, |_| [7, 7]),
            Some((75, silent(Silent::Both, 60)))
        );
        assert_eq!(
            ends(limits, |second| [second.min(100), 0]),
            Some((165, silent(Silent::Both, 60)))
        );
    }

    #[test]
    fn rtcp_alone_keeps_a_leg_alive() {
        let start = Instant::now();
        let mut watch = Watch::new(start, [alone(60), MediaTimeout::Off]).unwrap();
        for second in 0..1000 {
            let now = start + second * SECOND;
            for pair in watch.handle_timeout(now, [RTP, RTCP].into_iter()) {
                let counts = if pair == RTCP {
                    [second.into(), 0]
                } else {
                    [5, 5]
                };
                assert_eq!(watch.read(now, pair, &report(counts)), None, "{second}");
            }
        }
    }

    #[test]
    fn a_reading_that_is_not_answered_ends_nothing() {
        let start = Instant::now();
        let mut watch = Watch::new(start, [alone(60); 2]).unwrap();
        let mut ask = |second: u32, answered: &[PairId]| {
            let now = start + second * SECOND;
            let asked = watch.handle_timeout(now, [RTP, RTCP].into_iter());
            assert_eq!(asked.as_slice(), [RTP, RTCP], "{second}");
            let each = answered.iter();
            each.filter_map(|&pair| watch.read(now, pair, &report([0; 2])))
                .next()
        };
        assert_eq!(ask(15, &[RTP, RTCP]), None);
        for second in (30..=90).step_by(15) {
            assert_eq!(ask(second, &[RTCP]), None);
        }
        // Nobody asked for this one, or again.
        assert_eq!(ask(105, &[PairId(9), RTP, RTP]), None);
        assert_eq!(ask(120, &[RTCP, RTP]), Some(silent(Silent::Caller, 105)));
    }

    #[test]
    fn a_pair_that_comes_later_counts_from_nothing() {
        let start = Instant::now();
        let mut watch = Watch::new(start, [alone(60); 2]).unwrap();
        let mut at = |second: u32, pair: PairId, counts| {
            let now = start + second * SECOND;
            let asked = watch.handle_timeout(now, std::iter::once(pair));
            assert_eq!(asked.as_slice(), [pair], "{second}");
            watch.read(now, pair, &report(counts))
        };
        assert_eq!(at(15, RTP, [900, 900]), None);
        assert_eq!(at(30, RTP, [900, 900]), None);
        assert_eq!(at(45, PairId(3), [900, 900]), None);
        for second in [60, 75, 90] {
            assert_eq!(at(second, PairId(3), [900, 900]), None);
        }
        assert_eq!(
            at(105, PairId(3), [900, 901]),
            Some(silent(Silent::Caller, 60))
        );
    }

    #[test]
    fn a_hold_is_no_silence_and_its_end_begins_anew() {
        let start = Instant::now();
        let at = |second: u32| start + second * SECOND;
        let mut watch = Watch::new(start, [alone(60); 2]).unwrap();
        watch.hold(at(1), true);
        for second in 0..500 {
            let asked = watch.handle_timeout(at(second), [RTP].into_iter());
            assert_eq!(asked.as_slice(), []);
        }
        assert!(watch.poll_timeout() > at(500));
        watch.hold(at(507), false);
        assert_eq!(watch.poll_timeout(), at(522));
        let mut end = None;
        for second in 507..700 {
            for pair in watch.handle_timeout(at(second), [RTP].into_iter()) {
                // Music while they were on hold is no sign of life now.
                end = end.or(watch
                    .read(at(second), pair, &report([800; 2]))
                    .map(|s| (second, s)));
            }
        }
        assert_eq!(end, Some((582, silent(Silent::Caller, 60))));
        // Signalling that says the same again begins nothing.
        let due = watch.poll_timeout();
        watch.hold(at(703), false);
        assert_eq!(watch.poll_timeout(), due);
    }

    #[test]
    fn an_answer_that_takes_its_time_is_not_too_early() {
        let start = Instant::now();
        let late = Duration::from_millis(7);
        let mut watch = Watch::new(start, [alone(60), MediaTimeout::Off]).unwrap();
        for _ in 0..20 {
            let now = watch.poll_timeout();
            assert_eq!(
                watch.handle_timeout(now, [RTP].into_iter()).as_slice(),
                [RTP]
            );
            if let Some(silence) = watch.read(now + late, RTP, &report([3; 2])) {
                assert_eq!(silence, silent(Silent::Caller, 60));
                assert_eq!(now - start, 75 * SECOND + late);
                return;
            }
        }
        panic!("it never ends");
    }

    #[test]
    fn what_a_hold_looks_like() {
        let sdp = |session: &str, address: &str, streams: &str| {
            format!(
                "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n{session}{streams}"
            )
        };
        let audio = "m=audio 4000 RTP/AVP 0\r\n";
        let video = "m=video 4002 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n";
        let held = |session: &str, address: &str, streams: &str| {
            is_hold(sdp(session, address, streams).as_bytes())
        };
        assert!(!held("", "10.0.0.1", audio));
        assert!(!held("", "10.0.0.1", &format!("{audio}a=sendrecv\r\n")));
        for direction in ["sendonly", "recvonly", "inactive"] {
            assert!(held("", "10.0.0.1", &format!("{audio}a={direction}\r\n")));
            let session = format!("a={direction}\r\n");
            assert!(held(&session, "10.0.0.1", audio));
            // The stream's own word is nearer.
            assert!(!held(
                &session,
                "10.0.0.1",
                &format!("{audio}a=sendrecv\r\n")
            ));
        }
        assert!(held("", "0.0.0.0", audio));
        assert!(!held(
            "",
            "0.0.0.0",
            &format!("{audio}c=IN IP4 10.0.0.1\r\n")
        ));
        // One stream that goes both ways is enough to be heard.
        assert!(!held(
            "",
            "10.0.0.1",
            &format!("{audio}{video}a=recvonly\r\n")
        ));
        let off = "m=video 0 RTP/AVP 96\r\n";
        assert!(held("", "10.0.0.1", &format!("{audio}a=sendonly\r\n{off}")));
        assert!(held("", "10.0.0.1", off));
        assert!(!is_hold(b"no sdp"));
    }
}
