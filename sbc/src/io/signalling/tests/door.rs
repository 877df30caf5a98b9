//! Who is banned comes in neither by datagram nor by connection, and is served again when the ban is lifted.

use super::*;
use sbc_ebpf::shed::Shed;

use crate::shed::Sources;

#[tokio::test]
async fn a_banned_source_gets_nothing_in_until_its_ban_is_lifted() {
    let mut sbc = Sbc::open(Limits::default());
    let config =
        Config::parse("[network.lo]\naddress = [\"127.0.0.1\"]\n", "t", &NoSecrets).unwrap();
    let mut sources = Sources::new(&config);
    let phone = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut open = TcpStream::connect(sbc.address()).await.unwrap();
    let options = "OPTIONS sip:a SIP/2.0\r\nContent-Length: 0\r\n\r\n";
    open.write_all(options.as_bytes()).await.unwrap();
    let (hop, _) = sbc.message().await;

    let prefix = "127.0.0.0/8".parse().unwrap();
    sources
        .ban(std::time::Instant::now(), prefix, None)
        .unwrap();
    let ban = sources.poll_action().unwrap();
    let closed = sbc.signalling.apply(&ban);
    assert!(
        matches!(closed[..], [Input::ConnectionClosed(id)] if Some(id) == hop.connection),
        "{closed:?}"
    );
    assert_eq!(sbc.counted().closed(Closed::Banned), 1);
    assert_eq!(read_to_end(&mut open).await, "");
    // The connection is made by the kernel, and closed without a word.
    let mut refused = TcpStream::connect(sbc.address()).await.unwrap();
    assert_eq!(read_to_end(&mut refused).await, "");
    phone.send_to(b"first", sbc.address()).await.unwrap();
    while sbc.counted().shed(Shed::Banned) < 2 {
        tokio::task::yield_now().await;
    }

    sources.unban(prefix).unwrap();
    assert_eq!(
        sbc.signalling.apply(&sources.poll_action().unwrap()).len(),
        0
    );
    phone.send_to(b"second", sbc.address()).await.unwrap();
    assert_eq!(sbc.message().await.1, "second");
    assert_eq!(sbc.counted().shed(Shed::Banned), 2);
    assert_eq!(sbc.counted().shed(Shed::Flood), 0);
}
