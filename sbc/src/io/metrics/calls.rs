//! Calls.

use std::collections::BTreeSet;

use super::family::Family;
use super::{network_name, networks};
use crate::config::{Config, From, Member, MemberTarget, Route, Target, TrunkId};
use crate::engine::{Outcome, Party, Stats};
use crate::media::Cause;

const OUTCOMES: [Outcome; 9] = [
    Outcome::Answered,
    Outcome::Cancelled,
    Outcome::Busy,
    Outcome::NoAnswer,
    Outcome::Rejected,
    Outcome::Failed,
    Outcome::MediaTimeout,
    Outcome::SessionExpired,
    Outcome::MaxDuration,
];

pub(super) fn families(config: &Config, stats: &Stats) -> Vec<Family> {
    let pairs = expected(config);
    let label = |party| label(config, party);
    let mut up = Family::gauge(
        "sbc_calls",
        "Calls that are up now, ringing ones included, by who called and who is called.",
        &["from", "to"],
    );
    let mut draining = Family::gauge(
        "sbc_draining",
        "Whether no new calls are taken, but for emergencies, and the daemon ends with the last one: 1 or 0.",
        &[],
    );
    draining.add([], u64::from(stats.draining));
    let mut total = Family::counter(
        "sbc_calls_total",
        "Call attempts that are over, by who called, who was called (none: no route led anywhere) and how they ended.",
        &["from", "to", "outcome"],
    );
    for &(from, to) in &pairs {
        up.zero([&label(from), &label(to)]);
        for outcome in OUTCOMES {
            total.zero([&label(from), &label(to), outcome.label()]);
        }
    }
    let mut one_way = Family::counter(
        "sbc_calls_one_way_total",
        "Calls of which one side sent audio and the other, which was to send some, none, by who called and who was called.",
        &["from", "to"],
    );
    let mut talked = Family::counter(
        "sbc_calls_talk_seconds_total",
        "Time from the 200 to the end of calls that are over, by who called and who was called: with sbc_calls_total the average duration.",
        &["from", "to"],
    );
    for &(from, to) in pairs.iter().filter(|(_, to)| *to != Party::Nobody) {
        one_way.zero([&label(from), &label(to)]);
        talked.zero([&label(from), &label(to)]);
    }
    for (&(from, to), time) in &stats.talked {
        talked.set([&label(from), &label(to)], time.as_secs_f64());
    }
    for (&(from, to), &count) in &stats.one_way {
        one_way.add([&label(from), &label(to)], count);
    }
    let mut verdicts = Family::counter(
        "sbc_call_verdicts_total",
        "Parties of answered calls that heard nothing at the end of it, by why.",
        &["cause"],
    );
    for cause in Cause::ALL {
        verdicts.zero([cause.label()]);
    }
    for (cause, &count) in &stats.verdicts {
        verdicts.add([cause.label()], count);
    }
    for (&(from, to), &count) in &stats.calls {
        up.add([&label(from), &label(to)], count);
    }
    for (&(from, to, outcome), &count) in &stats.calls_total {
        total.add([&label(from), &label(to), outcome.label()], count);
    }
    vec![
        up,
        draining,
        total,
        one_way,
        talked,
        verdicts,
        Family::histogram(
            "sbc_call_duration_seconds",
            "Time from the 200 of a call to its end.",
            &stats.call_duration,
        ),
    ]
}

/// The label of a party, made of names of the config.
pub(in crate::io) fn label(config: &Config, party: Party) -> String {
    match party {
        Party::Trunk(id) => {
            let name = config
                .trunks
                .get(id.index())
                .map_or("?", |trunk| &trunk.name);
            format!("trunk:{name}")
        }
        Party::Phones(id) => format!("phones:{}", network_name(config, id)),
        Party::Nobody => "none".to_owned(),
    }
}

/// Who calls whom, as the routes have it.
pub(super) fn expected(config: &Config) -> BTreeSet<(Party, Party)> {
    let phones: Vec<Party> = networks(config).map(|(id, _)| Party::Phones(id)).collect();
    config
        .routes
        .iter()
        .flat_map(|route| {
            let callers = callers(config, route, &phones);
            let called = called(config, route, &phones);
            callers
                .into_iter()
                .flat_map(move |from| called.clone().into_iter().map(move |to| (from, to)))
        })
        .collect()
}

fn callers(config: &Config, route: &Route, phones: &[Party]) -> Vec<Party> {
    let of = |from: &From| match *from {
        From::Trunk(id) => vec![Party::Trunk(id)],
        From::Phone(_) | From::AnyPhone => phones.to_vec(),
        From::PhonesOn(id) => vec![Party::Phones(id)],
        From::Network(id) => {
            let trunks = (0..).map(TrunkId).zip(&config.trunks);
            let on = trunks.filter(|(_, trunk)| trunk.network == id);
            let on = on.map(|(trunk, _)| Party::Trunk(trunk));
            on.chain([Party::Phones(id)]).collect()
        }
    };
    route.from.iter().flat_map(of).collect()
}

fn called(config: &Config, route: &Route, phones: &[Party]) -> Vec<Party> {
    let member = |member: &Member| match member.target {
        MemberTarget::Trunk(id) => vec![Party::Trunk(id)],
        MemberTarget::Phone(_) => phones.to_vec(),
    };
    let of = |target: &Target| match target {
        Target::Trunk(id) => vec![Party::Trunk(*id)],
        Target::Phone(_) | Target::DialledPhone(_) => phones.to_vec(),
        Target::Group(id) => config.group(*id).members.iter().flat_map(member).collect(),
        Target::Reject(_) => Vec::new(),
    };
    let leads = route.prefixes.iter().flat_map(|table| table.all_leads());
    leads
        .flat_map(|leads| &leads.to)
        .chain(&route.to)
        .flat_map(of)
        .chain([Party::Nobody])
        .collect()
}
