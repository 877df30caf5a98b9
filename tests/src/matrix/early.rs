//! What is said before the answer: provisional answers, acknowledged or not, and who is heard.

use std::time::Duration;

use super::Row;
use super::cell::{A, B, Cell, Who, check};
use crate::stage::{Change, Reliable, Stage, State, Step};

const PORT: Change = |media| media.streams[0].port += 4;
const A_LAW: Change =
    |media| media.streams[0].formats = vec![("8".to_owned(), "PCMA/8000".to_owned())];

/// Whether whoever is called wants to have his answers acknowledged, and whether the caller does.
fn reliable(cell: &mut Cell, by_caller: Reliable, steps: &[Step]) {
    let wants = cell.does(B);
    if cell.does(A) {
        cell.manner(A).reliable = by_caller;
    }
    cell.manner(B).steps = steps
        .iter()
        .map(|step| step.prack(step.reliable && wants))
        .collect();
}

fn takes(cell: &mut Cell) -> Result<(), String> {
    let legs = cell.connect()?;
    cell.finish(legs)
}

/// Early media of that dialog of his is heard before the answer, that of another one is not; then he takes the call.
fn heard(cell: &mut Cell, steps: &[Step], early: &[bool]) -> Result<(), String> {
    if cell.does(A) {
        cell.manner(A).reliable = Reliable::Supported;
    }
    let wants = cell.does(A);
    cell.manner(B).steps = steps.iter().map(|step| step.prack(wants)).collect();
    let own = cell.call(A, "100");
    if cell.is_fair() {
        cell.stage.run_for(Duration::from_millis(1000));
        for (index, expected) in early.iter().enumerate() {
            let is_heard = cell.stage.is_heard((B, index));
            check(is_heard == *expected, || {
                format!("early dialog {index}: heard is {is_heard}")
            })?;
        }
    }
    let legs = cell.up(own, B)?;
    cell.stage.settle()?;
    let up = cell.stage.up(B);
    check(up.len() == 1, || format!("up: {up:?}"))?;
    cell.finish([legs[0], up[0]])
}

/// Two phones ring.
fn phones(cell: &mut Cell, taker: usize) -> Result<(), String> {
    if cell.does(A) {
        cell.manner(A).reliable = Reliable::Supported;
    }
    let wants = cell.does(A);
    let phones: Vec<usize> = (0..2)
        .map(|n| cell.stage.add(&format!("10.71.1.5{n}:6000")))
        .collect();
    for (index, phone) in phones.iter().enumerate() {
        let mut steps = vec![
            Step::says(20 + 100 * index as u64, 183)
                .sdp(true)
                .prack(wants),
        ];
        if index == taker {
            steps.push(Step::says(2500, 200));
        }
        let manner = cell.manner(*phone);
        manner.steps = steps;
        manner.account = Some(("6001", "secret"));
        cell.stage.act(*phone, |agent, now| {
            agent.begin(now, "REGISTER", "", "", "")
        });
    }
    let all = phones.clone();
    cell.stage.run_until("they are registered", |stage| {
        all.iter()
            .all(|phone| stage.agents[*phone].heard("200 REGISTER").len() == 1)
    })?;
    let own = cell.call(A, "6001");
    let phone = phones[taker];
    let legs = cell.up(own, phone)?;
    cell.stage.settle()?;
    let state = cell.stage.state(cell.stage.last(phones[1 - taker]));
    check(state == State::Refused(487), || {
        format!("the other one is {state:?}")
    })?;
    cell.stage.talk(legs[0], legs[1])?;
    super::cell::hang_up(&mut cell.stage, own);
    cell.over(&legs)
}

