//! Who is calling, and where a call leads: the first route that matches decides. L1: imports [`crate::config`] only.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use smallvec::SmallVec;

use crate::config::{
    Config, From, MemberTarget, NetworkId, PhoneId, Route, RouteId, Strategy, Target, TrunkId,
};

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
    /// The number that trunks are asked for, where the route says so (`dial`).
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
    /// The display name, without quotes.
    pub display: Option<String>,
    /// The user part of his URI.
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
/// The source may be an IPv4-mapped IPv6 address.
#[must_use]
pub fn trunk_of(config: &Config, network: NetworkId, source: IpAddr) -> Option<TrunkId> {
    let source = source.to_canonical();
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
    best.map(|(_, id)| id)
}

/// Where a call of `caller` to `number` leads; `number` is the user part of the Request-URI, unescaped.
///
/// # Errors
/// [`NoRoute`] says why it leads nowhere.
pub fn route(config: &Config, caller: Caller, number: &str) -> Result<Decision, NoRoute> {
    let mut known_caller = false;
    for (id, route) in (0..).map(RouteId).zip(&config.routes) {
        if !is_for(route, caller) {
            continue;
        }
        known_caller = true;
        if !route.number.is_empty() && !route.number.iter().any(|pattern| pattern.matches(number)) {
            continue;
        }
        let mut asked: SmallVec<[Destination; 4]> = SmallVec::new();
        let mut steps = SmallVec::new();
        for target in &route.to {
            let destination = match *target {
                Target::Trunk(trunk) => Some(Destination::Trunk(trunk)),
                Target::Phone(phone) => Some(Destination::Phone(phone)),
                Target::DialledPhone => config.phone_named(number).map(Destination::Phone),
                Target::Group(group) => {
                    let group = config.group(group);
                    let members = group.members.iter().map(|member| match member.target {
                        MemberTarget::Trunk(trunk) => Destination::Trunk(trunk),
                        MemberTarget::Phone(phone) => Destination::Phone(phone),
                    });
                    let who: SmallVec<[Destination; 4]> =
                        members.filter(|member| !asked.contains(member)).collect();
                    asked.extend(who.iter().copied());
                    let at_once = match group.strategy {
                        Strategy::All => who.len().max(1),
                        Strategy::InOrder | Strategy::RoundRobin | Strategy::Weighted => 1,
                    };
                    steps.extend(who.chunks(at_once).map(|who| Step::Ring {
                        who: SmallVec::from_slice(who),
                        ring_for: group.ring_for,
                    }));
                    None
                }
                Target::Reject(code) => {
                    steps.push(Step::Reject(code));
                    None
                }
            };
            if let Some(destination) = destination
                && !asked.contains(&destination)
            {
                asked.push(destination);
                steps.push(Step::Ring {
                    who: SmallVec::from_slice(&[destination]),
                    ring_for: None,
                });
            }
        }
        if steps.is_empty() {
            return Err(NoRoute::Phone(id));
        }
        return Ok(Decision {
            route: id,
            steps,
            dial: None,
            caller_id: None,
        });
    }
    Err(if known_caller {
        NoRoute::Number
    } else {
        NoRoute::Caller
    })
}

fn is_for(route: &Route, caller: Caller) -> bool {
    route.from.iter().any(|from| match (*from, caller) {
        (From::Trunk(allowed), Caller::Trunk(trunk)) => allowed == trunk,
        (From::Phone(allowed), Caller::Phone(phone)) => allowed == phone,
        (From::AnyPhone, Caller::Phone(_)) => true,
        (From::Trunk(_), Caller::Phone(_))
        | (From::Phone(_) | From::AnyPhone, Caller::Trunk(_)) => false,
    })
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
