//! What came of the INVITEs that were sent, and how soon it rang, as the counters have it.

use std::collections::BTreeMap;

use super::*;
use crate::engine::Tried;

const A_PARTY: Party = Party::Trunk(TrunkId(0));
const B_PARTY: Party = Party::Trunk(TrunkId(1));
const C_PARTY: Party = Party::Trunk(TrunkId(2));
const RINGS: Duration = Duration::from_millis(300);

fn attempts(bench: &Bench) -> BTreeMap<(Party, Tried), u64> {
    bench.engine.stats(bench.now).attempts
}

/// How often it rang there, and how long that took in all.
fn rang(bench: &Bench, to: Party) -> (u64, f64) {
    let stats = bench.engine.stats(bench.now);
    let delay = stats.post_dial_delay.get(&to);
    delay.map_or((0, 0.0), |delay| {
        (delay.0.counts().iter().sum(), delay.0.sum())
    })
}

/// How often who called had a sign of that, and how long that took in all.
fn had_ringback(bench: &Bench, from: Party) -> (u64, f64) {
    let stats = bench.engine.stats(bench.now);
    let delay = stats.ringback.get(&from);
    delay.map_or((0, 0.0), |delay| {
        (delay.0.counts().iter().sum(), delay.0.sum())
    })
}

/// How often calls were answered there, and how long that took in all.
fn set_up_there(bench: &Bench, to: Party) -> (u64, f64) {
    let stats = bench.engine.stats(bench.now);
    let setup = stats.call_setup.get(&to);
    setup.map_or((0, 0.0), |setup| {
        (setup.0.counts().iter().sum(), setup.0.sum())
    })
}

fn to_b(bench: &mut Bench, request: &Message, code: u16) {
    bench.message(RIGHT, B, &answer(request, B, code, "bb", ""));
}

/// The INVITEs among what is sent.
fn invites(bench: &mut Bench) -> Vec<(SocketAddr, Message)> {
    let mut sent = bench.sent();
    sent.retain(|(_, message)| message.uri().is_some() && message.cseq().method.name() == "INVITE");
    sent.retain(|(_, message)| first_line(message).starts_with("INVITE"));
    sent
}

#[test]
fn each_of_those_who_are_asked_counts_once() {
    let mut bench = bench();
    bench.message(LEFT, A, &invite("200"));
    let (_, first) = bench.one();
    assert_eq!(attempts(&bench), BTreeMap::new());
    to_b(&mut bench, &first, 100);
    assert_eq!(rang(&bench, B_PARTY), (0, 0.0));
    bench.pass(RINGS);
    for code in [180, 183, 180] {
        to_b(&mut bench, &first, code);
        bench.sent();
    }
    assert_eq!(rang(&bench, B_PARTY), (1, 0.3));
    to_b(&mut bench, &first, 503);
    let next = invites(&mut bench);
    assert_eq!(next[0].0, C.parse().unwrap());
    bench.message(RIGHT, C, &answer(&next[0].1, C, 486, "cc", ""));
    bench.message(RIGHT, C, &answer(&next[0].1, C, 486, "cc", ""));
    assert_eq!(
        attempts(&bench),
        BTreeMap::from([((B_PARTY, Tried::Failed), 1), ((C_PARTY, Tried::Busy), 1)])
    );
    // It was busy at once: nothing rang.
    assert_eq!(rang(&bench, C_PARTY), (0, 0.0));
}

#[test]
fn an_answer_is_one_and_the_end_of_the_call_changes_nothing() {
    let mut bench = bench();
    set_up(&mut bench);
    let answered = BTreeMap::from([((B_PARTY, Tried::Answered), 1)]);
    assert_eq!(attempts(&bench), answered);
    assert_eq!(rang(&bench, B_PARTY), (1, 0.0));
    assert_eq!(had_ringback(&bench, A_PARTY), (1, 0.0));
    bench.engine.handle_input(bench.now, Input::Stop);
    bench.actions();
    bench.pass(Duration::from_secs(3600));
    assert_eq!(attempts(&bench), answered);
    let stats = bench.engine.stats(bench.now);
    assert!(stats.one_way.is_empty(), "nobody has sent anything");
    assert!(!attempts(&bench).keys().any(|(to, _)| *to == A_PARTY));
}

