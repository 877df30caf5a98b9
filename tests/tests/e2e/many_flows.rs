//! Five thousand flows at once: 1,250 calls, RTP and RTCP of each, both ways.

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};
use sbc::io::admin::types::Flow;
use sbc_tests::e2e::{
    CARRIER, Crowd, Daemon, EDGE_LEFT, FastPath, Lab, Metrics, Need, PHONE, Party, skipped,
};

use super::support::{dropped, start};

const CALLS: usize = 1_250;
const FLOWS: usize = 4 * CALLS;
/// Packets of each flow.
const ROUNDS: u32 = 40;
/// Packets on the way at once. A veth holds 256 in each direction.
const WINDOW: usize = 128;
/// Where both ends have the RTP of all their calls, and with one more the RTCP.
const MEDIA: u16 = 4000;
/// How long a packet is waited for before it is lost.
const PATIENCE: Duration = Duration::from_secs(10);
/// Ports rest for 30 s, transactions linger for 32 s.
const CLEAR: Duration = Duration::from_secs(60);
/// Of sockets that have all packets of a window to hold, whoever has the processors meanwhile.
const ROOM: usize = 4 << 20;
const RTP: usize = 172;
const RTCP: usize = 28;

#[test]
fn five_thousand_flows_lose_nothing_and_leave_nothing() -> Result<()> {
    if skipped("5,000 flows", &[Need::Namespaces, Need::Program("ethtool")]) {
        return Ok(());
    }
    let lab = Lab::alone()?;
    let daemon = start(&lab, FastPath::Native)?;
    let before = daemon.scrape()?;
    let udp = lab.edge.udp()?;

    let began = Instant::now();
    let party = |host, ip| Party {
        host,
        sip: SocketAddr::new(ip, 5060),
        media: SocketAddr::new(ip, MEDIA),
    };
    let mut crowd = Crowd::begin(
        party(&lab.phone, PHONE.into()),
        party(&lab.carrier, CARRIER.into()),
        SocketAddr::new(EDGE_LEFT.into(), 5060),
        CALLS,
    )?;
    let up = began.elapsed();
    let metrics = daemon.scrape()?;
    let count = |name, labels: &[_]| metrics.sum(name, labels) as usize;
    assert_eq!(count("sbc_calls", &[]), CALLS);
    // Of every flow pair, one on each network.
    assert_eq!(count("sbc_flows", &[("path", "kernel")]), FLOWS);
    assert_eq!(count("sbc_flows", &[]), FLOWS);

    let calls = crowd.media()?;
    let mut streams = Streams::open(&lab, &calls)?;
    let signalled = lab.edge.udp()?.in_datagrams;
    let began = Instant::now();
    for round in 0..ROUNDS {
        streams.round(round)?;
    }
    let took = began.elapsed();
    let rate = f64::from(ROUNDS) * FLOWS as f64 / took.as_secs_f64();
    println!("{CALLS} calls up in {up:.1?}; {rate:.0} packets/s for {took:.1?}");
    streams.assert_whole();
    // No socket of the box has seen one of them.
    assert_eq!(lab.edge.udp()?.in_datagrams, signalled);
    assert!(signalled > udp.in_datagrams);

    assert_shown(&flows(&lab)?, &calls)?;
    let metrics = daemon.scrape()?;
    assert_counted(&metrics);

    crowd.hang_up()?;
    let gone = ["sbc_calls", "sbc_flows"];
    daemon.scrape_until("without calls and flows", PATIENCE, |metrics| {
        gone.iter().all(|name| metrics.sum(name, &[]) == 0.0)
    })?;
    assert_eq!(flows(&lab)?, []);
    let after = daemon.scrape()?;
    // What has ended stays counted, and no port leads anywhere any more.
    assert_counted(&after);
    streams.assert_shut(&daemon)?;

    let free = |metrics: &Metrics| metrics.sum("sbc_media_ports_free", &[]);
    let left = ["sbc_transactions", "sbc_dialogs"];
    daemon.scrape_until("without transactions, dialogs, ports", CLEAR, |metrics| {
        left.iter().all(|name| metrics.sum(name, &[]) == 0.0) && free(metrics) == free(&before)
    })?;
    Ok(())
}

