//! `sbc explain`: which route a number takes, why not the ones before it, and what happens then.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use super::{Caller, CallerId, Circumstances, Decision, Destination, NoRoute, Step, route, steps};
use crate::config::{
    Config, Member, NetworkId, PhoneId, Route, Strategy, Target, TrunkId, joined, nearest,
    shown_duration, some,
};

/// Routes before the one that decides of which is told why they do not.
const MAX_PASSED: usize = 40;
/// Names that an error lists.
const SOME: usize = 6;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question<'q> {
    /// Who calls.
    pub caller: Caller,
    /// From which network, if that is said; a phone may call from any.
    pub network: Option<NetworkId>,
    /// The number that he has, if that is said; a phone has its name.
    pub from: Option<&'q str>,
    /// Whom he calls: the user part of the Request-URI, unescaped.
    pub number: &'q str,
    /// When.
    pub at: Timestamp,
}

/// What a number comes to. Displays as a person reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// `phone:6001`.
    pub caller: String,
    /// Where he calls from, if that is known.
    pub network: Option<String>,
    /// What he dials.
    pub number: String,
    /// In UTC; only where a route asks for the time.
    pub at: Option<String>,
    /// The routes before the one that decides, or all; the first of them.
    pub passed: Vec<Passed>,
    /// How many more.
    pub passed_more: usize,
    /// What comes of it.
    pub outcome: Verdict,
}

/// A route that does not decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Passed {
    /// From 1.
    pub position: usize,
    /// Its name.
    pub route: String,
    /// Why not.
    pub why: String,
}

/// What comes of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// A route leads it somewhere.
    Led(Led),
    /// It is refused.
    Refused {
        /// The answer that the caller gets.
        code: u16,
        /// Why.
        why: String,
    },
}

/// Where a call leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Led {
    /// From 1.
    pub position: usize,
    /// The route that decides.
    pub route: String,
    /// The longest prefix, where a table has it.
    pub prefix: Option<String>,
    /// In order, until one takes the call.
    pub steps: Vec<Told>,
    /// What decides whether the next step is tried.
    pub on_failure: String,
    /// What else is to be known.
    pub notes: Vec<String>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// These are asked at once.
    Ring {
        /// `trunk:a`, `phone:6001`.
        who: Vec<String>,
        /// What a trunk among them is asked for.
        number: Option<String>,
        /// Who calls, as they see it.
        shown_as: String,
        /// In seconds, where the config says so.
        ring_for: Option<u64>,
    },
    /// The caller is told this.
    Reject(u16),
}

