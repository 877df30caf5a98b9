//! Keys in INFO: those that come, and those that a leg is told.

use super::dialogs::{from_b, in_dialog, stop};
use super::passed::{messages, place};
use super::*;
use crate::engine::Event;
use crate::media::{PairId, Transcoding};
use crate::rtp::info::Pressed;
use crate::sip::Method;
use crate::sip::digest::Credentials;

/// A has keys in one form, B in another.
fn bench_of_forms(a: &str, b: &str) -> Bench {
    let mut config = CONFIG.to_owned();
    for (server, form) in [
        ("server = \"sip:10.71.1.2:5060\"\n", a),
        (
            "server = \"sip:10.71.2.2:5060\"\n",
            &format!("{b}\"\nusername = \"acct\"\npassword = \"pw"),
        ),
    ] {
        config = config.replace(server, &format!("{server}dtmf = \"{form}\"\n"));
    }
    let mut bench = bench_of(&config, Limits::default());
    bench.engine = bench.engine.transcoding(Transcoding::On);
    bench
}

/// A call that is up; the tag of A's, our INVITE to B, and the pair of RTP.
fn up(bench: &mut Bench) -> (String, Message, PairId) {
    let (ok, to_b, flows) = set_up(bench);
    let pair = flows.iter().find_map(|command| match command {
        FlowCommand::Install(pair) if pair.kind == FlowKind::Rtp => Some(pair.id),
        _ => None,
    });
    (tag_of(&ok), to_b, pair.unwrap())
}

fn pressed(code: u8) -> Pressed {
    Pressed {
        code,
        milliseconds: 120,
    }
}

/// A worker has heard a key for the peer of this side.
fn hear(bench: &mut Bench, pair: PairId, to: usize, code: u8) {
    let key = pressed(code);
    let input = Input::KeyPressed { pair, to, key };
    bench.engine.handle_input(bench.now, input);
}

fn with_kind(text: &str, kind: &str) -> String {
    text.replace("application/sdp", kind)
}

fn body(message: &Message) -> (&str, &str) {
    let body = std::str::from_utf8(message.body()).unwrap();
    (message.header(Name::ContentType).unwrap(), body)
}

const RELAY: &str = "application/dtmf-relay";

fn relay(key: char) -> String {
    format!("Signal={key}\r\nDuration=120\r\n")
}

#[test]
fn a_key_in_media_is_an_info_and_the_next_one_waits_for_its_answer() {
    let mut bench = bench_of_forms("rtp", "info");
    let (_, invite, pair) = up(&mut bench);
    for code in [1, 10, 11] {
        hear(&mut bench, pair, 1, code);
    }
    for (number, key) in (1..).zip(['1', '*', '#']) {
        let (to, info) = bench.one();
        assert_eq!(to, place(B));
        assert_eq!(first_line(&info), "INFO sip:bob@10.71.2.2:5060 SIP/2.0");
        assert_eq!(info.cseq().number, invite.cseq().number + number);
        assert_eq!(body(&info), (RELAY, relay(key).as_str()));
        // Whatever it is that it says: a lost key ends no call.
        let code = [200, 500, 486][number as usize - 1];
        bench.message(RIGHT, B, &answer(&info, B, code, "", ""));
    }
    assert_eq!(bench.sent(), []);
    // Of no pair, of one that has ended, for a side that there is not.
    hear(&mut bench, PairId(999), 1, 1);
    hear(&mut bench, pair, 2, 1);
    assert_eq!(bench.sent(), []);
    stop(bench);
}

#[test]
fn an_info_that_nobody_answers_is_repeated_and_given_up() {
    let mut bench = bench_of_forms("rtp", "info");
    let (_, _, pair) = up(&mut bench);
    hear(&mut bench, pair, 1, 1);
    hear(&mut bench, pair, 1, 2);
    let (_, info) = bench.one();
    bench.pass(Duration::from_millis(500));
    let (_, again) = bench.one();
    assert_eq!(again.bytes(), info.bytes());
    bench.pass(Duration::from_secs(32));
    let last = messages(&mut bench).pop().unwrap().1;
    assert_eq!(body(&last), (RELAY, relay('2').as_str()));
    // The call is there still.
    assert_eq!(bench.engine.stats(bench.now).calls.values().sum::<u64>(), 1);
    stop(bench);
}

