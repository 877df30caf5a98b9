//! What DNS is asked and what it says, as far as it matters here.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::config::HostName;

/// The records of one kind that a name has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Question {
    /// Whose.
    pub name: HostName,
    /// Which.
    pub kind: Kind,
}

/// A kind of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Transports that a domain wants (RFC 3403).
    Naptr,
    /// Servers of one transport (RFC 2782).
    Srv,
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
}

impl Kind {
    /// As DNS calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Naptr => "NAPTR",
            Kind::Srv => "SRV",
            Kind::A => "A",
            Kind::Aaaa => "AAAA",
        }
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.kind.name(), self.name)
    }
}

/// What came back. Every question gets one, also where nothing did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// There are some.
    Found {
        /// Those of the kind that was asked.
        records: Records,
        /// How long they hold, by themselves.
        ttl: Duration,
    },
    /// There is no such name, or it has none of that kind (RFC 2308).
    Nothing {
        /// How long that holds, by itself.
        ttl: Duration,
    },
    /// Nobody knows.
    Failed(Trouble),
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trouble {
    /// No name server answers in time.
    Timeout,
    /// One says that it cannot or will not, or cannot be read.
    Refused,
    /// There is none to ask, or no way to one.
    NoServer,
}

impl Trouble {
    /// As a metric label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Trouble::Timeout => "timeout",
            Trouble::Refused => "refused",
            Trouble::NoServer => "no-server",
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Trouble::Timeout => "no name server answers in time",
            Trouble::Refused => "the name server answers with an error",
            Trouble::NoServer => "no name server can be reached",
        })
    }
}

/// Records of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Records {
    /// Of [`Kind::Naptr`].
    Naptr(Vec<Naptr>),
    /// Of [`Kind::Srv`].
    Srv(Vec<Srv>),
    /// Of [`Kind::A`] and [`Kind::Aaaa`].
    Addresses(Vec<IpAddr>),
}

impl Records {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Records::Naptr(all) => all.is_empty(),
            Records::Srv(all) => all.is_empty(),
            Records::Addresses(all) => all.is_empty(),
        }
    }
}

/// One way to reach a domain (RFC 3403 4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naptr {
    /// Lower ones come first, whatever else.
    pub order: u16,
    /// Of equal order, lower ones come first.
    pub preference: u16,
    /// `s`: an SRV look-up follows. Nothing else is followed here.
    pub flags: String,
    /// `SIP+D2U`.
    pub service: String,
    /// The name to ask next; none if it is no host name.
    pub replacement: Option<HostName>,
}

/// One server (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Srv {
    /// Lower ones come first.
    pub priority: u16,
    /// How often it is chosen, as against those of equal priority.
    pub weight: u16,
    /// 0 is nobody's.
    pub port: u16,
    /// Where it is; none where the service is not there (`.`), or no host name is.
    pub target: Option<HostName>,
}
