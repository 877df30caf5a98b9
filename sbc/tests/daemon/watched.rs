//! `sbc calls` and `sbc hangup`, and the pages behind them.

use sbc::config::{Admin, Secret};
use sbc::io::admin::types::{Call, CallDetail, Status};
use sbc::sip::Name;

use super::agent::{Agent, unique};
use super::bans::told;
use super::calls::{CallUp, call};
use super::programs::Program;
use super::*;

/// What the command line prints about that daemon, to standard output and to standard error, and its exit code.
pub(crate) async fn cli(sbc: &Sbc, command: &str, arguments: &[&str]) -> (String, String, i32) {
    told(sbc, &[&[command], arguments].concat()).await
}

async fn calls(sbc: &Sbc) -> Vec<Call> {
    let (out, err, code) = cli(sbc, "calls", &["--json"]).await;
    assert_eq!((err.as_str(), code), ("", 0));
    serde_json::from_str(&out).unwrap()
}

#[tokio::test]
async fn a_box_without_calls_says_so_and_can_end_none() {
    let sbc = Sbc::start().await;
    assert_eq!(cli(&sbc, "calls", &[]).await.0, "No calls.\n");
    let nobody = "sbc: there is no call `1a`: it is over (`sbc trace` may have it still), or goes by another id; `sbc calls` lists them\n";
    for command in ["calls", "hangup"] {
        let (out, err, code) = cli(&sbc, command, &["1a"]).await;
        assert_eq!((out.as_str(), err.as_str(), code), ("", nobody, 1));
    }
    sbc.stop().await;
}

#[tokio::test]
async fn a_call_is_shown_by_any_of_its_names() {
    let sbc = Sbc::start().await;
    let up = call(&sbc).await;
    let shown = calls(&sbc).await;
    let [one] = shown.as_slice() else {
        panic!("{shown:?}")
    };
    assert_eq!(
        (one.from.as_str(), one.state.as_str()),
        ("phone:6001", "up")
    );
    assert_eq!(one.to, ["phone:6002"]);
    assert_eq!(one.number, "6002");
    assert_eq!(one.route.as_deref(), Some("route 1"));
    assert_eq!(one.codecs, [(); 2].map(|()| Some("PCMU".to_owned())));
    assert_eq!(
        (one.path.as_str(), one.reason.as_deref()),
        ("user", Some("interface"))
    );
    let id = one.id.trim_start_matches('0');
    let (table, ..) = cli(&sbc, "calls", &[]).await;
    let lines: Vec<&str> = table.lines().collect();
    assert!(
        lines[0].starts_with("CALL  FROM        TO          DIALLED  STATE"),
        "{table}"
    );
    assert!(
        lines[1].starts_with(&format!("{id:<4}  phone:6001  phone:6002  6002     up")),
        "{table}"
    );
    assert_eq!(lines[3], "1 call: 1 up.", "{table}");

    for name in [id, &one.id, &up.dialog.call_id] {
        let (out, err, code) = cli(&sbc, "calls", &["--json", name]).await;
        assert_eq!((err.as_str(), code), ("", 0));
        let detail: CallDetail = serde_json::from_str(&out).unwrap();
        assert_eq!(detail.call.id, one.id);
        let [a, b] = detail.legs.as_slice() else {
            panic!("{detail:?}")
        };
        assert_eq!((a.state.as_str(), b.state.as_str()), ("up", "up"));
        assert_eq!(a.sip_call_id, up.dialog.call_id);
        assert_eq!((a.peer, b.peer), (up.caller.local, up.callee.local));
        let [audio] = detail.streams.as_slice() else {
            panic!("{detail:?}")
        };
        assert_eq!(audio.why, "PCMU on both sides: shared, no transcoding");
        assert_eq!(
            audio.path_why,
            "in user space: an address is on no Ethernet interface"
        );
        assert_eq!(audio.sides[0].allowed, ["G722", "PCMU", "PCMA"]);
        let flows: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(flows["flows"].as_array().unwrap().len(), audio.pairs.len());
    }
    let (text, ..) = cli(&sbc, "calls", &[id]).await;
    println!("{text}");
    for line in [
        "  route     route 1\n",
        "\naudio: PCMU on both sides: shared, no transcoding\n  media     in user space: an address is on no Ethernet interface\n",
        "            phone:6001 listed PCMU; `codecs` allows G722, PCMU, PCMA; keys as tones in the audio\n",
    ] {
        assert!(text.contains(line), "{line}in\n{text}");
    }
    sbc.stop().await;
}

