//! What is said outside of calls: messages, subscriptions, and what strangers get of it.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

use std::time::Duration;

use sbc_tests::sim::Weather;
use sbc_tests::stage::{Leg, Stage, State};

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

/// Positions on the stage.
const ONE: usize = 0;
const TWO: usize = 1;
const PBX: usize = 2;

const SECOND: Duration = Duration::from_secs(1);

fn stage(seed: u64, weather: Weather) -> Stage {
    let mut stage = Stage::new(CONFIG, seed, weather);
    for (address, account) in [
        ("10.71.1.11:5061", Some(("6001", "one"))),
        ("10.71.1.12:5062", Some(("6002", "two"))),
        ("10.71.2.2:5060", None),
    ] {
        let who = stage.add(address);
        stage.agents[who].manner.account = account;
    }
    for phone in [ONE, TWO] {
        stage.act(phone, |agent, now| agent.begin(now, "REGISTER", "", "", ""));
    }
    stage.run_for(SECOND * 40);
    stage
}

/// In fair weather once, in storms for many seeds.
fn in_all_weathers(check: impl Fn(Stage)) {
    check(stage(1, Weather::FAIR));
    for seed in 0..100 {
        check(stage(seed, Weather::STORM));
    }
}

fn say(stage: &mut Stage, (who, dialog): Leg, method: &str, extra: &str, body: &str) {
    stage.act(who, |agent, now| {
        agent.say(now, dialog, method, extra, body)
    });
    stage.run_for(SECOND * 40);
}

fn last(stage: &Stage, who: usize) -> Leg {
    (who, stage.agents[who].dialogs.len() - 1)
}

/// Nothing is left of anything; that his subscription has ended nobody is told.
fn empty(stage: &mut Stage) {
    let dialogs = stage.agents.iter_mut().flat_map(|agent| &mut agent.dialogs);
    for dialog in dialogs.filter(|dialog| dialog.state == State::Up) {
        dialog.state = State::Over;
    }
    stage.empty().unwrap();
}

#[test]
fn messages_go_where_calls_would() {
    in_all_weathers(|mut stage| {
        for (from, number, to) in [(ONE, "6002", TWO), (TWO, "700", PBX), (PBX, "6001", ONE)] {
            stage.act(from, |agent, now| {
                agent.begin(now, "MESSAGE", number, "", "")
            });
            stage.run_for(SECOND * 40);
            assert_eq!(stage.agents[to].heard("MESSAGE").len(), 1);
            assert_eq!(stage.agents[from].heard("200 MESSAGE").len(), 1);
        }
        stage.act(ONE, |agent, now| {
            agent.begin(now, "MESSAGE", "6009", "", "")
        });
        stage.act(PBX, |agent, now| agent.begin(now, "MESSAGE", "700", "", ""));
        stage.run_for(SECOND * 40);
        assert_eq!(stage.agents[ONE].heard("404 MESSAGE").len(), 1);
        assert_eq!(stage.agents[PBX].heard("404 MESSAGE").len(), 1);
        empty(&mut stage);
    });
}

const WATCH: &str = "Event: dialog\r\nAccept: application/dialog-info+xml\r\nExpires: 600\r\n";
const ACTIVE: &str = "Event: dialog\r\nSubscription-State: active;expires=600\r\n";

#[test]
fn a_lamp_key_is_told_what_the_pbx_says_at_our_address() {
    in_all_weathers(|mut stage| {
        let own = stage.act(ONE, |agent, now| {
            agent.begin(now, "SUBSCRIBE", "700", WATCH, "")
        });
        stage.run_for(SECOND * 40);
        assert_eq!(stage.agents[ONE].heard("200 SUBSCRIBE").len(), 1);
        let theirs = last(&stage, PBX);
        let lamp = "<dialog-info entity=\"sip:700@10.71.2.2:5060\" state=\"full\"/>";
        say(&mut stage, theirs, "NOTIFY", ACTIVE, lamp);
        assert_eq!(stage.agents[PBX].heard("200 NOTIFY").len(), 1);
        assert_eq!(
            stage.agents[ONE].heard("NOTIFY"),
            ["NOTIFY <dialog-info entity=\"sip:700@10.71.1.1\" state=\"full\"/>"]
        );
        assert_eq!(stage.stats().dialogs, 2);
        // Refreshed, it outlives its time.
        stage.run_for(SECOND * 500);
        say(&mut stage, (ONE, own), "SUBSCRIBE", WATCH, "");
        stage.run_for(SECOND * 400);
        say(&mut stage, theirs, "NOTIFY", ACTIVE, "<x/>");
        assert_eq!(stage.agents[ONE].heard("NOTIFY <x/>").len(), 1);
        // He does not want to know any more: one last time.
        let no_more = WATCH.replace("600", "0");
        say(&mut stage, (ONE, own), "SUBSCRIBE", &no_more, "");
        assert_eq!(stage.agents[ONE].heard("200 SUBSCRIBE").len(), 3);
        let over = "Event: dialog\r\nSubscription-State: terminated;reason=timeout\r\n";
        say(&mut stage, theirs, "NOTIFY", over, "<y/>");
        assert_eq!(stage.agents[ONE].heard("NOTIFY <y/>").len(), 1);
        assert_eq!(stage.stats().dialogs, 0);
        say(&mut stage, theirs, "NOTIFY", over, "<z/>");
        assert_eq!(stage.agents[PBX].heard("481 NOTIFY").len(), 1);
        empty(&mut stage);
    });
}

