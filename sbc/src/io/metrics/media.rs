//! Packets, flows and ports.

use sbc_ebpf::shed::Shed;

use super::family::Family;
use super::{Reading, network_name, networks};
use crate::config::Config;
use crate::engine::RoundTripHistogram;
use crate::media::{Fallback, Quality, Traffic};

const KERNEL: &str = "kernel";
const USER: &str = "user";
/// What a worker has changed.
const TRANSCODED: &str = "transcoded";

const FALLBACKS: [Fallback; 9] = [
    Fallback::Off,
    Fallback::Unprivileged,
    Fallback::Unsupported,
    Fallback::Interface,
    Fallback::LocalPeer,
    Fallback::Route,
    Fallback::Full,
    Fallback::Transcoded,
    Fallback::Dtmf,
];

pub(super) fn families(config: &Config, reading: &Reading) -> Vec<Family> {
    vec![
        traffic(
            Family::counter(
                "sbc_media_packets_total",
                "RTP and RTCP packets forwarded: in where they arrived, out where they left; by who forwarded them, the kernel (XDP) or user space, or transcoded them.",
                &["network", "path", "direction"],
            ),
            config,
            reading,
            |traffic| traffic.packets,
        ),
        traffic(
            Family::counter(
                "sbc_media_bytes_total",
                "UDP payload bytes of the packets in sbc_media_packets_total.",
                &["network", "path", "direction"],
            ),
            config,
            reading,
            |traffic| traffic.bytes,
        ),
        dropped(config, reading),
        quality(
            Family::counter(
                "sbc_media_lost_packets_total",
                "RTP packets that sequence numbers say were sent to the box and that never came, or came late; read while calls run and at their end.",
                &["network"],
            ),
            config,
            reading,
            |quality| quality.lost,
        ),
        quality(
            Family::counter(
                "sbc_media_reordered_packets_total",
                "RTP packets that came after a later one.",
                &["network"],
            ),
            config,
            reading,
            |quality| quality.reordered,
        ),
        quality(
            Family::counter(
                "sbc_media_duplicate_packets_total",
                "RTP packets that came again.",
                &["network"],
            ),
            config,
            reading,
            |quality| quality.duplicate,
        ),
        quality(
            Family::counter(
                "sbc_media_ssrc_changes_total",
                "How often another SSRC took over in a stream of RTP.",
                &["network"],
            ),
            config,
            reading,
            |quality| quality.ssrc_changes,
        ),
        Family::histogram(
            "sbc_media_jitter_seconds",
            "Interarrival jitter (RFC 3550) of each stream of RTP that came in, at its end.",
            &reading.engine.media_jitter.0,
        ),
        round_trip(config, reading),
        flows(config, reading),
        fallbacks(reading),
        ports(config, reading),
    ]
}

fn traffic(
    mut family: Family,
    config: &Config,
    reading: &Reading,
    of: fn(&Traffic) -> u64,
) -> Family {
    for path in [KERNEL, USER, TRANSCODED] {
        for (_, name) in networks(config) {
            family.zero([name, path, "in"]);
            family.zero([name, path, "out"]);
        }
    }
    for (&id, network) in &reading.voice.networks {
        let name = network_name(config, id);
        family.add([name, TRANSCODED, "in"], of(&network.received));
        family.add([name, TRANSCODED, "out"], of(&network.sent));
    }
    for (path, stats) in [(KERNEL, &reading.kernel), (USER, &reading.user)] {
        for (&id, network) in &stats.networks {
            let name = network_name(config, id);
            family.add([name, path, "in"], of(&network.received));
            family.add([name, path, "out"], of(&network.sent));
        }
    }
    family
}

fn quality(
    mut family: Family,
    config: &Config,
    reading: &Reading,
    of: fn(&Quality) -> u64,
) -> Family {
    for (id, name) in networks(config) {
        let quality = reading.engine.media_quality.get(&id);
        family.add([name], quality.map_or(0, of));
    }
    family
}

fn dropped(config: &Config, reading: &Reading) -> Family {
    let mut family = Family::counter(
        "sbc_media_dropped_packets_total",
        "Packets in the media port range that were not let through, by reason.",
        &["network", "reason"],
    );
    for (_, name) in networks(config) {
        for reason in drop_reasons() {
            family.zero([name, reason]);
        }
    }
    for stats in [&reading.kernel, &reading.user] {
        for (&id, network) in &stats.networks {
            for (reason, &count) in &network.dropped {
                if is_shed(reason) {
                    continue;
                }
                family.add([network_name(config, id), reason], count);
            }
        }
    }
    family
}

fn round_trip(config: &Config, reading: &Reading) -> Family {
    let mut family = Family::histograms(
        "sbc_media_round_trip_seconds",
        "How long it is from the box to a peer and back, in the mean of the last few times that RTCP told, at the end of each stream, by the peer's network.",
        &["network"],
    );
    let none = RoundTripHistogram::default();
    for (id, name) in networks(config) {
        let known = reading.engine.round_trip.get(&id).unwrap_or(&none);
        family.observed([name], &known.0);
    }
    family
}

fn flows(config: &Config, reading: &Reading) -> Family {
    let mut family = Family::gauge(
        "sbc_flows",
        "Flow ends that are installed now, by network and by who forwards them.",
        &["network", "path"],
    );
    for (_, name) in networks(config) {
        family.zero([name, KERNEL]);
        family.zero([name, USER]);
    }
    for (&(id, path), &count) in &reading.engine.flows {
        family.add([network_name(config, id), path], count);
    }
    family
}

fn fallbacks(reading: &Reading) -> Family {
    let mut family = Family::counter(
        "sbc_flow_fallbacks_total",
        "Flow pairs that went through user space, by the reason why not through the kernel.",
        &["reason"],
    );
    for fallback in FALLBACKS {
        family.zero([fallback.label()]);
    }
    for (reason, &count) in &reading.engine.flow_fallbacks {
        family.add([reason], count);
    }
    family
}

fn ports(config: &Config, reading: &Reading) -> Family {
    let mut family = Family::gauge(
        "sbc_media_ports_free",
        "UDP ports of the media range that a new call can have now; those that rest after a call are not free.",
        &["network"],
    );
    for (id, name) in networks(config) {
        let free = reading.engine.media_ports_free.get(&id).copied();
        family.add([name], free.unwrap_or_default());
    }
    family
}

/// The reasons that a verdict can give.
pub(in crate::io) fn drop_reasons() -> impl Iterator<Item = &'static str> {
    let all = sbc_ebpf::Drop::ALL.into_iter().map(sbc_ebpf::Drop::label);
    all.filter(|reason| !is_shed(reason))
}

/// No media, but SIP: told there.
fn is_shed(reason: &str) -> bool {
    Shed::ALL.iter().any(|shed| shed.label() == reason)
}
