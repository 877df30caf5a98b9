//! One direction of a pipe: packets of one side's peer, in order, to what plays them for the other side.

use super::held::{Held, Packet};
use super::order::{Arrival, Order};
use super::player::Player;
use super::random::Random;
use super::reception::Reception;
use super::{Nanos, Outbox};
use crate::media::Voice;
use crate::rtp::Rtp;

/// What came out of order waits for so long for what is missing before it.
const WINDOW: Nanos = 40_000_000;

/// From one side to the other.
#[derive(Debug)]
pub(super) struct Direction {
    order: Order,
    held: Held,
    /// The last stray, which may turn out to have been the first packet of another source.
    stray: Option<Stray>,
    pub(super) player: Player,
    pub(super) reception: Option<Reception>,
    pub(super) arrived: Arrived,
}

/// What a direction has counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Arrived {
    pub(super) received: u64,
    pub(super) malformed: u64,
    pub(super) duplicate: u64,
    pub(super) late: u64,
    pub(super) reordered: u64,
    pub(super) lost: u64,
    pub(super) stray: u64,
    pub(super) restarts: u64,
}

/// Longer ones are not kept: 30 ms.
const STRAY: usize = 240;

#[derive(Debug)]
struct Stray {
    packet: Packet,
    payload: [u8; STRAY],
    length: usize,
}

impl Direction {
    pub(super) fn new(to: usize, from: &Voice, other: &Voice, random: &mut Random) -> Direction {
        Direction {
            order: Order::default(),
            held: Held::new(),
            stray: None,
            player: Player::new(to, from, other, random),
            reception: None,
            arrived: Arrived::default(),
        }
    }

    /// A datagram that should be RTP.
    pub(super) fn rtp(&mut self, now: Nanos, datagram: &[u8], out: &mut impl Outbox) {
        self.arrived.received += 1;
        let Ok(rtp) = Rtp::new_checked(datagram) else {
            self.arrived.malformed += 1;
            return;
        };
        let packet = Packet::new(rtp.sequence(), rtp.timestamp(), rtp.payload_type(), now);
        match self.order.arrive(now, rtp.ssrc(), packet.sequence) {
            Arrival::Next => {
                self.hear(&packet);
                let waits = self.held.oldest().is_some();
                self.arrived.reordered += u64::from(waits);
                self.play(now, &packet, rtp.payload(), out);
                self.run(now, out);
            }
            Arrival::Ahead => {
                self.hear(&packet);
                self.ahead(now, packet, rtp.payload(), out);
            }
            Arrival::Duplicate => {
                self.hear(&packet);
                self.arrived.duplicate += 1;
            }
            Arrival::Late => {
                self.hear(&packet);
                self.arrived.late += 1;
            }
            Arrival::Stray => {
                self.arrived.stray += 1;
                self.stray = Stray::new(packet, rtp.payload());
            }
            Arrival::Restart { with_stray } => {
                self.restart(now, rtp.ssrc(), &packet, with_stray, out);
                self.play(now, &packet, rtp.payload(), out);
            }
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Nanos> {
        let window = self.held.oldest().map(|oldest| oldest + WINDOW);
        [window, self.player.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    pub(super) fn handle_timeout(&mut self, now: Nanos, out: &mut impl Outbox) {
        let is_over = |oldest| oldest + WINDOW <= now;
        while self.held.oldest().is_some_and(is_over) {
            self.give_up(now, out);
        }
        self.player.handle_timeout(now, out);
    }

    /// A packet that others are missing before.
    fn ahead(&mut self, now: Nanos, packet: Packet, payload: &[u8], out: &mut impl Outbox) {
        if self.held.contains(packet.sequence) {
            self.arrived.duplicate += 1;
            return;
        }
        let Some(next) = self.order.next() else {
            return;
        };
        self.arrived.reordered += u64::from(self.held.has_later(packet.sequence, next));
        // What there is no room for ends the wait of those before it.
        while !self.held.keep(packet, payload) {
            if !self.held.has_earlier(packet.sequence, next) {
                self.play(now, &packet, payload, out);
                break;
            }
            self.give_up(now, out);
        }
        self.run(now, out);
    }

    /// The first of those that wait is played; what is missing before it is lost.
    fn give_up(&mut self, now: Nanos, out: &mut impl Outbox) {
        let first = self
            .order
            .next()
            .and_then(|next| self.held.take_first(next));
        if let Some(first) = first {
            self.play_held(now, &first, out);
            self.run(now, out);
        }
    }

    /// Plays those that wait, as far as none is missing.
    fn run(&mut self, now: Nanos, out: &mut impl Outbox) {
        while let Some(next) = self.order.next()
            && let Some(packet) = self.held.take_exactly(next)
        {
            self.play_held(now, &packet, out);
        }
    }

    fn restart(
        &mut self,
        now: Nanos,
        ssrc: u32,
        packet: &Packet,
        with_stray: bool,
        out: &mut impl Outbox,
    ) {
        while self.held.oldest().is_some() {
            self.give_up(now, out);
        }
        if self.order.ssrc().is_some() {
            self.arrived.restarts += 1;
            self.player.settle(out);
            self.player.restart();
        }
        let stray = self.stray.take().filter(|_| with_stray);
        let first = stray.as_ref().map_or(packet, |stray| &stray.packet);
        self.order.restart(now, ssrc, first.sequence);
        self.reception = Some(Reception::new(ssrc, first.sequence));
        if let Some(stray) = &stray {
            self.arrived.stray -= 1;
            self.hear(&stray.packet);
            let payload = stray.payload.get(..stray.length).unwrap_or_default();
            self.play(now, &stray.packet, payload, out);
        }
        self.hear(packet);
    }

    fn play_held(&mut self, now: Nanos, packet: &Packet, out: &mut impl Outbox) {
        let lost = self.order.play(packet.sequence);
        self.arrived.lost += u64::from(lost);
        let payload = self.held.payload(packet);
        self.player.play(now, packet, payload, lost, out);
    }

    fn play(&mut self, now: Nanos, packet: &Packet, payload: &[u8], out: &mut impl Outbox) {
        let lost = self.order.play(packet.sequence);
        self.arrived.lost += u64::from(lost);
        self.player.play(now, packet, payload, lost, out);
    }

    fn hear(&mut self, packet: &Packet) {
        let is_timed = self.player.is_timed(packet.payload_type);
        if let Some(reception) = &mut self.reception {
            let timestamp = is_timed.then_some(packet.timestamp);
            reception.hear(packet.arrived, packet.sequence, timestamp);
        }
    }
}

impl Stray {
    fn new(packet: Packet, payload: &[u8]) -> Option<Stray> {
        let mut kept = [0; STRAY];
        kept.get_mut(..payload.len())?.copy_from_slice(payload);
        Some(Stray {
            packet,
            payload: kept,
            length: payload.len(),
        })
    }
}
