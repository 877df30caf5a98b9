//! What the trace of a call says.

use super::dialogs::in_dialog;
use super::*;
use crate::config::Trace;
use crate::sip::Method;
use crate::trace::{State, Step, Summary, steps};

fn traced(mut bench: Bench) -> Bench {
    bench.engine = bench.engine.keeping_traces(bench.now, Trace::default());
    bench
}

/// The latest.
fn ladder(bench: &Bench) -> (Summary, Vec<Step>) {
    let store = bench.engine.traces().unwrap();
    let summary = store.before(None).next().unwrap();
    let seen = store.see(summary.number).unwrap();
    (seen.summary.clone(), steps(&seen))
}

/// `0>1 INVITE: note` a line; what the box did as `* label: note`.
fn lines(steps: &[Step]) -> Vec<String> {
    let line = |step: &Step| {
        let way = match step.from == step.to {
            true => "*".to_owned(),
            false => format!("{}>{}", step.from, step.to),
        };
        let note = match step.note.is_empty() {
            true => String::new(),
            false => format!(": {}", step.note),
        };
        format!("{way} {}{note}", step.label)
    };
    steps.iter().map(line).collect()
}

fn told(bench: &Bench) -> String {
    lines(&ladder(bench).1).join("\n")
}

#[test]
fn a_call_that_is_held_and_ends() {
    let mut bench = traced(bench());
    let (ok, _, _) = set_up(&mut bench);
    bench.pass(Duration::from_secs(3));
    assert_eq!(ladder(&bench).0.state, State::Up);
    let hold = sdp("10.71.1.2", 4000) + "a=sendonly\r\n";
    bench.message(LEFT, A, &in_dialog("INVITE", 7, &tag_of(&ok), &hold));
    let (_, passed) = bench.sent().remove(0);
    bench.message(RIGHT, B, &answer(&passed, B, 488, "", ""));
    bench.actions();
    bench.message(LEFT, A, &in_dialog("BYE", 8, &tag_of(&ok), ""));
    bench.actions();
    bench.pass(Duration::from_secs(100));
    let (summary, _) = ladder(&bench);
    assert_eq!(summary.state, State::Ended);
    assert_eq!(
        (summary.from.as_str(), summary.to.as_deref()),
        ("trunk:a", Some("trunk:b"))
    );
    assert_eq!(
        (summary.outcome, summary.is_failed),
        (Some("answered"), false)
    );
    assert_eq!(
        (summary.name.to_string(), summary.omitted),
        ("1".to_owned(), 0)
    );
    let told = told(&bench);
    let expected = "\
0>1 INVITE: for 100; PCMU, media at 10.71.1.2:4000
* route 2: trunk:b
1>2 INVITE: for 100; PCMU, media at 10.71.2.1:P (was 10.71.1.2:4000)
2>1 200 Whatever: PCMU, media at 10.71.2.2:5000
* media: 10.71.1.1:P <-> 10.71.2.1:P, in user space: fast_path is \"off\"
1>2 ACK
* audio: PCMU on both sides: shared, no transcoding
1>0 200 Whatever: PCMU, media at 10.71.1.1:P (was 10.71.2.2:5000)
0>1 ACK
0>1 INVITE: in the call; PCMU, media at 10.71.1.2:4000, sendonly
1>2 INVITE: in the call; PCMU, media at 10.71.2.1:P, sendonly (was 10.71.1.2:4000)
2>1 488 Whatever
1>2 ACK
1>0 488 Not Acceptable Here
0>1 BYE
* ended: answered: the caller hung up
1>0 200 OK (BYE)
1>2 BYE
1>2 BYE: again";
    assert_eq!(
        without_ports(&told).get(..expected.len()),
        Some(expected),
        "{told}"
    );
    assert!(
        told.contains("\n* from the caller: no packet came\n* from the callee: no packet came\n"),
        "{told}"
    );
}

