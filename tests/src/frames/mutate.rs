//! Good frames, what can be done to them, and what every frame that leaves has to be.

use std::net::IpAddr;

use sbc_ebpf::{Arrived, Media, Packet};

use super::made::{rtcp, rtp, rtp_of, udp};
use super::sample::{CARRIER, OURS, OURS6, PHONE, PHONE6, THEIRS};

/// One frame for each of the sample calls, each way where they differ.
#[must_use]
pub fn good() -> Vec<Vec<u8>> {
    let mut all = vec![
        udp(PHONE, OURS, &rtp(1)),
        udp(PHONE, OURS, &rtp_of(8, 2, 0xdead_beef, 10)),
        udp("192.0.2.7:999", OURS, &rtp(3)),
        udp(CARRIER, THEIRS, &rtp_of(101, 1, 5, 4)),
        udp(PHONE6, OURS6, &rtp(1)),
        udp("[2001:db8::7]:999", OURS6, &rtp(2)),
        udp("10.0.1.2:5002", "10.0.1.1:31002", &rtp(1)),
        udp(PHONE, "10.0.0.1:30010", &rtp(1)),
        udp("[fd00::9]:5010", "[fd00::1]:31010", &rtp(1)),
        udp(PHONE6, "[fd00::1]:30020", &rtp(1)),
        udp("10.0.0.2:4001", "10.0.0.1:30001", &rtcp()),
        udp(PHONE, "10.0.0.1:30030", b"fax"),
        udp(PHONE, "10.0.0.1:30040", &rtp(1)),
        udp("203.0.113.9:9", "10.0.0.1:30050", &rtp(1)),
        udp(PHONE, "10.0.0.1:30060", &rtp_of(0, 1, 7, 180)),
        udp(CARRIER, "10.0.1.1:31060", &rtp(1)),
        udp(PHONE, "10.0.0.1:5060", b"OPTIONS sip:a SIP/2.0"),
    ];
    for index in [0, 4, 7] {
        let mut tagged = all[index].clone();
        tagged.splice(12..12, [0x81, 0, 0, 42]);
        all.push(tagged);
    }
    let mut first = all[0].clone();
    first[20] = 0x20;
    all.push(first);
    let mut options = all[0].clone();
    options.splice(34..34, [1, 1, 1, 0]);
    options[14] = 0x46;
    all.push(options);
    for next in [0, 43, 44, 60] {
        let mut extended = all[9].clone();
        extended.splice(54..54, [17, 0, 0, 0, 0, 0, 0, 7]);
        extended[20] = next;
        extended[19] += 8;
        all.push(extended);
    }
    all
}

/// Words that headers are full of.
const WORDS: [u16; 16] = [
    0, 1, 7, 8, 0x0800, 0x86dd, 0x8100, 0x88a8, 0x4500, 0x6000, 0xffff, 0x2000, 0x1fff, 0x0011,
    30_000, 0x80c8,
];

/// Changes a frame, in its headers mostly. What remains has an Ethernet header.
pub fn change(frame: &mut Vec<u8>, [what, place, a, b]: [u8; 4]) {
    let end = frame.len();
    // Half of all in the first 64 bytes.
    let at = match place {
        0..128 => usize::from(place) / 2,
        _ => usize::from(place) * end / 256,
    };
    let at = at.min(end - 1);
    match what % 10 {
        0..3 => frame[at] ^= 1 << (a % 8),
        3 => frame[at] = a,
        4 | 5 => {
            let word = WORDS[usize::from(a) % WORDS.len()].to_be_bytes();
            for (to, byte) in frame[at & !1..].iter_mut().zip(word) {
                *to = byte;
            }
        }
        6 => frame.truncate(at.max(14)),
        7 => frame.extend(std::iter::repeat_n(b, usize::from(a) % 64)),
        8 => {
            let bytes = [a, b, a ^ b, 0, 17, 0, b, a];
            let count = 1 + usize::from(b) % bytes.len();
            frame.splice(at..at, bytes[..count].iter().copied());
        }
        _ => {
            let count = (usize::from(a) % 9).min(end.saturating_sub(14));
            let to = (at + count).min(end);
            frame.drain(to - count..to);
        }
    }
}

/// Whether the frame that leaves is whole: its headers fit each other and itself, the checksum of IPv4 is right, and that of UDP as right as it was when
/// it arrived.
///
/// # Errors
/// What it is not.
pub fn is_sound(arrived: &[u8], frame: &[u8]) -> Result<(), String> {
    use etherparse::{NetSlice, SlicedPacket};
    let not = |why: String| format!("{arrived:02x?} leaves as {frame:02x?}: {why}");
    let packet = Packet::of(frame).ok_or_else(|| not("no UDP".to_owned()))?;
    if let Some(fault) = packet.fault() {
        return Err(not(fault.label().to_owned()));
    }
    if damage(arrived) != damage(frame) {
        return Err(not("UDP checksum".to_owned()));
    }
    let sliced = SlicedPacket::from_ethernet(frame).map_err(|error| not(error.to_string()))?;
    let Some(NetSlice::Ipv4(ip)) = sliced.net else {
        return Ok(());
    };
    let ip = ip.header().to_header();
    if ip.header_checksum != ip.calc_header_checksum() {
        return Err(not("IPv4 checksum".to_owned()));
    }
    Ok(())
}

/// What the UDP checksum is off by, modulo 65,535 as RFC 1071 sums; `None` where there is none.
fn damage(frame: &[u8]) -> Option<u64> {
    let packet = Packet::of(frame)?;
    if packet.checksum() == 0 {
        return None;
    }
    let udp = frame.get(packet.udp_at()..)?;
    let length = usize::from(packet.payload().length) + 8;
    let words = udp.get(..length)?.chunks(2);
    let bytes = words.map(|word| [word[0], word.get(1).copied().unwrap_or(0)]);
    let octets = |ip: IpAddr| match ip {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let ends = [packet.source().ip(), packet.destination().ip()].map(octets);
    let ends = ends.concat();
    let ends = ends.chunks(2).map(|word| [word[0], word[1]]);
    let sum = bytes.chain(ends).map(u16::from_be_bytes).map(u64::from);
    Some((sum.sum::<u64>() + length as u64 + 17) % 0xffff)
}
