//! The body that the other side gets: our address and ports, its own formats, nothing of the side that wrote it.

use std::fmt::Write as _;
use std::net::IpAddr;

use smallvec::SmallVec;

use super::address::{holds_address, names_host};
use super::view::{Attribute, Direction};
use super::{Editor, Host, Line, Sdp, Stream};

/// What stands in o= and c=.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Ours, as the one whom the body goes to knows it, in c=.
    pub address: IpAddr,
    /// The one in o=: the same for a dialog's life.
    pub origin: IpAddr,
    /// sess-id: the same for a dialog's life.
    pub session: u64,
    /// sess-version: rises by one when the body changes (RFC 3264 8).
    pub version: u64,
}

/// What becomes of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamPlan {
    /// It is carried.
    Carry {
        /// Ours.
        port: u16,
        /// What the new m= line lists.
        formats: Formats,
        /// Where our RTCP is.
        rtcp: RtcpPlan,
        /// The writer named the unspecified address (hold as of RFC 2543): since ours stands in its place, the
        /// direction has to say that nothing is wanted.
        held: bool,
    },
    /// It is not carried, and goes where its writer wants it.
    AsSaid {
        /// That of its c=, which may be the session's.
        address: IpAddr,
        /// What the new m= line lists.
        formats: Formats,
    },
    /// It is refused: port 0 keeps its place.
    Refuse {
        /// `audio`, `video`, …
        kind: String,
        /// Protocol and formats, which stay as they were offered: `RTP/AVP 0 8`.
        rest: String,
    },
}

/// The formats of a stream that is carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Formats {
    /// Payload types, in this order; attributes of others go.
    Types(SmallVec<[u8; 8]>),
    /// Payload types of which some, or all, are not the writer's: what goes on is not, or need not be, what he sends.
    Mixed(Box<Mixed>),
    /// As they came: not RTP.
    AsWritten,
}

/// See [`Formats::Mixed`]. The writer's SSRCs are not told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mixed {
    /// Payload types, in this order.
    pub types: SmallVec<[u8; 8]>,
    /// Those of them that are the writer's: attributes of all others go.
    pub own: SmallVec<[u8; 8]>,
    /// Whether what he says of packet times stays (`ptime`, `maxptime`).
    pub keeps_packet_time: bool,
    /// What is said in place of what goes, each without `a=`: `rtpmap:9 G722/8000`.
    pub attributes: Vec<String>,
}

/// Where RTCP of a stream is, on our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RtcpPlan {
    /// There is none: not RTP.
    None,
    /// On the port after that of RTP.
    Next,
    /// An offer: on the port of RTP for a peer that knows RFC 5761, else on the next.
    Offered,
    /// An answer: on the port of RTP (RFC 5761).
    Multiplexed,
}

/// Rewrites a body for the other side. A stream without a plan is refused.
#[must_use]
pub fn anchor(sdp: &Sdp<'_>, anchor: &Anchor, plans: &[StreamPlan]) -> Vec<u8> {
    let mut rewrite = Rewrite {
        editor: Editor::new(sdp),
        hidden: names(sdp),
        connection: connection(anchor.address),
    };
    rewrite.session(sdp, anchor);
    for (number, stream) in sdp.streams().enumerate() {
        match plans.get(number) {
            Some(StreamPlan::Carry {
                port,
                formats,
                rtcp,
                held,
            }) => {
                rewrite.carry(&stream, *port, formats, *rtcp);
                if *held {
                    rewrite.hold(sdp, &stream);
                }
            }
            Some(StreamPlan::AsSaid { address, formats }) => {
                rewrite.leave(&stream, *address, formats);
            }
            Some(StreamPlan::Refuse { kind, rest }) => rewrite.refuse(&stream, kind, rest),
            None => {
                let media = stream.media();
                let rest = format!("{} {}", media.protocol, media.formats);
                rewrite.refuse(&stream, media.kind, &rest);
            }
        }
    }
    rewrite.editor.finish()
}