/// What `sbc flows` says.
fn flows(lab: &Lab) -> Result<Vec<Flow>> {
    let output = Daemon::cli(&lab.edge, ["flows", "--json"])?;
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Both pairs of each call, with all that has gone through them.
fn assert_shown(flows: &[Flow], calls: &[(String, [SocketAddr; 2])]) -> Result<()> {
    assert_eq!(flows.len(), 2 * CALLS);
    for (number, ports) in calls {
        for (kind, next, bytes) in [("rtp", 0, RTP), ("rtcp", 1, RTCP)] {
            let mut same = flows
                .iter()
                .filter(|flow| flow.number == *number && flow.kind == kind);
            let (Some(flow), None) = (same.next(), same.next()) else {
                bail!("not one {kind} of {number}")
            };
            assert_eq!((flow.path.as_str(), &flow.reason), ("kernel", &None));
            for ((side, local), peer) in flow.sides.iter().zip(ports).zip([PHONE, CARRIER]) {
                let peer = Some(SocketAddr::new(peer.into(), MEDIA + next));
                assert_eq!((side.named, side.latched), (peer, peer), "{flow:?}");
                assert_eq!(side.local, above(*local, next), "{flow:?}");
                let received = side.received.unwrap_or_default();
                let wrong = (received.lost, received.reordered, received.duplicate);
                assert_eq!(wrong, (0, 0, 0), "{flow:?}");
                let counts = (received.packets, received.bytes, received.ssrc_changes);
                let packets = u64::from(ROUNDS);
                assert_eq!(counts, (packets, packets * bytes as u64, 0), "{flow:?}");
            }
        }
    }
    Ok(())
}

/// All packets on their network, either way, in the kernel; none missing, none dropped.
fn assert_counted(metrics: &Metrics) {
    let shown = metrics.show("sbc_media");
    for network in ["left", "right"] {
        for direction in ["in", "out"] {
            let labels = [("network", network), ("direction", direction)];
            let kernel = [&labels[..], &[("path", "kernel")]].concat();
            let packets = |labels: &[_]| metrics.sum("sbc_media_packets_total", labels);
            let expected = f64::from(ROUNDS) * FLOWS as f64 / 2.0;
            assert_eq!(packets(&kernel), expected, "{shown:#?}");
            assert_eq!(packets(&labels), expected, "{shown:#?}");
        }
    }
    for name in [
        "sbc_media_dropped_packets_total",
        "sbc_media_lost_packets_total",
    ] {
        assert_eq!(metrics.sum(name, &[]), 0.0, "{shown:#?}");
    }
}

/// A flow: what goes in at one of the box's ports.
#[derive(Debug)]
struct Stream {
    /// From which of the sockets.
    from: usize,
    to: SocketAddr,
    /// At which of them it comes out, and where from.
    out: usize,
    source: SocketAddr,
    /// Packets so far.
    sent: u32,
    /// Numbers of those that came, in that order.
    came: Vec<u32>,
}

/// All of them, over four sockets: RTP and RTCP of the phone, then of the carrier.
struct Streams {
    sockets: Vec<UdpSocket>,
    streams: Vec<Stream>,
}

impl Streams {
    fn open(lab: &Lab, calls: &[(String, [SocketAddr; 2])]) -> Result<Streams> {
        let mut sockets = Vec::new();
        for (host, ip) in [(&lab.phone, PHONE), (&lab.carrier, CARRIER)] {
            for port in [MEDIA, MEDIA + 1] {
                let socket = host.enter(|| UdpSocket::bind((ip, port)))??;
                setsockopt(&socket, RcvBufForce, &ROOM)?;
                socket.set_read_timeout(Some(PATIENCE))?;
                sockets.push(socket);
            }
        }
        let mut streams = Vec::new();
        for (_, ports) in calls {
            for (kind, side) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                streams.push(Stream {
                    from: 2 * side + kind,
                    to: above(ports[side], kind as u16),
                    out: 2 * (1 - side) + kind,
                    source: above(ports[1 - side], kind as u16),
                    sent: 0,
                    came: Vec::new(),
                });
            }
        }
        ensure!(streams.len() == FLOWS, "{} flows", streams.len());
        Ok(Streams { sockets, streams })
    }

    /// A packet on every flow, a window at a time: the next is sent when all of one have come, or will not.
    fn round(&mut self, number: u32) -> Result<()> {
        for first in (0..FLOWS).step_by(WINDOW) {
            let window = first..FLOWS.min(first + WINDOW);
            let mut awaited = [0; 4];
            for index in window.clone() {
                let stream = &mut self.streams[index];
                stream.sent += 1;
                let packet = packet(index, number, stream.from);
                self.sockets[stream.from].send_to(&packet, stream.to)?;
                awaited[stream.out] += 1;
            }
            for (out, count) in awaited.into_iter().enumerate() {
                for _ in 0..count {
                    self.receive(out)?;
                }
            }
        }
        Ok(())
    }

    fn receive(&mut self, out: usize) -> Result<()> {
        let mut bytes = [0; 2048];
        let received = self.sockets[out].recv_from(&mut bytes);
        let (length, source) = received.with_context(|| format!("lost: {:?}", self.lost()))?;
        let (index, number) = numbers(&bytes[..length], out).context("not a packet of ours")?;
        let stream = self.streams.get_mut(index).context("no such flow")?;
        // Nothing changed on its way, and it came out where it should.
        ensure!(
            bytes[..length] == packet(index, number, stream.from)
                && (out, source) == (stream.out, stream.source),
            "packet {number} of {stream:?} came out at {out} from {source} as {:?}",
            &bytes[..length]
        );
        stream.came.push(number);
        Ok(())
    }

    /// Flows and numbers that are missing.
    fn lost(&self) -> Vec<(usize, u32)> {
        let each = self.streams.iter().enumerate();
        each.flat_map(|(index, stream)| {
            let came: BTreeSet<u32> = stream.came.iter().copied().collect();
            let missing = (0..stream.sent).filter(move |number| !came.contains(number));
            missing.map(move |number| (index, number))
        })
        .collect()
    }

    /// Every packet has come, once, in order.
    fn assert_whole(&self) {
        assert_eq!(self.lost(), []);
        for stream in &self.streams {
            assert!(stream.came.iter().copied().eq(0..ROUNDS), "{stream:?}");
        }
    }

    /// A packet to each port of the calls that were: the kernel drops it, for there is no flow.
    fn assert_shut(&self, daemon: &Daemon<'_>) -> Result<()> {
        for first in (0..FLOWS).step_by(WINDOW) {
            let end = FLOWS.min(first + WINDOW);
            for index in first..end {
                let stream = &self.streams[index];
                let packet = packet(index, ROUNDS, stream.from);
                self.sockets[stream.from].send_to(&packet, stream.to)?;
            }
            let metrics = daemon.scrape_until("all of them dropped", PATIENCE, |metrics| {
                dropped(metrics, "no-flow") >= end as u64
            })?;
            assert_eq!(dropped(&metrics, "no-flow"), end as u64);
        }
        for socket in &self.sockets {
            assert_eq!(super::street::received(socket)?, 0);
        }
        Ok(())
    }
}

fn above(at: SocketAddr, ports: u16) -> SocketAddr {
    SocketAddr::new(at.ip(), at.port() + ports)
}

/// 20 ms of PCMU or a sender report, with the flow and the packet's number in it.
fn packet(flow: usize, number: u32, socket: usize) -> Vec<u8> {
    let ssrc = (flow as u32).to_be_bytes();
    let (mut packet, length) = match socket % 2 {
        0 => (vec![0x80, 0], RTP),
        _ => (vec![0x80, 200, 0, 6], RTCP),
    };
    if length == RTP {
        packet.extend((number as u16).to_be_bytes());
        packet.extend((160 * number).to_be_bytes());
    }
    for word in [ssrc, ssrc, number.to_be_bytes()] {
        packet.extend(word);
    }
    packet.resize(length, 0xd5);
    packet
}

/// The flow and the number of a packet that came there.
fn numbers(packet: &[u8], socket: usize) -> Option<(usize, u32)> {
    let at = match socket % 2 {
        0 => 12,
        _ => 8,
    };
    let word = |at: usize| {
        let bytes = packet.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_be_bytes(bytes))
    };
    Some((word(at)? as usize, word(at + 4)?))
}
