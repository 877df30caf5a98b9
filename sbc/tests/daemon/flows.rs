//! `/api/flows` and `sbc flows`.

use std::time::Instant;

use sbc::io::admin::types::{Flow, FlowPage, Refusal};

use super::calls::{call, connect, hear_the_first, hears, voice};
use super::watched::cli;
use super::*;

/// What the command line prints about that daemon, to standard output and to standard error, and its exit code.
async fn flows(sbc: &Sbc, arguments: &[&str]) -> (String, String, i32) {
    cli(sbc, "flows", arguments).await
}

fn parsed(answer: (String, String, i32)) -> Vec<Flow> {
    let (out, err, code) = answer;
    assert_eq!((err.as_str(), code), ("", 0));
    serde_json::from_str(&out).unwrap()
}

#[tokio::test]
async fn a_box_without_calls_says_so() {
    let sbc = Sbc::start().await;
    let (out, err, code) = flows(&sbc, &[]).await;
    assert_eq!(out, "No media flows: no call has media now.\n");
    assert_eq!((err.as_str(), code), ("", 0));
    assert_eq!(flows(&sbc, &["--json"]).await.0, "[]\n");
    sbc.stop().await;
}

#[tokio::test]
async fn a_call_s_flows_are_shown_with_what_they_carried() {
    let sbc = Sbc::start().await;
    let up = call(&sbc).await;
    hear_the_first(&up).await;
    for sequence in 1..=10 {
        let packet = voice(sequence, 1);
        up.media[0].send_to(&packet, up.towards[0]).await.unwrap();
        hears(&up.media[1], &packet, up.towards[1]).await;
    }
    let shown = parsed(flows(&sbc, &["--json"]).await);
    let [rtp, rtcp] = shown.as_slice() else {
        panic!("{shown:?}")
    };
    assert_eq!((rtp.kind.as_str(), rtcp.kind.as_str()), ("rtp", "rtcp"));
    for flow in [rtp, rtcp] {
        assert_eq!(flow.sip_call_id, up.dialog.call_id);
        assert_eq!(
            (flow.from.as_str(), flow.to.as_str()),
            ("phone:6001", "phone:6002")
        );
        assert_eq!(flow.number, "6002");
        assert_eq!(flow.path, "user");
        assert_eq!(flow.reason.as_deref(), Some("interface"));
        assert_eq!(flow.sides[0].received.unwrap().lost, 0);
    }
    for (side, end) in rtp.sides.iter().zip(0..) {
        let peer = up.media[end].local_addr().unwrap();
        assert_eq!(
            (side.network.as_str(), side.local),
            ("lan", up.towards[end])
        );
        assert_eq!((side.named, side.latched), (Some(peer), Some(peer)));
        let received = side.received.unwrap();
        assert!(
            received.packets >= if end == 0 { 11 } else { 1 },
            "{received:?}"
        );
        assert_eq!(received.bytes, received.packets * 172);
    }
    assert_eq!(rtcp.sides[0].latched, None);
    assert_eq!(rtcp.sides[0].received.unwrap().packets, 0);

    // By its id, by either leg's Call-ID, and by neither.
    let id = rtp.call.trim_start_matches('0').to_owned();
    for name in [id.as_str(), &rtp.call, &up.dialog.call_id] {
        assert_eq!(
            parsed(flows(&sbc, &["--json", name]).await).len(),
            2,
            "{name}"
        );
    }
    // Who asks for a call that is not there has done something wrong, and is told so as by `sbc calls`.
    for more in [&["a b&c"][..], &["--json", "a b&c"]] {
        let (out, err, code) = flows(&sbc, more).await;
        let none = "sbc: there is no call `a b&c`: it is over (`sbc trace` may have it still), or goes by another id; `sbc calls` lists them\n";
        assert_eq!((out.as_str(), err.as_str(), code), ("", none, 1));
    }

    let (out, err, code) = flows(&sbc, &[]).await;
    assert_eq!((err.as_str(), code), ("", 0));
    let title = format!(
        "call {id}: phone:6001 to phone:6002, dialled 6002, in user space: an address is on no Ethernet interface"
    );
    assert!(out.lines().any(|line| line == title), "{out}");
    assert!(
        out.contains("1 call, 2 flow pairs: 0 in the kernel, 2 in user space."),
        "{out}"
    );
    let widest = out.lines().map(|line| line.chars().count()).max();
    assert!(widest.unwrap() <= 120, "{out}");
    sbc.stop().await;
}

#[tokio::test]
async fn many_flows_come_page_by_page_each_once() {
    const CALLS: usize = 150;
    let sbc = Sbc::start_with(|config| config.networks[0].media_ports = 20000..=32_767).await;
    let mut up = call(&sbc).await;
    for _ in 1..CALLS {
        connect(&sbc, &mut up.caller, &mut up.callee, &up.media).await;
    }
    let started = Instant::now();
    let shown = parsed(flows(&sbc, &["--json"]).await);
    let took = started.elapsed();
    assert_eq!(shown.len(), 2 * CALLS);
    assert!(shown.iter().zip(&shown[1..]).all(|(a, b)| a.pair < b.pair));
    assert!(shown.iter().all(|flow| flow.sides[1].received.is_some()));
    assert!(took < PATIENCE, "{took:?}");
    let wanted = format!("/api/flows?after={}", shown[100].pair);
    let (status, body) = sbc.api(&wanted).await;
    let page: FlowPage = serde_json::from_str(&body).unwrap();
    assert_eq!((status, page.next), (200, None));
    assert_eq!(page.flows[0].pair, shown[101].pair);
    assert_eq!(page.flows.len(), 2 * CALLS - 101);

    let one = parsed(flows(&sbc, &["--json", &up.dialog.call_id]).await);
    assert_eq!(one.len(), 2);
    sbc.stop().await;
}

#[tokio::test]
async fn a_page_of_another_site_gets_nothing() {
    let sbc = Sbc::start().await;
    // `page` has a Host that is a name.
    let (status, body) = sbc.page("/api/flows").await;
    let refusal: Refusal = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (status, refusal.error.as_str()),
        (403, "the Host header must be an address or `localhost`")
    );
    assert_eq!(sbc.api("/api/flows").await.0, 200);
    assert_eq!(sbc.api("/api/flows?what=ever").await.0, 400);
    assert_eq!(sbc.api("/api/nothing").await.0, 404);
    sbc.stop().await;
}
