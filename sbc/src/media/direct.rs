//! Whether two phones send their media to each other, past the box, and why not.

use thiserror::Error;

use super::leg::End;

/// Whether an end may be told where the other one is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direct {
    /// Nobody wants it.
    #[default]
    Off,
    /// As far as this end is concerned.
    Possible,
    /// It is wanted, and cannot be.
    Prevented(Anchored),
}

/// Why media goes through the box although a phone's config wants it direct.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Anchored {
    /// The other one is a trunk, or a phone without it.
    #[error("the other party has no direct_media")]
    Party,
    /// Nothing says that there is a way from one to the other.
    #[error("the two are on different networks")]
    Network,
    /// One has IPv4, the other IPv6.
    #[error("the two have no address family in common")]
    Family,
    /// It says that it is elsewhere than where it is heard from.
    #[error("a phone is behind a NAT, or has moved")]
    Nat,
    /// What one has offered the other may not use.
    #[error("the two have no codec in common")]
    Codec,
    /// The one has keys in another form than the other (`dtmf`).
    #[error("the two have different dtmf")]
    Dtmf,
    /// Not among the addresses that are local to its network.
    #[error("a phone is outside of local")]
    Outside,
}

/// Whether these two send to each other; else why not, if it is wanted.
pub(super) fn direct(one: &End, other: &End) -> Result<(), Option<Anchored>> {
    match [one.direct, other.direct] {
        [Direct::Off, Direct::Off] => Err(None),
        [Direct::Off, _] | [_, Direct::Off] => Err(Some(Anchored::Party)),
        [Direct::Prevented(why), _] | [_, Direct::Prevented(why)] => Err(Some(why)),
        _ if one.network != other.network => Err(Some(Anchored::Network)),
        _ if one.signalling.is_ipv4() != other.signalling.is_ipv4() => Err(Some(Anchored::Family)),
        _ if one.dtmf != other.dtmf => Err(Some(Anchored::Dtmf)),
        _ => Ok(()),
    }
}
