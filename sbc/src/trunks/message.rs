//! What is sent to trunks and phones to keep them, and what their answers say.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use bytes::Bytes;

use super::turn::Around;
use crate::call::{self, AGENT, ALLOW, Challenges, contact, face, unescaped, via};
use crate::config::{Config, Credentials, Server, Trunk, TrunkId};
use crate::dialog::Tokens;
use crate::routing::locate::{Place, Places};
use crate::sip::{Message, Name, NameAddr, Transport, Uri, Writer};
use crate::transaction::Hop;

/// The port of SIP where a URI names none.
const SIP_PORT: u16 = 5060;
/// Characters of a reason phrase that are told.
const PHRASE: usize = 60;

/// The way to a trunk's server, or to another place of it.
///
/// # Errors
/// Nobody knows where it is, or its network has no listener for that.
pub(super) fn hop_to(
    now: Instant,
    config: &Config,
    places: &Places,
    id: TrunkId,
    place: Option<Place>,
) -> Result<Hop, &'static str> {
    let place = place.or_else(|| places.first(now, config, id));
    let place = place.ok_or("DNS knows no server of it yet")?;
    call::hop_to(config, id, place)
        .ok_or("its network has no listener of its transport and address family")
}

/// The domain that a trunk's accounts are in.
pub(super) fn domain(server: &Server) -> String {
    match server.fixed() {
        Some((address, _)) => authority(address),
        None => server.host_port(),
    }
}

fn authority(address: SocketAddr) -> String {
    match (address.port(), address) {
        (SIP_PORT, SocketAddr::V4(v4)) => v4.ip().to_string(),
        (SIP_PORT, SocketAddr::V6(v6)) => format!("[{}]", v6.ip()),
        _ => address.to_string(),
    }
}

/// The user part that our Contact with a trunk has, not escaped: its calls come to that name.
pub(super) fn own_name(credentials: &Credentials) -> &str {
    account(credentials).0
}

/// The name, and the domain where the username brings its own: `5555@carrier.example`.
fn account(credentials: &Credentials) -> (&str, Option<&str>) {
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    match credentials.username.rsplit_once('@') {
        Some((user, domain))
            if !user.is_empty() && !domain.is_empty() && domain.chars().all(is_host) =>
        {
            (user, Some(domain))
        }
        _ => (&credentials.username, None),
    }
}

/// What may not stand in a user part as it is, is escaped (RFC 3261 25.1).
fn escaped(user: &str) -> String {
    let mut text = String::with_capacity(user.len());
    for byte in user.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/".contains(&byte);
        match plain {
            true => text.push(char::from(byte)),
            false => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

/// What all REGISTERs of one registration have in common.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) call_id: String,
    pub(super) tag: String,
}

/// What one REGISTER is to say.
pub(super) struct Wanted<'a> {
    pub(super) trunk: &'a Trunk,
    pub(super) account: &'a Credentials,
    pub(super) hop: &'a Hop,
    /// A 3xx has led there.
    pub(super) is_elsewhere: bool,
    pub(super) names: &'a Names,
    pub(super) cseq: u32,
    pub(super) seconds: u32,
}

/// A REGISTER (RFC 3261 10.2), for so many seconds; 0 takes the registration back.
pub(super) fn register(
    around: &mut Around<'_>,
    wanted: &Wanted<'_>,
    challenges: &mut Challenges,
) -> Option<Message> {
    let (config, tokens) = (around.config, &mut *around.tokens);
    let Wanted {
        trunk,
        account: account_of,
        hop,
        is_elsewhere,
        names,
        cseq,
        seconds,
    } = *wanted;
    let (user, own_domain) = account(account_of);
    let user = escaped(user);
    let is_its = trunk
        .server
        .fixed()
        .is_none_or(|(address, _)| address == hop.remote);
    let uri = match is_its && !is_elsewhere {
        true => format!(
            "sip:{}",
            own_domain.map_or(domain(&trunk.server), str::to_owned)
        ),
        false => format!("sip:{}", authority(hop.remote)),
    };
    let domain = own_domain.map_or_else(|| domain(&trunk.server), str::to_owned);
    let writer = Writer::request("REGISTER", &uri)
        .header(Name::Via, via(config, hop, &tokens.branch(&uri)))
        .header(Name::MaxForwards, 70)
        .header(
            Name::From,
            format_args!("<sip:{user}@{domain}>;tag={}", names.tag),
        )
        .header(Name::To, format_args!("<sip:{user}@{domain}>"))
        .header(Name::CallId, &names.call_id)
        .header(Name::CSeq, format_args!("{cseq} REGISTER"))
        .header(Name::Contact, own_contact(config, &user, hop))
        .header(Name::Expires, seconds)
        .header(Name::Allow, ALLOW)
        .header(Name::UserAgent, AGENT);
    let request = ["REGISTER", uri.as_str()];
    let writer = challenges.authorize(account_of, tokens, request, writer);
    parsed(writer.finish())
}

