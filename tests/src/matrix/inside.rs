//! What else is said, inside of calls and beside them.

use super::Row;
use super::cell::{Cell, check};

/// Said in the call, it reaches the other one if it may, and gets this answer.
pub(super) fn inside(
    cell: &mut Cell,
    method: &str,
    extra: &str,
    body: &str,
    expected: (u16, bool),
) -> Result<(), String> {
    let legs = cell.connect()?;
    cell.each(legs, |stage, (who, dialog)| {
        stage.act(who, |agent, now| {
            agent.say(now, dialog, method, extra, body)
        });
    });
    cell.stage.settle()?;
    let (code, arrives) = expected;
    for leg in legs.into_iter().filter(|leg| cell.does(leg.0)) {
        let said = cell.stage.agents[leg.0]
            .heard(&format!("{code} {method}"))
            .len();
        check(said == 1, || {
            format!("{leg:?} was not answered with {code}")
        })?;
        let line = format!("{method} {}", body.lines().next().unwrap_or_default());
        let heard = cell.stage.agents[1 - leg.0].heard(&line).len();
        check(heard == usize::from(arrives), || {
            format!("the other one has heard {heard} of {method}")
        })?;
    }
    cell.finish(legs)
}

/// Said beside the call, in a dialog of its own; its number.
fn beside(
    cell: &mut Cell,
    method: &str,
    extra: &str,
    body: &str,
) -> Result<[crate::stage::Leg; 2], String> {
    let legs = cell.connect()?;
    for who in cell.doers() {
        cell.stage.act(who, |agent, now| {
            agent.begin(now, method, "100", extra, body)
        });
    }
    cell.stage.settle()?;
    for who in cell.doers() {
        let said = cell.stage.agents[who].heard(&format!("200 {method}")).len();
        check(said == 1, || format!("{who} was not answered with 200"))?;
        let heard = cell.stage.agents[1 - who].heard(method).len();
        check(heard == 1, || {
            format!("the other one has heard {heard} of {method}")
        })?;
    }
    Ok(legs)
}

const WATCH: &str = "Event: dialog\r\nExpires: 600\r\n";
const ACTIVE: &str = "Event: dialog\r\nSubscription-State: active;expires=600\r\n";
const OVER: &str = "Event: dialog\r\nSubscription-State: terminated;reason=timeout\r\n";

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("INFO in the call", |cell| {
            inside(
                cell,
                "INFO",
                "",
                "Signal=5\r\nDuration=160\r\n",
                (200, true),
            )
        }),
        Row::new("MESSAGE in the call", |cell| {
            inside(cell, "MESSAGE", "", "hello", (200, true))
        }),
        Row::new("NOTIFY in the call", |cell| {
            inside(cell, "NOTIFY", ACTIVE, "<x/>", (200, true))
        }),
        Row::new("SUBSCRIBE in the call", |cell| {
            inside(cell, "SUBSCRIBE", WATCH, "", (200, true))
        }),
        Row::new("INFO that the other refuses (415)", |cell| {
            cell.both_are(|manner| {
                manner.refuses.insert("INFO", 415);
            });
            inside(cell, "INFO", "", "x", (415, true))
        }),
        Row::new("OPTIONS in the call", |cell| {
            inside(cell, "OPTIONS", "", "", (200, false))
        }),
        Row::new("PUBLISH in the call (405)", |cell| {
            inside(cell, "PUBLISH", "", "", (405, false))
        }),
        Row::new("an unknown method in the call (405)", |cell| {
            inside(cell, "JUMP", "", "", (405, false))
        }),
        Row::new("MESSAGE beside the call", |cell| {
            let legs = beside(cell, "MESSAGE", "", "hello")?;
            cell.finish(legs)
        }),
        Row::new("NOTIFY beside the call", |cell| {
            let lines = "Event: message-summary\r\nSubscription-State: active\r\n";
            let legs = beside(cell, "NOTIFY", lines, "x")?;
            cell.finish(legs)
        }),
        Row::new("SUBSCRIBE beside the call, NOTIFY, refresh, end", |cell| {
            let legs = beside(cell, "SUBSCRIBE", WATCH, "")?;
            // Who has the subscription, and who has it from him, each in the dialog that he got for it.
            let pairs: Vec<_> = cell
                .doers()
                .into_iter()
                .map(|who| {
                    let index = |who: usize, calls: bool| {
                        let dialogs = cell.stage.agents[who].dialogs.iter().enumerate();
                        let mut found =
                            dialogs.filter(|(n, d)| d.calls == calls && (who, *n) != legs[who]);
                        found.next().map_or(0, |(n, _)| n)
                    };
                    [(who, index(who, true)), (1 - who, index(1 - who, false))]
                })
                .collect();
            for (lines, expires, body) in [(ACTIVE, "600", "<one/>"), (OVER, "0", "<two/>")] {
                for [own, theirs] in &pairs {
                    let watch = WATCH.replace("600", expires);
                    cell.stage.act(own.0, |agent, now| {
                        agent.say(now, own.1, "SUBSCRIBE", &watch, "")
                    });
                    cell.stage.settle()?;
                    cell.stage.act(theirs.0, |agent, now| {
                        agent.say(now, theirs.1, "NOTIFY", lines, body)
                    });
                }
                cell.stage.settle()?;
                for who in cell.doers() {
                    let heard = cell.stage.agents[who]
                        .heard(&format!("NOTIFY {body}"))
                        .len();
                    check(heard == 1, || format!("{who} was notified {heard} times"))?;
                }
            }
            for [own, theirs] in pairs {
                for (who, dialog) in [own, theirs] {
                    cell.stage.agents[who].dialogs[dialog].state = crate::stage::State::Over;
                }
            }
            cell.finish(legs)
        }),
        Row::new("OPTIONS beside the call", |cell| {
            let legs = cell.connect()?;
            for who in cell.doers() {
                cell.stage
                    .act(who, |agent, now| agent.begin(now, "OPTIONS", "", "", ""));
            }
            cell.stage.settle()?;
            for who in cell.doers() {
                let said = cell.stage.agents[who].heard("200 OPTIONS").len();
                check(said == 1, || format!("{who} was not answered"))?;
            }
            cell.finish(legs)
        }),
    ]
}
