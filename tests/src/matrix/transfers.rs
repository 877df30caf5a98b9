//! Transfers, which end at the box.

use super::Row;
use super::cell::{A, B, C, Cell, D, Who, check};
use crate::stage::{Leg, Step};

/// To whom the caller, and who was called, refer: somebody on the other side of the box.
const TARGETS: [(&str, usize); 2] = [("300", C), ("400", D)];

fn refer(cell: &mut Cell, (who, dialog): Leg, to: &str, extra: &str) {
    let lines = format!("Refer-To: <{to}>\r\n{extra}");
    cell.stage.act(who, |agent, now| {
        agent.say(now, dialog, "REFER", &lines, "")
    });
}

/// The call is up, and all of that is over.
fn connect(cell: &mut Cell) -> Result<[Leg; 2], String> {
    let legs = cell.connect()?;
    cell.stage.settle()?;
    Ok(legs)
}

fn uri(cell: &Cell, who: usize, number: &str) -> String {
    let side = if cell.stage.agents[who]
        .address
        .to_string()
        .starts_with("10.71.1.")
    {
        1
    } else {
        2
    };
    format!("sip:{number}@10.71.{side}.1")
}

/// Those who are left talk; one of them hangs up, and nothing is left.
fn rest(cell: &mut Cell, stays: Leg, target: Leg, gone: &[Leg]) -> Result<(), String> {
    cell.stage.talk(stays, target)?;
    for leg in gone {
        check(!cell.stage.up(leg.0).contains(leg), || {
            format!("{leg:?} is still up")
        })?;
    }
    super::cell::hang_up(&mut cell.stage, stays);
    let mut all = vec![stays, target];
    all.extend(gone);
    cell.over(&all)
}

fn blind(cell: &mut Cell, extra: &str) -> Result<(), String> {
    let legs = connect(cell)?;
    let by = cell.doers()[0];
    let (number, target) = TARGETS[by];
    let to = uri(cell, by, number);
    refer(cell, legs[by], &to, extra);
    cell.stage.run_until("the target has the call", |stage| {
        !stage.up(target).is_empty()
    })?;
    cell.stage.settle()?;
    let said = cell.stage.agents[by]
        .heard("NOTIFY")
        .last()
        .map(|line| (*line).to_owned());
    let expected = if extra.is_empty() {
        Some("NOTIFY SIP/2.0 200 OK")
    } else {
        None
    };
    check(said.as_deref() == expected, || {
        format!("he is told {said:?}")
    })?;
    let target = cell.stage.last(target);
    rest(cell, legs[1 - by], target, &[legs[by]])
}

/// Both at once: one of the two has his way.
fn both(cell: &mut Cell) -> Result<(), String> {
    let legs = connect(cell)?;
    for by in [A, B] {
        let to = uri(cell, by, TARGETS[by].0);
        refer(cell, legs[by], &to, "");
    }
    cell.stage.run_until("a target has the call", |stage| {
        TARGETS
            .iter()
            .any(|(_, target)| !stage.up(*target).is_empty())
    })?;
    cell.stage.settle()?;
    let up: Vec<usize> = [A, B]
        .into_iter()
        .filter(|by| !cell.stage.up(TARGETS[*by].1).is_empty())
        .collect();
    let [by] = up[..] else {
        return Err(format!("{} transfers", up.len()));
    };
    let target = cell.stage.last(TARGETS[by].1);
    rest(cell, legs[1 - by], target, &[legs[by]])
}

/// The target is in a call with him already.
fn attended(cell: &mut Cell, holds: bool) -> Result<(), String> {
    let legs = connect(cell)?;
    let by = cell.doers()[0];
    let (number, third) = TARGETS[by];
    let hold = |stage: &mut crate::stage::Stage, (who, dialog): Leg| {
        stage.act(who, |agent, now| {
            agent.offer(now, dialog, "INVITE", |media| {
                media.hold = Some(crate::stage::Hold::SendOnly);
            });
        });
    };
    if holds {
        hold(&mut cell.stage, legs[by]);
        cell.stage.settle()?;
    }
    let own = cell.call(by, number);
    let consult = cell.up(own, third)?;
    cell.stage.settle()?;
    let to = uri(cell, by, number);
    let replaces = cell.stage.dialog(consult[0]).escaped_replaces();
    refer(cell, legs[by], &format!("{to}?Replaces={replaces}"), "");
    let gone = [legs[by], consult[0]];
    cell.stage.run_until("he is out of it", |stage| {
        gone.iter()
            .all(|leg| stage.state(*leg) != crate::stage::State::Up)
    })?;
    cell.stage.settle()?;
    rest(cell, legs[1 - by], consult[1], &gone)
}

