//! Strangers do not take all connections there may be: trunks and registered phones have some that nobody else has.

use super::*;
use crate::shed::{Input as Seen, Sources};

/// A connection from this address, once it has been taken in: the message over it has come.
async fn connect(sbc: &mut Sbc, from: &str) -> (TcpStream, Hop) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    let mut stream = socket.connect(sbc.address()).await.unwrap();
    stream.write_all(OPTIONS.as_bytes()).await.unwrap();
    let (hop, _) = sbc.message().await;
    (stream, hop)
}

#[tokio::test]
async fn the_oldest_stranger_makes_room_for_another_one_and_nobody_else_does() {
    let mut sbc = Sbc::open(Limits {
        connections: 4,
        strangers: 2,
        ..Limits::default()
    });
    let config = Config::parse("[network.lo]\naddress = [\"127.0.0.1\"]\n", "t", &NoSecrets);
    let mut sources = Sources::new(&config.unwrap());
    let (_phone, _) = connect(&mut sbc, "127.0.0.2").await;
    // It registers.
    sources.handle_input(
        std::time::Instant::now(),
        Seen::Registered {
            network: NetworkId(0),
            source: "127.0.0.2".parse().unwrap(),
        },
    );
    sbc.signalling.apply(&sources.poll_action().unwrap());

    let (mut first, first_hop) = connect(&mut sbc, "127.0.0.3").await;
    let (_second, _) = connect(&mut sbc, "127.0.0.4").await;
    let socket = TcpStream::connect(sbc.address());
    let mut third = socket.await.unwrap();
    third.write_all(OPTIONS.as_bytes()).await.unwrap();
    let closed = sbc.input().await;
    assert!(
        matches!(closed, Input::ConnectionClosed(id) if Some(id) == first_hop.connection),
        "{closed:?}"
    );
    assert_eq!(read_to_end(&mut first).await, "");
    sbc.message().await;
    assert_eq!(sbc.counted().closed(Closed::Crowded), 1);
    // Who is known has the rest.
    let (_again, _) = connect(&mut sbc, "127.0.0.2").await;
    assert_eq!(sbc.counted().connections.value(), 4);
    assert_eq!(sbc.counted().refused_total.value(), 0);
}

#[tokio::test]
async fn no_connection_is_opened_to_a_stranger_who_has_gone() {
    let mut sbc = Sbc::open(Limits::default());
    let (stream, hop) = connect(&mut sbc, "127.0.0.3").await;
    drop(stream);
    assert!(matches!(sbc.input().await, Input::ConnectionClosed(_)));
    // It would be one more of those there may be, for as long as he does not answer.
    let answer = Bytes::from_static(b"SIP/2.0 403 Forbidden\r\n");
    let failed = sbc.signalling.send(hop, answer);
    assert!(
        matches!(failed[..], [Input::SendFailed { .. }]),
        "{failed:?}"
    );
    assert_eq!(sbc.counted().connections.value(), 0);
}
