//! Another config while calls are up.

use super::dialogs::from_b;
use super::*;
use crate::config::{Changes, PhoneId};
use crate::engine::Event;
use crate::shed;

fn config(text: &str) -> Config {
    Config::parse(text, "new.toml", &NoSecrets).unwrap()
}

/// Without trunk b, which a route led to.
fn without_b() -> String {
    let start = CONFIG.find("[trunk.b]").unwrap();
    let end = CONFIG.find("[trunk.c]").unwrap();
    format!("{}{}", &CONFIG[..start], &CONFIG[end..])
        .replace("[\"trunk:b\", \"trunk:c\"]", "[\"trunk:c\"]")
        .replace("trunk:b", "trunk:c")
}

fn reload(bench: &mut Bench, text: &str) -> Changes {
    bench.engine.reload(bench.now, config(text)).unwrap()
}

#[test]
fn a_call_of_a_trunk_that_is_gone_stays_up_and_new_ones_go_by_the_new_routes() {
    let mut bench = bench();
    let (ok, b_invite, _) = set_up(&mut bench);
    let changes = reload(&mut bench, &without_b());
    assert_eq!(changes.gone_trunks, [TrunkId(1)]);
    assert_eq!(bench.actions(), []);
    let told: Vec<_> = std::iter::from_fn(|| bench.engine.poll_event()).collect();
    assert!(told.contains(&Event::Reloaded(changes)), "{told:?}");

    // What was the way to b leads to c; b may not call any more, nor is it known at the door.
    bench.message(
        LEFT,
        A,
        &invite("101")
            .replace("a-call", "second")
            .replace("INVITE1", "INVITE9"),
    );
    let (to, ring) = bench.one();
    assert_eq!(to, C.parse().unwrap());
    bench.message(RIGHT, C, &answer(&ring, C, 603, "cc", ""));
    bench.actions();
    let door: Vec<_> = std::iter::from_fn(|| bench.engine.poll_shed()).collect();
    let unknown = shed::Action::Unknown {
        network: RIGHT,
        prefix: "10.71.2.2/32".parse().unwrap(),
    };
    assert!(door.contains(&unknown), "{door:?}");

    // Again and again with other trunks: the call's keeps its name.
    for turn in 0..3 {
        let text = without_b().replace("trunk.c]", &format!("trunk.c{turn}]"));
        reload(
            &mut bench,
            &text.replace("trunk:c", &format!("trunk:c{turn}")),
        );
    }
    let stats = bench.engine.stats(bench.now);
    let parties = (Party::Trunk(TrunkId(0)), Party::Trunk(TrunkId(1)));
    assert_eq!(stats.calls[&parties], 1);
    assert_eq!(bench.engine.config().trunk(TrunkId(1)).name, "b");

    // b hangs up: it is no trunk, but it knows the dialog.
    let bye = from_b("BYE", &b_invite, 7, "");
    bench.message(RIGHT, B, &bye);
    let sent: Vec<_> = bench.actions();
    let lines: Vec<_> = sent
        .into_iter()
        .filter(|action| matches!(action, Action::Send { .. }))
        .map(sent_line)
        .collect();
    assert!(
        lines.iter().any(|line| line.starts_with("BYE ")),
        "{lines:?}"
    );
    assert!(
        lines.iter().any(|line| line == "SIP/2.0 200 OK"),
        "{lines:?}"
    );
    drop(ok);
}

fn sent_line(action: Action) -> String {
    first_line(&sent(action).1)
}

