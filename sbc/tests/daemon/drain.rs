//! `sbc drain` and `sbc stop`: no new calls, and the end.

use sbc::sip::Name;
use serde_json::Value;
use tokio::net::TcpListener;

use super::agent::{Request, unique};
use super::bans::told;
use super::calls::{CallUp, call};
use super::programs::Program;
use super::*;

/// The caller hangs up; both hear that it is done.
async fn hang_up(up: &mut CallUp) {
    let bye = Request {
        method: "BYE",
        cseq: up.dialog.cseq + 1,
        ..up.dialog.clone()
    };
    let bye = up.caller.text(&bye);
    up.caller.send(bye.as_bytes()).await;
    up.caller.answer(200).await;
    let asked = up.callee.asked("BYE").await;
    up.callee.reply(&asked, 200, "callee", "").await;
}

/// A call of the callee's to the caller; what is answered to it.
async fn refused(sbc: &Sbc, up: &mut CallUp, code: u16) -> sbc::sip::Message {
    let mut invite = up.callee.request("INVITE", "6001");
    invite.from = format!("<sip:6002@{}>;tag={}", sbc.sip().ip(), unique());
    up.callee.ask_as("6002", "two", &mut invite).await;
    up.callee.answer(code).await
}

#[tokio::test]
async fn a_box_that_drains_ends_with_its_last_call() {
    let sbc = Sbc::start().await;
    let mut up = call(&sbc).await;
    let (out, err, code) = told(&sbc, &["drain"]).await;
    let one = "no new calls; 1 call to end, then the daemon ends\n";
    assert_eq!((out.as_str(), err.as_str(), code), (one, "", 0));
    let (status, why) = sbc.page("/readyz").await;
    assert_eq!(status, 503);
    assert!(why.starts_with("draining: "), "{why}");
    assert_eq!(sbc.page("/healthz").await.0, 200);
    assert_eq!(sbc.metrics().await.sum("sbc_draining", ""), 1.0);
    let (out, ..) = told(&sbc, &["status"]).await;
    assert!(
        out.contains(" drains, and ends with the last call; "),
        "{out}"
    );
    assert!(out.contains("  ! the daemon drains: "), "{out}");

    let answer = refused(&sbc, &mut up, 503).await;
    assert!(answer.header(Name::RetryAfter).is_some(), "{answer:?}");
    // Phones stay registered, and the call goes on.
    up.callee.register("6002", "two", 200).await;
    let mut again = up.dialog.clone();
    again.method = "OPTIONS";
    again.cseq += 1;
    let asked = up.caller.text(&again);
    up.caller.send(asked.as_bytes()).await;
    up.caller.answer(200).await;
    up.dialog.cseq += 1;

    hang_up(&mut up).await;
    sbc.ends().await;
}

#[tokio::test]
async fn a_drain_is_taken_back() {
    let sbc = Sbc::start().await;
    let mut up = call(&sbc).await;
    assert_eq!(told(&sbc, &["drain"]).await.2, 0);
    let (out, err, code) = told(&sbc, &["drain", "--cancel"]).await;
    let back = "new calls are taken again\n";
    assert_eq!((out.as_str(), err.as_str(), code), (back, "", 0));
    assert_eq!(sbc.page("/readyz").await, (200, "ready\n".to_owned()));
    assert_eq!(sbc.metrics().await.sum("sbc_draining", ""), 0.0);
    // The last call does not end the daemon any more.
    hang_up(&mut up).await;
    until_idle(&sbc).await;
    let (out, ..) = told(&sbc, &["status", "--json"]).await;
    let status: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(status["phase"], "ready");
    sbc.stop().await;
}

async fn until_idle(sbc: &Sbc) {
    let idle = async {
        while sbc.metrics().await.sum("sbc_dialogs", "") > 0.0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, idle).await.unwrap();
}

#[tokio::test]
async fn who_waits_is_told_until_the_daemon_has_ended() {
    let sbc = Sbc::start().await;
    let mut up = call(&sbc).await;
    let waiting = told(&sbc, &["drain", "--wait"]);
    let ending = async {
        while sbc.page("/readyz").await.0 != 503 {
            tokio::task::yield_now().await;
        }
        hang_up(&mut up).await;
    };
    let ((out, err, code), ()) = tokio::join!(waiting, ending);
    assert_eq!((err.as_str(), code), ("", 0), "{out}");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(
        lines,
        [
            "no new calls; 1 call to end, then the daemon ends",
            "the daemon has ended"
        ]
    );
    sbc.ends().await;
}

#[tokio::test]
async fn who_waits_looks_again_where_the_engine_gives_no_answer() {
    let listener = TcpListener::bind((own_address(45), 0)).await.unwrap();
    let admin = listener.local_addr().unwrap().to_string();
    let waiting = Program::sbc().args(["drain", "--wait", "--admin", &admin]);
    let ending = async {
        for (status, body) in [
            ("200 OK", r#"{"phase":"draining","calls":1}"#),
            (
                "503 Service Unavailable",
                r#"{"error":"the engine has ended"}"#,
            ),
        ] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 4096];
            assert_ne!(stream.read(&mut asked).await.unwrap(), 0);
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        drop(listener);
    };
    let (output, ()) = tokio::join!(waiting.output(), ending);
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(out.ends_with("\nthe daemon has ended\n"), "{out}");
}

#[tokio::test]
async fn a_box_without_calls_ends_at_once() {
    let sbc = Sbc::start().await;
    let (out, err, code) = told(&sbc, &["drain"]).await;
    let none = "there is no call: the daemon ends\n";
    assert_eq!((out.as_str(), err.as_str(), code), (none, "", 0));
    sbc.ends().await;
}

#[tokio::test]
async fn stop_ends_every_call_and_says_when_it_is_done() {
    for arguments in [&["stop"][..], &["stop", "--purge"]] {
        let sbc = Sbc::start().await;
        let mut up = call(&sbc).await;
        let stopping = told(&sbc, arguments);
        let ending = async {
            let bye = up.callee.asked("BYE").await;
            up.callee.reply(&bye, 200, "callee", "").await;
            let bye = up.caller.asked("BYE").await;
            up.caller.reply(&bye, 200, "caller", "").await;
        };
        let (told, ()) = tokio::join!(stopping, ending);
        let said = ("1 call to end\nstopped\n".to_owned(), String::new(), 0);
        assert_eq!(told, said, "{arguments:?}");
        sbc.ends().await;
    }
}

#[tokio::test]
async fn what_stops_drains_no_more() {
    let sbc = Sbc::start().await;
    // Its far ends say nothing to the BYE: it waits for them.
    let _up = call(&sbc).await;
    sbc.running.control().stop().await;
    let (out, err, code) = told(&sbc, &["drain", "--cancel"]).await;
    assert_eq!((out.as_str(), code), ("", 1));
    assert!(err.contains("is stopping already"), "{err}");
    sbc.stop().await;
}
