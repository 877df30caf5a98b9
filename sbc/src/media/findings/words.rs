//! A finding in words: what was seen, then what to do.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use super::{Cause, LegFacts};
use crate::media::{FlowCount, Side, Unsent};
use crate::sdp::Direction;

/// Payload types that are told.
const MOST: usize = 8;

/// What `ear`, who does not hear `mouth`, may be told.
pub(super) fn text(cause: Cause, ear: &LegFacts<'_>, mouth: &LegFacts<'_>) -> String {
    let (Some((to, _)), Some((from, count))) = (&ear.flow, &mouth.flow) else {
        return format!("{} hears nothing: {NO_STREAM}", ear.name);
    };
    let said = Said {
        ear,
        mouth,
        to,
        from,
        count,
    };
    let since = match (cause, count.packets) {
        (Cause::Silence | Cause::SendFailed | Cause::SentToPrivateAddress, _) | (_, 0) => "nothing",
        _ => "nothing any more",
    };
    format!("{} hears {since}: {}", ear.name, said.why(cause))
}

const NO_STREAM: &str = "the call has no audio that goes through the box. Look at the SDP of both: one has switched the stream off, or there was never one";

struct Said<'a> {
    ear: &'a LegFacts<'a>,
    mouth: &'a LegFacts<'a>,
    to: &'a Side,
    from: &'a Side,
    count: &'a FlowCount,
}

