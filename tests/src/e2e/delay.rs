//! How long voice stays in the box: when each packet came to it, and when what was made of it arrived at the other side, by the kernel's own clock.
//!
//! A packet and what becomes of it belong together by their timestamps: a stream of our own counts on as its source does, from another beginning.

use std::collections::HashMap;
use std::io::IoSliceMut;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use socket2::{Domain, Protocol, Socket, Type};

use super::background::{Background, LOOK};
use super::lab::Namespace;

const ETH_P_IP: u16 = 0x0800;
const SIP: u16 = 5060;
const HEADER: usize = 12;
/// What is this much later does not come of it, in whatever weather.
const LONGEST: Duration = Duration::from_millis(400);

/// Voice of one direction, before the box and behind it.
#[derive(Debug)]
pub struct Passage {
    came: Log,
    left: Log,
}

/// Of so many packets of voice, how long the box kept them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delay {
    /// Half of them no longer than this.
    pub median: Duration,
    /// One in a hundred longer.
    pub p99: Duration,
    /// The longest.
    pub most: Duration,
    /// How many packets there were.
    pub packets: usize,
}

impl std::fmt::Display for Delay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        let (median, p99, most) = (ms(self.median), ms(self.p99), ms(self.most));
        write!(
            f,
            "kept for {median:.2} ms (median), {p99:.2} ms (p99), {most:.2} ms (the longest) of {} packets",
            self.packets
        )
    }
}

#[derive(Debug)]
struct Log {
    packets: Arc<Mutex<Vec<Packet>>>,
    _tap: Background,
}

/// Packets of RTP, when they arrived and what they say of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Packet {
    at: Duration,
    timestamp: u32,
}

impl Passage {
    /// What comes to the box from `from`, and what then arrives at `host` from the box's `side`, from now on.
    ///
    /// # Errors
    /// Not root.
    pub fn open(
        edge: &Namespace,
        from: Ipv4Addr,
        host: &Namespace,
        side: Ipv4Addr,
    ) -> Result<Passage> {
        Ok(Passage {
            came: Log::open(edge, from)?,
            left: Log::open(host, side)?,
        })
    }

    /// How long each packet was kept that came.
    ///
    /// # Errors
    /// There was no voice, or what left has nothing to do with what came.
    pub fn delay(&self) -> Result<Delay> {
        let (came, left) = (self.came.all(), self.left.all());
        let mut kept = delays(&came, &left);
        kept.sort_unstable();
        let of = |share: usize| kept.get(kept.len() * share / 100).or(kept.last()).copied();
        let (Some(median), Some(p99), Some(most)) = (of(50), of(99), kept.last().copied()) else {
            anyhow::bail!(
                "{} packets came, {} left, and none of them belong together",
                came.len(),
                left.len()
            );
        };
        ensure!(
            kept.len() * 10 >= came.len() * 8,
            "of {} packets that came only {} are found again among {}",
            came.len(),
            kept.len(),
            left.len()
        );
        Ok(Delay {
            median,
            p99,
            most,
            packets: kept.len(),
        })
    }
}

impl Log {
    fn open(host: &Namespace, from: Ipv4Addr) -> Result<Log> {
        // Of one protocol: what leaves the host does not come here.
        let protocol = Protocol::from(i32::from(ETH_P_IP.to_be()));
        let socket = host.enter(|| Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol)))??;
        socket.set_read_timeout(Some(LOOK))?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        let packets = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&packets);
        let tap = Background::run(move || {
            let mut bytes = [0; 2048];
            if let Some((length, at)) = receive(&socket, &mut bytes)
                && let Some(timestamp) = voice(bytes.get(..length).unwrap_or_default(), from)
            {
                let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
                log.push(Packet { at, timestamp });
            }
        });
        Ok(Log { packets, _tap: tap })
    }

    fn all(&self) -> Vec<Packet> {
        self.packets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// A packet, and when the kernel had it.
fn receive(socket: &Socket, bytes: &mut [u8]) -> Option<(usize, Duration)> {
    let mut slices = [IoSliceMut::new(bytes)];
    let mut space = nix::cmsg_space!(TimeSpec);
    let (fd, flags) = (socket.as_raw_fd(), MsgFlags::empty());
    let received = recvmsg::<()>(fd, &mut slices, Some(&mut space), flags).ok()?;
    let at = received.cmsgs().ok()?.find_map(|message| match message {
        ControlMessageOwned::ScmTimestampns(at) => Some(Duration::from(at)),
        _ => None,
    });
    Some((received.bytes, at?))
}

/// The timestamp of an IPv4 packet from there, if it is RTP of a codec with a static payload type.
fn voice(packet: &[u8], from: Ipv4Addr) -> Option<u32> {
    let sliced = SlicedPacket::from_ip(packet).ok()?;
    let Some(NetSlice::Ipv4(ip)) = &sliced.net else {
        return None;
    };
    let Some(TransportSlice::Udp(udp)) = &sliced.transport else {
        return None;
    };
    let rtp = udp.payload();
    let is_sip = udp.source_port() == SIP || udp.destination_port() == SIP;
    let is_voice = rtp.len() > HEADER && rtp[0] >> 6 == 2 && [0, 8, 9].contains(&(rtp[1] & 0x7f));
    let is_from = IpAddr::from(ip.header().source_addr()) == IpAddr::from(from);
    (is_voice && is_from && !is_sip).then(|| u32::from_be_bytes([rtp[4], rtp[5], rtp[6], rtp[7]]))
}

/// How long each of these was kept, as far as it is found again.
fn delays(came: &[Packet], left: &[Packet]) -> Vec<Duration> {
    // What most of those that are near each other have in common is what their streams have.
    let mut offsets: HashMap<u32, usize> = HashMap::new();
    for packet in came {
        let near = left
            .iter()
            .filter(|made| made.at >= packet.at && made.at - packet.at <= LONGEST);
        for made in near {
            *offsets
                .entry(made.timestamp.wrapping_sub(packet.timestamp))
                .or_default() += 1;
        }
    }
    let best = offsets
        .into_iter()
        .max_by_key(|&(offset, count)| (count, std::cmp::Reverse(offset)));
    let Some((offset, _)) = best else {
        return Vec::new();
    };
    let made: HashMap<u32, Duration> = left
        .iter()
        .map(|packet| (packet.timestamp.wrapping_sub(offset), packet.at))
        .collect();
    came.iter()
        .filter_map(|packet| made.get(&packet.timestamp)?.checked_sub(packet.at))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_and_what_was_made_of_it_belong_together() {
        let ms = Duration::from_millis;
        let came = |n: u32| Packet {
            at: ms(20 * u64::from(n)),
            timestamp: 7_000 + 160 * n,
        };
        let left = |n: u32, late: u64| Packet {
            at: ms(20 * u64::from(n) + late),
            timestamp: (160 * n).wrapping_sub(320),
        };
        // The third is lost before the box, which makes up for it 40 ms later.
        let all: Vec<_> = (0..50).filter(|n| *n != 3).map(came).collect();
        let made: Vec<_> = (0..50)
            .map(|n| left(n, if n == 3 { 60 } else { 1 + u64::from(n) % 2 }))
            .collect();
        let kept = delays(&all, &made);
        assert_eq!(kept.len(), 49);
        assert_eq!(kept[..4], [ms(1), ms(2), ms(1), ms(1)]);
        assert_eq!(delays(&all, &[]), []);
    }
}
