//! What passes from one leg to the other by the config of both, and what does not.

use super::Row;
use super::cell::{A, Cell, Who, check};
use super::inside::inside;

/// What each of the two says of itself; the last one tells where it is.
const LINES: [&str; 2] = [
    "X-Trace: 17\r\nP-Asserted-Identity: <sip:42@10.71.1.2:5060>\r\nX-Leak: 10.71.1.2\r\n",
    "X-Trace: 17\r\nP-Asserted-Identity: <sip:42@10.71.2.2:5060>\r\nX-Leak: 10.71.2.2\r\n",
];

/// Who takes the turn begins the call with these headers, says something in it, and moves; what of them the other one gets to see.
fn headers(cell: &mut Cell, expected: [&str; 2]) -> Result<(), String> {
    let doers = cell.doers();
    let mut calls = Vec::new();
    for who in &doers {
        cell.manner(*who).lines = LINES[*who];
        let own = cell.call(*who, "100");
        cell.stage
            .run_until("it is taken", |stage| !stage.up(own.0).is_empty())?;
        cell.stage.settle()?;
        let theirs = cell.stage.last(1 - who);
        seen(cell, 1 - who, "INVITE", expected)?;
        cell.stage.act(*who, |agent, now| {
            agent.say(now, own.1, "MESSAGE", LINES[own.0], "hello");
        });
        cell.stage.settle()?;
        seen(cell, 1 - who, "MESSAGE", expected)?;
        cell.stage.talk(own, theirs)?;
        super::cell::hang_up(&mut cell.stage, own);
        cell.over(&[own, theirs])?;
        calls.push(sbc::engine::Outcome::Answered);
    }
    cell.ended(&calls)
}

fn seen(cell: &Cell, who: usize, method: &str, expected: [&str; 2]) -> Result<(), String> {
    let request = cell.stage.agents[who].requests.get(method);
    let request = request.ok_or_else(|| format!("no {method} came"))?;
    let found = ["x-trace", "p-asserted-identity", "x-leak"].map(|name| request.header(name));
    // Where he is is where we are, on the other side.
    let ours = if who == A { "10.71.1.1" } else { "10.71.2.1" };
    let expected = [
        expected[0].to_owned(),
        expected[1].replace("OURS", ours),
        String::new(),
    ];
    check(found == expected.each_ref().map(String::as_str), || {
        format!("of {method}: {found:?}")
    })
}

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("INFO that one side's `methods` do not name (405)", |cell| {
            cell.configure("methods = [\"MESSAGE\"]");
            inside(cell, "INFO", "", "Signal=5\r\n", (405, false))
        }),
        Row::new(
            "PUBLISH that one side's `methods` alone name (405)",
            |cell| {
                cell.configure("methods = [\"PUBLISH\"]");
                let expected = match cell.who {
                    Who::Both => (200, true),
                    _ => (405, false),
                };
                inside(cell, "PUBLISH", "Event: presence\r\n", "", expected)
            },
        ),
        Row::new(
            "an unknown method that both sides' `methods` name",
            |cell| {
                cell.configure_both("methods = [\"JUMP\"]");
                inside(cell, "JUMP", "", "", (200, true))
            },
        ),
        Row::new(
            "unknown headers pass, P-Asserted-Identity does not",
            |cell| headers(cell, ["17", ""]),
        ),
        Row::new(
            "no unknown header passes where one side has `headers = []`",
            |cell| {
                cell.configure("headers = []");
                headers(cell, ["", ""])
            },
        ),
        Row::new(
            "P-Asserted-Identity that both sides' `headers` name, at our address",
            |cell| {
                cell.configure_both("headers = [\"P-Asserted-Identity\"]");
                headers(cell, ["", "<sip:42@OURS>"])
            },
        ),
    ]
}