#[test]
fn a_notify_that_overtakes_the_answer_is_not_lost() {
    in_all_weathers(|mut stage| {
        stage.act(ONE, |agent, now| {
            agent.begin(now, "SUBSCRIBE", "700", WATCH, "")
        });
        while stage.agents[PBX].dialogs.is_empty() {
            stage.run_for(Duration::from_millis(1));
        }
        let theirs = last(&stage, PBX);
        say(&mut stage, theirs, "NOTIFY", ACTIVE, "<first/>");
        assert_eq!(stage.agents[ONE].heard("NOTIFY <first/>").len(), 1);
        assert_eq!(stage.agents[PBX].heard("200 NOTIFY").len(), 1);
        stage.run_for(SECOND * 800);
        // Nobody has refreshed it.
        empty(&mut stage);
    });
}

#[test]
fn a_subscription_that_is_refused_or_forgotten_leaves_nothing() {
    in_all_weathers(|mut stage| {
        stage.agents[PBX].manner.refuses.insert("SUBSCRIBE", 489);
        stage.act(ONE, |agent, now| {
            agent.begin(now, "SUBSCRIBE", "700", WATCH, "")
        });
        stage.run_for(SECOND * 40);
        assert_eq!(stage.agents[ONE].heard("489 SUBSCRIBE").len(), 1);
        assert_eq!(stage.stats().dialogs, 0);
        stage.agents[PBX].manner.refuses.clear();
        stage.act(ONE, |agent, now| {
            agent.begin(now, "SUBSCRIBE", "700", WATCH, "")
        });
        stage.run_for(SECOND * 40);
        stage.agents[ONE].manner.refuses.insert("NOTIFY", 481);
        let theirs = last(&stage, PBX);
        say(&mut stage, theirs, "NOTIFY", ACTIVE, "<x/>");
        assert_eq!(stage.agents[PBX].heard("481 NOTIFY").len(), 1);
        empty(&mut stage);
    });
}

#[test]
fn a_message_lamp_without_a_subscription_reaches_the_phone() {
    in_all_weathers(|mut stage| {
        let lines = "Event: message-summary\r\nSubscription-State: active\r\n";
        stage.act(PBX, |agent, now| {
            agent.begin(now, "NOTIFY", "6001", lines, "")
        });
        stage.run_for(SECOND * 40);
        assert_eq!(stage.agents[ONE].heard("NOTIFY").len(), 1);
        assert_eq!(stage.agents[PBX].heard("200 NOTIFY").len(), 1);
        empty(&mut stage);
    });
}

#[test]
fn strangers_say_nothing_to_anyone() {
    in_all_weathers(|mut stage| {
        let near = stage.add("10.71.1.66:5066");
        let far = stage.add("10.71.2.66:5066");
        for stranger in [near, far] {
            // What needs no password hears nothing over UDP: the engine's own tests have that.
            for method in ["MESSAGE", "SUBSCRIBE", "NOTIFY", "REFER"] {
                stage.act(stranger, |agent, now| {
                    agent.begin(now, method, "6001", "", "")
                });
                stage.run_for(SECOND * 40);
                let refused = ["401", "403"].map(|code| format!("{code} {method}"));
                let heard = refused.map(|line| stage.agents[stranger].heard(&line).len());
                assert_eq!(heard.iter().sum::<usize>(), 1, "{method}");
            }
        }
        for party in [ONE, TWO, PBX] {
            let heard = &stage.agents[party].heard;
            assert!(
                heard.iter().all(|line| line.ends_with(" REGISTER")),
                "{heard:?}"
            );
        }
        empty(&mut stage);
    });
}
