//! Our refreshes among what else happens in a call.

use super::dialogs::{from_b, in_dialog, stop};
use super::sessions::{call, expires, only, said, until_said, with};
use super::*;
use crate::sip::Method;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn our_refresh_and_a_peers_re_invite_cross() {
    // A owns the Call-ID on its side, we do on B's (RFC 3261 14.1).
    for (place, network, waits) in [(A, LEFT, 0..=2000), (B, RIGHT, 2100..=4000)] {
        let mut bench = bench();
        let talk = match network {
            LEFT => call(
                &mut bench,
                "Supported: timer\r\nSession-Expires: 600;refresher=uas\r\n",
                "",
            ),
            _ => call(&mut bench, "", "Session-Expires: 600;refresher=uac\r\n"),
        };
        let (took, all) = until_said(&mut bench, 1000);
        assert_eq!((took, all.len()), (300, 1));
        let refresh = all[0].1.clone();
        let theirs = |method: &str, number: u32, body: &str| match network {
            LEFT => in_dialog(method, number, &talk.tag, body),
            _ => from_b(method, &talk.invite, number, body),
        };
        let moved = match network {
            LEFT => sdp("10.71.1.2", 4010),
            _ => sdp("10.71.2.2", 5010),
        };
        bench.message(network, place, &theirs("INVITE", 20, &moved));
        assert_eq!(only(&mut bench, place).code(), Some(491));
        bench.message(network, place, &theirs("UPDATE", 21, &moved));
        assert_eq!(only(&mut bench, place).code(), Some(491));
        bench.message(network, place, &answer(&refresh, place, 491, "", ""));
        assert_eq!(only(&mut bench, place).method(), Method::Ack);
        let mut waited = 0;
        let again = loop {
            assert!(waited <= 4000);
            waited += 10;
            bench.pass(Duration::from_millis(10));
            let refreshes = said(&mut bench).into_iter();
            let mut refreshes = refreshes.filter(|(_, m)| m.is_request());
            if let Some((to, again)) = refreshes.next() {
                assert_eq!(to, place.parse().unwrap());
                break again;
            }
        };
        // What is due at once is sent with the next turn.
        assert!(
            waits.contains(&waited) || waits.contains(&(waited - 10)),
            "{waited}"
        );
        assert_eq!(again.body(), refresh.body());
        assert!(again.cseq().number > refresh.cseq().number);
        // That one offers nothing, and refreshes the session: ours is not sent again.
        bench.message(network, place, &theirs("UPDATE", 22, ""));
        assert_eq!(only(&mut bench, place).code(), Some(200));
        bench.message(network, place, &answer(&again, place, 491, "", ""));
        assert_eq!(only(&mut bench, place).method(), Method::Ack);
        bench.pass(200 * SECOND);
        assert!(said(&mut bench).iter().all(|(_, m)| !m.is_request()));
        stop(bench);
    }
}

#[test]
fn a_refresh_waits_as_long_as_it_is_told_to() {
    let mut bench = bench();
    call(&mut bench, "", "Session-Expires: 600;refresher=uac\r\n");
    let (_, all) = until_said(&mut bench, 1000);
    let busy = with(
        &answer(&all[0].1, B, 500, "", ""),
        "Retry-After: 7 (soon)\r\n",
    );
    bench.message(RIGHT, B, &busy);
    assert_eq!(only(&mut bench, B).method(), Method::Ack);
    let (took, all) = until_said(&mut bench, 1000);
    assert_eq!((took, all[0].1.method()), (7, Method::Invite));
    stop(bench);
}

#[test]
fn a_refresh_waits_for_what_is_open_and_is_not_needed_after_it() {
    let mut bench = bench();
    let talk = call(&mut bench, "", "Session-Expires: 600;refresher=uac\r\n");
    bench.pass(290 * SECOND);
    let moved = sdp("10.71.1.2", 4010);
    bench.message(LEFT, A, &in_dialog("INVITE", 8, &talk.tag, &moved));
    let offer = only(&mut bench, B);
    assert_eq!(expires(&offer), "600;refresher=uac");
    bench.message(RIGHT, B, &answer(&offer, B, 180, "", ""));
    bench.pass(20 * SECOND);
    said(&mut bench);
    let ok = with(
        &answer(&offer, B, 200, "", &sdp("10.71.2.2", 5000)),
        "Session-Expires: 600;refresher=uac\r\n",
    );
    bench.message(RIGHT, B, &ok);
    said(&mut bench);
    bench.message(LEFT, A, &in_dialog("ACK", 8, &talk.tag, ""));
    let (took, all) = until_said(&mut bench, 1000);
    assert_eq!((took, all.len()), (300, 1));
    // It goes on with the body that holds now.
    assert_eq!(all[0].1.body(), offer.body());
    stop(bench);
}

