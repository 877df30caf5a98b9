//! Client transactions: RFC 3261 17.1, RFC 6026 8.4.

use super::{Action, Bench, Limits, parse, request, response, sent};
use crate::sip::{Method, Transport};
use crate::transaction::{Failure, Full};

const B: &str = "z9hG4bK-1";
const UDP: Transport = Transport::Udp;
const TCP: Transport = Transport::Tcp;

fn times(actions: &[(u64, Action)]) -> Vec<u64> {
    actions.iter().map(|(at, _)| *at).collect()
}

#[test]
fn invite_nobody_answers_udp() {
    let mut bench = Bench::new(UDP);
    let invite = request("INVITE", B);
    let (id, actions) = bench.request(&invite);
    assert_eq!(actions, [bench.send(&invite)]);
    let mut all = bench.until(40_000);
    let failed = Action::Failed {
        id,
        failure: Failure::Timeout,
    };
    assert_eq!(all.pop(), Some((32_000, failed)));
    // Timer A: 0.5, 1, 2, 4, 8, 16 s apart, without a ceiling.
    assert_eq!(times(&all), [500, 1_500, 3_500, 7_500, 15_500, 31_500]);
    assert!(all.iter().all(|(_, a)| *a == bench.send(&invite)));
    bench.assert_empty();
}

#[test]
fn invite_nobody_answers_tcp() {
    let mut bench = Bench::new(TCP);
    let (id, _) = bench.request(&request("INVITE", B));
    let failure = Failure::Timeout;
    assert_eq!(
        bench.until(40_000),
        [(32_000, Action::Failed { id, failure })]
    );
    bench.assert_empty();
}

#[test]
fn invite_rings_and_is_refused() {
    let mut bench = Bench::new(UDP);
    let invite = request("INVITE", B);
    let (id, _) = bench.request(&invite);
    assert_eq!(bench.until(600), [(500, bench.send(&invite))]);
    for code in [100, 180, 180] {
        let ringing = response(code, "INVITE", B);
        assert_eq!(bench.comes(&ringing), [bench.response(id, &ringing)]);
    }
    assert_eq!(bench.until(60_000), [], "no repetition once it rings");
    let busy = response(486, "INVITE", B);
    let actions = bench.comes(&busy);
    let ack = parse(&format!(
        "ACK sip:bob@192.0.2.2 SIP/2.0\n\
         Via: SIP/2.0/UDP 192.0.2.9;rport;branch={B}\n\
         Max-Forwards: 70\n\
         Route: <sip:192.0.2.2;lr>\n\
         From: \"A\" <sip:alice@192.0.2.1>;tag=a\n\
         Call-ID: c1\n\
         To: <sip:bob@192.0.2.2>;tag=b\n\
         CSeq: 4 ACK\n\
         Content-Length: 0\n\n"
    ));
    assert_eq!(actions, [bench.send(&ack), bench.response(id, &busy)]);
    // Repeated refusals get the ACK again and go no further; what else comes late goes nowhere.
    assert_eq!(bench.comes(&busy), [bench.send(&ack)]);
    assert_eq!(bench.comes(&response(180, "INVITE", B)), []);
    assert_eq!(bench.comes(&response(200, "INVITE", B)), []);
    assert_eq!(bench.until(91_999), []);
    assert_eq!(bench.layer.len(), 1);
    assert_eq!(bench.until(92_000), [], "timer D");
    bench.assert_empty();
    let (hop, message) = (bench.hop, busy.clone());
    assert_eq!(bench.comes(&busy), [Action::Stray { hop, message }]);
}

#[test]
fn invite_refused_over_tcp_leaves_at_once() {
    let mut bench = Bench::new(TCP);
    let (id, _) = bench.request(&request("INVITE", B));
    let busy = response(486, "INVITE", B);
    let actions = bench.comes(&busy);
    assert_eq!(actions.len(), 2);
    assert_eq!(sent(&actions)[0].method(), Method::Ack);
    assert_eq!(actions[1], bench.response(id, &busy));
    bench.assert_empty();
}

