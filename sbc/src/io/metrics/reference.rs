//! The metrics as a page, `docs/metrics.md`, made of what the families say of themselves. `cargo xtask docs` writes it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use super::*;
use crate::config::NoSecrets;

/// All that has metrics of its own.
const CONFIG: &str = r#"
[network.lan]
address = ["127.0.0.1"]
[trunk.carrier]
network = "lan"
server = "sip:127.0.0.3:5060"
username = "u"
password = "p"
register = true
probe = "30s"
max_calls = 1
max_calls_per_second = 1
[phone.6001]
password = "p"
[[route]]
from = ["trunk:carrier"]
to = ["phone:6001"]
[cdr]
json = "/calls.json"
"#;

/// Their values are the config's, or the host's.
const NAMED_ELSEWHERE: [&str; 7] = [
    "network", "from", "to", "party", "trunk", "worker", "version",
];

const BEGINNING: &str = "\
<!-- Made by `cargo xtask docs` from sbc/src/io/metrics: change it there. -->
# Metrics

`GET /metrics` on the `admin` address answers in Prometheus' text format; `GET /healthz` is 200 while the engine turns, `GET /readyz` while calls are taken.
Counters end in `_total` and only grow; times are in seconds, sizes in bytes. Labels name what the config names, so that their number is bounded by it:
`network`, `trunk`, `from`, `to` and `party` (`trunk:NAME`, `phones:NETWORK`, `none`). A series of a label that the config gives is there from the start, at zero.
The dashboard is [deploy/grafana/sbc.json](../deploy/grafana/sbc.json), alert rules with their tests are in [deploy/prometheus](../deploy/prometheus).
";

fn page() -> String {
    let config = Arc::new(Config::parse(CONFIG, "f", &NoSecrets).unwrap());
    let mut records = CdrCounters::default();
    records.present = [true; 3];
    let reading = Reading {
        engine: Stats::default(),
        kernel: MediaStats::default(),
        user: MediaStats::default(),
        voice: VoiceStats::default(),
        loads: vec![0],
        sockets: Arc::new(Counters::new(1)),
        cdr: Some(Arc::new(records)),
        trace: Some(Totals::default()),
        flight: Some(FlightCounts {
            recordings: Some([0; 2]),
            ..FlightCounts::default()
        }),
    };
    let groups = [
        ("Media", media::families(&config, &reading)),
        ("Transcoding", voice::families(&config, &reading)),
        ("Calls", calls::families(&config, &reading.engine)),
        (
            "Trunks and phones, as they are called",
            parties::families(&config, &reading.engine),
        ),
        ("SIP", sip::families(&config, &reading)),
        ("Trunks", trunks::families(&config, &reading.engine)),
        ("DNS and servers", servers::families(&reading.engine)),
        ("Records of calls", cdr::families(&reading)),
        ("Traces of calls", trace::families(&reading)),
        ("The flight recorder", flight::families(&reading)),
        ("The process", process::families(SystemTime::now())),
    ];
    let mut page = BEGINNING.to_owned();
    for (title, families) in groups {
        // Writing into a string does not fail.
        let _ = write!(
            page,
            "\n## {title}\n\n| metric | kind | labels | meaning |\n|---|---|---|---|\n"
        );
        for family in families {
            page.push_str(&row(family));
        }
    }
    page
}

fn row(family: Family) -> String {
    let labels = family.labels();
    let family = family.finish().unwrap();
    let kind = format!("{:?}", family.get_field_type()).to_lowercase();
    let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for pair in family.get_metric().iter().flat_map(|m| m.get_label()) {
        values.entry(pair.name()).or_default().insert(pair.value());
    }
    let told = |label: &&str| match values.get(label) {
        Some(values) if !NAMED_ELSEWHERE.contains(label) => {
            let values: Vec<_> = values.iter().map(|value| format!("`{value}`")).collect();
            format!("`{label}`: {}", values.join(", "))
        }
        _ => format!("`{label}`"),
    };
    let labels: Vec<_> = labels.iter().map(told).collect();
    format!(
        "| `{}` | {kind} | {} | {} |\n",
        family.name(),
        labels.join("; "),
        family.help().replace('|', "\\|")
    )
}

#[test]
fn the_reference_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let page = page();
    if std::env::var_os("SBC_GOLDEN").is_some_and(|how| how == "write") {
        std::fs::write(&path, &page).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        page == committed,
        "docs/metrics.md is not current: cargo xtask docs"
    );
}
