//! A source, a sink and a clock.

use crate::codec::g711::ulaw;
use crate::config::Codec;
use crate::media::transcode::{Nanos, Outbox, Pipe};
use crate::media::{FlowKind, PayloadTypes, Voice};
use crate::rtp::Rtp;
use crate::rtp::info::Pressed;

pub(super) const MS: Nanos = 1_000_000;

/// Payload types of telephone-event: the same number need not stand for it on both sides.
pub(super) const EVENTS: [u8; 2] = [101, 96];

/// A codec with its static payload type, 20 ms, nothing else.
pub(super) fn voice(codec: Codec) -> Voice {
    Voice::plain(codec, codec.payload_type())
}

pub(super) fn with_events(voice: Voice, number: u8) -> Voice {
    let events = Some(PayloadTypes {
        from_peer: number,
        to_peer: number,
    });
    Voice { events, ..voice }
}

pub(super) fn with_time(voice: Voice, packet_time: u8) -> Voice {
    Voice {
        packet_time,
        ..voice
    }
}

/// A packet that left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) at: Nanos,
    pub(super) to: usize,
    pub(super) kind: FlowKind,
    pub(super) bytes: Vec<u8>,
}

impl Left {
    pub(super) fn rtp(&self) -> Rtp<'_> {
        assert_eq!(self.kind, FlowKind::Rtp);
        Rtp::new_checked(&self.bytes).unwrap()
    }
}

#[derive(Debug, Default)]
struct Sink {
    now: Nanos,
    left: Vec<Left>,
}

impl Outbox for Sink {
    fn send(&mut self, to: usize, kind: FlowKind, packet: &[u8]) {
        self.left.push(Left {
            at: self.now,
            to,
            kind,
            bytes: packet.to_vec(),
        });
    }
}

/// A pipe under test, with its clock. RTCP is put aside.
#[derive(Debug)]
pub(super) struct Bench {
    pub(super) now: Nanos,
    pub(super) pipe: Pipe,
    sink: Sink,
    pub(super) rtcp: Vec<Left>,
}

impl Bench {
    pub(super) fn new(voices: [Voice; 2]) -> Bench {
        Bench {
            now: 1_000 * MS,
            pipe: Pipe::new(voices, 7),
            sink: Sink::default(),
            rtcp: Vec::new(),
        }
    }

    /// PCMU on side 0, PCMA on side 1.
    pub(super) fn plain() -> Bench {
        Bench::new([voice(Codec::Pcmu), voice(Codec::Pcma)])
    }

    /// What leaves when this comes from side 0.
    pub(super) fn put(&mut self, packet: &[u8]) -> Vec<Left> {
        self.put_from(0, packet)
    }

    pub(super) fn put_from(&mut self, side: usize, packet: &[u8]) -> Vec<Left> {
        self.sink.now = self.now;
        self.pipe.rtp(self.now, side, packet, &mut self.sink);
        self.take()
    }

    /// A key from signalling for a side's peer; what leaves at once.
    pub(super) fn press(&mut self, to: usize, code: u8, milliseconds: u16) -> Vec<Left> {
        let key = Pressed { code, milliseconds };
        self.sink.now = self.now;
        assert!(self.pipe.press(self.now, to, key, &mut self.sink));
        self.take()
    }

    /// Keys that signalling is to tell: whom, which, for how many ms.
    pub(super) fn told(&mut self) -> Vec<(usize, u8, u16)> {
        let keys = std::iter::from_fn(|| self.pipe.poll_key());
        keys.map(|(to, key)| (to, key.code, key.milliseconds))
            .collect()
    }

    pub(super) fn put_rtcp(&mut self, side: usize, packet: &[u8]) {
        self.pipe.rtcp(self.now, side, packet, &mut self.sink);
        assert!(self.sink.left.is_empty());
    }

    pub(super) fn end(&mut self) -> Vec<Left> {
        self.sink.now = self.now;
        self.pipe.end(self.now, &mut self.sink);
        std::mem::take(&mut self.sink.left)
    }

    /// Lets time pass, with every timer at its time; what leaves meanwhile.
    pub(super) fn pass(&mut self, time: Nanos) -> Vec<Left> {
        let end = self.now + time;
        while let Some(due) = self.pipe.poll_timeout().filter(|&due| due <= end) {
            self.now = self.now.max(due);
            self.sink.now = self.now;
            self.pipe.handle_timeout(self.now, &mut self.sink);
            let next = self.pipe.poll_timeout();
            assert!(next.is_none_or(|next| next > self.now), "{next:?}");
        }
        self.now = end;
        self.take()
    }

