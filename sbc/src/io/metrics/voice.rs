//! What media workers make of what they transcode, and whether they keep up.

use super::family::Family;
use super::{Reading, network_name, networks};
use crate::config::Config;

/// Samples a second.
const RATE: f64 = 8000.0;

pub(super) fn families(config: &Config, reading: &Reading) -> Vec<Family> {
    vec![
        concealed(config, reading),
        late(config, reading),
        load(reading),
        lost_keys(reading),
    ]
}

fn concealed(config: &Config, reading: &Reading) -> Family {
    let mut family = Family::counter(
        "sbc_media_concealed_seconds_total",
        "Audio that was made up for packets of transcoded calls that did not come in time.",
        &["network"],
    );
    for (_, name) in networks(config) {
        family.set([name], 0.0);
    }
    for (&id, network) in &reading.voice.networks {
        family.set([network_name(config, id)], network.concealed as f64 / RATE);
    }
    family
}

fn late(config: &Config, reading: &Reading) -> Family {
    let mut family = Family::counter(
        "sbc_media_late_packets_total",
        "Packets of transcoded calls that came after they had been given up.",
        &["network"],
    );
    for (_, name) in networks(config) {
        family.zero([name]);
    }
    for (&id, network) in &reading.voice.networks {
        family.add([network_name(config, id)], network.late);
    }
    family
}

fn load(reading: &Reading) -> Family {
    let mut family = Family::gauge(
        "sbc_media_worker_load",
        "What a media worker takes of a processor, 0 to 1, over the last second; beyond 0.85 it takes no new calls that must be transcoded.",
        &["worker"],
    );
    for (worker, &load) in reading.loads.iter().enumerate() {
        family.set([&worker.to_string()], load as f64 / 1000.0);
    }
    family
}

fn lost_keys(reading: &Reading) -> Family {
    let mut family = Family::counter(
        "sbc_media_lost_keys_total",
        "Keys (DTMF) that were to be put into media, or were found in it, and for which there was no room: too many at a time.",
        &[],
    );
    family.add::<0>([], reading.voice.lost_keys);
    family
}
