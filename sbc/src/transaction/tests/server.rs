//! Server transactions: RFC 3261 17.2, RFC 6026 8.5, 9.2.

use super::{Action, Bench, Limits, new_request, parse, request, response, sent};
use crate::sip::{Method, Transport};
use crate::transaction::Failure;

const B: &str = "z9hG4bK-1";
const UDP: Transport = Transport::Udp;
const TCP: Transport = Transport::Tcp;

#[test]
fn invite_gets_a_100_of_the_layers_own() {
    let mut bench = Bench::new(UDP);
    let invite = request("INVITE", B);
    let actions = bench.comes(&invite);
    let id = new_request(&actions);
    assert_eq!(actions, [bench.request_action(id, &invite)]);
    let trying = parse(&format!(
        "SIP/2.0 100 Trying\n\
         Via: SIP/2.0/UDP 192.0.2.9;rport=5060;branch={B};received=192.0.2.2\n\
         From: \"A\" <sip:alice@192.0.2.1>;tag=a\n\
         To: <sip:bob@192.0.2.2>\n\
         Call-ID: c1\n\
         CSeq: 4 INVITE\n\
         Content-Length: 0\n\n"
    ));
    assert_eq!(bench.until(1_000), [(200, bench.send(&trying))]);
    assert_eq!(bench.comes(&invite), [bench.send(&trying)], "repeated");
    let ringing = response(180, "INVITE", B);
    assert_eq!(bench.respond(id, &ringing), [bench.send(&ringing)]);
    assert_eq!(bench.comes(&invite), [bench.send(&ringing)]);
    assert_eq!(bench.until(100_000), []);
    bench.respond(id, &response(200, "INVITE", B));
    bench.until(132_000);
    bench.assert_empty();
}

#[test]
fn invite_answered_in_time_gets_no_100() {
    let mut bench = Bench::new(UDP);
    let id = new_request(&bench.comes(&request("INVITE", B)));
    bench.until(199);
    bench.respond(id, &response(183, "INVITE", B));
    assert_eq!(bench.until(10_000), []);
    bench.respond(id, &response(200, "INVITE", B));
    bench.until(42_000);
    bench.assert_empty();
}

#[test]
fn invite_that_comes_again_before_an_answer_gets_100_at_once() {
    let mut bench = Bench::new(UDP);
    let invite = request("INVITE", B);
    let id = new_request(&bench.comes(&invite));
    bench.until(100);
    let actions = bench.comes(&invite);
    assert_eq!(sent(&actions)[0].code(), Some(100));
    assert_eq!(actions.len(), 1);
    assert_eq!(bench.until(1_000), []);
    bench.respond(id, &response(200, "INVITE", B));
    bench.until(33_000);
    bench.assert_empty();
}

#[test]
fn refusal_is_repeated_until_acknowledged() {
    let mut bench = Bench::new(UDP);
    let invite = request("INVITE", B);
    let id = new_request(&bench.comes(&invite));
    let busy = response(486, "INVITE", B);
    assert_eq!(bench.respond(id, &busy), [bench.send(&busy)]);
    // Timer G doubles up to T2.
    let times: Vec<u64> = bench.until(12_000).iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [500, 1_500, 3_500, 7_500, 11_500]);
    assert_eq!(bench.comes(&invite), [bench.send(&busy)]);
    assert_eq!(
        bench.respond(id, &response(200, "INVITE", B)),
        [],
        "too late"
    );
    let ack = request("ACK", B);
    assert_eq!(bench.comes(&ack), []);
    assert_eq!(bench.comes(&ack), [], "absorbed");
    assert_eq!(bench.comes(&invite), [], "absorbed");
    assert_eq!(bench.until(16_999), []);
    assert_eq!(bench.layer.len(), 1);
    assert_eq!(bench.until(17_000), [], "timer I");
    bench.assert_empty();
}

#[test]
fn refusal_nobody_acknowledges() {
    for (transport, repetitions) in [(UDP, 10), (TCP, 0)] {
        let mut bench = Bench::new(transport);
        let id = new_request(&bench.comes(&request("INVITE", B)));
        bench.respond(id, &response(486, "INVITE", B));
        let mut all = bench.until(40_000);
        let failure = Failure::Timeout;
        let failed = Action::ServerFailed { id, failure };
        assert_eq!(all.pop(), Some((32_000, failed)));
        assert_eq!(all.len(), repetitions);
        bench.assert_empty();
    }
}