#[test]
fn the_caller_waits_for_those_who_were_asked_in_vain_too() {
    let mut bench = bench();
    bench.message(LEFT, A, &invite("200"));
    let (_, first) = bench.one();
    bench.pass(4 * RINGS);
    bench.sent();
    to_b(&mut bench, &first, 503);
    let next = invites(&mut bench);
    bench.pass(RINGS);
    for code in [180, 183] {
        bench.message(RIGHT, C, &answer(&next[0].1, C, code, "cc", ""));
        bench.sent();
    }
    assert_eq!(rang(&bench, C_PARTY), (1, 0.3));
    assert_eq!(had_ringback(&bench, A_PARTY), (1, 1.5));
    assert_eq!(set_up_there(&bench, C_PARTY), (0, 0.0));
    bench.pass(RINGS);
    let sdp = sdp("10.71.2.3", 5000);
    bench.message(RIGHT, C, &answer(&next[0].1, C, 200, "cc", &sdp));
    bench.actions();
    assert_eq!(had_ringback(&bench, A_PARTY), (1, 1.5));
    assert_eq!(set_up_there(&bench, C_PARTY), (1, 1.8));
    assert_eq!(set_up_there(&bench, B_PARTY), (0, 0.0));
    for who in [B_PARTY, C_PARTY] {
        assert_eq!(had_ringback(&bench, who), (0, 0.0));
    }
}

#[test]
fn who_is_called_off_is_cancelled_by_the_caller_or_did_not_answer_in_time() {
    let mut bench = bench();
    bench.message(LEFT, A, &invite("100"));
    let (_, ringing) = bench.one();
    to_b(&mut bench, &ringing, 180);
    bench.sent();
    let cancel = request(
        "CANCEL",
        "sip:100@10.71.1.1",
        "To: <sip:100@10.71.1.1>\r\n",
        "",
    );
    bench.message(LEFT, A, &cancel);
    bench.sent();
    // What the far side says of that is no second result.
    to_b(&mut bench, &ringing, 487);
    assert_eq!(
        attempts(&bench),
        BTreeMap::from([((B_PARTY, Tried::Cancelled), 1)])
    );

    let mut bench = super::bench();
    bench.message(LEFT, A, &invite("200"));
    let (_, ringing) = bench.one();
    to_b(&mut bench, &ringing, 180);
    bench.sent();
    bench.pass(Duration::from_secs(3600));
    let after = attempts(&bench);
    assert_eq!(
        after.get(&(B_PARTY, Tried::NoAnswer)),
        Some(&1),
        "{after:?}"
    );
    assert_eq!(after.values().sum::<u64>(), 2, "{after:?}");
}

#[test]
fn of_the_contacts_of_a_phone_one_takes_the_call_elsewhere_for_the_other() {
    let mut bench = bench();
    let phones = ["10.71.1.50:6000", "10.71.1.51:6000"];
    for phone in phones {
        // A transaction of its own.
        let text = register(&format!("<sip:6001@{phone}>"), "")
            .replace("a-call", &format!("reg-{phone}"))
            .replace("z9hG4bK", &format!("z9hG4bK{}", &phone[..10]));
        let ok = with_credentials(&mut bench, phone, &text, "secret1");
        assert_eq!(ok.code(), Some(200));
    }
    bench.message(LEFT, A, &invite("6001"));
    let ringing = invites(&mut bench);
    assert_eq!(ringing.len(), 2);
    let (to, first) = &ringing[0];
    let sdp = sdp("10.71.1.50", 5000);
    bench.message(
        LEFT,
        &to.to_string(),
        &answer(first, phones[0], 200, "p", &sdp),
    );
    bench.actions();
    let phones = Party::Phones(LEFT);
    assert_eq!(
        attempts(&bench),
        BTreeMap::from([
            ((phones, Tried::Answered), 1),
            ((phones, Tried::Elsewhere), 1)
        ])
    );
}

#[test]
fn a_3xx_that_is_followed_is_no_failure() {
    let own = "[[route]]\nfrom = [\"trunk:b\"]\nnumber = \"7XX\"\nto = [\"trunk:c\"]\n";
    let mut bench = bench_of(&(CONFIG.to_owned() + own), Limits::default());
    bench.message(LEFT, A, &invite("100"));
    let (_, first) = bench.one();
    let moved = answer(&first, B, 302, "mv", "").replace(
        &format!("Contact: <sip:bob@{B}>"),
        "Contact: <sip:712@10.71.2.1>",
    );
    bench.message(RIGHT, B, &moved);
    let next = invites(&mut bench);
    assert_eq!(next[0].0, C.parse().unwrap());
    bench.message(RIGHT, C, &answer(&next[0].1, C, 404, "cc", ""));
    assert_eq!(
        attempts(&bench),
        BTreeMap::from([
            ((B_PARTY, Tried::Redirected), 1),
            ((C_PARTY, Tried::Rejected), 1)
        ])
    );
}
