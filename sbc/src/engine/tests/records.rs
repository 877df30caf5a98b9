//! One record of each call attempt, and what is in it.

use super::dialogs::from_b;
use super::offers::{held, mine, theirs, turn};
use super::sessions::only;
use super::*;
use crate::engine::{CallRecord, Recorded};
use crate::media::{Faults, FlowCount, FlowReport, PairId, Quality};
use crate::routing::Timestamp;

const BEGIN: i64 = 1_800_000_000;

fn bench() -> Bench {
    recording(super::bench())
}

fn recording(mut bench: Bench) -> Bench {
    bench.engine = bench.engine.recording(0xabc);
    let clock = Timestamp::from_second(BEGIN).unwrap();
    bench.engine.handle_input(bench.now, Input::Clock(clock));
    bench
}

fn records(bench: &mut Bench) -> (Vec<CallRecord>, Vec<CallRecord>) {
    let (mut open, mut done) = (Vec::new(), Vec::new());
    while let Some(record) = bench.engine.poll_record() {
        match record {
            Recorded::Open(record) => open.push(record),
            Recorded::Done(record) => done.push(record),
        }
    }
    (open, done)
}

/// The only one.
fn record(bench: &mut Bench) -> CallRecord {
    bench.pass(Duration::from_secs(100));
    bench.actions();
    let (_, mut done) = records(bench);
    assert_eq!(done.len(), 1, "{done:?}");
    done.remove(0)
}

fn at(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp::from_second(BEGIN + seconds).unwrap())
}

fn tries(record: &CallRecord) -> Vec<(&str, Option<u16>)> {
    let tries = record.tries.iter();
    tries.map(|tried| (tried.to.as_str(), tried.code)).collect()
}

/// What each flow that is being removed has done.
fn report(bench: &mut Bench, packets: [u64; 2], lost: u64) {
    let side = |packets, lost, round_trip| FlowCount {
        packets,
        bytes: 172 * packets,
        latched: None,
        silent: None,
        faults: Faults::default(),
        round_trip,
        quality: Quality {
            lost,
            jitter: Duration::from_micros(1_500),
            ..Quality::default()
        },
    };
    let far = Some(Duration::from_millis(40));
    let sides = [side(packets[0], 0, far), side(packets[1], lost, None)];
    for action in bench.actions() {
        if let Action::Flow(FlowCommand::Remove(pair)) = action {
            let report = match pair {
                PairId(id) if id % 2 == 1 => FlowReport { sides },
                _ => FlowReport::default(),
            };
            let ended = Input::FlowEnded { pair, report };
            bench.engine.handle_input(bench.now, ended);
        }
    }
}

