//! REFER that the other party carries out, and INVITE with Replaces that leaves the offer to us.

use super::dialogs::{from_b, in_dialog, stop};
use super::passed::{bench_of_two, lines, messages, place};
use super::*;
use crate::sip::Method;

/// The same words in another call of A's.
fn elsewhere(text: &str) -> String {
    text.replace("a-call", "a-two@10.71.1.2")
        .replace("z9hG4bK", "z9hG4bKtwo")
        .replace("tag=aa", "tag=a2")
}

/// A second call of A's: its 200, and the INVITE that was sent on.
fn second(bench: &mut Bench, number: &str) -> (Message, Message) {
    bench.message(LEFT, A, &elsewhere(&invite(number)));
    let (to, invite) = bench.one();
    let far = to.to_string();
    let body = sdp(&to.ip().to_string(), 5200);
    bench.message(RIGHT, &far, &answer(&invite, &far, 200, "two", &body));
    let ok = messages(bench).pop().unwrap().1;
    let to = format!("To: <sip:{number}@10.71.1.1>;tag={}\r\n", tag_of(&ok));
    let ack = request("ACK", "sip:10.71.1.1:5060", &to, "").replace("CSeq: 2", "CSeq: 1");
    bench.message(LEFT, A, &elsewhere(&ack));
    assert_eq!(messages(bench), []);
    (ok, invite)
}

fn refer(number: u32, tag: &str, to: &str) -> String {
    in_dialog("REFER", number, tag, "").replace(
        "Content-Length",
        &format!("Refer-To: <{to}>\r\nContent-Length"),
    )
}

fn notify(invite: &Message, number: u32, event: &str, state: &str, body: &str) -> String {
    let lines = format!("Event: {event}\r\nSubscription-State: {state}\r\nContent-Length");
    from_b("NOTIFY", invite, number, body)
        .replace("application/sdp", "message/sipfrag;version=2.0")
        .replace("Content-Length", &lines)
}

