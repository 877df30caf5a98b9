mod storm;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::*;
use crate::config::{NoSecrets, TrunkId};
use crate::engine::{MessageLabels, Outcome, Party};
use crate::media::{NetworkMedia, NetworkVoice, Quality, Traffic};
use crate::sip::Transport;

const TWO_SIDES: &str = r#"
[network.left]
address = ["127.0.0.1"]
sip = ["udp:5060", "tcp:5060"]
[network.right]
address = ["127.0.0.2"]
sip = ["udp:5060"]
[trunk.a]
network = "left"
server = "sip:127.0.0.3:5060"
[phone.6001]
password = "secret"
[[route]]
from = ["trunk:a"]
to = ["phone:6001"]
"#;

fn page(change: impl FnOnce(&mut Reading)) -> String {
    page_of(TWO_SIDES, |_| {}, change)
}

fn page_of(
    text: &str,
    change_config: impl FnOnce(&mut Config),
    change: impl FnOnce(&mut Reading),
) -> String {
    let mut config = Config::parse(text, "test.toml", &NoSecrets).unwrap();
    change_config(&mut config);
    let config = Arc::new(config);
    let mut reading = Reading {
        engine: Stats::default(),
        kernel: MediaStats::default(),
        user: MediaStats::default(),
        voice: VoiceStats::default(),
        loads: vec![0],
        sockets: Arc::new(Counters::new(2)),
        cdr: None,
        trace: None,
        flight: None,
    };
    change(&mut reading);
    Metrics::new(Current::new(config))
        .unwrap()
        .render(reading)
        .unwrap()
}

/// Series by name and labels.
fn series(page: &str) -> BTreeMap<&str, f64> {
    page.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name, value.parse().unwrap())
        })
        .collect()
}

