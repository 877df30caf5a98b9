//! What passes inside dialogs, and what a REFER gets, message by message.

use super::dialogs::{from_b, in_dialog};
use super::passed::messages;
use super::sessions::{only, until_said, with};
use super::*;
use crate::sip::Method;

fn bench() -> Bench {
    let server = "server = \"sip:10.71.1.2:5060\"\n";
    let config = CONFIG.replace(server, &format!("{server}transfers = true\n"));
    bench_of(&config, Limits::default())
}

fn stop(mut bench: Bench) {
    bench.engine.handle_input(bench.now, Input::Stop);
    bench.actions();
    bench.assert_empty();
}

/// First lines of all that is sent; flows may change as well.
fn lines(bench: &mut Bench) -> Vec<String> {
    let actions = bench.actions().into_iter();
    let messages = actions.filter(|action| matches!(action, Action::Send { .. }));
    messages.map(|action| first_line(&sent(action).1)).collect()
}

fn refer(number: u32, tag: &str, lines: &str) -> String {
    in_dialog("REFER", number, tag, "").replace("Content-Length", &format!("{lines}Content-Length"))
}

#[test]
fn a_request_is_passed_on_with_the_other_legs_identifiers() {
    let mut bench = bench();
    let (ok, b_invite, _) = set_up(&mut bench);
    let info = in_dialog("INFO", 5, &tag_of(&ok), "Signal=1\r\n")
        .replace("application/sdp", "application/dtmf-relay")
        .replace(
            "Content-Length",
            "X-Kept: yes\r\nX-Leak: 10.71.1.2\r\nInfo-Package: a.b\r\nContent-Length",
        );
    bench.message(LEFT, A, &info);
    let (to, passed) = bench.one();
    assert_eq!(to, B.parse().unwrap());
    assert_eq!(first_line(&passed), "INFO sip:bob@10.71.2.2:5060 SIP/2.0");
    assert_eq!(passed.call_id(), b_invite.call_id());
    assert_eq!(passed.from().tag(), b_invite.from().tag());
    assert_eq!(passed.to().tag(), Some("bb"));
    assert_eq!(passed.cseq().number, b_invite.cseq().number + 1);
    assert_eq!(passed.header_named("X-Kept"), Some("yes"));
    assert_eq!(passed.header_named("X-Leak"), None);
    assert_eq!(passed.header(Name::InfoPackage), Some("a.b"));
    assert_eq!(
        passed.header(Name::ContentType),
        Some("application/dtmf-relay")
    );
    assert_eq!(passed.body(), b"Signal=1\r\n");
    bench.message(RIGHT, B, &answer(&passed, B, 200, "", ""));
    let (to, told) = bench.one();
    assert_eq!((to, told.code()), (A.parse().unwrap(), Some(200)));
    assert_eq!((told.call_id(), told.cseq().number), ("a-call", 5));
    assert_eq!(told.header_named("X-B"), None);
    stop(bench);
}

#[test]
fn so_many_may_wait_and_no_more() {
    let mut bench = bench();
    let (ok, ..) = set_up(&mut bench);
    for number in 5..13 {
        bench.message(LEFT, A, &in_dialog("INFO", number, &tag_of(&ok), ""));
        assert_eq!(bench.one().0, B.parse().unwrap());
    }
    bench.message(LEFT, A, &in_dialog("INFO", 13, &tag_of(&ok), ""));
    assert_eq!(bench.one().1.code(), Some(500));
    assert_eq!(bench.engine.stats(bench.now).full["passing"], 1);
    // Nothing comes back: each is told so, and the call stays.
    bench.pass(Duration::from_secs(40));
    let all = lines(&mut bench);
    let told = all.iter().filter(|line| line.starts_with("SIP/2.0 504"));
    assert_eq!(told.count(), 8);
    assert_eq!(bench.engine.stats(bench.now).calls.len(), 1);
    // The other party knows of no such call: it is over.
    bench.message(LEFT, A, &in_dialog("INFO", 14, &tag_of(&ok), ""));
    let (_, passed) = bench.one();
    bench.message(RIGHT, B, &answer(&passed, B, 481, "", ""));
    assert_eq!(
        lines(&mut bench),
        [
            "SIP/2.0 481 Whatever",
            "BYE sip:al@10.71.1.2:5060 SIP/2.0",
            "BYE sip:bob@10.71.2.2:5060 SIP/2.0"
        ]
    );
    bench.assert_empty();
}