#[test]
fn a_refresh_that_is_answered_with_something_new_moves_media_and_is_told() {
    let mut bench = bench();
    let talk = call(&mut bench, "", "Session-Expires: 600;refresher=uac\r\n");
    let (_, all) = until_said(&mut bench, 1000);
    let held = format!("{}a=sendonly\r\n", sdp("10.71.2.2", 5010));
    bench.message(RIGHT, B, &answer(&all[0].1, B, 200, "", &held));
    let actions = bench.actions();
    let named: Vec<_> = actions
        .iter()
        .filter_map(|action| match action {
            Action::Flow(FlowCommand::Update(pair)) => pair.sides[1].named,
            _ => None,
        })
        .collect();
    assert_eq!(
        named,
        ["10.71.2.2:5010", "10.71.2.2:5011"].map(|a| a.parse().unwrap())
    );
    let is_send = |action: &Action| matches!(action, Action::Send { .. });
    let all: Vec<_> = actions.into_iter().filter(is_send).map(sent).collect();
    assert_eq!(all[0].1.method(), Method::Ack);
    let (to, news) = &all[1];
    assert_eq!((*to, news.method()), (A.parse().unwrap(), Method::Invite));
    assert!(
        std::str::from_utf8(news.body())
            .unwrap()
            .contains("a=sendonly")
    );
    assert_ne!(news.body(), talk.ok.body());
    // A has something of its own to say first; then it hears it.
    bench.message(LEFT, A, &answer(news, A, 491, "", ""));
    assert_eq!(only(&mut bench, A).method(), Method::Ack);
    let (took, all) = until_said(&mut bench, 10);
    assert!(took <= 3, "{took}");
    assert_eq!(all[0].1.body(), news.body());
    let body = format!("{}a=recvonly\r\n", sdp("10.71.1.2", 4000));
    bench.message(LEFT, A, &answer(&all[0].1, A, 200, "", &body));
    // B hears what A says to that, and that is all.
    let all = said(&mut bench);
    assert_eq!(all[0].1.method(), Method::Ack);
    let (to, reply) = &all[1];
    assert_eq!((*to, reply.method()), (B.parse().unwrap(), Method::Invite));
    let body = std::str::from_utf8(reply.body()).unwrap();
    assert!(body.contains("a=recvonly"));
    bench.message(RIGHT, B, &answer(reply, B, 200, "", &held));
    assert_eq!(only(&mut bench, B).method(), Method::Ack);
    stop(bench);
}

#[test]
fn news_is_told_seven_times_to_who_has_always_something_to_say_first() {
    let mut bench = bench();
    call(&mut bench, "", "Session-Expires: 600;refresher=uac\r\n");
    let (_, all) = until_said(&mut bench, 1000);
    let held = format!("{}a=sendonly\r\n", sdp("10.71.2.2", 5010));
    bench.message(RIGHT, B, &answer(&all[0].1, B, 200, "", &held));
    let mut news = said(&mut bench).pop().unwrap().1;
    let first = news.clone();
    for time in 0..6 {
        bench.message(LEFT, A, &answer(&news, A, 491, "", ""));
        assert_eq!(only(&mut bench, A).method(), Method::Ack);
        let (took, all) = until_said(&mut bench, 60);
        // Twice as long each time, and up to 2 s by chance (RFC 3261 14.1).
        let least = (1 << time) - 1;
        assert!((least..=least + 3).contains(&took), "{time}: {took}");
        news = all[0].1.clone();
        assert_eq!(news.method(), Method::Invite);
        assert!(all.iter().all(|(_, copy)| *copy == news), "{all:?}");
        assert_eq!(news.body(), first.body());
    }
    bench.message(LEFT, A, &answer(&news, A, 491, "", ""));
    assert_eq!(only(&mut bench, A).method(), Method::Ack);
    bench.pass(120 * SECOND);
    assert_eq!(said(&mut bench), []);
    stop(bench);
}

#[test]
fn a_refresh_that_is_answered_with_the_same_is_no_news() {
    let mut bench = bench();
    call(&mut bench, "", "Session-Expires: 600;refresher=uac\r\n");
    let (_, all) = until_said(&mut bench, 1000);
    let same = sdp("10.71.2.2", 5000);
    bench.message(RIGHT, B, &answer(&all[0].1, B, 200, "", &same));
    let all = said(&mut bench);
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(all[0].1.method(), Method::Ack);
    stop(bench);
}
