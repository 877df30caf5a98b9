//! Who refreshes, and when.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::sip::Writer;

const SECOND: Duration = Duration::from_secs(1);

fn message(first: &str, headers: &str) -> Message {
    let text = format!(
        "{first}\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=a\r\nTo: <sip:b@h>;tag=b\r\n\
         Call-ID: c\r\nCSeq: 1 UPDATE\r\n{headers}\r\n"
    );
    Message::parse(Bytes::from(text), &Default::default()).unwrap()
}

fn request(headers: &str) -> Message {
    message("UPDATE sip:b@h SIP/2.0", headers)
}

fn answer(headers: &str) -> Message {
    message("SIP/2.0 200 OK", headers)
}

/// What a 2xx to this says of the timer.
fn accepted(session: &mut Session, now: Instant, headers: &str) -> String {
    let writer = session.accept(now, &request(headers), Writer::response(200, "OK"));
    said(writer)
}

fn asked(session: &Session) -> String {
    said(session.ask(Writer::response(200, "OK")))
}

fn said(writer: Writer) -> String {
    let bytes = writer.finish();
    let text = std::str::from_utf8(&bytes).unwrap();
    let text = text.strip_prefix("SIP/2.0 200 OK\r\n").unwrap();
    let text = text.strip_suffix("Content-Length: 0\r\n\r\n").unwrap();
    text.replace("\r\n", "|")
}

#[test]
fn who_refreshes_is_as_the_rfc_has_it() {
    for (headers, expected) in [
        // RFC 4028, table 2, and what is left to us.
        ("", ""),
        ("Supported: 100rel\r\n", ""),
        (
            "Session-Expires: 600\r\n",
            "Session-Expires: 600;refresher=uas|",
        ),
        (
            "Supported: 100rel, timer\r\n",
            "Require: timer|Session-Expires: 1800;refresher=uac|",
        ),
        (
            "k: timer\r\nx: 600;refresher=uas\r\n",
            "Session-Expires: 600;refresher=uas|",
        ),
        (
            "Supported: timer\r\nSession-Expires: 600 ; refresher = UAC\r\n",
            "Require: timer|Session-Expires: 600;refresher=uac|",
        ),
        // Lessened, but not below what the peer takes.
        (
            "Require: timer\r\nSession-Expires: 99999999999;refresher=uac\r\nMin-SE: 7200\r\n",
            "Require: timer|Session-Expires: 7200;refresher=uac|",
        ),
        (
            "Supported: timer\r\nMin-SE: 3600\r\n",
            "Require: timer|Session-Expires: 3600;refresher=uac|",
        ),
        // Not to be refused, as nobody would understand it.
        (
            "Session-Expires: 10\r\n",
            "Session-Expires: 90;refresher=uas|",
        ),
        ("Session-Expires: soon\r\n", ""),
    ] {
        let got = accepted(&mut Session::new(), Instant::now(), headers);
        assert_eq!(got, expected, "{headers}");
    }
}

#[test]
fn what_is_too_short_is_refused_to_those_who_know_why() {
    assert!(is_too_short(&request(
        "Supported: timer\r\nSession-Expires: 89\r\n"
    )));
    assert!(!is_too_short(&request(
        "Supported: timer\r\nSession-Expires: 90\r\n"
    )));
    assert!(!is_too_short(&request("Session-Expires: 89\r\n")));
    assert!(!is_too_short(&request("Supported: timer\r\n")));
}

#[test]
fn ours_to_refresh_at_half_and_to_end_before_the_end() {
    let now = Instant::now();
    let mut session = Session::new();
    assert_eq!(asked(&session), "Session-Expires: 1800|");
    session.answered(now, &answer("Session-Expires: 1800;refresher=uac\r\n"));
    assert_eq!(session.poll_timeout(), Some(now + 900 * SECOND));
    assert_eq!(session.due(now + 899 * SECOND), Due::Nothing);
    assert_eq!(session.due(now + 900 * SECOND), Due::Refresh);
    session.refreshing(Method::Invite);
    assert_eq!(session.poll_timeout(), Some(now + 1768 * SECOND));
    assert_eq!(session.half_of_the_rest(now + 1168 * SECOND), 300 * SECOND);
    let end = Due::End {
        interval: 1800,
        ours: true,
    };
    assert_eq!(session.due(now + 1768 * SECOND), end);
    assert_eq!(asked(&session), "Session-Expires: 1800;refresher=uac|");
    session.answered(
        now + 900 * SECOND,
        &answer("Session-Expires: 90;refresher=uac\r\n"),
    );
    assert_eq!(session.poll_timeout(), Some(now + 945 * SECOND));
    session.refreshing(Method::Update);
    // A third of it is less than 32 s.
    assert_eq!(session.poll_timeout(), Some(now + 960 * SECOND));
    session.answered(now + 950 * SECOND, &answer(""));
    assert_eq!(session.poll_timeout(), None);
}