#[test]
fn what_cannot_be_transferred_is_refused_at_once() {
    let mut bench = bench();
    let (ok, ..) = set_up(&mut bench);
    let tag = tag_of(&ok);
    for (number, (lines, code)) in (10..).zip([
        ("", 400),
        ("Refer-To: <sip:200@h>, <sip:201@h>\r\n", 400),
        ("Refer-To: none\r\n", 400),
        ("Refer-To: <http://h/>\r\n", 416),
        ("Refer-To: <sip:200@h;method=BYE>\r\n", 501),
        ("Refer-To: <sip:h>\r\n", 404),
        ("Refer-To: <sip:900@h>\r\n", 403),
        ("Refer-To: <sip:6999@h>\r\n", 404),
        ("Refer-To: <sip:200@h?Replaces=x>\r\n", 400),
        (
            "Refer-To: <sip:200@h?Replaces=x%3Bto-tag%3D1%3Bfrom-tag%3D2>\r\n",
            481,
        ),
    ]) {
        bench.message(LEFT, A, &refer(number, &tag, lines));
        let (_, refused) = bench.one();
        assert_eq!(refused.code(), Some(code), "{lines}");
    }
    // Its own dialog.
    let own = format!("Refer-To: <sip:200@h?Replaces=a-call%3Bto-tag%3D{tag}%3Bfrom-tag%3Daa>\r\n");
    bench.message(LEFT, A, &refer(30, &tag, &own));
    assert_eq!(bench.one().1.code(), Some(481));
    stop(bench);
}

#[test]
fn a_transfer_goes_message_by_message() {
    let mut bench = bench();
    let (ok, ..) = set_up(&mut bench);
    let tag = tag_of(&ok);
    let lines = "Refer-To: <sip:100@10.71.1.1>\r\nReferred-By: <sip:boss@10.71.1.2>\r\n";
    bench.message(LEFT, A, &refer(10, &tag, lines));
    let mut told = bench.sent();
    assert_eq!(told.len(), 3);
    let (to, invite) = told.remove(2);
    let (_, accepted) = told.remove(0);
    assert_eq!(accepted.code(), Some(202));
    assert_eq!(accepted.header(Name::Contact), Some("<sip:10.71.1.1:5060>"));
    let (_, trying) = told.remove(0);
    assert_eq!(first_line(&trying), "NOTIFY sip:al@10.71.1.2:5060 SIP/2.0");
    assert_eq!(trying.header(Name::Event), Some("refer"));
    assert_eq!(
        trying.header(Name::SubscriptionState),
        Some("active;expires=600")
    );
    assert_eq!(
        trying.header(Name::ContentType),
        Some("message/sipfrag;version=2.0")
    );
    assert_eq!(trying.body(), b"SIP/2.0 100 Trying\r\n");
    assert_eq!(to, B.parse().unwrap());
    assert_eq!(first_line(&invite), "INVITE sip:100@10.71.2.2:5060 SIP/2.0");
    assert_eq!(
        invite.header(Name::ReferredBy),
        Some("\"Al\" <sip:al@10.71.2.1:5060>")
    );
    // One at a time.
    bench.message(LEFT, A, &refer(11, &tag, lines));
    assert_eq!(bench.one().1.code(), Some(491));
    bench.message(LEFT, A, &answer(&trying, A, 200, "", ""));
    assert_eq!(bench.sent(), []);
    // The target takes it: who stays is offered what it says.
    bench.message(
        RIGHT,
        B,
        &answer(&invite, B, 200, "new", &sdp("10.71.2.2", 5100)),
    );
    let mut told = bench.sent();
    assert_eq!(told.len(), 2);
    assert_eq!(first_line(&told[0].1), "ACK sip:bob@10.71.2.2:5060 SIP/2.0");
    let (_, offer) = told.remove(1);
    assert_eq!(offer.method(), crate::sip::Method::Invite);
    assert_eq!(offer.to().tag(), Some("bb"));
    bench.message(
        RIGHT,
        B,
        &answer(&offer, B, 200, "", &sdp("10.71.2.2", 5000)),
    );
    let told: Vec<_> = bench
        .actions()
        .into_iter()
        .filter(|action| matches!(action, Action::Send { .. }))
        .map(|action| sent(action).1)
        .collect();
    assert_eq!(told.len(), 2);
    assert_eq!(told[0].method(), crate::sip::Method::Ack);
    assert_eq!(told[1].body(), b"SIP/2.0 200 OK\r\n");
    assert_eq!(
        told[1].header(Name::SubscriptionState),
        Some("terminated;reason=noresource")
    );
    // He hears it before he is hung up.
    bench.message(LEFT, A, &answer(&told[1], A, 200, "", ""));
    let (to, bye) = bench.one();
    assert_eq!(
        (to, first_line(&bye).as_str()),
        (A.parse().unwrap(), "BYE sip:al@10.71.1.2:5060 SIP/2.0")
    );
    bench.message(LEFT, A, &answer(&bye, A, 200, "", ""));
    let party = Party::Trunk(TrunkId(1));
    let stats = bench.engine.stats(bench.now);
    assert_eq!(
        stats.calls.into_iter().collect::<Vec<_>>(),
        [((party, party), 1)]
    );
    stop(bench);
}

