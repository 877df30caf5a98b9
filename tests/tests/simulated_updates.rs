//! Offers in an UPDATE while it rings (RFC 3311), in fair weather and in storms, until packets go both ways through the verdict that kernel and
//! user space share.
//!
//! [`Stage::rest`] itself checks that no transaction, dialog, flow or port is left, and that nobody believes he is still in a call.

use std::time::Duration;

use sbc::engine::Outcome;
use sbc_tests::ringing::{Called, CallerPlan, Reliable, Stage, Step, in_all_weathers, talks};

const B: &str = "10.71.2.2:5060";

fn plan(updates_after: Option<u64>) -> CallerPlan {
    CallerPlan {
        reliable: Reliable::Required,
        takes_update: true,
        updates_after: updates_after.map(Duration::from_millis),
        ..CallerPlan::default()
    }
}

/// 183 at once, 180 a little later, and the 200 after so many ms.
fn called(takes_update: bool, updates: Option<(u64, u16)>, after: u64) -> Called {
    let steps = [
        Step::says(20, "b", 183, Some(5000)).wants_prack(),
        Step::says(700, "b", 180, None).wants_prack(),
        Step::says(after, "b", 200, None),
    ];
    let mut called = Called::new(B, &steps);
    called.takes_update = takes_update;
    called.updates = updates;
    called
}

#[test]
fn a_callers_media_moves_while_it_rings() {
    for takes_update in [true, false] {
        for late in [0, 300, 690, 1500] {
            in_all_weathers(|seed, weather| {
                let called = called(takes_update, None, 9000);
                let stage = talks(Stage::new(seed, weather, plan(Some(late)), vec![called]));
                let codes = &stage.caller.update_codes;
                if weather.loss == 0 {
                    assert_eq!(codes, &[200]);
                }
                if codes.last() == Some(&200) {
                    assert_eq!(stage.caller.media().port(), 4010, "seed {seed}");
                }
            });
        }
    }
}

#[test]
fn the_media_of_who_is_called_moves_while_it_rings() {
    for takes_update in [true, false] {
        in_all_weathers(|seed, weather| {
            let plan = CallerPlan {
                takes_update,
                ..plan(None)
            };
            let called = called(true, Some((400, 5020)), 9000);
            let stage = talks(Stage::new(seed, weather, plan, vec![called]));
            assert_eq!(
                stage.called[0].update_codes.last(),
                Some(&200),
                "seed {seed}"
            );
            assert_eq!(stage.called[0].media("b").map(|at| at.port()), Some(5020));
        });
    }
}

#[test]
fn both_move_at_once_and_one_of_them_tries_again() {
    for after in [380, 400, 420, 440] {
        in_all_weathers(|seed, weather| {
            let called = called(true, Some((400, 5020)), 12_000);
            let stage = talks(Stage::new(seed, weather, plan(Some(after)), vec![called]));
            assert_eq!(stage.called[0].media("b").map(|at| at.port()), Some(5020));
            if weather.loss == 0 {
                assert_eq!(stage.caller.update_codes.last(), Some(&200));
                assert_eq!(stage.caller.media().port(), 4010);
            }
        });
    }
}

#[test]
fn the_call_is_taken_or_given_up_at_any_moment_of_an_update() {
    for after in (0..1200).step_by(30) {
        in_all_weathers(|seed, weather| {
            if seed > 3 {
                return;
            }
            let called = called(true, Some((after / 2, 5020)), 1000);
            let stage = talks(Stage::new(seed, weather, plan(Some(500)), vec![called]));
            assert_eq!(stage.ended.len(), 1);
        });
        in_all_weathers(|seed, weather| {
            if seed > 3 {
                return;
            }
            let called = called(true, Some((300, 5020)), 1000);
            let plan = CallerPlan {
                cancels_after: Some(Duration::from_millis(after)),
                ..plan(Some(100))
            };
            let mut stage = Stage::new(seed, weather, plan, vec![called]);
            stage.rest();
            let outcome = match stage.caller.ended.as_deref() {
                Some("487") => Outcome::Cancelled,
                Some("hung up" | "they hung up") => Outcome::Answered,
                other => panic!("{other:?} after {after} ms"),
            };
            assert_eq!(stage.ended[0].0, outcome);
        });
    }
}
