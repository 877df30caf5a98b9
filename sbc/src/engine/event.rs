//! What happened, for the log: facts, one per change of state, never per packet.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;

use super::{FlowFailure, Outcome, Party};
use crate::config::{Changes, Codec, Dtmf, NetworkId, PhoneId, TrunkId};
use crate::media::{Anchored, Fallback, Finding, FlowReport, LegMedia, PairId};
use crate::routing::locate::News;
use crate::shed::Ban;
use crate::trunks::Probed;

/// A call, for as long as the engine lives; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// From which leg of a call no media came any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silent {
    /// The leg of who called.
    Caller,
    /// That of who took the call.
    Called,
    /// Neither.
    Both,
}

impl Silent {
    /// In the words of the log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Silent::Caller => "the caller",
            Silent::Called => "the callee",
            Silent::Both => "both legs",
        }
    }
}

/// A fact for the log.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A phone's contact is reachable from now on. Not repeated when it is refreshed.
    Registered {
        /// The account.
        phone: PhoneId,
        /// The side of the box.
        network: NetworkId,
        /// Where its REGISTER came from.
        source: SocketAddr,
        /// For how long.
        expires: Duration,
    },
    /// A phone's contact is gone.
    Unregistered {
        /// The account.
        phone: PhoneId,
        /// The side of the box.
        network: NetworkId,
        /// Where its REGISTER had come from.
        source: SocketAddr,
        /// Why: `removed`, `expired`, `replaced`, `connection-closed`, `no account any more`, `password changed`.
        reason: &'static str,
    },
    /// We are registered with a trunk. Not repeated when that is refreshed.
    TrunkRegistered {
        /// The trunk.
        trunk: TrunkId,
        /// Where.
        server: SocketAddr,
        /// For how long.
        expires: Duration,
    },
    /// We are not, or it could not be refreshed. Not repeated for the same reason.
    TrunkUnregistered {
        /// The trunk.
        trunk: TrunkId,
        /// Why, in a few words.
        reason: String,
        /// When it is tried again.
        retry: Option<Duration>,
    },
    /// Who is asked for it does not say that he is there.
    Silent {
        /// A trunk, or a contact of a phone.
        who: Probed,
        /// Why, in a few words.
        reason: String,
    },
    /// He says so again.
    Answers {
        /// A trunk, or a contact of a phone.
        who: Probed,
    },
    /// A request from someone who is neither a trunk nor a phone went nowhere.
    Refused {
        /// The side of the box.
        network: NetworkId,
        /// Where it came from.
        source: SocketAddr,
        /// As in [`super::Stats::sip_refused`].
        reason: &'static str,
    },
    /// A phone had the right password and may not be where it was.
    NotLocal {
        /// The account.
        phone: PhoneId,
        /// The side of the box.
        network: NetworkId,
        /// Where it was.
        source: SocketAddr,
    },
    /// A source's SIP is dropped from now on.
    Banned(Ban),
    /// It is served again.
    Unbanned {
        /// The side of the box.
        network: NetworkId,
        /// Whom the ban was for.
        prefix: IpNet,
        /// Why: `expired`, `lifted`.
        reason: &'static str,
    },
    /// Another config is in force.
    Reloaded(Changes),
    /// A message that is none, or not a valid one.
    Malformed {
        /// The side of the box.
        network: NetworkId,
        /// Where it came from.
        source: SocketAddr,
        /// As in [`super::Stats::sip_malformed`].
        reason: &'static str,
    },
    /// A call has come in and leads somewhere.
    CallStarted {
        /// The call.
        call: CallId,
        /// The caller's Call-ID.
        sip_call_id: String,
        /// Who calls.
        from: Party,
        /// The user part that was dialled.
        number: String,
        /// Position of the route in the config.
        route: usize,
    },
    /// A call has come in and leads nowhere.
    CallRefused {
        /// Who calls.
        from: Party,
        /// The user part that was dialled.
        number: String,
        /// What the caller was told.
        code: u16,
        /// Why.
        reason: String,
    },
    /// Someone took the call.
    CallAnswered {
        /// The call.
        call: CallId,
        /// Our Call-ID towards who took it.
        sip_call_id: String,
        /// Who.
        to: Party,
        /// Since the INVITE.
        setup: Duration,
    },
    /// A party of a call has been replaced by another.
    CallTransferred {
        /// The call.
        call: CallId,
        /// Who left.
        from: Party,
        /// Who came.
        to: Party,
    },
    /// Media of a call goes through the box although `direct_media` of a phone wants it otherwise. Each reason once.
    MediaAnchored {
        /// The call.
        call: CallId,
        /// Why.
        why: Anchored,
    },
    /// The two sides of a stream share no codec, and it is transcoded from now on, or from another codec than before.
    MediaTranscoded {
        /// The call.
        call: CallId,
        /// What the side speaks that called, and what the other one.
        codecs: [Codec; 2],
    },
    /// The two sides of a stream have keys in different forms, and a worker turns the one into the other from now on, or other forms than before.
    MediaKeyed {
        /// The call.
        call: CallId,
        /// The form of the side that called, and that of the other one.
        forms: [Dtmf; 2],
    },
    /// The media of a call has stopped for as long as `media_timeout` allows: it is being ended.
    MediaStopped {
        /// The call.
        call: CallId,
        /// Who called.
        from: Party,
        /// Who took it.
        to: Party,
        /// Whose media it is.
        silent: Silent,
        /// No packet came for at least so long.
        time: Duration,
    },
    /// A call is over, and its flows have reported.
    CallEnded {
        /// The call.
        call: CallId,
        /// Who called.
        from: Party,
        /// Who was called last.
        to: Party,
        /// How.
        outcome: Outcome,
        /// Why, in a few words.
        reason: String,
        /// Since the answer; zero if there was none.
        duration: Duration,
        /// What came from the caller, and from who was called. A flow that does not report in time is not in it.
        media: [LegMedia; 2],
        /// From which of the two nothing came although it was to, while the other one was heard: not of who was put on hold from the beginning, or
        /// is told an announcement.
        one_way: Option<Silent>,
        /// Why one of them heard nothing at the end. Empty where both heard, and where nothing is known.
        verdict: Vec<Finding>,
    },
    /// A flow pair goes through user space although the kernel was asked for.
    FlowFellBack {
        /// The call.
        call: CallId,
        /// The pair.
        pair: PairId,
        /// Why.
        reason: Fallback,
    },
    /// What the two sides of a call had just agreed upon cannot be: its media is what it was before, and they are told.
    MediaTakenBack {
        /// The call.
        call: CallId,
        /// Why.
        failure: FlowFailure,
    },
    /// A flow pair has ended.
    FlowEnded {
        /// The pair.
        pair: PairId,
        /// What it did.
        report: FlowReport,
    },
    /// The addresses of this host are known.
    HostAddresses {
        /// All of them.
        addresses: Vec<IpAddr>,
    },
    /// Peers outside see a network at another address now, and are told so: calls that are up with them go on there.
    ExternalChanged {
        /// The side of the box.
        network: NetworkId,
        /// Before; none if it was not known.
        from: Option<IpAddr>,
        /// Now.
        to: IpAddr,
        /// How many calls are up with peers outside.
        calls: usize,
    },
    /// Nobody says at which address peers outside see a network.
    ExternalUnknown {
        /// The side of the box.
        network: NetworkId,
        /// What they go on to be told; without it our own address.
        known: Option<IpAddr>,
    },
    /// A peer on the internet is told an address of ours that is none there: what he sends does not arrive.
    Misled {
        /// The side of the box.
        network: NetworkId,
        /// What he is told.
        address: IpAddr,
        /// Who.
        peer: SocketAddr,
    },
    /// What there is to tell of a trunk's servers.
    Servers(News),
    /// No new calls from now on.
    Draining,
    /// New calls again.
    Resumed,
}