#[test]
fn who_takes_only_the_other_body_gets_that() {
    for (accept, expected) in [
        ("application/dtmf", Some("1")),
        ("application/sdp, application/dtmf;q=0.5", Some("1")),
        ("application/dtmf, application/dtmf-relay", None),
        ("application/sdp", None),
    ] {
        let mut bench = bench_of_forms("rtp", "info");
        let (_, _, pair) = up(&mut bench);
        hear(&mut bench, pair, 1, 1);
        hear(&mut bench, pair, 1, 2);
        let (_, info) = bench.one();
        let refusal = answer(&info, B, 415, "", "").replacen(
            "Contact:",
            &format!("Accept: {accept}\r\nContact:"),
            1,
        );
        bench.message(RIGHT, B, &refusal);
        let (_, next) = bench.one();
        match expected {
            Some(key) => {
                assert_eq!(body(&next), ("application/dtmf", key));
                bench.message(RIGHT, B, &answer(&next, B, 200, "", ""));
                let (_, next) = bench.one();
                assert_eq!(body(&next), ("application/dtmf", "2"));
            }
            None => assert_eq!(body(&next), (RELAY, relay('2').as_str())),
        }
        stop(bench);
    }
}

#[test]
fn a_password_is_given_and_asked_for_once() {
    let mut bench = bench_of_forms("rtp", "info");
    let (_, _, pair) = up(&mut bench);
    hear(&mut bench, pair, 1, 7);
    hear(&mut bench, pair, 1, 8);
    let (_, info) = bench.one();
    let challenge = |info: &Message, nonce: &str| {
        let field = format!(
            "WWW-Authenticate: Digest realm=\"b\", nonce=\"{nonce}\", qop=\"auth\"\r\nContact:"
        );
        answer(info, B, 401, "", "").replacen("Contact:", &field, 1)
    };
    bench.message(RIGHT, B, &challenge(&info, "n1"));
    let (_, again) = bench.one();
    assert_eq!(again.cseq().number, info.cseq().number + 1);
    assert_eq!(body(&again), body(&info));
    let said = Credentials::parse(again.header(Name::Authorization).unwrap()).unwrap();
    assert!(said.verify("pw", "INFO") && said.nonce == "n1");
    // It is wrong: the next one is tried.
    bench.message(RIGHT, B, &challenge(&again, "n2"));
    let (_, next) = bench.one();
    assert_eq!(body(&next), (RELAY, relay('8').as_str()));
    stop(bench);
}

#[test]
fn a_leg_that_has_forgotten_the_call_ends_it() {
    let mut bench = bench_of_forms("rtp", "info");
    let (_, _, pair) = up(&mut bench);
    hear(&mut bench, pair, 1, 7);
    let (_, info) = bench.one();
    bench.message(RIGHT, B, &answer(&info, B, 481, "", ""));
    let methods: Vec<Method> = messages(&mut bench).iter().map(|m| m.1.method()).collect();
    assert_eq!(methods, [Method::Bye; 2]);
    let events = std::iter::from_fn(|| bench.engine.poll_event());
    let mut ends = events.filter(|event| matches!(event, Event::CallEnded { .. }));
    assert!(ends.next().is_none(), "its flows have not reported");
    // What a worker still has to tell is for nobody.
    hear(&mut bench, pair, 1, 8);
    assert_eq!(messages(&mut bench).len(), 0);
}

#[test]
fn an_info_becomes_a_key_in_media() {
    for (kind, text, expected) in [
        (RELAY, "Signal=5\r\nDuration=160\r\n", (5, 160)),
        ("APPLICATION/DTMF-Relay;x=1", "Signal= #\n", (11, 250)),
        ("application/dtmf", "*\r\n", (10, 250)),
        ("application/dtmf", "16", (16, 250)),
    ] {
        for form in ["rtp", "inband"] {
            let mut bench = bench_of_forms("info", form);
            // B answers without events: both are tones, which is for the worker to know.
            let (tag, _, pair) = up(&mut bench);
            let info = with_kind(&in_dialog("INFO", 5, &tag, text), kind);
            bench.message(LEFT, A, &info);
            let mut actions = bench.actions();
            assert_eq!(actions.len(), 2);
            let (code, milliseconds) = expected;
            let key = Pressed { code, milliseconds };
            let mut keys = actions.iter().filter_map(|action| match action {
                Action::Flow(FlowCommand::Key(of, to, key)) => Some((*of, *to, *key)),
                _ => None,
            });
            assert_eq!(keys.next(), Some((pair, 1, key)));
            actions.retain(|action| matches!(action, Action::Send { .. }));
            let (to, ok) = sent(actions.remove(0));
            assert_eq!((to, ok.code()), (place(A), Some(200)));
            assert_eq!(ok.header(Name::CSeq), Some("5 INFO"));
            // The same once more is not another one.
            bench.message(LEFT, A, &info);
            assert_eq!(bench.one().1.code(), Some(200));
            stop(bench);
        }
    }
}