#[test]
fn refusal_over_tcp_leaves_with_the_ack() {
    let mut bench = Bench::new(TCP);
    let id = new_request(&bench.comes(&request("INVITE", B)));
    bench.respond(id, &response(486, "INVITE", B));
    assert_eq!(bench.comes(&request("ACK", B)), []);
    bench.assert_empty();
}

#[test]
fn acceptance_is_the_dialogs_to_repeat() {
    for transport in [UDP, TCP] {
        let mut bench = Bench::new(transport);
        let invite = request("INVITE", B);
        let id = new_request(&bench.comes(&invite));
        let ok = response(200, "INVITE", B);
        assert_eq!(bench.respond(id, &ok), [bench.send(&ok)]);
        bench.until(500);
        assert_eq!(bench.comes(&invite), [], "absorbed");
        assert_eq!(bench.respond(id, &ok), [bench.send(&ok)], "and again");
        assert_eq!(bench.respond(id, &response(486, "INVITE", B)), []);
        // An ACK with the INVITE's own branch, as RFC 2543 peers make it, and one of its own.
        for branch in [B, "z9hG4bK-2"] {
            let (hop, message) = (bench.hop, request("ACK", branch));
            assert_eq!(
                bench.comes(&message.clone()),
                [Action::Ack { hop, message }]
            );
        }
        assert_eq!(bench.until(31_999), []);
        assert_eq!(bench.layer.len(), 1);
        assert_eq!(bench.until(32_000), [], "timer L");
        bench.assert_empty();
    }
}

#[test]
fn other_is_absorbed_then_answered_again() {
    let mut bench = Bench::new(UDP);
    let bye = request("BYE", B);
    let actions = bench.comes(&bye);
    let id = new_request(&actions);
    assert_eq!(actions, [bench.request_action(id, &bye)]);
    assert_eq!(bench.until(5_000), []);
    assert_eq!(bench.comes(&bye), []);
    let trying = response(100, "BYE", B);
    assert_eq!(bench.respond(id, &trying), [bench.send(&trying)]);
    assert_eq!(bench.comes(&bye), [bench.send(&trying)]);
    let ok = response(200, "BYE", B);
    assert_eq!(bench.respond(id, &ok), [bench.send(&ok)]);
    assert_eq!(bench.comes(&bye), [bench.send(&ok)]);
    assert_eq!(bench.respond(id, &response(500, "BYE", B)), [], "too late");
    assert_eq!(bench.until(36_999), []);
    assert_eq!(bench.comes(&bye), [bench.send(&ok)]);
    assert_eq!(bench.until(37_000), [], "timer J");
    bench.assert_empty();
}

#[test]
fn other_over_tcp_leaves_with_its_answer() {
    let mut bench = Bench::new(TCP);
    let id = new_request(&bench.comes(&request("OPTIONS", B)));
    let ok = response(200, "OPTIONS", B);
    assert_eq!(bench.respond(id, &ok), [bench.send(&ok)]);
    bench.assert_empty();
    assert_eq!(bench.respond(id, &ok), [], "nobody is there");
}

#[test]
fn cancel_finds_its_invite() {
    let mut bench = Bench::new(UDP);
    let id = new_request(&bench.comes(&request("INVITE", B)));
    bench.respond(id, &response(180, "INVITE", B));
    let cancel = request("CANCEL", B);
    let actions = bench.comes(&cancel);
    let answer = &sent(&actions)[0];
    assert_eq!(answer.code(), Some(200));
    assert_eq!(answer.cseq().method, Method::Cancel);
    assert_eq!(answer.to().tag(), Some("b"), "the tag of the 180");
    let told = Action::Cancel {
        invite: id,
        message: cancel.clone(),
    };
    assert_eq!(actions[1..], [told]);
    // The user hears of it once; the peer gets its answer each time.
    assert_eq!(bench.comes(&cancel), [bench.send(answer)]);
    bench.respond(id, &response(487, "INVITE", B));
    assert_eq!(bench.comes(&cancel), [bench.send(answer)]);
    bench.comes(&request("ACK", B));
    bench.until(5_000);
    bench.assert_empty();
}