#[test]
fn a_refer_goes_on_and_what_it_leads_to_comes_back() {
    let mut bench = bench_of_two("transfers = \"pass\"", "methods = []");
    let (ok, b_invite, _) = set_up(&mut bench);
    let tag = tag_of(&ok);
    // B may not call that.
    bench.message(LEFT, A, &refer(9, &tag, "sip:900@10.71.1.1"));
    assert_eq!(bench.one().1.code(), Some(403));
    for (number, event) in [(10, None), (20, Some("refer;id=20"))] {
        let lines = "Referred-By: <sip:boss@h>\r\nSupported: norefersub\r\nRefer-To";
        let text = refer(number, &tag, "sip:300@10.71.1.1:5060;x=y?Subject=z");
        bench.message(LEFT, A, &text.replace("Refer-To", lines));
        let (to, passed) = bench.one();
        assert_eq!(to, place(B), "{passed:?}");
        assert_eq!(first_line(&passed), "REFER sip:bob@10.71.2.2:5060 SIP/2.0");
        assert_eq!(
            passed.header(Name::ReferTo),
            Some("<sip:300@10.71.2.1:5060>")
        );
        assert_eq!(
            passed.header(Name::ReferredBy),
            Some("\"Al\" <sip:al@10.71.2.1:5060>")
        );
        assert_eq!(passed.values(Name::ReferredBy).count(), 1);
        assert_eq!(passed.header(Name::Contact), Some("<sip:10.71.2.1:5060>"));
        let ours = passed.cseq().number;
        // The first NOTIFY overtakes the answer.
        let theirs = match event {
            None => "refer".to_owned(),
            Some(_) => format!("refer;id={ours}"),
        };
        let event = event.unwrap_or("refer");
        let n = number * 10;
        let trying = notify(
            &b_invite,
            n,
            &theirs,
            "active;expires=60",
            "SIP/2.0 100 Trying\r\n",
        );
        bench.message(RIGHT, B, &trying);
        let (to, told) = bench.one();
        assert_eq!(to, place(A));
        assert_eq!(first_line(&told), "NOTIFY sip:al@10.71.1.2:5060 SIP/2.0");
        assert_eq!(told.header(Name::Event), Some(event));
        assert_eq!(told.header(Name::Contact), Some("<sip:10.71.1.1:5060>"));
        assert_eq!(told.body(), b"SIP/2.0 100 Trying\r\n");
        bench.message(LEFT, A, &answer(&told, A, 200, "", ""));
        assert_eq!(bench.one().1.code(), Some(200));
        bench.message(RIGHT, B, &answer(&passed, B, 202, "", ""));
        let (to, accepted) = bench.one();
        assert_eq!((to, accepted.code()), (place(A), Some(202)));
        assert_eq!(accepted.header(Name::Contact), Some("<sip:10.71.1.1:5060>"));
        // Where the target is, is not told.
        let body = "SIP/2.0 180 at 10.71.2.3\r\nContact: <sip:300@10.71.2.3:5060>\r\nVia: SIP/2.0/UDP 10.71.2.3\r\n";
        let ringing = notify(&b_invite, n + 1, &theirs, "active;expires=60", body);
        bench.message(RIGHT, B, &ringing);
        let (_, told) = bench.one();
        assert_eq!(
            told.body(),
            b"SIP/2.0 180 Ringing\r\nContact: <sip:300@10.71.1.1>\r\n"
        );
        bench.message(LEFT, A, &answer(&told, A, 200, "", ""));
        bench.one();
        // A does not want to hear more: his subscription by its name there.
        let enough = in_dialog("SUBSCRIBE", number + 1, &tag, "").replace(
            "Content-Length",
            &format!("Event: {event}\r\nExpires: 0\r\nContent-Length"),
        );
        bench.message(LEFT, A, &enough);
        let (_, told) = bench.one();
        assert_eq!(told.header(Name::Event), Some(&*theirs));
        bench.message(RIGHT, B, &answer(&told, B, 200, "", ""));
        bench.one();
        let done = notify(
            &b_invite,
            n + 2,
            &theirs,
            "terminated;reason=noresource",
            "SIP/2.0 200 OK\r\n",
        );
        bench.message(RIGHT, B, &done);
        let (_, told) = bench.one();
        assert_eq!(told.body(), b"SIP/2.0 200 OK\r\n");
        bench.message(LEFT, A, &answer(&told, A, 200, "", ""));
        bench.one();
        // That was the last: NOTIFY as such is not let through.
        bench.message(
            RIGHT,
            B,
            &done
                .replace("z9hG4bKb", "z9hG4bKc")
                .replace(&format!("CSeq: {}", n + 2), &format!("CSeq: {}", n + 3)),
        );
        assert_eq!(bench.one().1.code(), Some(405));
    }
    // B refuses: A hears it, and there is no subscription.
    bench.message(LEFT, A, &refer(200, &tag, "sip:300@10.71.1.1"));
    let (_, passed) = bench.one();
    bench.message(RIGHT, B, &answer(&passed, B, 603, "", ""));
    assert_eq!(bench.one().1.code(), Some(603));
    let late = notify(
        &b_invite,
        3000,
        &format!("refer;id={}", passed.cseq().number),
        "active",
        "x",
    );
    bench.message(RIGHT, B, &late);
    assert_eq!(bench.one().1.code(), Some(405));
    // One that B does not answer.
    bench.message(LEFT, A, &refer(201, &tag, "sip:300@10.71.1.1"));
    bench.one();
    bench.pass(Duration::from_secs(40));
    assert!(
        lines(&mut bench)
            .iter()
            .any(|line| line.starts_with("SIP/2.0 504"))
    );
    assert_eq!(bench.engine.stats(bench.now).calls.len(), 1);
    stop(bench);
}

#[test]
fn only_so_many_refers_of_a_call_may_be_open() {
    let mut bench = bench_of_two("transfers = \"pass\"", "");
    let (ok, ..) = set_up(&mut bench);
    for number in 10..14 {
        bench.message(LEFT, A, &refer(number, &tag_of(&ok), "sip:300@h"));
        let (_, passed) = bench.one();
        bench.message(RIGHT, B, &answer(&passed, B, 202, "", ""));
        assert_eq!(bench.one().1.code(), Some(202));
    }
    bench.message(LEFT, A, &refer(14, &tag_of(&ok), "sip:300@h"));
    assert_eq!(bench.one().1.code(), Some(500));
    assert_eq!(bench.engine.stats(bench.now).full["referred"], 1);
    // Nobody has said anything of them for long enough.
    bench.pass(Duration::from_secs(601));
    messages(&mut bench);
    if !bench.engine.stats(bench.now).calls.is_empty() {
        bench.message(LEFT, A, &refer(15, &tag_of(&ok), "sip:300@h"));
        assert_eq!(messages(&mut bench)[0].1.method(), Method::Refer);
    }
    stop(bench);
}