#[test]
fn a_call_that_was_taken() {
    let mut bench = bench();
    bench.message(LEFT, A, &invite("100"));
    let (_, b_invite) = bench.one();
    let (open, done) = records(&mut bench);
    assert_eq!((open.len(), done.len()), (1, 0));
    assert_eq!(open[0].outcome, "interrupted");
    bench.pass(Duration::from_secs(2));
    bench.message(RIGHT, B, &answer(&b_invite, B, 180, "bb", ""));
    bench.actions();
    bench.pass(Duration::from_secs(5));
    let body = sdp("10.71.2.2", 5000);
    bench.message(RIGHT, B, &answer(&b_invite, B, 200, "bb", &body));
    let ok = bench
        .actions()
        .into_iter()
        .filter_map(|action| match action {
            Action::Send { hop, bytes } if hop.remote == A.parse().unwrap() => {
                Message::parse(bytes, &Default::default()).ok()
            }
            _ => None,
        });
    let ok = ok.last().unwrap();
    let (open, _) = records(&mut bench);
    assert_eq!((open.len(), open[0].answer), (1, at(7)));
    let to = format!("To: <sip:100@10.71.1.1>;tag={}\r\n", tag_of(&ok));
    let ack = request("ACK", "sip:10.71.1.1:5060", &to, "").replace("CSeq: 2", "CSeq: 1");
    bench.message(LEFT, A, &ack);
    bench.pass(Duration::from_millis(60_001));
    // The clock is set while the call is up: its times do not care.
    let wrong = Timestamp::from_second(5).unwrap();
    bench.engine.handle_input(bench.now, Input::Clock(wrong));
    let bye = request("BYE", "sip:10.71.1.1:5060", &to, "")
        .replace("Contact:", "Reason: Q.850;cause=16\r\nContact:");
    bench.message(LEFT, A, &bye);
    report(&mut bench, [3000, 2850], 150);
    let record = record(&mut bench);
    let expected = CallRecord {
        id: "0000000000000abc-1".into(),
        node: "lab".into(),
        call: Some("0000000000000001".into()),
        begin: at(0).unwrap(),
        ring: at(2),
        answer: at(7),
        end: at(67).unwrap() + Duration::from_millis(1),
        from: "trunk:a".into(),
        from_network: "left".into(),
        from_address: A.into(),
        to: Some("trunk:b".into()),
        to_network: Some("right".into()),
        to_address: Some(B.into()),
        calling: "al".into(),
        calling_sent: Some("al".into()),
        called: "100".into(),
        called_sent: Some("100".into()),
        caller_call_id: "a-call".into(),
        callee_call_id: Some(b_invite.call_id().into()),
        route: record.route.clone(),
        emergency: false,
        tries: record.tries.clone(),
        transfers: Vec::new(),
        outcome: "answered".into(),
        code: Some(200),
        cause: Some(16),
        ended_by: "caller".into(),
        reason: "the caller hung up".into(),
        pdd_ms: Some(2_000),
        ring_ms: Some(5_000),
        duration_ms: 60_001,
        billable_s: 61,
        media: "user".into(),
        media_reason: Some("off".into()),
        one_way: None,
        caller_codec: Some("PCMU".into()),
        caller_packets: 3000,
        caller_bytes: 516_000,
        caller_lost: 0,
        caller_jitter_ms: 1.5,
        caller_mos: Some(4.39),
        callee_codec: Some("PCMU".into()),
        callee_packets: 2850,
        callee_bytes: 490_200,
        callee_lost: 150,
        callee_jitter_ms: 1.5,
        callee_mos: Some(3.88),
        verdict: Vec::new(),
        caller_round_trip_ms: Some(40.0),
        callee_round_trip_ms: None,
    };
    assert_eq!(record, expected);
    assert!(record.route.is_some());
    assert_eq!(tries(&record), [("trunk:b", Some(200))]);
    assert_eq!(record.tries[0].address, B);
    let stats = bench.engine.stats(bench.now);
    let heard = stats.mos.iter();
    let heard = heard.map(|(who, mos)| (*who, mos.0.counts().iter().sum::<u64>()));
    let both = [0, 1].map(|id| (Party::Trunk(TrunkId(id)), 1));
    assert_eq!(heard.collect::<Vec<_>>(), both);
    assert_eq!(stats.full, Default::default());
}

#[test]
fn one_that_only_one_of_the_two_was_heard_in() {
    let mut bench = bench();
    let (_, b_invite, _) = set_up(&mut bench);
    bench.pass(Duration::from_secs(10));
    let bye = from_b("BYE", &b_invite, 1, "");
    bench.message(RIGHT, B, &bye);
    report(&mut bench, [500, 0], 0);
    let record = record(&mut bench);
    assert_eq!(record.one_way.as_deref(), Some("callee"));
    assert_eq!(record.ended_by, "callee");
    assert_eq!((record.callee_mos, record.duration_ms), (None, 10_000));
}

#[test]
fn who_is_to_hear_only_is_not_missed() {
    // It begins to listen, and ten seconds later it is to speak, or goes on listening.
    for missed in [None, Some("callee")] {
        let mut bench = bench();
        let listens = held(&theirs(), "recvonly");
        let (_, b_invite, _) = set_up_with(&mut bench, &listens);
        bench.pass(Duration::from_secs(10));
        if missed.is_some() {
            bench.message(RIGHT, B, &from_b("INVITE", &b_invite, 1, &theirs()));
            let to_a = only(&mut bench, A);
            bench.message(LEFT, A, &answer(&to_a, A, 200, "", &mine()));
            turn(&mut bench);
            bench.message(RIGHT, B, &from_b("ACK", &b_invite, 1, ""));
        }
        let bye = from_b("BYE", &b_invite, 2, "");
        bench.message(RIGHT, B, &bye);
        report(&mut bench, [500, 0], 0);
        let record = record(&mut bench);
        assert_eq!(record.one_way.as_deref(), missed);
        let counted = bench.engine.stats(bench.now).one_way;
        assert_eq!(counted.values().sum::<u64>(), u64::from(missed.is_some()));
    }
}

