//! Requests that are too large for a datagram (RFC 3261 18.1.1): the same ones over TCP.

use std::net::SocketAddr;

use crate::sip::{Message, Name, Transport, Writer};

/// Bytes of a request that go out as a datagram where the path's MTU is not known (RFC 3261 18.1.1).
pub const LARGEST_DATAGRAM: usize = 1300;

/// A request of ours, written for UDP from `from`, as it is over TCP from `to`: its topmost Via and its Contact say so, all else
/// stays. `None` if it is not one that was written so.
#[must_use]
pub fn over_tcp(message: &Message, from: SocketAddr, to: SocketAddr) -> Option<Message> {
    let ours = format!("SIP/2.0/{} {from};", Transport::Udp.via());
    let contact = format!("<sip:{from}>");
    let mut writer = Writer::request(request_method(message)?, message.uri()?);
    let mut is_top = true;
    for field in message.fields() {
        writer = match field.name {
            Name::Via if std::mem::take(&mut is_top) => {
                let rest = field.value.trim().strip_prefix(&ours)?;
                let protocol = Transport::Tcp.via();
                writer.header(Name::Via, format_args!("SIP/2.0/{protocol} {to};{rest}"))
            }
            Name::Contact if field.value.trim() == contact => {
                writer.header(Name::Contact, format_args!("<sip:{to};transport=tcp>"))
            }
            Name::ContentType | Name::ContentLength => writer,
            _ => writer.copy(field),
        };
    }
    let bytes = match (message.header(Name::ContentType), message.body()) {
        (Some(kind), body @ [_, ..]) => writer.body(kind, body),
        (_, []) => writer.finish(),
        _ => return None,
    };
    Message::parse(bytes, &Default::default()).ok()
}

fn request_method(message: &Message) -> Option<&str> {
    match message.start() {
        crate::sip::Start::Request { method, .. } => Some(method),
        crate::sip::Start::Response { .. } => None,
    }
}
