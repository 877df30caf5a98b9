//! One dialog, seen from our side (RFC 3261 12).

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::sip::{Message, Method, Name, NameAddr, Transport, Uri, Writer};

/// How many entries a route set may have.
pub const MAX_ROUTES: usize = 16;

/// The port of SIP where a URI names none.
const SIP_PORT: u16 = 5060;

/// What stands in a dialog's requests. Plain text, so that it can be journalled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dialog {
    call_id: Box<str>,
    local_tag: Box<str>,
    /// Empty for a peer that gives none (RFC 2543).
    remote_tag: Box<str>,
    /// `<uri>` with a display name perhaps, without the tag: From of what we send.
    local: Box<str>,
    /// The same for To.
    remote: Box<str>,
    remote_target: Box<str>,
    route_set: Vec<String>,
    local_cseq: u32,
    remote_cseq: Option<u32>,
}

/// Why there is no dialog, or why a request does not fit into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialogError {
    /// More Record-Route entries than anyone needs.
    #[error("more than {MAX_ROUTES} Record-Route entries; shorten the chain of proxies")]
    Routes,
    /// A Contact or Record-Route that is no SIP URI.
    #[error("Contact or Record-Route is no sip: URI; the peer must name where it can be reached")]
    Target,
    /// A CSeq below the last one (RFC 3261 12.2.2).
    #[error("CSeq {found} is lower than {last}, the last one of this dialog")]
    Order {
        /// As it came.
        found: u32,
        /// The highest so far.
        last: u32,
    },
}

impl Dialog {
    /// The dialog that an INVITE makes with our answer to it (RFC 3261 12.1.1).
    pub fn uas(invite: &Message, local_tag: &str, local_cseq: u32) -> Result<Dialog, DialogError> {
        Ok(Dialog {
            call_id: invite.call_id().into(),
            local_tag: local_tag.into(),
            remote_tag: invite.from().tag().unwrap_or_default().into(),
            local: format!("<{}>", invite.to().uri()).into(),
            remote: format!("<{}>", invite.from().uri()).into(),
            remote_target: target(invite)?.unwrap_or_else(|| invite.from().uri().into()),
            route_set: routes(invite)?,
            local_cseq,
            remote_cseq: Some(invite.cseq().number),
        })
    }

    /// The dialog that an answer to our INVITE makes (RFC 3261 12.1.2).
    pub fn uac(invite: &Message, answer: &Message) -> Result<Dialog, DialogError> {
        let mut route_set = routes(answer)?;
        route_set.reverse();
        let from = invite.from();
        // As it was written, display name and escapes included; the tag is ours and comes last.
        let tag = format!(";tag={}", from.tag().unwrap_or_default());
        let local = invite
            .header(Name::From)
            .and_then(|value| value.strip_suffix(&tag))
            .map_or_else(|| format!("<{}>", from.uri()).into(), Into::into);
        Ok(Dialog {
            call_id: invite.call_id().into(),
            local_tag: from.tag().unwrap_or_default().into(),
            remote_tag: answer.to().tag().unwrap_or_default().into(),
            local,
            remote: format!("<{}>", invite.to().uri()).into(),
            remote_target: target(answer)?
                .or_else(|| invite.uri().map(Into::into))
                .unwrap_or_default(),
            route_set,
            local_cseq: invite.cseq().number,
            remote_cseq: None,
        })
    }

    /// It was an early dialog before its 2xx came: its numbers go on, while the 2xx alone says where it leads (RFC 3261
    /// 13.2.2.4).
    pub fn goes_on_from(&mut self, early: &Dialog) {
        self.local_cseq = self.local_cseq.max(early.local_cseq);
        self.remote_cseq = self.remote_cseq.max(early.remote_cseq);
    }

    /// The number of the last request of ours.
    #[must_use]
    pub fn local_cseq(&self) -> u32 {
        self.local_cseq
    }

    /// Its Call-ID.
    #[must_use]
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// Our tag in it.
    #[must_use]
    pub fn local_tag(&self) -> &str {
        &self.local_tag
    }

    /// The peer's tag; empty if it gave none.
    #[must_use]
    pub fn remote_tag(&self) -> &str {
        &self.remote_tag
    }

    /// Whether a request of the peer's belongs to it (RFC 3261 12.2.2). Tags are compared byte for byte.
    #[must_use]
    pub fn is_of(&self, request: &Message) -> bool {
        request.call_id() == &*self.call_id
            && request.to().tag() == Some(&*self.local_tag)
            && request.from().tag().unwrap_or_default() == &*self.remote_tag
    }

    /// Takes a request of the peer's: its CSeq must not go back, and a target refresh (INVITE, UPDATE) moves the remote
    /// target (RFC 3261 12.2.2).
    pub fn accept(&mut self, request: &Message) -> Result<(), DialogError> {
        let found = request.cseq().number;
        if let Some(last) = self.remote_cseq.filter(|&last| found < last) {
            return Err(DialogError::Order { found, last });
        }
        if matches!(request.method(), Method::Invite | Method::Update)
            && let Some(target) = target(request)?
        {
            self.remote_target = target;
        }
        self.remote_cseq = Some(found);
        Ok(())
    }

