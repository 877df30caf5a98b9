use std::net::{TcpListener as StdListener, UdpSocket as StdUdp};
mod crowd;
mod door;
mod fairness;
mod order;
mod outside;

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::*;
use crate::config::{Bind, HostInterface, NoSecrets};

const OPTIONS: &str = "OPTIONS sip:box SIP/2.0\r\nVia: SIP/2.0/TCP a;branch=z9hG4bK1\r\nFrom: <sip:a@a>;tag=1\r\n\
    To: <sip:box>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 2\r\n\r\nhi";
/// What no test waits for in vain.
const LONG: Duration = Duration::from_secs(10);

/// Sockets on loopback, with the engine's end of their queue.
struct Sbc {
    signalling: Signalling,
    events: Events,
    counters: Arc<Counters>,
    waiting: Vec<Event>,
}

impl Sbc {
    fn open(limits: Limits) -> Sbc {
        // The port is free for both: the next user of an ephemeral port is somebody else.
        let tcp = StdListener::bind("127.0.0.1:0").unwrap();
        let port = tcp.local_addr().unwrap().port();
        drop(tcp);
        let text = format!(
            "[network.lo]\naddress = [\"127.0.0.1\"]\nsip = [\"udp:{port}\", \"tcp:{port}\"]\n"
        );
        let mut config = Config::parse(&text, "test.toml", &NoSecrets).unwrap();
        let Bind::Addresses(addresses) = config.networks[0].bind.clone() else {
            unreachable!()
        };
        let lo = HostInterface {
            name: "lo".to_owned(),
            addresses,
        };
        config.bind(&[lo]).unwrap();
        let counters = Arc::new(Counters::new(1));
        let (inbox, events) = inbox(Arc::clone(&counters), Door::new(&config));
        Sbc {
            signalling: Signalling::start(listen(&config).unwrap(), limits, &inbox).unwrap(),
            events,
            counters,
            waiting: Vec::new(),
        }
    }

    fn address(&self) -> SocketAddr {
        self.signalling.locals()[0].address
    }

    fn hop(&self, transport: Transport, remote: SocketAddr) -> Hop {
        Hop {
            network: NetworkId(0),
            transport,
            local: self.address(),
            remote,
            connection: None,
        }
    }

    /// The next that the engine would be told.
    async fn input(&mut self) -> Input {
        loop {
            if self.waiting.is_empty() {
                let received = self.events.receive(&mut self.waiting, 64);
                tokio::time::timeout(LONG, received).await.unwrap();
            }
            let event = self.waiting.remove(0);
            if let Some(input) = self.signalling.handle(event) {
                return input;
            }
        }
    }

    async fn message(&mut self) -> (Hop, Bytes) {
        match self.input().await {
            Input::Message { hop, bytes } => (hop, bytes),
            other => panic!("{other:?}"),
        }
    }

    fn counted(&self) -> &NetworkCounters {
        self.counters.network(NetworkId(0))
    }
}

fn patient(message_ms: u64, idle_ms: u64) -> Limits {
    Limits {
        patience: Patience {
            message: Duration::from_millis(message_ms),
            idle: Duration::from_millis(idle_ms),
            ..Patience::default()
        },
        ..Limits::default()
    }
}

async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    tokio::time::timeout(LONG, stream.read_to_string(&mut text))
        .await
        .unwrap()
        .unwrap();
    text
}

#[tokio::test]
async fn a_datagram_of_any_size_comes_in_and_is_answered_from_the_same_port() {
    let mut sbc = Sbc::open(Limits::default());
    let phone = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for size in [0, 1, 1400, 65_507] {
        let sent = vec![b'x'; size];
        phone.send_to(&sent, sbc.address()).await.unwrap();
        let (hop, bytes) = sbc.message().await;
        assert_eq!(bytes, sent);
        assert_eq!(hop, sbc.hop(Transport::Udp, phone.local_addr().unwrap()));
        let failed = sbc.signalling.send(hop, Bytes::from_static(b"answer"));
        assert!(failed.is_empty(), "{failed:?}");
        let mut buffer = [0; 100];
        let (length, from) = tokio::time::timeout(LONG, phone.recv_from(&mut buffer))
            .await
            .unwrap()
            .unwrap();
        assert_eq!((&buffer[..length], from), (&b"answer"[..], sbc.address()));
    }
}

