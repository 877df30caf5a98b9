//! What a pipe counts.

use crate::media::RoundTrip;

/// One side of a transcoded pair: what came from its peer, what it was sent, and what it said of that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TranscodeStats {
    /// RTP packets that came from the peer, whatever became of them.
    pub received: u64,
    /// No RTP, or a telephone-event or comfort noise packet that is shorter than it must be.
    pub malformed: u64,
    /// Of a payload type that stands for nothing here.
    pub wrong_payload_type: u64,
    /// Without payload: a keepalive (RFC 6263).
    pub empty: u64,
    /// Came again.
    pub duplicate: u64,
    /// Came after they had been given up.
    pub late: u64,
    /// Came after a later one, and in time.
    pub reordered: u64,
    /// Given up: sequence numbers that had not come when others had waited for them long enough.
    pub lost: u64,
    /// Of another source, or far from where the sequence was; not played unless the next one goes on from there.
    pub stray: u64,
    /// How often another source took over, or the sequence began anew.
    pub restarts: u64,
    /// Samples that were made up for what was lost, an eighth of a millisecond each.
    pub concealed: u64,
    /// Frames that were decoded: nothing where the two sides share a codec.
    pub heard: u64,
    /// Those of them in which nothing is louder than -60 dB.
    pub still: u64,
    /// Telephone-events (RFC 4733) that the peer began.
    pub events: u64,
    /// Keys of the peer that signalling did not ask for in time, and keys for it that found no room.
    pub keys_lost: u64,
    /// RTCP datagrams that are none.
    pub malformed_rtcp: u64,
    /// RTP packets that the peer was sent.
    pub sent: u64,
    /// Octets of payload in them.
    pub sent_octets: u64,
    /// What the peer last said of them; none before it has.
    pub reported: Option<Reported>,
    /// To the peer and back, in the mean of its last few reports.
    pub round_trip: RoundTrip,
    /// The peer has taken leave (RTCP BYE).
    pub left: bool,
}

/// How a peer hears what it is sent (RFC 3550 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reported {
    /// Of the packets since its report before, in 1/256.
    pub fraction_lost: u8,
    /// In all; duplicates make it negative.
    pub lost: i32,
    /// Interarrival jitter in eighths of a millisecond.
    pub jitter: u32,
    /// There and back, in microseconds; none where its report names none of ours.
    pub round_trip: Option<u32>,
}
