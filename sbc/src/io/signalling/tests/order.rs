//! What one socket takes in reaches the engine in that order, and what the engine sends to one far end leaves in that order:
//! a CANCEL must not overtake its INVITE, nor a 200 its 180.

use super::*;

/// The number that a message of these tests has in its body.
fn number(bytes: &[u8]) -> u32 {
    let text = std::str::from_utf8(bytes).unwrap();
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    body.parse().unwrap()
}

fn message(number: u32) -> Bytes {
    let body = number.to_string();
    let length = body.len();
    let text = OPTIONS.replace(
        "Content-Length: 2\r\n\r\nhi",
        &format!("Content-Length: {length}\r\n\r\n{body}"),
    );
    text.into()
}

#[tokio::test]
async fn datagrams_come_in_as_they_were_sent() {
    let mut sbc = Sbc::open(Limits::default());
    let phones = [
        UdpSocket::bind("127.0.0.1:0").await.unwrap(),
        UdpSocket::bind("127.0.0.1:0").await.unwrap(),
    ];
    // As many at a time as a receive buffer surely holds.
    for first in (0..2_000).step_by(40) {
        for next in first..first + 40 {
            let phone = &phones[next as usize % 2];
            phone.send_to(&message(next), sbc.address()).await.unwrap();
        }
        for next in first..first + 40 {
            let (hop, bytes) = sbc.message().await;
            assert_eq!(number(&bytes), next);
            let from = phones[next as usize % 2].local_addr().unwrap();
            assert_eq!(hop.remote, from);
        }
    }
}

#[tokio::test]
async fn messages_of_a_stream_come_in_as_they_were_sent_however_it_is_cut() {
    let mut sbc = Sbc::open(Limits::default());
    let connecting = TcpStream::connect(sbc.address());
    let mut stream = connecting.await.unwrap();
    stream.set_nodelay(true).unwrap();
    let all: Vec<u8> = (0..300).flat_map(|n| message(n).to_vec()).collect();
    let writer = tokio::spawn(async move {
        let mut rest = all.as_slice();
        let mut size = 1;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(size.min(rest.len()));
            stream.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
            rest = after;
            size = size * 7 % 1543;
        }
        stream
    });
    for next in 0..300 {
        assert_eq!(number(&sbc.message().await.1), next);
    }
    writer.await.unwrap();
}

/// Sends numbered messages by `hop`, letting the tasks behind it run in between or not.
async fn send_numbered(sbc: &mut Sbc, hop: Hop, count: u32) {
    for next in 0..count {
        let failed = sbc.signalling.send(hop, message(next));
        assert!(failed.is_empty(), "{failed:?}");
        for _ in 0..next % 4 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn datagrams_leave_in_the_order_of_the_engine() {
    // The first ones wait until the kernel is known to take any: later ones must not pass them.
    for _ in 0..50 {
        let mut sbc = Sbc::open(Limits::default());
        let phone = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let hop = sbc.hop(Transport::Udp, phone.local_addr().unwrap());
        send_numbered(&mut sbc, hop, 20).await;
        let mut buffer = [0; 1500];
        for next in 0..20 {
            let received = tokio::time::timeout(LONG, phone.recv_from(&mut buffer));
            let (length, _) = received.await.unwrap().unwrap();
            assert_eq!(number(&buffer[..length]), next);
        }
    }
}

#[tokio::test]
async fn messages_leave_a_connection_in_the_order_of_the_engine() {
    let mut sbc = Sbc::open(Limits::default());
    let carrier = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hop = sbc.hop(Transport::Tcp, carrier.local_addr().unwrap());
    // Some before it is open, some after.
    send_numbered(&mut sbc, hop, 30).await;
    let (mut stream, _) = tokio::time::timeout(LONG, carrier.accept())
        .await
        .unwrap()
        .unwrap();
    let expected: Vec<u8> = (0..30).flat_map(|n| message(n).to_vec()).collect();
    let mut got = vec![0; expected.len()];
    tokio::time::timeout(LONG, stream.read_exact(&mut got))
        .await
        .unwrap()
        .unwrap();
    assert!(got == expected, "{}", String::from_utf8_lossy(&got));
}

#[tokio::test]
async fn nothing_that_was_to_be_sent_is_lost_at_the_end() {
    for _ in 0..50 {
        let mut sbc = Sbc::open(Limits::default());
        let phone = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let hop = sbc.hop(Transport::Udp, phone.local_addr().unwrap());
        sbc.signalling.send(hop, message(0));
        // The queue's task has taken it, and waits for the kernel.
        tokio::task::yield_now().await;
        sbc.signalling.finish(LONG).await;
        let mut buffer = [0; 1500];
        let received = tokio::time::timeout(LONG, phone.recv_from(&mut buffer));
        let (length, _) = received.await.unwrap().unwrap();
        assert_eq!(number(&buffer[..length]), 0);
    }
}
