//! What `sbc check` says of groups and routes, and words for them that `sbc explain` uses too.

use super::added_headers;
use super::answers::Answers;
use super::describe::{joined, some};
use super::duration::shown_duration;
use super::model::{
    Config, From, Group, GroupId, MemberTarget, PhoneId, Route, RouteId, Strategy, Target, TrunkId,
};
use super::pattern::Pattern;
use super::table::{Table, wrapped};

/// Pairs of routes that are compared at most, to find those that never decide.
const MAX_COMPARED: usize = 4_000_000;
/// Warnings of one kind that are told.
const MAX_TOLD: usize = 10;

impl Config {
    /// As the file names it: `trunk:NAME`.
    #[must_use]
    pub fn trunk_shown(&self, id: TrunkId) -> String {
        format!("trunk:{}", self.trunk(id).name)
    }

    /// As the file names it: `phone:NAME`.
    #[must_use]
    pub fn phone_shown(&self, id: PhoneId) -> String {
        format!("phone:{}", self.phone(id).name)
    }

    fn group_shown(&self, id: GroupId) -> String {
        format!("group:{}", self.group(id).name)
    }

    fn member_shown(&self, member: MemberTarget) -> String {
        match member {
            MemberTarget::Trunk(id) => self.trunk_shown(id),
            MemberTarget::Phone(id) => self.phone_shown(id),
        }
    }
}

impl Route {
    /// Who it is for, in words.
    #[must_use]
    pub fn callers_shown(&self, config: &Config) -> String {
        let from = self.from.iter().map(|from| match *from {
            From::Trunk(id) => config.trunk_shown(id),
            From::Phone(id) => config.phone_shown(id),
            From::AnyPhone => "any phone".to_owned(),
            From::PhonesOn(id) => format!("phones on {}", config.network(id).name),
            From::Network(id) => format!("anyone on {}", config.network(id).name),
        });
        some(&from.collect::<Vec<_>>(), " or ")
    }

    /// Which numbers it is for, in words.
    #[must_use]
    pub fn numbers_shown(&self) -> String {
        if let Some(table) = &self.prefixes {
            return match table.len() {
                1 => format!("the prefix in {}", table.file),
                count => format!("one of {count} prefixes in {}", table.file),
            };
        }
        if self.number.is_empty() {
            return "any number".to_owned();
        }
        let numbers: Vec<_> = self.number.iter().map(ToString::to_string).collect();
        some(&numbers, " or ")
    }

    /// With which answers the next target is tried, in words.
    #[must_use]
    pub fn failures_shown(&self) -> Option<String> {
        let answers = self.on_failure.as_ref()?.iter().map(|answer| match answer {
            Answers::Code(code) => code.to_string(),
            Answers::Class(class) => format!("{class}xx"),
        });
        Some(joined(&answers.collect::<Vec<_>>(), " or "))
    }
}

/// A line for each group.
pub(super) fn groups(config: &Config) -> Table {
    let mut table = Table::new(&["GROUP", "MEMBERS", "ASKED", "EACH TIME FOR"]);
    for group in &config.groups {
        let members = group.members.iter().map(|member| {
            let name = config.member_shown(member.target);
            match (group.strategy, member.weight) {
                (Strategy::Weighted, weight) => format!("{name} ({weight})"),
                _ => name,
            }
        });
        table.row(vec![
            vec![group.name.clone()],
            members.collect(),
            vec![asked(group).to_owned()],
            vec![
                group
                    .ring_for
                    .map_or_else(|| "-".to_owned(), shown_duration),
            ],
        ]);
    }
    table
}

fn asked(group: &Group) -> &'static str {
    match group.strategy {
        Strategy::All => "all at once",
        Strategy::InOrder => "in order",
        Strategy::RoundRobin => "in order, beginning with the next",
        Strategy::Weighted => "as drawn by weight",
    }
}

