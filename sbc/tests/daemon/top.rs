//! `sbc top` in a terminal: a pseudo terminal, and behind it an emulator that has a screen.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{Termios, tcgetattr};
use sbc::io::admin::types::{Call, CallPage, Status, TrunkPage};
use tokio::net::TcpListener;

use super::calls::{call, hear_the_first};
use super::programs::{Program, Started};
use super::*;

/// `sbc top` in a terminal of its own.
struct Top {
    program: Started,
    keys: File,
    screen: Arc<Mutex<vt100::Parser>>,
    /// The terminal's side of it: what it is like is to be as it was.
    terminal: OwnedFd,
    before: Termios,
}

impl Top {
    fn start(admin: SocketAddr, colour: bool) -> Top {
        let size = Winsize {
            ws_row: 24,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = openpty(Some(&size), None).unwrap();
        let before = tcgetattr(&pty.slave).unwrap();
        let program = Program::sbc()
            .args(["top", "--delay", "0.2", "--admin", &admin.to_string()])
            .env("TERM", "xterm-256color")
            .env("NO_COLOR", if colour { "" } else { "1" })
            .in_terminal(&pty.slave)
            .unwrap();
        let screen = Arc::new(Mutex::new(vt100::Parser::new(24, 80, 0)));
        let mut output = File::from(pty.master.try_clone().unwrap());
        let shown = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut bytes) {
                shown.lock().unwrap().process(&bytes[..length]);
            }
        });
        Top {
            program,
            keys: File::from(pty.master),
            screen,
            terminal: pty.slave,
            before,
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    /// Waits until it shows all of that.
    async fn shows(&mut self, wanted: &[&str]) {
        let end = Instant::now() + PATIENCE;
        loop {
            let text = self.text();
            if wanted.iter().all(|one| text.contains(one)) {
                return;
            }
            let status = self.program.ended();
            assert!(status.is_none(), "{status:?}:\n{text}");
            assert!(Instant::now() < end, "no {wanted:?}:\n{text}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// It has ended, with this code, and the terminal is as it was.
    async fn ends(mut self, code: i32) {
        let end = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.program.ended() {
                break status;
            }
            assert!(Instant::now() < end, "it does not end:\n{}", self.text());
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        assert_eq!(status.code(), Some(code), "{}", self.text());
        assert!(tcgetattr(self.terminal.as_fd()).unwrap() == self.before);
        // The last of what it wrote may still be on its way.
        let is_back = |screen: &vt100::Screen| !screen.alternate_screen() && !screen.hide_cursor();
        while !is_back(self.screen.lock().unwrap().screen()) {
            assert!(
                Instant::now() < end,
                "another screen is left:\n{}",
                self.text()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test]
async fn a_call_is_seen_opened_and_hung_up() {
    let sbc = Sbc::start().await;
    let mut up = call(&sbc).await;
    hear_the_first(&up).await;
    let mut top = Top::start(sbc.admin(), true);
    top.shows(&["takes calls", "1 up", "phone:6001", "phone:6002", "q quit"])
        .await;
    assert!(top.screen.lock().unwrap().screen().alternate_screen());
    top.press("\r");
    top.shows(&["call 1: phone:6001 to phone:6002, dialled 6002", "Esc back"])
        .await;
    top.press("\t");
    top.shows(&["caller phone:6001: up", "leg phone:6002: up", "PCMU"])
        .await;
    top.press("h");
    top.shows(&["Hang up call 1 (phone:6001 to phone:6002, dialled 6002)? y, or n"])
        .await;
    top.press("y");
    let bye = up.callee.asked("BYE").await;
    up.callee.reply(&bye, 200, "callee", "").await;
    let bye = up.caller.asked("BYE").await;
    up.caller.reply(&bye, 200, "caller", "").await;
    top.press("\x1b");
    top.shows(&["no calls", "0 up, 0 ringing"]).await;
    top.press("q");
    top.ends(0).await;
    sbc.stop().await;
}

#[tokio::test]
async fn a_drain_is_seen() {
    let sbc = Sbc::start().await;
    let _up = call(&sbc).await;
    let mut top = Top::start(sbc.admin(), false);
    top.shows(&["takes calls", "1 up"]).await;
    assert_eq!(super::bans::told(&sbc, &["drain"]).await.2, 0);
    top.shows(&["DRAINS: no new calls", "! the daemon drains"])
        .await;
    // As on the way out of a session.
    kill(top.program.id, Signal::SIGTERM).unwrap();
    top.ends(0).await;
    sbc.stop().await;
}

/// What answers at the admin address, by page.
fn page(path: &str) -> Option<String> {
    let id = "000000000000001a";
    let call = Call {
        id: id.to_owned(),
        sip_call_id: "a@b".to_owned(),
        from: "phone:anna".to_owned(),
        to: vec!["trunk:carrier".to_owned()],
        number: "15551234567".to_owned(),
        state: "up".to_owned(),
        seconds: 9,
        talking_seconds: Some(5),
        route: None,
        codecs: [None, None],
        path: "kernel".to_owned(),
        reason: None,
    };
    let body = match path.split('?').next()? {
        "/api/status" => serde_json::to_string(&Status {
            phase: "ready".to_owned(),
            name: "fake".to_owned(),
            ..Status::default()
        }),
        "/api/trunks" => serde_json::to_string(&TrunkPage { trunks: Vec::new() }),
        "/api/calls" => serde_json::to_string(&CallPage {
            calls: vec![call],
            next: None,
        }),
        "/api/trace" => Ok(format!(
            r#"{{"id":"{id}","state":"up","failed":false,"began":"2026-01-02T03:04:05.123Z","lasted_seconds":9.0,
"from":"phone:anna","to":"trunk:carrier","dialled":"15551234567","outcome":null,"reason":null,
"parties":[{{"name":"phone:anna","address":"192.0.2.5:5060"}},{{"name":"sbc","address":null}},{{"name":"trunk:carrier","address":"203.0.113.9:5060"}}],
"steps":[{{"at":0.0,"from":0,"to":1,"label":"INVITE","note":"G722","transport":"udp","sdp":"v=0\r\n","message":"INVITE sip:15551234567@x SIP/2.0\r\nMax-Forwards: 70\r\n\r\n"}},
{{"at":0.001,"from":1,"to":1,"label":"route national","note":"trunk:carrier","transport":null,"sdp":null,"message":null}},
{{"at":4.0,"from":2,"to":1,"label":"200 OK","note":null,"transport":"udp","sdp":null,"message":"SIP/2.0 200 OK\r\n\r\n"}}],
"verdict":[],"omitted":0}}"#
        )),
        _ => return None,
    };
    Some(body.unwrap())
}

/// A daemon that says what the contract of its pages says, until it is aborted.
async fn fake(at: SocketAddr) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind(at).await.unwrap();
    let at = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut bytes = vec![0; 4096];
                let length = stream.read(&mut bytes).await.unwrap_or_default();
                let request = String::from_utf8_lossy(&bytes[..length]).into_owned();
                let path = request.split(' ').nth(1).unwrap_or_default();
                let (status, body) = match page(path) {
                    Some(body) => ("200 OK", body),
                    None => ("404 Not Found", r#"{"error":"it is over"}"#.to_owned()),
                };
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    (at, serving)
}

#[tokio::test]
async fn a_ladder_is_shown_and_a_daemon_that_went_away_comes_back() {
    let (admin, serving) = fake((own_address(43), 0).into()).await;
    let mut top = Top::start(admin, true);
    top.shows(&["\"fake\"", "phone:anna"]).await;
    top.press("\r");
    top.shows(&[
        "192.0.2.5:5060",
        "─ INVITE ─",
        "[route national: trunk:carrier]",
        "<─",
        " 200 OK ",
    ])
    .await;
    // The first step's message.
    top.press("g\r");
    top.shows(&["1 of 3", "Max-Forwards: 70"]).await;
    top.press("\x1b");
    top.shows(&["Tab about the call"]).await;
    serving.abort();
    let _ = serving.await;
    top.shows(&["NO ANSWER for "]).await;
    let (_, serving) = fake(admin).await;
    top.shows(&["the daemon answers again"]).await;
    top.press("q");
    top.ends(0).await;
    serving.abort();
}

#[tokio::test]
async fn what_is_no_terminal_is_refused() {
    let sbc = Sbc::start().await;
    let (out, err, code) = super::bans::told(&sbc, &["top"]).await;
    assert_eq!((out.as_str(), code), ("", 1));
    assert!(
        err.contains("wants a terminal") && err.contains("`sbc status`"),
        "{err}"
    );
    sbc.stop().await;
}
