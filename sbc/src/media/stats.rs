//! What was forwarded and dropped: plain data, read by the metrics shell at scrape.

use std::collections::BTreeMap;
use std::time::Duration;

use super::FlowCount;
use crate::config::NetworkId;

/// Totals since the start, of one path (kernel or user); flows that have ended are in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MediaStats {
    /// By network.
    pub networks: BTreeMap<NetworkId, NetworkMedia>,
}

/// One network's totals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkMedia {
    /// Came in and was forwarded.
    pub received: Traffic,
    /// Left.
    pub sent: Traffic,
    /// Came in and was dropped, by the label of its reason (`sbc_ebpf`'s `Drop`).
    pub dropped: BTreeMap<&'static str, u64>,
}

/// What was transcoded since the start: totals of what came in to be changed, and of what was made of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VoiceStats {
    /// By network.
    pub networks: BTreeMap<NetworkId, NetworkVoice>,
    /// Keys that had to be told by signalling, or came from it, and found no room.
    pub lost_keys: u64,
}

/// One network's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetworkVoice {
    /// Came in; RTCP too.
    pub received: Traffic,
    /// Left, and was of our own making; RTCP too.
    pub sent: Traffic,
    /// Samples that were made up for packets that did not come in time, an eighth of a millisecond each.
    pub concealed: u64,
    /// Packets that came after they had been given up.
    pub late: u64,
}

/// Packets and bytes of UDP payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets.
    pub packets: u64,
    /// Bytes of UDP payload.
    pub bytes: u64,
}

/// What came from one leg of a call: all its streams together, RTP and what is opaque, without RTCP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LegMedia {
    /// Packets that were let in.
    pub packets: u64,
    /// Bytes of UDP payload.
    pub bytes: u64,
    /// As in [`super::Quality`].
    pub lost: u64,
    /// As in [`super::Quality`].
    pub reordered: u64,
    /// As in [`super::Quality`].
    pub duplicate: u64,
    /// As in [`super::Quality`].
    pub ssrc_changes: u64,
    /// At the end of the stream that had most of it; zero where none is measured.
    pub jitter: Duration,
    /// There and back between it and us, as RTCP tells; none where it does not.
    pub round_trip: Option<Duration>,
}

impl LegMedia {
    /// Of a stream, or of its RTCP, how long it is there and back: the last one that knows.
    pub fn answered(&mut self, stream: &FlowCount) {
        self.round_trip = stream.round_trip.or(self.round_trip);
    }

    /// Adds a stream that has ended.
    pub fn add(&mut self, stream: &FlowCount) {
        let quality = &stream.quality;
        self.packets += stream.packets;
        self.bytes += stream.bytes;
        self.lost += quality.lost;
        self.reordered += quality.reordered;
        self.duplicate += quality.duplicate;
        self.ssrc_changes += quality.ssrc_changes;
        self.jitter = self.jitter.max(quality.jitter);
        self.answered(stream);
    }
}