impl Question<'_> {
    /// What comes of it.
    #[must_use]
    pub fn explain(&self, config: &Config) -> Explanation {
        let decided = route(config, self.caller, self.number, self.circumstances(config));
        let last = match &decided {
            Ok(decision) => decision.route.index(),
            Err(NoRoute::Phone(route)) => route.index(),
            Err(NoRoute::Caller | NoRoute::Number) => config.routes.len(),
        };
        let before = config.routes.get(..last).unwrap_or_default();
        let passed = (1..).zip(before).take(MAX_PASSED);
        let passed = passed.map(|(position, route)| Passed {
            position,
            route: route.name.clone(),
            why: self.why_not(config, route),
        });
        let outcome = match decided {
            Err(no_route) => Verdict::Refused {
                code: match no_route {
                    NoRoute::Caller => 403,
                    NoRoute::Number | NoRoute::Phone(_) => 404,
                },
                why: no_route.to_string(),
            },
            Ok(decision) => {
                let route = config.route(decision.route);
                let dial = decision.dial.as_deref();
                let steps = decision.steps.iter();
                let told = steps.map(|step| self.told(config, step, dial, &decision.caller_id));
                let table = route.prefixes.as_ref();
                Verdict::Led(Led {
                    position: decision.route.index() + 1,
                    route: route.name.clone(),
                    prefix: table.and_then(|table| Some(table.find(self.number)?.0)),
                    steps: told.collect(),
                    on_failure: match route.failures_shown() {
                        Some(answers) => format!("no answer, {answers}"),
                        None => "no answer or any refusal but 6xx".to_owned(),
                    },
                    notes: notes(config, route, &decision),
                })
            }
        };
        Explanation {
            caller: self.caller.named(config).to_string(),
            network: self
                .network(config)
                .map(|id| config.network(id).name.clone()),
            number: self.number.to_owned(),
            at: config
                .routes
                .iter()
                .any(|route| route.when.is_some())
                .then(|| self.at.strftime("%a %F %R UTC").to_string()),
            passed: passed.collect(),
            passed_more: last.saturating_sub(MAX_PASSED),
            outcome,
        }
    }

    fn circumstances<'a>(&'a self, config: &'a Config) -> Circumstances<'a> {
        Circumstances {
            network: self.network(config),
            from: self.from.unwrap_or(match self.caller {
                Caller::Phone(phone) => &config.phone(phone).name,
                Caller::Trunk(_) => "",
            }),
            at: self.at,
            turns: None,
        }
    }

    /// Where he calls from: there may be only one place.
    fn network(&self, config: &Config) -> Option<NetworkId> {
        match self.caller {
            Caller::Trunk(trunk) => Some(config.trunk(trunk).network),
            Caller::Phone(_) if config.networks.len() == 1 => Some(NetworkId(0)),
            Caller::Phone(_) => self.network,
        }
    }

    fn why_not(&self, config: &Config, route: &Route) -> String {
        let entries = self.caller.entries(config, self.network(config));
        if !route.from.iter().any(|from| entries.contains(from)) {
            return format!("is for {}", route.callers_shown(config));
        }
        let is_its = match &route.prefixes {
            Some(table) => table.has(self.number),
            None => route.number.is_empty() || route.number.iter().any(|p| p.matches(self.number)),
        };
        if !is_its {
            return format!("is for {}", route.numbers_shown());
        }
        match &route.when {
            Some(when) => {
                let there = when.local(self.at).strftime("%a %F %R");
                format!("is for {when}; there it is {there}")
            }
            None => String::new(),
        }
    }

    fn told(
        &self,
        config: &Config,
        step: &Step,
        dial: Option<&str>,
        caller_id: &Option<CallerId>,
    ) -> Told {
        let (who, ring_for) = match step {
            Step::Reject(code) => return Told::Reject(*code),
            Step::Ring { who, ring_for } => (who, ring_for),
        };
        let is_trunk = |who: &Destination| matches!(who, Destination::Trunk(_));
        Told::Ring {
            who: who
                .iter()
                .map(|who| who.named(config).to_string())
                .collect(),
            number: who
                .iter()
                .any(is_trunk)
                .then(|| dial.unwrap_or(self.number).to_owned()),
            shown_as: match caller_id {
                Some(caller) => shown(caller.display.as_deref(), &caller.number),
                None => match (self.caller, self.from) {
                    (Caller::Phone(phone), _) => {
                        let phone = config.phone(phone);
                        shown(phone.display_name.as_deref(), &phone.name)
                    }
                    (Caller::Trunk(_), Some(from)) => from.to_owned(),
                    (Caller::Trunk(_), None) => "the number that it calls from".to_owned(),
                },
            },
            ring_for: ring_for.map(|time| time.as_secs()),
        }
    }
}

fn shown(display: Option<&str>, number: &str) -> String {
    match display {
        Some(display) => format!("{display} <{number}>"),
        None => number.to_owned(),
    }
}

fn notes(config: &Config, route: &Route, decision: &Decision) -> Vec<String> {
    let is_asked = |member: &Member| {
        let member = steps::destination(member.target);
        decision.destinations().any(|asked| asked == member)
    };
    let groups = route.to.iter().filter_map(|target| match target {
        Target::Group(id) => Some(config.group(*id)),
        _ => None,
    });
    let groups = groups.filter(|group| group.members.iter().any(is_asked));
    let mut notes: Vec<String> = groups
        .filter_map(|group| {
            let name = &group.name;
            match group.strategy {
                Strategy::RoundRobin => Some(format!(
                    "group:{name} begins with another member each time."
                )),
                Strategy::Weighted => Some(format!(
                    "group:{name} is drawn by weight each time; here the heaviest is first."
                )),
                Strategy::All | Strategy::InOrder => None,
            }
        })
        .collect();
    if route.emergency {
        notes.push("An emergency: no limit and no failed probe stops it.".to_owned());
    }
    notes
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.caller)?;
        if let Some(network) = &self.network {
            write!(f, ", on {network},")?;
        }
        write!(f, " calls {}", self.number)?;
        if let Some(at) = &self.at {
            write!(f, ", {at}")?;
        }
        writeln!(f, "\n")?;
        for Passed {
            position,
            route,
            why,
        } in &self.passed
        {
            writeln!(f, "{position:>3}. {route}: no, it {why}")?;
        }
        if self.passed_more > 0 {
            writeln!(f, "     and {} more", self.passed_more)?;
        }
        match &self.outcome {
            Verdict::Refused { code, why } => writeln!(f, "\nrefused with {code}: {why}"),
            Verdict::Led(led) => led.fmt(f),
        }
    }
}

