//! The wire layer against what the wire brings.

mod digest;
mod invalid;
mod properties;
mod stream;
mod text;
mod valid;
mod values;
mod writer;

use bytes::Bytes;

use super::{Limits, Message, ParseError};

fn parse(bytes: impl AsRef<[u8]>) -> Result<Message, ParseError> {
    Message::parse(Bytes::copy_from_slice(bytes.as_ref()), &Limits::default())
}

/// With CR LF for each line end of the source.
fn crlf(text: &str) -> String {
    text.replace('\n', "\r\n")
}

/// A plain INVITE: what a case changes a line of.
const INVITE: &str = "INVITE sip:bob@example.com SIP/2.0\r\n\
    Via: SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bK-77;rport\r\n\
    Max-Forwards: 69\r\n\
    From: \"Alice\" <sip:alice@example.com>;tag=88\r\n\
    To: <sip:bob@example.com>\r\n\
    Call-ID: 1@192.0.2.9\r\n\
    CSeq: 3 INVITE\r\n\
    Contact: <sip:alice@192.0.2.9:5070>\r\n\
    Content-Type: text/plain\r\n\
    Content-Length: 5\r\n\
    \r\n\
    hello";
