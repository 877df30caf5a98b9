//! SDP (RFC 8866): a lossless line editor, the views that a B2BUA reads, formats of a stream, and anchoring: the body that
//! the other side gets, with our addresses in place of this side's. L0: imports nothing of ours.
//!
//! A body is parsed into lines that are spans of its bytes; what nobody edits leaves as it came in.

mod address;
mod anchor;
mod document;
mod edit;
mod error;
mod format;
mod view;

#[cfg(test)]
mod tests;

pub use address::holds_address;
pub use anchor::{Anchor, Formats, Mixed, RtcpPlan, StreamPlan, anchor};
pub use document::{Limits, Line, Sdp, Stream};
pub use edit::Editor;
pub use error::SdpError;
pub use format::{Encoding, Format, formats};
pub use view::{Attribute, Connection, Direction, Host, Media, Origin, Rtcp, RtpMap};