/// A transfers to another number of B, who takes it: B's INVITE, and what its dialog is offered.
fn joining(bench: &mut Bench) -> (Message, Message) {
    let (ok, b_invite, _) = set_up(bench);
    let lines = "Refer-To: <sip:100@10.71.1.1>\r\n";
    bench.message(LEFT, A, &refer(10, &tag_of(&ok), lines));
    let told = bench.sent();
    bench.message(LEFT, A, &answer(&told[1].1, A, 200, "", ""));
    let body = sdp("10.71.2.2", 5100);
    bench.message(RIGHT, B, &answer(&told[2].1, B, 200, "new", &body));
    let offer = bench.sent().pop().unwrap().1;
    assert_eq!(offer.to().tag(), Some("bb"));
    (b_invite, offer)
}

#[test]
fn who_stays_and_has_something_to_say_first_is_asked_again_eight_times() {
    let mut bench = bench();
    let (_, mut offer) = joining(&mut bench);
    let first = offer.clone();
    for _ in 0..8 {
        bench.message(RIGHT, B, &answer(&offer, B, 491, "", ""));
        assert_eq!(only(&mut bench, B).method(), Method::Ack);
        let (took, all) = until_said(&mut bench, 60);
        // The dialog is ours (RFC 3261 14.1).
        assert!((2..=5).contains(&took), "{took}");
        offer = all[0].1.clone();
        assert!(all.iter().all(|(_, copy)| *copy == offer), "{all:?}");
        assert_eq!(offer.method(), Method::Invite);
        assert_eq!(offer.body(), first.body());
    }
    bench.message(RIGHT, B, &answer(&offer, B, 491, "", ""));
    let all = messages(&mut bench);
    let told = all.iter().find(|(to, _)| *to == A.parse().unwrap());
    assert_eq!(
        told.unwrap().1.body(),
        b"SIP/2.0 500 Server Internal Error\r\n"
    );
    let is_bye = |(_, message): &&(SocketAddr, Message)| message.method() == Method::Bye;
    let bye = &all.iter().find(is_bye).unwrap().1;
    assert_eq!(bye.to().tag(), Some("new"));
    stop(bench);
}

#[test]
fn who_stays_and_wants_a_longer_session_is_asked_again_at_once() {
    let mut bench = bench();
    let (b_invite, offer) = joining(&mut bench);
    let refusal = with(&answer(&offer, B, 422, "", ""), "Min-SE: 3600\r\n");
    bench.message(RIGHT, B, &refusal);
    let all = messages(&mut bench);
    assert_eq!((all.len(), all[0].1.method()), (2, Method::Ack));
    let again = &all[1].1;
    assert_eq!(again.header(Name::SessionExpires), Some("3600"));
    assert_eq!(again.body(), offer.body());
    let body = sdp("10.71.2.2", 5020);
    bench.message(RIGHT, B, &answer(again, B, 200, "", &body));
    let all = messages(&mut bench);
    let told = all.iter().find(|(to, _)| *to == A.parse().unwrap());
    assert_eq!(told.unwrap().1.body(), b"SIP/2.0 200 OK\r\n");
    // What he says once more is no news, and goes nowhere.
    bench.message(RIGHT, B, &from_b("INVITE", &b_invite, 9, &body));
    assert_eq!(only(&mut bench, B).code(), Some(200));
    stop(bench);
}

