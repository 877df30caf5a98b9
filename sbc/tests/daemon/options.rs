use super::agent::Agent;
use super::*;

#[tokio::test]
async fn options_are_answered_over_udp_and_over_tcp_byte_by_byte() {
    let sbc = Sbc::start().await;
    let mut udp = Agent::udp(sbc.peer(1), sbc.sip()).await;
    let text = udp.text(&udp.request("OPTIONS", ""));
    udp.send(text.as_bytes()).await;
    let answer = udp.answer(200).await;
    assert_eq!(
        answer.header(sbc::sip::Name::Allow).map(str::is_empty),
        Some(false)
    );

    let mut tcp = Agent::tcp(sbc.peer(1), sbc.sip()).await;
    let text = tcp.text(&tcp.request("OPTIONS", ""));
    for byte in text.bytes() {
        tcp.send(&[byte]).await;
        tokio::task::yield_now().await;
    }
    tcp.answer(200).await;

    let metrics = sbc.metrics().await;
    for transport in ["udp", "tcp"] {
        let labels = format!("network=lan transport={transport} method=OPTIONS");
        let sum = |more: &str| metrics.sum("sbc_sip_messages_total", &format!("{labels} {more}"));
        assert_eq!(sum("direction=in class=request"), 1.0);
        assert_eq!(sum("direction=out class=2xx"), 1.0);
        assert_eq!(sum(""), 2.0);
    }
    assert_eq!(metrics.sum("sbc_sip_malformed_total", ""), 0.0);
    assert_eq!(metrics.sum("sbc_sip_connections", "network=lan"), 1.0);
    sbc.stop().await;
}