#[tokio::test]
async fn a_datagram_that_cannot_leave_is_reported_with_its_hop() {
    let mut sbc = Sbc::open(Limits::default());
    let too_large = Bytes::from(vec![0; 65_600]);
    let hop = sbc.hop(Transport::Udp, "127.0.0.1:9".parse().unwrap());
    // The first datagram of a socket waits until the kernel is known to take any: that it fails is known later.
    let failed = sbc.signalling.send(hop, too_large.clone());
    let failed = match failed.into_iter().next() {
        Some(failed) => failed,
        None => sbc.input().await,
    };
    assert!(
        matches!(&failed, Input::SendFailed { hop: h, bytes } if *h == hop && *bytes == too_large),
        "{failed:?}"
    );
    let elsewhere = Hop {
        local: "127.0.0.1:1".parse().unwrap(),
        ..hop
    };
    let failed = sbc.signalling.send(elsewhere, Bytes::new());
    assert!(matches!(&failed[..], [Input::SendFailed { hop, .. }] if *hop == elsewhere));
}

#[tokio::test]
async fn datagrams_that_find_no_room_are_counted() {
    let counters = Arc::new(Counters::new(1));
    let config = Config::parse(
        "[network.lo]\naddress = [\"127.0.0.1\"]\n",
        "test.toml",
        &NoSecrets,
    );
    let door = Door::new(&config.unwrap());
    let (inbox, mut events) = inbox(Arc::clone(&counters), door);
    let hop = Hop {
        network: NetworkId(0),
        transport: Transport::Udp,
        local: "127.0.0.1:5060".parse().unwrap(),
        remote: "127.0.0.1:5061".parse().unwrap(),
        connection: None,
    };
    let overload = || counters.network(NetworkId(0)).overload_in.value();
    for _ in 0..8192 {
        inbox.datagram(hop, Bytes::from_static(b"x"));
    }
    assert_eq!(overload(), 0);
    inbox.datagram(hop, Bytes::from_static(b"x"));
    assert_eq!(overload(), 1);
    let mut taken = Vec::new();
    events.receive(&mut taken, 8192).await;
    assert_eq!(taken.len(), 8192);
    // Large ones: 32 MiB of them and one more are let in, then no other.
    let large = Bytes::from(vec![0; 65_507]);
    let room = (32 << 20) / 65_507 + 1;
    for _ in 0..room {
        inbox.datagram(hop, large.clone());
    }
    assert_eq!(overload(), 1);
    inbox.datagram(hop, Bytes::from_static(b"x"));
    assert_eq!(overload(), 2);
    // Reports of media threads have a queue of their own.
    assert!(inbox.report(Input::Drain));
}

