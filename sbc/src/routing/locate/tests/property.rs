//! Whatever DNS says, in whatever order, what comes of it has bounds and is in order.

use std::collections::HashSet;

use proptest::prelude::*;

use super::super::plan::MAX_PLACES;
use super::super::{Places, Unwell};
use super::*;

/// Few names, so that records lead to each other and in circles.
fn name() -> impl Strategy<Value = HostName> {
    (0..6_u8, 0..4_u8).prop_map(|(letter, kind)| {
        let letter = char::from(b'a' + letter);
        let text = match kind {
            0 => format!("_sip._udp.{letter}.example"),
            1 => format!("_sip._tcp.{letter}.example"),
            _ => format!("{letter}.example"),
        };
        HostName::parse(&text).unwrap()
    })
}

fn records() -> impl Strategy<Value = Records> {
    let naptr = (
        any::<u16>(),
        0..3_u16,
        0..3_usize,
        0..4_usize,
        proptest::option::of(name()),
    );
    let naptr = naptr.prop_map(|(order, preference, flags, service, replacement)| Naptr {
        order,
        preference,
        flags: ["s", "u", ""][flags].to_owned(),
        service: ["SIP+D2U", "SIP+D2T", "SIPS+D2T", "?"][service].to_owned(),
        replacement,
    });
    let srv = (
        0..4_u16,
        any::<u16>(),
        0..3_u16,
        proptest::option::of(name()),
    );
    let srv = srv.prop_map(|(priority, weight, port, target)| Srv {
        priority,
        weight,
        port,
        target,
    });
    prop_oneof![
        proptest::collection::vec(naptr, 0..100).prop_map(Records::Naptr),
        proptest::collection::vec(srv, 0..100).prop_map(Records::Srv),
        proptest::collection::vec(any::<std::net::IpAddr>(), 0..100).prop_map(Records::Addresses),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    let ttl = (0..100_000_u64).prop_map(Duration::from_secs);
    prop_oneof![
        6 => (records(), ttl.clone()).prop_map(|(records, ttl)| Answer::Found { records, ttl }),
        1 => ttl.prop_map(|ttl| Answer::Nothing { ttl }),
        2 => Just(Answer::Failed(Trouble::Timeout)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_dns_says(
        answers in proptest::collection::vec((answer(), 0..5000_u64, any::<bool>()), 1..200),
        port in any::<bool>(),
        seed in any::<[u8; 32]>(),
    ) {
        let server = if port { "sip:a.example:5070" } else { "sip:a.example" };
        let config = config(&format!("server = \"{server}\"\naccept_from = [\"a.example\", \"b.example\"]"));
        let start = Instant::now();
        let (mut now, mut places) = (start, Places::new(&config, seed, start));
        let mut waiting = Vec::new();
        let (mut sources, mut asked) = (HashSet::new(), 0_usize);
        for (answer, wait, is_last) in answers {
            while let Some(action) = places.poll_action() {
                match action {
                    Action::Resolve(question) => {
                        asked += 1;
                        // One that nobody needed for a while is asked anew.
                        if !waiting.contains(&question) {
                            waiting.push(question);
                        }
                    }
                    Action::Source(_, address) => prop_assert!(sources.insert(address)),
                    Action::NoSource(_, address) => prop_assert!(sources.remove(&address)),
                    Action::News(News::Found { places, .. }) => prop_assert!(!places.is_empty()),
                    Action::News(_) => {}
                }
            }
            prop_assert!(waiting.len() <= 64 && sources.len() <= 128);
            let due = places.poll_timeout().expect("something is always to be asked again");
            prop_assert!(due >= now || waiting.is_empty());
            let way: Vec<Place> = places.way(now, &config, TRUNK).collect();
            prop_assert!(way.len() <= MAX_PLACES);
            prop_assert_eq!(way.iter().collect::<HashSet<_>>().len(), way.len());
            for place in &way {
                prop_assert!(place.address.port() > 0 && !place.address.ip().is_unspecified());
            }
            if let Some(first) = way.first() {
                places.failed(now, &config, TRUNK, *first, Unwell::Silent);
            }
            let next = if is_last { waiting.pop() } else { (!waiting.is_empty()).then(|| waiting.remove(0)) };
            match next {
                Some(question) => places.handle_input(now, &config, Input::Resolved { question, answer }),
                None => {
                    now += seconds(wait);
                    places.handle_timeout(now, &config);
                }
            }
            let (entries, due) = places.book.len();
            prop_assert_eq!(entries, due);
            prop_assert!(entries <= 64 + 1, "{} questions", entries);
        }
        prop_assert!(asked > 0);
    }
}
