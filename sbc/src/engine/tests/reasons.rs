//! Why a call ends, told to the other side (RFC 3326, RFC 6432).

use super::*;
use crate::engine::Event;
use crate::sip::Method;

const Q850: &str = "Q.850;cause=16;text=\"Terminated\"";
const BOTH: &str = "SIP;cause=200;text=\"Call completed elsewhere\", Q.850;cause=26";
/// The words tell an address; the cause does not.
const LEAKS: &str = "Q.850 ;cause=31;text=\"from 192.168.7.7\", SIP;cause=503;text=\"ok\"";
const SHORT: &str = "Q.850;cause=31, SIP;cause=503;text=\"ok\"";

const CASES: [(&str, &str); 3] = [(Q850, Q850), (BOTH, BOTH), (LEAKS, SHORT)];

fn with_reason(text: &str, reason: &str) -> String {
    text.replacen("CSeq:", &format!("Reason: {reason}\r\nCSeq:"), 1)
}

fn reason(message: &Message) -> Option<&str> {
    message.header(Name::Reason)
}

fn cancel() -> String {
    request(
        "CANCEL",
        "sip:100@10.71.1.1",
        "To: <sip:100@10.71.1.1>\r\n",
        "",
    )
}

fn end(bench: &mut Bench) {
    for _ in 0..4 {
        bench.pass(Duration::from_secs(60));
        bench.actions();
    }
    bench.assert_empty();
}

/// What is sent, without orders about flows.
fn messages(bench: &mut Bench) -> Vec<Message> {
    let actions = bench.actions().into_iter();
    let sent_only = actions.filter(|action| !matches!(action, Action::Flow(_)));
    sent_only.map(|action| sent(action).1).collect()
}

fn only(messages: Vec<Message>, which: impl Fn(&Message) -> bool) -> Message {
    let mut found: Vec<Message> = messages.into_iter().filter(|m| which(m)).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn is(method: Method) -> impl Fn(&Message) -> bool {
    move |message| message.is_request() && message.method() == method
}

#[test]
fn a_bye_of_either_side() {
    for (said, told) in CASES {
        for from_a in [true, false] {
            let mut bench = bench();
            let (ok, b_invite, _) = set_up(&mut bench);
            let tag = tag_of(&ok);
            let bye = if from_a {
                let to = format!("To: <sip:100@10.71.1.1>;tag={tag}\r\n");
                request("BYE", "sip:10.71.1.1:5060", &to, "")
            } else {
                format!(
                    "BYE sip:10.71.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP {B};branch=z9hG4bKbye\r\n\
                     From: {};tag=bb\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 9 BYE\r\nContent-Length: 0\r\n\r\n",
                    b_invite.header(Name::To).unwrap(),
                    b_invite.header(Name::From).unwrap(),
                    b_invite.call_id()
                )
            };
            let (network, from) = if from_a { (LEFT, A) } else { (RIGHT, B) };
            bench.message(network, from, &with_reason(&bye, said));
            let bye = only(messages(&mut bench), is(Method::Bye));
            assert_eq!(reason(&bye), Some(told), "from a: {from_a}");
            end(&mut bench);
            let events = std::iter::from_fn(|| bench.engine.poll_event());
            let mut whys = events.filter_map(|event| match event {
                Event::CallEnded { reason, .. } => Some(reason),
                _ => None,
            });
            let who = if from_a { "caller" } else { "callee" };
            assert_eq!(whys.next(), Some(format!("the {who} hung up")));
        }
    }
}

#[test]
fn a_cancel_whether_it_may_go_on_at_once_or_not() {
    for (said, told) in CASES {
        for rang in [true, false] {
            let mut bench = bench();
            bench.message(LEFT, A, &invite("100"));
            let (_, b_invite) = bench.one();
            let ringing = answer(&b_invite, B, 180, "bb", "");
            if rang {
                bench.message(RIGHT, B, &ringing);
                bench.actions();
            }
            bench.message(LEFT, A, &with_reason(&cancel(), said));
            let mut heard = messages(&mut bench);
            if !rang {
                assert!(!heard.iter().any(is(Method::Cancel)), "too early");
                bench.message(RIGHT, B, &ringing);
                heard = messages(&mut bench);
            }
            assert_eq!(reason(&only(heard, is(Method::Cancel))), Some(told));
            end(&mut bench);
        }
    }
}

#[test]
fn a_bye_while_it_rings_is_a_cancel_on_the_other_side() {
    let mut bench = bench();
    bench.message(LEFT, A, &invite("100"));
    let (_, b_invite) = bench.one();
    bench.message(RIGHT, B, &answer(&b_invite, B, 180, "bb", ""));
    let (_, ringing) = bench.one();
    let to = format!("To: <sip:100@10.71.1.1>;tag={}\r\n", tag_of(&ringing));
    let bye = request("BYE", "sip:10.71.1.1:5060", &to, "");
    bench.message(LEFT, A, &with_reason(&bye, Q850));
    let cancel = only(messages(&mut bench), is(Method::Cancel));
    assert_eq!(reason(&cancel), Some(Q850));
    end(&mut bench);
}

#[test]
fn a_failure_or_a_provisional_answer() {
    for (said, told) in CASES {
        for code in [183, 404, 486, 503, 603] {
            let mut bench = bench();
            bench.message(LEFT, A, &invite("100"));
            let (_, b_invite) = bench.one();
            let refusal = answer(&b_invite, B, code, "bb", "");
            bench.message(RIGHT, B, &with_reason(&refusal, said));
            let answered = |message: &Message| message.code() == Some(code);
            let heard = only(messages(&mut bench), answered);
            assert_eq!(reason(&heard), Some(told), "{code}");
            bench.engine.handle_input(bench.now, Input::Stop);
            end(&mut bench);
        }
    }
}

#[test]
fn who_is_called_off_hears_why() {
    let mut bench = bench();
    bench.message(LEFT, A, &invite("100"));
    let (_, b_invite) = bench.one();
    bench.message(RIGHT, B, &answer(&b_invite, B, 180, "bb", ""));
    bench.actions();
    bench.message(LEFT, A, &cancel());
    let plain = only(messages(&mut bench), is(Method::Cancel));
    assert_eq!(reason(&plain), None, "nothing is made up");
    end(&mut bench);
}

#[test]
fn each_refusal_has_a_tag_of_its_own() {
    let mut bench = bench();
    let mut tags = std::collections::BTreeSet::new();
    for number in 0..3 {
        let text = invite("100")
            .replace("a-call", &format!("call-{number}"))
            .replace("z9hG4bK", &format!("z9hG4bK{number}"));
        bench.message(LEFT, A, &text);
        let (_, to_b) = bench.one();
        bench.message(RIGHT, B, &answer(&to_b, B, 486, "bb", ""));
        let told = only(messages(&mut bench), |message| message.code() == Some(486));
        tags.insert(tag_of(&told));
    }
    assert_eq!(tags.len(), 3);
    assert!(tags.iter().all(|tag| tag.len() == 20), "{tags:?}");
    end(&mut bench);
}
