//! Who is calling, and where a call leads: the first route that matches decides; and where trunks are ([`locate`]).
//! L1: imports [`crate::config`], of [`crate::sip`] URIs, of [`crate::call`] how what is escaped in them is read.

pub mod locate;

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

pub use jiff::Timestamp;
use smallvec::SmallVec;

use crate::config::{Config, From, Groups, NetworkId, PhoneId, Route, RouteId, TrunkId, Values};

mod dialled;
mod explain;
mod steps;
mod turns;
mod wall;

pub use dialled::dialled;
pub use explain::{Explanation, Led, NoCaller, Passed, Question, Told, Verdict, network_named};
pub use turns::Turns;
pub use wall::Wall;

/// Who is calling, once that is proven: a trunk by its source address, a phone by its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Caller {
    /// A SIP server.
    Trunk(TrunkId),
    /// A local account.
    Phone(PhoneId),
}

impl Caller {
    /// What a route is chosen by, as one text: a call that comes again with the same one goes round in a circle.
    #[must_use]
    pub fn asking_for(self, number: &str) -> String {
        match self {
            Caller::Trunk(trunk) => format!("trunk {} {number}", trunk.0),
            Caller::Phone(phone) => format!("phone {} {number}", phone.0),
        }
    }
}

/// Where a call may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// A SIP server.
    Trunk(TrunkId),
    /// A local account, registered or not.
    Phone(PhoneId),
}

/// Where a call leads, and by which route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The route that decided.
    pub route: RouteId,
    /// To be tried in order, until one takes the call; nobody twice, never empty.
    pub steps: SmallVec<[Step; 2]>,
    /// The number that trunks are asked for, where the route says so (`dial`): as a user part, escaped. Never empty.
    pub dial: Option<String>,
    /// Who calls, as those who are called see it, where the route says so (`caller_id`).
    pub caller_id: Option<CallerId>,
}

/// One of the things to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// These are asked at once; who answers first has the call.
    Ring {
        /// Never empty.
        who: SmallVec<[Destination; 4]>,
        /// How long, where the config says so.
        ring_for: Option<Duration>,
    },
    /// The caller is told this, and nobody is asked any more.
    Reject(u16),
}

/// A caller's name and number as others see them: `John Doe <+15555555555>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerId {
    /// The display name, without quotes, backslashes and control characters. Never empty.
    pub display: Option<String>,
    /// The user part of his URI, escaped. Never empty.
    pub number: String,
}

impl Decision {
    /// All who may be asked, in order.
    pub fn destinations(&self) -> impl Iterator<Item = Destination> {
        self.steps
            .iter()
            .flat_map(|step| match step {
                Step::Ring { who, .. } => who.as_slice(),
                Step::Reject(_) => &[],
            })
            .copied()
    }
}

/// Why a call leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NoRoute {
    /// No route is for this caller, whatever the number.
    #[error("no route is for this caller")]
    Caller,
    /// Routes for this caller there are, but none for the number.
    #[error("no route of this caller matches the number")]
    Number,
    /// The route that decides leads to the phone that was dialled, and there is none.
    #[error("route number {} matches, but no phone has the dialled number as its name", .0.index() + 1)]
    Phone(RouteId),
}

/// The trunk that a source in a network is: the longest prefix of `accept_from` wins, then the order of the file.
/// The source may be an IPv4-mapped IPv6 address. What DNS says of names is not in it: [`locate::Places::trunk_of`].
#[must_use]
pub fn trunk_of(config: &Config, network: NetworkId, source: IpAddr) -> Option<TrunkId> {
    trunk_match(config, network, source.to_canonical()).map(|(_, id)| id)
}

/// As [`trunk_of`], with the length of the prefix.
fn trunk_match(config: &Config, network: NetworkId, source: IpAddr) -> Option<(u8, TrunkId)> {
    let mut best: Option<(u8, TrunkId)> = None;
    for (id, trunk) in (0..).map(TrunkId).zip(&config.trunks) {
        if trunk.network != network {
            continue;
        }
        let length = trunk
            .accept_from
            .iter()
            .filter(|net| net.contains(&source))
            .map(ipnet::IpNet::prefix_len)
            .max();
        if let Some(length) = length
            && best.is_none_or(|(longest, _)| length > longest)
        {
            best = Some((length, id));
        }
    }
    best
}