fn pracks(stage: &Stage) -> usize {
    stage.agents[A].heard("200 PRACK").len()
}

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("100rel, supported by whoever it is", |cell| {
            let steps = [
                Step::says(20, 183).sdp(true).prack(true),
                Step::says(400, 180).prack(true),
                Step::says(2000, 200),
            ];
            reliable(cell, Reliable::Supported, &steps);
            let is_both = cell.who == Who::Both;
            let legs = cell.connect()?;
            let pracks = pracks(&cell.stage);
            check(
                !cell.is_fair() || pracks == if is_both { 2 } else { 0 },
                || format!("{pracks} PRACKs"),
            )?;
            cell.finish(legs)
        }),
        Row::new(
            "100rel, required by the caller, who is called has it or not",
            |cell| {
                let steps = [
                    Step::says(20, 183).sdp(true).prack(true),
                    Step::says(400, 180).prack(true),
                    Step::says(2000, 200),
                ];
                reliable(cell, Reliable::Required, &steps);
                let legs = cell.connect()?;
                let pracks = pracks(&cell.stage);
                check(!cell.is_fair() || pracks == 2, || {
                    format!("{pracks} PRACKs")
                })?;
                cell.finish(legs)
            },
        )
        .only(&[Who::Caller, Who::Both], "f"),
        Row::new(
            "PRACK with an offer, whether who is called has 100rel or not",
            |cell| {
                let steps = [
                    Step::says(20, 183).sdp(true).prack(true),
                    Step::says(3000, 200),
                ];
                reliable(cell, Reliable::Required, &steps);
                cell.manner(A).pracks_with = Some(PORT);
                let legs = cell.connect()?;
                let port = cell.stage.dialog(legs[0]).media.streams[0].port;
                let refused = cell.stage.agents[A].heard("488 PRACK").len();
                check(!cell.is_fair() || (port, refused) == (4004, 0), || {
                    format!("port {port}, 488 came {refused} times")
                })?;
                cell.finish(legs)
            },
        )
        .only(&[Who::Caller, Who::Both], "f"),
        Row::new("an offer in the 183, its answer in the PRACK", |cell| {
            let steps = [
                Step::says(20, 183).sdp(true).prack(true),
                Step::says(2000, 200),
            ];
            reliable(cell, Reliable::Supported, &steps);
            cell.manner(A).is_late = true;
            takes(cell)
        })
        .only(&[Who::Caller, Who::Both], "f"),
        Row::new("183 with SDP, the 200 has the same", |cell| {
            heard(
                cell,
                &[Step::says(20, 183).sdp(true), Step::says(2000, 200)],
                &[true],
            )
        })
        .only(&[Who::Called, Who::Both], "b"),
        Row::new("183 without SDP", |cell| {
            heard(
                cell,
                &[
                    Step::says(20, 183),
                    Step::says(400, 180),
                    Step::says(2000, 200),
                ],
                &[false],
            )
        })
        .only(&[Who::Called, Who::Both], "b"),
        Row::new("a 200 with another port than the 183", |cell| {
            heard(
                cell,
                &[
                    Step::says(20, 183).sdp(true),
                    Step::says(2000, 200).moves(PORT),
                ],
                &[true],
            )
        })
        .only(&[Who::Called], "b"),
        Row::new("a 200 with fewer codecs than the 183", |cell| {
            heard(
                cell,
                &[
                    Step::says(20, 183).sdp(true),
                    Step::says(2000, 200).moves(A_LAW),
                ],
                &[true],
            )
        })
        .only(&[Who::Called], "b"),
        Row::new(
            "two early dialogs of a far side that forks: the first is heard, it answers",
            |cell| {
                let steps = [
                    Step::says(20, 183).sdp(true),
                    Step::says(100, 183).sdp(true).of("b"),
                    Step::says(2000, 200),
                ];
                heard(cell, &steps, &[true, false])
            },
        )
        .only(&[Who::Called, Who::Both], "b"),
        Row::new("the same, the other one answers: the latch moves", |cell| {
            let steps = [
                Step::says(20, 183).sdp(true),
                Step::says(100, 183).sdp(true).of("b"),
                Step::says(2000, 200).of("b"),
            ];
            heard(cell, &steps, &[true, false])
        })
        .only(&[Who::Called, Who::Both], "b"),
        Row::new(
            "both early dialogs answer: one is up, the other is hung up",
            |cell| {
                let steps = [
                    Step::says(20, 180),
                    Step::says(30, 183).sdp(true).of("b"),
                    Step::says(1500, 200),
                    Step::says(1500, 200).of("b"),
                ];
                heard(cell, &steps, &[false, true])
            },
        )
        .only(&[Who::Called], "b"),
        Row::new(
            "forks of our own: two phones with early media, the first answers",
            |cell| phones(cell, 0),
        )
        .only(&[Who::Called, Who::Both], "b"),
        Row::new("the same, the second answers", |cell| phones(cell, 1))
            .only(&[Who::Called, Who::Both], "b"),
    ]
}
