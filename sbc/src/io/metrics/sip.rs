//! Messages, registrations, tables, sockets.

use sbc_ebpf::shed::Shed;

use super::family::Family;
use super::{Reading, network_name, networks};
use crate::config::Config;
use crate::io::signalling::{Closed, NetworkCounters};
use crate::registrar::Denied;
use crate::sip::stream::FrameError;
use crate::sip::{Fault, Name};

/// What every box sees; other methods get their series when they come.
const METHODS: [&str; 6] = ["INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER"];
const CLASSES: [&str; 7] = ["request", "1xx", "2xx", "3xx", "4xx", "5xx", "6xx"];

/// Why somebody is refused who was not asked who he is.
const STRANGERS: [&str; 3] = ["stranger", "stray-response", "unanswered"];

pub(super) fn families(config: &Config, reading: &Reading) -> Vec<Family> {
    let mut families = vec![
        messages(config, reading),
        malformed(config, reading),
        refused(config, reading),
        registrations(config, reading),
        bans(config, reading),
        misled(config, reading),
        external_changes(config, reading),
    ];
    families.extend(tables(reading));
    families.extend(sockets(config, reading));
    families
}

fn messages(config: &Config, reading: &Reading) -> Family {
    let mut family = Family::counter(
        "sbc_sip_messages_total",
        "SIP messages understood (in) and sent (out), retransmissions included; a response counts under its request's method.",
        &["network", "transport", "direction", "method", "class"],
    );
    for network in &config.networks {
        for listener in &network.sip {
            for direction in ["in", "out"] {
                for method in METHODS {
                    for class in CLASSES {
                        if method != "ACK" || class == "request" {
                            family.zero([
                                &network.name,
                                listener.transport.name(),
                                direction,
                                method,
                                class,
                            ]);
                        }
                    }
                }
            }
        }
    }
    for (labels, &count) in &reading.engine.sip_messages {
        let network = network_name(config, labels.network);
        let transport = labels.transport.name();
        family.add(
            [
                network,
                transport,
                labels.direction,
                labels.method,
                labels.class,
            ],
            count,
        );
    }
    family
}

fn malformed(config: &Config, reading: &Reading) -> Family {
    let mut family = Family::counter(
        "sbc_sip_malformed_total",
        "Datagrams, messages and streams that were not understood, by what was wrong.",
        &["network", "reason"],
    );
    for (_, name) in networks(config) {
        for reason in malformed_reasons() {
            family.zero([name, reason]);
        }
    }
    for (&(id, reason), &count) in &reading.engine.sip_malformed {
        family.add([network_name(config, id), reason], count);
    }
    family
}

/// Why SIP may have gone nowhere because of who sent it; what was dropped unread is not among it.
pub(in crate::io) fn refusals() -> impl Iterator<Item = &'static str> {
    Denied::LABELS.into_iter().chain(STRANGERS)
}

fn refused(config: &Config, reading: &Reading) -> Family {
    let mut family = Family::counter(
        "sbc_sip_refused_total",
        "Messages that went nowhere because of who sent them, by reason; no-credentials is the first request of every phone; banned and flood were dropped unread, by the kernel as packets.",
        &["network", "reason"],
    );
    for (_, name) in networks(config) {
        for reason in refusals() {
            family.zero([name, reason]);
        }
    }
    for (id, name) in networks(config) {
        for shed in Shed::ALL {
            let label = shed.label();
            let kernel = reading.kernel.networks.get(&id);
            let kernel = kernel.and_then(|network| network.dropped.get(label));
            let user = reading.sockets.network(id).shed(shed);
            family.add([name, label], user + kernel.copied().unwrap_or_default());
        }
    }
    for (&(id, reason), &count) in &reading.engine.sip_refused {
        family.add([network_name(config, id), reason], count);
    }
    family
}

fn misled(config: &Config, reading: &Reading) -> Family {
    let mut family = Family::counter(
        "sbc_unreachable_address_total",
        "Legs of calls whose far end, on the internet, was told a private address of ours: set `external` in that network.",
        &["network"],
    );
    for (id, name) in networks(config) {
        let count = reading.engine.misled.get(&id).copied();
        family.add([name], count.unwrap_or_default());
    }
    family
}

