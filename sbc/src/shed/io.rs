//! What happens to sources, and what is to be enforced.

use std::net::IpAddr;

use ipnet::IpNet;

use super::ban::{Ban, Offence};
use crate::config::{Limits, NetworkId, TrunkId};

/// What happens to sources.
#[derive(Clone, Debug)]
pub enum Input {
    /// A source that is proven to be where it says did what nobody should.
    Offence {
        /// The side of the box.
        network: NetworkId,
        /// The source.
        source: IpAddr,
        /// What.
        offence: Offence,
    },
    /// A phone has proven who it is from there, by its digest.
    Authenticated {
        /// The side of the box.
        network: NetworkId,
        /// The source.
        source: IpAddr,
    },
    /// A phone's contact is reached there from now on.
    Registered {
        /// The side of the box.
        network: NetworkId,
        /// The source.
        source: IpAddr,
    },
    /// It is not any more: once for each [`Input::Registered`].
    Unregistered {
        /// The side of the box.
        network: NetworkId,
        /// The source.
        source: IpAddr,
    },
    /// A source is a trunk, as DNS says.
    TrunkFound {
        /// The trunk.
        trunk: TrunkId,
        /// The side of the box.
        network: NetworkId,
        /// The source.
        source: IpAddr,
    },
    /// It is not any more: once for each [`Input::TrunkFound`].
    TrunkGone {
        /// The trunk.
        trunk: TrunkId,
        /// The side of the box.
        network: NetworkId,
        /// The source.
        source: IpAddr,
    },
    /// The addresses of this host.
    HostAddresses(Vec<IpAddr>),
}

/// What is to be enforced from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A ban holds, or holds longer.
    Ban(Ban),
    /// A ban is over.
    Unban {
        /// The side of the box.
        network: NetworkId,
        /// Whom it was for.
        prefix: IpNet,
        /// Why.
        end: End,
    },
    /// Trunk or registered phone.
    Known {
        /// The side of the box.
        network: NetworkId,
        /// Their sources.
        prefix: IpNet,
    },
    /// Neither any more.
    Unknown {
        /// The side of the box.
        network: NetworkId,
        /// Their sources.
        prefix: IpNet,
    },
    /// What a network takes in from now on.
    Limits {
        /// The side of the box.
        network: NetworkId,
        /// So much.
        limits: Limits,
    },
}

/// Why a ban is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its time is.
    Expired,
    /// Somebody lifted it, or it was of a trunk that nobody knew.
    Lifted,
    /// A wider one, which holds already, stands for it.
    Widened,
}