#[tokio::test]
async fn a_call_that_is_up_is_hung_up_on_both_sides() {
    let sbc = Sbc::start().await;
    let CallUp {
        mut caller,
        mut callee,
        dialog,
        ..
    } = call(&sbc).await;
    let (out, err, code) = cli(&sbc, "hangup", &[&dialog.call_id, "--why", "tried out"]).await;
    assert_eq!((err.as_str(), code), ("", 0));
    assert!(
        out.ends_with(" is hung up: phone:6001 to phone:6002, dialled 6002\n"),
        "{out}"
    );
    for agent in [&mut caller, &mut callee] {
        let bye = agent.asked("BYE").await;
        let reason = bye.header(Name::Reason).unwrap_or_default();
        assert_eq!(reason, "SIP;cause=487;text=\"Hung up by the operator\"");
        agent.reply(&bye, 200, "", "").await;
    }
    assert_eq!(
        sbc.metrics()
            .await
            .sum("sbc_calls_total", "outcome=answered"),
        1.0
    );
    sbc.stop().await;
}

#[tokio::test]
async fn a_call_that_rings_is_called_off() {
    let sbc = Sbc::start().await;
    let mut caller = Agent::udp(sbc.peer(2), sbc.sip()).await;
    let mut callee = Agent::udp(sbc.peer(3), sbc.sip()).await;
    caller.register("6001", "one", 200).await;
    callee.register("6002", "two", 200).await;
    // Both begin alike.
    let mut asked = Vec::new();
    for name in ["long-name-1", "long-name-2"] {
        let mut invite = caller.request("INVITE", "6002");
        invite.from = format!("<sip:6001@{}>;tag={}", sbc.sip().ip(), unique());
        invite.call_id = format!("{name}-{}", unique());
        caller.ask_as("6001", "one", &mut invite).await;
        let ringing = callee.asked("INVITE").await;
        callee.reply(&ringing, 180, "callee", "").await;
        asked.push((invite, ringing));
    }
    let (_, err, code) = cli(&sbc, "hangup", &["long-name"]).await;
    assert_eq!(code, 1);
    assert!(
        err.starts_with("sbc: `long-name` may be any of these calls; take one by its id:\n  "),
        "{err}"
    );
    assert_eq!(err.lines().count(), 3, "{err}");
    let (text, ..) = cli(&sbc, "calls", &["long-name-1"]).await;
    println!("{text}");
    assert!(text.contains("  state     ringing for 0:0"), "{text}");

    let (_, err, code) = cli(&sbc, "hangup", &["long-name-2"]).await;
    assert_eq!((err.as_str(), code), ("", 0));
    let cancel = callee.asked("CANCEL").await;
    assert_eq!(cancel.call_id(), asked[1].1.call_id());
    callee.reply(&cancel, 200, "callee", "").await;
    callee.reply(&asked[1].1, 487, "callee", "").await;
    callee.asked("ACK").await;
    let refused = caller.answer(487).await;
    assert_eq!(refused.call_id(), asked[1].0.call_id);
    let left = calls(&sbc).await;
    let ringing: Vec<&Call> = left.iter().filter(|call| call.state == "ringing").collect();
    assert_eq!(ringing.len(), 1, "{left:?}");
    sbc.stop().await;
}

#[tokio::test]
async fn one_look_shows_how_the_box_is() {
    let sbc = Sbc::start().await;
    let (out, err, code) = cli(&sbc, "status", &["--json"]).await;
    assert_eq!((err.as_str(), code), ("", 0));
    let status: Status = serde_json::from_str(&out).unwrap();
    assert_eq!(status.warnings, [(); 0].map(|()| String::new()));
    assert_eq!((status.phase.as_str(), status.config), ("ready", None));
    assert_eq!((status.calls.up, status.registrations), (0, 0));
    let [lan] = status.networks.as_slice() else {
        panic!("{out}")
    };
    assert_eq!((lan.media_ports, lan.media_ports_free), (100, 100));
    assert_eq!(
        lan.path_why,
        "in user space: an address is on no Ethernet interface"
    );
    let up = call(&sbc).await;
    let (out, ..) = cli(&sbc, "status", &["--json"]).await;
    let status: Status = serde_json::from_str(&out).unwrap();
    assert_eq!((status.calls.up, status.calls.ringing), (1, 0));
    assert_eq!((status.calls.last_minute, status.registrations), (1, 2));
    assert_eq!((status.flows.user, status.flows.kernel), (2, 0));
    assert_eq!(status.networks[0].media_ports_free, 96);
    let (text, ..) = cli(&sbc, "status", &[]).await;
    println!("{text}");
    assert!(
        text.contains("\n  calls     1 up, 0 ringing; 1 in the last minute\n"),
        "{text}"
    );
    drop(up);
    sbc.stop().await;
}