#[test]
fn invite_accepted_hands_every_2xx_on() {
    for transport in [UDP, TCP] {
        let mut bench = Bench::new(transport);
        let (id, _) = bench.request(&request("INVITE", B));
        let ok = response(200, "INVITE", B);
        for _ in 0..3 {
            assert_eq!(bench.comes(&ok), [bench.response(id, &ok)]);
        }
        assert_eq!(bench.comes(&response(486, "INVITE", B)), []);
        assert_eq!(bench.comes(&response(183, "INVITE", B)), []);
        assert_eq!(bench.until(31_999), []);
        assert_eq!(bench.layer.len(), 1);
        assert_eq!(bench.until(32_000), [], "timer M");
        bench.assert_empty();
    }
}

#[test]
fn ringing_without_end_ends() {
    let mut bench = Bench::new(UDP);
    let (id, _) = bench.request(&request("INVITE", B));
    let ringing = response(180, "INVITE", B);
    bench.comes(&ringing);
    assert_eq!(bench.until(200_000), []);
    bench.comes(&ringing);
    let failure = Failure::Timeout;
    assert_eq!(
        bench.until(600_000),
        [(500_000, Action::Failed { id, failure })]
    );
    bench.assert_empty();
}

#[test]
fn cancel_that_brings_nothing_ends_the_invite() {
    let mut bench = Bench::new(UDP);
    let (invite, _) = bench.request(&request("INVITE", B));
    let ringing = response(180, "INVITE", B);
    bench.comes(&ringing);
    bench.until(10_000);
    let (cancel, actions) = bench.request(&request("CANCEL", B));
    assert_eq!(actions, [bench.send(&request("CANCEL", B))]);
    // The answer to the CANCEL finds the CANCEL, by its method.
    let ok = response(200, "CANCEL", B);
    assert_eq!(bench.comes(&ok), [bench.response(cancel, &ok)]);
    // Ringing on does not put the end off.
    bench.until(20_000);
    assert_eq!(bench.comes(&ringing), [bench.response(invite, &ringing)]);
    let failure = Failure::Timeout;
    let failed = Action::Failed {
        id: invite,
        failure,
    };
    assert_eq!(bench.until(60_000), [(42_000, failed)]);
    bench.assert_empty();
}

#[test]
fn cancel_that_brings_487() {
    let mut bench = Bench::new(UDP);
    let (invite, _) = bench.request(&request("INVITE", B));
    bench.comes(&response(100, "INVITE", B));
    let (cancel, _) = bench.request(&request("CANCEL", B));
    let ended = response(487, "INVITE", B);
    let actions = bench.comes(&ended);
    assert_eq!(sent(&actions)[0].method(), Method::Ack);
    assert_eq!(actions[1..], [bench.response(invite, &ended)]);
    let ok = response(200, "CANCEL", B);
    assert_eq!(bench.comes(&ok), [bench.response(cancel, &ok)]);
    assert_eq!(bench.until(40_000), []);
    bench.assert_empty();
}

#[test]
fn other_nobody_answers_udp() {
    let mut bench = Bench::new(UDP);
    let bye = request("BYE", B);
    let (id, _) = bench.request(&bye);
    let mut all = bench.until(40_000);
    let failure = Failure::Timeout;
    assert_eq!(all.pop(), Some((32_000, Action::Failed { id, failure })));
    // Timer E doubles up to T2.
    assert_eq!(
        times(&all),
        [
            500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500
        ]
    );
    assert!(all.iter().all(|(_, a)| *a == bench.send(&bye)));
    bench.assert_empty();
}

#[test]
fn other_nobody_answers_tcp() {
    let mut bench = Bench::new(TCP);
    let (id, _) = bench.request(&request("OPTIONS", B));
    let failure = Failure::Timeout;
    assert_eq!(
        bench.until(40_000),
        [(32_000, Action::Failed { id, failure })]
    );
    bench.assert_empty();
}