#[test]
fn who_stays_and_asks_for_a_password_that_nobody_has_keeps_the_call_that_was() {
    let mut bench = bench();
    let (_, offer) = joining(&mut bench);
    let asks = "WWW-Authenticate: Digest realm=\"b\", nonce=\"n\"\r\n";
    bench.message(RIGHT, B, &with(&answer(&offer, B, 401, "", ""), asks));
    let all = messages(&mut bench);
    let methods: Vec<_> = all.iter().map(|(_, m)| m.method().name()).collect();
    assert_eq!(methods, ["ACK", "BYE", "NOTIFY"]);
    assert_eq!(all[1].1.to().tag(), Some("new"));
    stop(bench);
}

#[test]
fn a_second_transfer_of_the_same_dialog_has_a_name_of_its_own() {
    let mut bench = bench();
    let (ok, ..) = set_up(&mut bench);
    let tag = tag_of(&ok);
    for (number, event) in [(10, "refer"), (11, "refer;id=11")] {
        bench.message(LEFT, A, &refer(number, &tag, "Refer-To: <sip:100@h>\r\n"));
        let told = bench.sent();
        assert_eq!(told[1].1.header(Name::Event), Some(event));
        bench.message(LEFT, A, &answer(&told[1].1, A, 200, "", ""));
        bench.message(RIGHT, B, &answer(&told[2].1, B, 486, "no", ""));
        let all = bench.sent();
        let (_, last) = all.last().unwrap();
        assert_eq!(last.body(), b"SIP/2.0 486 Whatever\r\n");
        bench.message(LEFT, A, &answer(last, A, 200, "", ""));
    }
    assert_eq!(bench.engine.stats(bench.now).calls.len(), 1);
    stop(bench);
}

#[test]
fn who_has_hung_up_while_the_target_rings_is_not_asked_to_refresh_its_session() {
    let mut bench = bench();
    let timer = "Supported: timer\r\nSession-Expires: 90;refresher=uas\r\n";
    let talk = super::sessions::call(&mut bench, timer, "");
    let lines = "Refer-To: <sip:100@10.71.1.1>\r\n";
    bench.message(LEFT, A, &refer(10, &talk.tag, lines));
    let sent = bench.sent();
    let (_, invite) = sent.last().unwrap();
    assert_eq!(invite.method(), Method::Invite);
    bench.message(RIGHT, B, &answer(invite, B, 180, "target", ""));
    bench.message(LEFT, A, &in_dialog("BYE", 11, &talk.tag, ""));
    bench.sent();
    bench.pass(Duration::from_secs(120));
    let actions = bench.actions().into_iter();
    let sends = actions.filter(|action| matches!(action, Action::Send { .. }));
    let asked = sends.map(sent_one).filter(|message| {
        message.is_request() && matches!(message.method(), Method::Invite | Method::Update)
    });
    assert_eq!(asked.count(), 0);
    assert_eq!(bench.engine.stats(bench.now).calls.len(), 1);
    stop(bench);
}

#[test]
fn who_does_not_take_what_he_is_told_is_hung_up_all_the_same() {
    for code in [405, 481] {
        let mut bench = bench();
        let (ok, ..) = set_up(&mut bench);
        let lines = "Refer-To: <sip:100@10.71.1.1>\r\n";
        bench.message(LEFT, A, &refer(10, &tag_of(&ok), lines));
        let told = bench.sent();
        let [_, (_, trying), (_, invite)] = &told[..] else {
            panic!("{told:?}");
        };
        bench.message(LEFT, A, &answer(trying, A, code, "", ""));
        assert_eq!(bench.sent(), []);
        let body = sdp("10.71.2.2", 5100);
        bench.message(RIGHT, B, &answer(invite, B, 200, "new", &body));
        let (_, offer) = bench.sent().pop().unwrap();
        let body = sdp("10.71.2.2", 5000);
        bench.message(RIGHT, B, &answer(&offer, B, 200, "", &body));
        // No further NOTIFY, and nobody waits for an answer to one.
        assert_eq!(
            self::lines(&mut bench),
            [
                "ACK sip:bob@10.71.2.2:5060 SIP/2.0",
                "BYE sip:al@10.71.1.2:5060 SIP/2.0"
            ]
        );
        assert_eq!(bench.engine.stats(bench.now).calls.len(), 1);
        stop(bench);
    }
}