/// The routes in the order of the file, then what is odd about them.
pub(super) fn routes(config: &Config) -> String {
    let mut out = String::from("ROUTES, the first that matches decides\n");
    for (number, route) in (1..).zip(&config.routes) {
        let lead = format!("{number:>2}. ");
        out.push_str(&wrapped(&format!("{lead}{}", sentence(config, route)), 4));
    }
    if config.routes.is_empty() {
        out.push_str("none: every call is refused\n");
    }
    let notes = notes(config);
    if !notes.is_empty() {
        out.push('\n');
    }
    for note in notes {
        out.push_str(&wrapped(&format!("  {note}"), 2));
    }
    out
}

/// `a-to-b: calls from trunk:a to any number go to trunk:b`.
fn sentence(config: &Config, route: &Route) -> String {
    let mut words = format!(
        "{}: calls from {} to {}",
        route.name,
        route.callers_shown(config),
        route.numbers_shown()
    );
    if let Some(when) = &route.when {
        words += &format!(", at {when},");
    }
    let leads = route.prefixes.iter().flat_map(|table| table.all_leads());
    let mut of_prefix: Vec<String> = Vec::new();
    for target in leads.flat_map(|leads| &leads.to) {
        let name = target_shown(config, route, target);
        if !of_prefix.contains(&name) {
            of_prefix.push(name);
        }
    }
    let mut to: Vec<String> = Vec::new();
    if !of_prefix.is_empty() {
        let leads = some(&of_prefix, " or ");
        to.push(format!("what the prefix says ({leads})"));
    }
    let mut code = None;
    for target in &route.to {
        match target {
            Target::Reject(refused) => code = Some(*refused),
            target => to.push(target_shown(config, route, target)),
        }
    }
    words += &match (to.is_empty(), code) {
        (true, Some(code)) => format!(" are refused with {code}"),
        (_, None) => format!(" go to {}", to.join(", then ")),
        (_, Some(code)) => format!(
            " go to {}, then are refused with {code}",
            to.join(", then ")
        ),
    };
    if let Some(dial) = &route.dial {
        words += &format!("; dialled as {dial}");
    }
    if let Some(caller) = &route.caller_id {
        words += &format!("; shown as {caller}");
    }
    if let Some(with) = added_headers::told(&route.add_headers) {
        words += &format!("; {with}");
    }
    if let Some(time) = route.ring_for {
        words += &format!("; each rings for {}", shown_duration(time));
    }
    if let Some(answers) = route.failures_shown() {
        words += &format!("; the next is tried after no answer or {answers}");
    }
    if route.emergency {
        words += "; an emergency: no limit and no failed probe stops it";
    }
    words
}

fn target_shown(config: &Config, route: &Route, target: &Target) -> String {
    match target {
        Target::Trunk(id) => config.trunk_shown(*id),
        Target::Phone(id) => config.phone_shown(*id),
        Target::DialledPhone(template) if template.is_number() => dialled(config, route),
        Target::DialledPhone(template) => format!("the phone {template}"),
        Target::Group(id) => config.group_shown(*id),
        Target::Reject(code) => format!("the answer {code}"),
    }
}

/// Which phones `phone:{number}` can be in this route.
fn dialled(config: &Config, route: &Route) -> String {
    let is_for = |name: &str| match &route.prefixes {
        Some(table) => table.has(name),
        None => route.number.is_empty() || route.number.iter().any(|p| p.matches(name)),
    };
    let reached: Vec<_> = config
        .phones
        .iter()
        .filter(|phone| is_for(&phone.name))
        .map(|phone| phone.name.clone())
        .collect();
    if reached.is_empty() {
        "the phone that was dialled (there is none of such a number)".to_owned()
    } else {
        format!("the phone that was dialled ({})", some(&reached, " or "))
    }
}

fn notes(config: &Config) -> Vec<String> {
    let mut notes = Vec::new();
    let shadowed = shadowed(config);
    for (route, by) in shadowed.iter().take(MAX_TOLD) {
        notes.push(format!(
            "Route {} ({}) never decides: route {} ({}) takes all of its calls.",
            route.index() + 1,
            config.route(*route).name,
            by.index() + 1,
            config.route(*by).name
        ));
    }
    if shadowed.len() > MAX_TOLD {
        let more = shadowed.len() - MAX_TOLD;
        notes.push(format!("So it is with {more} more."));
    }
    let loose = config.routes.iter().flat_map(|route| {
        let loose = route.number.iter().filter(|pattern| pattern.is_loose());
        loose.map(move |pattern| (route, pattern))
    });
    for (route, pattern) in loose.take(MAX_TOLD) {
        notes.push(format!(
            "Route {}: {pattern} is also found within longer numbers; with ^ and $ it is the whole number.",
            route.name
        ));
    }
    if lacks_emergency(config) {
        notes.push(
            "No route of phones is marked `emergency = true`: an emergency call may meet a limit, or a trunk that is skipped."
                .to_owned(),
        );
    }
    notes
}