#[tokio::test]
async fn where_there_is_a_token_everybody_has_to_send_it() {
    let token = "a-token-of-this-test";
    let sbc = Sbc::start_with(|config| {
        config.sbc.admin_token = Some(Secret::new(token.to_owned()));
    })
    .await;
    for page in ["/api/status", "/metrics"] {
        let (status, body) = sbc.api(page).await;
        assert_eq!(status, 401, "{page}: {body}");
        assert!(!body.contains(token), "{body}");
    }
    assert_eq!(sbc.api("/healthz").await.0, 200);
    let (out, err, code) = cli(&sbc, "status", &[]).await;
    assert_eq!((out.as_str(), code), ("", 1));
    assert!(err.contains("SBC_ADMIN_TOKEN"), "{err}");
    for (said, expected) in [(token, 0), ("another-token-here", 1)] {
        let program = Program::sbc()
            .args(["status", "--admin", &sbc.running.admin().to_string()])
            .env("SBC_ADMIN_TOKEN", said);
        let output = program.output().await.unwrap();
        assert_eq!(output.status.code(), Some(expected), "{output:?}");
    }
    sbc.stop().await;
}

#[tokio::test]
async fn a_unix_socket_serves_whom_its_mode_lets_in() {
    let path = std::env::temp_dir().join(format!("sbc-{}-daemon.sock", std::process::id()));
    let sbc = Sbc::start_with(|config| {
        config.sbc.admin = Admin::Unix(path.clone());
        config.sbc.admin_token = Some(Secret::new("nobody-asks-for-it".to_owned()));
    })
    .await;
    let (out, err, code) = cli(&sbc, "status", &[]).await;
    assert_eq!((err.as_str(), code), ("", 0));
    assert!(out.contains("takes calls"), "{out}");
    sbc.stop().await;
    // Its task ends with the engine's, soon.
    while path.exists() {
        tokio::task::yield_now().await;
    }
    let admin = format!("unix:{}", path.display());
    let program = Program::sbc().args(["status", "--admin", &admin]);
    let output = program.output().await.unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
}

#[tokio::test]
async fn what_is_transcoded_and_held_says_why() {
    let sbc = Sbc::start().await;
    let mut caller = Agent::udp(sbc.peer(2), sbc.sip()).await;
    let mut callee = Agent::udp(sbc.peer(3), sbc.sip()).await;
    caller.register("6001", "one", 200).await;
    callee.register("6002", "two", 200).await;
    let sdp = |agent: &Agent, formats: &str| {
        let ip = agent.local.ip();
        format!(
            "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio 4000 RTP/AVP {formats}\r\n"
        )
    };
    let mut invite = caller.request("INVITE", "6002");
    invite.from = format!("<sip:6001@{}>;tag={}", sbc.sip().ip(), unique());
    invite.body = sdp(&caller, "0 101\r\na=rtpmap:101 telephone-event/8000");
    caller.ask_as("6001", "one", &mut invite).await;
    let asked = callee.asked("INVITE").await;
    callee
        .reply(
            &asked,
            200,
            "callee",
            &(sdp(&callee, "9") + "a=sendonly\r\n"),
        )
        .await;
    caller.answer(200).await;
    let shown = calls(&sbc).await;
    let [one] = shown.as_slice() else {
        panic!("{shown:?}")
    };
    assert_eq!(one.state, "held");
    assert_eq!(
        one.codecs,
        ["PCMU", "G722"].map(|name| Some(name.to_owned()))
    );
    assert_eq!(
        (one.path.as_str(), one.reason.as_deref()),
        ("user", Some("transcoded"))
    );
    let (text, ..) = cli(&sbc, "calls", &[&one.id]).await;
    println!("{text}");
    for line in [
        "\nleg phone:6002: up, holds the other one\n",
        "\naudio: PCMU <-> G722, transcoded: phone:6001 listed only PCMU; phone:6002 listed only G722: none is shared\n  media     in user space: its sides share no codec\n",
        " phone:6001 listed PCMU; `codecs` allows G722, PCMU, PCMA; keys as RTP events (RFC 4733)\n",
        " phone:6002 listed G722; `codecs` allows G722, PCMU, PCMA; keys as tones in the audio\n",
    ] {
        assert!(text.contains(line), "{line}in\n{text}");
    }
    sbc.stop().await;
}