#[tokio::test]
async fn a_stream_that_dribbles_is_framed_and_answered_over_itself() {
    let mut sbc = Sbc::open(Limits::default());
    let mut phone = TcpStream::connect(sbc.address()).await.unwrap();
    phone.set_nodelay(true).unwrap();
    for byte in OPTIONS.bytes() {
        phone.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    phone.write_all(OPTIONS.repeat(2).as_bytes()).await.unwrap();
    let (hop, bytes) = sbc.message().await;
    assert_eq!(bytes, OPTIONS);
    assert_eq!(hop.remote, phone.local_addr().unwrap());
    assert_eq!(hop.local, sbc.address());
    for _ in 0..2 {
        assert_eq!(sbc.message().await, (hop, Bytes::from(OPTIONS)));
    }
    assert!(
        sbc.signalling
            .send(hop, Bytes::from_static(b"one "))
            .is_empty()
    );
    // A request to that far end goes over the connection that there is.
    let request = sbc.hop(Transport::Tcp, hop.remote);
    assert!(
        sbc.signalling
            .send(request, Bytes::from_static(b"two"))
            .is_empty()
    );
    assert_eq!(sbc.counted().connections.value(), 1);
    let closed = sbc.signalling.close(hop.connection.unwrap());
    assert!(
        matches!(closed, Some(Input::ConnectionClosed(id)) if Some(id) == hop.connection),
        "{closed:?}"
    );
    assert_eq!(read_to_end(&mut phone).await, "one two");
    assert_eq!(
        (
            sbc.counted().connections.value(),
            sbc.counted().closed(Closed::Local)
        ),
        (0, 1)
    );
}

#[tokio::test]
async fn a_keep_alive_is_answered_and_not_told_to_the_engine() {
    let mut sbc = Sbc::open(Limits::default());
    let mut phone = TcpStream::connect(sbc.address()).await.unwrap();
    phone
        .write_all(format!("\r\n\r\n{OPTIONS}").as_bytes())
        .await
        .unwrap();
    let (_, bytes) = sbc.message().await;
    assert_eq!(bytes, OPTIONS);
    let mut pong = [0; 2];
    phone.read_exact(&mut pong).await.unwrap();
    assert_eq!(&pong, b"\r\n");
}

#[tokio::test]
async fn a_stream_that_is_no_sip_is_closed_after_the_answer() {
    let mut sbc = Sbc::open(Limits::default());
    let mut phone = TcpStream::connect(sbc.address()).await.unwrap();
    phone
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let Input::StreamBroken { hop, .. } = sbc.input().await else {
        panic!("not broken")
    };
    sbc.signalling.send(hop, Bytes::from_static(b"what?"));
    let closed = sbc.input().await;
    assert!(matches!(closed, Input::ConnectionClosed(id) if Some(id) == hop.connection));
    assert_eq!(read_to_end(&mut phone).await, "what?");
    assert_eq!(sbc.counted().closed(Closed::Broken), 1);
}

#[tokio::test]
async fn who_says_nothing_or_never_ends_is_closed() {
    let mut sbc = Sbc::open(patient(200, 60_000));
    let mut silent = TcpStream::connect(sbc.address()).await.unwrap();
    let mut pinging = TcpStream::connect(sbc.address()).await.unwrap();
    pinging.write_all(b"\r\n\r\n").await.unwrap();
    let mut stalled = TcpStream::connect(sbc.address()).await.unwrap();
    stalled
        .write_all(format!("{OPTIONS}{}", &OPTIONS[..40]).as_bytes())
        .await
        .unwrap();
    let mut talking = TcpStream::connect(sbc.address()).await.unwrap();
    talking.write_all(OPTIONS.as_bytes()).await.unwrap();
    let mut messages = 0;
    let mut closed = 0;
    while closed < 3 {
        match sbc.input().await {
            Input::Message { .. } => messages += 1,
            Input::ConnectionClosed(_) => closed += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(messages, 2);
    assert_eq!(read_to_end(&mut silent).await, "");
    assert_eq!(read_to_end(&mut pinging).await, "\r\n");
    assert_eq!(read_to_end(&mut stalled).await, "");
    assert_eq!(
        (
            sbc.counted().closed(Closed::Idle),
            sbc.counted().connections.value()
        ),
        (3, 1)
    );
    talking.write_all(OPTIONS.as_bytes()).await.unwrap();
    sbc.message().await;
}

#[tokio::test]
async fn a_connection_without_messages_is_closed_in_the_end() {
    let mut sbc = Sbc::open(patient(60_000, 100));
    let mut phone = TcpStream::connect(sbc.address()).await.unwrap();
    phone.write_all(OPTIONS.as_bytes()).await.unwrap();
    sbc.message().await;
    assert!(matches!(sbc.input().await, Input::ConnectionClosed(_)));
    assert_eq!(read_to_end(&mut phone).await, "");
}

#[tokio::test]
async fn too_many_connections_are_turned_away() {
    let mut sbc = Sbc::open(Limits {
        connections: 3,
        per_source: 2,
        ..Limits::default()
    });
    let mut phones = Vec::new();
    for _ in 0..3 {
        phones.push(TcpStream::connect(sbc.address()).await.unwrap());
    }
    phones[2].write_all(b"OPTIONS").await.ok();
    phones[0].write_all(OPTIONS.as_bytes()).await.unwrap();
    phones[1].write_all(OPTIONS.as_bytes()).await.unwrap();
    sbc.message().await;
    sbc.message().await;
    while sbc.counted().refused_source.value() == 0 {
        let event = tokio::time::timeout(LONG, sbc.events.receive(&mut sbc.waiting, 1)).await;
        event.unwrap();
        let event = sbc.waiting.remove(0);
        assert!(sbc.signalling.handle(event).is_none());
    }
    assert_eq!(sbc.counted().connections.value(), 2);
    assert_eq!(sbc.counted().refused_source.value(), 1);
    assert_eq!(sbc.counted().refused_total.value(), 0);
    // One leaves: there is room again.
    phones.remove(0);
    assert!(matches!(sbc.input().await, Input::ConnectionClosed(_)));
    let mut another = TcpStream::connect(sbc.address()).await.unwrap();
    another.write_all(OPTIONS.as_bytes()).await.unwrap();
    sbc.message().await;
}

#[tokio::test]
async fn one_connection_is_opened_for_a_far_end_and_used_again() {
    let mut sbc = Sbc::open(Limits::default());
    let trunk = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hop = sbc.hop(Transport::Tcp, trunk.local_addr().unwrap());
    assert!(
        sbc.signalling
            .send(hop, Bytes::from_static(b"first "))
            .is_empty()
    );
    assert!(
        sbc.signalling
            .send(hop, Bytes::from_static(b"second"))
            .is_empty()
    );
    let (mut far, from) = trunk.accept().await.unwrap();
    assert_eq!(from.ip(), sbc.address().ip());
    let mut both = [0; 12];
    far.read_exact(&mut both).await.unwrap();
    assert_eq!(&both, b"first second");
    far.write_all(OPTIONS.as_bytes()).await.unwrap();
    let (back, bytes) = sbc.message().await;
    assert_eq!(bytes, OPTIONS);
    assert_eq!(
        Hop {
            connection: None,
            ..back
        },
        hop
    );
    drop(far);
    assert!(
        matches!(sbc.input().await, Input::ConnectionClosed(id) if Some(id) == back.connection)
    );
    // What belongs to the closed one goes over a new one.
    assert!(
        sbc.signalling
            .send(back, Bytes::from_static(b"third"))
            .is_empty()
    );
    let (mut far, _) = trunk.accept().await.unwrap();
    sbc.signalling.finish(LONG).await;
    assert_eq!(read_to_end(&mut far).await, "third");
}

#[tokio::test]
async fn a_far_end_that_refuses_is_reported_with_the_message_and_its_hop() {
    let mut sbc = Sbc::open(Limits::default());
    let nobody = StdListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let hop = sbc.hop(Transport::Tcp, nobody);
    for text in ["one", "two"] {
        assert!(sbc.signalling.send(hop, Bytes::from(text)).is_empty());
    }
    for text in ["one", "two"] {
        match sbc.input().await {
            Input::SendFailed { hop: h, bytes } => {
                assert_eq!((h, bytes), (hop, Bytes::from(text)));
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(sbc.input().await, Input::ConnectionClosed(_)));
    assert_eq!(sbc.counted().closed(Closed::Unreachable), 1);
}

#[tokio::test]
async fn who_does_not_read_loses_the_connection() {
    let mut sbc = Sbc::open(Limits::default());
    let mut phone = TcpStream::connect(sbc.address()).await.unwrap();
    phone.write_all(OPTIONS.as_bytes()).await.unwrap();
    let (hop, _) = sbc.message().await;
    let answer = Bytes::from(vec![b'x'; 60_000]);
    let mut sent = 0;
    let failed = loop {
        let failed = sbc.signalling.send(hop, answer.clone());
        if !failed.is_empty() {
            break failed;
        }
        sent += 1;
        assert!(sent < 10_000, "everything was taken");
        tokio::task::yield_now().await;
    };
    assert!(matches!(
        &failed[..],
        [Input::SendFailed { .. }, Input::ConnectionClosed(_)]
    ));
    assert_eq!(sbc.counted().closed(Closed::Stuck), 1);
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error_that_names_the_network() {
    let taken = StdUdp::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let text = format!("[network.lo]\naddress = [\"127.0.0.1\"]\nsip = [\"udp:{port}\"]\n");
    let mut config = Config::parse(&text, "test.toml", &NoSecrets).unwrap();
    config.networks[0].addresses = vec!["127.0.0.1".parse().unwrap()];
    let error = listen(&config).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with(&format!("network lo: udp 127.0.0.1:{port} is taken"))
    );
}
