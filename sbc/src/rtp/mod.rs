//! Views over RTP and RTCP bytes, events and comfort noise in them, and keys in the body of an INFO; first-byte demultiplexing (RFC 3550, 5761, 7983). L0: imports nothing of ours.
//!
//! A view is checked once, in `new_checked`; its accessors cannot fail after that.

mod comfort_noise;
mod demux;
mod event;
pub mod info;
mod packet;
mod rtcp;

pub use comfort_noise::{COMFORT_NOISE, ComfortNoise};
pub use demux::{Content, content};
pub use event::{Event, EventError};
pub use packet::{Extension, Rtp, RtpError};
pub use rtcp::{MAX_PACKETS, ReportBlock, Rtcp, RtcpError, RtcpPacket, SenderInfo};
