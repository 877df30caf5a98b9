//! Transfers, which end at the box.

use super::Row;
use super::cell::{A, B, C, Cell, D, Who, check};
use crate::stage::{Leg, State, Step};

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
        gone.iter().all(|leg| stage.state(*leg) != State::Up)
    })?;
    cell.stage.settle()?;
    rest(cell, legs[1 - by], consult[1], &gone)
}

/// Somebody refuses to be joined with the other: who stays, or the one that was asked first. Both calls go on, and who asked is told.
fn not_joined(
    cell: &mut Cell,
    refuses: fn(usize, usize) -> usize,
    code: u16,
) -> Result<(), String> {
    let legs = connect(cell)?;
    let by = cell.doers()[0];
    let (number, third) = TARGETS[by];
    // The others have to be told: they do not speak the same.
    cell.manner(third).media = Some(|media| media.streams[0].formats.truncate(1));
    let own = cell.call(by, number);
    let consult = cell.up(own, third)?;
    cell.stage.settle()?;
    let refuser = refuses(1 - by, third);
    cell.manner(refuser).refuses.insert("INVITE", code);
    let to = uri(cell, by, number);
    let replaces = cell.stage.dialog(consult[0]).escaped_replaces();
    refer(cell, legs[by], &format!("{to}?Replaces={replaces}"), "");
    cell.stage.settle()?;
    cell.stage.run_for(std::time::Duration::from_secs(60));
    told(cell, by, code)?;
    cell.manner(refuser).refuses.clear();
    cell.stage.talk(legs[0], legs[1])?;
    cell.stage.talk(consult[0], consult[1])?;
    for leg in [legs[by], consult[0]] {
        super::cell::hang_up(&mut cell.stage, leg);
    }
    cell.over(&[legs[0], legs[1], consult[0], consult[1]])
}

/// What he was told last.
fn told(cell: &Cell, by: usize, code: u16) -> Result<(), String> {
    let said = cell.stage.agents[by].heard("NOTIFY").last().copied();
    let expected = format!("NOTIFY SIP/2.0 {code}");
    check(said.is_some_and(|said| said.starts_with(&expected)), || {
        format!("he is told {said:?}")
    })
}

/// Somebody names a dialog that is not his, or none: by Replaces, and by a REFER.
fn not_his(cell: &mut Cell) -> Result<(), String> {
    let legs = connect(cell)?;
    // Who is on the same side as whoever has the dialog.
    for (by, stranger) in [(A, D), (B, C)] {
        if !cell.does(by) {
            continue;
        }
        let his = cell.stage.dialog(legs[by]);
        let (named, escaped) = (his.replaces(), his.escaped_replaces());
        for (replaces, code) in [(named.as_str(), 403), ("x;to-tag=1;from-tag=2", 481)] {
            let lines = format!("Replaces: {replaces}\r\nRequire: replaces\r\n");
            let own = cell.stage.act(stranger, |agent, now| {
                agent.begin(now, "INVITE", "100", &lines, "")
            });
            cell.stage.settle()?;
            let state = cell.stage.state((stranger, own));
            check(state == State::Refused(code), || {
                format!("{state:?}, not {code}")
            })?;
            cell.stage.talk(legs[0], legs[1])?;
        }
        // In a call of his own.
        let own = cell.call(stranger, "100");
        cell.stage.settle()?;
        let theirs = cell.up(own, 1 - by)?;
        let to = uri(cell, stranger, "100");
        for (replaces, code) in [
            (escaped.as_str(), 403),
            ("x%3Bto-tag%3D1%3Bfrom-tag%3D2", 481),
        ] {
            refer(cell, own, &format!("{to}?Replaces={replaces}"), "");
            cell.stage.settle()?;
            let line = format!("{code} REFER");
            let heard = cell.stage.agents[stranger].heard(&line).len();
            check(heard == 1, || format!("{line} came {heard} times"))?;
            cell.stage.talk(legs[0], legs[1])?;
            cell.stage.talk(theirs[0], theirs[1])?;
        }
        super::cell::hang_up(&mut cell.stage, own);
        cell.stage.settle()?;
    }
    cell.stage.talk(legs[0], legs[1])?;
    super::cell::hang_up(&mut cell.stage, legs[0]);
    cell.over(&legs)
}

/// The other one gets the REFER, calls the target, and tells how that goes.
fn passed(cell: &mut Cell) -> Result<(), String> {
    cell.configure("transfers = \"pass\"");
    let legs = connect(cell)?;
    for by in cell.doers() {
        let (other, seen) = (legs[1 - by], TARGETS[1 - by]);
        let to = uri(cell, by, seen.0);
        refer(cell, legs[by], &to, "");
        cell.stage.settle()?;
        let asked = cell.stage.agents[other.0].requests.get("REFER");
        let asked = asked.map(|refer| refer.header("refer-to").to_owned());
        let to = format!("<{}:5060>", uri(cell, other.0, seen.0));
        check(asked.as_ref() == Some(&to), || {
            format!("he is asked for {asked:?}")
        })?;
        let own = cell.call(other.0, seen.0);
        let new = cell.up(own, seen.1)?;
        for (state, body) in [
            ("active;expires=60", "SIP/2.0 100 Trying\r\n"),
            ("terminated;reason=noresource", "SIP/2.0 200 OK\r\n"),
        ] {
            let lines = format!("Event: refer\r\nSubscription-State: {state}\r\n");
            cell.stage.act(other.0, |agent, now| {
                agent.say(now, other.1, "NOTIFY", &lines, body);
            });
            cell.stage.settle()?;
        }
        told(cell, by, 200)?;
        cell.stage.talk(new[0], new[1])?;
        super::cell::hang_up(&mut cell.stage, new[0]);
        cell.stage.settle()?;
    }
    cell.stage.talk(legs[0], legs[1])?;
    super::cell::hang_up(&mut cell.stage, legs[0]);
    cell.over(&legs)
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
        told(cell, by, code)?;
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
        stage.state(new) != State::Early
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
        Row::new(
            "the same, and who stays refuses (488): both calls go on",
            |cell| not_joined(cell, |stays, _| stays, 488),
        )
        .only(one, "h"),
        Row::new(
            "the same, and the other refuses (488): both calls go on",
            |cell| not_joined(cell, |_, third| third, 488),
        )
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
        Row::new(
            "Replaces, in an INVITE or a REFER, of a dialog that is not his (403) or not there (481)",
            not_his,
        ),
        Row::new(
            "REFER that is passed on (`transfers = \"pass\"`): the other one calls the target",
            passed,
        ),
    ]
}