/// Our Contact, with a name.
fn own_contact(config: &Config, user: &str, hop: &Hop) -> String {
    contact(config, hop).replacen("<sip:", &format!("<sip:{user}@"), 1)
}

/// An OPTIONS outside of a dialog (RFC 3261 11.1).
pub(super) fn options(
    config: &Config,
    tokens: &mut Tokens,
    uri: &str,
    hop: &Hop,
) -> Option<Message> {
    let writer = Writer::request("OPTIONS", uri)
        .header(Name::Via, via(config, hop, &tokens.branch(uri)))
        .header(Name::MaxForwards, 70)
        .header(
            Name::From,
            format_args!("<sip:{}>;tag={}", face(config, hop), tokens.tag()),
        )
        .header(Name::To, format_args!("<{uri}>"))
        .header(Name::CallId, tokens.call_id())
        .header(Name::CSeq, format_args!("{} OPTIONS", tokens.cseq()))
        .header(Name::Contact, contact(config, hop))
        .header(Name::Accept, "application/sdp")
        .header(Name::UserAgent, AGENT);
    parsed(writer.finish())
}

/// The Request-URI of an OPTIONS to a trunk.
pub(super) fn server_uri(config: &Config, id: TrunkId) -> String {
    format!("sip:{}", domain(&config.trunk(id).server))
}

fn parsed(bytes: Bytes) -> Option<Message> {
    Message::parse(bytes, &Default::default()).ok()
}

/// For how many seconds a REGISTER that asked for `asked` was granted: what our own Contact says in its 200, else Expires, else
/// what was asked for (RFC 3261 10.2.4).
pub(super) fn granted(request_contact: &str, answer: &Message, asked: u32) -> u32 {
    let own = NameAddr::parse(request_contact).ok();
    let own = own.and_then(|own| Uri::parse(own.uri()).ok());
    let contacts: Vec<NameAddr<'_>> = answer
        .values(Name::Contact)
        .take(64)
        .filter_map(|value| NameAddr::parse(value).ok())
        .collect();
    let is_own = |contact: &&NameAddr<'_>| {
        let uri = Uri::parse(contact.uri()).ok();
        uri.zip(own).is_some_and(|(uri, own)| {
            uri.user() == own.user()
                && uri.host().eq_ignore_ascii_case(own.host())
                && uri.port().unwrap_or(SIP_PORT) == own.port().unwrap_or(SIP_PORT)
        })
    };
    // One that it writes in another way, as it does not believe our address, is ours if it is alone.
    let ours = contacts.iter().find(is_own).or(match contacts.as_slice() {
        [only] => Some(only),
        _ => None,
    });
    let own = ours
        .and_then(|contact| contact.param("expires").flatten())
        .and_then(seconds);
    own.or_else(|| answer.header(Name::Expires).and_then(seconds))
        .unwrap_or(asked)
}

/// The value of Expires, Min-Expires or Retry-After: seconds, and perhaps a comment.
pub(super) fn seconds(text: &str) -> Option<u32> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .map_or(text, |end| text.get(..end).unwrap_or_default());
    // More than an id can count is a long time.
    match digits.is_empty() {
        true => None,
        false => Some(digits.parse().unwrap_or(u32::MAX)),
    }
}

/// `403 Forbidden`, as whoever answered put it.
pub(super) fn words(answer: &Message) -> String {
    match answer.start() {
        crate::sip::Start::Response { code, reason } => {
            let shown = |c: char| if c.is_control() { ' ' } else { c };
            let phrase: String = reason.chars().map(shown).take(PHRASE).collect();
            format!("{code} {}", phrase.trim()).trim_end().to_owned()
        }
        crate::sip::Start::Request { .. } => String::new(),
    }
}

/// Where a 3xx leads that may lead there: the first address among the trunk's sources.
pub(super) fn elsewhere(
    trunk: &Trunk,
    is_its: impl Fn(IpAddr) -> bool,
    answer: &Message,
) -> Option<Place> {
    answer.values(Name::Contact).take(8).find_map(|value| {
        let contact = NameAddr::parse(value).ok()?;
        let uri = Uri::parse(contact.uri()).ok()?;
        let ip = uri.host_ip()?;
        let transport = match uri.param("transport").flatten() {
            None => trunk.server.transport.unwrap_or(Transport::Udp),
            Some(name) if name.eq_ignore_ascii_case("udp") => Transport::Udp,
            Some(name) if name.eq_ignore_ascii_case("tcp") => Transport::Tcp,
            Some(_) => return None,
        };
        let is_sip = uri.scheme().eq_ignore_ascii_case("sip");
        (is_its(ip) && is_sip).then(|| Place {
            address: (ip, uri.port().unwrap_or(SIP_PORT)).into(),
            transport,
        })
    })
}

