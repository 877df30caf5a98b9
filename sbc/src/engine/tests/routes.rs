//! What routes look at: the number in every form of a URI, the time of day, where a phone calls from.

use super::*;
use crate::routing::Timestamp;

fn asking(uri: &str) -> String {
    let to = format!("To: <{uri}>\r\nMax-Forwards: 70\r\n");
    request("INVITE", uri, &to, &sdp("10.71.1.2", 4000))
}

/// Who is asked, or what the caller hears.
fn led(uri: &str) -> (SocketAddr, Message) {
    let mut bench = bench();
    bench.message(LEFT, A, &asking(uri));
    bench.one()
}

#[test]
fn separators_of_a_telephone_number_do_not_count() {
    for uri in [
        "sip:100@10.71.1.1",
        "sip:%31%300@10.71.1.1",
        "tel:1-00",
        "tel:(1)0.0;phone-context=example.com",
        "sip:1-00@10.71.1.1;user=phone",
    ] {
        assert_eq!(led(uri).0, B.parse().unwrap(), "{uri}");
    }
    for uri in ["sip:1-00@10.71.1.1", "tel:1-000"] {
        let (to, refusal) = led(uri);
        assert_eq!(
            (to, refusal.code()),
            (A.parse().unwrap(), Some(404)),
            "{uri}"
        );
    }
}

#[test]
fn the_time_of_day_decides() {
    let by_day = "[[route]]\nfrom = [\"trunk:a\"]\nwhen = { days = [\"mon-fri\"], zone = \"Europe/Zurich\" }\nto = [\"trunk:c\"]\n\n[[route]]";
    let config = CONFIG.replacen("[[route]]", by_day, 1);
    let called = |at: &str, later: u64| {
        let mut bench = bench_of(&config, Limits::default());
        let at: Timestamp = at.parse().unwrap();
        bench.engine.handle_input(bench.now, Input::Clock(at));
        bench.pass(Duration::from_secs(later));
        bench.message(LEFT, A, &invite("100"));
        bench.one().0.to_string()
    };
    // A Sunday, an hour and a second before midnight in UTC; it is Monday in Zurich a second after the hour.
    assert_eq!(called("2026-07-05T21:59:58Z", 1), B);
    assert_eq!(called("2026-07-05T21:59:58Z", 2), C);
    assert_eq!(called("2026-07-10T12:00:00Z", 0), C);
}

#[test]
fn where_a_phone_calls_from_decides() {
    let from = |network: &str| {
        let config = CONFIG.replace(
            "from = [\"phone:*\"]",
            &format!("from = [\"phones:{network}\"]"),
        );
        let mut bench = bench_of(&config, Limits::default());
        let call = invite("123").replace("al@10.71.1.2", "6001@10.71.1.1");
        // No trunk's address.
        bench.message(LEFT, "10.71.1.9:5060", &call);
        let (_, challenge) = bench.one();
        assert_eq!(challenge.code(), Some(401));
        let offer = challenge.header(Name::WwwAuthenticate).unwrap();
        let uri = "sip:123@10.71.1.1";
        let value = digest::answer(offer, "6001", "secret1", "INVITE", uri, "cn").unwrap();
        let again = call
            .replace("branch=z9hG4bK", "branch=z9hG4bKx")
            .replace("Contact:", &format!("Authorization: {value}\r\nContact:"));
        bench.message(LEFT, "10.71.1.9:5060", &again);
        bench.sent().pop().unwrap()
    };
    assert_eq!(from("left").0, B.parse().unwrap());
    assert_eq!(from("right").1.code(), Some(403));
}
