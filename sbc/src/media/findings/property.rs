//! Facts of any kind: no panic, a finding for each of the two at most, and none for who hears.

use proptest::prelude::*;

use super::*;
use crate::config::NetworkId;
use crate::media::Unsent;

#[derive(Clone, Debug)]
struct Leg {
    direction: Direction,
    signalling: IpAddr,
    flow: Option<(Side, FlowCount)>,
    unreachable: Option<Unreachable>,
}

fn ip() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 16]>().prop_map(IpAddr::from),
        (0..4_u8).prop_map(|last| IpAddr::from([10, last, 0, 1])),
        (0..4_u8).prop_map(|last| IpAddr::from([203, 0, 113, last])),
    ]
}

fn at() -> impl Strategy<Value = SocketAddr> {
    (ip(), any::<u16>()).prop_map(SocketAddr::from)
}

fn count() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), 0..100_u32, any::<u32>()]
}

fn time() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (0..30_u64).prop_map(Duration::from_secs),
        any::<u64>().prop_map(Duration::from_millis)
    ]
}

prop_compose! {
    fn faults()(
        counts in prop::array::uniform8(count()),
        source in prop::option::of(at()),
        last_type in any::<u8>(),
        last_ssrc in any::<u32>(),
        why_unsent in prop::option::of(prop::sample::select(vec![
            Unsent::NoNextHop, Unsent::TooBig, Unsent::Refused, Unsent::Overload,
        ])),
    ) -> Faults {
        let [wrong_source, payload_type, ssrc, not_rtp, no_peer, unsent, listened, quiet] = counts;
        Faults {
            wrong_source, source, payload_type, last_type, ssrc, last_ssrc, not_rtp, no_peer, unsent, why_unsent, listened, quiet,
        }
    }
}

prop_compose! {
    fn flow()(
        named in prop::option::of(at()),
        local in at(),
        sources in prop::collection::vec(ip(), 0..3),
        payload_types in any::<u128>(),
        ssrcs in prop::collection::vec(any::<u32>(), 0..4),
        packets in prop_oneof![Just(0), any::<u64>()],
        latched in prop::option::of(at()),
        silent in prop::option::of(time()),
        faults in faults().boxed(),
    ) -> (Side, FlowCount) {
        let side = Side {
            named,
            sources: sources.into_iter().map(ipnet::IpNet::from).collect(),
            payload_types,
            ssrcs: ssrcs.into_iter().collect(),
            ..Side::new(NetworkId(0), local)
        };
        (side, FlowCount { packets, latched, silent, faults, ..FlowCount::default() })
    }
}

prop_compose! {
    fn unreachable()(
        to in at(),
        by in ip(),
        what in prop::sample::select(vec!["port", "host", "network", "filtered"]),
        count in count(),
        lasting in time(),
        ago in time(),
    ) -> Unreachable {
        Unreachable { to, by, what, count, lasting, ago }
    }
}

prop_compose! {
    fn leg()(
        direction in prop::sample::select(vec![
            Direction::SendRecv, Direction::SendOnly, Direction::RecvOnly, Direction::Inactive,
        ]),
        signalling in ip(),
        flow in prop::option::weighted(0.9, flow().boxed()),
        unreachable in prop::option::of(unreachable().boxed()),
    ) -> Leg {
        Leg { direction, signalling, flow, unreachable }
    }
}

fn facts<'a>(legs: &'a [Leg; 2], is_direct: bool, talked: Duration) -> Facts<'a> {
    let leg = |leg: &'a Leg| LegFacts {
        name: "phone:x".to_owned(),
        direction: leg.direction,
        signalling: leg.signalling,
        flow: leg.flow.as_ref().map(|(side, count)| (side, *count)),
        unreachable: leg.unreachable,
    };
    Facts {
        legs: legs.each_ref().map(leg),
        is_direct,
        talked,
    }
}

proptest! {
    #[test]
    fn any_facts(legs in prop::array::uniform2(leg().boxed()), is_direct in any::<bool>(), talked in time()) {
        let found = findings(&facts(&legs, is_direct, talked));
        prop_assert!(found.len() <= 2 && found.is_sorted_by_key(|one| one.hears));
        for one in &found {
            prop_assert!(one.text.starts_with("phone:x hears nothing") && one.text.len() < 1_000, "{}", one.text);
        }
        prop_assert!(found.is_empty() || !is_direct && talked >= EARLY);
    }

    /// Whatever else there is: packets come, are not silent, and reach who told where he is.
    #[test]
    fn who_hears_has_none(legs in prop::array::uniform2(leg().boxed()), packets in 1000..u64::MAX, talked in time(), named in at()) {
        let mut legs = legs;
        let flows = legs.each_mut().map(|leg| {
            leg.unreachable = None;
            leg.flow.get_or_insert_with(|| (Side::new(NetworkId(0), named), FlowCount::default()))
        });
        for (_, count) in flows {
            count.packets = packets;
            count.silent = Some(Duration::from_millis(20));
            count.latched = Some(named);
            count.faults.unsent = 0;
            count.faults.quiet = count.faults.quiet.min(count.faults.listened.saturating_sub(1));
        }
        prop_assert_eq!(findings(&facts(&legs, false, talked)), vec![]);
    }
}
