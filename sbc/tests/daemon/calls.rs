use sbc::config::MediaTimeout;
use sbc::sip::{Message, Name};
use tokio::net::UdpSocket;

use super::agent::{Agent, Request, unique};
use super::*;

/// A voice packet: version 2, PCMU, 20 ms.
pub(crate) fn voice(sequence: u8, ssrc: u8) -> Vec<u8> {
    let mut packet = vec![0x80, 0, 0, sequence, 0, 0, 0, sequence, 0, 0, 0, ssrc];
    packet.extend([0xd5; 160]);
    packet
}

fn sdp(media: &UdpSocket) -> String {
    let address = media.local_addr().unwrap();
    let (ip, port) = (address.ip(), address.port());
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
    )
}

/// Where the box wants the media of an SDP.
fn media_of(message: &Message) -> SocketAddr {
    let body = std::str::from_utf8(message.body()).unwrap();
    let line = |prefix: &str| {
        body.lines()
            .find_map(|l| l.strip_prefix(prefix))
            .unwrap()
            .to_owned()
    };
    let port = line("m=audio ").split(' ').next().unwrap().to_owned();
    format!("{}:{port}", line("c=IN IP4 ")).parse().unwrap()
}

pub(crate) struct CallUp {
    pub(crate) caller: Agent,
    pub(crate) callee: Agent,
    /// The caller's request, as a template for what follows in the dialog.
    pub(crate) dialog: Request,
    pub(crate) media: [UdpSocket; 2],
    /// Where each end sends its media.
    pub(crate) towards: [SocketAddr; 2],
}

/// Two registered phones in a call.
pub(crate) async fn call(sbc: &Sbc) -> CallUp {
    let mut caller = Agent::udp(sbc.peer(2), sbc.sip()).await;
    let mut callee = Agent::udp(sbc.peer(3), sbc.sip()).await;
    caller.register("6001", "one", 200).await;
    callee.register("6002", "two", 200).await;
    let media = [
        UdpSocket::bind((sbc.peer(2), 0)).await.unwrap(),
        UdpSocket::bind((sbc.peer(3), 0)).await.unwrap(),
    ];
    let (dialog, towards) = connect(sbc, &mut caller, &mut callee, &media).await;
    CallUp {
        caller,
        callee,
        dialog,
        media,
        towards,
    }
}

/// A call between two registered phones, with media there: its dialog, and where each end sends its media.
pub(crate) async fn connect(
    sbc: &Sbc,
    caller: &mut Agent,
    callee: &mut Agent,
    media: &[UdpSocket; 2],
) -> (Request, [SocketAddr; 2]) {
    let mut invite = caller.request("INVITE", "6002");
    invite.from = format!("<sip:6001@{}>;tag={}", sbc.sip().ip(), unique());
    invite.body = sdp(&media[0]);
    caller.ask_as("6001", "one", &mut invite).await;
    let asked = callee.asked("INVITE").await;
    assert!(asked.uri().unwrap().starts_with("sip:6002@"), "{asked:?}");
    callee.reply(&asked, 180, "callee", "").await;
    callee.reply(&asked, 200, "callee", &sdp(&media[1])).await;
    let answered = caller.answer(200).await;
    let towards = [media_of(&answered), media_of(&asked)];
    let dialog = Request {
        to: answered.header(Name::To).unwrap().to_owned(),
        more: String::new(),
        body: String::new(),
        ..invite
    };
    let ack = Request {
        method: "ACK",
        ..dialog.clone()
    };
    let ack = caller.text(&ack);
    caller.send(ack.as_bytes()).await;
    callee.asked("ACK").await;
    (dialog, towards)
}

/// The next packet that is no first one.
pub(crate) async fn hears(socket: &UdpSocket, packet: &[u8], from: SocketAddr) {
    let mut buffer = [0; 2000];
    loop {
        let heard = tokio::time::timeout(PATIENCE, socket.recv_from(&mut buffer)).await;
        let (length, source) = heard.expect("no voice").unwrap();
        assert_eq!(source, from);
        if buffer[3] != 0 {
            return assert_eq!(&buffer[..length], packet);
        }
    }
}

/// Phones speak at once, while the box is still opening its ports: sends the first packet of each side until it is heard.
/// How many were sent.
pub(crate) async fn hear_the_first(up: &CallUp) -> u32 {
    let mut sent = 0;
    for (from, to) in [(0, 1), (1, 0)] {
        let mut buffer = [0; 2000];
        let mut heard = false;
        while !heard {
            assert!(sent < 1000, "no voice");
            up.media[from]
                .send_to(&voice(0, 1 + from as u8), up.towards[from])
                .await
                .unwrap();
            sent += 1;
            let wait = tokio::time::timeout(
                Duration::from_millis(20),
                up.media[to].recv_from(&mut buffer),
            );
            heard = wait.await.is_ok();
        }
    }
    sent
}

