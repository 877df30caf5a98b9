//! Responses to a request, as far as RFC 3261 8.2.6 says what is in them.

use std::net::SocketAddr;

use smallvec::SmallVec;

use super::{Message, Name, Via, Writer};

/// Begins a response (RFC 3261 8.2.6): all Vias, From, To, Call-ID and CSeq as in the request, Timestamp in a 100. The topmost
/// Via gets `received` and `rport` as 18.2.1 and RFC 3581 4 have it; To gets `to_tag` if it has none yet, but never in a 100.
pub fn response_to(
    request: &Message,
    source: SocketAddr,
    code: u16,
    reason: &str,
    to_tag: Option<&str>,
) -> Writer {
    let mut writer = Writer::response(code, reason);
    let mut top = true;
    let mut seen: SmallVec<[Name; 4]> = SmallVec::new();
    for field in request.fields() {
        // What is refused because it stands there twice is said once.
        if matches!(
            field.name,
            Name::From | Name::To | Name::CallId | Name::CSeq
        ) {
            if seen.contains(&field.name) {
                continue;
            }
            seen.push(field.name);
        }
        writer = match field.name {
            Name::Via if std::mem::take(&mut top) => match Via::parse_first(field.value) {
                Ok((via, rest)) => stamped(writer, &via, rest, source),
                Err(_) => writer.copy(field),
            },
            Name::To => match to_tag {
                Some(tag) if code != 100 && request.to().tag().is_none() => {
                    writer.with(Name::To, |text| {
                        text.push(field.value);
                        text.push(";tag=");
                        text.push(tag);
                    })
                }
                _ => writer.copy(field),
            },
            Name::Via | Name::From | Name::CallId | Name::CSeq => writer.copy(field),
            Name::Timestamp if code == 100 => writer.copy(field),
            _ => writer,
        };
    }
    writer
}

/// Adds the topmost Via with where the request really came from, and what else its field held.
fn stamped(writer: Writer, via: &Via<'_>, rest: &str, source: SocketAddr) -> Writer {
    let address = source.ip().to_canonical();
    let mut has_rport = false;
    writer.with(Name::Via, |text| {
        text.push("SIP/2.0/");
        text.push(via.transport());
        text.push(" ");
        text.push(via.sent_by());
        for (name, value) in via.params() {
            if name.eq_ignore_ascii_case("received") {
                continue;
            }
            text.push(";");
            if name.eq_ignore_ascii_case("rport") {
                has_rport = true;
                text.push("rport=");
                text.number(source.port().into());
                continue;
            }
            text.push(name);
            if let Some(value) = value {
                text.push("=");
                text.push(value);
            }
        }
        if has_rport || via.host_ip().map(|ip| ip.to_canonical()) != Some(address) {
            text.push(";received=");
            text.display(address);
        }
        if !rest.is_empty() {
            text.push(",");
            text.push(rest);
        }
    })
}

/// The usual reason phrase (RFC 3261 21 and the registry); that of its class for a code that has none.
#[must_use]
pub fn reason_phrase(code: u16) -> &'static str {
    match code {
        100 => "Trying",
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        182 => "Queued",
        183 => "Session Progress",
        199 => "Early Dialog Terminated",
        200 => "OK",
        202 => "Accepted",
        204 => "No Notification",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        305 => "Use Proxy",
        380 => "Alternative Service",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        410 => "Gone",
        412 => "Conditional Request Failed",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        421 => "Extension Required",
        422 => "Session Interval Too Small",
        423 => "Interval Too Brief",
        430 => "Flow Failed",
        433 => "Anonymity Disallowed",
        439 => "First Hop Lacks Outbound Support",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        484 => "Address Incomplete",
        485 => "Ambiguous",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        489 => "Bad Event",
        491 => "Request Pending",
        493 => "Undecipherable",
        494 => "Security Agreement Required",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        606 => "Not Acceptable",
        607 => "Unwanted",
        608 => "Rejected",
        _ => match code / 100 {
            1 => "Progress",
            2 => "OK",
            3 => "Redirection",
            4 => "Request Failure",
            5 => "Server Failure",
            _ => "Global Failure",
        },
    }
}
