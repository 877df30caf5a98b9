use proptest::prelude::*;
use sbc::io::admin::types::{TraceParty, Verdict};

use super::*;

fn party(name: &str, address: Option<&str>) -> TraceParty {
    TraceParty {
        name: name.to_owned(),
        address: address.map(|address| address.parse().unwrap()),
    }
}

fn step(at: f64, from: u32, to: u32, label: &str, note: &str) -> TraceStep {
    TraceStep {
        at,
        from,
        to,
        label: label.to_owned(),
        note: note.to_owned(),
        transport: None,
        sdp: None,
        message: None,
    }
}

fn trace() -> Trace {
    Trace {
        id: "1a".to_owned(),
        state: "ended".to_owned(),
        failed: true,
        began: "2026-11-22T04:50:00.123Z".to_owned(),
        lasted_seconds: 12.345,
        from: "phone:anna".to_owned(),
        to: Some("trunk:carrier".to_owned()),
        dialled: "15551234567".to_owned(),
        outcome: Some("busy".to_owned()),
        reason: Some("486 Busy Here".to_owned()),
        parties: vec![
            party("phone:anna", Some("192.168.1.5:5060")),
            party("sbc", None),
            party("trunk:carrier", Some("203.0.113.9:5060")),
        ],
        steps: vec![
            step(
                0.0,
                0,
                1,
                "INVITE",
                "for 15551234567; G722 PCMU, media at 192.168.1.5:4000",
            ),
            step(0.001, 1, 1, "route national", "trunk:carrier"),
            step(
                0.0012,
                1,
                2,
                "INVITE",
                "for 15551234567; G722 PCMU, media at 198.51.100.1:20000 (was 192.168.1.5:4000)",
            ),
            step(0.5012, 1, 2, "INVITE", "again"),
            step(1.5012, 1, 2, "INVITE", "again"),
            step(
                1.6,
                2,
                1,
                "486 A reason that is much longer than there is room for",
                "",
            ),
            step(1.601, 1, 0, "486 Busy Here", ""),
        ],
        verdict: Vec::new(),
        omitted: 0,
    }
}

#[test]
fn an_address_that_does_not_fit_loses_its_whole_port() {
    let mut trace = trace();
    let far = Some("203.0.113.210:50600");
    trace.parties.push(party("trunk:far", far));
    let narrow = ladder(&trace, Show::default(), 80);
    assert!(narrow.contains(" 203.0.113.210\n"), "{narrow}");
    assert!(narrow.contains(" 192.168.1.5:5060 "), "{narrow}");
    let wide = ladder(&trace, Show::default(), 130);
    assert!(wide.contains(" 203.0.113.210:50600\n"), "{wide}");
}

#[test]
fn what_is_up_has_not_lasted() {
    let mut trace = trace();
    (trace.state, trace.outcome, trace.reason) = ("up".to_owned(), None, None);
    let text = ladder(&trace, Show::default(), 100);
    assert!(
        text.contains("  began     2026-11-22 04:50:00.123 UTC, 12 s ago\n  state     up\n"),
        "{text}"
    );
}

#[test]
fn a_ladder_is_drawn_in_80_columns() {
    let drawn = ladder(&trace(), Show::default(), 80);
    let expected = include_str!("ladder.txt");
    assert_eq!(drawn, expected, "\n{drawn}");
    assert!(drawn.lines().all(|line| width(line) <= 80));
}

#[test]
fn where_there_is_no_room_it_is_told() {
    let drawn = ladder(&trace(), Show::default(), 50);
    assert!(
        drawn.contains("   0.000  phone:anna -> sbc  INVITE: for\n"),
        "{drawn}"
    );
    assert!(drawn.lines().all(|line| width(line) <= 50), "{drawn}");
}

#[test]
fn whole_messages_are_shown_as_text() {
    let mut trace = trace();
    trace.verdict.push(Verdict {
        hears: "caller".to_owned(),
        cause: "wrong-source".to_owned(),
        text: "phone:anna hears nothing".to_owned(),
    });
    trace.omitted = 3;
    trace.steps[0].message =
        Some("INVITE sip:1 SIP/2.0\r\nX: \u{1b}]0;evil\u{7}\r\n\r\nv=0\r\n".to_owned());
    trace.steps[0].sdp = Some("v=0\r\n".to_owned());
    let messages = Show {
        messages: true,
        sdp: false,
    };
    let drawn = ladder(&trace, messages, 80);
    assert!(
        drawn.contains("\n  verdict   phone:anna hears nothing\n"),
        "{drawn}"
    );
    assert!(
        drawn.contains("\n          INVITE sip:1 SIP/2.0"),
        "{drawn}"
    );
    assert!(drawn.contains("X: \\u{1b}]0;evil\\u{7}"), "{drawn}");
    assert!(drawn.ends_with("\n3 steps were left out: no room for them (`memory` in [trace]).\n"));
    let sdp = Show {
        messages: false,
        sdp: true,
    };
    let drawn = ladder(&trace, sdp, 80);
    assert!(
        drawn.contains("| v=0 ") && !drawn.contains("evil"),
        "{drawn}"
    );
}

#[test]
fn lines_are_broken_at_blanks() {
    assert_eq!(wrapped("", 5), [""]);
    assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
    assert_eq!(wrapped("abcdefgh", 3), ["abc", "def", "gh"]);
    assert_eq!(wrapped("a", 0), ["a"]);
}

proptest! {
    /// Whatever anybody sends: nothing but text comes out, within the width that there is.
    #[test]
    fn anything_can_be_drawn(
        texts in proptest::collection::vec("(?s).{0,60}", 8),
        ends in proptest::collection::vec((0u32..6, 0u32..6), 0..8),
        parties in 0usize..5,
        room in prop_oneof![0usize..200, Just(usize::MAX)],
        messages: bool,
        sdp: bool,
        at in -1.0f64..1e9,
    ) {
        let text = |index: usize| texts[index % texts.len()].clone();
        let drawn = ladder(
            &Trace {
                id: "1".to_owned(),
                from: text(0),
                to: Some(text(1)),
                dialled: text(2),
                reason: Some(text(3)),
                parties: (0..parties)
                    .map(|index| party(&text(index), (index != 1).then_some("[2001:db8::1]:5060")))
                    .collect(),
                steps: ends
                    .iter()
                    .enumerate()
                    .map(|(index, (from, to))| TraceStep {
                        sdp: Some(text(index + 2)),
                        message: Some(text(index + 3)),
                        ..step(at, *from, *to, &text(index), &text(index + 1))
                    })
                    .collect(),
                ..trace()
            },
            Show { messages, sdp },
            room,
        );
        for c in drawn.chars() {
            prop_assert!(c == '\n' || !c.is_control(), "{c:?}");
            let is_mark = ('\u{202a}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c);
            prop_assert!(!is_mark, "{c:?}");
        }
    }
}