#[test]
fn theirs_to_refresh_is_only_waited_for() {
    let now = Instant::now();
    let mut session = Session::new();
    session.answered(now, &answer("Session-Expires: 120;refresher=uas\r\n"));
    assert_eq!(session.poll_timeout(), Some(now + 88 * SECOND));
    session.refresh_at(now);
    assert_eq!(session.due(now + 87 * SECOND), Due::Nothing);
    let end = Due::End {
        interval: 120,
        ours: false,
    };
    assert_eq!(session.due(now + 88 * SECOND), end);
    // It keeps its role where nobody says otherwise.
    assert_eq!(asked(&session), "Session-Expires: 120;refresher=uas|");
    let got = accepted(&mut session, now + 60 * SECOND, "Supported: timer\r\n");
    assert_eq!(got, "Require: timer|Session-Expires: 1800;refresher=uac|");
    assert_eq!(session.poll_timeout(), Some(now + 1828 * SECOND));
    // It does not speak of it any more: there is no timer any more.
    assert_eq!(accepted(&mut session, now, ""), "");
    assert_eq!(session.poll_timeout(), None);
    session.answered(now, &answer("Session-Expires: 120;refresher=uac\r\n"));
    let got = accepted(&mut session, now, "");
    assert_eq!(got, "Session-Expires: 1800;refresher=uas|");
}

#[test]
fn a_422_raises_the_interval_a_few_times_and_within_reason() {
    let mut session = Session::new();
    let refusal = |least: &str| message("SIP/2.0 422 No", &format!("Min-SE: {least}\r\n"));
    assert!(!session.raise(&refusal("1800")));
    assert!(!session.raise(&refusal("86401")));
    assert!(!session.raise(&message("SIP/2.0 422 No", "")));
    assert!(session.raise(&refusal("3600")));
    assert_eq!(asked(&session), "Session-Expires: 3600|Min-SE: 3600|");
    assert!(!session.raise(&refusal("3600")));
    assert!(session.raise(&refusal("3601")));
    assert!(session.raise(&refusal("3602")));
    assert!(!session.raise(&refusal("3603")));
    session.answered(Instant::now(), &answer(""));
    assert!(session.raise(&refusal("3603")));
}

#[test]
fn update_is_for_who_allows_it() {
    let mut session = Session::new();
    assert_eq!(session.method(), Method::Invite);
    session.learn(&request("Allow: INVITE, ACK , UPDATE\r\n"));
    assert_eq!(session.method(), Method::Update);
    session.learn(&request(""));
    assert_eq!(session.method(), Method::Update);
    session.takes_no_update();
    assert_eq!(session.method(), Method::Invite);
    session.learn(&request("Allow: UPDATE\r\nAllow: BYE\r\n"));
    assert_eq!(session.method(), Method::Update);
    session.learn(&request("Allow: INVITE\r\n"));
    assert_eq!(session.method(), Method::Invite);
}

#[test]
fn an_answer_says_who_refreshes_and_who_is_silent_leaves_it_to_us() {
    let now = Instant::now();
    for (refresher, ours) in [
        ("", true),
        (";refresher=uac", true),
        (";refresher=UAS", false),
        (";other=1;refresher=uas", false),
        (";refresher=nobody", true),
    ] {
        let mut session = Session::new();
        session.answered(
            now,
            &answer(&format!("Session-Expires: 600{refresher}\r\n")),
        );
        // Ours at half, theirs a little before the end.
        let half = now + 300 * SECOND;
        assert_eq!(session.poll_timeout() == Some(half), ours, "{refresher}");
    }
}

proptest! {
    /// Whatever a peer writes there: the timer, if there is one, is one that we can keep.
    #[test]
    fn whatever_is_written_the_interval_is_in_reason(
        expires in "[ -~]{0,24}", least in "[ -~]{0,12}", timer in any::<bool>(),
    ) {
        let supported = if timer { "Supported: timer\r\n" } else { "" };
        let text = format!("{supported}Session-Expires: {expires}\r\nMin-SE: {least}\r\n");
        let now = Instant::now();
        let mut session = Session::new();
        let _ = is_too_short(&request(&text));
        accepted(&mut session, now, &text);
        if let Some(at) = session.poll_timeout() {
            prop_assert!(at >= now + 45 * SECOND && at <= now + MOST * SECOND);
        }
        session.answered(now, &answer(&text));
        if let Some(at) = session.poll_timeout() {
            prop_assert!(at >= now + 45 * SECOND);
        }
        session.raise(&answer(&text));
        prop_assert!(session.interval() >= MIN_SE);
    }
}
