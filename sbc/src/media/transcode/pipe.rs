//! Both directions of a transcoded pair, and the RTCP of both its legs.

use super::direction::Direction;
use super::random::Random;
use super::reports::Reports;
use super::stats::TranscodeStats;
use super::{Nanos, Outbox};
use crate::media::Voice;
use crate::rtp::info::Pressed;

/// One transcoded RTP pair with its RTCP. Driven by packets: what comes in order is decoded, encoded and sent at once, so that no queue
/// can grow, however the clocks drift. Only packets behind a gap wait, for at most 40 ms, and what does not fill a packet of the other side.
///
/// Sides are 0 and 1. Times are of one clock that never goes back.
#[derive(Debug)]
pub struct Pipe {
    /// By the side that they come from.
    directions: [Direction; 2],
    /// By the side that they go to.
    reports: [Reports; 2],
    epoch: u64,
}

impl Pipe {
    /// Nothing has come yet. Sources, first sequence numbers and timestamps and the names in RTCP come from the seed.
    #[must_use]
    pub fn new(voices: [Voice; 2], seed: u64) -> Pipe {
        let random = &mut Random::new(seed);
        let [a, b] = &voices;
        Pipe {
            directions: [
                Direction::new(1, a, b, random),
                Direction::new(0, b, a, random),
            ],
            reports: [Reports::new(0, random), Reports::new(1, random)],
            epoch: 0,
        }
    }

    /// The NTP time (seconds since 1900 in the upper, their fraction in the lower 32 bits) at which the worker's clock was zero. Until it is
    /// set, sender reports count from that zero, as RFC 3550 6.4.1 lets those without a clock do.
    pub fn set_epoch(&mut self, epoch: u64) {
        self.epoch = epoch;
    }

    /// Signalling has named other codecs, payload types or packet times. Sources and sequences go on. Nothing may be owed.
    pub fn update(&mut self, voices: [Voice; 2]) {
        let [a, b] = &voices;
        let [ab, ba] = &mut self.directions;
        ab.player.update(a, b);
        ba.player.update(b, a);
    }

    /// An RTP packet of a side's peer.
    pub fn rtp(&mut self, now: Nanos, from: usize, packet: &[u8], out: &mut impl Outbox) {
        self.settle(from, out);
        let Some(direction) = self.directions.get_mut(from) else {
            return;
        };
        direction.rtp(now, packet, out);
        self.begin_reports(now, from);
    }

    /// Something has come from this side: reports begin where something has been heard, or sent.
    pub(super) fn begin_reports(&mut self, now: Nanos, from: usize) {
        let Some(direction) = self.directions.get(from) else {
            return;
        };
        let has_heard = direction.reception.is_some();
        let has_sent = direction.player.sender.stream.packets > 0;
        for (side, reports) in self.reports.iter_mut().enumerate() {
            let is_in_use = match side == from {
                true => has_heard,
                false => has_sent,
            };
            if is_in_use {
                reports.begin(now);
            }
        }
    }

    /// An RTCP datagram of a side's peer. It ends here.
    pub fn rtcp(&mut self, now: Nanos, from: usize, packet: &[u8], out: &mut impl Outbox) {
        self.settle_all(out);
        let epoch = self.epoch;
        if let Some((reports, back, _)) = self.leg(from) {
            reports.read(now, epoch, &back.player.sender.stream, packet);
        }
    }

    /// A key for a side's peer, behind those that wait: as an event where the peer has them, else as a tone. `false`: too many wait.
    pub fn press(&mut self, now: Nanos, to: usize, key: Pressed, out: &mut impl Outbox) -> bool {
        self.settle_all(out);
        let Some((reports, back, _)) = self.leg(to) else {
            return false;
        };
        let found_room = back.player.press(now, key, out);
        if back.player.sender.stream.packets > 0 {
            reports.begin(now);
        }
        found_room
    }

    /// A key that the other side has pressed and this side's peer is to be told of by signalling.
    pub fn poll_key(&mut self) -> Option<(usize, Pressed)> {
        let [ab, ba] = &mut self.directions;
        let key = ab.player.told.take().map(|key| (1, key));
        key.or_else(|| ba.player.told.take().map(|key| (0, key)))
    }

    /// When [`Pipe::handle_timeout`] is due. May come earlier after any call.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Nanos> {
        let directions = self.directions.iter().filter_map(Direction::poll_timeout);
        let reports = self.reports.iter().filter_map(Reports::due);
        directions.chain(reports).min()
    }

    /// Time has passed: gives up what does not come, sends what is due.
    pub fn handle_timeout(&mut self, now: Nanos, out: &mut impl Outbox) {
        self.settle_all(out);
        for direction in &mut self.directions {
            direction.handle_timeout(now, out);
        }
        let epoch = self.epoch;
        for side in [0, 1] {
            if let Some((reports, back, forth)) = self.leg(side)
                && reports.due().is_some_and(|due| due <= now)
            {
                let stream = &back.player.sender.stream;
                reports.report(now, epoch, stream, forth.reception.as_mut(), out);
            }
        }
    }

    /// The pair ends: takes leave of both peers, if they have been sent anything. The last that a pipe is asked.
    pub fn end(&mut self, now: Nanos, out: &mut impl Outbox) {
        self.settle_all(out);
        let epoch = self.epoch;
        for side in [0, 1] {
            if let Some((reports, back, forth)) = self.leg(side) {
                let stream = &back.player.sender.stream;
                reports.end(now, epoch, stream, forth.reception.as_mut(), out);
            }
        }
    }

    /// By side.
    #[must_use]
    pub fn stats(&self) -> [TranscodeStats; 2] {
        let [ab, ba] = &self.directions;
        let [a, b] = &self.reports;
        [stats(ab, ba, a), stats(ba, ab, b)]
    }

    /// Does what is left undone ([`Pipe::owes`]) of either direction.
    pub fn settle_all(&mut self, out: &mut impl Outbox) {
        for from in [0, 1] {
            self.settle(from, out);
        }
    }

    pub(super) fn direction(&self, from: usize) -> Option<&Direction> {
        self.directions.get(from)
    }

    pub(super) fn direction_mut(&mut self, from: usize) -> Option<&mut Direction> {
        self.directions.get_mut(from)
    }

    /// The reports to a side, with the direction to it and the one from it.
    fn leg(&mut self, side: usize) -> Option<(&mut Reports, &mut Direction, &mut Direction)> {
        let [ab, ba] = &mut self.directions;
        let [a, b] = &mut self.reports;
        match side {
            0 => Some((a, ba, ab)),
            1 => Some((b, ab, ba)),
            _ => None,
        }
    }
}

fn stats(from: &Direction, to: &Direction, reports: &Reports) -> TranscodeStats {
    let (arrived, played) = (&from.arrived, &from.player.played);
    let sent = &to.player.sender.stream;
    TranscodeStats {
        received: arrived.received,
        malformed: arrived.malformed + played.malformed,
        wrong_payload_type: played.wrong_payload_type,
        empty: played.empty,
        duplicate: arrived.duplicate,
        late: arrived.late,
        reordered: arrived.reordered,
        lost: arrived.lost,
        stray: arrived.stray,
        restarts: arrived.restarts,
        concealed: played.concealed,
        heard: played.heard,
        still: played.still,
        events: played.events,
        keys_lost: from.player.told.lost + to.player.dialer.dropped,
        malformed_rtcp: reports.malformed,
        sent: sent.packets,
        sent_octets: sent.octets,
        reported: reports.reported,
        round_trip: reports.round_trip,
        left: reports.left,
    }
}
