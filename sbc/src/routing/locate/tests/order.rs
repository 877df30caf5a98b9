//! RFC 2782: priority, then weight; and servers that rest.

use super::super::Unwell;
use super::*;

const UDP: &str = "_sip._udp.carrier.example";

fn three(weights: [u16; 3]) -> Stage {
    let [a, b, c] = weights;
    let stage = Stage::server("sip:carrier.example;transport=udp");
    let records = [
        (1, a, 5060, "a.example"),
        (1, b, 5060, "b.example"),
        (1, c, 5060, "c.example"),
        (2, 9, 5060, "d.example"),
    ];
    let stage = stage
        .srv(UDP, &records)
        .a("a.example", &["10.0.0.10"])
        .a("b.example", &["10.0.0.11"]);
    stage
        .a("c.example", &["10.0.0.12"])
        .a("d.example", &["10.0.0.13"])
        .settle()
}

/// How often each is the first of 4,000.
fn firsts(stage: &mut Stage) -> BTreeMap<String, usize> {
    let mut count = BTreeMap::new();
    for _ in 0..4000 {
        let way = stage.way();
        assert_eq!((way.len(), way[3].as_str()), (4, "udp:10.0.0.13:5060"));
        *count.entry(way[0].clone()).or_default() += 1;
    }
    count
}

#[test]
fn calls_spread_by_weight() {
    let mut stage = three([60, 30, 10]);
    let count = firsts(&mut stage);
    for (server, share) in [
        ("udp:10.0.0.10:5060", 2400),
        ("udp:10.0.0.11:5060", 1200),
        ("udp:10.0.0.12:5060", 400),
    ] {
        assert!(count[server].abs_diff(share) < 200, "{server}: {count:?}");
    }
}

#[test]
fn without_weights_all_are_alike() {
    let count = firsts(&mut three([0, 0, 0]));
    assert!(
        count.values().all(|times| times.abs_diff(1333) < 200),
        "{count:?}"
    );
    assert_eq!(count.len(), 3);
}

#[test]
fn without_weight_beside_others_there_is_a_small_chance() {
    let count = firsts(&mut three([0, 50, 49]));
    let times = count.get("udp:10.0.0.10:5060").copied().unwrap_or_default();
    assert!((1..200).contains(&times), "{count:?}");
}

#[test]
fn addresses_of_one_name_take_turns() {
    let stage = Stage::server("sip:carrier.example:5060");
    let mut stage = stage
        .a("carrier.example", &["10.0.0.10", "10.0.0.11"])
        .settle();
    let mut count = BTreeMap::new();
    for _ in 0..1000 {
        *count.entry(stage.way().remove(0)).or_insert(0_usize) += 1;
    }
    assert!(
        count.values().all(|times| times.abs_diff(500) < 100),
        "{count:?}"
    );
}

fn two() -> Stage {
    let stage = Stage::server("sip:carrier.example;transport=udp");
    let stage = stage.srv(UDP, &[(1, 0, 5060, "a.example"), (2, 0, 5060, "b.example")]);
    let mut stage = stage
        .a("a.example", &["10.0.0.10"])
        .a("b.example", &["10.0.0.11"])
        .settle();
    stage.told();
    stage
}

const A: &str = "udp:10.0.0.10:5060";
const B: &str = "udp:10.0.0.11:5060";

#[test]
fn who_fails_rests_longer_each_time_and_is_asked_last() {
    let mut stage = two();
    for rest in [30, 60, 120, 240, 300, 300] {
        let how = Unwell::Silent;
        stage
            .places
            .failed(stage.now, &stage.config, TRUNK, place(A), how);
        // Once is enough.
        stage
            .places
            .failed(stage.now, &stage.config, TRUNK, place(A), how);
        stage.run();
        let time = seconds(rest);
        assert_eq!(
            stage.told(),
            [News::Rests {
                trunk: TRUNK,
                place: place(A),
                how,
                time
            }]
        );
        assert_eq!(stage.way(), [B, A]);
        stage.now += time - Duration::from_millis(1);
        assert_eq!(stage.way(), [B, A]);
        stage.now += Duration::from_millis(1);
        assert_eq!(stage.way(), [A, B]);
    }
    stage.places.heard(&stage.config, TRUNK, place(A));
    stage.places.heard(&stage.config, TRUNK, place(A));
    stage.run();
    assert_eq!(
        stage.told(),
        [News::Recovered {
            trunk: TRUNK,
            place: place(A)
        }]
    );
    stage.places.failed(
        stage.now,
        &stage.config,
        TRUNK,
        place(A),
        Unwell::Unreachable,
    );
    assert_eq!(
        stage.places.view(stage.now, &stage.config, TRUNK)[0].rests,
        Some(seconds(30))
    );
}

#[test]
fn where_all_rest_the_one_that_is_done_first_is_asked() {
    let mut stage = two();
    stage.places.failed(
        stage.now,
        &stage.config,
        TRUNK,
        place(A),
        Unwell::Unavailable(Some(seconds(100))),
    );
    stage.places.failed(
        stage.now,
        &stage.config,
        TRUNK,
        place(B),
        Unwell::Unavailable(Some(seconds(20))),
    );
    assert_eq!(stage.way(), [B, A]);
    stage.now += seconds(50);
    assert_eq!(stage.way(), [B, A]);
    assert_eq!(stage.places.resting(stage.now), 1);
}

#[test]
fn what_a_server_says_of_its_rest_has_bounds() {
    for (said, time) in [(0, 1), (7, 7), (86_400, 300)] {
        let mut stage = two();
        let how = Unwell::Unavailable(Some(seconds(said)));
        stage
            .places
            .failed(stage.now, &stage.config, TRUNK, place(A), how);
        stage.run();
        let time = seconds(time);
        assert_eq!(
            stage.told(),
            [News::Rests {
                trunk: TRUNK,
                place: place(A),
                how,
                time
            }]
        );
    }
}

#[test]
fn who_is_alone_does_not_rest() {
    let mut stage = Stage::server("sip:carrier.example:5060")
        .a("carrier.example", &["10.0.0.9"])
        .settle();
    stage.told();
    stage.places.failed(
        stage.now,
        &stage.config,
        TRUNK,
        place("udp:10.0.0.9:5060"),
        Unwell::Silent,
    );
    stage.run();
    assert_eq!((stage.told(), stage.places.resting(stage.now)), (vec![], 0));
}

#[test]
fn who_takes_no_tcp_is_asked_again_after_a_while() {
    let mut stage = two();
    let network = crate::config::NetworkId(0);
    let address = place(A).address;
    assert!(stage.places.may_take_tcp(stage.now, network, address));
    stage.places.refuses_tcp(stage.now, network, address);
    assert!(!stage.places.may_take_tcp(stage.now, network, address));
    assert!(
        stage
            .places
            .may_take_tcp(stage.now, network, place(B).address)
    );
    stage.now += seconds(600);
    assert!(stage.places.may_take_tcp(stage.now, network, address));
}
