//! The phone's side with more than one host on it, and who of them means no good.

use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use sbc_tests::e2e::{EDGE_LEFT, Lab, Namespace};
use socket2::{Domain, Protocol, Socket, Type};

/// The media range of these tests: narrow, so that each port of it is hit often.
pub(crate) const RANGE: RangeInclusive<u16> = 20_000..=20_199;
/// [`RANGE`], as a config has it.
pub(crate) const RANGE_TEXT: &str = "20000-20199";
/// A loud 1,000 Hz of PCMU, which no phone of these tests plays.
const MARK: [u8; 8] = [0, 0, 0, 0, 0x80, 0x80, 0x80, 0x80];
/// So many packets at a time, then a break: a veth holds 256.
const BURST: usize = 10;
const BREAK: Duration = Duration::from_millis(2);
const RTP_HEADER: usize = 12;
/// 20 ms.
const MARKS: usize = 20;

/// A switch between the edge's `left` and the hosts there.
pub(crate) struct Street {
    switch: Namespace,
    hosts: u32,
}

impl Street {
    /// Takes the phone's cable away; [`Street::plug`] gives it another.
    pub(crate) fn new(lab: &Lab) -> Result<Street> {
        let switch = Namespace::new("switch")?;
        lab.phone.ip("link del eth0")?;
        switch.ip("link add name bridge type bridge")?;
        switch.ip("link set bridge up")?;
        let mut street = Street { switch, hosts: 0 };
        street.cable(&lab.edge, "left")?;
        lab.edge.exec("ethtool -K left tx off")?;
        lab.edge.live("left", EDGE_LEFT)?;
        Ok(street)
    }

    /// Gives a host a device on the street, with that address and the one that stands for it; all else is behind the edge.
    pub(crate) fn plug(&mut self, host: &Namespace, device: &str, at: Ipv4Addr) -> Result<()> {
        self.cable(host, device)?;
        host.exec(&format!("ethtool -K {device} tx off gro on"))?;
        host.live(device, at)?;
        host.route(EDGE_LEFT)
    }

    fn cable(&mut self, host: &Namespace, device: &str) -> Result<()> {
        self.hosts += 1;
        let (port, switch) = (format!("port{}", self.hosts), self.switch.name());
        host.ip(&format!(
            "link add {device} type veth peer name {port} netns {switch}"
        ))?;
        host.ip(&format!("link set {device} up"))?;
        self.switch
            .ip(&format!("link set {port} master bridge up"))?;
        // What XDP sends through `left` arrives here.
        self.switch
            .exec(&format!("ethtool -K {port} tx off gro on"))?;
        Ok(())
    }
}

/// Sends what looks like media of a call to every port of the range, from one socket.
pub(crate) struct Sprayer {
    socket: UdpSocket,
    targets: Vec<SocketAddr>,
    state: u64,
    /// Any, if none.
    ssrc: Option<u32>,
    /// Packets so far.
    pub(crate) sent: u64,
}

impl Sprayer {
    /// At that address and port of a host.
    pub(crate) fn new(lab: &Lab, host: &Namespace, at: impl Into<SocketAddr>) -> Result<Sprayer> {
        let at = at.into();
        let socket = host
            .enter(|| UdpSocket::bind(at))?
            .with_context(|| format!("cannot bind {at}"))?;
        let ports = || RANGE;
        let targets = [lab.family.edge_left(), lab.family.edge_right()]
            .into_iter()
            .flat_map(|address| ports().map(move |port| SocketAddr::new(address, port)))
            .collect();
        Ok(Sprayer {
            socket,
            targets,
            state: u64::from(at.port()) << 32 | last_bytes(at.ip()),
            ssrc: None,
            sent: 0,
        })
    }

    /// No RTCP.
    pub(crate) fn only_rtp(mut self) -> Sprayer {
        self.targets.retain(|target| target.port() % 2 == 0);
        self
    }

    /// All of one SSRC, and no RTCP.
    pub(crate) fn of_stream(mut self, ssrc: u32) -> Sprayer {
        self.ssrc = Some(ssrc);
        self.only_rtp()
    }

    /// Its socket, to look at while it sprays.
    pub(crate) fn socket(&self) -> Result<UdpSocket> {
        Ok(self.socket.try_clone()?)
    }

    /// One packet to each port of either side of the box.
    pub(crate) fn round(&mut self) -> Result<()> {
        for chunk in 0..self.targets.len().div_ceil(BURST) {
            for at in chunk * BURST..self.targets.len().min((chunk + 1) * BURST) {
                let target = self.targets[at];
                let packet = self.packet(target.port());
                self.socket.send_to(&packet, target)?;
                self.sent += 1;
            }
            std::thread::sleep(BREAK);
        }
        Ok(())
    }

