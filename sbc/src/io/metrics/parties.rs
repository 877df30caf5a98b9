//! What each trunk, and the phones of each network, are like: how soon it rings and is answered there, how they sound, in which network they are.

use std::collections::{BTreeMap, BTreeSet};

use super::calls::{expected, label};
use super::family::Family;
use super::{network_name, networks};
use crate::config::{Config, TrunkId};
use crate::engine::{
    Histogram, MosHistogram, Party, RingingHistogram, SetupHistogram, Stats, Tried,
};

pub(super) fn families(config: &Config, stats: &Stats) -> Vec<Family> {
    let routed = expected(config);
    let callers: BTreeSet<Party> = routed.iter().map(|(from, _)| *from).collect();
    let called = routed.iter().map(|(_, to)| *to);
    let called: BTreeSet<Party> = called.filter(|to| *to != Party::Nobody).collect();
    let mut delay = Family::histograms(
        "sbc_call_post_dial_delay_seconds",
        "Time from such an INVITE to the first sign that it rings, or to its 200 (RFC 6076: session request delay).",
        &["to"],
    );
    let mut setup = Family::histograms(
        "sbc_call_setup_seconds",
        "Time from a caller's INVITE to its 200, by who took the call: how long it rang is in it, and who was asked before.",
        &["to"],
    );
    let mut ringback = Family::histograms(
        "sbc_call_ringback_delay_seconds",
        "Time from a caller's INVITE to the first sign that it rings anywhere, or to its 200, by who called: what he waits for, with all that was asked before.",
        &["from"],
    );
    let ringing = |known: &RingingHistogram| known.0.clone();
    fill(&mut delay, config, &called, &stats.post_dial_delay, ringing);
    fill(&mut ringback, config, &callers, &stats.ringback, ringing);
    let answered = |known: &SetupHistogram| known.0.clone();
    fill(&mut setup, config, &called, &stats.call_setup, answered);
    vec![
        info(config),
        attempts(config, &called, stats),
        delay,
        ringback,
        setup,
        mos(config, stats),
    ]
}

/// Every party that the config names, and the network that it is in: not a trunk that a reload has taken away, whose place nobody has yet.
fn parties(config: &Config) -> impl Iterator<Item = (Party, &str)> {
    let phones = networks(config).map(|(id, name)| (Party::Phones(id), name));
    let trunks = (0..).map(TrunkId).zip(&config.trunks);
    let trunks = trunks.filter(|(_, trunk)| !trunk.is_gone);
    let trunks = trunks.map(|(id, trunk)| (Party::Trunk(id), network_name(config, trunk.network)));
    phones.chain(trunks)
}

fn info(config: &Config) -> Family {
    let mut family = Family::gauge(
        "sbc_party_info",
        "1 for each trunk, and for the phones of each network, as `from` and `to` of other metrics name them: which network it is in.",
        &["party", "network"],
    );
    for (party, network) in parties(config) {
        family.add([&label(config, party), network], 1);
    }
    family
}

fn attempts(config: &Config, called: &BTreeSet<Party>, stats: &Stats) -> Family {
    let mut family = Family::counter(
        "sbc_call_attempts_total",
        "INVITEs that were sent to a trunk or to phones, by what came of them. Elsewhere: somebody else took the call; redirected: what a 3xx named was asked.",
        &["to", "result"],
    );
    for &to in called {
        for result in Tried::ALL {
            family.zero([&label(config, to), result.label()]);
        }
    }
    for (&(to, result), &count) in &stats.attempts {
        family.add([&label(config, to), result.label()], count);
    }
    family
}

fn mos(config: &Config, stats: &Stats) -> Family {
    let mut family = Family::histograms(
        "sbc_call_mos",
        "How each direction of a call's speech sounded, at its end: mean opinion score, 1 to 4.5, by the E-model (G.107) from loss and jitter of what came in, and from delay where RTCP told it, of G.711 and G.722 (rated as G.711), by whom it came from, and the network that he is in.",
        &["network", "party"],
    );
    let none = MosHistogram::default();
    for (party, network) in parties(config) {
        let known = stats.mos.get(&party).unwrap_or(&none);
        family.observed([network, &label(config, party)], &known.0);
    }
    family
}

/// A histogram for each of these, and for whoever else has one.
fn fill<H: Default>(
    family: &mut Family,
    config: &Config,
    expected: &BTreeSet<Party>,
    known: &BTreeMap<Party, H>,
    histogram: impl Fn(&H) -> Histogram,
) {
    let none = H::default();
    let all: BTreeSet<Party> = expected.iter().chain(known.keys()).copied().collect();
    for party in all {
        let of_party = known.get(&party).unwrap_or(&none);
        family.observed([&label(config, party)], &histogram(of_party));
    }
}
