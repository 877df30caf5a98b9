//! How most tests run a stage.

use std::time::Duration;

use sbc::engine::Outcome;

use super::{Called, Stage};
use crate::sim::Weather;

/// In fair weather once, in storms for many seeds.
pub fn in_all_weathers(run: impl Fn(u64, Weather)) {
    run(1, Weather::FAIR);
    for seed in 0..40 {
        run(seed, Weather::STORM);
    }
}

/// Runs until the call is up on both sides, has packets sent, and lets it end.
pub fn talks(mut stage: Stage) -> Stage {
    stage.run_until(|stage| {
        let settled = stage.called.iter().all(Called::is_settled);
        let up = stage.called.iter().flat_map(Called::up).count();
        stage.caller.up.is_some() && settled && up == 1
    });
    stage.run_for(Duration::from_secs(20));
    stage.assert_talk();
    stage.rest();
    assert_eq!(stage.caller.ended.as_deref(), Some("hung up"));
    assert_eq!(stage.ended.len(), 1);
    assert_eq!(stage.ended[0].0, Outcome::Answered);
    stage
}