    /// Rounds until `stop`, on a thread of their own.
    pub(crate) fn rounds<'scope>(
        mut self,
        scope: &'scope Scope<'scope, '_>,
        stop: &'scope AtomicBool,
    ) -> ScopedJoinHandle<'scope, Result<Sprayer>> {
        scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                self.round()?;
            }
            Ok(self)
        })
    }

    /// How many datagrams have come to its socket, whatever they are.
    pub(crate) fn received(&self) -> Result<u64> {
        received(&self.socket)
    }

    /// PCMU of 20 ms, or a sender report on odd ports; SSRC, sequence number and time are anyone's.
    fn packet(&mut self, port: u16) -> Vec<u8> {
        let (one, two) = (self.random(), self.random());
        let (mut packet, marks) = match port % 2 {
            0 => (vec![0x80, 0], MARKS),
            _ => (vec![0x80, 200, 0, 6], 2),
        };
        packet.extend(one.to_be_bytes());
        packet.extend(two.to_be_bytes());
        packet.truncate(RTP_HEADER);
        if let Some(ssrc) = self.ssrc {
            packet[8..].copy_from_slice(&ssrc.to_be_bytes());
        }
        packet.extend(MARK.repeat(marks));
        packet
    }

    /// SplitMix64.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// How many datagrams have come to a socket since they were last counted. It does not block any more.
pub(crate) fn received(socket: &UdpSocket) -> Result<u64> {
    socket.set_nonblocking(true)?;
    let mut count = 0;
    while socket.recv_from(&mut [0; 2048]).is_ok() {
        count += 1;
    }
    Ok(count)
}

/// All that arrives at a host over one family, before anything there takes it.
pub(crate) struct Tap {
    socket: Socket,
    at: IpAddr,
}

/// What came to a host by UDP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// RTP of the size of the phones', to the address that the tap is for.
    pub(crate) media: u64,
    /// What a [`Sprayer`] made, to whatever address.
    pub(crate) sprayed: u64,
}

const ETH_P_IP: u16 = 0x0800;
const ETH_P_IPV6: u16 = 0x86dd;
const UDP: u8 = 17;

impl Tap {
    /// Opens it for an address of a host; it has to be read meanwhile.
    pub(crate) fn open(host: &Namespace, at: impl Into<IpAddr>) -> Result<Tap> {
        let at = at.into();
        let ethertype = if at.is_ipv4() { ETH_P_IP } else { ETH_P_IPV6 };
        let protocol = Protocol::from(i32::from(ethertype.to_be()));
        let socket = host.enter(|| Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol)))??;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        Ok(Tap { socket, at })
    }

    /// The SSRC that the first SDP to come with one fixes (RFC 5576), of what has come so far.
    pub(crate) fn announced_ssrc(&self) -> Result<u32> {
        let mut bytes = [0; 2048];
        loop {
            let length = (&self.socket).read(&mut bytes).context("no a=ssrc")?;
            let text = String::from_utf8_lossy(&bytes[..length]);
            if let Some((_, fixed)) = text.split_once("a=ssrc:") {
                let digits = fixed.split(|c: char| !c.is_ascii_digit()).next();
                return Ok(digits.unwrap_or_default().parse()?);
            }
        }
    }

    /// Forgets what has come so far.
    pub(crate) fn drained(self) -> Result<Tap> {
        self.socket.set_nonblocking(true)?;
        while (&self.socket).read(&mut [0; 2048]).is_ok() {}
        self.socket.set_nonblocking(false)?;
        Ok(self)
    }

    /// Counts until `stop`, on a thread of its own.
    pub(crate) fn count<'scope>(
        self,
        scope: &'scope Scope<'scope, '_>,
        stop: &'scope AtomicBool,
    ) -> ScopedJoinHandle<'scope, Seen> {
        scope.spawn(move || {
            let (mut seen, mut bytes) = (Seen::default(), [0; 2048]);
            loop {
                let Ok(length) = (&self.socket).read(&mut bytes) else {
                    if stop.load(Ordering::Relaxed) {
                        return seen;
                    }
                    continue;
                };
                let Some((to, payload)) = datagram(&bytes[..length]) else {
                    continue;
                };
                if payload.len() < RTP_HEADER {
                    continue;
                }
                let is_media =
                    payload.len() == RTP_HEADER + MARKS * MARK.len() && payload[0] >> 6 == 2;
                seen.media += u64::from(is_media && to == self.at);
                seen.sprayed += u64::from(payload[RTP_HEADER..].starts_with(&MARK.repeat(2)));
            }
        })
    }
}

/// Where a UDP datagram without options goes, and what it carries.
fn datagram(packet: &[u8]) -> Option<(IpAddr, &[u8])> {
    let (protocol, to, header): (u8, IpAddr, usize) = match packet.first()? >> 4 {
        4 => {
            let to: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
            (*packet.get(9)?, to.into(), 20)
        }
        _ => {
            let to: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
            (*packet.get(6)?, to.into(), 40)
        }
    };
    (protocol == UDP).then_some((to, packet.get(header + 8..)?))
}

fn last_bytes(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits() as u64,
    }
}

/// The packet that follows one of 20 ms in a stream of RTP, with the payload of a [`Sprayer`].
pub(crate) fn sprayed_next([sequence, time, ssrc]: [u32; 3]) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend((sequence as u16).wrapping_add(1).to_be_bytes());
    packet.extend(time.wrapping_add(160).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend(MARK.repeat(MARKS));
    packet
}
