//! What is said outside of calls: messages, subscriptions, and what strangers get of it.

#![expect(clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use std::time::Duration;

use sbc_tests::sim::Weather;
use sbc_tests::sim::street::Street;

const CONFIG: &str = r#"
[sbc]
name = "sim"
state_dir = "/tmp/sbc-sim"
admin = "127.0.0.1:9960"

[network.left]
address = ["10.71.1.1"]
sip = ["udp:5060"]
media_ports = "20000-20099"

[network.right]
address = ["10.71.2.1"]
sip = ["udp:5060"]
media_ports = "20000-20099"

[trunk.pbx]
network = "right"
server = "sip:10.71.2.2:5060"

[phone.6001]
password = "one"

[phone.6002]
password = "two"

[[route]]
from = ["phone:*"]
number = "6XXX"
to = ["phone:{number}"]

[[route]]
from = ["phone:*"]
to = ["trunk:pbx"]

[[route]]
from = ["trunk:pbx"]
number = "6XXX"
to = ["phone:{number}"]
"#;

/// Positions on the street.
const ONE: usize = 0;
const TWO: usize = 1;
const PBX: usize = 2;

const SECOND: Duration = Duration::from_secs(1);

fn street(seed: u64, weather: Weather) -> Street {
    let mut street = Street::new(CONFIG, seed, weather);
    street.add("10.71.1.11:5061", Some(("6001", "one")));
    street.add("10.71.1.12:5062", Some(("6002", "two")));
    street.add("10.71.2.2:5060", None);
    for phone in [ONE, TWO] {
        street.act(phone, |party, now| party.begin(now, "REGISTER", "", ""));
    }
    street.run_for(SECOND * 40);
    street
}

/// In fair weather once, in storms for many seeds.
fn in_all_weathers(check: impl Fn(Street)) {
    check(street(1, Weather::FAIR));
    for seed in 0..100 {
        check(street(seed, Weather::STORM));
    }
}

fn say(street: &mut Street, (who, dialog): (usize, usize), method: &str, extra: &str, body: &str) {
    street.act(who, |party, now| {
        party.say(now, dialog, method, extra, body)
    });
    street.run_for(SECOND * 40);
}

fn last(street: &Street, who: usize) -> (usize, usize) {
    (who, street.parties[who].dialogs.len() - 1)
}

#[test]
fn messages_go_where_calls_would() {
    in_all_weathers(|mut street| {
        for (from, number, to) in [(ONE, "6002", TWO), (TWO, "700", PBX), (PBX, "6001", ONE)] {
            street.act(from, |party, now| party.begin(now, "MESSAGE", number, ""));
            street.run_for(SECOND * 40);
            assert_eq!(street.parties[to].heard("MESSAGE").len(), 1);
            assert_eq!(street.parties[from].heard("200 MESSAGE").len(), 1);
        }
        street.act(ONE, |party, now| party.begin(now, "MESSAGE", "6009", ""));
        street.act(PBX, |party, now| party.begin(now, "MESSAGE", "700", ""));
        street.run_for(SECOND * 40);
        assert_eq!(street.parties[ONE].heard("404 MESSAGE").len(), 1);
        assert_eq!(street.parties[PBX].heard("404 MESSAGE").len(), 1);
        street.assert_empty();
    });
}

const WATCH: &str = "Event: dialog\r\nAccept: application/dialog-info+xml\r\nExpires: 600\r\n";
const ACTIVE: &str = "Event: dialog\r\nSubscription-State: active;expires=600\r\n";

