//! What a ban is, and what is said about one.

use std::fmt;
use std::net::IpAddr;
use std::time::Instant;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use crate::config::{NetworkId, TrunkId};

/// A ban of a prefix on a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ban {
    /// The side of the box.
    pub network: NetworkId,
    /// Whom it is for.
    pub prefix: IpNet,
    /// When it ends.
    pub until: Instant,
    /// Who gave it.
    pub by: By,
    /// Which one in a row it is for this offender, from 1; each of the box's own lasts longer than the one before.
    pub times: u32,
}

/// Who banned, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// Someone with the right to.
    Operator,
    /// The box itself.
    Offence(Offence),
    /// The box itself, as one source after the other within the prefix was banned.
    Several,
}

impl By {
    /// For the log and for lists.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            By::Operator => "operator",
            By::Offence(Offence::Credentials) => "wrong-credentials",
            By::Offence(Offence::Stranger) => "stranger",
            By::Several => "several-within",
        }
    }

    /// Why, for the log.
    #[must_use]
    pub fn why(self) -> &'static str {
        match self {
            By::Operator => "`sbc ban`",
            By::Offence(Offence::Credentials) => {
                "ten wrong passwords or names within a minute, from a proven source"
            }
            By::Offence(Offence::Stranger) => {
                "ten requests within a minute that only trunks and phones may make, from a proven source"
            }
            By::Several => {
                "four /64s of a /56 were banned for what they did, or sixteen of a /48; whoever they belong to has more of them"
            }
        }
    }
}

/// What a source is banned for when it insists. It counts only where the source address is proven: over TCP, or with a nonce that was sent
/// there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Offence {
    /// A wrong password, or a name that no account has.
    Credentials,
    /// A request that only trunks and phones may make.
    Stranger,
}

/// What an operator's ban came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Banned {
    /// One for each network that it holds on.
    pub bans: Vec<Ban>,
    /// What he may not have meant.
    pub warnings: Vec<Warning>,
}

/// Whom a ban covers who is usually served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Warning {
    /// A source of this trunk's.
    Trunk(TrunkId),
    /// So many addresses of phones that are registered now.
    Phones(usize),
    /// An address of this host.
    Host,
}

/// Why there is no ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BanError {
    /// Nearly everyone.
    #[error(
        "{prefix} is too wide to be banned: a prefix has at least {shortest} bits; close the network in the firewall instead"
    )]
    TooWide {
        /// What was asked for.
        prefix: IpNet,
        /// The fewest bits there may be.
        shortest: u8,
    },
    /// No source has such an address.
    #[error("{0} is nobody's source address: nothing to ban")]
    NoSource(IpNet),
    /// The table is full.
    #[error(
        "there are {limit} bans, which is all that there is room for: lift some with `sbc unban`"
    )]
    Full {
        /// Of the table.
        limit: usize,
    },
}

/// Why no ban was lifted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub struct UnbanError {
    /// What was to be lifted.
    pub prefix: IpNet,
    /// The wider ban that covers it.
    pub within: Option<IpNet>,
}

impl fmt::Display for UnbanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = shown(self.prefix);
        match self.within {
            Some(wider) => write!(
                f,
                "{prefix} is not banned by itself, but as part of {wider}: lift that with `sbc unban {wider}`"
            ),
            None => write!(f, "{prefix} is not banned: `sbc bans` lists who is"),
        }
    }
}

/// A host without its prefix length.
pub(super) fn shown(prefix: IpNet) -> String {
    if prefix.prefix_len() == prefix.max_prefix_len() {
        prefix.addr().to_string()
    } else {
        prefix.to_string()
    }
}

/// Without host bits; IPv4 in IPv6's clothes as IPv4.
pub(super) fn canonical(prefix: IpNet) -> IpNet {
    if let IpNet::V6(v6) = prefix
        && let Some(v4) = v6.addr().to_ipv4_mapped()
        && let Some(length) = v6.prefix_len().checked_sub(96)
        && let Ok(net) = Ipv4Net::new(v4, length)
    {
        return IpNet::V4(net.trunc());
    }
    prefix.trunc()
}

/// All of one host: an IPv4 address, or the /64 that an IPv6 host has for itself.
pub(super) fn host(source: IpAddr) -> IpNet {
    match source.to_canonical() {
        IpAddr::V4(v4) => IpNet::V4(v4.into()),
        IpAddr::V6(v6) => IpNet::V6(Ipv6Net::new(v6, 64).unwrap_or_else(|_| v6.into()).trunc()),
    }
}

/// Whether two prefixes have an address in common.
pub(super) fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}
