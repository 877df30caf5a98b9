//! Session timers (RFC 4028), and the other clocks that run while a call is up.

use std::time::Duration;

use sbc::engine::Outcome;

use super::Row;
use super::cell::{A, B, Cell, check};
use crate::stage::{Manner, Timer};

const SECOND: Duration = Duration::from_secs(1);

fn timer(interval: u32, least: u32, refreshes: bool) -> Option<Timer> {
    Some(Timer {
        interval,
        least,
        refreshes,
        forgets: false,
    })
}

/// Refreshed a few times, the session outlives its interval.
fn refreshed(cell: &mut Cell, timer: Option<Timer>, updates: bool) -> Result<(), String> {
    cell.doers_are(|manner| {
        manner.timer = timer;
        manner.updates = updates;
    });
    let legs = cell.connect()?;
    let interval = timer.map_or(0, |timer| timer.interval.max(90));
    cell.stage.run_for(SECOND * interval * 3);
    cell.stage.settle()?;
    let method = if updates { "UPDATE" } else { "INVITE" };
    for leg in legs.into_iter().filter(|leg| cell.does(leg.0)) {
        let agent = &cell.stage.agents[leg.0];
        let said = match timer.is_some_and(|timer| timer.refreshes) {
            true => agent.heard(&format!("200 {method}")).len(),
            false => agent.heard(&format!("{method} ")).len(),
        };
        check(said >= 3, || {
            format!("{leg:?}: {said} refreshes by {method}")
        })?;
    }
    cell.finish(legs)
}

/// Ends by itself, with this outcome; both are told why.
fn ends(cell: &mut Cell, outcome: Outcome, reason: &str) -> Result<(), String> {
    let legs = cell.connect()?;
    cell.over(&legs)?;
    cell.ended(&[outcome])?;
    for leg in legs
        .into_iter()
        .filter(|leg| !cell.stage.agents[leg.0].is_dead)
    {
        let byes = cell.stage.agents[leg.0].heard("BYE").len();
        check(byes == 1, || format!("{leg:?} has heard {byes} BYEs"))?;
        let bye = cell.stage.agents[leg.0].requests.get("BYE");
        let said = bye.map(|bye| bye.header("reason"));
        check(said == Some(reason), || format!("{leg:?} is told {said:?}"))?;
    }
    Ok(())
}

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("who has the timer refreshes by re-INVITE", |cell| {
            refreshed(cell, timer(300, 90, true), false)
        }),
        Row::new("who has the timer refreshes by UPDATE", |cell| {
            refreshed(cell, timer(300, 90, true), true)
        }),
        Row::new("we refresh by re-INVITE", |cell| {
            refreshed(cell, timer(300, 90, false), false)
        }),
        Row::new("we refresh by UPDATE", |cell| {
            refreshed(cell, timer(300, 90, false), true)
        }),
        Row::new("422: too short for us", |cell| {
            refreshed_at_odds(cell, 60, 60, 20)
        }),
        Row::new("422: too short for the other", |cell| {
            refreshed_at_odds(cell, 3600, 3600, 4000)
        }),
        Row::new("nobody refreshes: BYE before the time is up", |cell| {
            cell.doers_are(|manner: &mut Manner| {
                manner.timer = timer(300, 90, true).map(|timer| Timer {
                    forgets: true,
                    ..timer
                });
            });
            ends(
                cell,
                Outcome::SessionExpired,
                "SIP;cause=408;text=\"Session expired\"",
            )
        }),
        Row::new("`max_duration`, and both are told why", |cell| {
            cell.configure("max_duration = \"2m\"");
            ends(
                cell,
                Outcome::MaxDuration,
                "SIP;cause=200;text=\"Maximum duration\"",
            )
        }),
        Row::new(
            "`media_timeout`: no packet comes any more, and both are told why",
            |cell| {
                cell.configure("media_timeout = \"60s\"");
                for who in cell.doers() {
                    cell.stage.agents[who].is_mute = true;
                }
                ends(
                    cell,
                    Outcome::MediaTimeout,
                    "SIP;cause=408;text=\"Media timeout\"",
                )
            },
        ),
        Row::new(
            "silent for less than `media_timeout`, then heard again",
            |cell| {
                cell.configure("media_timeout = \"60s\"");
                let legs = cell.connect()?;
                for _ in 0..5 {
                    for is_mute in [true, false] {
                        for who in cell.doers() {
                            cell.stage.agents[who].is_mute = is_mute;
                        }
                        // Somebody speaks every ten seconds.
                        cell.stage.run_for(SECOND * if is_mute { 40 } else { 20 });
                    }
                }
                cell.finish(legs)
            },
        ),
        Row::new("vanished without a BYE", |cell| {
            cell.configure("media_timeout = \"60s\"");
            let legs = cell.connect()?;
            cell.stage.settle()?;
            for who in cell.doers() {
                cell.stage.agents[who].is_dead = true;
            }
            let left: Vec<_> = legs.into_iter().filter(|leg| !cell.does(leg.0)).collect();
            cell.over(&left)?;
            cell.ended(&[Outcome::MediaTimeout])
        }),
        Row::new("hold outlives `media_timeout`", |cell| {
            cell.configure("media_timeout = \"60s\"");
            let legs = cell.connect()?;
            for method in [true, false] {
                cell.each(legs, |stage, (who, dialog)| {
                    let change = if method {
                        |media: &mut crate::stage::Media| {
                            media.hold = Some(crate::stage::Hold::SendOnly)
                        }
                    } else {
                        |media: &mut crate::stage::Media| media.hold = None
                    };
                    stage.act(who, |agent, now| agent.offer(now, dialog, "INVITE", change));
                });
                cell.stage.settle()?;
                for who in [A, B] {
                    cell.stage.agents[who].is_mute = method;
                }
                if method {
                    cell.stage.run_for(SECOND * 600);
                }
            }
            cell.finish(legs)
        }),
    ]
}

/// Somebody finds the interval too short, and the call comes about all the same.
fn refreshed_at_odds(cell: &mut Cell, interval: u32, least: u32, time: u32) -> Result<(), String> {
    cell.doers_are(|manner| manner.timer = timer(interval, least, true));
    let legs = cell.connect()?;
    cell.stage.run_for(SECOND * time);
    cell.finish(legs)
}