#[test]
fn a_target_that_only_rings_is_called_off_and_the_call_stays_as_it_was() {
    let mut bench = bench();
    let (ok, ..) = set_up(&mut bench);
    let lines = "Refer-To: <sip:100@10.71.1.1>\r\n";
    bench.message(LEFT, A, &refer(10, &tag_of(&ok), lines));
    let told = bench.sent();
    let [_, (_, trying), (_, invite)] = &told[..] else {
        panic!("{told:?}");
    };
    bench.message(LEFT, A, &answer(trying, A, 200, "", ""));
    bench.message(RIGHT, B, &answer(invite, B, 180, "new", ""));
    bench.pass(Duration::from_secs(179));
    assert_eq!(self::lines(&mut bench), [""; 0]);
    bench.pass(Duration::from_secs(1));
    let actions = bench.actions().into_iter();
    let sends = actions.filter(|action| matches!(action, Action::Send { .. }));
    let told: Vec<_> = sends.map(sent_one).collect();
    let [cancel, notify] = &told[..] else {
        panic!("{told:?}");
    };
    assert_eq!(
        (cancel.method(), cancel.call_id()),
        (Method::Cancel, invite.call_id())
    );
    assert_eq!(notify.body(), b"SIP/2.0 480 Temporarily Unavailable\r\n");
    bench.message(LEFT, A, &answer(notify, A, 200, "", ""));
    bench.message(RIGHT, B, &answer(cancel, B, 200, "new", ""));
    bench.message(RIGHT, B, &answer(invite, B, 487, "new", ""));
    assert_eq!(
        self::lines(&mut bench),
        ["ACK sip:100@10.71.2.2:5060 SIP/2.0"]
    );
    assert_eq!(bench.engine.stats(bench.now).calls.len(), 1);
    stop(bench);
}

#[test]
fn nobody_takes_a_call_over_while_something_is_being_agreed_on() {
    for what in ["nothing", "an offer", "a late offer", "a transfer"] {
        let mut bench = bench();
        let (ok, ..) = set_up(&mut bench);
        let tag = tag_of(&ok);
        match what {
            "an offer" => {
                let moved = sdp("10.71.1.2", 4010);
                bench.message(LEFT, A, &in_dialog("INVITE", 5, &tag, &moved));
            }
            "a late offer" => {
                bench.message(LEFT, A, &in_dialog("INVITE", 5, &tag, ""));
                let (_, asked) = messages(&mut bench).pop().unwrap();
                let body = sdp("10.71.2.2", 5010);
                bench.message(RIGHT, B, &answer(&asked, B, 200, "", &body));
            }
            "a transfer" => bench.message(LEFT, A, &refer(5, &tag, "Refer-To: <sip:100@h>\r\n")),
            _ => {}
        }
        messages(&mut bench);
        let to =
            format!("To: <sip:100@10.71.1.1>\r\nReplaces: a-call;to-tag={tag};from-tag=aa\r\n");
        let body = sdp("10.71.1.2", 4600);
        let comes = request("INVITE", "sip:100@10.71.1.1", &to, &body)
            .replace("a-call\r\nCSeq", "a-new\r\nCSeq")
            .replace("tag=aa\r\nCall-ID", "tag=an\r\nCall-ID")
            .replace("z9hG4bK", "z9hG4bKnew");
        bench.message(LEFT, A, &comes);
        let told = messages(&mut bench);
        let refused: Vec<_> = told.iter().filter_map(|(_, m)| m.code()).collect();
        let expected: &[u16] = if what == "nothing" { &[] } else { &[491] };
        assert_eq!(refused, expected, "{what}");
        stop(bench);
    }
}

fn sent_one(action: Action) -> Message {
    sent(action).1
}
