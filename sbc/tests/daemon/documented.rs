//! What the daemon tells is what the documentation says that it tells.

use std::collections::BTreeSet;
use std::time::Duration;

use sbc::config::{Cdr, Credentials, FlightRecorder, Rotate, Secret};

use super::Sbc;

const PAGE: &str = include_str!("../../../docs/metrics.md");

/// All metrics of a daemon that has everything of which there are metrics.
#[tokio::test]
async fn each_metric_of_a_daemon_stands_in_the_reference_and_no_other() {
    let directory = std::env::temp_dir().join(format!("sbc-documented-{}", std::process::id()));
    let sbc = Sbc::start_with(|config| {
        config.sbc.state_dir.clone_from(&directory);
        config.cdr = Some(Cdr {
            json: Some(directory.join("calls.json")),
            csv: None,
            rotate: Rotate::default(),
            keep: None,
            webhook: None,
            spool: 1 << 20,
            mask: 0,
        });
        config.flight_recorder = Some(FlightRecorder {
            calls: 1,
            directory: None,
            mos: None,
            loss: None,
            files: 1,
            payload: true,
        });
        let trunk = &mut config.trunks[0];
        trunk.probe = Some(Duration::from_secs(30));
        trunk.limits.calls = Some(1);
        trunk.register = Some(Duration::from_secs(60));
        trunk.credentials = Some(Credentials {
            username: "u".to_owned(),
            password: Secret::new("p".to_owned()),
        });
    })
    .await;
    let (status, scrape) = sbc.page("/metrics").await;
    assert_eq!(status, 200, "{scrape}");
    sbc.stop().await;
    // Whatever is left in it is the daemon's own.
    let _ = std::fs::remove_dir_all(&directory);

    let told: BTreeSet<&str> = scrape
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    let written: BTreeSet<&str> = PAGE
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    let undocumented: Vec<_> = told.difference(&written).collect();
    let untold: Vec<_> = written.difference(&told).collect();
    assert!(
        undocumented.is_empty(),
        "not in docs/metrics.md: {undocumented:?}"
    );
    assert!(untold.is_empty(), "the daemon does not have: {untold:?}");
}
