//! Calls that come back, and calls that are sent elsewhere.

use super::Row;
use super::cell::{A, B, C, Cell, D, Who, check, refused};
use crate::stage::{Leg, State};

/// The other one is a proxy that sends calls back to us: to a number that his own proxy has (a loop), or somebody else (a spiral).
const LOOPS: [&str; 2] = ["500", "501"];
const SPIRALS: [(&str, usize); 2] = [("300", C), ("400", D)];

/// A call that is sent back as it came is found out, by whoever it is made.
fn looped(cell: &mut Cell) -> Result<(), String> {
    let doers = cell.doers();
    for who in &doers {
        cell.manner(1 - who).sends_back = Some(LOOPS[*who]);
    }
    let own: Vec<Leg> = doers
        .iter()
        .map(|who| cell.call(*who, LOOPS[*who]))
        .collect();
    refused_all(cell, &own, 482)
}

fn refused_all(cell: &mut Cell, own: &[Leg], code: u16) -> Result<(), String> {
    let legs = own.to_vec();
    cell.stage.run_until("they are refused", |stage| {
        legs.iter().all(|leg| stage.state(*leg) != State::Early)
    })?;
    for leg in own {
        let state = cell.stage.state(*leg);
        check(state == State::Refused(code), || {
            format!("{state:?}, not {code}")
        })?;
    }
    cell.over(own)
}

/// To another number it is a call like any other: what is said goes by way of the proxy, twice through the box.
fn spiral(cell: &mut Cell) -> Result<(), String> {
    let doers = cell.doers();
    for who in &doers {
        cell.manner(1 - who).sends_back = Some(SPIRALS[*who].0);
    }
    let own: Vec<Leg> = doers.iter().map(|who| cell.call(*who, "100")).collect();
    let mut all = Vec::new();
    for leg in own {
        all.push(cell.up(leg, SPIRALS[leg.0].1)?);
    }
    cell.stage.settle()?;
    for [own, target] in &all {
        cell.stage.talk(*own, *target)?;
        for (who, dialog) in [*own, *target] {
            cell.stage.act(who, |agent, now| {
                agent.offer(now, dialog, "INVITE", |media| media.streams[0].port += 4);
            });
        }
    }
    cell.stage.settle()?;
    for [own, target] in &all {
        cell.stage.talk(*own, *target)?;
        super::cell::hang_up(&mut cell.stage, *own);
    }
    cell.over(&all.concat())?;
    let answered = vec![sbc::engine::Outcome::Answered; 2 * all.len()];
    cell.ended(&answered)
}

/// A proxy that sends a call back again and again, each time to another number, is stopped by Max-Forwards.
fn used_up(cell: &mut Cell) -> Result<(), String> {
    let doers = cell.doers();
    for who in &doers {
        cell.manner(*who).forwards = 2;
        cell.manner(1 - who).sends_back = Some(SPIRALS[*who].0);
    }
    let own: Vec<Leg> = doers.iter().map(|who| cell.call(*who, "100")).collect();
    refused_all(cell, &own, 483)
}

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("Max-Forwards 0 (483)", |cell| {
            cell.doers_are(|manner| manner.forwards = 0);
            for who in cell.doers() {
                refused(cell, who, "100", 483)?;
            }
            Ok(())
        }),
        Row::new("Max-Forwards is used up behind us (483)", used_up),
        Row::new(
            "a loop: a proxy sends the call back as it came (482)",
            looped,
        ),
        Row::new(
            "a spiral: a proxy sends it back to another number, who takes it",
            spiral,
        ),
        Row::new("302 to a place that may be followed", |cell| {
            cell.manner(C).moved_to = Some("<sip:333@10.71.2.4:5070>");
            let there = cell.stage.add("10.71.2.4:5070");
            let own = cell.call(A, "300");
            let legs = cell.up(own, there)?;
            cell.finish_by(legs)
        })
        .only(&[Who::Called], "b"),
        Row::new(
            "302 to a number at our address, which his routes lead to",
            |cell| {
                cell.manner(B).moved_to = Some("<sip:300@10.71.2.1>");
                let own = cell.call(A, "100");
                let legs = cell.up(own, C)?;
                cell.finish_by(legs)
            },
        )
        .only(&[Who::Called], "b"),
        Row::new("302 to a place that may not", |cell| {
            cell.manner(B).moved_to = Some("<sip:333@10.71.2.9:5070>");
            refused(cell, A, "100", 480)
        })
        .only(&[Who::Called], "b"),
        Row::new(
            "302 to himself, again and again: five times, then 480",
            |cell| {
                cell.manner(B).moved_to = Some("<sip:100@10.71.2.2:5060>");
                refused(cell, A, "100", 480)?;
                let asked = cell.stage.agents[B].heard("INVITE").len();
                check(asked == 6, || format!("he was asked {asked} times"))
            },
        )
        .only(&[Who::Called], "b"),
    ]
}
