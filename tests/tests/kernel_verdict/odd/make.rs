//! How odd frames are made.

use sbc_tests::frames::{
    CARRIER, CARRIER6, LINK, OTHER, OURS, OURS6, PHONE, PHONE6, THEIRS, Way, leaving, rtp, rtp_of,
    sample, udp,
};

/// A frame, the way that it would go, and the payload that would leave.
pub(super) struct Odd {
    pub(super) frame: Vec<u8>,
    pub(super) way: &'static Way,
    pub(super) payload: Vec<u8>,
}

const fn way(from: &'static str, at: &'static str, out: &'static str, to: &'static str) -> Way {
    Way {
        from,
        at,
        out,
        to,
        hop: LINK,
    }
}

pub(super) static V4: Way = way(PHONE, OURS, THEIRS, CARRIER);
pub(super) static V4_TO_V6: Way = way(PHONE, "10.0.0.1:30010", "[fd00::1]:31010", CARRIER6);
pub(super) static V6_TO_V4: Way = way(PHONE6, OURS6, "10.0.1.1:31002", "10.0.1.2:5002");
pub(super) static V6: Way = way(
    PHONE6,
    "[fd00::1]:30020",
    "[fd00::1]:31020",
    "[fd00::8]:5020",
);
pub(super) static RTCP: Way = way(
    "10.0.0.2:4001",
    "10.0.0.1:30001",
    "10.0.1.1:31001",
    "10.0.1.2:5001",
);
pub(super) static FAX: Way = way(PHONE, "10.0.0.1:30030", "10.0.1.1:31030", CARRIER);
pub(super) static USER: Way = way(PHONE, "10.0.0.1:30040", "10.0.1.1:31040", CARRIER);
/// Media may come from anywhere.
pub(super) static OPEN: Way = way(PHONE, "10.0.0.1:30050", "10.0.1.1:31050", CARRIER);
pub(super) static NARROW: Way = Way {
    hop: OTHER,
    ..way(PHONE, "10.0.0.1:30060", "10.0.1.1:31060", CARRIER)
};

/// Where headers begin in a frame without a tag, and the UDP header behind IPv4 and IPv6.
pub(super) const IP: usize = 14;
pub(super) const UDP: usize = 34;
pub(super) const UDP6: usize = 54;

/// A payload on its way.
pub(super) fn on(way: &'static Way, payload: Vec<u8>) -> Odd {
    Odd {
        frame: udp(way.from, way.at, &payload),
        way,
        payload,
    }
}

/// 20 ms of sound on its way, and what has been done to the frame.
pub(super) fn odd(way: &'static Way, how: impl FnOnce(&mut Vec<u8>)) -> Odd {
    let mut odd = on(way, rtp(1));
    how(&mut odd.frame);
    sum_up(&mut odd.frame);
    odd
}

/// From here to there, in place of what the way says.
pub(super) fn between(way: &'static Way, from: &str, to: &str) -> Odd {
    Odd {
        frame: udp(from, to, &rtp(1)),
        ..on(way, rtp(1))
    }
}

/// So many bytes of IP.
pub(super) fn sized(way: &'static Way, bytes: u16) -> Odd {
    let headers = if way.from.starts_with('[') { 60 } else { 40 };
    on(way, rtp_of(0, 1, 7, bytes - headers))
}

/// Of a frame without a tag: the IPv4 header's checksum is right again.
pub(super) fn sum_up(frame: &mut [u8]) {
    let words = usize::from(frame.get(IP).copied().unwrap_or(0));
    let end = IP + (words & 15) * 4;
    if words >> 4 != 4 || end < UDP || frame.len() < end || frame[12..14] != [8, 0] {
        return;
    }
    frame[24..26].fill(0);
    let sum = frame[IP..end].chunks(2);
    let sum: u32 = sum
        .map(|word| u32::from(word[0]) << 8 | u32::from(word[1]))
        .sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = !((sum + (sum >> 16)) as u16);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
}

pub(super) fn put(frame: &mut [u8], at: usize, word: u16) {
    frame[at..at + 2].copy_from_slice(&word.to_be_bytes());
}

/// Moves a word up or down.
pub(super) fn add(frame: &mut [u8], at: usize, by: i16) {
    let word = u16::from_be_bytes([frame[at], frame[at + 1]]);
    put(frame, at, word.wrapping_add_signed(by));
}

/// Puts extension headers of 8 bytes before the UDP header.
pub(super) fn extended(way: &'static Way, kinds: &[u8], rest: [u8; 7]) -> Odd {
    odd(way, |frame| {
        for kind in kinds.iter().rev() {
            let next = std::mem::replace(&mut frame[20], *kind);
            let mut header = vec![next];
            header.extend(rest);
            frame.splice(UDP6..UDP6, header);
            add(frame, 18, 8);
        }
    })
}

pub(super) fn tagged(way: &'static Way, tags: &[u8]) -> Odd {
    odd(way, |frame| {
        frame.splice(12..12, tags.iter().copied());
    })
}

/// Another protocol behind the IP header.
pub(super) fn protocol(way: &'static Way, number: u8, payload: &[u8]) -> Odd {
    odd(way, |frame| {
        let is_v6 = frame[12] == 0x86;
        let (at, end) = if is_v6 { (20, UDP6) } else { (23, UDP) };
        frame[at] = number;
        frame.truncate(end);
        frame.extend(payload);
        let length = (frame.len() - IP) as u16;
        match is_v6 {
            true => put(frame, 18, length - 40),
            false => put(frame, 16, length),
        }
    })
}

/// An ICMP error about what we have sent on a way.
pub(super) fn icmp(way: &'static Way, kind: u8, code: u8, number: u8) -> Odd {
    let sent = leaving(&sample().hops[1], 46, way, &rtp(1));
    let mut payload = vec![kind, code, 0, 0, 0, 0, 5, 0];
    payload.extend(&sent[IP..IP + 28]);
    protocol(way, number, &payload)
}

/// What leaves has a checksum that comes out as 0, and is sent as its complement (RFC 768).
pub(super) fn sums_to_zero() -> Odd {
    let hop = sample().hops[1];
    let mut all = (0..=u16::MAX).map(|last| {
        let mut payload = rtp(1);
        put(&mut payload, 40, last);
        payload
    });
    let payload = all.find(|payload| {
        let frame = leaving(&hop, 46, &V4, payload);
        frame[UDP + 6..UDP + 8] == [0xff, 0xff]
    });
    on(&V4, payload.unwrap())
}