#[test]
fn one_that_was_tried_elsewhere_and_refused() {
    let mut bench = bench();
    bench.message(LEFT, A, &invite("200"));
    let (_, to_b) = bench.one();
    bench.message(RIGHT, B, &answer(&to_b, B, 503, "bb", ""));
    let (_, to_c) = bench.sent().remove(1);
    let busy = answer(&to_c, C, 486, "cc", "").replace("X-B:", "Reason: Q.850;cause=17\r\nX-B:");
    bench.message(RIGHT, C, &busy);
    let record = record(&mut bench);
    assert_eq!(
        tries(&record),
        [("trunk:b", Some(503)), ("trunk:c", Some(486))]
    );
    assert_eq!(record.to.as_deref(), Some("trunk:c"));
    assert_eq!((record.code, record.cause), (Some(486), Some(17)));
    assert_eq!(record.outcome, "busy");
    assert_eq!(record.ended_by, "callee");
    assert_eq!((record.answer, record.pdd_ms), (None, None));
    assert_eq!((record.billable_s, record.media.as_str()), (0, "none"));
}

#[test]
fn one_that_the_caller_gave_up() {
    let mut bench = bench();
    bench.message(LEFT, A, &invite("100"));
    let (_, b_invite) = bench.one();
    bench.message(RIGHT, B, &answer(&b_invite, B, 180, "bb", ""));
    bench.actions();
    bench.pass(Duration::from_millis(1_500));
    let to = "To: <sip:100@10.71.1.1>\r\n";
    bench.message(LEFT, A, &request("CANCEL", "sip:100@10.71.1.1", to, ""));
    bench.message(RIGHT, B, &answer(&b_invite, B, 487, "bb", ""));
    let record = record(&mut bench);
    assert_eq!(record.outcome, "cancelled");
    assert_eq!(
        (record.code, record.ended_by.as_str()),
        (Some(487), "caller")
    );
    assert_eq!((record.pdd_ms, record.ring_ms), (Some(0), Some(1_500)));
    assert_eq!(record.end, at(1).unwrap() + Duration::from_millis(500));
}

#[test]
fn one_that_leads_nowhere() {
    let mut bench = bench();
    bench.message(LEFT, A, &invite("999"));
    assert_eq!(bench.one().1.code(), Some(404));
    let record = record(&mut bench);
    assert_eq!((record.code, record.ended_by.as_str()), (Some(404), "box"));
    assert_eq!((record.call, record.route, record.to), (None, None, None));
    assert_eq!(
        (record.called.as_str(), record.outcome.as_str()),
        ("999", "rejected")
    );
    // A stranger's is none of ours.
    bench.message(
        LEFT,
        "10.71.1.77:5060",
        &invite("100").replace("a-call", "x"),
    );
    bench.actions();
    assert_eq!(records(&mut bench), (Vec::new(), Vec::new()));
}

#[test]
fn one_that_nobody_answers_to_and_one_that_the_box_ends() {
    let mut bench = bench();
    bench.message(LEFT, A, &invite("100"));
    bench.actions();
    let silent = record(&mut bench);
    assert_eq!(tries(&silent), [("trunk:b", None)]);
    assert_eq!((silent.code, silent.ended_by.as_str()), (Some(408), "box"));
    let mut bench = recording(super::bench());
    set_up(&mut bench);
    bench.engine.handle_input(bench.now, Input::Stop);
    report(&mut bench, [5, 5], 0);
    let stopped = record(&mut bench);
    assert_eq!(stopped.ended_by, "box");
    assert_eq!(stopped.reason, "the box stops");
    assert_eq!(stopped.outcome, "failed");
}

#[test]
fn nobody_who_does_not_want_records_has_any() {
    let mut bench = super::bench();
    set_up(&mut bench);
    bench.message(LEFT, A, &invite("999").replace("a-call", "b-call"));
    bench.actions();
    assert_eq!(bench.engine.poll_record(), None);
}

#[test]
fn the_fields_are_as_they_are_written() {
    let value = serde_json::to_value(CallRecord::default()).unwrap();
    let mut written: Vec<&str> = value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let mut fields = CallRecord::FIELDS.to_vec();
    written.sort_unstable();
    fields.sort_unstable();
    assert_eq!(written, fields);
}