#[test]
fn cancel_before_any_answer() {
    let mut bench = Bench::new(UDP);
    let id = new_request(&bench.comes(&request("INVITE", B)));
    let cancel = request("CANCEL", B);
    let actions = bench.comes(&cancel);
    assert_eq!(sent(&actions)[0].code(), Some(200));
    assert!(sent(&actions)[0].to().tag().is_some());
    let told = Action::Cancel {
        invite: id,
        message: cancel,
    };
    assert_eq!(actions[1..], [told]);
    // The 100 that is due afterwards does not forget it.
    bench.until(300);
    assert_eq!(bench.comes(&request("CANCEL", B)).len(), 1);
    bench.respond(id, &response(487, "INVITE", B));
    bench.comes(&request("ACK", B));
    bench.until(6_000);
    bench.assert_empty();
}

#[test]
fn cancel_after_the_answer_changes_nothing() {
    let mut bench = Bench::new(UDP);
    let id = new_request(&bench.comes(&request("INVITE", B)));
    bench.respond(id, &response(200, "INVITE", B));
    let actions = bench.comes(&request("CANCEL", B));
    assert_eq!(actions.len(), 1);
    assert_eq!(sent(&actions)[0].code(), Some(200));
    bench.until(32_000);
    bench.assert_empty();
}

#[test]
fn cancel_of_nothing_gets_481_and_leaves_nothing() {
    let mut bench = Bench::new(UDP);
    let first = bench.comes(&request("CANCEL", B));
    assert_eq!(sent(&first)[0].code(), Some(481));
    assert!(sent(&first)[0].to().tag().is_some());
    assert_eq!(
        bench.comes(&request("CANCEL", B)),
        first,
        "the same each time"
    );
    bench.assert_empty();
}

#[test]
fn what_tells_requests_apart() {
    let mut bench = Bench::new(UDP);
    new_request(&bench.comes(&request("OPTIONS", B)));
    // Another branch, another method, another sent-by: each is new.
    new_request(&bench.comes(&request("OPTIONS", "z9hG4bK-2")));
    new_request(&bench.comes(&request("INFO", B)));
    new_request(&bench.comes(&request("FROB", B)));
    new_request(&bench.comes(&request("FROBNICATE", B)));
    let text = String::from_utf8(request("OPTIONS", B).bytes().to_vec()).unwrap();
    let other = text
        .replace("192.0.2.9;", "192.0.2.9:5070;")
        .replace('\r', "");
    new_request(&bench.comes(&parse(&other)));
    // The same host in another case, its default port spelled out: the same.
    let named = text
        .replace("192.0.2.9;", "Host.example:5060;")
        .replace('\r', "");
    new_request(&bench.comes(&parse(&named)));
    let named = text
        .replace("192.0.2.9;", "hosT.example;")
        .replace('\r', "");
    assert_eq!(bench.comes(&parse(&named)), []);
    assert_eq!(bench.layer.len(), 7);
}

#[test]
fn rfc_2543_requests_without_a_branch() {
    let old = |method: &str, number: u32, to: &str| {
        parse(&format!(
            "{method} sip:bob@192.0.2.1 SIP/2.0\n\
             Via: SIP/2.0/UDP 192.0.2.2\n\
             From: <sip:alice@192.0.2.2>;tag=a\n\
             To: <sip:bob@192.0.2.1>{to}\n\
             Call-ID: c1\n\
             CSeq: {number} {method}\n\n"
        ))
    };
    let mut bench = Bench::new(UDP);
    let first = new_request(&bench.comes(&old("INVITE", 1, "")));
    assert_eq!(
        sent(&bench.comes(&old("INVITE", 1, "")))[0].code(),
        Some(100)
    );
    let second = new_request(&bench.comes(&old("INVITE", 2, "")));
    let cancel = old("CANCEL", 2, "");
    assert_eq!(
        bench.comes(&cancel)[1..],
        [Action::Cancel {
            invite: second,
            message: cancel.clone(),
        }]
    );
    bench.respond(first, &response(486, "INVITE", B));
    bench.respond(second, &response(487, "INVITE", B));
    assert_eq!(bench.comes(&old("ACK", 1, ";tag=b")), []);
    assert_eq!(bench.comes(&old("ACK", 2, ";tag=b")), []);
    assert_eq!(bench.until(5_000), []);
    bench.assert_empty();
}

