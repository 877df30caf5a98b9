//! What the config lets through inside calls, methods and headers; what passes before the answer; and what a refusal ends.

use super::dialogs::{from_b, in_dialog, stop};
use super::*;
use crate::sip::Method;

/// With these lines for the trunks a and b, who both may call 3XX, which is c.
pub(super) fn bench_of_two(a: &str, b: &str) -> Bench {
    let mut config = CONFIG.to_owned();
    for (server, more) in [
        ("server = \"sip:10.71.1.2:5060\"\n", a),
        ("server = \"sip:10.71.2.2:5060\"\n", b),
    ] {
        config = config.replace(server, &format!("{server}{more}\n"));
    }
    let more =
        "[[route]]\nfrom = [\"trunk:a\", \"trunk:b\"]\nnumber = \"3XX\"\nto = [\"trunk:c\"]\n";
    bench_of(&format!("{config}{more}"), Limits::default())
}

pub(super) fn messages(bench: &mut Bench) -> Vec<(SocketAddr, Message)> {
    let actions = bench.actions().into_iter();
    let sends = actions.filter(|action| matches!(action, Action::Send { .. }));
    sends.map(sent).collect()
}

pub(super) fn lines(bench: &mut Bench) -> Vec<String> {
    let all = messages(bench);
    all.iter().map(|(_, message)| first_line(message)).collect()
}

