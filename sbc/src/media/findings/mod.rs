//! Why a party of a call hears nothing, in words: found out from what signalling said and what the flows counted, when somebody asks and when the
//! call is over. Pure: facts in, findings out. Who hears gets none.

mod words;

#[cfg(test)]
mod property;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::{Faults, FlowCount, Side};
use crate::sdp::Direction;

/// A call must have been up for so long: before that nobody need have spoken.
const EARLY: Duration = Duration::from_secs(2);
/// Who has sent nothing for so long is heard no more. Pauses of those who send nothing while they are silent are shorter, as a rule.
const STOPPED: Duration = Duration::from_secs(10);
/// The same where signalling says that nothing is to come.
const HELD: Duration = Duration::from_secs(1);
/// So many packets of one kind are what is wrong; fewer are what every call may have at its beginning.
const SOME: u32 = 3;
/// The same of a stream that was heard before.
const MANY: u32 = 25;
/// So many packets must have been listened to before all of them being quiet says something.
const LISTENED: u32 = 4;
/// An address that was told to be unreachable for so long is.
const LASTS: Duration = Duration::from_secs(1);
/// And if that is no longer ago. (ICMP errors are limited to one a second, as a rule.)
const LATELY: Duration = Duration::from_secs(4);

/// Who hears nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hears {
    /// Who called.
    Caller,
    /// Who took the call.
    Callee,
}

impl Hears {
    /// Both.
    pub const ALL: [Hears; 2] = [Hears::Caller, Hears::Callee];

    /// `caller` or `callee`.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Hears::Caller => "caller",
            Hears::Callee => "callee",
        }
    }
}

/// Why somebody hears nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The call has no audio stream.
    NoMedia,
    /// Signalling says that nothing is to be sent or heard: a hold that nobody ended.
    Held,
    /// Its packets came from where they may not.
    WrongSource,
    /// Its packets have a payload type that was not agreed upon.
    CodecMismatch,
    /// Its packets have another SSRC than `a=ssrc` has fixed.
    WrongSsrc,
    /// What came is neither RTP nor RTCP.
    NotRtp,
    /// Nothing came of somebody whose SDP names a private address.
    PrivateAddress,
    /// What came was sent on to a private address.
    SentToPrivateAddress,
    /// What came could not be sent on, or did not arrive.
    SendFailed,
    /// What came is silence.
    Silence,
    /// Nothing came.
    NothingArrived,
}

impl Cause {
    /// All of them.
    pub const ALL: [Cause; 11] = [
        Cause::NoMedia,
        Cause::Held,
        Cause::WrongSource,
        Cause::CodecMismatch,
        Cause::WrongSsrc,
        Cause::NotRtp,
        Cause::PrivateAddress,
        Cause::SentToPrivateAddress,
        Cause::SendFailed,
        Cause::Silence,
        Cause::NothingArrived,
    ];

    /// The metric label, and the word for it elsewhere. Stays as it is.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Cause::NoMedia => "no-media",
            Cause::Held => "held",
            Cause::WrongSource => "wrong-source",
            Cause::CodecMismatch => "codec-mismatch",
            Cause::WrongSsrc => "wrong-ssrc",
            Cause::NotRtp => "not-rtp",
            Cause::PrivateAddress => "private-address",
            Cause::SentToPrivateAddress => "sent-to-private-address",
            Cause::SendFailed => "send-failed",
            Cause::Silence => "silence",
            Cause::NothingArrived => "nothing-arrived",
        }
    }
}

/// That a party hears nothing, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Who.
    pub hears: Hears,
    /// Why.
    pub cause: Cause,
    /// The same in words: what was seen, and what to do.
    pub text: String,
}

impl fmt::Display for Finding {
    /// `caller wrong-source: phone:anna hears nothing: ...`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { hears, cause, text } = self;
        write!(f, "{} {}: {text}", hears.label(), cause.label())
    }
}

/// What is known of an answered call's audio.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// Who called, and who took the call.
    pub legs: [LegFacts<'a>; 2],
    /// The two send to each other, past the box: nothing of it is known.
    pub is_direct: bool,
    /// Since the answer.
    pub talked: Duration,
}

/// What is known of one party.
#[derive(Clone, Debug)]
pub struct LegFacts<'a> {
    /// `trunk:NAME` or `phone:NAME`.
    pub name: String,
    /// What its last SDP says of the direction of its audio; [`Direction::SendOnly`] where it wants nothing sent to it as its address is unspecified.
    pub direction: Direction,
    /// Where its signalling comes from.
    pub signalling: IpAddr,
    /// Its side of the flow of RTP, and what came in there; none: there is no such flow.
    pub flow: Option<(&'a Side, FlowCount)>,
    /// What was sent there came back.
    pub unreachable: Option<Unreachable>,
}

/// ICMP errors for what was sent to a party's media address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreachable {
    /// Where it was sent.
    pub to: SocketAddr,
    /// Who says so: the host itself, or a router.
    pub by: IpAddr,
    /// What cannot be reached, in a word: `port`, `host`, `network`, `filtered`.
    pub what: &'static str,
    /// How often.
    pub count: u32,
    /// From the first time to the last.
    pub lasting: Duration,
    /// Since the last time.
    pub ago: Duration,
}

