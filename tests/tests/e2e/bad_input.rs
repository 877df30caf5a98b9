//! Bad input while a call is up: it is counted, and the call does not notice.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result};
use sbc_tests::e2e::{Daemon, EDGE_LEFT, FastPath, Lab, Metrics, PHONE, skipped};

use super::support::{Call, PHONES, Voice, assert_heard, start};

/// A neighbour of the phone, of whom the box has never heard.
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 71, 1, 3);
const BOX: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(EDGE_LEFT), 5060);
const SOON: Duration = Duration::from_secs(5);
/// A first answer must come within this, or none does. T1 is 500 ms.
const SILENCE: Duration = Duration::from_millis(400);

#[test]
fn a_call_in_the_kernel_does_not_notice() -> Result<()> {
    survives(FastPath::Native)
}

#[test]
fn a_call_in_user_space_does_not_notice() -> Result<()> {
    survives(FastPath::Off)
}

fn survives(fast_path: FastPath) -> Result<()> {
    if skipped(
        &format!("bad input, fast_path = {}", fast_path.word()),
        &PHONES,
    ) {
        return Ok(());
    }
    let lab = Lab::new()?;
    lab.phone.ip(&format!("addr add {STRANGER}/24 dev eth0"))?;
    let daemon = start(&lab, fast_path)?;
    let call = Call::begin(&lab)?;
    let begin = std::time::Instant::now();
    let voice = Voice::to(&[&lab.phone, &lab.carrier])?;

    malformed(&lab, &daemon)?;
    looping(&lab)?;
    a_stranger_calls(&lab, &daemon)?;
    dribbling(&lab, &daemon)?;
    garbage_media(&lab, &daemon, fast_path)?;

    let talked = SOON.max(begin.elapsed());
    // What was answered to others on the phone's host is not Alice's.
    voice.lasts(talked + Duration::from_secs(1))?;
    assert_heard(&call.end()?, talked.as_secs_f64() - 0.3);
    let metrics = daemon.scrape()?;
    assert_eq!(metrics.sum("sbc_calls", &[]), 0.0);
    assert_eq!(
        metrics.sum("sbc_calls_total", &[("outcome", "answered")]),
        1.0
    );
    Ok(())
}