struct Rewrite<'s, 'a> {
    editor: Editor<'s, 'a>,
    /// Host names that must not be shown.
    hidden: SmallVec<[&'a str; 4]>,
    /// Behind every c=.
    connection: String,
}

impl Rewrite<'_, '_> {
    fn session(&mut self, sdp: &Sdp<'_>, anchor: &Anchor) {
        let mut seen = (false, false);
        for (index, line) in sdp.session_lines().iter().enumerate() {
            match line.kind {
                b'o' if !seen.0 => {
                    seen.0 = true;
                    let (session, version) = (anchor.session, anchor.version);
                    let origin = connection(anchor.origin);
                    self.editor
                        .replace(index, format!("- {session} {version} {origin}"));
                }
                b'c' if !seen.1 => {
                    seen.1 = true;
                    self.editor.replace(index, self.connection.clone());
                }
                b's' if shows(line.value, &self.hidden) => self.editor.replace(index, "-".into()),
                _ if stays(line, &self.hidden) => {}
                _ => self.editor.remove(index),
            }
        }
    }

    fn carry(&mut self, stream: &Stream<'_, '_>, port: u16, formats: &Formats, rtcp: RtcpPlan) {
        let first = stream.first_line();
        self.media(stream, port, formats);
        let mut seen_connection = false;
        let mut says_mux = matches!(rtcp, RtcpPlan::Offered | RtcpPlan::Multiplexed);
        for (index, line) in stream.lines().iter().enumerate().skip(1) {
            let index = first + index;
            match (line.kind, line.attribute()) {
                (b'c', _) if !seen_connection => {
                    seen_connection = true;
                    self.editor.replace(index, self.connection.clone());
                }
                (_, Some(Attribute::Rtcp(_)))
                    if matches!(rtcp, RtcpPlan::Next | RtcpPlan::Offered) =>
                {
                    self.editor
                        .replace(index, format!("rtcp:{}", port.saturating_add(1)));
                }
                (_, Some(Attribute::RtcpMux)) if says_mux => says_mux = false,
                (_, Some(attribute)) if !is_of(&attribute, formats) => self.editor.remove(index),
                _ if stays(line, &self.hidden) => {}
                _ => self.editor.remove(index),
            }
        }
        if says_mux {
            self.append(stream, "a=rtcp-mux");
        }
        if let Formats::Mixed(mixed) = formats {
            for attribute in &mixed.attributes {
                self.append(stream, &format!("a={attribute}"));
            }
        }
    }

    /// The m= line.
    fn media(&mut self, stream: &Stream<'_, '_>, port: u16, formats: &Formats) {
        let media = stream.media();
        let mut value = format!("{} {port} {}", media.kind, media.protocol);
        let types = match formats {
            Formats::AsWritten => {
                value = format!("{value} {}", media.formats);
                &[][..]
            }
            Formats::Types(types) => types,
            Formats::Mixed(mixed) => &mixed.types,
        };
        for payload_type in types {
            // Writing to a string does not fail.
            let _ = write!(value, " {payload_type}");
        }
        self.editor.replace(stream.first_line(), value);
    }

    /// Where it is wanted it says itself, as the session's c= is ours; what else tells an address goes, candidates of ICE too.
    fn leave(&mut self, stream: &Stream<'_, '_>, address: IpAddr, formats: &Formats) {
        let first = stream.first_line();
        self.media(stream, stream.media().port, formats);
        let mut title = first;
        for (index, line) in stream.lines().iter().enumerate().skip(1) {
            let index = first + index;
            if line.kind == b'i' {
                title = index;
            }
            let is_kept = match line.attribute() {
                Some(Attribute::Rtcp(_) | Attribute::RtcpMux) => true,
                Some(attribute) => is_of(&attribute, formats) && stays(line, &self.hidden),
                None => stays(line, &self.hidden),
            };
            if !is_kept {
                self.editor.remove(index);
            }
        }
        let family = if address.is_ipv4() { "IP4" } else { "IP6" };
        self.editor
            .insert_after(title, format!("c=IN {family} {address}"));
    }