fn external_changes(config: &Config, reading: &Reading) -> Family {
    let mut family = Family::counter(
        "sbc_external_changes_total",
        "How often peers outside were found to see the network at another address, the first time included (external = \"auto\").",
        &["network"],
    );
    for (id, name) in networks(config) {
        let count = reading.engine.external_changes.get(&id).copied();
        family.add([name], count.unwrap_or_default());
    }
    family
}

fn registrations(config: &Config, reading: &Reading) -> Family {
    let mut family = Family::gauge(
        "sbc_registrations",
        "Contacts registered now, by the network that they registered from.",
        &["network"],
    );
    for (id, name) in networks(config) {
        let count = reading.engine.registrations.get(&id).copied();
        family.add([name], count.unwrap_or_default());
    }
    family
}

fn bans(config: &Config, reading: &Reading) -> Family {
    let mut family = Family::gauge(
        "sbc_bans",
        "Sources and prefixes banned now, by the operator or for what they did.",
        &["network"],
    );
    for (id, name) in networks(config) {
        let count = reading.engine.bans.get(&id).copied();
        family.add([name], count.unwrap_or_default());
    }
    family
}

fn tables(reading: &Reading) -> Vec<Family> {
    let mut transactions = Family::gauge("sbc_transactions", "SIP transactions alive now.", &[]);
    transactions.add([], reading.engine.transactions);
    let mut dialogs = Family::gauge(
        "sbc_dialogs",
        "SIP dialogs alive now: two for each call that is up.",
        &[],
    );
    dialogs.add([], reading.engine.dialogs);
    let mut full = Family::counter(
        "sbc_table_full_total",
        "What was turned away because a table of the engine was full.",
        &["table"],
    );
    for table in [
        "bans",
        "bindings",
        "calls",
        "dialogs",
        "probes",
        "servers",
        "transactions",
    ] {
        full.zero([table]);
    }
    for (table, &count) in &reading.engine.full {
        full.add([table], count);
    }
    vec![transactions, dialogs, full]
}

fn sockets(config: &Config, reading: &Reading) -> Vec<Family> {
    let mut overload = Family::counter(
        "sbc_sip_overload_total",
        "Datagrams dropped because a queue was full: in, to the engine; out, to the kernel.",
        &["network", "direction"],
    );
    let mut open = Family::gauge(
        "sbc_sip_connections",
        "TCP connections open now.",
        &["network"],
    );
    let mut refused = Family::counter(
        "sbc_sip_connections_refused_total",
        "TCP connections turned away: too many in all (total), or from one source (source).",
        &["network", "reason"],
    );
    let mut closed = Family::counter(
        "sbc_sip_connections_closed_total",
        "TCP connections that have ended, by reason.",
        &["network", "reason"],
    );
    for (id, name) in networks(config) {
        let counters: &NetworkCounters = reading.sockets.network(id);
        overload.add([name, "in"], counters.overload_in.value());
        overload.add([name, "out"], counters.overload_out.value());
        open.add([name], counters.connections.value());
        refused.add([name, "total"], counters.refused_total.value());
        refused.add([name, "source"], counters.refused_source.value());
        for reason in Closed::ALL {
            closed.add([name, reason.label()], counters.closed(reason));
        }
    }
    vec![overload, open, refused, closed]
}

/// The parser's and the framer's reasons. What is wrong with one header more than the usual gets its series when it comes.
fn malformed_reasons() -> impl Iterator<Item = &'static str> {
    let faults = [
        Fault::Empty,
        Fault::TooLarge,
        Fault::TooManyHeaders,
        Fault::Truncated,
        Fault::Utf8,
        Fault::LineEnd,
        Fault::StartLine,
        Fault::RequestUri,
        Fault::Version,
        Fault::StatusCode,
        Fault::Header,
        Fault::CSeqMethod,
        Fault::BodyShort,
    ];
    let mandatory = [Name::Via, Name::From, Name::To, Name::CallId, Name::CSeq];
    let faults = faults
        .into_iter()
        .chain(mandatory.map(Fault::Missing))
        .chain(mandatory.map(Fault::Malformed))
        .map(Fault::label);
    let streams = [
        FrameError::Garbage,
        FrameError::TooLarge,
        FrameError::NoContentLength,
        FrameError::ContentLength,
    ];
    faults.chain(streams.map(FrameError::label))
}