#[test]
fn an_info_of_a_side_of_another_form_is_told_as_info() {
    let mut bench = bench_of_forms("rtp", "info");
    let (tag, invite, _) = up(&mut bench);
    // B has said how it has them.
    let theirs = with_kind(&from_b("INFO", &invite, 8, "9"), "application/dtmf");
    bench.message(RIGHT, B, &theirs);
    let flows = bench.actions();
    assert!(matches!(
        flows[..],
        [_, Action::Flow(FlowCommand::Key(_, 0, _))] | [Action::Flow(FlowCommand::Key(_, 0, _)), _]
    ));
    let mine = with_kind(&in_dialog("INFO", 5, &tag, "Signal=4\r\n"), RELAY);
    bench.message(LEFT, A, &mine);
    let mut all = bench.sent();
    all.sort_by_key(|(_, message)| message.is_request());
    let [(to_a, ok), (to_b, info)] = &all[..] else {
        panic!("{all:?}");
    };
    assert_eq!((*to_a, ok.code()), (place(A), Some(200)));
    assert_eq!((*to_b, body(info)), (place(B), ("application/dtmf", "4")));
    stop(bench);
}

#[test]
fn what_is_no_key_and_what_both_have_alike_passes() {
    for (a, b, kind, text) in [
        ("info", "info", RELAY, "Signal=5\r\n"),
        ("rtp", "rtp", RELAY, "Signal=5\r\n"),
        ("inband", "inband", "application/dtmf", "5"),
        ("info", "rtp", RELAY, "Signal=17\r\n"),
        ("info", "rtp", RELAY, "nonsense"),
        ("info", "rtp", "application/x-dtmf", "5"),
        ("info", "rtp", "text/plain", "Signal=5\r\n"),
    ] {
        let mut bench = bench_of_forms(a, b);
        let (tag, ..) = up(&mut bench);
        let info = with_kind(&in_dialog("INFO", 5, &tag, text), kind);
        bench.message(LEFT, A, &info);
        let (to, passed) = bench.one();
        assert_eq!(to, place(B));
        assert_eq!(body(&passed), (kind, text));
        bench.message(RIGHT, B, &answer(&passed, B, 202, "", ""));
        assert_eq!(bench.one().1.code(), Some(202));
        stop(bench);
    }
}

#[test]
fn a_flood_of_keys_is_refused_and_counted() {
    let mut bench = bench_of_forms("info", "rtp");
    let (tag, ..) = up(&mut bench);
    let (mut taken, mut refused) = (0, 0);
    for number in 10..110 {
        let info = in_dialog("INFO", number, &tag, "Signal=5\r\n");
        bench.message(LEFT, A, &with_kind(&info, RELAY));
        for (_, told) in messages(&mut bench) {
            match told.code() {
                Some(200) => taken += 1,
                Some(500) => refused += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!((taken, refused), (64, 36));
    assert_eq!(bench.engine.stats(bench.now).full["keys"], 36);
    bench.pass(Duration::from_secs(1));
    messages(&mut bench);
    let info = in_dialog("INFO", 110, &tag, "Signal=5\r\n");
    bench.message(LEFT, A, &with_kind(&info, RELAY));
    assert_eq!(messages(&mut bench)[0].1.code(), Some(200));
    // Those that a worker tells are too many as well, and for one leg no more wait than a number has.
    let mut bench = bench_of_forms("rtp", "info");
    let (_, _, pair) = up(&mut bench);
    for _ in 0..100 {
        hear(&mut bench, pair, 1, 1);
    }
    // One is on its way, 32 wait.
    assert_eq!(bench.engine.stats(bench.now).full["keys"], 67);
    assert_eq!(messages(&mut bench).len(), 1);
    stop(bench);
}

#[test]
fn before_the_answer_keys_go_on_in_the_early_dialog() {
    let mut bench = bench_of_forms("rtp", "info");
    bench.message(LEFT, A, &invite("100"));
    let (_, to_b) = bench.one();
    let early = answer(&to_b, B, 183, "b1", &sdp("10.71.2.2", 5000));
    bench.message(RIGHT, B, &early);
    let actions = bench.actions();
    let pair = actions.iter().find_map(|action| match action {
        Action::Flow(FlowCommand::Install(pair)) if pair.kind == FlowKind::Rtp => Some(pair.id),
        _ => None,
    });
    hear(&mut bench, pair.unwrap(), 1, 9);
    let (to, info) = bench.one();
    assert_eq!((to, info.to().tag()), (place(B), Some("b1")));
    assert_eq!(body(&info), (RELAY, relay('9').as_str()));
    assert_eq!(info.cseq().number, to_b.cseq().number + 1);
    bench.message(RIGHT, B, &answer(&info, B, 200, "", ""));
    // And in the call, with the number after that.
    let ok = answer(&to_b, B, 200, "b1", &sdp("10.71.2.2", 5000));
    bench.message(RIGHT, B, &ok);
    bench.actions();
    hear(&mut bench, pair.unwrap(), 1, 8);
    let (_, info) = bench.one();
    assert_eq!(info.cseq().number, to_b.cseq().number + 2);
    stop(bench);
}