impl Said<'_> {
    fn why(&self, cause: Cause) -> String {
        match cause {
            Cause::NoMedia => format!(
                "its SDP names no address for its audio, so that nothing can be sent to it ({} came)",
                packets(self.count.faults.no_peer.into())
            ),
            Cause::Held => self.held(),
            Cause::WrongSource => self.wrong_source(),
            Cause::CodecMismatch => self.codec_mismatch(),
            Cause::WrongSsrc => self.wrong_ssrc(),
            Cause::NotRtp => format!(
                "{} that came from {} were neither RTP nor RTCP, and were dropped. Encryption (DTLS) or ICE that was not agreed upon looks like that",
                packets(self.count.faults.not_rtp.into()),
                self.mouth.name
            ),
            Cause::PrivateAddress => self.private_address(),
            Cause::SentToPrivateAddress => self.sent_to_private_address(),
            Cause::SendFailed => self.send_failed(),
            Cause::Silence => format!(
                "{} came from {} and went on, but all {} of them that were listened to are digital silence or comfort noise. \
                 Its microphone is muted or missing, or the call is silent behind it",
                packets(self.count.packets),
                self.mouth.name,
                self.count.faults.listened
            ),
            Cause::NothingArrived => self.nothing_arrived(),
        }
    }

    fn held(&self) -> String {
        let (ear, mouth) = (self.ear, self.mouth);
        let (own, other) = (ear.direction, mouth.direction);
        let mut text = match (own, other) {
            (Direction::Inactive, Direction::Inactive) => {
                "the call is on hold, and nobody has resumed it: both SDPs say a=inactive"
                    .to_owned()
            }
            (Direction::SendOnly | Direction::Inactive, _) => format!(
                "it has put {} on hold (its last SDP says a={}) and has not resumed",
                mouth.name,
                own.name()
            ),
            (_, Direction::RecvOnly) => format!(
                "{} says that it does not send (its last SDP says a=recvonly)",
                mouth.name
            ),
            _ => format!(
                "{} has put it on hold (its last SDP says a={}), has not resumed and plays nothing",
                mouth.name,
                other.name()
            ),
        };
        let dropped = self.count.faults.payload_type;
        if dropped > 0 {
            let dropped = packets(dropped.into());
            let _ = write!(
                text,
                ". {dropped} that {} sent all the same were dropped",
                mouth.name
            );
        }
        text
    }

    fn wrong_source(&self) -> String {
        let (mouth, faults) = (self.mouth, &self.count.faults);
        let source = address(faults.source);
        let came = packets(faults.wrong_source.into());
        let mut text = format!("{came} for it came from {source} and were dropped: ");
        let permitted = self.permitted();
        match self.count.latched {
            Some(latched) => {
                let _ = write!(
                    text,
                    "audio of {} comes from {latched}, which was there before, and may come from {permitted}",
                    mouth.name
                );
            }
            None => {
                let _ = write!(text, "audio of {} may come from {permitted}", mouth.name);
            }
        }
        text += match mouth.name.starts_with("trunk:") {
            true => ". If it sends from elsewhere, name that prefix in the trunk's media_from",
            false => {
                ". A NAT or a second interface sends its audio out by another address than its signalling"
            }
        };
        text
    }

    fn codec_mismatch(&self) -> String {
        let faults = &self.count.faults;
        format!(
            "{} of {} have payload type {}, which was not agreed upon ({}); they were dropped. \
             It has changed its codec without a re-INVITE, or does not keep to the answer",
            packets(faults.payload_type.into()),
            self.mouth.name,
            numbered(faults.last_type),
            agreed(self.from.payload_types)
        )
    }

    fn wrong_ssrc(&self) -> String {
        let faults = &self.count.faults;
        let named: Vec<String> = self.from.ssrcs.iter().map(u32::to_string).collect();
        format!(
            "{} of {} have SSRC {}, but its SDP fixes {} (a=ssrc); they were dropped. \
             It sends another stream than it has announced, or changed it without a re-INVITE",
            packets(faults.ssrc.into()),
            self.mouth.name,
            faults.last_ssrc,
            match named.is_empty() {
                true => "another one".to_owned(),
                false => named.join(", "),
            }
        )
    }

    fn private_address(&self) -> String {
        let mouth = self.mouth;
        format!(
            "no packet came from {}. Its SDP names {}, a private address, but its signalling comes from {}: audio is taken from either, and came from neither. \
             It is behind a NAT or firewall that lets no audio out, or cannot reach {}",
            mouth.name,
            address(self.from.named),
            mouth.signalling,
            self.from.local
        )
    }

    fn sent_to_private_address(&self) -> String {
        let ear = self.ear;
        let all = self.count.packets.max(self.count.faults.unsent.into());
        format!(
            "{} went to {}, a private address that its SDP names, but its signalling comes from {}. \
             As no packet came from it, where it can be reached is not known. It has to send audio first, or to name its public address",
            packets(all),
            address(self.to.named),
            ear.signalling
        )
    }

    fn send_failed(&self) -> String {
        let faults = &self.count.faults;
        let is_unsent = faults.unsent > 0;
        match &self.ear.unreachable {
            Some(told) if !is_unsent || self.count.packets > u64::from(faults.unsent) => {
                let says = match told.what {
                    "port" => "nobody listens at that port (ICMP port unreachable)",
                    "host" => "the host cannot be reached (ICMP host unreachable)",
                    "filtered" => "a firewall forbids it (ICMP administratively prohibited)",
                    _ => "there is no way there (ICMP network unreachable)",
                };
                format!(
                    "{} went to {}, but {} says, {} times, that {says}",
                    packets(self.count.packets),
                    told.to,
                    told.by,
                    told.count
                )
            }
            _ => {
                let why = faults
                    .why_unsent
                    .map_or(Unsent::Refused.words(), Unsent::words);
                let latched = self.ear.flow.as_ref().and_then(|(_, count)| count.latched);
                let to = latched.or(self.to.named);
                let host = to.map_or_else(|| "ADDRESS".to_owned(), |to| to.ip().to_string());
                format!(
                    "{} for it could not be sent to {}, as {why}. Look at `ip route get {host}` and `ip neigh` on the box",
                    packets(faults.unsent.into()),
                    address(to)
                )
            }
        }
    }

    fn nothing_arrived(&self) -> String {
        let (mouth, permitted, local) = (self.mouth, self.permitted(), self.from.local);
        let why = "It does not send, or a firewall or NAT on the way drops it";
        match (self.count.packets, self.count.silent) {
            (1.., Some(silent)) => format!(
                "nothing has come from {} for {}, after {}. {why}",
                mouth.name,
                seconds(silent),
                packets(self.count.packets)
            ),
            _ => format!(
                "no packet at all came from {}, of which audio was to come from {permitted} to {local}. {why}",
                mouth.name
            ),
        }
    }

    /// Where audio of the mouth may come from.
    fn permitted(&self) -> String {
        let mut all = Vec::new();
        if let Some(named) = self.from.named {
            all.push(format!("{named} (its SDP)"));
        }
        for net in &self.from.sources {
            let is_signalling = net.addr() == self.mouth.signalling.to_canonical();
            all.push(match net.prefix_len() == net.max_prefix_len() {
                true if is_signalling => format!("{} (its signalling)", net.addr()),
                true => net.addr().to_string(),
                false => net.to_string(),
            });
        }
        match all.split_last() {
            None => "nowhere, as it has named no address".to_owned(),
            Some((last, [])) => format!("{last} only"),
            Some((last, others)) => format!("{} or {last} only", others.join(", ")),
        }
    }
}

fn address(at: Option<SocketAddr>) -> String {
    at.map_or_else(
        || "an address that is not known".to_owned(),
        |at| at.to_string(),
    )
}

fn packets(count: u64) -> String {
    match count {
        1 => "1 packet".to_owned(),
        many => format!("{many} packets"),
    }
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs())
}

/// `0 (PCMU), 101 were`.
fn agreed(types: u128) -> String {
    let mut all: Vec<String> = (0..128)
        .filter(|number| types >> number & 1 != 0)
        .map(numbered)
        .collect();
    let more = all.len() > MOST;
    all.truncate(MOST);
    match (all.len(), more) {
        (0, _) => "nothing was to come".to_owned(),
        (1, _) => format!("{} was", all.join("")),
        (_, false) => format!("{} were", all.join(", ")),
        (_, true) => format!("{} and others were", all.join(", ")),
    }
}

/// With the name that a payload type has by itself (RFC 3551, table 4).
fn numbered(number: u8) -> String {
    let name = match number {
        0 => "PCMU",
        3 => "GSM",
        4 => "G723",
        8 => "PCMA",
        9 => "G722",
        13 => "comfort noise",
        15 => "G728",
        18 => "G729",
        _ => return number.to_string(),
    };
    format!("{number} ({name})")
}