#[test]
fn what_the_config_names_is_there_from_the_start() {
    let page = page(|_| {});
    let series = series(&page);
    for name in [
        r#"sbc_media_packets_total{network="left",path="kernel",direction="in"}"#,
        r#"sbc_media_bytes_total{network="right",path="user",direction="out"}"#,
        r#"sbc_media_packets_total{network="right",path="transcoded",direction="out"}"#,
        r#"sbc_media_bytes_total{network="left",path="transcoded",direction="in"}"#,
        r#"sbc_media_concealed_seconds_total{network="left"}"#,
        r#"sbc_media_late_packets_total{network="right"}"#,
        r#"sbc_media_worker_load{worker="0"}"#,
        r#"sbc_media_dropped_packets_total{network="right",reason="no-flow"}"#,
        r#"sbc_media_lost_packets_total{network="left"}"#,
        r#"sbc_media_reordered_packets_total{network="right"}"#,
        r#"sbc_media_duplicate_packets_total{network="left"}"#,
        r#"sbc_media_ssrc_changes_total{network="left"}"#,
        r#"sbc_media_jitter_seconds_bucket{le="0.0005"}"#,
        r#"sbc_calls_total{from="trunk:a",to="phones:left",outcome="media-timeout"}"#,
        r#"sbc_flows{network="left",path="kernel"}"#,
        r#"sbc_flow_fallbacks_total{reason="local-peer"}"#,
        r#"sbc_calls{from="trunk:a",to="phones:right"}"#,
        r#"sbc_calls_total{from="trunk:a",to="phones:left",outcome="no-answer"}"#,
        r#"sbc_calls_total{from="trunk:a",to="none",outcome="rejected"}"#,
        r#"sbc_call_setup_seconds_count{to="phones:left"}"#,
        r#"sbc_call_post_dial_delay_seconds_count{to="phones:left"}"#,
        r#"sbc_call_ringback_delay_seconds_count{from="trunk:a"}"#,
        r#"sbc_call_mos_count{network="right",party="phones:right"}"#,
        r#"sbc_call_duration_seconds_bucket{le="+Inf"}"#,
        r#"sbc_sip_messages_total{network="left",transport="tcp",direction="in",method="OPTIONS",class="request"}"#,
        r#"sbc_sip_malformed_total{network="left",reason="missing-via"}"#,
        r#"sbc_sip_malformed_total{network="left",reason="bad-cseq"}"#,
        r#"sbc_sip_refused_total{network="left",reason="stranger"}"#,
        r#"sbc_table_full_total{table="calls"}"#,
        r#"sbc_registrations{network="right"}"#,
        r#"sbc_media_ports_free{network="right"}"#,
        r#"sbc_sip_overload_total{network="left",direction="in"}"#,
        r#"sbc_sip_connections{network="left"}"#,
        r#"sbc_sip_connections_closed_total{network="left",reason="idle"}"#,
        "sbc_transactions",
        "sbc_dialogs",
    ] {
        assert_eq!(series.get(name), Some(&0.0), "{name}\n{page}");
    }
    assert_eq!(series[r#"sbc_build_info{version="0.1.0"}"#], 1.0);
    assert!(series["process_resident_memory_bytes"] > 100_000.0);
    assert!(!page.contains(r#"network="right",transport="tcp""#));
}

#[test]
fn readings_become_series() {
    let page = page(|reading| {
        let left = NetworkId(0);
        let traffic = NetworkMedia {
            received: Traffic {
                packets: 3,
                bytes: 516,
            },
            sent: Traffic {
                packets: 2,
                bytes: 344,
            },
            dropped: BTreeMap::from([("no-flow", 5)]),
        };
        reading.kernel.networks.insert(left, traffic.clone());
        reading.user.networks.insert(left, traffic.clone());
        let voice = NetworkVoice {
            received: traffic.received,
            sent: traffic.sent,
            concealed: 1200,
            late: 9,
        };
        reading.voice.networks.insert(left, voice);
        reading.loads = vec![125, 0];
        let caller = Party::Trunk(TrunkId(0));
        let stats = &mut reading.engine;
        stats
            .calls_total
            .insert((caller, Party::Nobody, Outcome::Rejected), 7);
        let setup = stats.call_setup.entry(caller).or_default();
        setup.0.observe(Duration::from_millis(30));
        setup.0.observe(Duration::from_secs(100_000));
        let phones = Party::Phones(NetworkId(1));
        stats.mos.entry(phones).or_default().0.observe_value(4.2);
        let ringback = stats.ringback.entry(phones).or_default();
        ringback.0.observe(Duration::from_secs(7));
        let quality = Quality {
            lost: 6,
            reordered: 4,
            duplicate: 2,
            ssrc_changes: 1,
            jitter: Duration::ZERO,
        };
        stats.media_quality.insert(left, quality);
        stats.media_jitter.0.observe(Duration::from_millis(3));
        stats.full.insert("transactions", 1);
        let labels = MessageLabels {
            network: left,
            transport: Transport::Udp,
            direction: "in",
            method: "MESSAGE",
            class: "request",
        };
        stats.sip_messages.insert(labels, 9);
    });
    let series = series(&page);
    for (name, value) in [
        (
            r#"sbc_media_packets_total{network="left",path="kernel",direction="in"}"#,
            3.0,
        ),
        (
            r#"sbc_media_bytes_total{network="left",path="user",direction="out"}"#,
            344.0,
        ),
        (
            r#"sbc_media_dropped_packets_total{network="left",reason="no-flow"}"#,
            10.0,
        ),
        (
            r#"sbc_calls_total{from="trunk:a",to="none",outcome="rejected"}"#,
            7.0,
        ),
        (r#"sbc_media_lost_packets_total{network="left"}"#, 6.0),
        (r#"sbc_media_lost_packets_total{network="right"}"#, 0.0),
        (r#"sbc_media_reordered_packets_total{network="left"}"#, 4.0),
        (r#"sbc_media_duplicate_packets_total{network="left"}"#, 2.0),
        (r#"sbc_media_ssrc_changes_total{network="left"}"#, 1.0),
        (r#"sbc_media_jitter_seconds_bucket{le="0.002"}"#, 0.0),
        (r#"sbc_media_jitter_seconds_bucket{le="0.005"}"#, 1.0),
        ("sbc_media_jitter_seconds_sum", 0.003),
        // Nobody is to call there by the routes, and somebody has.
        (
            r#"sbc_call_setup_seconds_bucket{to="trunk:a",le="0.025"}"#,
            0.0,
        ),
        (
            r#"sbc_call_setup_seconds_bucket{to="trunk:a",le="0.05"}"#,
            1.0,
        ),
        (
            r#"sbc_call_setup_seconds_bucket{to="trunk:a",le="180"}"#,
            1.0,
        ),
        (
            r#"sbc_call_setup_seconds_bucket{to="trunk:a",le="+Inf"}"#,
            2.0,
        ),
        (r#"sbc_call_setup_seconds_count{to="trunk:a"}"#, 2.0),
        (r#"sbc_call_setup_seconds_sum{to="trunk:a"}"#, 100_000.03),
        (
            r#"sbc_call_ringback_delay_seconds_bucket{from="phones:right",le="6"}"#,
            0.0,
        ),
        (
            r#"sbc_call_ringback_delay_seconds_bucket{from="phones:right",le="8"}"#,
            1.0,
        ),
        (
            r#"sbc_call_mos_sum{network="right",party="phones:right"}"#,
            4.2,
        ),
        (r#"sbc_call_mos_count{network="left",party="trunk:a"}"#, 0.0),
        (r#"sbc_party_info{party="trunk:a",network="left"}"#, 1.0),
        (
            r#"sbc_party_info{party="phones:right",network="right"}"#,
            1.0,
        ),
        (r#"sbc_table_full_total{table="transactions"}"#, 1.0),
        (
            r#"sbc_sip_messages_total{network="left",transport="udp",direction="in",method="MESSAGE",class="request"}"#,
            9.0,
        ),
    ] {
        assert_eq!(series.get(name), Some(&value), "{name}\n{page}");
    }
}

#[test]
fn a_trunk_that_a_reload_took_away_has_no_series() {
    let more = format!("{TWO_SIDES}[trunk.b]\nnetwork = \"right\"\nserver = \"sip:127.0.0.4\"\n");
    let there = page_of(&more, |_| {}, |_| {});
    assert!(there.contains("trunk:b"), "{there}");
    let gone = page_of(&more, |config| config.trunks[1].is_gone = true, |_| {});
    let left: Vec<&str> = gone.lines().filter(|l| l.contains("trunk:b")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn every_family_has_a_type_and_a_help_text_once() {
    let page = page(|_| {});
    let words = |kind: &str| -> Vec<String> {
        let prefix = format!("# {kind} ");
        page.lines()
            .filter_map(|line| line.strip_prefix(&prefix))
            .map(|rest| rest.split_once(' ').unwrap())
            .inspect(|(name, text)| assert!(!text.is_empty(), "{name}"))
            .map(|(name, _)| name.to_owned())
            .collect()
    };
    let (helps, types) = (words("HELP"), words("TYPE"));
    assert_eq!(helps, types);
    assert_eq!(helps.iter().collect::<BTreeSet<_>>().len(), helps.len());
    for line in page.lines().filter(|line| line.starts_with("# TYPE")) {
        let is_counter = line.ends_with(" counter");
        assert_eq!(is_counter, line.contains("_total "), "{line}");
    }
}