    /// Says that the writer wants to receive nothing.
    fn hold(&mut self, sdp: &Sdp<'_>, stream: &Stream<'_, '_>) {
        let direction = |line: &Line<'_>| match line.attribute() {
            Some(Attribute::Direction(direction)) => Some(direction.without_receiving()),
            _ => None,
        };
        let mut seen = false;
        for (index, line) in stream.lines().iter().enumerate() {
            if let Some(direction) = direction(line) {
                seen = true;
                self.editor
                    .replace(stream.first_line() + index, direction.name().into());
            }
        }
        if !seen {
            let said = sdp.session_lines().iter().find_map(direction);
            let direction = said.unwrap_or(Direction::SendOnly);
            self.append(stream, &format!("a={}", direction.name()));
        }
    }

    /// Puts a line at the end of a stream.
    fn append(&mut self, stream: &Stream<'_, '_>, line: &str) {
        let last = stream.first_line() + stream.lines().len().saturating_sub(1);
        self.editor.insert_after(last, line.to_owned());
    }

    fn refuse(&mut self, stream: &Stream<'_, '_>, kind: &str, rest: &str) {
        let first = stream.first_line();
        let value = format!("{kind} 0 {rest}");
        let shown = shows(value.as_bytes(), &self.hidden);
        self.editor.replace(
            first,
            if shown {
                "audio 0 RTP/AVP 0".into()
            } else {
                value
            },
        );
        let mut seen_connection = false;
        for (index, line) in stream.lines().iter().enumerate().skip(1) {
            if line.kind == b'c' && !seen_connection {
                seen_connection = true;
                self.editor.replace(first + index, self.connection.clone());
            } else {
                self.editor.remove(first + index);
            }
        }
    }
}

fn connection(address: IpAddr) -> String {
    let family = if address.is_ipv4() { "IP4" } else { "IP6" };
    format!("IN {family} {address}")
}

/// Host names that the writer goes by; literals are found by their form.
fn names<'a>(sdp: &Sdp<'a>) -> SmallVec<[&'a str; 4]> {
    let mut names = SmallVec::new();
    let mut add = |host: Host<'a>| match host {
        Host::Name(name) if name.contains('.') && !names.contains(&name) => names.push(name),
        _ => {}
    };
    add(sdp.origin().host);
    if let Some(connection) = sdp.connection() {
        add(connection.host);
    }
    for stream in sdp.streams() {
        if let Some(connection) = stream.connection() {
            add(connection.host);
        }
        for attribute in stream.attributes() {
            if let Attribute::Rtcp(rtcp) = attribute
                && let Some(host) = rtcp.host
            {
                add(host);
            }
        }
    }
    names
}

fn shows(text: &[u8], hidden: &[&str]) -> bool {
    holds_address(text) || hidden.iter().any(|host| names_host(text, host))
}

/// Whether a line reaches the other side as it is. A second o= or c= and k= (a key, obsolete) do not.
fn stays(line: &Line<'_>, hidden: &[&str]) -> bool {
    match line.kind {
        // A second one may say anything.
        b'v' => line.value.trim_ascii() == b"0",
        0 | b'o' | b'c' | b'k' => false,
        _ => {
            let plain = match line.attribute() {
                None => true,
                Some(attribute) => matches!(
                    attribute,
                    Attribute::RtpMap(_)
                        | Attribute::OfFormat { .. }
                        | Attribute::Ptime(_)
                        | Attribute::MaxPtime(_)
                        | Attribute::Direction(_)
                        | Attribute::Ssrc(_)
                        | Attribute::SsrcGroup
                        | Attribute::Other
                ),
            };
            plain && !shows(line.value, hidden)
        }
    }
}

fn is_of(attribute: &Attribute<'_>, formats: &Formats) -> bool {
    let types = match (formats, attribute) {
        (Formats::AsWritten, _) => return true,
        (Formats::Mixed(mixed), Attribute::Ptime(_) | Attribute::MaxPtime(_)) => {
            return mixed.keeps_packet_time;
        }
        (Formats::Mixed(_), Attribute::Ssrc(_) | Attribute::SsrcGroup) => return false,
        (Formats::Mixed(mixed), _) => &mixed.own,
        (Formats::Types(types), _) => types,
    };
    match attribute {
        Attribute::RtpMap(map) => types.contains(&map.payload_type),
        Attribute::OfFormat { payload_type, .. } => types.contains(payload_type),
        _ => true,
    }
}