#[test]
fn other_with_a_provisional_answer_repeats_every_t2() {
    let mut bench = Bench::new(UDP);
    let bye = request("BYE", B);
    let (id, _) = bench.request(&bye);
    bench.until(600);
    let trying = response(100, "BYE", B);
    assert_eq!(bench.comes(&trying), [bench.response(id, &trying)]);
    assert_eq!(
        bench.until(9_000),
        [(4_600, bench.send(&bye)), (8_600, bench.send(&bye))]
    );
    let ok = response(200, "BYE", B);
    assert_eq!(bench.comes(&ok), [bench.response(id, &ok)]);
    assert_eq!(bench.comes(&ok), [], "absorbed");
    assert_eq!(bench.until(13_999), []);
    assert_eq!(bench.layer.len(), 1);
    assert_eq!(bench.until(14_000), [], "timer K");
    bench.assert_empty();
}

#[test]
fn other_answered_over_tcp_leaves_at_once() {
    let mut bench = Bench::new(TCP);
    let (id, _) = bench.request(&request("BYE", B));
    bench.comes(&response(100, "BYE", B));
    let ok = response(481, "BYE", B);
    assert_eq!(bench.comes(&ok), [bench.response(id, &ok)]);
    bench.assert_empty();
}

#[test]
fn what_cannot_be_sent_fails() {
    let mut bench = Bench::new(UDP);
    for method in ["INVITE", "OPTIONS"] {
        let message = request(method, B);
        let (id, _) = bench.request(&message);
        let failure = Failure::Transport;
        assert_eq!(
            bench.fails(message.bytes()),
            [Action::Failed { id, failure }]
        );
        bench.assert_empty();
    }
    // An ACK to a refusal: the user knows all there is to know.
    bench.request(&request("INVITE", B));
    let ack = sent(&bench.comes(&response(500, "INVITE", B)));
    assert_eq!(bench.fails(ack[0].bytes()), []);
    bench.assert_empty();
    assert_eq!(bench.fails(request("BYE", "z9hG4bK-none").bytes()), []);
    assert_eq!(bench.fails(&bytes::Bytes::from_static(b"\r\n\r\n")), []);
}

#[test]
fn responses_find_their_own_request_only() {
    let mut bench = Bench::new(UDP);
    bench.request(&request("INVITE", B));
    for message in [
        response(200, "INVITE", "z9hG4bK-2"),
        response(200, "BYE", B),
    ] {
        let hop = bench.hop;
        assert_eq!(
            bench.comes(&message.clone()),
            [Action::Stray { hop, message }]
        );
    }
    // Another side of the box.
    let mut hop = bench.hop;
    hop.network = crate::config::NetworkId(1);
    let message = response(200, "INVITE", B);
    let input = super::Input::Message {
        hop,
        message: message.clone(),
    };
    bench.layer.handle_input(bench.now, input);
    assert_eq!(bench.actions(), [Action::Stray { hop, message }]);
    bench.until(40_000);
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
    let (id, _) = bench.request(&request("BYE", B));
    let second = request("BYE", "z9hG4bK-2");
    assert_eq!(
        bench.layer.request(bench.now, bench.hop, second.clone()),
        Err(Full)
    );
    assert_eq!(bench.actions(), []);
    bench.until(32_000);
    assert!(bench.layer.is_empty());
    let again = bench.layer.request(bench.now, bench.hop, second).unwrap();
    assert_ne!(again, id, "ids are not used again");
    bench.until(70_000);
    bench.assert_empty();
}

#[test]
fn other_may_be_told_to_wait_more_than_once() {
    for transport in [UDP, TCP] {
        let mut bench = Bench::new(transport);
        let (id, _) = bench.request(&request("BYE", B));
        for code in [100, 180, 100, 200] {
            let answer = response(code, "BYE", B);
            assert_eq!(bench.comes(&answer), [bench.response(id, &answer)]);
        }
        bench.until(10_000);
        bench.assert_empty();
    }
}