    /// Packets one after the other, each 20 ms after the one before; what leaves.
    pub(super) fn feed(&mut self, packets: impl IntoIterator<Item = Vec<u8>>) -> Vec<Left> {
        let mut left = Vec::new();
        for packet in packets {
            left.extend(self.put(&packet));
            left.extend(self.pass(20 * MS));
        }
        left
    }

    fn take(&mut self) -> Vec<Left> {
        let (rtp, rtcp) = std::mem::take(&mut self.sink.left)
            .into_iter()
            .partition(|left| left.kind == FlowKind::Rtp);
        self.rtcp.extend::<Vec<_>>(rtcp);
        rtp
    }
}

/// Sends packets of a codec.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) ssrc: u32,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) payload_type: u8,
    count: u32,
}

impl Source {
    pub(super) fn new(codec: Codec) -> Source {
        Source {
            ssrc: 0x1111_1111,
            sequence: 100,
            timestamp: 5_000,
            payload_type: codec.payload_type(),
            count: 0,
        }
    }

    /// So many octets, each packet's unlike those of the ones before.
    pub(super) fn packet(&mut self, octets: usize) -> Vec<u8> {
        let payload: Vec<u8> = (0..octets).map(|n| self.octet(n)).collect();
        self.count += 1;
        let bytes = self.aside(self.payload_type, self.timestamp, &payload);
        self.timestamp = self.timestamp.wrapping_add(octets as u32);
        bytes
    }

    pub(super) fn packets(&mut self, count: usize, octets: usize) -> Vec<Vec<u8>> {
        (0..count).map(|_| self.packet(octets)).collect()
    }

    /// The next number, but no time.
    pub(super) fn aside(&mut self, payload_type: u8, timestamp: u32, payload: &[u8]) -> Vec<u8> {
        let packet = rtp(payload_type, self.sequence, timestamp, self.ssrc, payload);
        self.sequence = self.sequence.wrapping_add(1);
        packet
    }

    pub(super) fn event(&mut self, code: u8, is_end: bool, duration: u16) -> Vec<u8> {
        let [d0, d1] = duration.to_be_bytes();
        let flags = if is_end { 0x8a } else { 0x0a };
        self.aside(EVENTS[0], self.timestamp, &[code, flags, d0, d1])
    }

    /// Both G.711 codes keep their order of magnitude when odd bits are mixed in: any octet is a sample.
    fn octet(&self, n: usize) -> u8 {
        (self.count.wrapping_mul(37) as usize + n * 5) as u8
    }
}

pub(super) fn rtp(
    payload_type: u8,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
    payload: &[u8],
) -> Vec<u8> {
    let mut bytes = vec![0x80, payload_type];
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(timestamp.to_be_bytes());
    bytes.extend(ssrc.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The payloads of these, one behind the other.
pub(super) fn octets<'a>(packets: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    packets
        .into_iter()
        .flat_map(|packet| Rtp::new_checked(packet).unwrap().payload().to_vec())
        .collect()
}

pub(super) fn left_octets(left: &[Left]) -> Vec<u8> {
    octets(left.iter().map(|left| left.bytes.as_slice()))
}

/// PCMU as it should be in PCMA.
pub(super) fn as_pcma(octets: &[u8]) -> Vec<u8> {
    octets.iter().copied().map(ulaw::to_alaw).collect()
}

/// Timestamps of these, counted from the first one's.
pub(super) fn times(left: &[Left]) -> Vec<i32> {
    let first = left.first().map_or(0, |left| left.rtp().timestamp());
    let since = |left: &Left| left.rtp().timestamp().wrapping_sub(first).cast_signed();
    left.iter().map(since).collect()
}

pub(super) fn markers(left: &[Left]) -> Vec<bool> {
    left.iter().map(|left| left.rtp().marker()).collect()
}

/// Sequence numbers go on one by one, from one source.
pub(super) fn assert_one_stream(left: &[Left]) {
    for pair in left.windows(2) {
        let [a, b] = [pair[0].rtp(), pair[1].rtp()];
        assert_eq!(a.sequence().wrapping_add(1), b.sequence());
        assert_eq!(a.ssrc(), b.ssrc());
    }
}
