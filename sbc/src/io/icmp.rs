//! What the network says of packets that it could not deliver (ICMP type 3, ICMPv6 type 1): for the calls whose media they were. The kernel's stack knows no
//! sockets of flows that XDP forwards, and tells others only if they are connected. So the XDP program hands over what is about a flow, wherever it is
//! attached; elsewhere all of it is listened to, which wants CAP_NET_RAW.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use aya::maps::{MapData, RingBuf};
use sbc_ebpf::Undelivered;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UdpSocket;
use tokio::time::Instant;
use tracing::info;

use crate::engine::{Input, Unreached};

/// How often it is looked at, at most: whoever floods the box with ICMP costs no more than what fits into [`BUFFER`] twice a second.
const PAUSE: Duration = Duration::from_millis(500);
/// Bytes that wait, as the kernel counts them.
const BUFFER: usize = 32 * 1024;
/// Packets that are read at once.
const PACKETS: usize = 128;
/// Flows that are told of at once.
const FLOWS: usize = 16;
const UDP: u8 = 17;

/// Both families' errors.
pub(super) struct Icmp {
    program: Option<AsyncFd<RingBuf<MapData>>>,
    v4: Option<UdpSocket>,
    v6: Option<UdpSocket>,
    not_before: Instant,
}

/// By whom it is known.
#[derive(Clone, Copy)]
enum Ear {
    Program,
    Socket,
}

/// What was told of one way since the last look. Where both ears hear it, it is the same packets that they have heard.
struct Heard {
    last: Unreached,
    by_program: u32,
    by_socket: u32,
}

#[derive(Default)]
struct Told(HashMap<(SocketAddr, SocketAddr), Heard>);

impl Icmp {
    /// From now on; `program` is where the XDP program hands over what it finds. Must be called within a runtime. Without it and without CAP_NET_RAW
    /// nothing is heard, which is said once.
    pub(super) fn listen(program: Option<RingBuf<MapData>>) -> Icmp {
        let program = program.and_then(|ring| {
            let failed = |error| info!(%error, "what the XDP program finds of ICMP cannot be read");
            watch(ring).map_err(failed).ok()
        });
        let v4 = open(Domain::IPV4, Protocol::ICMPV4);
        if let (Err(error), None) = (&v4, &program) {
            info!(%error, "ICMP errors are not listened to: that a peer's media port is closed will not be known (CAP_NET_RAW allows it)");
        }
        Icmp {
            program,
            v4: v4.ok(),
            v6: open(Domain::IPV6, Protocol::ICMPV6).ok(),
            not_before: Instant::now(),
        }
    }

    /// Waits until there may be something. Nothing is lost when the wait is given up.
    pub(super) async fn next(&mut self) {
        tokio::time::sleep_until(self.not_before).await;
        let readable = async |socket: &Option<UdpSocket>| match socket {
            // One that has failed is read all the same, which says so.
            Some(socket) => drop(socket.readable().await),
            None => std::future::pending().await,
        };
        let handed_over = async |ring: &Option<AsyncFd<RingBuf<MapData>>>| match ring {
            Some(ring) => drop(ring.readable().await),
            None => std::future::pending().await,
        };
        tokio::select! {
            () = handed_over(&self.program) => {}
            () = readable(&self.v4) => {}
            () = readable(&self.v6) => {}
        }
        self.not_before = Instant::now() + PAUSE;
    }

    /// What there is, for the engine.
    pub(super) fn take(&mut self) -> Vec<Input> {
        let mut told = Told::default();
        if let Some(ring) = &mut self.program {
            for _ in 0..PACKETS {
                let next = |ring: &mut RingBuf<MapData>| {
                    let next = ring.next().map(|entry| Undelivered::read(&entry));
                    next.ok_or_else(|| io::ErrorKind::WouldBlock.into())
                };
                let Ok(one) = ring.try_io_mut(Interest::READABLE, next) else {
                    break;
                };
                if let Some(one) = one.as_ref().and_then(of_program) {
                    told.note(one, Ear::Program);
                }
            }
        }
        let sockets = [(&self.v4, of_v4 as Read), (&self.v6, of_v6 as Read)];
        for (socket, read) in sockets {
            let Some(socket) = socket else { continue };
            let mut bytes = [0; 256];
            for _ in 0..PACKETS {
                let Ok((length, from)) = socket.try_recv_from(&mut bytes) else {
                    break;
                };
                let packet = bytes.get(..length).unwrap_or_default();
                if let Some(one) = read(packet, from.ip().to_canonical()) {
                    told.note(one, Ear::Socket);
                }
            }
        }
        told.all().map(Input::Unreached).collect()
    }
}

