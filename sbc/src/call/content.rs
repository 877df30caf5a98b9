//! What a request or an answer that is passed on says, whoever it is about: headers of its content and of its event package, its body.

use std::net::IpAddr;

use bytes::Bytes;

use super::dialog_info::rehomed_call_ids;
use super::filter::{Filter, Verdict};
use super::hiding::Hidden;
use crate::sip::{Message, Method, Name, Writer, reason_phrase};

/// Ends `writer` with what of `message` is meant for the far end: its end-to-end headers, those of its content, its body. In what an
/// event package says (RFC 4235 dialog-info, RFC 3842 message summaries) URIs are at our address on the side that it goes to.
#[must_use]
pub fn pass_content(message: &Message, writer: Writer, filter: &Filter<'_>) -> Bytes {
    pass_content_as(message, writer, filter, None)
}

/// As [`pass_content`], with another Event.
pub(super) fn pass_content_as(
    message: &Message,
    writer: Writer,
    filter: &Filter<'_>,
    event: Option<&str>,
) -> Bytes {
    let hidden = Hidden::of(message);
    let mut writer = hidden.pass(message, filter, writer);
    for field in message.fields() {
        if let (Name::Event, Some(event)) = (field.name, event) {
            writer = writer.header(Name::Event, event);
        } else if is_of_content(field.name)
            && filter.judge(&field) == Verdict::Stays
            && hidden.allows(field.value)
        {
            writer = writer.copy(field);
        }
    }
    if message.body().is_empty() || describes_media(message) {
        return writer.finish();
    }
    let kind = message
        .header(Name::ContentType)
        .filter(|kind| hidden.allows(kind))
        .unwrap_or("application/octet-stream");
    match message.method() {
        Method::Notify if is_fragment(kind) => {
            writer.body(kind, &fragment(message.body(), &hidden, filter.home))
        }
        Method::Notify | Method::Publish => {
            let body = rehomed(message.body(), filter.home);
            writer.body(kind, &rehomed_call_ids(&body, filter.home))
        }
        _ => writer.body(kind, message.body()),
    }
}

/// Whether its body is a session description: that is about one side's media, and nothing that parties say to each other. What comes with one is
/// refused (415).
#[must_use]
pub fn describes_media(message: &Message) -> bool {
    let kind = message.header(Name::ContentType).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    !message.body().is_empty() && kind.eq_ignore_ascii_case("application/sdp")
}

fn is_of_content(name: Name) -> bool {
    matches!(
        name,
        Name::ContentDisposition
            | Name::ContentEncoding
            | Name::ContentLanguage
            | Name::MimeVersion
            | Name::InfoPackage
            | Name::UserToUser
            | Name::Accept
            | Name::AllowEvents
            | Name::Event
            | Name::SubscriptionState
            | Name::Expires
            | Name::MinExpires
    )
}

/// RFC 3420: how a transfer goes is told with the beginning of an answer.
fn is_fragment(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("message/sipfrag")
}

/// What of a part of a message tells nothing of its side, line by line: of its first line at least the code.
fn fragment(text: &[u8], hidden: &Hidden<'_>, home: IpAddr) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for (index, line) in text.split_inclusive(|&b| b == b'\n').enumerate() {
        let without = String::from_utf8_lossy(&rehomed_to(line, b"")).into_owned();
        if hidden.allows(&without) {
            out.extend_from_slice(&rehomed(line, home));
        } else if index == 0 {
            let words: Vec<&str> = without.split_ascii_whitespace().take(2).collect();
            if let ["SIP/2.0", code] = words[..]
                && let Ok(code @ 100..700) = code.parse::<u16>()
            {
                let line = format!("SIP/2.0 {code} {}\r\n", reason_phrase(code));
                out.extend_from_slice(line.as_bytes());
            }
        }
    }
    out
}

/// Whether there is a SIP URI in it.
pub(super) fn has_uri(text: &str) -> bool {
    next_uri(text.as_bytes()).is_some()
}

/// A text in which every SIP URI is at this address.
pub(super) fn rehomed(text: &[u8], address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => rehomed_to(text, v4.to_string().as_bytes()),
        IpAddr::V6(v6) => rehomed_to(text, format!("[{v6}]").as_bytes()),
    }
}

/// A text in which every SIP URI is at this host.
pub(super) fn rehomed_to(text: &[u8], ours: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 32);
    let mut rest = text;
    while let Some((before, after)) = next_uri(rest) {
        out.extend_from_slice(before);
        let end = after.iter().position(|b| ends_authority(*b));
        let (authority, tail) = after.split_at(end.unwrap_or(after.len()));
        let user = authority.iter().rposition(|&b| b == b'@');
        let user = user.and_then(|at| authority.get(..=at)).unwrap_or_default();
        out.extend_from_slice(user);
        out.extend_from_slice(ours);
        rest = tail;
    }
    out.extend_from_slice(rest);
    out
}

