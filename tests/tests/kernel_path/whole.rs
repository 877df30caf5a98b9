//! Pairs whose packets the kernel hands over whole, payload included.

use sbc::config::FlightRecorder;
use sbc_ebpf::flight_abi::Whole;

use super::*;

/// The flight recorder for so many calls, with payload.
fn recording(lab: &Lab, calls: u16) -> FastPath {
    let config = Config {
        flight_recorder: Some(FlightRecorder {
            calls,
            directory: None,
            mos: None,
            loss: None,
            files: 1,
            payload: true,
        }),
        ..config(Wanted::Auto)
    };
    let opened = lab.edge.enter(|| FastPath::open(&config)).unwrap();
    opened.fast_path.unwrap()
}

/// The call of this number, each at ports of its own.
fn call(number: u16) -> FlowPair {
    let at = |ip: &str, port: u16| format!("{ip}:{}", port + 2 * number);
    pair(
        number.into(),
        (&at("10.71.1.1", 30000), &at("10.71.1.2", 4000)),
        (&at("10.71.2.1", 31000), &at("10.71.2.2", 5000)),
    )
}

#[test]
fn packets_are_handed_over_from_when_they_are_wanted_until_they_are_not() {
    let Some(lab) = build("whole packets") else {
        return;
    };
    let mut fast_path = recording(&lab, 1);
    let mut wholes = fast_path.take_wholes().unwrap();
    let mut come = |rings: [u16; 2]| {
        let mut come = Vec::new();
        while let Some(item) = wholes.next() {
            let whole = Whole::read(&item).unwrap();
            let side = rings.iter().position(|ring| whole.ring == u32::from(*ring));
            come.push((side.unwrap(), whole.payload().to_vec()));
        }
        come
    };
    let phone = socket(&lab.phone, "10.71.1.2:4002");
    let carrier = socket(&lab.carrier, "10.71.2.2:5002");
    fast_path.install(&call(1).into()).unwrap();
    let rings = fast_path.rings(PairId(1)).unwrap();
    reaches(&phone, "10.71.1.1:30002", &carrier, "10.71.2.1:31002");
    reaches(&carrier, "10.71.2.1:31002", &phone, "10.71.1.1:30002");
    assert_eq!(come(rings), []);
    let before = fast_path.report(PairId(1)).unwrap();

    fast_path.set_whole(PairId(1), true).unwrap();
    streams(&phone, "10.71.1.1:30002", &carrier, 30);
    streams(&carrier, "10.71.2.1:31002", &phone, 10);
    let expected = (0..30).map(|n| (0, rtp(n)));
    let expected = expected.chain((0..10).map(|n| (1, rtp(n))));
    assert_eq!(come(rings), expected.collect::<Vec<_>>());
    // Also after signalling has changed something.
    fast_path.update(&call(1).into()).unwrap();
    streams(&phone, "10.71.1.1:30002", &carrier, 3);
    assert_eq!(come(rings).len(), 3);
    assert_eq!(fast_path.lost(PairId(1)), 0);

    fast_path.set_whole(PairId(1), false).unwrap();
    streams(&phone, "10.71.1.1:30002", &carrier, 30);
    streams(&carrier, "10.71.2.1:31002", &phone, 10);
    assert_eq!(come(rings), []);
    // Nothing that was counted is lost by it.
    let after = fast_path.report(PairId(1)).unwrap();
    assert_eq!(after.sides[0].packets, before.sides[0].packets + 63);

    // What nobody reads is lost, and counted.
    fast_path.set_whole(PairId(1), true).unwrap();
    streams(&phone, "10.71.1.1:30002", &carrier, 1_000);
    let kept = come(rings).len() as u64;
    let lost = fast_path.lost(PairId(1));
    assert!(lost > 100 && kept + lost == 1_000, "{kept} and {lost}");
    assert_eq!(fast_path.lost(PairId(1)), 0);

    // Whoever has the pair's ring next has nothing of it.
    fast_path.remove(PairId(1)).unwrap();
    fast_path.install(&call(1).into()).unwrap();
    streams(&phone, "10.71.1.1:30002", &carrier, 5);
    assert_eq!(come(rings), []);
}

#[test]
fn there_is_room_for_calls_that_are_beyond_those_that_are_kept() {
    let Some(lab) = build("reserved rings") else {
        return;
    };
    let mut fast_path = recording(&lab, 1);
    for number in 1..=4 {
        fast_path.install(&call(number).into()).unwrap();
    }
    let has = |fast_path: &FastPath, number| fast_path.rings(PairId(number)).is_some();
    // A call is two pairs.
    assert_eq!(
        [1, 2, 3, 4].map(|n| has(&fast_path, n)),
        [true, true, false, false]
    );
    fast_path.set_whole(PairId(4), true).unwrap();
    assert!(has(&fast_path, 4));
    // One that is wanted before it begins.
    fast_path.set_whole(PairId(5), true).unwrap();
    fast_path.install(&call(5).into()).unwrap();
    assert!(has(&fast_path, 5));
    for number in 1..=5 {
        fast_path.remove(PairId(number));
    }
    for number in 6..=8 {
        fast_path.install(&call(number).into()).unwrap();
    }
    // Those that are for whoever is recorded are nobody else's.
    assert_eq!([6, 7, 8].map(|n| has(&fast_path, n)), [true, true, false]);
}
