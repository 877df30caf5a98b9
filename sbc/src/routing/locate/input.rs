//! What goes in and what comes out.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::question::{Answer, Question};
use super::resting::Unwell;
use crate::config::TrunkId;
use crate::sip::Transport;

/// Where a server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Address and port.
    pub address: SocketAddr,
    /// UDP or TCP.
    pub transport: Transport,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.transport, self.address)
    }
}

/// What happens.
#[derive(Clone, Debug)]
pub enum Input {
    /// What came of [`Action::Resolve`].
    Resolved {
        /// As it was asked.
        question: Question,
        /// What came back.
        answer: Answer,
    },
    /// The networks have other addresses.
    Readdressed,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask DNS; [`Input::Resolved`] follows in any case.
    Resolve(Question),
    /// A source is this trunk from now on.
    Source(TrunkId, IpAddr),
    /// It is not any more.
    NoSource(TrunkId, IpAddr),
    /// Tell this to the log.
    News(News),
}

/// What there is to tell of a trunk's servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// Its servers are here now, the best first.
    Found {
        /// The trunk.
        trunk: TrunkId,
        /// Never empty.
        places: Vec<Place>,
        /// What else DNS offers, and is left out.
        left_out: Option<&'static str>,
    },
    /// DNS does not say any more, or has never said where they are. Told once, until it does again.
    Lost {
        /// The trunk.
        trunk: TrunkId,
        /// What was asked, and why nothing came of it.
        why: String,
        /// How many places are known from before, and stay in force for a day.
        kept: usize,
    },
    /// DNS says again where they are; nothing has changed.
    Back {
        /// The trunk.
        trunk: TrunkId,
    },
    /// What was kept is too old.
    Forgotten {
        /// The trunk.
        trunk: TrunkId,
    },
    /// A server failed: it is asked last for a while.
    Rests {
        /// The trunk.
        trunk: TrunkId,
        /// The server.
        place: Place,
        /// How.
        how: Unwell,
        /// For how long.
        time: Duration,
    },
    /// It answers again.
    Recovered {
        /// The trunk.
        trunk: TrunkId,
        /// The server.
        place: Place,
    },
}

/// A server, for whoever wants to show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaceView {
    /// Where.
    pub place: Place,
    /// For how long it rests yet, if it does.
    pub rests: Option<Duration>,
}
