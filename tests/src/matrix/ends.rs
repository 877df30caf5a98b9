//! How a call ends.

use sbc::engine::Outcome;

use super::Row;
use super::cell::{A, Cell, check};
use crate::stage::Change;

const REASON: &str = "Q.850;cause=31;text=\"enough\"";

/// Whoever it is hangs up, in the middle of something else.
fn amid(cell: &mut Cell, change: Option<Change>) -> Result<(), String> {
    let legs = cell.connect()?;
    cell.each(legs, |stage, (who, dialog)| {
        stage.act(1 - who, |agent, now| {
            let other = legs[1 - who].1;
            match change {
                Some(change) => agent.offer(now, other, "INVITE", change),
                None => agent.ask_for_offer(now, other, |_| {}),
            }
        });
        stage.act(who, |agent, now| agent.hang_up(now, dialog, ""));
    });
    cell.over(&legs)?;
    cell.ended(&[Outcome::Answered])
}

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("BYE", |cell| {
            let legs = cell.connect()?;
            cell.finish(legs)
        }),
        Row::new("BYE with a Reason, which the other one is told", |cell| {
            let legs = cell.connect()?;
            cell.each(legs, |stage, (who, dialog)| {
                let lines = format!("Reason: {REASON}\r\n");
                stage.act(who, |agent, now| agent.hang_up(now, dialog, &lines));
            });
            cell.over(&legs)?;
            for leg in legs.into_iter().filter(|leg| !cell.does(leg.0)) {
                let said = cell.stage.agents[leg.0]
                    .requests
                    .get("BYE")
                    .map(|bye| bye.header("reason").to_owned());
                check(said.as_deref() == Some(REASON), || {
                    format!("the Reason is {said:?}")
                })?;
            }
            cell.ended(&[Outcome::Answered])
        }),
        Row::new("BYE against a re-INVITE of the other", |cell| {
            amid(cell, Some(|media| media.streams[0].port += 4))
        }),
        Row::new("BYE against a re-INVITE without an offer", |cell| {
            amid(cell, None)
        }),
        Row::new("the box is stopped", |cell| {
            let legs = cell.connect()?;
            cell.stage.stop();
            cell.over(&legs)
        })
        .only(&[super::Who::Both], "d"),
        Row::new("the next call after a call", |cell| {
            for _ in 0..2 {
                let own = cell.call(A, "100");
                let legs = cell.up(own, 1)?;
                cell.stage.settle()?;
                cell.stage.talk(legs[0], legs[1])?;
                cell.each(legs, super::cell::hang_up);
                cell.over(&legs)?;
            }
            Ok(())
        }),
    ]
}