/// What a decision depends on besides the config, the caller and the number.
#[derive(Default)]
pub struct Circumstances<'a> {
    /// The network that a phone calls from, where that is known; that of a trunk is.
    pub network: Option<NetworkId>,
    /// The number that the caller calls from, unescaped: `{from}`. Empty where it is not known.
    pub from: &'a str,
    /// The time of day.
    pub at: Timestamp,
    /// Whose turn it is in groups; without it that is nobody's, and no turn is taken.
    pub turns: Option<&'a mut Turns>,
}

/// Where a call of `caller` to `number` leads; `number` is the user part of the Request-URI, unescaped.
///
/// # Errors
/// [`NoRoute`] says why it leads nowhere.
pub fn route(
    config: &Config,
    caller: Caller,
    number: &str,
    circumstances: Circumstances<'_>,
) -> Result<Decision, NoRoute> {
    let callers = caller.entries(config, circumstances.network);
    let mut start = 0;
    let (id, route) = loop {
        let Some((id, route)) = config.next_route(&callers, number, start) else {
            return Err(if config.is_for_some(&callers) {
                NoRoute::Number
            } else {
                NoRoute::Caller
            });
        };
        if route
            .when
            .as_ref()
            .is_none_or(|when| when.holds(circumstances.at))
        {
            break (id, route);
        }
        start = id.0.saturating_add(1);
    };
    let leads = route
        .prefixes
        .as_ref()
        .and_then(|table| table.leads(number));
    let values = Values {
        number,
        from: circumstances.from,
        groups: groups(route, number),
    };
    let steps = steps::steps(config, route, leads, &values, circumstances.turns);
    if steps.is_empty() {
        return Err(NoRoute::Phone(id));
    }
    let dial = leads.and_then(|leads| leads.dial.as_ref());
    let dial = dial.or(route.dial.as_ref());
    Ok(Decision {
        route: id,
        steps,
        dial: dial.and_then(|dial| steps::dialled(dial, &values)),
        caller_id: route
            .caller_id
            .as_ref()
            .and_then(|caller| steps::caller_id(caller, &values)),
    })
}

/// What the first of a route's expressions finds that matches, if anything asks for it.
fn groups<'n>(route: &Route, number: &'n str) -> Groups<'n> {
    if !route.uses_groups() {
        return Groups::default();
    }
    let matching = route.number.iter().find(|pattern| pattern.matches(number));
    matching.map_or_else(Groups::default, |pattern| pattern.groups(number))
}

impl Caller {
    /// The entries of `from` that he is.
    fn entries(self, config: &Config, network: Option<NetworkId>) -> SmallVec<[From; 4]> {
        match self {
            Caller::Trunk(trunk) => {
                let network = config.trunk(trunk).network;
                SmallVec::from_slice(&[From::Trunk(trunk), From::Network(network)])
            }
            Caller::Phone(phone) => {
                let mut entries = SmallVec::from_slice(&[From::Phone(phone), From::AnyPhone]);
                if let Some(network) = network {
                    entries.extend([From::PhonesOn(network), From::Network(network)]);
                }
                entries
            }
        }
    }
}

/// Names a caller or a destination as the file does: `trunk:b`, `phone:6001`.
#[derive(Clone, Copy, Debug)]
pub struct Named<'c> {
    kind: &'static str,
    name: &'c str,
}

impl Caller {
    /// For the log.
    #[must_use]
    pub fn named(self, config: &Config) -> Named<'_> {
        match self {
            Caller::Trunk(id) => Named::trunk(config, id),
            Caller::Phone(id) => Named::phone(config, id),
        }
    }
}

impl Destination {
    /// For the log.
    #[must_use]
    pub fn named(self, config: &Config) -> Named<'_> {
        match self {
            Destination::Trunk(id) => Named::trunk(config, id),
            Destination::Phone(id) => Named::phone(config, id),
        }
    }
}

impl<'c> Named<'c> {
    fn trunk(config: &'c Config, id: TrunkId) -> Self {
        Named {
            kind: "trunk",
            name: &config.trunk(id).name,
        }
    }

    fn phone(config: &'c Config, id: PhoneId) -> Self {
        Named {
            kind: "phone",
            name: &config.phone(id).name,
        }
    }
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.name)
    }
}

#[cfg(test)]
mod tests;
