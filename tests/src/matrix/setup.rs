//! How a call begins.

use std::time::Duration;

use sbc::engine::Outcome;

use super::Row;
use super::cell::{A, B, C, Cell, Who, check, refused};
use crate::stage::{Challenge, State, Step};

/// Whoever takes the turn calls the other one.
fn calls(cell: &mut Cell) -> Result<(), String> {
    let own: Vec<_> = cell
        .doers()
        .into_iter()
        .map(|who| cell.call(who, "100"))
        .collect();
    let up = own.clone();
    cell.stage.run_until("the calls are up", |stage| {
        let down = up.iter().any(|leg| stage.state(*leg) == State::Early);
        !down && [A, B].map(|who| stage.up(who).len()) == [up.len(); 2]
    })?;
    cell.stage.settle()?;
    let all = [cell.stage.up(A), cell.stage.up(B)].concat();
    for leg in &own {
        // Who was called has the newest dialog that is not his own.
        let other = all
            .iter()
            .find(|other| other.0 != leg.0 && !own.contains(other));
        let other = *other.ok_or("nobody has been called")?;
        cell.stage.talk(*leg, other)?;
    }
    for leg in &own {
        super::cell::hang_up(&mut cell.stage, *leg);
    }
    cell.over(&all)?;
    let answered = vec![Outcome::Answered; own.len()];
    cell.ended(&answered)
}

fn challenged(cell: &mut Cell, code: u16) -> Result<(), String> {
    cell.manner(B).challenge = Some(Challenge {
        code,
        methods: &["INVITE"],
        password: "pw",
    });
    let legs = cell.connect()?;
    cell.finish(legs)
}

/// Whoever takes the turn asks for a password in the call.
fn challenged_inside(cell: &mut Cell, methods: &'static [&'static str]) -> Result<(), String> {
    let legs = cell.connect()?;
    cell.doers_are(|manner| {
        manner.challenge = Some(Challenge {
            code: if methods.contains(&"BYE") { 407 } else { 401 },
            methods,
            password: "pw",
        });
    });
    for leg in legs {
        let (who, dialog) = leg;
        // What the one asks of the other.
        if cell.does(1 - who) {
            cell.stage.act(who, |agent, now| {
                agent.offer(now, dialog, "INVITE", |media| media.streams[0].port += 4);
            });
        }
    }
    cell.stage.settle()?;
    cell.stage.talk(legs[0], legs[1])?;
    for leg in legs {
        if cell.does(1 - leg.0) {
            super::cell::hang_up(&mut cell.stage, leg);
        }
    }
    cell.over(&legs)?;
    cell.ended(&[Outcome::Answered])
}

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("180, 200, ACK; whoever it is calls", calls),
        Row::new("a caller without an offer", |cell| {
            cell.manner(A).is_late = true;
            let legs = cell.connect()?;
            cell.finish(legs)
        })
        .only(&[Who::Caller], "a"),
        Row::new("200 at once", |cell| {
            cell.manner(B).steps = vec![Step::says(0, 200)];
            let legs = cell.connect()?;
            cell.finish(legs)
        })
        .only(&[Who::Called], "b"),
        Row::new("ACK lost twice, the 200 comes again", |cell| {
            if cell.does(A) {
                cell.manner(A).loses_acks = 2;
            }
            if cell.does(B) {
                cell.manner(B).ignores_acks = 2;
            }
            let legs = cell.connect()?;
            cell.finish(legs)
        }),
        Row::new("401 to the INVITE", |cell| challenged(cell, 401)).only(&[Who::Called], "b"),
        Row::new("407 to the INVITE", |cell| challenged(cell, 407)).only(&[Who::Called], "b"),
        Row::new("401 to a re-INVITE", |cell| {
            challenged_inside(cell, &["INVITE"])
        }),
        Row::new("407 to re-INVITE and BYE", |cell| {
            challenged_inside(cell, &["INVITE", "BYE"])
        }),
        Row::new("486 and its Reason", |cell| {
            cell.manner(B).steps = vec![Step::says(20, 180), Step::says(500, 486)];
            refused(cell, A, "100", 486)
        })
        .only(&[Who::Called], "b"),
        Row::new("503, the next trunk takes the call", |cell| {
            cell.manner(B).steps = vec![Step::says(20, 183).sdp(true), Step::says(500, 503)];
            let own = cell.call(A, "200");
            let legs = cell.up(own, C)?;
            cell.finish_by(legs)
        })
        .only(&[Who::Called], "b"),
        Row::new("CANCEL before anything has come", |cell| {
            cell.manner(B).steps = vec![Step::says(2000, 180), Step::says(60_000, 200)];
            cancelled(cell, Duration::ZERO)
        })
        .only(&[Who::Caller], "a"),
        Row::new("CANCEL while it rings", |cell| {
            cell.manner(B).steps = vec![Step::says(20, 180), Step::says(60_000, 200)];
            cancelled(cell, Duration::from_secs(3))
        })
        .only(&[Who::Caller], "a"),
        Row::new("CANCEL against 200", |cell| {
            let own = cell.call(A, "100");
            cell.stage.run_for(Duration::from_millis(515));
            cell.stage.act(A, |agent, now| agent.cancel(now, own.1));
            // Whichever was faster.
            cell.stage.run_for(Duration::from_secs(120));
            let theirs = cell.stage.last(B);
            for leg in [own, theirs] {
                super::cell::hang_up(&mut cell.stage, leg);
            }
            cell.over(&[own, theirs])
        })
        .only(&[Who::Both], "c"),
        Row::new("BYE before the ACK", |cell| {
            cell.manner(A).loses_acks = 1;
            let own = cell.call(A, "100");
            cell.stage
                .run_until("it is up", |stage| stage.state(own) == State::Up)?;
            super::cell::hang_up(&mut cell.stage, own);
            cell.stage.run_for(Duration::from_secs(60));
            let theirs = cell.stage.last(B);
            cell.over(&[own, theirs])?;
            cell.ended(&[Outcome::Answered])
        })
        .only(&[Who::Caller], "g"),
    ]
}

fn cancelled(cell: &mut Cell, after: Duration) -> Result<(), String> {
    let own = cell.call(A, "100");
    cell.stage.run_for(after);
    cell.stage.act(A, |agent, now| agent.cancel(now, own.1));
    cell.stage
        .run_until("it is called off", |stage| stage.state(own) != State::Early)?;
    let state = cell.stage.state(own);
    check(state == State::Refused(487), || {
        format!("{state:?}, not 487")
    })?;
    cell.stage.run_for(Duration::from_secs(60));
    let theirs = cell.stage.last(B);
    cell.over(&[own, theirs])?;
    cell.ended(&[Outcome::Cancelled])
}