#[test]
fn of_two_refers_one_is_refused_and_the_other_is_told_of_by_its_number() {
    let mut bench = bench_of_two("transfers = \"pass\"", "methods = []");
    let (ok, b_invite, _) = set_up(&mut bench);
    let mut ours = Vec::new();
    for number in [10, 20] {
        bench.message(LEFT, A, &refer(number, &tag_of(&ok), "sip:300@10.71.1.1"));
        ours.push(bench.one().1);
    }
    bench.message(RIGHT, B, &answer(&ours[1], B, 603, "", ""));
    assert_eq!(bench.one().1.code(), Some(603));
    for (number, event, told) in [
        (
            90,
            format!("refer;id={}", ours[1].cseq().number),
            Err(Some(405)),
        ),
        (
            91,
            format!("refer;id={}", ours[0].cseq().number),
            Ok("refer;id=10"),
        ),
    ] {
        let text = notify(
            &b_invite,
            number,
            &event,
            "active",
            "SIP/2.0 100 Trying\r\n",
        );
        bench.message(RIGHT, B, &text);
        let (_, message) = bench.one();
        match told {
            Ok(event) => assert_eq!(message.header(Name::Event), Some(event)),
            Err(code) => assert_eq!(message.code(), code),
        }
    }
    stop(bench);
}

#[test]
fn a_refer_to_the_trunks_own_dialog_names_it_as_the_trunk_knows_it() {
    let mut bench = bench_of_two("transfers = \"pass\"", "");
    let (ok, ..) = set_up(&mut bench);
    let (other, b_invite) = second(&mut bench, "101");
    let tag = tag_of(&other);
    let to =
        format!("sip:101@10.71.1.1?Replaces=a-two%4010.71.1.2%3Bto-tag%3D{tag}%3Bfrom-tag%3Da2");
    bench.message(LEFT, A, &refer(10, &tag_of(&ok), &to));
    let (to, passed) = bench.one();
    assert_eq!(to, place(B));
    let ours = b_invite.from().tag().unwrap();
    let call = b_invite.call_id().replace('@', "%40");
    assert_eq!(
        passed.header(Name::ReferTo),
        Some(&*format!(
            "<sip:101@10.71.2.2:5060?Replaces={call}%3Bto-tag%3Dtwo%3Bfrom-tag%3D{ours}>"
        ))
    );
    stop(bench);
}

/// B calls what it was referred to.
fn referred(replaces: &str, from: &str) -> String {
    let body = sdp(from.split(':').next().unwrap(), 5400);
    format!(
        "INVITE sip:300@10.71.2.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bKr{}\r\nMax-Forwards: 70\r\n\
         From: <sip:bob@{from}>;tag=r1\r\nTo: <sip:300@10.71.2.1>\r\nCall-ID: r-{from}\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:bob@{from}>\r\nReplaces: {replaces}\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        from.replace(['.', ':'], ""),
        body.len()
    )
}

#[test]
fn a_refer_to_somebody_elses_dialog_introduces_the_one_to_the_other() {
    let mut bench = bench_of_two("transfers = \"pass\"", "");
    let (ok, ..) = set_up(&mut bench);
    let (other, c_invite) = second(&mut bench, "300");
    let tag = tag_of(&other);
    let name = |tag: &str, from: &str| {
        format!("sip:300@10.71.1.1?Replaces=a-two%4010.71.1.2%3Bto-tag%3D{tag}%3Bfrom-tag%3D{from}")
    };
    for (number, to) in [(8, name("none", "a2")), (9, name(&tag, "a3"))] {
        bench.message(LEFT, A, &refer(number, &tag_of(&ok), &to));
        assert_eq!(bench.one().1.code(), Some(481));
    }
    bench.message(LEFT, A, &refer(10, &tag_of(&ok), &name(&tag, "a2")));
    let (to, passed) = bench.one();
    assert_eq!(to, place(B));
    let target = passed.header(Name::ReferTo).unwrap();
    assert!(
        !target.contains("a-two") && !target.contains(&tag),
        "{target}"
    );
    let start = "<sip:300@10.71.2.1:5060?Replaces=";
    let replaces = target
        .strip_prefix(start)
        .unwrap()
        .strip_suffix('>')
        .unwrap();
    let replaces = crate::call::unescaped(replaces);
    bench.message(RIGHT, B, &answer(&passed, B, 202, "", ""));
    assert_eq!(bench.one().1.code(), Some(202));
    // It is good for B alone, though B may transfer nothing by itself.
    bench.message(RIGHT, C, &referred(&replaces, C));
    let refused = messages(&mut bench).pop().unwrap().1;
    assert_eq!(refused.code(), Some(403));
    bench.message(RIGHT, B, &referred(&replaces, B));
    let offer = messages(&mut bench).pop().unwrap();
    assert_eq!((offer.0, offer.1.method()), (place(C), Method::Invite));
    assert_eq!(offer.1.call_id(), c_invite.call_id());
    let body = sdp("10.71.2.3", 5200);
    bench.message(RIGHT, C, &answer(&offer.1, C, 200, "", &body));
    let told = messages(&mut bench);
    let to: Vec<_> = told.iter().map(|(to, m)| (*to, first_line(m))).collect();
    let line = |to: &str, text: &str| (place(to), text.to_owned());
    assert_eq!(
        to,
        [
            line(C, "ACK sip:bob@10.71.2.3:5060 SIP/2.0"),
            line(B, "SIP/2.0 200 OK"),
            line(A, "BYE sip:al@10.71.1.2:5060 SIP/2.0"),
        ]
    );
    stop(bench);
}

