//! A session description in a few words, and what another one has instead.

use std::fmt::Write as _;

use crate::sdp::{Attribute, Direction, Limits, Sdp, Stream, formats};

/// Streams that are told.
const STREAMS: usize = 4;
/// Formats of a stream that are told.
const FORMATS: usize = 12;

/// A session description, as far as it is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    streams: Vec<OfStream>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct OfStream {
    kind: String,
    formats: Vec<String>,
    /// Where media is wanted; none if the stream is refused or switched off.
    place: Option<String>,
    direction: Direction,
}

impl Said {
    /// Reads a body; `None` for one that cannot be read.
    pub(super) fn read(body: &[u8]) -> Option<Said> {
        let sdp = Sdp::parse(body, &Limits::default()).ok()?;
        let streams = sdp.streams().take(STREAMS);
        Some(Said {
            streams: streams.map(|stream| of_stream(&sdp, &stream)).collect(),
        })
    }

    /// `G722 PCMU, media at 192.168.1.5:4000`; with what `before` had instead.
    pub(super) fn words(&self, before: Option<&Said>) -> String {
        let mut out = String::new();
        for (index, stream) in self.streams.iter().enumerate() {
            if index > 0 {
                out.push_str("; ");
            }
            let old = before.and_then(|before| before.streams.get(index));
            stream.tell(&mut out, index > 0, old);
        }
        out
    }
}

impl OfStream {
    fn tell(&self, out: &mut String, is_named: bool, old: Option<&OfStream>) {
        if is_named || !self.kind.eq_ignore_ascii_case("audio") {
            let _ = write!(out, "{} ", self.kind);
        }
        let Some(place) = &self.place else {
            out.push_str("off (port 0)");
            return;
        };
        let _ = write!(out, "{}, media at {place}", self.formats.join(" "));
        match self.direction {
            Direction::SendRecv => {}
            Direction::SendOnly => out.push_str(", sendonly"),
            Direction::RecvOnly => out.push_str(", recvonly"),
            Direction::Inactive => out.push_str(", inactive"),
        }
        let Some(old) = old else { return };
        let mut changes = Vec::new();
        if let Some(was) = old.place.as_ref().filter(|was| *was != place) {
            changes.push(format!("was {was}"));
        }
        let without = |of: &OfStream, other: &OfStream| -> Vec<String> {
            let formats = of.formats.iter();
            let missing = formats.filter(|format| !other.formats.contains(format));
            missing.cloned().collect()
        };
        let (gone, new) = (without(old, self), without(self, old));
        if !gone.is_empty() {
            changes.push(format!("without {}", gone.join(" ")));
        }
        if !new.is_empty() {
            changes.push(format!("with {}", new.join(" ")));
        }
        if !changes.is_empty() {
            let _ = write!(out, " ({})", changes.join("; "));
        }
    }
}

fn of_stream<'a>(sdp: &Sdp<'a>, stream: &Stream<'_, 'a>) -> OfStream {
    let media = stream.media();
    let host = stream.connection().or_else(|| sdp.connection());
    let host = host.map_or_else(
        || "?".to_owned(),
        |connection| match connection.host {
            crate::sdp::Host::Ip(std::net::IpAddr::V6(ip)) => format!("[{ip}]"),
            crate::sdp::Host::Ip(ip) => ip.to_string(),
            crate::sdp::Host::Name(name) => name.to_owned(),
        },
    );
    let of_session = sdp.session_lines().iter().filter_map(|l| l.attribute());
    let direction = stream
        .attributes()
        .chain(of_session)
        .find_map(|attribute| match attribute {
            Attribute::Direction(direction) => Some(direction),
            _ => None,
        });
    let mut names: Vec<String> = Vec::new();
    for format in formats(stream) {
        let name = match format.encoding {
            Some(encoding) => encoding.name.to_owned(),
            None => format.payload_type.to_string(),
        };
        if names.len() < FORMATS && !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() {
        names.push(media.formats.to_owned());
    }
    OfStream {
        kind: media.kind.to_owned(),
        formats: names,
        place: (media.port > 0).then(|| format!("{host}:{}", media.port)),
        direction: direction.unwrap_or(Direction::SendRecv),
    }
}
