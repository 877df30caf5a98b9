//! Whoever sends without a pause does not keep the others waiting: there is one thread.

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::io::signalling::connection;

/// Bytes that are taken from the kernel at once, at most.
const CHUNK: usize = 16 << 10;

/// How often another task had its turn while a connection was read to its end on which so much had come already; with how much that was.
async fn turns(text: &str) -> (usize, usize) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut far = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (near, remote) = listener.accept().await.unwrap();
    far.set_nonblocking(true).unwrap();
    let mut written = 0;
    for piece in text.as_bytes().chunks(CHUNK).cycle().take(128) {
        match far.write(piece) {
            Ok(length) => written += length,
            Err(_) => break,
        }
    }
    far.shutdown(std::net::Shutdown::Write).unwrap();

    let config = Config::parse("[network.lo]\naddress = [\"127.0.0.1\"]\n", "t", &NoSecrets);
    let (inbox, _events) = inbox(Arc::new(Counters::new(1)), Door::new(&config.unwrap()));
    let hop = Hop {
        network: NetworkId(0),
        transport: Transport::Tcp,
        local: near.local_addr().unwrap(),
        remote,
        connection: Some(ConnectionId(1)),
    };
    let (reading, _writing) = near.into_split();
    let (pong, _queued) = connection::queue();
    let turns = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&turns);
    let other = tokio::spawn(async move {
        loop {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    });
    let read = connection::read(reading, hop, pong, inbox, Patience::default());
    tokio::time::timeout(LONG, tokio::spawn(read))
        .await
        .unwrap()
        .unwrap();
    other.abort();
    (turns.load(Ordering::Relaxed), written)
}

#[tokio::test]
async fn a_reader_lets_others_have_their_turn_between_chunks() {
    let body = "x".repeat(60_000);
    let message = format!(
        "OPTIONS sip:a SIP/2.0\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    for (text, what) in [(message, "messages"), (body, "no SIP")] {
        let (turns, written) = turns(&text).await;
        let chunks = written / CHUNK;
        assert!(chunks >= 8, "{written} bytes were taken by the kernel");
        assert!(
            turns >= chunks / 2,
            "{what}: {turns} turns in {chunks} chunks"
        );
    }
}

#[tokio::test]
async fn reports_of_media_threads_do_not_wait_behind_datagrams() {
    let config = Config::parse("[network.lo]\naddress = [\"127.0.0.1\"]\n", "t", &NoSecrets);
    let (inbox, mut events) = inbox(Arc::new(Counters::new(1)), Door::new(&config.unwrap()));
    let hop = Hop {
        network: NetworkId(0),
        transport: Transport::Udp,
        local: "127.0.0.1:5060".parse().unwrap(),
        remote: "127.0.0.1:5061".parse().unwrap(),
        connection: None,
    };
    for pair in 0..100 {
        inbox.datagram(hop, Bytes::from_static(b"x"));
        assert!(inbox.report(Input::FlowEnded {
            pair: crate::media::PairId(pair),
            report: Default::default(),
        }));
    }
    let (mut datagrams, mut reports) = (0, 0);
    for _ in 0..4 {
        let mut batch = Vec::new();
        events.receive(&mut batch, 25).await;
        for event in &batch {
            match event {
                Event::Input(Input::FlowEnded { .. }) => reports += 1,
                _ => datagrams += 1,
            }
        }
    }
    assert_eq!((datagrams, reports), (100, 100));
}