pub(super) fn place(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

#[test]
fn any_method_passes_that_both_sides_name_and_no_other() {
    let both = "methods = [\"INFO\", \"X-PING\"]";
    for (a, b, passes) in [(both, both, true), (both, "", false), ("", both, false)] {
        let mut bench = bench_of_two(a, b);
        let (ok, b_invite, _) = set_up(&mut bench);
        let ping = in_dialog("X-PING", 5, &tag_of(&ok), "a: 1\r\n")
            .replace("application/sdp", "application/x-ping;v=1");
        bench.message(LEFT, A, &ping);
        let (to, told) = bench.one();
        if !passes {
            assert_eq!(told.code(), Some(405));
            let allow = told.header(Name::Allow).unwrap();
            assert_eq!(allow.contains("X-PING"), a == both, "{allow}");
            stop(bench);
            continue;
        }
        assert_eq!(to, place(B));
        assert_eq!(first_line(&told), "X-PING sip:bob@10.71.2.2:5060 SIP/2.0");
        let number = b_invite.cseq().number + 1;
        assert_eq!(told.header(Name::CSeq), Some(&*format!("{number} X-PING")));
        assert_eq!(
            told.header(Name::ContentType),
            Some("application/x-ping;v=1")
        );
        assert_eq!(told.body(), b"a: 1\r\n");
        bench.message(RIGHT, B, &answer(&told, B, 299, "", ""));
        let (to, told) = bench.one();
        assert_eq!((to, told.code()), (place(A), Some(299)));
        assert_eq!(told.header(Name::CSeq), Some("5 X-PING"));
        // It is not in the list.
        bench.message(LEFT, A, &in_dialog("MESSAGE", 6, &tag_of(&ok), ""));
        let (_, refused) = bench.one();
        let allow =
            "INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, REGISTER, REFER, INFO, X-PING";
        assert_eq!(
            (refused.code(), refused.header(Name::Allow)),
            (Some(405), Some(allow))
        );
        assert_eq!(b_invite.header(Name::Allow), Some(allow));
        stop(bench);
    }
}

#[test]
fn headers_pass_as_the_config_of_both_sides_has_it() {
    let named = "headers = [\"X-Account\", \"P-Asserted-Identity\"]";
    for (a, b, expected) in [
        ("", "", [Some("7"), Some("yes"), None]),
        (
            named,
            named,
            [
                Some("7"),
                None,
                Some("\"Al\" <sip:al@10.71.2.1>, <tel:+1555>"),
            ],
        ),
        (named, "", [Some("7"), None, None]),
        ("", named, [Some("7"), None, None]),
        (named, "headers = []", [None; 3]),
        (
            "headers = [\"*\"]",
            "headers = [\"x-else\"]",
            [None, Some("yes"), None],
        ),
    ] {
        let mut bench = bench_of_two(a, b);
        let more = "X-Account: 7\r\nX-Else: yes\r\nX-Leak: 10.71.1.2\r\n\
             P-Asserted-Identity: \"Al\" <sip:al@10.71.1.2:5060>, <tel:+1555>\r\nContact:";
        bench.message(LEFT, A, &invite("100").replace("Contact:", more));
        let (_, told) = bench.one();
        let found = [
            told.header_named("X-Account"),
            told.header_named("X-Else"),
            told.header(Name::PAssertedIdentity),
        ];
        assert_eq!(found, expected, "{a} {b}");
        assert_eq!(told.header_named("X-Leak"), None);
        // What always passes still does.
        assert_eq!(told.header(Name::Subject), Some("test"));
        // And the other way: an answer.
        let ringing = answer(&told, B, 180, "bb", "").replace("X-B", "X-Account: 8\r\nX-B");
        bench.message(RIGHT, B, &ringing);
        let (_, told) = bench.one();
        let back = told.header_named("X-Account");
        assert_eq!(back, expected[0].map(|_| "8"), "{a} {b}");
        stop(bench);
    }
}

#[test]
fn key_presses_pass_before_the_answer_and_numbers_go_on_after_it() {
    let mut bench = bench_of_two("", "");
    bench.message(LEFT, A, &invite("100"));
    let (_, b_invite) = bench.one();
    bench.message(RIGHT, B, &answer(&b_invite, B, 180, "bb", ""));
    let (_, ringing) = bench.one();
    let tag = tag_of(&ringing);
    bench.message(LEFT, A, &in_dialog("INFO", 2, &tag, ""));
    let (to, passed) = bench.one();
    assert_eq!(to, place(B));
    assert_eq!(first_line(&passed), "INFO sip:bob@10.71.2.2:5060 SIP/2.0");
    assert_eq!(passed.to().tag(), Some("bb"));
    assert_eq!(passed.cseq().number, b_invite.cseq().number + 1);
    bench.message(RIGHT, B, &answer(&passed, B, 200, "", ""));
    let (_, told) = bench.one();
    assert_eq!((told.code(), told.cseq().number), (Some(200), 2));
    bench.message(RIGHT, B, &from_b("INFO", &b_invite, 7, ""));
    let (to, passed) = bench.one();
    assert_eq!(to, place(A));
    assert_eq!(passed.from().tag(), Some(&*tag));
    assert_eq!(
        (passed.to().tag(), passed.call_id()),
        (Some("aa"), "a-call")
    );
    let first = passed.cseq().number;
    bench.message(LEFT, A, &answer(&passed, A, 200, "", ""));
    assert_eq!(bench.one().1.code(), Some(200));
    bench.message(LEFT, A, &in_dialog("REFER", 3, &tag, ""));
    assert_eq!(bench.one().1.code(), Some(500));
    bench.message(LEFT, A, &in_dialog("PUBLISH", 4, &tag, ""));
    assert_eq!(bench.one().1.code(), Some(405));
    let body = sdp("10.71.2.2", 5000);
    bench.message(RIGHT, B, &answer(&b_invite, B, 200, "bb", &body));
    let ok = messages(&mut bench).pop().unwrap().1;
    assert_eq!(tag_of(&ok), tag);
    bench.message(LEFT, A, &in_dialog("ACK", 1, &tag, ""));
    bench.message(RIGHT, B, &from_b("INFO", &b_invite, 8, ""));
    assert_eq!(bench.one().1.cseq().number, first + 1);
    bench.message(LEFT, A, &in_dialog("INFO", 5, &tag, ""));
    assert_eq!(bench.one().1.cseq().number, b_invite.cseq().number + 2);
    stop(bench);
}

/// A challenge for a request of ours.
fn asks(request: &Message, nonce: &str) -> String {
    let field = format!("WWW-Authenticate: Digest realm=\"b\", nonce=\"{nonce}\"\r\nContact:");
    answer(request, B, 401, "", "").replacen("Contact:", &field, 1)
}

#[test]
fn what_passes_proves_who_we_are_and_so_does_the_ack_of_a_reinvite() {
    let mut bench = bench_of_two("", "username = \"acct\"\npassword = \"pw\"");
    let (ok, ..) = set_up(&mut bench);
    let tag = tag_of(&ok);
    let info = in_dialog("INFO", 2, &tag, "x=1\r\n").replace("application/sdp", "text/x");
    bench.message(LEFT, A, &info);
    let (_, passed) = bench.one();
    bench.message(RIGHT, B, &asks(&passed, "n1"));
    let (_, again) = bench.one();
    assert_eq!(again.cseq().number, passed.cseq().number + 1);
    assert_eq!(
        (again.body(), again.header(Name::ContentType)),
        (&b"x=1\r\n"[..], Some("text/x"))
    );
    let value = again.header(Name::Authorization).unwrap();
    let said = digest::Credentials::parse(value).unwrap();
    assert!(said.verify("pw", "INFO"));
    bench.message(RIGHT, B, &answer(&again, B, 200, "", ""));
    assert_eq!(bench.one().1.code(), Some(200));
    // A moves its media.
    let moved = sdp("10.71.1.2", 4010);
    bench.message(LEFT, A, &in_dialog("INVITE", 3, &tag, &moved));
    let offer = messages(&mut bench).pop().unwrap().1;
    let value = offer.header(Name::Authorization).unwrap();
    assert!(
        digest::Credentials::parse(value)
            .unwrap()
            .verify("pw", "INVITE")
    );
    let body = sdp("10.71.2.2", 5000);
    bench.message(RIGHT, B, &answer(&offer, B, 200, "", &body));
    let told = messages(&mut bench);
    let ack = told
        .iter()
        .find(|(_, m)| m.method() == Method::Ack)
        .unwrap();
    assert_eq!(ack.1.header(Name::Authorization), Some(value));
    // Refused with the password, it is refused.
    bench.message(LEFT, A, &in_dialog("ACK", 3, &tag, ""));
    bench.message(LEFT, A, &in_dialog("INFO", 5, &tag, ""));
    let (_, passed) = bench.one();
    bench.message(RIGHT, B, &asks(&passed, "n2"));
    let (_, again) = bench.one();
    bench.message(RIGHT, B, &asks(&again, "n3"));
    assert_eq!(bench.one().1.code(), Some(403));
    stop(bench);
}

#[test]
fn only_a_part_of_a_message_is_read_as_one() {
    let both = "methods = [\"NOTIFY\"]";
    for (kind, said, told) in [
        (
            "application/dialog-info+xml",
            "<dialog call-id=\"x@10.71.2.2\"/>\r\n",
            "<dialog call-id=\"x@10.71.1.1\"/>\r\n",
        ),
        (
            "message/sipfrag",
            "SIP/2.0 200 OK\r\nX: 10.71.2.2\r\n",
            "SIP/2.0 200 OK\r\n",
        ),
    ] {
        let mut bench = bench_of_two(both, both);
        let (_, b_invite, _) = set_up(&mut bench);
        let text = from_b("NOTIFY", &b_invite, 9, said).replace("application/sdp", kind);
        bench.message(RIGHT, B, &text);
        let (to, passed) = bench.one();
        assert_eq!((to, passed.method()), (place(A), Method::Notify));
        assert_eq!(std::str::from_utf8(passed.body()), Ok(told));
        stop(bench);
    }
}

#[test]
fn a_refusal_ends_what_it_is_about() {
    for (method, code, ends) in [
        ("INVITE", 404, true),
        ("INVITE", 480, true),
        ("INVITE", 501, true),
        ("INVITE", 604, true),
        ("INVITE", 488, false),
        ("INVITE", 500, false),
        ("INFO", 410, true),
        ("INFO", 481, true),
        ("INFO", 405, false),
        ("INFO", 408, false),
        ("INFO", 480, false),
        ("NOTIFY", 481, false),
        ("NOTIFY", 404, true),
    ] {
        let mut bench = bench_of_two("", "");
        let (ok, ..) = set_up(&mut bench);
        let body = match method {
            "INVITE" => sdp("10.71.1.2", 4010),
            _ => String::new(),
        };
        bench.message(LEFT, A, &in_dialog(method, 5, &tag_of(&ok), &body));
        let (_, passed) = messages(&mut bench).pop().unwrap();
        bench.message(RIGHT, B, &answer(&passed, B, code, "", ""));
        let all = lines(&mut bench);
        let byes = all.iter().filter(|line| line.starts_with("BYE ")).count();
        assert_eq!(byes, if ends { 2 } else { 0 }, "{method} {code}: {all:?}");
        let told = all
            .iter()
            .any(|line| line.starts_with(&format!("SIP/2.0 {code}")));
        assert!(told, "{method} {code}: {all:?}");
        assert_eq!(bench.engine.stats(bench.now).calls.is_empty(), ends);
        stop(bench);
    }
}

#[test]
fn a_reason_phrase_that_names_a_place_stays_on_its_side() {
    for (phrase, told) in [
        ("Not with me", "SIP/2.0 415 Not with me"),
        ("Not at 10.71.2.2", "SIP/2.0 415 Unsupported Media Type"),
    ] {
        let mut bench = bench_of_two("", "");
        let (ok, ..) = set_up(&mut bench);
        bench.message(LEFT, A, &in_dialog("INFO", 5, &tag_of(&ok), ""));
        let (_, passed) = bench.one();
        let refusal = answer(&passed, B, 415, "", "").replace("Whatever", phrase);
        bench.message(RIGHT, B, &refusal);
        assert_eq!(lines(&mut bench), [told]);
        stop(bench);
    }
}

#[test]
fn a_name_that_is_shown_names_no_place() {
    for (theirs, shown) in [
        ("Al", Some("Al")),
        ("at 10.9.9.9", None),
        ("Al of pbx.left.example", None),
        ("", None),
    ] {
        let mut bench = bench();
        let from = format!("\"{theirs}\" <sip:al@pbx.left.example>");
        let text = invite("100").replace("\"Al\" <sip:al@10.71.1.2>", &from);
        bench.message(LEFT, A, &text);
        let (to, invite) = bench.one();
        assert_eq!(to, place(B));
        assert_eq!(invite.from().display().as_deref(), shown, "{theirs}");
        assert_eq!(invite.from().uri(), "sip:al@10.71.2.1:5060");
        stop(bench);
    }
}