/// Whether the user part of a Request-URI is the name that we have registered with a trunk.
pub(super) fn is_own_name(trunk: &Trunk, user: &str) -> bool {
    let account = trunk.register.and(trunk.credentials.as_ref());
    account.is_some_and(|account| own_name(account) == unescaped(user).as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Secret;

    fn credentials(username: &str) -> Credentials {
        Credentials {
            username: username.to_owned(),
            password: Secret::new("x".to_owned()),
        }
    }

    fn ok(headers: &str) -> Message {
        let text = format!(
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:a@h>;tag=2\r\n\
             Call-ID: c\r\nCSeq: 1 REGISTER\r\n{headers}Content-Length: 0\r\n\r\n"
        );
        Message::parse(Bytes::from(text), &Default::default()).unwrap()
    }

    #[test]
    fn an_account_may_bring_its_domain() {
        for (username, expected) in [
            ("5555", ("5555", None)),
            (
                "+49 30@tel.example.com",
                ("+49 30", Some("tel.example.com")),
            ),
            ("a@b@c.example", ("a@b", Some("c.example"))),
            ("a@", ("a@", None)),
            ("@b", ("@b", None)),
            ("a@b c", ("a@b c", None)),
        ] {
            assert_eq!(account(&credentials(username)), expected);
        }
        assert_eq!(escaped("a@b c+ü"), "a%40b%20c+%C3%BC");
    }

    #[test]
    fn what_was_granted_stands_at_our_own_contact_first() {
        let own = "<sip:me@10.0.0.1:5060>";
        for (headers, expected) in [
            ("", 3600),
            ("Expires: 120\r\n", 120),
            (
                "Contact: <sip:me@10.0.0.1>;expires=90\r\nExpires: 120\r\n",
                90,
            ),
            (
                "Contact: <sip:me@10.0.0.7:5060>;expires=7, <sip:ME@10.0.0.1:5060>;expires=8, <sip:me@10.0.0.1:5060>;q=1;expires=90\r\n",
                90,
            ),
            ("Contact: <sip:me@192.0.2.1:1024>;expires=60\r\n", 60),
            (
                "Contact: <sip:me@192.0.2.1:1024>;expires=60, <sip:x@h>;expires=9\r\n",
                3600,
            ),
            ("Contact: <sip:me@10.0.0.1>\r\nExpires: 30\r\n", 30),
            ("Contact: <sip:me@10.0.0.1>;expires=x\r\n", 3600),
            (
                "Contact: <sip:me@10.0.0.1>;expires=99999999999\r\n",
                u32::MAX,
            ),
        ] {
            assert_eq!(granted(own, &ok(headers), 3600), expected, "{headers}");
        }
    }

    proptest! {
        #[test]
        fn whatever_an_answer_says_is_read(contact in "[ -~]{0,60}", expires in "[ -~]{0,20}") {
            let text = format!("Contact: {contact}\r\nExpires: {expires}\r\n");
            let answer = format!(
                "SIP/2.0 302 {contact}\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:a@h>;tag=2\r\n\
                 Call-ID: c\r\nCSeq: 1 REGISTER\r\n{text}Content-Length: 0\r\n\r\n"
            );
            if let Ok(answer) = Message::parse(Bytes::from(answer), &Default::default()) {
                granted(&contact, &answer, 60);
                granted("<sip:me@10.0.0.1>", &answer, 60);
                prop_assert!(words(&answer).len() <= 4 + 4 * PHRASE);
            }
        }

        #[test]
        fn any_username_makes_a_uri(username in "[^\"\\\\\\p{C}]{1,40}") {
            let own = credentials(&username);
            let (user, domain) = account(&own);
            let uri = format!("sip:{}@{}", escaped(user), domain.unwrap_or("h"));
            let read = Uri::parse(&uri).unwrap();
            prop_assert_eq!(unescaped(read.user().unwrap()), user);
        }
    }

    #[test]
    fn numbers_may_have_comments() {
        assert_eq!(seconds(" 18 (busy);duration=3"), Some(18));
        assert_eq!(seconds("soon"), None);
        assert_eq!(seconds(""), None);
    }
}