impl fmt::Display for Led {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>3}. {}: decides", self.position, self.route)?;
        match &self.prefix {
            Some(prefix) => writeln!(f, ", by the prefix {prefix}\n")?,
            None => writeln!(f, "\n")?,
        }
        for (at, step) in (1..).zip(&self.steps) {
            match step {
                Told::Reject(code) => writeln!(f, "{at:>3}. refused with {code}")?,
                Told::Ring {
                    who,
                    number,
                    shown_as,
                    ring_for,
                } => {
                    write!(f, "{at:>3}. {}", joined(who, " and "))?;
                    if who.len() > 1 {
                        f.write_str(" at once")?;
                    }
                    if let Some(number) = number {
                        write!(f, ", asked for {number}")?;
                    }
                    write!(f, ", shown {shown_as}")?;
                    if let Some(seconds) = ring_for {
                        let time = shown_duration(std::time::Duration::from_secs(*seconds));
                        write!(f, ", for {time} at most")?;
                    }
                    writeln!(f)?;
                }
            }
        }
        if self.steps.len() > 1 {
            writeln!(f, "\nThe next is tried after {}.", self.on_failure)?;
        }
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        Ok(())
    }
}

/// A caller that the config does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCaller {
    /// Neither `trunk:` nor `phone:`.
    #[error("found `{found}`, expected `trunk:NAME` or `phone:NAME`{}", hint(.near.as_ref()))]
    Kind {
        /// As given.
        found: String,
        /// What was probably meant.
        near: Option<String>,
    },
    /// No such name.
    #[error("there is no {kind} `{name}`{}", hint_or(.near.as_ref(), .known))]
    Name {
        /// `trunk`, `phone` or `network`.
        kind: &'static str,
        /// As given.
        name: String,
        /// What was probably meant.
        near: Option<String>,
        /// Those that there are, in words.
        known: String,
    },
}

fn hint(near: Option<&String>) -> String {
    near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

fn hint_or(near: Option<&String>, known: &str) -> String {
    match near {
        Some(_) => hint(near),
        None => format!("; the config has {known}"),
    }
}

impl Caller {
    /// The caller of this name: `trunk:NAME` or `phone:NAME`.
    ///
    /// # Errors
    /// [`NoCaller`], with the one that was probably meant.
    pub fn parse(config: &Config, text: &str) -> Result<Caller, NoCaller> {
        let trunks = || config.trunks.iter().map(|trunk| trunk.name.as_str());
        let phones = || config.phones.iter().map(|phone| phone.name.as_str());
        match text.split_once(':') {
            Some(("trunk", name)) => Ok(Caller::Trunk(TrunkId(found("trunk", name, trunks)?))),
            Some(("phone", name)) => Ok(Caller::Phone(PhoneId(found("phone", name, phones)?))),
            other => {
                let name = other.map_or(text, |(_, name)| name);
                let near = if phones().any(|phone| phone == name) {
                    Some(format!("phone:{name}"))
                } else if trunks().any(|trunk| trunk == name) {
                    Some(format!("trunk:{name}"))
                } else {
                    None
                };
                Err(NoCaller::Kind {
                    found: text.to_owned(),
                    near,
                })
            }
        }
    }
}

/// The network of this name.
///
/// # Errors
/// [`NoCaller`], with the one that was probably meant.
pub fn network_named(config: &Config, name: &str) -> Result<NetworkId, NoCaller> {
    let networks = || config.networks.iter().map(|network| network.name.as_str());
    found("network", name, networks).map(NetworkId)
}

fn found<'c, I: Iterator<Item = &'c str>>(
    kind: &'static str,
    name: &str,
    names: impl Fn() -> I,
) -> Result<u16, NoCaller> {
    let at = names().position(|known| known == name);
    if let Some(id) = at.and_then(|at| u16::try_from(at).ok()) {
        return Ok(id);
    }
    let known: Vec<String> = names().map(str::to_owned).collect();
    let prefix = if kind == "network" {
        String::new()
    } else {
        format!("{kind}:")
    };
    Err(NoCaller::Name {
        kind,
        name: name.to_owned(),
        near: nearest(name, names()).map(|near| format!("{prefix}{near}")),
        known: match known.len() {
            0 => "none".to_owned(),
            count if count > SOME => some(&known, " and "),
            _ => joined(&known, " and "),
        },
    })
}