#[test]
fn a_refer_that_names_what_is_not_his_is_refused() {
    let mut bench = bench_of_two("transfers = \"pass\"", "transfers = \"pass\"");
    let (_, b_invite, _) = set_up(&mut bench);
    let (other, _) = second(&mut bench, "300");
    let (call, tag) = ("a-two%4010.71.1.2", tag_of(&other));
    let lines = format!(
        "Refer-To: <sip:300@h?Replaces={call}%3Bto-tag%3D{tag}%3Bfrom-tag%3Da2>\r\nContent-Length"
    );
    let text = from_b("REFER", &b_invite, 7, "").replace("Content-Length", &lines);
    bench.message(RIGHT, B, &text);
    assert_eq!(bench.one().1.code(), Some(403));
    stop(bench);
}

#[test]
fn who_takes_a_call_over_may_leave_the_offer_to_us() {
    for (acknowledges, takes) in [(true, true), (true, false), (false, true)] {
        let mut bench = bench_of_two("transfers = true", "");
        let (ok, ..) = set_up(&mut bench);
        let replaces = format!("Replaces: a-call;to-tag={};from-tag=aa\r\n", tag_of(&ok));
        let to = format!("To: <sip:100@10.71.1.1>\r\nMax-Forwards: 70\r\n{replaces}");
        let uri = "sip:100@10.71.1.1";
        let late = request("INVITE", uri, &to, "")
            .replace("a-call\r\nCSeq", "a-new\r\nCSeq")
            .replace("tag=aa\r\nCall-ID", "tag=an\r\nCall-ID")
            .replace("z9hG4bK", "z9hG4bKnew");
        bench.message(LEFT, A, &late);
        let told = messages(&mut bench);
        let [(_, new)] = &told[..] else {
            panic!("{told:?}");
        };
        assert_eq!((new.code(), new.call_id()), (Some(200), "a-new"));
        assert!(new.body().starts_with(b"v=0"));
        if !acknowledges {
            bench.pass(Duration::from_secs(40));
            let all = lines(&mut bench);
            assert!(
                all.last().unwrap().starts_with("BYE sip:al@10.71.1.2:5060"),
                "{all:?}"
            );
            assert_eq!(bench.engine.stats(bench.now).calls.len(), 1);
            stop(bench);
            continue;
        }
        let to = format!("To: <sip:100@10.71.1.1>;tag={}\r\n", tag_of(new));
        let ack = request("ACK", "sip:10.71.1.1:5060", &to, &sdp("10.71.1.2", 4600))
            .replace("CSeq: 2", "CSeq: 1")
            .replace("a-call", "a-new")
            .replace("tag=aa", "tag=an");
        bench.message(LEFT, A, &ack);
        let (to, offer) = messages(&mut bench).pop().unwrap();
        assert_eq!((to, offer.method()), (place(B), Method::Invite));
        if takes {
            let body = sdp("10.71.2.2", 5000);
            bench.message(RIGHT, B, &answer(&offer, B, 200, "", &body));
            let told = messages(&mut bench);
            let byes: Vec<_> = told
                .iter()
                .filter(|(_, m)| m.method() == Method::Bye)
                .collect();
            assert_eq!(byes.len(), 1);
            assert_eq!(byes[0].1.call_id(), "a-call");
        } else {
            bench.message(RIGHT, B, &answer(&offer, B, 488, "", ""));
            let told = messages(&mut bench);
            let byes: Vec<_> = told
                .iter()
                .filter(|(_, m)| m.method() == Method::Bye)
                .collect();
            assert_eq!(byes.len(), 1);
            assert_eq!(byes[0].1.call_id(), "a-new");
        }
        assert_eq!(bench.engine.stats(bench.now).calls.len(), 1);
        stop(bench);
    }
}