#[test]
fn answers_go_where_they_are_asked_to() {
    // (Via parameters, remote of the answer); the request comes from port 40000.
    for (via, to) in [
        ("198.51.100.7:5080;branch=z9hG4bK-1", "192.0.2.2:5080"),
        ("198.51.100.7;branch=z9hG4bK-1", "192.0.2.2:5060"),
        (
            "198.51.100.7:5080;rport;branch=z9hG4bK-1",
            "192.0.2.2:40000",
        ),
        (
            "198.51.100.7;maddr=203.0.113.1;branch=z9hG4bK-1",
            "192.0.2.2:5060",
        ),
    ] {
        let mut bench = Bench::new(UDP);
        bench.hop.remote.set_port(40_000);
        let options = parse(&format!(
            "OPTIONS sip:192.0.2.1 SIP/2.0\n\
             Via: SIP/2.0/UDP {via}\n\
             From: <sip:a@b>;tag=a\n\
             To: <sip:c@d>\n\
             Call-ID: c1\n\
             CSeq: 4 OPTIONS\n\n"
        ));
        let id = new_request(&bench.comes(&options));
        let ok = response(200, "OPTIONS", B);
        let actions = bench.respond(id, &ok);
        let [Action::Send { hop, .. }] = actions.as_slice() else {
            panic!("{actions:?}")
        };
        assert_eq!(hop.remote, to.parse().unwrap(), "{via}");
        assert_eq!(hop.local, bench.hop.local);
    }
}

#[test]
fn answers_that_cannot_be_sent() {
    let failure = Failure::Transport;
    let mut bench = Bench::new(UDP);
    let id = new_request(&bench.comes(&request("INVITE", B)));
    let ringing = response(180, "INVITE", B);
    bench.respond(id, &ringing);
    assert_eq!(bench.fails(ringing.bytes()), [], "not missed");
    let busy = response(486, "INVITE", B);
    bench.respond(id, &busy);
    assert_eq!(
        bench.fails(busy.bytes()),
        [Action::ServerFailed { id, failure }]
    );
    bench.assert_empty();

    let id = new_request(&bench.comes(&request("BYE", B)));
    let ok = response(200, "BYE", B);
    bench.respond(id, &ok);
    assert_eq!(
        bench.fails(ok.bytes()),
        [Action::ServerFailed { id, failure }]
    );
    bench.assert_empty();

    // An accepted INVITE still absorbs repetitions.
    let id = new_request(&bench.comes(&request("INVITE", B)));
    let ok = response(200, "INVITE", B);
    bench.respond(id, &ok);
    assert_eq!(
        bench.fails(ok.bytes()),
        [Action::ServerFailed { id, failure }]
    );
    assert_eq!(bench.comes(&request("INVITE", B)), []);
    bench.until(32_000);
    bench.assert_empty();
}

#[test]
fn the_table_is_bounded() {
    let mut bench = Bench::with_limits(
        UDP,
        Limits {
            client: 1,
            server: 1,
        },
    );
    let bye = request("BYE", B);
    let id = new_request(&bench.comes(&bye));
    let (hop, message) = (bench.hop, request("BYE", "z9hG4bK-2"));
    let actions = bench.comes(&message);
    assert_eq!(sent(&actions)[0].code(), Some(503));
    assert_eq!(actions[1..], [Action::Full { hop, message }]);
    assert_eq!(bench.layer.len(), 1);
    // What is in the table goes on.
    assert_eq!(bench.comes(&bye), []);
    bench.respond(id, &response(200, "BYE", B));
    bench.until(32_000);
    bench.assert_empty();
}

#[test]
fn a_branch_that_says_nothing_tells_nothing_apart() {
    // Without the cookie, and with nothing behind it (RFC 4475 3.2.1).
    for branch in ["1", "z9hG4bK"] {
        let mut bench = Bench::new(UDP);
        let text = request("OPTIONS", branch).bytes().to_vec();
        let text = String::from_utf8(text).unwrap().replace('\r', "");
        new_request(&bench.comes(&parse(&text)));
        let lines = text.lines().find(|line| line.starts_with("Call-ID"));
        let other = text.replace(lines.unwrap(), "Call-ID: another");
        new_request(&bench.comes(&parse(&other)));
        assert_eq!(bench.comes(&parse(&text)), []);
        assert_eq!(bench.layer.len(), 2);
    }
}
