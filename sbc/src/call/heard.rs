//! What signalling says of who should hear whom, for whoever asks why somebody does not.

use std::net::IpAddr;
use std::time::Instant;

use super::machine::{Call, LEG_A, State};
use super::side::Side;
use super::view::Who;
use crate::media::{FlowKind, LegId, StreamWay};
use crate::sdp::{Attribute, Direction, Host, Limits, Sdp};

/// The two who talk: the older leg first, as the sides of their flow pairs.
#[derive(Clone, Debug, PartialEq)]
pub struct Talk {
    /// Who they are.
    pub who: [Who; 2],
    /// What their last descriptions say of the direction of their audio.
    pub directions: [Direction; 2],
    /// Whether each was ever to be heard by the other: neither had put the call on hold by then.
    pub were_wanted: [bool; 2],
    /// Where their signalling comes from.
    pub signalling: [IpAddr; 2],
    /// They send to each other, past the box; or what they have is no audio of RTP.
    pub is_unseen: bool,
    /// Since when they talk.
    pub since: Instant,
}

impl Call {
    /// The two who talk, if it has been answered.
    #[must_use]
    pub fn talk(&self) -> Option<Talk> {
        let State::Up { near, leg, since } = self.state else {
            return None;
        };
        let mut legs = [near, leg];
        legs.sort_unstable();
        let sides = legs.map(|leg| self.end_of(leg));
        let [Some(a), Some(b)] = sides else {
            return None;
        };
        let said = |side: &Side| {
            side.received
                .as_deref()
                .map_or(Direction::SendRecv, direction)
        };
        let mut kinds = self.flow_pairs().map(|pair| pair.kind);
        let is_unseen = match self.flow_pairs().next() {
            Some(_) => kinds.all(|kind| kind != FlowKind::Rtp),
            None => self.way() == StreamWay::Direct,
        };
        Some(Talk {
            who: legs.map(|leg| self.who(leg)),
            directions: [said(a), said(b)],
            were_wanted: self.media.were_wanted(),
            signalling: [a, b].map(|side| side.hop.remote.ip()),
            is_unseen,
            since,
        })
    }

    fn end_of(&self, leg: LegId) -> Option<&Side> {
        if leg == LEG_A {
            return Some(&self.a.side);
        }
        let branch = self.branches.iter().find(|branch| branch.leg == leg);
        branch.map(|branch| &branch.side)
    }
}

/// The direction of the first stream of audio that is not switched off. Who wants it sent to the unspecified address (RFC 2543) wants nothing.
fn direction(body: &[u8]) -> Direction {
    let Ok(sdp) = Sdp::parse(body, &Limits::default()) else {
        return Direction::SendRecv;
    };
    let direction = |attribute| match attribute {
        Attribute::Direction(direction) => Some(direction),
        _ => None,
    };
    let mut streams = sdp.streams().filter(|stream| {
        let media = stream.media();
        media.port != 0 && media.kind.eq_ignore_ascii_case("audio")
    });
    let Some(audio) = streams.next() else {
        return Direction::SendRecv;
    };
    let session = sdp.session_lines().iter();
    let session = session
        .filter_map(|line| line.attribute())
        .find_map(direction);
    let own = audio.attributes().find_map(direction);
    let said = own.or(session).unwrap_or(Direction::SendRecv);
    let connection = audio.connection();
    let is_nowhere =
        connection.is_some_and(|c| matches!(c.host, Host::Ip(ip) if ip.is_unspecified()));
    match is_nowhere {
        true => said.without_receiving(),
        false => said,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_direction_of_the_first_audio() {
        let said = |address: &str, session: &str, streams: &str| {
            let sdp = format!(
                "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n{session}{streams}"
            );
            direction(sdp.as_bytes())
        };
        let (off, audio) = (
            "m=audio 0 RTP/AVP 0\r\na=inactive\r\n",
            "m=audio 4000 RTP/AVP 0\r\n",
        );
        assert_eq!(said("10.0.0.1", "", audio), Direction::SendRecv);
        assert_eq!(
            said("10.0.0.1", "a=sendonly\r\n", &format!("{off}{audio}")),
            Direction::SendOnly
        );
        assert_eq!(
            said(
                "10.0.0.1",
                "a=sendonly\r\n",
                &format!("{audio}a=recvonly\r\n")
            ),
            Direction::RecvOnly
        );
        assert_eq!(said("0.0.0.0", "", audio), Direction::SendOnly);
        assert_eq!(
            said("0.0.0.0", "", &format!("{audio}a=recvonly\r\n")),
            Direction::Inactive
        );
        assert_eq!(direction(b"no sdp"), Direction::SendRecv);
    }
}