impl Told {
    fn note(&mut self, one: Unreached, ear: Ear) {
        let key = (one.local, one.to);
        if self.0.len() >= FLOWS && !self.0.contains_key(&key) {
            return;
        }
        let heard = self.0.entry(key).or_insert(Heard {
            last: one,
            by_program: 0,
            by_socket: 0,
        });
        heard.last = one;
        match ear {
            Ear::Program => heard.by_program += 1,
            Ear::Socket => heard.by_socket += 1,
        }
    }

    fn all(self) -> impl Iterator<Item = Unreached> {
        self.0.into_values().map(|heard| Unreached {
            count: heard.by_program.max(heard.by_socket),
            ..heard.last
        })
    }
}

type Read = fn(&[u8], IpAddr) -> Option<Unreached>;

#[expect(
    deprecated,
    reason = "what takes its place is unsafe; the ring owns its file, and always gives the same one"
)]
fn watch(ring: RingBuf<MapData>) -> io::Result<AsyncFd<RingBuf<MapData>>> {
    AsyncFd::with_interest(ring, Interest::READABLE)
}

fn open(domain: Domain, protocol: Protocol) -> io::Result<UdpSocket> {
    let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
    socket.set_nonblocking(true)?;
    socket.set_recv_buffer_size(BUFFER)?;
    UdpSocket::from_std(socket.into())
}

/// As the XDP program has read it.
fn of_program(told: &Undelivered) -> Option<Unreached> {
    let what = match told.local.is_v4() {
        true => what_v4(told.code),
        false => what_v6(told.code),
    };
    Some(Unreached {
        local: SocketAddr::new(told.local.ip(), told.local_port.number()),
        to: SocketAddr::new(told.to.ip(), told.to_port.number()),
        by: told.by.ip(),
        what: what?,
        count: 1,
    })
}

/// Of an ICMP message of type 3.
fn what_v4(code: u32) -> Option<&'static str> {
    match code {
        0 | 5 | 6 | 11 => Some("network"),
        1 | 7 | 8 | 12 => Some("host"),
        3 => Some("port"),
        9 | 10 | 13 => Some("filtered"),
        _ => None,
    }
}

/// Of an ICMPv6 message of type 1.
fn what_v6(code: u32) -> Option<&'static str> {
    match code {
        0 => Some("network"),
        1 | 5 | 6 => Some("filtered"),
        2 | 3 => Some("host"),
        4 => Some("port"),
        _ => None,
    }
}

/// A packet as a raw socket of IPv4 gives it, with its IP header.
fn of_v4(packet: &[u8], by: IpAddr) -> Option<Unreached> {
    let icmp = packet.get(header_length(packet)?..)?;
    let (&[kind, code], quoted) = (icmp.first_chunk()?, icmp.get(8..)?);
    let what = (kind == 3).then(|| what_v4(code.into()))??;
    let address = |at: usize| -> Option<Ipv4Addr> {
        Some(Ipv4Addr::from(*quoted.get(at..)?.first_chunk::<4>()?))
    };
    let ports = quoted.get(header_length(quoted)?..)?;
    let is_udp = *quoted.get(9)? == UDP;
    let (from, to) = (address(12)?, address(16)?);
    is_udp.then(|| unreached((from.into(), to.into()), ports, by, what))?
}

/// As one of IPv6 does, without.
fn of_v6(icmp: &[u8], by: IpAddr) -> Option<Unreached> {
    let (&[kind, code], quoted) = (icmp.first_chunk()?, icmp.get(8..)?);
    let what = (kind == 1).then(|| what_v6(code.into()))??;
    let address = |at: usize| -> Option<Ipv6Addr> {
        Some(Ipv6Addr::from(*quoted.get(at..)?.first_chunk::<16>()?))
    };
    let is_udp = *quoted.get(6)? == UDP;
    let (from, to) = (address(8)?, address(24)?);
    is_udp.then(|| unreached((from.into(), to.into()), quoted.get(40..)?, by, what))?
}

/// Of an IPv4 header.
fn header_length(packet: &[u8]) -> Option<usize> {
    let first = *packet.first()?;
    (first >> 4 == 4 && first & 0xf >= 5).then_some(usize::from(first & 0xf) * 4)
}

