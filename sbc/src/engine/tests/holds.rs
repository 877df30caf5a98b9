//! Hold and resume: what the other side hears, and whose media is waited for.

use super::dialogs::{from_b, in_dialog, stop};
use super::offers::{at, held, mine, text, theirs, turn, updated};
use super::sessions::only;
use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_hold_in_any_form_keeps_the_call_and_is_told_to_the_other_side() {
    let ip6 = |body: &str| body.replace("c=IN IP4 10.71.1.2", "c=IN IP6 ::");
    let zero = |body: &str| body.replace("c=IN IP4 10.71.1.2", "c=IN IP4 0.0.0.0");
    for (offer, told) in [
        (held(&mine(), "sendonly"), "a=sendonly"),
        (held(&mine(), "recvonly"), "a=recvonly"),
        (held(&mine(), "inactive"), "a=inactive"),
        (zero(&mine()), "a=sendonly"),
        (ip6(&mine()), "a=sendonly"),
        (held(&zero(&mine()), "recvonly"), "a=inactive"),
        (mine().replace("t=0 0", "a=inactive\r\nt=0 0"), "a=inactive"),
        (format!("{}c=IN IP4 0.0.0.0\r\n", mine()), "a=sendonly"),
    ] {
        let mut bench = bench();
        let (ok, ..) = set_up(&mut bench);
        let tag = tag_of(&ok);
        bench.message(LEFT, A, &in_dialog("INVITE", 5, &tag, &offer));
        let to_b = only(&mut bench, B);
        assert!(text(&to_b).contains(told), "{offer}");
        assert!(!text(&to_b).contains("0.0.0.0") && !text(&to_b).contains("::"));
        bench.message(
            RIGHT,
            B,
            &answer(&to_b, B, 200, "", &held(&theirs(), "recvonly")),
        );
        let (flows, _) = turn(&mut bench);
        // Nothing of who does not send, or sends to nobody, is let in. Where the caller was is not forgotten.
        let sides = updated(&flows).unwrap();
        let lets = sides.each_ref().map(|side| side.payload_types != 0);
        assert_eq!(lets, [told == "a=sendonly", false], "{offer}");
        let places = [at("10.71.1.2:4000"), at("10.71.2.2:5000")];
        assert_eq!(sides.each_ref().map(|side| side.named), places);
        bench.message(LEFT, A, &in_dialog("ACK", 5, &tag, ""));
        // Nobody listens to whether media comes.
        bench.pass(600 * SECOND);
        assert!(bench.actions().is_empty());
        bench.message(LEFT, A, &in_dialog("INVITE", 6, &tag, &mine()));
        let to_b = only(&mut bench, B);
        assert!(!text(&to_b).contains("a=sendonly"));
        bench.message(RIGHT, B, &answer(&to_b, B, 200, "", &theirs()));
        let (flows, _) = turn(&mut bench);
        let sides = updated(&flows).unwrap();
        assert!(sides.iter().all(|side| side.payload_types != 0));
        bench.message(LEFT, A, &in_dialog("ACK", 6, &tag, ""));
        bench.pass(600 * SECOND);
        assert!(!bench.actions().is_empty());
        stop(bench);
    }
}

#[test]
fn both_hold_and_each_resumes() {
    let mut bench = bench();
    let (ok, b_invite, _) = set_up(&mut bench);
    let tag = tag_of(&ok);
    // Who offers what, what the other answers, and whether media is waited for afterwards.
    let steps = [
        (
            LEFT,
            held(&mine(), "sendonly"),
            held(&theirs(), "recvonly"),
            true,
        ),
        (
            RIGHT,
            held(&theirs(), "inactive"),
            held(&mine(), "inactive"),
            true,
        ),
        (LEFT, mine(), held(&theirs(), "sendonly"), true),
        (RIGHT, theirs(), mine(), false),
    ];
    for (number, (network, offer, answers, is_held)) in (6..).zip(steps) {
        let (place, other, far) = match network {
            LEFT => (A, B, RIGHT),
            _ => (B, A, LEFT),
        };
        let says = |method, body: &str| match network {
            LEFT => in_dialog(method, number, &tag, body),
            _ => from_b(method, &b_invite, number, body),
        };
        bench.message(network, place, &says("INVITE", &offer));
        let relayed = only(&mut bench, other);
        bench.message(far, other, &answer(&relayed, other, 200, "", &answers));
        turn(&mut bench);
        bench.message(network, place, &says("ACK", ""));
        bench.pass(600 * SECOND);
        assert_eq!(bench.actions().is_empty(), is_held, "{offer}");
    }
    stop(bench);
}

#[test]
fn one_stream_on_hold_is_not_the_call_on_hold() {
    let two = |body: &str, first: &str, second: &str| {
        format!(
            "{body}a={first}\r\nm=video 4100 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na={second}\r\n"
        )
    };
    for (first, second, is_held) in [
        ("sendrecv", "inactive", false),
        ("inactive", "sendrecv", false),
        ("sendonly", "recvonly", true),
    ] {
        let mut bench = bench();
        let (ok, ..) = set_up(&mut bench);
        let tag = tag_of(&ok);
        bench.message(
            LEFT,
            A,
            &in_dialog("INVITE", 5, &tag, &two(&mine(), first, second)),
        );
        let to_b = only(&mut bench, B);
        let both = two(&theirs(), "sendrecv", "sendrecv");
        bench.message(RIGHT, B, &answer(&to_b, B, 200, "", &both));
        let (flows, _) = turn(&mut bench);
        let is_new = |command: &&FlowCommand| matches!(command, FlowCommand::Install(_));
        assert_eq!(flows.iter().filter(is_new).count(), 2);
        bench.message(LEFT, A, &in_dialog("ACK", 5, &tag, ""));
        bench.pass(600 * SECOND);
        assert_eq!(bench.actions().is_empty(), is_held, "{first} {second}");
        stop(bench);
    }
}
