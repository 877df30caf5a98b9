//! The SIP wire layer: lossless, zero-copy, bounded (RFC 3261). Bytes in, views out; no state but a stream's framer.
//!
//! [`Message`] is the bytes and an index of spans: what is not understood leaves as it came in. [`Writer`] builds
//! messages and cannot be made to inject a line. [`stream`] cuts a byte stream into messages. [`digest`] checks and
//! makes credentials.
//!
//! L0: imports nothing of ours.

pub mod digest;
mod error;
mod message;
mod method;
mod name;
mod name_addr;
mod parse;
mod response;
pub mod stream;
#[cfg(test)]
mod tests;
mod text;
mod text_key;
mod transport;
mod uri;
mod via;
mod writer;

pub use error::{Fault, ParseError, ValueError};
pub use message::{CSeq, Field, Limits, Message, Start};
pub use method::Method;
pub use name::Name;
pub use name_addr::NameAddr;
pub use response::{reason_phrase, response_to};
pub use text::{Params, split_list};
pub use text_key::TextKey;
pub use transport::Transport;
pub use uri::Uri;
pub use via::Via;
pub use writer::Writer;

/// Whether a datagram, or what lies between two messages of a stream, only keeps a binding alive: line ends or NULs
/// and nothing else (RFC 5626 3.5.1, and what phones send in practice). Not a message, not an error.
#[must_use]
pub fn is_keep_alive(bytes: &[u8]) -> bool {
    bytes.iter().all(|&b| matches!(b, b'\r' | b'\n' | 0))
}
