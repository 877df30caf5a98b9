use super::agent::Agent;
use super::*;

#[tokio::test]
async fn nonsense_is_counted_and_nothing_else() {
    let sbc = Sbc::start().await;
    let mut stranger = Agent::udp(sbc.peer(2), sbc.sip()).await;
    let good = stranger.text(&stranger.request("OPTIONS", ""));
    let endless = format!(
        "OPTIONS sip:a SIP/2.0\r\nSubject: {}\r\n\r\n",
        "x".repeat(65_000)
    );
    let nonsense: [&[u8]; 6] = [
        b"x",
        b"\xff\xfe\xfd INVITE",
        b"INVITE sip:a SIP/2.0\r\n\r\n",
        &good.as_bytes()[..good.len() / 2],
        endless.as_bytes(),
        b"SIP/2.0 999999999999999999 OK\r\n\r\n",
    ];
    for bytes in nonsense {
        stranger.send(bytes).await;
    }
    // Keep-alives are not nonsense.
    stranger.send(b"\r\n\r\n").await;
    stranger.send(b"\0\0\0\0").await;
    stranger.send(b"").await;

    // A known peer is told what was wrong.
    let mut trunk = Agent::udp(sbc.peer(1), sbc.sip()).await;
    let text = trunk
        .text(&trunk.request("OPTIONS", ""))
        .replace("Max-Forwards: 70", "Max-Forwards: seventy");
    trunk.send(text.as_bytes()).await;
    let told = trunk.answer(400).await;
    let sbc::sip::Start::Response { reason, .. } = told.start() else {
        panic!("{told:?}")
    };
    assert!(reason.contains("Max-Forwards"), "{reason}");
    stranger.hears_nothing().await;

    let mut web = TcpStream::connect(sbc.sip()).await.unwrap();
    web.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(PATIENCE, web.read_to_end(&mut rest))
        .await
        .unwrap()
        .unwrap();

    let metrics = sbc.metrics().await;
    assert_eq!(metrics.sum("sbc_sip_malformed_total", "network=lan"), 8.0);
    assert_eq!(
        metrics.sum("sbc_sip_malformed_total", "reason=bad-max-forwards"),
        1.0
    );
    assert_eq!(
        metrics.sum("sbc_sip_connections_closed_total", "reason=broken"),
        1.0
    );
    assert_eq!(metrics.sum("sbc_transactions", ""), 0.0);
    assert_eq!(metrics.sum("sbc_dialogs", ""), 0.0);

    let text = trunk.text(&trunk.request("OPTIONS", ""));
    trunk.send(text.as_bytes()).await;
    trunk.answer(200).await;
    sbc.stop().await;
}

#[tokio::test]
async fn an_invite_of_a_stranger_goes_nowhere() {
    let sbc = Sbc::start().await;
    let mut phone = Agent::udp(sbc.peer(3), sbc.sip()).await;
    phone.register("6002", "two", 200).await;
    let mut stranger = Agent::udp(sbc.peer(2), sbc.sip()).await;
    let text = stranger.text(&stranger.request("INVITE", "6002"));
    stranger.send(text.as_bytes()).await;
    stranger.answer(401).await;
    let wrong = stranger.register("6001", "not it", 401).await;
    assert_eq!(wrong.code(), Some(401));
    phone.hears_nothing().await;
    let metrics = sbc.metrics().await;
    assert_eq!(metrics.sum("sbc_registrations", "network=lan"), 1.0);
    assert_eq!(metrics.sum("sbc_calls", ""), 0.0);
    assert!(metrics.sum("sbc_sip_refused_total", "network=lan") >= 2.0);
    sbc.stop().await;
}