/// Who hears nothing in a call, and why: one finding for each of the two at most.
#[must_use]
pub fn findings(facts: &Facts<'_>) -> Vec<Finding> {
    if facts.is_direct || facts.talked < EARLY {
        return Vec::new();
    }
    let [caller, callee] = &facts.legs;
    let both = [
        (Hears::Caller, caller, callee),
        (Hears::Callee, callee, caller),
    ];
    let finding = |(hears, ear, mouth): (Hears, &LegFacts<'_>, &LegFacts<'_>)| {
        let cause = cause(ear, mouth)?;
        Some(Finding {
            hears,
            cause,
            text: words::text(cause, ear, mouth),
        })
    };
    both.into_iter().filter_map(finding).collect()
}

/// Why `ear` does not hear `mouth`.
fn cause(ear: &LegFacts<'_>, mouth: &LegFacts<'_>) -> Option<Cause> {
    let (Some((to, _)), Some((_, count))) = (&ear.flow, &mouth.flow) else {
        return Some(Cause::NoMedia);
    };
    let faults = &count.faults;
    let holds = is_held(ear, mouth);
    if is_heard(count, if holds { HELD } else { STOPPED }) {
        return lost_on_the_way(ear, count);
    }
    if holds {
        return Some(Cause::Held);
    }
    let enough = if count.packets == 0 { SOME } else { MANY };
    if faults.unsent >= enough && is_lost_at(ear) {
        return Some(Cause::SentToPrivateAddress);
    }
    if let Some(cause) = dropped(faults, enough) {
        return Some(cause);
    }
    if to.named.is_none() {
        return Some(Cause::NoMedia);
    }
    match count.packets == 0 && has_private(mouth) {
        true => Some(Cause::PrivateAddress),
        false => Some(Cause::NothingArrived),
    }
}

/// Of what comes and is let in, why it is not heard.
fn lost_on_the_way(ear: &LegFacts<'_>, count: &FlowCount) -> Option<Cause> {
    let faults = &count.faults;
    let lasts = |told: &Unreachable| told.lasting >= LASTS && told.ago <= LATELY;
    if is_lost_at(ear) {
        return Some(Cause::SentToPrivateAddress);
    }
    let unsent = u64::from(faults.unsent);
    if unsent >= MANY.into() && 2 * unsent >= count.packets {
        return Some(Cause::SendFailed);
    }
    if ear.unreachable.as_ref().is_some_and(lasts) {
        return Some(Cause::SendFailed);
    }
    let is_quiet = faults.listened >= LISTENED && faults.quiet == faults.listened;
    is_quiet.then_some(Cause::Silence)
}

/// What most of the packets were dropped for.
fn dropped(faults: &Faults, enough: u32) -> Option<Cause> {
    let counts = [
        (faults.wrong_source, Cause::WrongSource),
        (faults.payload_type, Cause::CodecMismatch),
        (faults.ssrc, Cause::WrongSsrc),
        (faults.not_rtp, Cause::NotRtp),
        (faults.unsent, Cause::SendFailed),
    ];
    let most = counts.into_iter().max_by_key(|(count, _)| *count);
    most.filter(|(count, _)| *count >= enough)
        .map(|(_, cause)| cause)
}

/// Something came, and not too long ago.
fn is_heard(count: &FlowCount, limit: Duration) -> bool {
    count.packets > 0 && count.silent.is_none_or(|silent| silent < limit)
}

/// Whether signalling says that `ear` is not to hear `mouth`, or that `mouth` holds it: with music, if it sends any.
fn is_held(ear: &LegFacts<'_>, mouth: &LegFacts<'_>) -> bool {
    !ear.direction.receives() || !mouth.direction.sends() || !mouth.direction.receives()
}

/// Whether what is sent to it goes to a private address that leads nowhere: it has said no other one, and has not been heard from elsewhere.
fn is_lost_at(ear: &LegFacts<'_>) -> bool {
    let is_found = |(_, count): &(&Side, FlowCount)| count.latched.is_some() || count.packets > 0;
    has_private(ear) && !ear.flow.as_ref().is_some_and(is_found)
}

/// Whether its SDP names a private address that its signalling does not come from, nor from near there.
fn has_private(leg: &LegFacts<'_>) -> bool {
    let named = leg.flow.as_ref().and_then(|(side, _)| side.named);
    named.is_some_and(|named| is_private(named.ip()) && !are_near(named.ip(), leg.signalling))
}

/// What is no address on the internet (RFC 1918, 6598, 3927, 4193, 4291).
fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            ip.is_private() || ip.is_link_local() || ip.is_loopback() || (a == 100 && b >> 6 == 1)
        }
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_loopback(),
    }
}

/// The first 16 bits of IPv4 and 48 of IPv6 are the same: one site, perhaps.
fn are_near(one: IpAddr, other: IpAddr) -> bool {
    match (one.to_canonical(), other.to_canonical()) {
        (IpAddr::V4(one), IpAddr::V4(other)) => one.octets()[..2] == other.octets()[..2],
        (IpAddr::V6(one), IpAddr::V6(other)) => one.octets()[..6] == other.octets()[..6],
        _ => false,
    }
}
