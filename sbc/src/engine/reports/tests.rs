use super::super::stats::{Outcome, Stats};
use super::*;
use crate::media::{Fallback, Faults, FlowCount, Path, Side};

const CALL: CallId = CallId(1);
const LEFT: NetworkId = NetworkId(0);
const RIGHT: NetworkId = NetworkId(1);
const CALLER: Party = Party::Trunk(crate::config::TrunkId(7));
fn subject(kind: FlowKind, clock_rates: [u32; 2]) -> Subject {
    let side = |network, clock_rate| Side {
        clock_rate,
        ..Side::new(network, "192.0.2.1:20000".parse().unwrap())
    };
    let pair = FlowPair {
        id: PairId(0),
        kind,
        sides: [side(LEFT, clock_rates[0]), side(RIGHT, clock_rates[1])],
        path: Path::User(Fallback::Off),
        companion: None,
    };
    Subject::new(CALL, &Arc::new(pair), [CALLER, Party::Phones(RIGHT)])
}

fn count(packets: u64, lost: u64, jitter: u64) -> FlowCount {
    FlowCount {
        packets,
        bytes: 172 * packets,
        latched: None,
        silent: None,
        faults: Faults::default(),
        quality: Quality {
            lost,
            reordered: 1,
            duplicate: 2,
            ssrc_changes: 3,
            jitter: Duration::from_millis(jitter),
        },
        round_trip: None,
    }
}

fn end() -> Event {
    Event::CallEnded {
        call: CALL,
        from: Party::Nobody,
        to: Party::Nobody,
        outcome: Outcome::Answered,
        reason: String::new(),
        duration: Duration::ZERO,
        media: Default::default(),
        one_way: None,
        verdict: Vec::new(),
    }
}

fn media(event: Option<Event>) -> Option<[LegMedia; 2]> {
    match event? {
        Event::CallEnded { media, .. } => Some(media),
        other => panic!("{other:?}"),
    }
}

fn leg(packets: u64, lost: u64, jitter: u64, streams: u64) -> LegMedia {
    LegMedia {
        packets,
        bytes: 172 * packets,
        lost,
        reordered: streams,
        duplicate: 2 * streams,
        ssrc_changes: 3 * streams,
        jitter: Duration::from_millis(jitter),
        round_trip: None,
    }
}

#[test]
fn the_end_of_a_call_has_all_its_streams_and_waits_for_them() {
    let now = Instant::now();
    let (mut reports, mut counters) = (Reports::default(), Counters::default());
    let kinds = [FlowKind::Rtp, FlowKind::Rtcp, FlowKind::Opaque];
    for (id, kind) in (1..).map(PairId).zip(kinds) {
        reports.expect(now, id, subject(kind, [8000, 0]));
    }
    let report = |a, b| FlowReport { sides: [a, b] };
    // While the call goes on, a stream ends.
    let first = report(count(100, 7, 4), count(50, 1, 9));
    assert_eq!(reports.ended(PairId(1), &first, &mut counters), None);
    assert_eq!(reports.call_ended(CALL, end(), &mut counters), None);
    let rtcp = report(count(10, 0, 0), count(10, 0, 0));
    assert_eq!(reports.ended(PairId(2), &rtcp, &mut counters), None);
    assert!(!reports.is_empty());
    let last = report(count(3, 0, 2), count(0, 0, 0));
    let ended = reports.ended(PairId(3), &last, &mut counters);
    assert_eq!(media(ended), Some([leg(103, 7, 4, 2), leg(50, 1, 9, 2)]));
    assert!(reports.is_empty());
    assert_eq!(reports.poll_timeout(), None);
    // Nobody waits for this one.
    assert_eq!(reports.ended(PairId(3), &last, &mut counters), None);
    let mut stats = Stats::default();
    counters.copy_to(&mut stats);
    // The caller's RTP is the only stream whose clock is known.
    assert_eq!(stats.media_jitter.0.counts().iter().sum::<u64>(), 1);
    assert_eq!(stats.media_jitter.0.sum(), 0.004);
}

#[test]
fn how_a_call_sounds_depends_on_what_its_rtcp_says_in_the_end() {
    let now = Instant::now();
    let score = |round_trips: [Option<u64>; 2]| {
        let (mut reports, mut counters) = (Reports::default(), Counters::default());
        let mut spoken = subject(FlowKind::Rtp, [8000; 2]);
        // The caller has nothing but PCMU.
        Arc::get_mut(&mut spoken.pair).unwrap().sides[0].timed = 1;
        reports.expect(now, PairId(1), spoken);
        reports.expect(now, PairId(2), subject(FlowKind::Rtcp, [0; 2]));
        let sides = [count(1000, 0, 0); 2];
        reports.ended(PairId(1), &FlowReport { sides }, &mut counters);
        reports.call_ended(CALL, end(), &mut counters);
        let sides = round_trips.map(|ms| FlowCount {
            round_trip: ms.map(Duration::from_millis),
            ..count(10, 0, 0)
        });
        let ended = reports.ended(PairId(2), &FlowReport { sides }, &mut counters);
        let told = media(ended).unwrap().map(|leg| leg.round_trip);
        assert_eq!(told, round_trips.map(|ms| ms.map(Duration::from_millis)));
        let mut stats = Stats::default();
        counters.copy_to(&mut stats);
        assert_eq!(stats.mos.len(), 1);
        let observed = stats.round_trip.values();
        let observed = observed.map(|trips| trips.0.counts().iter().sum::<u64>());
        let known = round_trips.iter().flatten().count() as u64;
        assert_eq!(observed.sum::<u64>(), known);
        (100.0 * stats.mos[&CALLER].0.sum()).round() / 100.0
    };
    let scores = [[None; 2], [Some(40), None], [Some(300); 2], [Some(600); 2]].map(score);
    assert_eq!(scores, [4.4, 4.39, 3.59, 1.59]);
}