#[test]
fn a_call_that_leads_nowhere() {
    let mut bench = traced(bench());
    bench.message(LEFT, A, &invite("900"));
    let (summary, _) = ladder(&bench);
    assert_eq!(
        (summary.name.to_string().as_str(), summary.is_failed),
        ("r1", true)
    );
    assert_eq!(
        (
            summary.from.as_str(),
            summary.dialled.as_str(),
            summary.outcome
        ),
        ("trunk:a", "900", Some("rejected"))
    );
    assert_eq!(
        summary.reason.as_deref(),
        Some("no route of this caller matches the number")
    );
    assert_eq!(
        told(&bench),
        "0>1 INVITE: for 900; PCMU, media at 10.71.1.2:4000\n\
         * refused: no route of this caller matches the number\n\
         1>0 404 Not Found"
    );
}

#[test]
fn one_with_a_wrong_password() {
    let mut bench = traced(bench());
    let text = invite("100");
    with_credentials(&mut bench, "10.71.1.77:5060", &text, "wrong");
    let (summary, _) = ladder(&bench);
    assert_eq!(
        (
            summary.from.as_str(),
            summary.dialled.as_str(),
            summary.is_failed
        ),
        ("unknown", "100", true)
    );
    assert_eq!(
        summary.reason.as_deref(),
        Some("wrong user name or password (From: al)")
    );
    assert_eq!(
        told(&bench),
        "0>1 INVITE: for 100; PCMU, media at 10.71.1.2:4000\n\
         1>0 401 Unauthorized\n\
         * refused: asked for a password (From: al)\n\
         0>1 INVITE: for 100; with credentials; PCMU, media at 10.71.1.2:4000\n\
         1>0 401 Unauthorized\n\
         * refused: wrong user name or password (From: al)"
    );
    // The right one: it is a call of the same trace.
    with_credentials(
        &mut bench,
        "10.71.1.77:5060",
        &text.replace("a-call", "b-call"),
        "secret1",
    );
    let (summary, steps) = ladder(&bench);
    assert_eq!(
        (summary.from.as_str(), summary.name.to_string().as_str()),
        ("phone:6001", "1")
    );
    assert!(
        lines(&steps).contains(&"* route 4: trunk:b".to_owned()),
        "{steps:?}"
    );
    for step in &steps {
        let text = step.message.as_deref().unwrap_or_default();
        assert!(!text.contains("response="), "{text}");
    }
}

#[test]
fn one_that_fails_over() {
    let mut bench = traced(bench());
    bench.message(LEFT, A, &invite("200"));
    let (_, to_b) = bench.one();
    bench.message(LEFT, A, &invite("200"));
    bench.message(RIGHT, B, &answer(&to_b, B, 503, "bb", ""));
    let sent = bench.sent();
    let (_, to_c) = sent
        .iter()
        .find(|(_, m)| m.is_request() && m.method() == Method::Invite)
        .unwrap();
    bench.message(RIGHT, C, &answer(to_c, C, 180, "cc", ""));
    bench.message(RIGHT, C, &answer(to_c, C, 486, "cc", ""));
    bench.pass(Duration::from_secs(40));
    let (summary, _) = ladder(&bench);
    assert_eq!(
        (summary.to.as_deref(), summary.outcome, summary.is_failed),
        (Some("trunk:c"), Some("busy"), true)
    );
    let expected = "\
0>1 INVITE: for 200; PCMU, media at 10.71.1.2:4000
* route 1: trunk:b, then trunk:c
1>2 INVITE: for 200; PCMU, media at 10.71.2.1:P (was 10.71.1.2:4000)
0>1 INVITE: again
1>0 100 Trying
2>1 503 Whatever
1>2 ACK
1>3 INVITE: for 200; PCMU, media at 10.71.2.1:P (was 10.71.1.2:4000)
3>1 180 Whatever
1>0 180 Whatever
3>1 486 Whatever
1>3 ACK
* ended: busy: 486 Whatever
1>0 486 Whatever
1>0 486 Whatever: again";
    let told = without_ports(&told(&bench));
    assert_eq!(told.get(..expected.len()), Some(expected), "{told}");
}

