//! What becomes of the RTP and RTCP of a pair whose sides share no codec, or have keys in different forms: a [`Pipe`] decodes what one peer sends and encodes it for the
//! other, as a stream of our own with a source, sequence numbers and timestamps of its own, and speaks RTCP with each for itself. L1, pure:
//! time and seed come in, packets leave through an [`Outbox`]. Imports `codec`, `rtp` and the types of a flow's sides.
//!
//! | file | what it is |
//! |---|---|
//! | `pipe.rs` | both directions, both legs' RTCP |
//! | `direction.rs`, `order.rs`, `held.rs` | packets into their order: sources, sequence numbers, what waits for what is missing |
//! | `player.rs`, `line.rs`, `gaps.rs`, `keys.rs`, `quiet.rs` | the timeline: sound, losses, pauses, keys, comfort noise |
//! | `dialling.rs`, `dialer.rs`, `hearing.rs` | keys that the two sides have in different forms: from signalling and to it, found in the audio and cut out of it |
//! | `voice.rs`, `sender.rs` | codecs; packets of the other side's packet time |
//! | `later.rs` | frames of G.722 that are done with those of other calls |
//! | `reports.rs`, `reception.rs` | RTCP; what is said of a source in it |
//! | `stats.rs` | what is counted |
//!
//! What happens to a packet that is not simply the next one:
//!
//! | packet | what becomes of it | counted as |
//! |---|---|---|
//! | no RTP: version, length, padding | dropped | `malformed` |
//! | ahead of the next one | waits for what is missing, 40 ms at most, or six packets, or 960 octets | `reordered`, if it came before one with a lower number |
//! | did not come in that time | made up for 120 ms; a longer loss is a gap in time | `lost`, `concealed` |
//! | came, but too late | dropped | `late` |
//! | came again | dropped | `duplicate` |
//! | of another source, or more than 3,000 ahead, or more than 100 behind | kept, and played with the one that goes on from it; at once where the source before has been silent for 100 ms | `stray` or `restarts` |
//! | with a gap in time and none in the sequence | so is what is sent: the packet that has begun is filled, a marker follows | |
//! | with a gap in time that is longer than what has passed here, by more than a second | goes on after what has passed | |
//! | with a time that is played already | goes on from what was played (behind a tone: the overlap is cut off) | |
//! | with twice the time of its length, more than three times in a row | goes on: a clock of 16 kHz, which some have for G.722 | |
//! | of any length up to a datagram's | decoded: an octet is a sample | |
//! | without payload | its number counts | `empty` |
//! | of another codec that the peer has listed | decoded | |
//! | of another codec of ours, with its static payload type | decoded: it was under way when the codec changed | |
//! | of another payload type | its time is made up for | `wrong_payload_type` |
//! | a telephone-event | passed on with the numbers of the other side, ends that are sent again too; a tone for a side that has none (keys only) | `events` |
//! | a telephone-event for a side that has keys by signalling | told when it is over, or has stopped for 200 ms | `events` |
//! | a key in the audio, of a side that has keys so, for one that has not | silence, and an event or told; 15 to 20 ms of it have left by then | |
//! | of the codec that both sides have | passed on as it is; what was lost is missing there too | |
//! | while a key from elsewhere is sent | not heard | |
//! | a telephone-event that claims more time than has passed | believed for what has passed | |
//! | comfort noise | passed on; made, for at most a minute, for a side that takes none | |
//! | a telephone-event or comfort noise that is too short | its time is made up for | `malformed` |
//! | RTCP that is none | dropped | `malformed_rtcp` |

mod dialer;
mod dialling;
mod direction;
mod gaps;
mod hearing;
mod held;
mod keys;
mod later;
mod line;
mod order;
mod pipe;
mod player;
mod quiet;
mod random;
mod reception;
mod reports;
mod sender;
mod stats;
#[cfg(test)]
mod tests;
mod voice;

pub use later::{FRAME, Owed};
pub use pipe::Pipe;
pub use stats::{Reported, TranscodeStats};

use super::FlowKind;

/// Nanoseconds of a clock that never goes back.
pub type Nanos = u64;

/// Takes what a pipe sends.
pub trait Outbox {
    /// A packet for a side's peer, 0 or 1, from the port for that kind ([`FlowKind::Rtp`] or [`FlowKind::Rtcp`]). Copied before this returns; at most 492 bytes.
    fn send(&mut self, to: usize, kind: FlowKind, packet: &[u8]);

    /// Whether G.722 may be left undone, to be done with that of other calls: [`Pipe::owes`].
    fn gathers(&self) -> bool {
        false
    }
}