#[test]
fn registrations_stay_but_for_those_whose_account_changes() {
    let mut bench = bench();
    let phone = "10.71.1.50:6000";
    let text = register("<sip:6001@192.168.1.5>", "Expires: 600\r\n");
    assert_eq!(
        with_credentials(&mut bench, phone, &text, "secret1").code(),
        Some(200)
    );
    let registered = |bench: &Bench| {
        bench
            .engine
            .stats(bench.now)
            .registrations
            .get(&LEFT)
            .copied()
    };
    let more = format!("{CONFIG}\n[phone.6002]\npassword = \"x\"\n");
    let changes = reload(&mut bench, &more.replace("Living", "Dining"));
    assert_eq!(changes.new_phones, [PhoneId(1)]);
    assert_eq!(changes.changed_phones, [PhoneId(0)]);
    assert_eq!(registered(&bench), Some(1));
    reload(&mut bench, &more.replace("secret1", "secret2"));
    assert_eq!(registered(&bench), None);
    assert_eq!(
        with_credentials(
            &mut bench,
            phone,
            &text.replace("REGISTER1", "REGISTER2"),
            "secret2"
        )
        .code(),
        Some(200)
    );
    assert_eq!(registered(&bench), Some(1));
    reload(&mut bench, &more.replace("[phone.6001]", "[phone.6009]"));
    assert_eq!(registered(&bench), None);
}

#[test]
fn what_needs_a_restart_changes_nothing() {
    let mut bench = bench();
    let text = without_b().replace("20000-20099", "20000-20199");
    let error = bench.engine.reload(bench.now, config(&text)).unwrap_err();
    assert_eq!(
        error.0,
        [
            "`media_ports` of [network.left]",
            "`media_ports` of [network.right]"
        ]
    );
    assert_eq!(bench.engine.config().trunks.len(), 3);
    set_up(&mut bench);
}

/// With a trunk more, to be registered with.
fn with_carrier(keys: &str) -> String {
    let carrier = "[trunk.carrier]\nnetwork = \"right\"\nserver = \"sip:10.71.2.4:5060\"\nusername = \"555\"\n";
    CONFIG.replace("[phone.6001]", &format!("{carrier}{keys}\n[phone.6001]"))
}

/// The REGISTERs that go out within a second: where to, for how long.
fn registers(bench: &mut Bench) -> Vec<(String, Option<String>)> {
    bench.pass(Duration::from_secs(1));
    let sent = bench.sent().into_iter();
    let registers = sent.filter(|(_, message)| message.method().name() == "REGISTER");
    registers
        .map(|(to, message)| {
            let expires = message.header(Name::Expires).map(str::to_owned);
            (to.to_string(), expires)
        })
        .collect()
}

/// A carrier's 200 to the REGISTER that is on its way.
fn registered(bench: &mut Bench) {
    bench.pass(Duration::from_secs(1));
    let (to, register) = bench.sent().remove(0);
    let contact = register.header(Name::Contact).unwrap().to_owned();
    let ok = answer(&register, &to.to_string(), 200, "r", "");
    let ok = ok.replace(
        &format!("Contact: <sip:bob@{to}>"),
        &format!("Contact: {contact};expires=600"),
    );
    bench.message(RIGHT, &to.to_string(), &ok);
    assert_eq!(bench.actions(), []);
}

#[test]
fn trunks_are_registered_with_and_left_as_the_files_say() {
    let register = "password = \"p\"\nregister = true";
    let mut bench = bench();
    assert_eq!(registers(&mut bench), []);
    reload(&mut bench, &with_carrier(register));
    registered(&mut bench);
    // What says nothing new of it leaves it alone.
    let more = with_carrier(register).replace("Living", "Dining");
    reload(&mut bench, &more);
    assert_eq!(registers(&mut bench), []);
    let stats = bench.engine.stats(bench.now);
    assert!(stats.trunk_registered[&TrunkId(3)]);
    // Another password is tried at once.
    reload(
        &mut bench,
        &with_carrier("password = \"q\"\nregister = true"),
    );
    registered(&mut bench);
    reload(&mut bench, CONFIG);
    let mut left = registers(&mut bench);
    // Once, and again as no answer comes.
    left.dedup();
    assert_eq!(left, [("10.71.2.4:5060".to_owned(), Some("0".to_owned()))]);
    assert!(bench.engine.stats(bench.now).trunk_registered.is_empty());
}
