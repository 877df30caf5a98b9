//! In place of the transcoder until it is there.

use crate::media::{FlowKind, Voice};

pub(crate) type Nanos = u64;

pub(crate) trait Outbox {
    fn send(&mut self, to: usize, kind: FlowKind, packet: &[u8]);
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TranscodeStats {
    pub sent: u64,
    pub concealed: u64,
    pub late: u64,
}

#[derive(Debug)]
pub(crate) struct Pipe {
    voices: [Voice; 2],
    ssrc: u32,
    sequence: u16,
    due: Option<Nanos>,
    stats: [TranscodeStats; 2],
}

impl Pipe {
    pub(crate) fn new(voices: [Voice; 2], seed: u64) -> Pipe {
        Pipe {
            voices,
            ssrc: seed as u32,
            sequence: (seed >> 32) as u16,
            due: None,
            stats: Default::default(),
        }
    }

    pub(crate) fn update(&mut self, voices: [Voice; 2]) {
        self.voices = voices;
    }

    pub(crate) fn rtp(&mut self, now: Nanos, from: usize, packet: &[u8], out: &mut impl Outbox) {
        let to = 1 - from;
        let mut bytes = [0; 2048];
        let bytes = &mut bytes[..packet.len()];
        bytes.copy_from_slice(packet);
        bytes[1] = self.voices[to].numbers.to_peer;
        bytes[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        self.sequence = self.sequence.wrapping_add(1);
        self.due.get_or_insert(now + 5_000_000_000);
        self.stats[to].sent += 1;
        out.send(to, FlowKind::Rtp, bytes);
    }

    pub(crate) fn rtcp(&mut self, _: Nanos, _: usize, _: &[u8], _: &mut impl Outbox) {}

    pub(crate) fn poll_timeout(&self) -> Option<Nanos> {
        self.due
    }

    pub(crate) fn handle_timeout(&mut self, now: Nanos, out: &mut impl Outbox) {
        self.due = Some(now + 5_000_000_000);
        self.say(201, out);
    }

    pub(crate) fn end(&mut self, _: Nanos, out: &mut impl Outbox) {
        self.say(203, out);
    }

    pub(crate) fn stats(&self) -> [TranscodeStats; 2] {
        self.stats
    }

    fn say(&self, kind: u8, out: &mut impl Outbox) {
        let mut report = [0x81, kind, 0, 1, 0, 0, 0, 0];
        report[4..].copy_from_slice(&self.ssrc.to_be_bytes());
        for to in [0, 1] {
            out.send(to, FlowKind::Rtcp, &report);
        }
    }
}