#[tokio::test]
async fn two_phones_talk_to_each_other_and_hang_up() {
    let sbc = Sbc::start().await;
    let mut up = call(&sbc).await;
    let tried = hear_the_first(&up).await;
    for sequence in 1..=50 {
        for (from, to) in [(0, 1), (1, 0)] {
            let packet = voice(sequence, u8::try_from(from).unwrap() + 1);
            up.media[from]
                .send_to(&packet, up.towards[from])
                .await
                .unwrap();
            hears(&up.media[to], &packet, up.towards[to]).await;
        }
    }
    let metrics = sbc.metrics().await;
    assert_eq!(
        metrics.sum("sbc_calls", "from=phones:lan to=phones:lan"),
        1.0
    );
    assert_eq!(metrics.sum("sbc_flows", "path=user"), 4.0);
    assert_eq!(metrics.sum("sbc_media_ports_free", "network=lan"), 96.0);

    let bye = Request {
        method: "BYE",
        cseq: up.dialog.cseq + 1,
        ..up.dialog
    };
    let bye = up.caller.text(&bye);
    up.caller.send(bye.as_bytes()).await;
    up.caller.answer(200).await;
    let asked = up.callee.asked("BYE").await;
    up.callee.reply(&asked, 200, "callee", "").await;

    let metrics = until(&sbc, |metrics| {
        metrics.sum("sbc_flows", "") + metrics.sum("sbc_dialogs", "")
    })
    .await;
    assert_eq!(metrics.sum("sbc_calls", ""), 0.0);
    let ended = metrics.sum(
        "sbc_calls_total",
        "from=phones:lan to=phones:lan outcome=answered",
    );
    assert_eq!(ended, 1.0);
    let packets = metrics.sum("sbc_media_packets_total", "path=user direction=in");
    assert!(
        (102.0..=100.0 + f64::from(tried)).contains(&packets),
        "{packets}"
    );
    let sent = metrics.sum("sbc_media_packets_total", "path=user direction=out");
    assert_eq!(sent, packets);
    let bytes = metrics.sum("sbc_media_bytes_total", "path=user direction=in");
    assert_eq!(bytes, packets * 172.0);
    assert_eq!(metrics.sum("sbc_media_packets_total", "path=kernel"), 0.0);
    assert_eq!(metrics.sum("sbc_call_setup_seconds_count", ""), 1.0);
    sbc.stop().await;
}

#[tokio::test]
async fn a_stop_ends_every_call_first() {
    let sbc = Sbc::start().await;
    let mut up = call(&sbc).await;
    let control = sbc.running.control();
    control.stop().await;
    for agent in [&mut up.caller, &mut up.callee] {
        let bye = agent.asked("BYE").await;
        assert_eq!(sbc.page("/readyz").await.0, 503);
        agent.reply(&bye, 200, "", "").await;
    }
    tokio::time::timeout(PATIENCE, sbc.running.ended())
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_phone_that_falls_silent_is_hung_up() {
    let limit = Duration::from_secs(1);
    let sbc = Sbc::start_with(|config| {
        let mut phones = config.phones.to_vec();
        phones[0].media_timeout = Some(MediaTimeout::Alone(limit));
        phones[1].media_timeout = Some(MediaTimeout::Off);
        config.phones = phones.into();
    })
    .await;
    let mut up = call(&sbc).await;
    hear_the_first(&up).await;
    let silent_since = tokio::time::Instant::now();
    let [caller, callee] = &up.media;
    let speaks = async {
        for sequence in (1..=255).cycle() {
            callee
                .send_to(&voice(sequence, 2), up.towards[1])
                .await
                .unwrap();
            hears(caller, &voice(sequence, 2), up.towards[0]).await;
        }
    };
    let bye = tokio::select! {
        () = speaks => unreachable!("it goes on for ever"),
        bye = up.caller.asked("BYE") => bye,
    };
    assert!(
        silent_since.elapsed() >= limit,
        "{:?}",
        silent_since.elapsed()
    );
    let reason = Some("SIP;cause=408;text=\"Media timeout\"");
    assert_eq!(bye.header(Name::Reason), reason);
    up.caller.reply(&bye, 200, "", "").await;
    let bye = up.callee.asked("BYE").await;
    assert_eq!(bye.header(Name::Reason), reason);
    up.callee.reply(&bye, 200, "", "").await;
    let metrics = until(&sbc, |metrics| {
        metrics.sum("sbc_flows", "") + metrics.sum("sbc_dialogs", "")
    })
    .await;
    let ended = metrics.sum(
        "sbc_calls_total",
        "from=phones:lan to=phones:lan outcome=media-timeout",
    );
    assert_eq!(ended, 1.0);
    sbc.stop().await;
}

/// The first scrape in which this is zero.
async fn until(sbc: &Sbc, zero: impl Fn(&Metrics) -> f64) -> Metrics {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let metrics = sbc.metrics().await;
        if zero(&metrics) == 0.0 {
            return metrics;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "it does not become zero"
        );
    }
}
