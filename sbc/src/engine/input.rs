//! What happens to the engine.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::Unreached;
use crate::config::NetworkId;
use crate::media::{Fallback, FlowReport, NetworkPath, PairId, Reserve};
use crate::routing::Timestamp;
use crate::routing::locate::{Answer, Question};
use crate::rtp::info::Pressed;
use crate::transaction::{ConnectionId, Hop};

/// What the shells report.
#[derive(Clone, Debug)]
pub enum Input {
    /// A datagram, or one framed message of a stream. Not yet parsed.
    Message {
        /// `remote` is the source.
        hop: Hop,
        /// All of it.
        bytes: Bytes,
    },
    /// A stream that could not be framed; the shell closes it after what the engine sends in answer.
    StreamBroken {
        /// The connection.
        hop: Hop,
        /// A label for the counter: one of a handful of fixed words.
        reason: &'static str,
    },
    /// A connection is gone, whoever closed it.
    ConnectionClosed(ConnectionId),
    /// What was to go to `hop` could not be sent (RFC 3261 18.4).
    SendFailed {
        /// As in the action.
        hop: Hop,
        /// The message that was to be sent.
        bytes: Bytes,
    },
    /// The time of day is this now; routes that hold at times only need it. Told at start and from time to time.
    Clock(Timestamp),
    /// How media is forwarded on a network from now on.
    NetworkPath {
        /// The side of the box.
        network: NetworkId,
        /// Kernel, or user space and why.
        path: NetworkPath,
    },
    /// A network has these addresses from now on: new calls use them, those that are up keep what they have.
    NetworkAddresses {
        /// The side of the box.
        network: NetworkId,
        /// Never empty.
        addresses: Vec<IpAddr>,
    },
    /// What came of [`super::Action::LookUp`].
    LookedUp {
        /// The side of the box that asked.
        network: NetworkId,
        /// Empty if nothing did.
        addresses: Vec<SocketAddr>,
    },
    /// All addresses of this host: a peer that has one of them is a local peer.
    HostAddresses(Vec<IpAddr>),
    /// What came of [`super::Action::Resolve`].
    Resolved {
        /// As it was asked.
        question: Question,
        /// What came back.
        answer: Answer,
    },
    /// What came of [`crate::media::PortCommand::Hold`].
    PortsFound {
        /// The pair.
        reserve: Reserve,
        /// Someone else on this host has one of the two: they are not held.
        is_taken: bool,
    },
    /// Whether a media worker has time to transcode another stream.
    WorkersHaveTime(bool),
    /// A flow pair could not be installed.
    FlowFailed {
        /// The pair; it is not installed.
        pair: PairId,
        /// Why.
        failure: FlowFailure,
    },
    /// A flow pair that was up cannot go on as it was: it is not installed any more.
    FlowBroken {
        /// The pair.
        pair: PairId,
        /// Why.
        failure: FlowFailure,
        /// What it did; none where that follows as [`Input::FlowEnded`].
        report: Option<FlowReport>,
    },
    /// What a flow pair has done so far, after [`crate::media::FlowCommand::Read`].
    FlowRead {
        /// The pair; it goes on.
        pair: PairId,
        /// What it did.
        report: FlowReport,
    },
    /// What a flow pair sent could not be delivered. To be told at most once a second of each port of ours.
    Unreached(Unreached),
    /// A key was pressed at one side of a flow pair, and the peer of the other is to be told of it by signalling.
    KeyPressed {
        /// The pair.
        pair: PairId,
        /// The side of who is told, 0 or 1.
        to: usize,
        /// Which, and for how long.
        key: Pressed,
    },
    /// A flow pair is gone, after [`crate::media::FlowCommand::Remove`].
    FlowEnded {
        /// The pair.
        pair: PairId,
        /// What it did.
        report: FlowReport,
    },
    /// No new calls from now on, but for emergencies; those that are up stay.
    Drain,
    /// New calls again, after [`Input::Drain`]; nothing after [`Input::Stop`].
    Resume,
    /// End every call now.
    Stop,
}

/// Why a flow pair could not be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FlowFailure {
    /// Someone else has a port of ours: it rests, the call needs others.
    PortTaken,
    /// The kernel does not take it; user space may.
    Kernel(Fallback),
    /// The media workers are gone or their queue is full.
    Overloaded,
}
