//! Calls of two trunks.

use super::*;

#[test]
fn a_call_is_set_up_and_torn_down_with_exactly_these_messages() {
    let mut bench = bench();
    let (ok, b_invite, flows) = set_up(&mut bench);

    assert_eq!(b_invite.uri(), Some("sip:100@10.71.2.2:5060"));
    assert_eq!(b_invite.max_forwards(), Some(69));
    assert_eq!(b_invite.header(Name::Subject), Some("test"));
    assert_eq!(b_invite.header(Name::Contact), Some("<sip:10.71.2.1:5060>"));
    assert_eq!(b_invite.from().uri(), "sip:al@10.71.2.1:5060");
    assert_ne!(b_invite.call_id(), "a-call");
    let text = String::from_utf8(b_invite.bytes().to_vec()).unwrap();
    assert!(!text.contains("10.71.1."), "{text}");
    let text = String::from_utf8(ok.bytes().to_vec()).unwrap();
    assert!(!text.contains("10.71.2."), "{text}");
    assert!(!text.contains("X-B"), "{text}");

    let kinds: Vec<_> = flows
        .iter()
        .map(|command| match command {
            FlowCommand::Install(pair) => (pair.kind, pair.sides[0].network, pair.sides[1].named),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        kinds,
        [
            (FlowKind::Rtp, LEFT, Some("10.71.2.2:5000".parse().unwrap())),
            (
                FlowKind::Rtcp,
                LEFT,
                Some("10.71.2.2:5001".parse().unwrap())
            ),
        ]
    );
    let up = bench.engine.stats(bench.now);
    let parties = (Party::Trunk(TrunkId(0)), Party::Trunk(TrunkId(1)));
    assert_eq!(up.calls[&parties], 1);
    assert_eq!(up.flows[&(LEFT, "user")], 2);
    assert_eq!(up.flows[&(RIGHT, "user")], 2);
    assert_eq!(up.dialogs, 2);

    bench.pass(Duration::from_secs(10));
    bench.message(
        LEFT,
        A,
        &request(
            "BYE",
            "sip:10.71.1.1:5060",
            &format!(
                "To: <sip:100@10.71.1.1>;tag={}\r\nReason: Q.850;cause=16\r\n",
                tag_of(&ok)
            ),
            "",
        ),
    );
    let actions = bench.actions();
    assert_eq!(actions.len(), 4, "{actions:?}");
    assert!(matches!(actions[0], Action::Flow(FlowCommand::Remove(_))));
    assert!(matches!(actions[1], Action::Flow(FlowCommand::Remove(_))));
    let [_, _, to_a, to_b]: [Action; 4] = actions.try_into().unwrap_or_else(|_| panic!());
    let (to, ok) = sent(to_a);
    assert_eq!((to, ok.code()), (A.parse().unwrap(), Some(200)));
    let (to, bye) = sent(to_b);
    assert_eq!(to, B.parse().unwrap());
    assert_eq!(first_line(&bye), "BYE sip:bob@10.71.2.2:5060 SIP/2.0");
    assert_eq!(bye.header(Name::Reason), Some("Q.850;cause=16"));
    assert_eq!(bye.cseq().number, b_invite.cseq().number + 1);
    bench.message(RIGHT, B, &answer(&bye, B, 200, "", ""));
    assert_eq!(bench.actions(), []);

    let down = bench.engine.stats(bench.now);
    assert_eq!(down.dialogs, 0);
    assert_eq!(
        down.calls_total[&(parties.0, parties.1, Outcome::Answered)],
        1
    );
    bench.assert_empty();
}

#[test]
fn a_failure_goes_to_the_next_destination_and_the_last_one_to_the_caller() {
    let mut bench = bench();
    bench.message(LEFT, A, &invite("200"));
    let (_, to_b) = bench.one();
    bench.message(RIGHT, B, &answer(&to_b, B, 503, "bb", ""));
    let all = bench.sent();
    let lines: Vec<_> = all.iter().map(|(to, m)| (*to, first_line(m))).collect();
    assert_eq!(
        lines,
        [
            (
                B.parse().unwrap(),
                "ACK sip:200@10.71.2.2:5060 SIP/2.0".to_owned()
            ),
            (
                C.parse().unwrap(),
                "INVITE sip:200@10.71.2.3:5060 SIP/2.0".to_owned()
            ),
        ]
    );
    bench.message(RIGHT, C, &answer(&all[1].1, C, 486, "cc", ""));
    let all = bench.sent();
    assert_eq!(first_line(&all[1].1), "SIP/2.0 486 Whatever");
    let a_tag = tag_of(&all[1].1);
    bench.message(
        LEFT,
        A,
        &request(
            "ACK",
            "sip:200@10.71.1.1",
            &format!("To: <sip:200@10.71.1.1>;tag={a_tag}\r\n"),
            "",
        )
        .replace("CSeq: 2", "CSeq: 1")
        .replace("z9hG4bKACK2", "z9hG4bKINVITE1"),
    );
    let stats = bench.engine.stats(bench.now);
    let key = (
        Party::Trunk(TrunkId(0)),
        Party::Trunk(TrunkId(2)),
        Outcome::Busy,
    );
    assert_eq!(stats.calls_total[&key], 1);
    bench.assert_empty();
}

#[test]
fn cancel_waits_for_a_provisional_answer_and_an_answer_that_crosses_it_is_hung_up() {
    let mut bench = bench();
    bench.message(LEFT, A, &invite("100"));
    let (_, to_b) = bench.one();
    bench.message(
        LEFT,
        A,
        &request(
            "CANCEL",
            "sip:100@10.71.1.1",
            "To: <sip:100@10.71.1.1>\r\n",
            "",
        ),
    );
    let codes: Vec<_> = bench
        .sent()
        .iter()
        .map(|(to, m)| (*to, m.code(), m.cseq().method.name()))
        .collect();
    let a: SocketAddr = A.parse().unwrap();
    assert_eq!(codes, [(a, Some(200), "CANCEL"), (a, Some(487), "INVITE")]);
    bench.message(RIGHT, B, &answer(&to_b, B, 180, "bb", ""));
    let (to, cancel) = bench.one();
    assert_eq!(to, B.parse().unwrap());
    assert_eq!(first_line(&cancel), "CANCEL sip:100@10.71.2.2:5060 SIP/2.0");
    assert_eq!(cancel.via().branch(), to_b.via().branch());
    // B's 200 crosses it.
    bench.message(
        RIGHT,
        B,
        &answer(&to_b, B, 200, "bb", &sdp("10.71.2.2", 5000)),
    );
    let lines: Vec<_> = bench.sent().iter().map(|(_, m)| first_line(m)).collect();
    assert_eq!(
        lines,
        [
            "ACK sip:bob@10.71.2.2:5060 SIP/2.0",
            "BYE sip:bob@10.71.2.2:5060 SIP/2.0"
        ]
    );
    let stats = bench.engine.stats(bench.now);
    let key = (
        Party::Trunk(TrunkId(0)),
        Party::Trunk(TrunkId(1)),
        Outcome::Cancelled,
    );
    assert_eq!(stats.calls_total[&key], 1);
    bench.assert_empty();
}

#[test]
fn an_offer_in_the_200_is_answered_by_the_callers_ack() {
    let mut bench = bench();
    bench.message(
        LEFT,
        A,
        &request(
            "INVITE",
            "sip:100@10.71.1.1",
            "To: <sip:100@10.71.1.1>\r\n",
            "",
        ),
    );
    let (_, to_b) = bench.one();
    assert!(to_b.body().is_empty());
    bench.message(
        RIGHT,
        B,
        &answer(&to_b, B, 200, "bb", &sdp("10.71.2.2", 5000)),
    );
    let (to, ok) = bench.one();
    assert_eq!((to, ok.code()), (A.parse().unwrap(), Some(200)));
    assert!(!ok.body().is_empty());
    let ack = request(
        "ACK",
        "sip:10.71.1.1:5060",
        &format!("To: <sip:100@10.71.1.1>;tag={}\r\n", tag_of(&ok)),
        &sdp("10.71.1.2", 4000),
    )
    .replace("CSeq: 2", "CSeq: 1");
    bench.message(LEFT, A, &ack);
    let mut actions = bench.actions();
    assert_eq!(actions.len(), 3, "{actions:?}");
    assert!(matches!(actions[0], Action::Flow(FlowCommand::Install(_))));
    let (to, ack) = sent(actions.remove(2));
    assert_eq!(to, B.parse().unwrap());
    assert_eq!(first_line(&ack), "ACK sip:bob@10.71.2.2:5060 SIP/2.0");
    assert!(!ack.body().is_empty());
    // Its 200 comes again: so does the ACK.
    bench.message(
        RIGHT,
        B,
        &answer(&to_b, B, 200, "bb", &sdp("10.71.2.2", 5000)),
    );
    assert_eq!(bench.one().1.bytes(), ack.bytes());
    bench.engine.handle_input(bench.now, Input::Stop);
    bench.actions();
    bench.assert_empty();
}

#[test]
fn without_an_ack_both_sides_are_hung_up() {
    let mut bench = bench();
    bench.message(LEFT, A, &invite("100"));
    let (_, to_b) = bench.one();
    bench.message(
        RIGHT,
        B,
        &answer(&to_b, B, 200, "bb", &sdp("10.71.2.2", 5000)),
    );
    bench.actions();
    let begin = bench.now;
    let mut times = Vec::new();
    let mut byes = Vec::new();
    while bench.now < begin + Duration::from_millis(32_100) {
        bench.pass(Duration::from_millis(100));
        for action in bench.actions() {
            let Action::Send { .. } = action else {
                continue;
            };
            let (to, message) = sent(action);
            match message.code() {
                Some(200) => times.push((bench.now - begin).as_millis()),
                _ => byes.push((to.to_string(), (bench.now - begin).as_millis())),
            }
        }
    }
    assert_eq!(
        times,
        [
            500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500
        ]
    );
    byes.sort();
    assert_eq!(byes, [(A.to_owned(), 32000), (B.to_owned(), 32000)]);
    let stats = bench.engine.stats(bench.now);
    let key = (
        Party::Trunk(TrunkId(0)),
        Party::Trunk(TrunkId(1)),
        Outcome::Failed,
    );
    assert_eq!(stats.calls_total[&key], 1);
    bench.assert_empty();
}

#[test]
fn what_changes_nothing_is_answered_as_before_and_what_does_is_offered_to_the_other_side() {
    let mut bench = bench();
    let (ok, b_invite, _) = set_up(&mut bench);
    let tag = tag_of(&ok);
    let to = format!("To: <sip:100@10.71.1.1>;tag={tag}\r\n");
    let reinvite = |number: u32, body: &str| {
        request("INVITE", "sip:10.71.1.1:5060", &to, body)
            .replace("CSeq: 1", &format!("CSeq: {number}"))
            .replace("z9hG4bKINVITE1", &format!("z9hG4bKre{number}"))
    };
    let ack = |number: u32| {
        request("ACK", "sip:10.71.1.1:5060", &to, "")
            .replace("CSeq: 2", &format!("CSeq: {number}"))
            .replace("z9hG4bKACK2", &format!("z9hG4bKack{number}"))
    };
    bench.message(LEFT, A, &reinvite(2, &sdp("10.71.1.2", 4000)));
    let (_, again) = bench.one();
    assert_eq!(again.code(), Some(200));
    assert_eq!(again.body(), ok.body());
    bench.message(LEFT, A, &ack(2));

    // On hold.
    let hold = sdp("10.71.1.2", 4000).replace("1 1 IN", "1 2 IN") + "a=sendonly\r\n";
    bench.message(LEFT, A, &reinvite(3, &hold));
    let (to_b, offer) = bench.one();
    assert_eq!(to_b, B.parse().unwrap());
    assert_eq!(first_line(&offer), "INVITE sip:bob@10.71.2.2:5060 SIP/2.0");
    assert_eq!(offer.cseq().number, b_invite.cseq().number + 1);
    assert!(String::from_utf8_lossy(offer.body()).contains("a=sendonly"));
    // A's next one must wait; the lower CSeq is refused.
    bench.message(LEFT, A, &reinvite(4, &sdp("10.71.1.2", 4002)));
    assert_eq!(bench.one().1.code(), Some(500));
    bench.message(LEFT, A, &reinvite(1, &hold));
    assert_eq!(bench.one().1.code(), Some(500));
    let held = sdp("10.71.2.2", 5000) + "a=recvonly\r\n";
    bench.message(RIGHT, B, &answer(&offer, B, 200, "", &held));
    let all: Vec<_> = bench
        .actions()
        .into_iter()
        .filter(|a| matches!(a, Action::Send { .. }))
        .map(sent)
        .collect();
    assert_eq!(first_line(&all[0].1), "ACK sip:bob@10.71.2.2:5060 SIP/2.0");
    assert_eq!(all[1].1.code(), Some(200));
    assert!(String::from_utf8_lossy(all[1].1.body()).contains("a=recvonly"));
    bench.message(LEFT, A, &ack(3));
    assert_eq!(bench.actions(), []);

    bench.engine.handle_input(bench.now, Input::Stop);
    bench.actions();
    bench.assert_empty();
}

#[test]
fn media_has_the_mark_of_the_network_that_it_goes_to() {
    let text = CONFIG.replacen(
        "[network.right]",
        "[network.right]\ndscp = { media = 34 }",
        1,
    );
    let mut bench = bench_of(&text, Limits::default());
    let (.., flows) = set_up(&mut bench);
    let marks = flows.iter().filter_map(|command| match command {
        FlowCommand::Install(pair) => Some((pair.sides[0].dscp, pair.sides[1].dscp)),
        _ => None,
    });
    assert_eq!(marks.collect::<Vec<_>>(), [(46, 34), (46, 34)]);
}