#[test]
fn who_gives_up_taking_a_call_over_leaves_it_as_it_was() {
    // What who stays says to the offer that has lost its purpose.
    for code in [200, 488, 491] {
        let mut bench = bench_of_two("transfers = true", "");
        let (ok, ..) = set_up(&mut bench);
        let replaces = format!("Replaces: a-call;to-tag={};from-tag=aa\r\n", tag_of(&ok));
        let to = format!("To: <sip:100@10.71.1.1>\r\nMax-Forwards: 70\r\n{replaces}");
        let new = |method| {
            request(method, "sip:100@10.71.1.1", &to, &sdp("10.71.1.2", 4600))
                .replace("a-call\r\nCSeq", "a-new\r\nCSeq")
                .replace("tag=aa\r\nCall-ID", "tag=an\r\nCall-ID")
                .replace("z9hG4bK", "z9hG4bKnew")
        };
        bench.message(LEFT, A, &new("INVITE"));
        let (to, offer) = messages(&mut bench).pop().unwrap();
        assert_eq!((to, offer.method()), (place(B), Method::Invite));
        bench.message(LEFT, A, &new("CANCEL"));
        let told = messages(&mut bench);
        let told: Vec<_> = told.iter().map(|(_, m)| (m.code(), m.call_id())).collect();
        assert_eq!(told, [(Some(200), "a-new"), (Some(487), "a-new")]);
        let body = match code {
            200 => sdp("10.71.2.2", 5000),
            _ => String::new(),
        };
        bench.message(RIGHT, B, &answer(&offer, B, code, "", &body));
        bench.pass(Duration::from_secs(10));
        let told = messages(&mut bench);
        let asked = told
            .iter()
            .find(|(_, m)| m.method() == Method::Invite && m.is_request());
        // Only who took it has to be brought back.
        assert_eq!(asked.is_some(), code == 200, "{code}: {told:?}");
        if let Some((to, back)) = asked {
            assert_eq!(*to, place(B));
            bench.message(RIGHT, B, &answer(back, B, 200, "", &body));
        }
        messages(&mut bench);
        bench.message(LEFT, A, &in_dialog("INFO", 50, &tag_of(&ok), ""));
        assert_eq!(bench.one().0, place(B));
        stop(bench);
    }
}

#[test]
fn who_stays_and_does_not_answer_any_more_ends_the_call_and_who_came_is_refused() {
    let mut bench = bench_of_two("transfers = true", "");
    let (ok, ..) = set_up(&mut bench);
    let replaces = format!("Replaces: a-call;to-tag={};from-tag=aa\r\n", tag_of(&ok));
    let to = format!("To: <sip:100@10.71.1.1>\r\nMax-Forwards: 70\r\n{replaces}");
    let text = request("INVITE", "sip:100@10.71.1.1", &to, &sdp("10.71.1.2", 4600))
        .replace("a-call\r\nCSeq", "a-new\r\nCSeq")
        .replace("tag=aa\r\nCall-ID", "tag=an\r\nCall-ID")
        .replace("z9hG4bK", "z9hG4bKnew");
    bench.message(LEFT, A, &text);
    messages(&mut bench);
    bench.pass(Duration::from_secs(32));
    let all = lines(&mut bench);
    let told: Vec<_> = all
        .iter()
        .filter(|line| !line.starts_with("INVITE ") && !line.contains(" 100 "))
        .collect();
    assert_eq!(
        told,
        [
            "SIP/2.0 500 Server Internal Error",
            "BYE sip:al@10.71.1.2:5060 SIP/2.0",
            "BYE sip:bob@10.71.2.2:5060 SIP/2.0"
        ]
    );
    assert!(bench.engine.stats(bench.now).calls.is_empty());
    stop(bench);
}
