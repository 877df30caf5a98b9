//! `sbc ban`, `sbc unban`, `sbc bans` and `/api/bans`.

use sbc::io::admin::types::{Ban, BanPage};

use super::agent::Agent;
use super::programs::Program;
use super::*;

/// What the command line prints about that daemon, to standard output and to standard error, and its exit code.
pub(crate) async fn told(sbc: &Sbc, arguments: &[&str]) -> (String, String, i32) {
    let program = Program::sbc().args(arguments).arg("--admin");
    let admin = sbc.running.admin().to_string();
    let output = program.arg(admin).output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        text(output.stdout),
        text(output.stderr),
        output.status.code().unwrap(),
    )
}

async fn banned_so_far(sbc: &Sbc) -> f64 {
    let metrics = sbc.metrics().await;
    metrics.sum("sbc_sip_refused_total", "network=lan reason=banned")
}

#[tokio::test]
async fn a_banned_source_hears_nothing_until_it_is_served_again() {
    let sbc = Sbc::start().await;
    let source = sbc.peer(2).to_string();
    let mut stranger = Agent::udp(sbc.peer(2), sbc.sip()).await;
    let register = stranger.text(&stranger.request("REGISTER", ""));
    stranger.send(register.as_bytes()).await;
    stranger.answer(401).await;
    let mut connected = Agent::tcp(sbc.peer(2), sbc.sip()).await;
    let over_tcp = connected.text(&connected.request("OPTIONS", ""));
    connected.send(over_tcp.as_bytes()).await;
    connected.answer(403).await;
    assert_eq!(told(&sbc, &["bans"]).await.0, "Nobody is banned.\n");

    let (out, err, code) = told(&sbc, &["ban", &source]).await;
    let done = format!(
        "{source} is banned: its SIP is dropped. Media of calls that are up goes on until they end.\n  on lan for 10m\n"
    );
    assert_eq!(
        (out, err.as_str(), code),
        (done, "warning: an address of this host is among them\n", 0)
    );
    let closed = sbc.metrics().await;
    let closed = closed.sum("sbc_sip_connections_closed_total", "reason=banned");
    assert_eq!(closed, 1.0);
    stranger.send(register.as_bytes()).await;
    while banned_so_far(&sbc).await < 1.0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(sbc.metrics().await.sum("sbc_bans", "network=lan"), 1.0);
    let (out, _, _) = told(&sbc, &["bans", "--json"]).await;
    let listed: Vec<Ban> = serde_json::from_str(&out).unwrap();
    let [ban] = listed.as_slice() else {
        panic!("{out}")
    };
    assert_eq!(
        (ban.prefix.to_string(), ban.by.as_str()),
        (format!("{source}/32"), "operator")
    );
    assert!((1..=600).contains(&ban.seconds_left), "{ban:?}");

    let (out, err, code) = told(&sbc, &["unban", &source]).await;
    let done = format!("{source} is served again on lan.\n");
    assert_eq!((out, err.as_str(), code), (done, "", 0));
    stranger.send(register.as_bytes()).await;
    stranger.answer(401).await;
    let metrics = sbc.metrics().await;
    assert_eq!(metrics.sum("sbc_sip_refused_total", "reason=banned"), 1.0);
    assert_eq!(metrics.sum("sbc_bans", "network=lan"), 0.0);
    sbc.stop().await;
}

#[tokio::test]
async fn a_ban_of_a_trunk_is_obeyed_with_a_warning() {
    let sbc = Sbc::start().await;
    let trunk = sbc.peer(1).to_string();
    let (out, err, code) = told(&sbc, &["ban", &trunk, "--for", "2h"]).await;
    assert!(out.contains("  on lan for 2h\n"), "{out}");
    assert_eq!(
        (err.lines().next().unwrap(), code),
        (
            "warning: sources of trunk:pbx are among them: its calls no longer come in",
            0
        )
    );
    let mut agent = Agent::udp(sbc.peer(1), sbc.sip()).await;
    let text = agent.text(&agent.request("OPTIONS", ""));
    agent.send(text.as_bytes()).await;
    while banned_so_far(&sbc).await < 1.0 {
        tokio::task::yield_now().await;
    }
    // The whole of what holds it.
    assert_eq!(told(&sbc, &["unban", "127.0.0.0/8"]).await.2, 0);
    agent.send(text.as_bytes()).await;
    agent.answer(200).await;
    sbc.stop().await;
}

#[tokio::test]
async fn what_cannot_be_is_said() {
    let sbc = Sbc::start().await;
    for (arguments, said) in [
        (
            ["unban", "192.0.2.1"],
            "sbc: 192.0.2.1 is not banned: `sbc bans` lists who is\n",
        ),
        (
            ["ban", "10.0.0.0/7"],
            "sbc: 10.0.0.0/7 is too wide to be banned: a prefix has at least 8 bits; close the network in the firewall instead\n",
        ),
        (
            ["ban", "0.0.0.0"],
            "sbc: 0.0.0.0/32 is nobody's source address: nothing to ban\n",
        ),
    ] {
        let (out, err, code) = told(&sbc, &arguments).await;
        assert_eq!((out.as_str(), err.as_str(), code), ("", said, 1));
    }
    let (_, err, code) = told(&sbc, &["ban", "192.0.2.1", "--for", "soon"]).await;
    assert_eq!(code, 2);
    assert!(
        err.contains("a whole number with its unit, s, m, h or d"),
        "{err}"
    );
    let (status, body) = sbc.api("/api/bans").await;
    let page: BanPage = serde_json::from_str(&body).unwrap();
    assert_eq!((status, page.bans.len()), (200, 0));
    sbc.stop().await;
}