/// The call goes on as it was; whoever asked is told why.
fn stays(cell: &mut Cell, code: u16) -> Result<(), String> {
    let legs = connect(cell)?;
    for by in cell.doers() {
        let (number, target) = TARGETS[by];
        cell.manner(target).steps = vec![Step::says(20, 180), Step::says(800, code)];
        let to = uri(cell, by, number);
        refer(cell, legs[by], &to, "");
        cell.stage.settle()?;
        let said = cell.stage.agents[by]
            .heard("NOTIFY")
            .last()
            .map(|line| (*line).to_owned());
        let expected = format!("NOTIFY SIP/2.0 {code}");
        check(
            said.as_ref()
                .is_some_and(|said| said.starts_with(&expected)),
            || format!("he is told {said:?}"),
        )?;
    }
    cell.finish(legs)
}

/// The other one does not want the new media.
fn other_refuses(cell: &mut Cell) -> Result<(), String> {
    let legs = connect(cell)?;
    let by = cell.doers()[0];
    cell.manner(1 - by).refuses.insert("INVITE", 488);
    let (number, target) = TARGETS[by];
    // He has to be told of it: the target speaks less.
    cell.manner(target).media = Some(|media| media.streams[0].formats.truncate(1));
    let to = uri(cell, by, number);
    refer(cell, legs[by], &to, "");
    cell.stage.run_until("the target is called", |stage| {
        !stage.agents[target].dialogs.is_empty()
    })?;
    cell.stage.run_for(std::time::Duration::from_secs(60));
    cell.stage.settle()?;
    cell.manner(1 - by).refuses.clear();
    let up = cell.stage.up(target).len();
    check(up == 0, || "the target has the call".to_owned())?;
    cell.finish(legs)
}

/// Somebody comes in his place, and names the dialog.
fn replaced(cell: &mut Cell) -> Result<(), String> {
    let legs = connect(cell)?;
    let by = cell.doers()[0];
    let replaces = cell.stage.dialog(legs[by]).replaces();
    let lines = format!("Replaces: {replaces}\r\nRequire: replaces\r\n");
    let own = cell.stage.act(by, |agent, now| {
        agent.begin(now, "INVITE", "100", &lines, "")
    });
    let new = (by, own);
    cell.stage.run_until("the new one is up", |stage| {
        stage.state(new) != crate::stage::State::Early
    })?;
    cell.stage.settle()?;
    rest(cell, legs[1 - by], new, &[legs[by]])
}

pub(super) fn rows() -> Vec<Row> {
    let one = &[Who::Caller, Who::Called];
    vec![
        Row::new("REFER to somebody (blind)", |cell| match cell.who {
            Who::Both => both(cell),
            _ => blind(cell, ""),
        }),
        Row::new("REFER, and he does not want to be told", |cell| {
            blind(cell, "Refer-Sub: false\r\n")
        })
        .only(one, "h"),
        Row::new("REFER to whom he talks to (attended)", |cell| {
            attended(cell, false)
        })
        .only(one, "h"),
        Row::new("the same, the other is on hold", |cell| {
            attended(cell, true)
        })
        .only(one, "h"),
        Row::new("REFER, and the target is busy: the call goes on", |cell| {
            stays(cell, 486)
        }),
        Row::new(
            "REFER, and who stays refuses (488): the call goes on",
            other_refuses,
        )
        .only(one, "h"),
        Row::new(
            "INVITE with Replaces: another dialog of his takes over",
            replaced,
        )
        .only(one, "h"),
    ]
}