fn invite(from: Ipv4Addr, port: u16, max_forwards: u8) -> String {
    format!(
        "INVITE sip:bob@{EDGE_LEFT} SIP/2.0\r\n\
         Via: SIP/2.0/UDP {from}:{port};branch=z9hG4bK{port}x{max_forwards};rport\r\n\
         Max-Forwards: {max_forwards}\r\n\
         From: <sip:x@{from}>;tag=t{port}\r\n\
         To: <sip:bob@{EDGE_LEFT}>\r\n\
         Call-ID: bad-{port}-{max_forwards}\r\n\
         CSeq: 1 INVITE\r\n\
         Contact: <sip:x@{from}:{port}>\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

fn malformed(lab: &Lab, daemon: &Daemon<'_>) -> Result<()> {
    let socket = socket(lab, PHONE)?;
    let port = socket.local_addr()?.port();
    let good = invite(PHONE, port, 70);
    let truncated = good.as_bytes()[..good.len() / 2].to_vec();
    let oversized = good.replace(
        "Contact:",
        &format!("X: {}\r\nContact:", "a".repeat(60_000)),
    );
    let not_utf8 = [&b"INVITE sip:\xff\xfe@"[..], &good.as_bytes()[15..]].concat();
    let twisted = good.replace("CSeq: 1 INVITE", "CSeq: 1 BYE");
    let nothing_of_it = b"\x16\x03\x01\x02\x00 no SIP at all".to_vec();
    let all = [
        truncated,
        oversized.into_bytes(),
        not_utf8,
        twisted.into_bytes(),
        nothing_of_it,
    ];
    let count = |metrics: &Metrics| metrics.sum("sbc_sip_malformed_total", &[("network", "left")]);
    for (index, bytes) in all.iter().enumerate() {
        let before = count(&daemon.scrape()?);
        socket.send_to(bytes, BOX)?;
        daemon
            .scrape_until("counted as malformed", SOON, |now| {
                count(now) == before + 1.0
            })
            .with_context(|| {
                format!(
                    "datagram {index}: {}",
                    String::from_utf8_lossy(&bytes[..60.min(bytes.len())])
                )
            })?;
    }
    Ok(())
}

/// Max-Forwards that has run out: 483, and that is all.
fn looping(lab: &Lab) -> Result<()> {
    let socket = socket(lab, PHONE)?;
    let port = socket.local_addr()?.port();
    socket.send_to(invite(PHONE, port, 0).as_bytes(), BOX)?;
    let answer = receive(&socket, SOON)?.context("no answer")?;
    assert!(answer.starts_with("SIP/2.0 483 "), "{answer}");
    Ok(())
}

/// Neither a trunk nor a phone: nothing that the stranger could use.
fn a_stranger_calls(lab: &Lab, daemon: &Daemon<'_>) -> Result<()> {
    let socket = socket(lab, STRANGER)?;
    let port = socket.local_addr()?.port();
    let calls = daemon.scrape()?.sum("sbc_calls", &[]);
    socket.send_to(invite(STRANGER, port, 70).as_bytes(), BOX)?;
    let refused = |metrics: &Metrics| metrics.sum("sbc_sip_refused_total", &[("network", "left")]);
    let metrics = daemon.scrape_until("counted as refused", SOON, |now| refused(now) >= 1.0)?;
    assert_eq!(metrics.sum("sbc_calls", &[]), calls);
    while let Some(answer) = receive(&socket, SILENCE)? {
        let final_answer = ["401", "403", "404", "407", "603"]
            .iter()
            .any(|code| answer.starts_with(&format!("SIP/2.0 {code} ")));
        assert!(
            final_answer || answer.starts_with("SIP/2.0 100 "),
            "{answer}"
        );
    }
    Ok(())
}

/// A stream that brings a request byte by byte is served; one that brings no SIP is counted and closed.
fn dribbling(lab: &Lab, daemon: &Daemon<'_>) -> Result<()> {
    let connect = || lab.phone.enter(|| TcpStream::connect_timeout(&BOX, SOON));
    let mut slow = connect()??;
    slow.set_nodelay(true)?;
    slow.set_read_timeout(Some(SOON))?;
    let port = slow.local_addr()?.port();
    let options = invite(PHONE, port, 70)
        .replace("INVITE", "OPTIONS")
        .replace("/UDP", "/TCP");
    for byte in options.as_bytes() {
        slow.write_all(&[*byte])?;
    }
    let mut answer = [0; 12];
    slow.read_exact(&mut answer)
        .context("no answer to a slow OPTIONS")?;
    assert_eq!(&answer, b"SIP/2.0 200 ");

    let count = |metrics: &Metrics| metrics.sum("sbc_sip_malformed_total", &[("network", "left")]);
    let before = count(&daemon.scrape()?);
    let mut rubbish = connect()??;
    rubbish.set_read_timeout(Some(SOON))?;
    rubbish.write_all(&[b'\x80'; 70_000]).or_else(|error| {
        // It may be closed before all is written.
        let closed = [
            std::io::ErrorKind::ConnectionReset,
            std::io::ErrorKind::BrokenPipe,
        ];
        if closed.contains(&error.kind()) {
            Ok(())
        } else {
            Err(error)
        }
    })?;
    daemon.scrape_until("counted as malformed", SOON, |now| count(now) > before)?;
    let end = rubbish.read_to_end(&mut Vec::new());
    assert!(
        end.as_ref()
            .is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset)
            || end.is_ok(),
        "the connection is still open: {end:?}"
    );
    Ok(())
}

/// The media range of the lab's networks.
const RANGE: std::ops::Range<u16> = 20_000..30_000;

/// Packets into the media range from a stranger: none gets through, all are counted.
fn garbage_media(lab: &Lab, daemon: &Daemon<'_>, fast_path: FastPath) -> Result<()> {
    const EACH: usize = 3;
    let socket = socket(lab, STRANGER)?;
    let dropped = |metrics: &Metrics| metrics.sum("sbc_media_dropped_packets_total", &[]);
    let before = dropped(&daemon.scrape()?);
    let rtp = [
        &[0x80, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2][..],
        &[0x7f; 160][..],
    ]
    .concat();
    for port in RANGE {
        for _ in 0..EACH {
            socket.send_to(&rtp, (EDGE_LEFT, port))?;
        }
    }
    // The program sees the whole range. In user space only the ports of a call are open: the kernel answers for the others.
    let ports = match fast_path {
        FastPath::Native | FastPath::Generic => RANGE.len(),
        FastPath::Off => 1,
    };
    let floor = (EACH * ports) as f64;
    daemon.scrape_until("counted as dropped", SOON, |now| {
        dropped(now) >= before + floor
    })?;
    Ok(())
}

fn socket(lab: &Lab, from: Ipv4Addr) -> Result<UdpSocket> {
    let socket = lab.phone.enter(|| UdpSocket::bind((from, 0)))??;
    Ok(socket)
}

/// The next datagram as text; `None` if there is none within that time.
fn receive(socket: &UdpSocket, within: Duration) -> Result<Option<String>> {
    socket.set_read_timeout(Some(within))?;
    let mut buffer = [0; 65_536];
    match socket.recv(&mut buffer) {
        Ok(length) => Ok(Some(
            String::from_utf8_lossy(&buffer[..length]).into_owned(),
        )),
        Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
