//! What of one side's headers may show on the other: nothing that tells an address.

use std::net::IpAddr;

use smallvec::SmallVec;

use super::content::{has_uri, rehomed, rehomed_to};
use super::filter::{Filter, Verdict};
use crate::sip::{Message, Method, Name, NameAddr, Params, Uri, Via, Writer, split_list};

/// The host names and addresses that one side's message names: what must not show on the other side.
pub(super) struct Hidden<'a> {
    hosts: SmallVec<[&'a str; 12]>,
}

impl<'a> Hidden<'a> {
    /// Collects them: Via, Contact, Route, Record-Route, From, To, the Request-URI.
    pub(super) fn of(message: &'a Message) -> Hidden<'a> {
        let mut hosts: SmallVec<[&str; 12]> = SmallVec::new();
        for via in message.values(Name::Via) {
            hosts.extend(Via::parse(via).ok().map(|via| via.host()));
        }
        for name in [Name::Contact, Name::RecordRoute, Name::Route] {
            for value in message.values(name) {
                hosts.extend(NameAddr::parse(value).ok().and_then(|a| host(a.uri())));
            }
        }
        hosts.extend(host(message.from().uri()));
        hosts.extend(host(message.to().uri()));
        hosts.extend(message.uri().and_then(host));
        // Addresses are found by their form.
        hosts.retain(|host| !host.is_empty() && !tells_address(host));
        Hidden { hosts }
    }

    /// Whether `text` tells nothing: no address in any form, none of these names.
    pub(super) fn allows(&self, text: &str) -> bool {
        !tells_address(text)
            && !self
                .hosts
                .iter()
                .any(|host| contains_ignore_case(text.as_bytes(), host.as_bytes()))
    }

    /// Copies what is meant for the far end (RFC 3261 20: not hop by hop, not about one dialog) and tells nothing.
    pub(super) fn pass(
        &self,
        message: &Message,
        filter: &Filter<'_>,
        mut writer: Writer,
    ) -> Writer {
        for field in message.fields() {
            // Who refers is the box's to say.
            if field.name == Name::ReferredBy && message.method() == Method::Refer {
                continue;
            }
            let verdict = filter.judge(&field);
            // A name may tell an address, too: it is a token.
            if verdict == Verdict::Stays || !self.allows(field.spelled) {
                continue;
            }
            if verdict == Verdict::Named && has_uri(field.value) {
                if let Some(value) = self.rehomed(field.value, filter.home) {
                    writer = writer.header_named(field.spelled, value);
                }
            } else if self.allows(field.value) {
                writer = writer.copy(field);
            } else if field.name == Name::Reason {
                // The cause is worth more than the words that tell an address.
                let causes = self.causes(field.value);
                if !causes.is_empty() {
                    writer = writer.header(Name::Reason, causes);
                }
            }
        }
        writer
    }

    /// A value with its SIP URIs at our address, unless it tells something beside them.
    fn rehomed(&self, value: &str, home: IpAddr) -> Option<String> {
        let without = rehomed_to(value.as_bytes(), b"");
        if !self.allows(std::str::from_utf8(&without).ok()?) {
            return None;
        }
        String::from_utf8(rehomed(value.as_bytes(), home)).ok()
    }

    /// The values of a Reason field (RFC 3326), those that tell too much as protocol and cause alone.
    fn causes(&self, reasons: &str) -> String {
        let mut causes = String::new();
        for reason in split_list(reasons) {
            let (protocol, params) = reason.split_at(reason.find(';').unwrap_or(reason.len()));
            let cause = Params::new(params).find("cause").flatten();
            let short = cause.map(|cause| format!("{};cause={cause}", protocol.trim()));
            let kept = match short {
                _ if self.allows(reason) => reason,
                Some(ref short) if self.allows(short) => short,
                _ => continue,
            };
            causes.push_str(if causes.is_empty() { "" } else { ", " });
            causes.push_str(kept);
        }
        causes
    }
}

/// All that a request gives as its Reason, for the other side.
pub(super) fn reasons(message: &Message) -> Option<String> {
    let hidden = Hidden::of(message);
    let each = message.fields().filter(|field| field.name == Name::Reason);
    let causes: Vec<String> = each
        .map(|field| hidden.causes(field.value))
        .filter(|causes| !causes.is_empty())
        .collect();
    (!causes.is_empty()).then(|| causes.join(", "))
}

fn host(uri: &str) -> Option<&str> {
    Uri::parse(uri).ok().map(|uri| uri.host())
}

/// Whether `text` holds an address: four numbers with dots, or hexadecimal groups with colons as only IPv6 has them.
pub(super) fn tells_address(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_digit() && c != '.')
        .any(|run| {
            let groups = run.split('.').filter(|group| !group.is_empty());
            groups.count() >= 4
        })
        || text
            .split(|c: char| !c.is_ascii_hexdigit() && c != ':')
            .any(|run| {
                let colons = run.bytes().filter(|&b| b == b':').count();
                colons >= 7 || colons >= 2 && run.contains("::")
            })
}

fn contains_ignore_case(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len())
        .any(|window| window.eq_ignore_ascii_case(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn addresses_are_seen_in_any_surroundings() {
        for address in [
            "10.0.0.1",
            "x10.0.0.1y",
            "<sip:a@192.0.2.1:5060>",
            "[2001:db8::1]",
            "::1",
            "fe80::1%eth0",
            "1:2:3:4:5:6:7:8",
            "..10.0.0.1..",
        ] {
            assert!(tells_address(address), "{address}");
        }
        for plain in [
            "hello",
            "SIP;cause=200;text=\"Call completed elsewhere\"",
            "version 1.2.3",
            "16:30:00",
            "a: b: c",
            "",
        ] {
            assert!(!tells_address(plain), "{plain}");
        }
    }

    #[test]
    fn what_names_the_other_side_does_not_pass() {
        let message = "INVITE sip:1@sbc.example SIP/2.0\r\n\
            Via: SIP/2.0/UDP pc.inside.lan;branch=z9hG4bK1\r\n\
            From: <sip:a@corp.lan>;tag=1\r\nTo: <sip:1@sbc.example>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\
            Contact: <sip:a@10.1.2.3>\r\nSubject: lunch\r\nPriority: urgent\r\n\
            X-Odd:  as   it came \r\nX-Leak: seen by PC.Inside.LAN\r\nX-Address: 10.1.2.3\r\nX-Six: fd00::1\r\n\
            X-10.1.2.3: name\r\nUser-Agent: secret/1\r\nSupported: 100rel\r\nContent-Length: 0\r\n\r\n";
        let message =
            Message::parse(Bytes::from_static(message.as_bytes()), &Default::default()).unwrap();
        let passed = Hidden::of(&message)
            .pass(
                &message,
                &Filter::usual("192.0.2.1".parse().unwrap()),
                Writer::response(200, "OK"),
            )
            .finish();
        assert_eq!(
            std::str::from_utf8(&passed).unwrap(),
            "SIP/2.0 200 OK\r\nSubject: lunch\r\nPriority: urgent\r\nX-Odd:  as   it came \r\nContent-Length: 0\r\n\r\n"
        );
    }
}
