//! A router between the box and who is called: at which address he sees the box is found out in the middle of a call, on lines that lose,
//! repeat and reorder.

use std::time::Duration;

use sbc::engine::{Event, Outcome};
use sbc_tests::sim::{Fact, Plan, ROUTER, Report, Weather, World};

const SECOND: Duration = Duration::from_secs(1);

fn in_all_weathers(caller: &Plan, callee: &Plan, check: impl Fn(&Report)) {
    let run = |seed, weather| {
        let mut world = World::behind_router(seed, weather, caller.clone(), callee.clone());
        world.start();
        check(&world.run_to_rest());
    };
    run(1, Weather::FAIR);
    for seed in 0..200 {
        run(seed, Weather::STORM);
    }
}

#[test]
fn a_call_in_which_the_address_is_found_goes_on_there() {
    let callee = Plan::default();
    // The second request that is answered tells; whatever happens then crosses with what the box has to say.
    for resumes_after in [SECOND, SECOND * 2, SECOND * 10] {
        let caller = Plan {
            calls: Some("100".to_owned()),
            holds_after: Some(SECOND * 10),
            talks_after: Some(SECOND * 10 + resumes_after),
            hangs_up_after: Some(SECOND * 60),
            ..Plan::default()
        };
        in_all_weathers(&caller, &callee, |report| {
            assert_eq!(report.outcomes, [Outcome::Answered]);
            assert_eq!(report.caller.last(), Some(&Fact::HungUp));
            assert_eq!(report.callee.last(), Some(&Fact::TheyHungUp));
            assert!(report.callee.contains(&Fact::WasHeld));
            assert_eq!(report.told, ["10.71.2.1", ROUTER], "{resumes_after:?}");
            let changes: Vec<_> = report.events.iter().filter_map(changed).collect();
            assert_eq!(changes, [(None, ROUTER.to_owned(), 1)]);
        });
    }
}

fn changed(event: &Event) -> Option<(Option<String>, String, usize)> {
    match event {
        Event::ExternalChanged {
            from, to, calls, ..
        } => Some((from.map(|ip| ip.to_string()), to.to_string(), *calls)),
        _ => None,
    }
}