    /// Takes a 2xx to a target refresh of ours: its Contact is where the peer is from now on (RFC 3261 12.2.1.2).
    pub fn refresh(&mut self, answer: &Message) {
        if let Ok(Some(target)) = target(answer) {
            self.remote_target = target;
        }
    }

    /// The peer's URI: From or To of the INVITE.
    #[must_use]
    pub fn remote_uri(&self) -> &str {
        NameAddr::parse(&self.remote).map_or("", |remote| remote.uri())
    }

    /// Begins the next request of ours: start line, Via, Max-Forwards, Route, From, To, Call-ID, CSeq. `via` is a whole
    /// Via value with its branch.
    pub fn request(&mut self, method: Method, via: &str) -> Writer {
        self.request_named(method.name(), via)
    }

    /// The same for any token.
    pub fn request_named(&mut self, method: &str, via: &str) -> Writer {
        self.local_cseq = self.local_cseq.saturating_add(1);
        self.write(method, via, self.local_cseq)
    }

    /// Begins the ACK to a 2xx (RFC 3261 13.2.2.4): `cseq` is that of the INVITE.
    pub fn ack(&self, via: &str, cseq: u32) -> Writer {
        self.write(Method::Ack.name(), via, cseq)
    }

    /// The Request-URI of what we send next: for the branch.
    #[must_use]
    pub fn request_uri(&self) -> &str {
        match self.route_set.first() {
            Some(route) if !is_loose(route) => route,
            _ => &self.remote_target,
        }
    }

    /// Where the next request goes, as far as the first Route or else the remote target names an address; a name
    /// would have to be looked up.
    #[must_use]
    pub fn address(&self) -> Option<(SocketAddr, Transport)> {
        let uri = self.next_uri()?;
        let address = SocketAddr::new(uri.host_ip()?, uri.port().unwrap_or(SIP_PORT));
        Some((address, transport_of(&uri)))
    }

    /// The same where it names no address: the name, the port and the transport.
    #[must_use]
    pub fn host(&self) -> Option<(String, u16, Transport)> {
        let uri = self.next_uri()?;
        let port = uri.port().unwrap_or(SIP_PORT);
        let is_name = uri.host_ip().is_none();
        is_name.then(|| (uri.host().to_owned(), port, transport_of(&uri)))
    }

    fn next_uri(&self) -> Option<Uri<'_>> {
        let first = self.route_set.first();
        Uri::parse(first.map_or(&*self.remote_target, String::as_str)).ok()
    }

    fn write(&self, method: &str, via: &str, cseq: u32) -> Writer {
        let mut writer = Writer::request(method, self.request_uri())
            .header(Name::Via, via)
            .header(Name::MaxForwards, 70);
        match self.route_set.split_first() {
            // A strict router: it takes its own URI as Request-URI and finds the target last (RFC 3261 12.2.1.1).
            Some((first, rest)) if !is_loose(first) => {
                for route in rest {
                    writer = writer.header(Name::Route, format_args!("<{route}>"));
                }
                writer = writer.header(Name::Route, format_args!("<{}>", self.remote_target));
            }
            Some(_) => {
                for route in &self.route_set {
                    writer = writer.header(Name::Route, format_args!("<{route}>"));
                }
            }
            None => {}
        }
        let writer = writer.header(
            Name::From,
            format_args!("{};tag={}", self.local, self.local_tag),
        );
        let writer = match &*self.remote_tag {
            "" => writer.header(Name::To, &self.remote),
            tag => writer.header(Name::To, format_args!("{};tag={tag}", self.remote)),
        };
        writer
            .header(Name::CallId, &self.call_id)
            .header(Name::CSeq, format_args!("{cseq} {method}"))
    }
}

fn transport_of(uri: &Uri<'_>) -> Transport {
    match uri.param("transport").flatten() {
        Some(tcp) if tcp.eq_ignore_ascii_case("tcp") => Transport::Tcp,
        _ => Transport::Udp,
    }
}

fn is_loose(route: &str) -> bool {
    Uri::parse(route).is_ok_and(|uri| uri.param("lr").is_some())
}

/// The URI of the first Contact; `None` if there is none.
fn target(message: &Message) -> Result<Option<Box<str>>, DialogError> {
    let Some(contact) = message.values(Name::Contact).next() else {
        return Ok(None);
    };
    Ok(Some(uri_of(contact)?.into()))
}

fn routes(message: &Message) -> Result<Vec<String>, DialogError> {
    let mut routes = Vec::new();
    for value in message.values(Name::RecordRoute) {
        if routes.len() == MAX_ROUTES {
            return Err(DialogError::Routes);
        }
        routes.push(uri_of(value)?);
    }
    Ok(routes)
}

fn uri_of(value: &str) -> Result<String, DialogError> {
    let address = NameAddr::parse(value).map_err(|_| DialogError::Target)?;
    match Uri::parse(address.uri()) {
        Ok(parsed) if parsed.scheme().eq_ignore_ascii_case("sip") => {
            Ok(parsed.without_headers().to_owned())
        }
        _ => Err(DialogError::Target),
    }
}