/// What stands before the next SIP URI, its scheme included, and what follows that.
fn next_uri(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut from = 0;
    loop {
        let rest = text.get(from..)?;
        let colon = rest.iter().position(|&b| b == b':')? + from;
        let before = text.get(..colon)?;
        let ends = |scheme: &[u8]| {
            let Some(start) = before.len().checked_sub(scheme.len()) else {
                return false;
            };
            let (head, tail) = before.split_at(start);
            tail.eq_ignore_ascii_case(scheme) && !head.last().is_some_and(u8::is_ascii_alphanumeric)
        };
        if ends(b"sip") || ends(b"sips") {
            return text.split_at_checked(colon + 1);
        }
        from = colon + 1;
    }
}

fn ends_authority(byte: u8) -> bool {
    matches!(
        byte,
        b'"' | b'\'' | b'<' | b'>' | b';' | b'?' | b'&' | b',' | b' ' | b'\t' | b'\r' | b'\n'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at_home(text: &str) -> String {
        let address = "192.0.2.1".parse().unwrap();
        String::from_utf8(rehomed(text.as_bytes(), address)).unwrap()
    }

    #[test]
    fn uris_in_a_body_are_at_our_address() {
        for (text, expected) in [
            ("", ""),
            ("no uri: here", "no uri: here"),
            (
                "<dialog-info entity=\"sip:6001@10.0.0.9:5080\"><identity display=\"x\">sip:6002@pbx.lan;user=phone</identity>",
                "<dialog-info entity=\"sip:6001@192.0.2.1\"><identity display=\"x\">sip:6002@192.0.2.1;user=phone</identity>",
            ),
            (
                "Messages-Waiting: yes\r\nMessage-Account: SIPS:6001@[fd00::9]\r\n",
                "Messages-Waiting: yes\r\nMessage-Account: SIPS:6001@192.0.2.1\r\n",
            ),
            (
                "<target uri=\"sip:10.0.0.9\"/>",
                "<target uri=\"sip:192.0.2.1\"/>",
            ),
            ("gossip:a@b", "gossip:a@b"),
            ("sip:", "sip:192.0.2.1"),
        ] {
            assert_eq!(at_home(text), expected);
        }
    }

    #[test]
    fn a_description_of_media_stays_here() {
        let filter = Filter::usual("192.0.2.1".parse().unwrap());
        for (kind, is_sdp) in [
            ("application/sdp", true),
            ("Application/SDP ; charset=utf-8", true),
            ("text/plain", false),
        ] {
            let writer = Writer::request("MESSAGE", "sip:a@192.0.2.9")
                .header(Name::Via, "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1")
                .header(Name::MaxForwards, 70)
                .header(Name::From, "<sip:b@192.0.2.9>;tag=b")
                .header(Name::To, "<sip:a@192.0.2.9>")
                .header(Name::CallId, "c")
                .header(Name::CSeq, "1 MESSAGE");
            let message = Message::parse(writer.body(kind, b"v=0\r\n"), &Default::default());
            let message = message.unwrap();
            assert_eq!(describes_media(&message), is_sdp, "{kind}");
            let passed = pass_content(&message, Writer::request("MESSAGE", "sip:c"), &filter);
            assert_eq!(passed.ends_with(b"v=0\r\n"), !is_sdp, "{kind}");
        }
    }

    /// What passes of a request with this body, and its type.
    fn passed(method: &str, body: &str) -> Message {
        let filter = Filter::usual("192.0.2.1".parse().unwrap());
        let request = |uri: &str| {
            Writer::request(method, uri)
                .header(Name::Via, "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1")
                .header(Name::MaxForwards, 70)
                .header(Name::From, "<sip:b@192.0.2.9>;tag=b")
                .header(Name::To, "<sip:a@192.0.2.9>")
                .header(Name::CallId, "c")
                .header(Name::CSeq, format_args!("1 {method}"))
        };
        let message = request("sip:a@192.0.2.9").body("text/plain", body.as_bytes());
        let message = Message::parse(message, &Default::default()).unwrap();
        let out = pass_content(&message, request("sip:c"), &filter);
        Message::parse(out, &Default::default()).unwrap()
    }

    #[test]
    fn only_what_tells_of_dialogs_is_rehomed() {
        let (said, ours) = ("see sip:7@10.0.0.9", "see sip:7@192.0.2.1");
        for (method, expected) in [
            ("NOTIFY", ours),
            ("PUBLISH", ours),
            ("MESSAGE", said),
            ("INFO", said),
        ] {
            let message = passed(method, said);
            assert_eq!(message.body(), expected.as_bytes(), "{method}");
            assert_eq!(message.header(Name::ContentType), Some("text/plain"));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_stay_what_they_are_beside_their_uris(text: Vec<u8>) {
            let address: IpAddr = "::1".parse().unwrap();
            let once = rehomed(&text, address);
            prop_assert_eq!(&rehomed(&once, address), &once);
        }
    }
}