#[test]
fn a_call_is_one_way_when_one_side_was_heard_and_the_other_never() {
    let one_way = |packets: [u64; 2], seconds| {
        let (mut reports, mut counters) = (Reports::default(), Counters::default());
        reports.expect(Instant::now(), PairId(1), subject(FlowKind::Rtp, [8000; 2]));
        let mut end = end();
        if let Event::CallEnded { duration, .. } = &mut end {
            *duration = Duration::from_secs(seconds);
        }
        reports.call_ended(CALL, end, &mut counters);
        let sides = packets.map(|packets| count(packets, 0, 0));
        match reports.ended(PairId(1), &FlowReport { sides }, &mut counters)? {
            Event::CallEnded { one_way, .. } => one_way,
            other => panic!("{other:?}"),
        }
    };
    for packets in [[0, 0], [500, 1], [99, 0]] {
        assert_eq!(one_way(packets, 60), None, "{packets:?}");
    }
    // The announcement before it was refused.
    assert_eq!(one_way([0, 500], 0), None);
    assert_eq!(one_way([500, 0], 60), Some(Silent::Called));
    assert_eq!(one_way([0, 100], 2), Some(Silent::Caller));
}

#[test]
fn who_was_never_to_send_anything_is_not_missed() {
    let heard = |packets| LegMedia {
        packets,
        ..LegMedia::default()
    };
    for (packets, were_wanted, silent) in [
        ([500, 0], [true, false], None),
        ([0, 500], [false, true], None),
        ([500, 0], [false, true], Some(Silent::Called)),
        ([0, 500], [true, false], Some(Silent::Caller)),
    ] {
        assert_eq!(unheard(packets.map(heard), were_wanted), silent);
    }
}

#[test]
fn a_call_without_flows_waits_for_nothing() {
    let (mut reports, mut counters) = (Reports::default(), Counters::default());
    let ended = reports.call_ended(CALL, end(), &mut counters);
    assert_eq!(media(ended), Some(Default::default()));
}

#[test]
fn what_does_not_report_is_given_up() {
    let now = Instant::now();
    let (mut reports, mut counters) = (Reports::default(), Counters::default());
    reports.expect(now, PairId(1), subject(FlowKind::Rtp, [8000; 2]));
    reports.expect(now + WAIT / 2, PairId(2), subject(FlowKind::Rtp, [8000; 2]));
    reports.call_ended(CALL, end(), &mut counters);
    assert_eq!(reports.poll_timeout(), Some(now + WAIT));
    assert_eq!(
        reports.give_up(now + WAIT, &mut counters),
        (vec![], vec![PairId(1)])
    );
    let report = FlowReport {
        sides: [count(5, 0, 1), count(6, 0, 1)],
    };
    let ended = reports.ended(PairId(2), &report, &mut counters);
    assert_eq!(media(ended), Some([leg(5, 0, 1, 1), leg(6, 0, 1, 1)]));
    reports.expect(now, PairId(3), subject(FlowKind::Rtp, [8000; 2]));
    reports.call_ended(CALL, end(), &mut counters);
    let given_up = reports.give_up(now + WAIT, &mut counters);
    assert_eq!(given_up, (vec![end()], vec![PairId(3)]));
    assert!(reports.is_empty());
    assert_eq!(reports.poll_timeout(), None);
}

#[test]
fn counters_have_what_is_new_and_never_go_back() {
    let mut counters = Counters::default();
    let mut subject = subject(FlowKind::Rtp, [8000; 2]);
    let mut total = |lost: [u64; 2]| {
        let report = FlowReport {
            sides: lost.map(|lost| count(1, lost, 0)),
        };
        subject.count(&report, &mut counters);
        let mut stats = Stats::default();
        counters.copy_to(&mut stats);
        [LEFT, RIGHT].map(|network| {
            let quality = stats.media_quality[&network];
            assert_eq!((quality.reordered, quality.duplicate), (1, 2));
            assert_eq!((quality.ssrc_changes, quality.jitter), (3, Duration::ZERO));
            quality.lost
        })
    };
    assert_eq!(total([3, 0]), [3, 0]);
    assert_eq!(total([3, 1]), [3, 1]);
    // Two of the three were only late; two others are lost since.
    assert_eq!(total([1, 1]), [3, 1]);
    assert_eq!(total([3, 1]), [3, 1]);
    assert_eq!(total([4, 9]), [4, 9]);
}
