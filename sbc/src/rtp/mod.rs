//! Views over RTP and RTCP bytes, first-byte demultiplexing (RFC 3550, 5761, 7983). L0: imports nothing of ours.
//!
//! A view is checked once, in `new_checked`; its accessors cannot fail after that.

mod demux;
mod packet;
mod rtcp;

pub use demux::{Content, content};
pub use packet::{Extension, Rtp, RtpError};
pub use rtcp::{MAX_PACKETS, ReportBlock, Rtcp, RtcpError, RtcpPacket, SenderInfo};