fn unreached(
    (from, to): (IpAddr, IpAddr),
    ports: &[u8],
    by: IpAddr,
    what: &'static str,
) -> Option<Unreached> {
    let &[a, b, c, d] = ports.first_chunk()?;
    Some(Unreached {
        local: SocketAddr::new(from, u16::from_be_bytes([a, b])),
        to: SocketAddr::new(to, u16::from_be_bytes([c, d])),
        by,
        what,
        count: 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

    /// From 10.0.0.1:20000 to 10.0.0.2:4000, and what came back.
    fn v4(kind: u8, code: u8, protocol: u8) -> Vec<u8> {
        let header = |protocol: u8, from: u8, to: u8| {
            let mut header = vec![0x45; 20];
            header[6..8].fill(0);
            header[9] = protocol;
            header[12..16].copy_from_slice(&[10, 0, 0, from]);
            header[16..20].copy_from_slice(&[10, 0, 0, to]);
            header
        };
        let mut packet = header(1, 2, 1);
        packet.extend([kind, code, 0, 0, 0, 0, 0, 0]);
        packet.extend(header(protocol, 1, 2));
        packet.extend([0x4e, 0x20, 0x0f, 0xa0, 0, 180, 0, 0]);
        packet
    }

    #[test]
    fn what_could_not_be_delivered_is_found_in_what_is_quoted() {
        let expected = Unreached {
            local: "10.0.0.1:20000".parse().unwrap(),
            to: "10.0.0.2:4000".parse().unwrap(),
            by: BY,
            what: "port",
            count: 1,
        };
        assert_eq!(of_v4(&v4(3, 3, UDP), BY), Some(expected));
        assert_eq!(of_v4(&v4(3, 1, UDP), BY).unwrap().what, "host");
        assert_eq!(of_v4(&v4(8, 0, UDP), BY), None, "an echo request");
        assert_eq!(of_v4(&v4(3, 4, UDP), BY), None, "a smaller MTU");
        assert_eq!(of_v4(&v4(3, 3, 6), BY), None, "TCP");
        let mut v6 = vec![1, 4, 0, 0, 0, 0, 0, 0];
        v6.extend([0x60, 0, 0, 0, 0, 180, UDP, 64]);
        for last in [1, 2] {
            v6.extend(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last).octets());
        }
        v6.extend([0x4e, 0x20, 0x0f, 0xa0, 0, 180, 0, 0]);
        let found = of_v6(&v6, BY).unwrap();
        assert_eq!(found.local, "[fd00::1]:20000".parse().unwrap());
        assert_eq!((found.to.port(), found.what), (4000, "port"));
        for cut in 0..v6.len() - 4 {
            assert_eq!(of_v6(&v6[..cut], BY), None);
        }
    }

    #[test]
    fn the_program_says_the_same_of_a_frame_as_a_socket_of_its_packet() {
        for (kind, code) in [(3, 0), (3, 1), (3, 3), (3, 13), (3, 2), (3, 4), (8, 0)] {
            let packet = v4(kind, code, UDP);
            let frame = [&[0; 12][..], &[8, 0], &packet].concat();
            let told = Undelivered::of(frame.as_slice());
            let said = told.as_ref().and_then(of_program);
            assert_eq!(said, of_v4(&packet, BY), "{kind}, {code}");
        }
    }

    #[test]
    fn what_both_ears_hear_counts_once() {
        let one = of_v4(&v4(3, 3, UDP), BY).unwrap();
        let heard = |ears: &[Ear]| {
            let mut told = Told::default();
            for ear in ears {
                told.note(one, *ear);
            }
            told.all().map(|one| one.count).collect::<Vec<_>>()
        };
        assert_eq!(heard(&[Ear::Program, Ear::Program, Ear::Socket]), [2]);
        assert_eq!(heard(&[Ear::Socket, Ear::Socket]), [2]);
        assert!(heard(&[]).is_empty());
        let mut told = Told::default();
        for port in 1..=100 {
            let to = SocketAddr::new(BY, port);
            told.note(Unreached { to, ..one }, Ear::Program);
        }
        assert_eq!(told.all().count(), FLOWS);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..100), kind in 0..4_u8) {
            let mut packet = v4(kind, kind, UDP);
            packet.truncate(28);
            packet.extend(&bytes);
            for read in [of_v4, of_v6] {
                let _ = read(&packet, BY);
                if let Some(found) = read(&bytes, BY) {
                    proptest::prop_assert!(found.count == 1 && found.by == BY);
                }
            }
        }
    }

    #[test]
    fn what_is_cut_short_is_nothing() {
        let whole = v4(3, 3, UDP);
        for cut in 0..whole.len() - 4 {
            assert_eq!(of_v4(&whole[..cut], BY), None, "{cut}");
        }
        let mut odd = whole;
        odd[28] = 0x41;
        assert_eq!(of_v4(&odd, BY), None);
    }
}
