//! How a message finds its transaction (RFC 3261 17.1.3, 17.2.3).

use std::fmt::Write;

use crate::config::NetworkId;
use crate::sip::{Message, Method, Name, Start, TextKey};

/// What a branch begins with if it is unique by itself (RFC 3261 8.1.1.7).
const COOKIE: &str = "z9hG4bK";

/// What a response has in common with the request it answers: the branch and CSeq's method. And the network: a response
/// that comes in on another side of the box answers nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ClientKey {
    branch: TextKey,
    network: NetworkId,
    method: Method,
}

impl ClientKey {
    /// Of a request of ours, or of a response that came in.
    pub(super) fn of(network: NetworkId, message: &Message) -> ClientKey {
        ClientKey::with_method(network, message, message.method())
    }

    /// As [`ClientKey::of`], for another method of the same branch.
    pub(super) fn with_method(network: NetworkId, message: &Message, method: Method) -> ClientKey {
        ClientKey {
            branch: TextKey::of(message.via().branch().unwrap_or("")),
            network,
            method,
        }
    }
}

/// What a repeated request, an ACK or a CANCEL has in common with the request that came first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ServerKey {
    text: TextKey,
    network: NetworkId,
}

impl ServerKey {
    /// Of a request, or, if the branch is unique, of a response to it. ACK and CANCEL are looked up as the INVITE that they
    /// belong to: with `method` INVITE.
    pub(super) fn of(network: NetworkId, request: &Message, method: Method) -> ServerKey {
        let via = request.via();
        let mut text = String::with_capacity(128);
        // Writing to a String does not fail. A space separates: none of the parts can hold one.
        let _ = match via.branch().filter(|b| is_unique(b)) {
            Some(branch) => write!(
                text,
                "{branch} {} {}",
                via.host().to_ascii_lowercase(),
                via.port().unwrap_or(5060)
            ),
            // RFC 2543: the method is in it, and the number tells one request of a call from the next.
            None => write!(
                text,
                "{} {} {} {} {}",
                request.call_id(),
                request.cseq().number,
                request.from().tag().unwrap_or(""),
                request.uri().unwrap_or(""),
                request.values(Name::Via).next().unwrap_or("")
            ),
        };
        text.push(' ');
        text.push_str(match (method, request.start()) {
            (Method::Other, Start::Request { method, .. }) => method,
            _ => method.name(),
        });
        ServerKey {
            text: TextKey::of(&text),
            network,
        }
    }
}

/// With nothing behind the cookie it names no transaction (RFC 4475 3.2.1).
fn is_unique(branch: &str) -> bool {
    branch
        .split_at_checked(COOKIE.len())
        .is_some_and(|(start, rest)| start.eq_ignore_ascii_case(COOKIE) && !rest.is_empty())
}
