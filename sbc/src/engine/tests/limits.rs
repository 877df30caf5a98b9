//! Bounds, draining, what breaks.

use super::dialogs::{in_dialog, stop};
use super::passed::messages;
use super::*;
use crate::engine::{DUE, Event};
use crate::media::{Fallback, FlowCount, FlowReport, NetworkPath, PairId, Path, Quality, XdpMode};

#[test]
fn a_full_table_is_503_and_is_counted() {
    let mut bench = bench_with(Limits {
        calls: 1,
        ..Limits::default()
    });
    let (ok, ..) = set_up(&mut bench);
    let other = invite("100")
        .replace("a-call", "b-call")
        .replace("z9hG4bKINVITE1", "z9hG4bKother");
    bench.message(LEFT, A, &other);
    let (_, refused) = bench.one();
    assert_eq!(refused.code(), Some(503));
    assert_eq!(bench.engine.stats(bench.now).full["calls"], 1);
    assert_eq!(ok.code(), Some(200));
    bench.engine.handle_input(bench.now, Input::Stop);
    bench.actions();
    bench.pass(Duration::from_secs(60));
    bench.actions();
    bench.assert_empty();
}

#[test]
fn a_copy_of_an_invite_that_came_another_way_is_no_second_call() {
    let mut bench = bench();
    bench.message(LEFT, A, &invite("100"));
    bench.one();
    bench.message(
        LEFT,
        A,
        &invite("100").replace("z9hG4bKINVITE1", "z9hG4bKx"),
    );
    assert_eq!(bench.one().1.code(), Some(482));
    // The very same one is absorbed, and hears that it is.
    bench.message(LEFT, A, &invite("100"));
    assert_eq!(bench.one().1.code(), Some(100));
}

#[test]
fn a_draining_box_takes_no_new_call_and_keeps_those_that_are_up() {
    let mut bench = bench();
    set_up(&mut bench);
    bench.engine.handle_input(bench.now, Input::Drain);
    let other = invite("100")
        .replace("a-call", "b-call")
        .replace("z9hG4bKINVITE1", "z9hG4bKother");
    bench.message(LEFT, A, &other);
    let (_, refused) = bench.one();
    assert_eq!(refused.code(), Some(503));
    assert!(refused.header(Name::RetryAfter).is_some());
    assert_eq!(bench.engine.stats(bench.now).calls.len(), 1);
    assert!(bench.engine.stats(bench.now).draining);
    assert!(bench.engine.has_calls());
    // Asked twice it says so once.
    bench.engine.handle_input(bench.now, Input::Drain);
    let told = std::iter::from_fn(|| bench.engine.poll_event());
    assert_eq!(
        told.filter(|event| matches!(event, Event::Draining))
            .count(),
        1
    );
}

#[test]
fn a_box_that_drains_no_more_takes_calls_again_unless_it_stops() {
    let mut bench = bench();
    bench.engine.handle_input(bench.now, Input::Drain);
    bench.engine.handle_input(bench.now, Input::Resume);
    assert!(!bench.engine.is_draining());
    set_up(&mut bench);
    let told = std::iter::from_fn(|| bench.engine.poll_event());
    assert_eq!(
        told.filter(|event| matches!(event, Event::Resumed)).count(),
        1
    );
    bench.engine.handle_input(bench.now, Input::Stop);
    bench.engine.handle_input(bench.now, Input::Resume);
    assert!(bench.engine.is_draining());
}