/// Whether phones can call out, but by no route that nothing stops.
fn lacks_emergency(config: &Config) -> bool {
    let is_for_phones = |route: &&Route| {
        let is_phone = |from: &From| !matches!(from, From::Trunk(_));
        route.from.iter().any(is_phone)
    };
    let is_trunk = |target: &Target| match target {
        Target::Trunk(_) => true,
        Target::Group(id) => {
            let members = config.group(*id).members.iter();
            members
                .map(|member| member.target)
                .any(|target| matches!(target, MemberTarget::Trunk(_)))
        }
        _ => false,
    };
    let mut of_phones = config.routes.iter().filter(is_for_phones).peekable();
    !config.phones.is_empty()
        && of_phones.clone().any(|route| route.to.iter().any(is_trunk))
        && !of_phones.any(|route| route.emergency)
}

/// Routes that never decide, each with one that is before it and takes all of its calls.
fn shadowed(config: &Config) -> Vec<(RouteId, RouteId)> {
    let mut found = Vec::new();
    let mut compared = 0;
    for (id, route) in (0..).map(RouteId).zip(&config.routes) {
        if compared > MAX_COMPARED {
            // So many routes were made by a program; the first of them tell enough.
            break;
        }
        let earlier = config.routes.get(..id.index()).unwrap_or_default();
        let by = (0..).map(RouteId).zip(earlier).find(|(_, earlier)| {
            compared += 1;
            takes_all(config, earlier, route)
        });
        found.extend(by.map(|(by, _)| (id, by)));
    }
    found
}

fn takes_all(config: &Config, earlier: &Route, route: &Route) -> bool {
    let always = earlier.when.is_none() && earlier.prefixes.is_none();
    let is_caller = |from: &From| earlier.from.iter().any(|by| covers(config, *by, *from));
    let is_number = |pattern: &Pattern| earlier.number.iter().any(|by| by.covers(pattern));
    let is_any = earlier.number.is_empty() || earlier.number.iter().any(Pattern::takes_all);
    let numbers = is_any
        || route.prefixes.is_none()
            && !route.number.is_empty()
            && route.number.iter().all(is_number);
    always && numbers && route.from.iter().all(is_caller)
}

/// Whether whoever is `from` is `by` too.
fn covers(config: &Config, by: From, from: From) -> bool {
    let is_only_network = config.networks.len() == 1;
    match (by, from) {
        (by, from) if by == from => true,
        (From::AnyPhone, From::Phone(_) | From::PhonesOn(_)) => true,
        (From::Network(by), From::PhonesOn(from)) => by == from,
        (From::Network(by), From::Trunk(from)) => config.trunk(from).network == by,
        (From::Network(_) | From::PhonesOn(_), From::Phone(_) | From::AnyPhone) => is_only_network,
        _ => false,
    }
}

/// Callers whose every call is refused, as far as the file tells.
pub(super) fn without_route(config: &Config) -> Vec<String> {
    let has = |wanted: From| {
        let mut from = config.routes.iter().flat_map(|route| &route.from);
        from.any(|from| match (*from, wanted) {
            (From::AnyPhone | From::PhonesOn(_) | From::Network(_), From::Phone(_)) => true,
            (from, wanted) => covers(config, from, wanted),
        })
    };
    let trunks = (0..)
        .map(TrunkId)
        .take(config.trunks.len())
        .filter(|id| !has(From::Trunk(*id)))
        .map(|id| config.trunk_shown(id));
    let phones = (0..)
        .map(PhoneId)
        .take(config.phones.len())
        .filter(|id| !has(From::Phone(*id)))
        .map(|id| config.phone_shown(id));
    trunks.chain(phones).collect()
}