/// Two phones and a trunk ring at once: who does not take it is cancelled.
#[test]
fn one_that_forks() {
    let group = "[group.all]\nmembers = [\"trunk:b\", \"trunk:c\"]\nstrategy = \"all\"\n[[route]]\nfrom = [\"trunk:a\"]\nnumber = \"300\"\nto = [\"group:all\"]\n";
    let mut bench = traced(bench_of(&format!("{CONFIG}{group}"), Limits::default()));
    bench.message(LEFT, A, &invite("300"));
    let sent = bench.sent();
    let to = |who: &str| {
        let who: SocketAddr = who.parse().unwrap();
        sent.iter()
            .find(|(to, _)| *to == who)
            .map(|(_, m)| m.clone())
            .unwrap()
    };
    let (to_b, to_c) = (to(B), to(C));
    bench.message(RIGHT, B, &answer(&to_b, B, 180, "bb", ""));
    bench.message(
        RIGHT,
        C,
        &answer(&to_c, C, 200, "cc", &sdp("10.71.2.3", 5000)),
    );
    bench.actions();
    let (summary, _) = ladder(&bench);
    assert_eq!(
        (summary.to.as_deref(), summary.state),
        (Some("trunk:c"), State::Up)
    );
    let told = without_ports(&told(&bench));
    for line in [
        "* route 5: trunk:b + trunk:c",
        "1>2 INVITE: for 300; PCMU, media at 10.71.2.1:P (was 10.71.1.2:4000)",
        "1>3 INVITE: for 300; PCMU, media at 10.71.2.1:P (was 10.71.1.2:4000)",
        "2>1 180 Whatever",
        "1>2 CANCEL: Reason: SIP;cause=200;text=\"Call completed elsewhere\"",
        "3>1 200 Whatever: PCMU, media at 10.71.2.3:5000",
    ] {
        assert!(
            told.lines().any(|known| known == line),
            "no {line} in\n{told}"
        );
    }
}

/// Ports of ours are random.
fn without_ports(told: &str) -> String {
    let ours = ["10.71.1.1:", "10.71.2.1:"];
    ours.iter().fold(told.to_owned(), |told, address| {
        let mut parts = told.split(address);
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            out = out + address + "P" + part.trim_start_matches(|c: char| c.is_ascii_digit());
        }
        out
    })
}

#[test]
fn without_traces_there_are_none() {
    let mut bench = bench();
    set_up(&mut bench);
    assert!(bench.engine.traces().is_none());
}

#[test]
fn a_reload_says_how_much_is_kept() {
    let mut bench = traced(bench());
    set_up(&mut bench);
    assert_eq!(bench.engine.traces().unwrap().totals().traces, [0, 1, 0, 0]);
    let none = format!("{CONFIG}[trace]\nmemory = \"0\"\n");
    let none = Config::parse(&none, "test.toml", &NoSecrets).unwrap();
    let changes = bench.engine.reload(bench.now, none).unwrap();
    assert_eq!(changes.to_string(), "[trace] changed");
    let left = bench.engine.traces().unwrap().totals();
    assert_eq!((left.bytes, left.traces), (0, [0; 4]));
}

/// Who takes a party's place is part of that call from his INVITE on.
#[test]
fn who_replaces_a_party_is_in_the_trace_of_the_call() {
    let server = "server = \"sip:10.71.2.2:5060\"\n";
    let config = CONFIG.replace(server, &format!("{server}transfers = true\n"));
    let mut bench = traced(bench_of(&config, Limits::default()));
    let (_, b_invite, _) = set_up(&mut bench);
    let (call_id, ours) = (b_invite.call_id(), b_invite.from().tag().unwrap());
    let replaces = format!("Replaces: {call_id};to-tag={ours};from-tag=bb\r\nContact:");
    let text = invite("100")
        .replace("a-call", "r-call")
        .replace("branch=z9hG4bK", "branch=z9hG4bKr")
        .replace("Contact:", &replaces);
    bench.message(RIGHT, B, &text);
    bench.actions();
    let store = bench.engine.traces().unwrap();
    let all: Vec<Summary> = store.before(None).collect();
    assert_eq!(all.len(), 1, "{all:#?}");
    let told = told(&bench);
    assert!(told.contains("\n3>1 INVITE: for 100; "), "{told}");
    assert_eq!(store.find("r-call", 2).len(), 1);
}