fn ids(flows: &[FlowCommand]) -> Vec<(PairId, Path)> {
    flows
        .iter()
        .map(|command| match command {
            FlowCommand::Install(pair) => (pair.id, pair.path),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn a_flow_that_the_kernel_refuses_goes_through_user_space_and_says_why() {
    let mut bench = bench();
    for network in [LEFT, RIGHT] {
        let path = NetworkPath::Kernel {
            mode: XdpMode::Native,
        };
        bench
            .engine
            .handle_input(bench.now, Input::NetworkPath { network, path });
    }
    let (.., flows) = set_up(&mut bench);
    let pairs = ids(&flows);
    assert_eq!(pairs[0].1, Path::Kernel);
    let failure = FlowFailure::Kernel(Fallback::Full);
    let pair = pairs[0].0;
    bench
        .engine
        .handle_input(bench.now, Input::FlowFailed { pair, failure });
    let Action::Flow(FlowCommand::Install(again)) = &bench.actions()[0] else {
        panic!()
    };
    assert_eq!((again.id, again.path), (pair, Path::User(Fallback::Full)));
    let stats = bench.engine.stats(bench.now);
    assert_eq!(stats.flow_fallbacks["full"], 1);
    assert_eq!(stats.flows[&(LEFT, "user")], 1);
    assert_eq!(stats.flows[&(LEFT, "kernel")], 1);
    let told: Vec<_> = std::iter::from_fn(|| bench.engine.poll_event()).collect();
    assert!(told.iter().any(|event| matches!(
        event,
        Event::FlowFellBack {
            reason: Fallback::Full,
            ..
        }
    )));
}

#[test]
fn what_a_flow_did_in_the_kernel_is_in_its_calls_report_once_it_has_fallen_back() {
    for is_up_again in [true, false] {
        let mut bench = bench();
        for network in [LEFT, RIGHT] {
            let path = NetworkPath::Kernel {
                mode: XdpMode::Native,
            };
            let input = Input::NetworkPath { network, path };
            bench.engine.handle_input(bench.now, input);
        }
        let (.., flows) = set_up(&mut bench);
        let [(rtp, _), (rtcp, _)] = ids(&flows)[..] else {
            panic!("{flows:?}")
        };
        let report = |packets, lost| {
            let count = FlowCount {
                packets,
                bytes: 172 * packets,
                quality: Quality {
                    lost,
                    ..Quality::default()
                },
                ..FlowCount::default()
            };
            FlowReport { sides: [count; 2] }
        };
        let read = |pair, report| Input::FlowRead { pair, report };
        bench
            .engine
            .handle_input(bench.now, read(rtp, report(60, 2)));
        let kernel = Fallback::Route;
        bench.engine.handle_input(
            bench.now,
            Input::FlowBroken {
                pair: rtp,
                failure: match is_up_again {
                    true => FlowFailure::Kernel(kernel),
                    false => FlowFailure::Overloaded,
                },
                report: Some(report(100, 3)),
            },
        );
        let lost = |bench: &Bench| bench.engine.stats(bench.now).media_quality[&LEFT].lost;
        let mut removed = vec![rtcp];
        if is_up_again {
            let view = bench.engine.flows(None).next().unwrap();
            let view = view.1.view().unwrap();
            assert_eq!(view.pair.id, rtp);
            assert_eq!(view.total(&FlowReport::default()), report(100, 3));
            bench
                .engine
                .handle_input(bench.now, read(rtp, report(5, 1)));
            assert_eq!(lost(&bench), 4);
            bench.engine.handle_input(bench.now, Input::Stop);
            removed.push(rtp);
        }
        bench.actions();
        for pair in removed {
            let report = report(10, 4);
            bench
                .engine
                .handle_input(bench.now, Input::FlowEnded { pair, report });
        }
        // Of RTCP no loss is known, but this one says so.
        let [all, missed] = if is_up_again { [110, 7] } else { [100, 3] };
        assert_eq!(lost(&bench), missed + 4);
        let told: Vec<_> = std::iter::from_fn(|| bench.engine.poll_event()).collect();
        let of_call = |event: &Event| match event {
            Event::CallEnded { media, .. } => Some(media.map(|leg| (leg.packets, leg.lost))),
            _ => None,
        };
        let of_call: Vec<_> = told.iter().filter_map(of_call).collect();
        assert_eq!(of_call, [[(all, missed); 2]]);
        let of_flow = |event: &Event| match event {
            Event::FlowEnded { pair, report } if *pair == rtp => Some(report.sides[0].packets),
            _ => None,
        };
        let of_flow: Vec<_> = told.iter().filter_map(of_flow).collect();
        assert_eq!(
            of_flow,
            [110]
                .into_iter()
                .filter(|_| is_up_again)
                .collect::<Vec<_>>()
        );
        bench.pass(Duration::from_secs(60));
        bench.actions();
        bench.assert_empty();
    }
}

#[test]
fn a_flow_that_nobody_forwards_ends_the_call() {
    let mut bench = bench();
    let (.., flows) = set_up(&mut bench);
    let pair = ids(&flows)[0].0;
    let failure = FlowFailure::Overloaded;
    bench
        .engine
        .handle_input(bench.now, Input::FlowFailed { pair, failure });
    let actions = bench.actions();
    // The pair that failed is not there any more; the other one is removed.
    assert_eq!(
        actions[0],
        Action::Flow(FlowCommand::Remove(ids(&flows)[1].0))
    );
    let byes: Vec<_> = actions[1..].iter().cloned().map(sent).collect();
    assert_eq!(byes.len(), 2);
    for (_, bye) in &byes {
        assert_eq!(bye.method(), crate::sip::Method::Bye);
        assert_eq!(
            bye.header(Name::Reason),
            Some("SIP;cause=503;text=\"No media path\"")
        );
    }
    bench.assert_empty();
}

#[test]
fn a_callee_that_cannot_be_reached_is_the_next_ones_turn() {
    let mut bench = bench();
    bench.message(LEFT, A, &invite("200"));
    let Action::Send { hop, bytes } = bench.actions().remove(0) else {
        panic!()
    };
    bench
        .engine
        .handle_input(bench.now, Input::SendFailed { hop, bytes });
    let (to, next) = bench.one();
    assert_eq!(to, C.parse().unwrap());
    assert_eq!(next.uri(), Some("sip:200@10.71.2.3:5060"));
}

/// One request of ours may be open.
fn bench_with_one() -> Bench {
    let transactions = crate::transaction::Limits {
        client: 1,
        ..Default::default()
    };
    bench_with(Limits {
        transactions,
        ..Limits::default()
    })
}

#[test]
fn an_offer_that_has_no_room_is_503_and_the_call_stays_as_it_was() {
    let mut bench = bench_with_one();
    let (ok, ..) = set_up(&mut bench);
    let tag = tag_of(&ok);
    bench.pass(Duration::from_secs(40));
    bench.actions();
    let moved = sdp("10.71.1.2", 4010);
    bench.message(LEFT, A, &in_dialog("INFO", 5, &tag, ""));
    let (_, info) = bench.one();
    bench.message(LEFT, A, &in_dialog("INVITE", 6, &tag, &moved));
    let (to, refused) = messages(&mut bench).pop().unwrap();
    assert_eq!((to, refused.code()), (A.parse().unwrap(), Some(503)));
    bench.message(LEFT, A, &in_dialog("ACK", 6, &tag, ""));
    bench.message(RIGHT, B, &answer(&info, B, 200, "", ""));
    assert_eq!(messages(&mut bench).len(), 1);
    bench.pass(Duration::from_secs(40));
    bench.message(LEFT, A, &in_dialog("INVITE", 7, &tag, &moved));
    let (to, offer) = messages(&mut bench).pop().unwrap();
    assert_eq!((to, offer.code()), (B.parse().unwrap(), None));
    stop(bench);
}

#[test]
fn a_refresh_that_has_no_room_is_sent_when_there_is_some() {
    let mut bench = bench_with_one();
    let talk = super::sessions::call(&mut bench, "", "Session-Expires: 600;refresher=uac\r\n");
    bench.pass(Duration::from_secs(290));
    bench.actions();
    bench.message(LEFT, A, &in_dialog("INFO", 5, &talk.tag, ""));
    let info = super::sessions::only(&mut bench, B);
    bench.pass(Duration::from_secs(12));
    let told = messages(&mut bench);
    assert!(
        told.iter().all(|(_, m)| m.cseq() == info.cseq()),
        "{told:?}"
    );
    bench.message(RIGHT, B, &answer(&info, B, 200, "", ""));
    messages(&mut bench);
    bench.pass(Duration::from_secs(15));
    let told = messages(&mut bench);
    let (to, refresh) = told.first().unwrap();
    assert_eq!(*to, B.parse().unwrap());
    assert_eq!(refresh.method(), crate::sip::Method::Invite);
    stop(bench);
}

#[test]
fn calls_that_are_due_together_have_their_turns_one_part_after_the_other() {
    let mut bench = bench_of(
        &CONFIG.replace("20000-20099", "20000-20999"),
        Limits::default(),
    );
    for call in 0..DUE + 10 {
        let invite = invite("100")
            .replace("a-call", &format!("call-{call}"))
            .replace("z9hG4bKINVITE1", &format!("z9hG4bK{call}"));
        bench.message(LEFT, A, &invite);
        let (_, b_invite) = bench.one();
        bench.message(RIGHT, B, &answer(&b_invite, B, 180, "bb", ""));
        bench.actions();
    }
    // All have rung for as long as they may.
    let (at, _) = *bench.engine.timers.last().unwrap();
    let due = |bench: &Bench| {
        let timers = bench.engine.timers.iter();
        timers.take_while(|(when, _)| *when <= at).count()
    };
    bench.now = at;
    assert_eq!(due(&bench), DUE + 10);
    bench.engine.handle_timeout(at);
    assert_eq!(due(&bench), 10);
    assert!(bench.engine.poll_timeout().is_some_and(|next| next <= at));
    bench.engine.handle_timeout(at);
    assert_eq!(due(&bench), 0);
}