#[test]
fn a_lamp_key_is_told_what_the_pbx_says_at_our_address() {
    in_all_weathers(|mut street| {
        let own = street.act(ONE, |party, now| {
            party.begin(now, "SUBSCRIBE", "700", WATCH)
        });
        street.run_for(SECOND * 40);
        assert_eq!(street.parties[ONE].heard("200 SUBSCRIBE").len(), 1);
        let theirs = last(&street, PBX);
        let lamp = "<dialog-info entity=\"sip:700@10.71.2.2:5060\" state=\"full\"/>";
        say(&mut street, theirs, "NOTIFY", ACTIVE, lamp);
        assert_eq!(street.parties[PBX].heard("200 NOTIFY").len(), 1);
        assert_eq!(
            street.parties[ONE].heard("NOTIFY"),
            ["NOTIFY <dialog-info entity=\"sip:700@10.71.1.1\" state=\"full\"/>"]
        );
        assert_eq!(street.stats().dialogs, 2);
        // Refreshed, it outlives its time.
        street.run_for(SECOND * 500);
        say(&mut street, (ONE, own), "SUBSCRIBE", WATCH, "");
        street.run_for(SECOND * 400);
        say(&mut street, theirs, "NOTIFY", ACTIVE, "<x/>");
        assert_eq!(street.parties[ONE].heard("NOTIFY <x/>").len(), 1);
        // He does not want to know any more: one last time.
        let no_more = WATCH.replace("600", "0");
        say(&mut street, (ONE, own), "SUBSCRIBE", &no_more, "");
        assert_eq!(street.parties[ONE].heard("200 SUBSCRIBE").len(), 3);
        let over = "Event: dialog\r\nSubscription-State: terminated;reason=timeout\r\n";
        say(&mut street, theirs, "NOTIFY", over, "<y/>");
        assert_eq!(street.parties[ONE].heard("NOTIFY <y/>").len(), 1);
        assert_eq!(street.stats().dialogs, 0);
        say(&mut street, theirs, "NOTIFY", over, "<z/>");
        assert_eq!(street.parties[PBX].heard("481 NOTIFY").len(), 1);
        street.assert_empty();
    });
}

#[test]
fn a_notify_that_overtakes_the_answer_is_not_lost() {
    in_all_weathers(|mut street| {
        street.act(ONE, |party, now| {
            party.begin(now, "SUBSCRIBE", "700", WATCH)
        });
        while street.parties[PBX].dialogs.is_empty() {
            street.run_for(Duration::from_millis(1));
        }
        let theirs = last(&street, PBX);
        say(&mut street, theirs, "NOTIFY", ACTIVE, "<first/>");
        assert_eq!(street.parties[ONE].heard("NOTIFY <first/>").len(), 1);
        assert_eq!(street.parties[PBX].heard("200 NOTIFY").len(), 1);
        street.run_for(SECOND * 800);
        // Nobody has refreshed it.
        street.assert_empty();
    });
}

#[test]
fn a_subscription_that_is_refused_or_forgotten_leaves_nothing() {
    in_all_weathers(|mut street| {
        street.parties[PBX].refuses.insert("SUBSCRIBE", 489);
        street.act(ONE, |party, now| {
            party.begin(now, "SUBSCRIBE", "700", WATCH)
        });
        street.run_for(SECOND * 40);
        assert_eq!(street.parties[ONE].heard("489 SUBSCRIBE").len(), 1);
        assert_eq!(street.stats().dialogs, 0);
        street.parties[PBX].refuses.clear();
        street.act(ONE, |party, now| {
            party.begin(now, "SUBSCRIBE", "700", WATCH)
        });
        street.run_for(SECOND * 40);
        street.parties[ONE].refuses.insert("NOTIFY", 481);
        let theirs = last(&street, PBX);
        say(&mut street, theirs, "NOTIFY", ACTIVE, "<x/>");
        assert_eq!(street.parties[PBX].heard("481 NOTIFY").len(), 1);
        street.assert_empty();
    });
}

#[test]
fn a_message_lamp_without_a_subscription_reaches_the_phone() {
    in_all_weathers(|mut street| {
        let lines = "Event: message-summary\r\nSubscription-State: active\r\n";
        street.act(PBX, |party, now| party.begin(now, "NOTIFY", "6001", lines));
        street.run_for(SECOND * 40);
        assert_eq!(street.parties[ONE].heard("NOTIFY").len(), 1);
        assert_eq!(street.parties[PBX].heard("200 NOTIFY").len(), 1);
        street.assert_empty();
    });
}

#[test]
fn strangers_say_nothing_to_anyone() {
    in_all_weathers(|mut street| {
        let near = street.add("10.71.1.66:5066", None);
        let far = street.add("10.71.2.66:5066", None);
        for stranger in [near, far] {
            for method in [
                "MESSAGE",
                "SUBSCRIBE",
                "NOTIFY",
                "PUBLISH",
                "REFER",
                "INFO",
                "OPTIONS",
            ] {
                street.act(stranger, |party, now| party.begin(now, method, "6001", ""));
                street.run_for(SECOND * 40);
                let refused = ["401", "403"].map(|code| format!("{code} {method}"));
                let heard = refused.map(|line| street.parties[stranger].heard(&line).len());
                assert_eq!(heard.iter().sum::<usize>(), 1, "{method}");
            }
        }
        for party in [ONE, TWO, PBX] {
            let heard = &street.parties[party].heard;
            assert!(heard.iter().all(|line| line == "200 REGISTER"), "{heard:?}");
        }
        street.assert_empty();
    });
}
