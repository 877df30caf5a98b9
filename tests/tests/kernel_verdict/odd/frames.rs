//! The frames of the page, by their names there.

use sbc_tests::frames::{OURS, PHONE, PHONE6, Way, rtcp, rtp, rtp_of};

use super::make::{
    FAX, IP, NARROW, OPEN, Odd, RTCP, UDP, UDP6, USER, V4, V4_TO_V6, V6, V6_TO_V4, add, between,
    extended, icmp, odd, on, put, sized, sum_up, sums_to_zero, tagged,
};

pub(super) fn frames() -> Vec<(&'static str, Odd)> {
    let mut all = fragments();
    all.extend(headers());
    all.extend(checksums());
    all.extend(lengths());
    all.extend(sizes());
    all.extend(addresses());
    all.extend(links());
    all.extend(payloads());
    all.extend(places());
    all
}

fn fragments() -> Vec<(&'static str, Odd)> {
    // Offset in units of 8 bytes, and whether more follow.
    let fragment = |offset: u8, more: u8| [0, 0, offset << 3 | more, 0, 0, 0, 7];
    vec![
        ("first fragment, IPv4", odd(&V4, |f| put(f, 20, 0x2000))),
        ("later fragment, IPv4", odd(&V4, |f| put(f, 20, 0x2064))),
        ("last fragment, IPv4", odd(&V4, |f| put(f, 20, 0x0064))),
        ("may be fragmented, IPv4", odd(&V4, |f| put(f, 20, 0))),
        ("first fragment, IPv6", extended(&V6, &[44], fragment(0, 1))),
        ("later fragment, IPv6", extended(&V6, &[44], fragment(3, 1))),
        (
            "atomic fragment, IPv6",
            extended(&V6, &[44], fragment(0, 0)),
        ),
        (
            "first fragment of no flow",
            Odd {
                frame: {
                    let mut frame = between(&V4, PHONE, "10.0.0.1:30100").frame;
                    put(&mut frame, 20, 0x2000);
                    sum_up(&mut frame);
                    frame
                },
                ..on(&V4, rtp(1))
            },
        ),
    ]
}

fn headers() -> Vec<(&'static str, Odd)> {
    let mut damaged = on(&V4, rtp(1));
    damaged.frame[24] ^= 0x55;
    let none = [0, 1, 4, 0, 0, 0, 0];
    vec![
        (
            "options, IPv4",
            odd(&V4, |f| {
                f.splice(UDP..UDP, [1, 1, 1, 0]);
                f[IP] = 0x46;
                add(f, 16, 4);
            }),
        ),
        ("header length below 20, IPv4", odd(&V4, |f| f[IP] = 0x44)),
        ("header longer than the frame, IPv4", {
            let mut odd = odd(&V4, |f| f[IP] = 0x4f);
            odd.frame.truncate(60);
            odd
        }),
        ("another version, IPv4", odd(&V4, |f| f[IP] = 0x65)),
        ("another version, IPv6", odd(&V6, |f| f[IP] = 0x40)),
        ("wrong header checksum, IPv4", damaged),
        ("hop-by-hop options, IPv6", extended(&V6, &[0], none)),
        ("routing header, IPv6", extended(&V6, &[43], none)),
        ("destination options, IPv6", extended(&V6, &[60], none)),
        (
            "three extension headers, IPv6",
            extended(&V6, &[0, 60, 43], none),
        ),
        (
            "four extension headers, IPv6",
            extended(&V6, &[0, 60, 43, 60], none),
        ),
        ("authentication header, IPv6", extended(&V6, &[51], none)),
        ("no next header, IPv6", odd(&V6, |f| f[20] = 59)),
        ("flow label, IPv6", odd(&V6, |f| f[16] = 0x77)),
        ("TTL 0", odd(&V4, |f| f[22] = 0)),
        ("TTL 1", odd(&V4, |f| f[22] = 1)),
        ("hop limit 0", odd(&V6, |f| f[21] = 0)),
        ("DSCP and ECN set", odd(&V4, |f| f[15] = 0xff)),
    ]
}

fn checksums() -> Vec<(&'static str, Odd)> {
    let none = |way, at: usize| odd(way, |f| f[at + 6..at + 8].fill(0));
    let wrong = |way| odd(way, |f| *f.last_mut().unwrap() ^= 0x10);
    let mut all = vec![
        ("no UDP checksum, IPv4 to IPv4", none(&V4, UDP)),
        ("no UDP checksum, IPv4 to IPv6", none(&V4_TO_V6, UDP)),
        ("no UDP checksum, IPv6 to IPv4", none(&V6_TO_V4, UDP6)),
        ("no UDP checksum, IPv6 to IPv6", none(&V6, UDP6)),
        ("wrong UDP checksum, IPv4 to IPv4", wrong(&V4)),
        ("wrong UDP checksum, IPv4 to IPv6", wrong(&V4_TO_V6)),
        ("wrong UDP checksum, IPv6 to IPv4", wrong(&V6_TO_V4)),
        ("wrong UDP checksum, IPv6 to IPv6", wrong(&V6)),
        ("UDP checksum that comes out as 0", sums_to_zero()),
    ];
    for (name, odd) in &mut all {
        if name.starts_with("wrong") {
            // The payload that leaves is the damaged one.
            *odd.payload.last_mut().unwrap() ^= 0x10;
        }
    }
    all
}

fn lengths() -> Vec<(&'static str, Odd)> {
    let padded = |way: &'static Way, bytes: usize| {
        let mut odd = on(way, rtp_of(0, 1, 7, 0));
        odd.frame.extend((1..).take(bytes));
        odd
    };
    vec![
        ("padded to 60 bytes, IPv4 to IPv4", padded(&V4, 6)),
        ("padded to 60 bytes, IPv4 to IPv6", padded(&V4_TO_V6, 6)),
        ("a trailer, IPv6 to IPv4", padded(&V6_TO_V4, 4)),
        ("a trailer, IPv6 to IPv6", padded(&V6, 4)),
        ("cut off in the payload", odd(&V4, |f| f.truncate(100))),
        (
            "cut off in the payload, IPv6",
            odd(&V6, |f| f.truncate(100)),
        ),
        ("one byte too few", odd(&V4, |f| f.truncate(f.len() - 1))),
        ("cut off in the RTP header", odd(&V4, |f| f.truncate(50))),
        ("cut off in the UDP header", odd(&V4, |f| f.truncate(41))),
        ("cut off in the IP header", odd(&V4, |f| f.truncate(33))),
        (
            "cut off in the IP header, IPv6",
            odd(&V6, |f| f.truncate(53)),
        ),
        (
            "cut off behind the Ethernet header",
            odd(&V4, |f| f.truncate(14)),
        ),
        ("UDP length 0", odd(&V4, |f| put(f, UDP + 4, 0))),
        ("UDP length 0, IPv6", odd(&V6, |f| put(f, UDP6 + 4, 0))),
        ("UDP length 7", odd(&V4, |f| put(f, UDP + 4, 7))),
        ("UDP length beyond IP's", odd(&V4, |f| add(f, UDP + 4, 1))),
        ("UDP length beyond IP's, with room in the frame", {
            odd(&V4, |f| {
                add(f, UDP + 4, 4);
                f.extend([0; 8]);
            })
        }),
        ("UDP length below IP's", {
            odd(&V4, |f| {
                add(f, 16, 6);
                f.extend([9; 6]);
            })
        }),
        ("UDP length below IP's, IPv6", {
            odd(&V6, |f| {
                add(f, 18, 6);
                f.extend([9; 6]);
            })
        }),
        (
            "IP length below its header, IPv4",
            odd(&V4, |f| put(f, 16, 19)),
        ),
        ("IP length 0, IPv4", odd(&V4, |f| put(f, 16, 0))),
        ("IP length 0, IPv6", odd(&V6, |f| put(f, 18, 0))),
        (
            "IP length beyond the frame, IPv4",
            odd(&V4, |f| add(f, 16, 9)),
        ),
        (
            "IP length beyond the frame, IPv6",
            odd(&V6, |f| add(f, 18, 9)),
        ),
    ]
}

fn sizes() -> Vec<(&'static str, Odd)> {
    vec![
        ("1500 bytes, IPv4 to IPv4", sized(&V4, 1500)),
        ("1501 bytes, IPv4 to IPv4", sized(&V4, 1501)),
        ("1480 bytes, IPv4 to IPv6", sized(&V4_TO_V6, 1480)),
        ("1481 bytes, IPv4 to IPv6", sized(&V4_TO_V6, 1481)),
        ("1520 bytes, IPv6 to IPv4", sized(&V6_TO_V4, 1520)),
        ("1521 bytes, IPv6 to IPv4", sized(&V6_TO_V4, 1521)),
        ("1500 bytes, IPv6 to IPv6", sized(&V6, 1500)),
        ("1501 bytes, IPv6 to IPv6", sized(&V6, 1501)),
        ("as large as the way out takes", sized(&NARROW, 240)),
        ("one byte more than the way out takes", sized(&NARROW, 241)),
        ("jumbo frame", sized(&V4, 3000)),
    ]
}

fn addresses() -> Vec<(&'static str, Odd)> {
    let mapped = |at: usize, last: [u8; 4]| {
        odd(&V6, |f| {
            f[at..at + 10].fill(0);
            f[at + 10..at + 12].fill(0xff);
            f[at + 12..at + 16].copy_from_slice(&last);
        })
    };
    vec![
        ("broadcast MAC", odd(&V4, |f| f[..6].fill(0xff))),
        ("multicast MAC", odd(&V4, |f| f[0] = 1)),
        ("multicast MAC, IPv6", odd(&V6, |f| f[..2].fill(0x33))),
        ("another's MAC", odd(&V4, |f| f[5] ^= 0x70)),
        (
            "to the broadcast address",
            between(&V4, PHONE, "255.255.255.255:30000"),
        ),
        (
            "to the network's broadcast address",
            between(&V4, PHONE, "10.0.0.255:30000"),
        ),
        (
            "to a multicast group, IPv4",
            between(&V4, PHONE, "224.0.0.1:30000"),
        ),
        (
            "to a multicast group, IPv6",
            between(&V6, PHONE6, "[ff02::1]:30020"),
        ),
        (
            "from a multicast group",
            between(&V4, "224.0.0.1:4000", OURS),
        ),
        (
            "from the broadcast address",
            between(&V4, "255.255.255.255:4000", OURS),
        ),
        (
            "from a multicast group, where media may come from anywhere",
            between(&OPEN, "224.0.0.1:4000", OPEN.at),
        ),
        (
            "from the broadcast address, where media may come from anywhere",
            between(&OPEN, "255.255.255.255:4000", OPEN.at),
        ),
        (
            "from no address, where media may come from anywhere",
            between(&OPEN, "0.0.0.0:4000", OPEN.at),
        ),
        (
            "from port 0, where media may come from anywhere",
            between(&OPEN, "203.0.113.9:0", OPEN.at),
        ),
        ("from no address", between(&V4, "0.0.0.0:4000", OURS)),
        ("from the loopback", between(&V4, "127.0.0.1:4000", OURS)),
        ("from our own address", between(&V4, OURS, OURS)),
        ("from port 0", between(&V4, "10.0.0.2:0", OURS)),
        (
            "from the right address, another port",
            between(&V4, "10.0.0.2:4001", OURS),
        ),
        (
            "to the right port of another address of ours",
            between(&V4, PHONE, "10.0.1.1:30000"),
        ),
        (
            "from an IPv4-mapped address, IPv6",
            mapped(22, [10, 0, 0, 2]),
        ),
        ("to an IPv4-mapped address, IPv6", {
            let mut odd = mapped(38, [10, 0, 0, 1]);
            put(&mut odd.frame, UDP6 + 2, 30000);
            odd
        }),
    ]
}

fn links() -> Vec<(&'static str, Odd)> {
    vec![
        ("802.1Q tag", tagged(&V4, &[0x81, 0, 0, 42])),
        ("802.1Q tag, IPv6", tagged(&V6, &[0x81, 0, 0, 42])),
        (
            "802.1Q tag, IPv4 to IPv6",
            tagged(&V4_TO_V6, &[0x81, 0, 0, 42]),
        ),
        (
            "802.1Q tag, IPv6 to IPv4",
            tagged(&V6_TO_V4, &[0x81, 0, 0, 42]),
        ),
        ("802.1Q priority tag", tagged(&V4, &[0x81, 0, 0xe0, 0])),
        ("802.1ad tag", tagged(&V4, &[0x88, 0xa8, 0, 42])),
        (
            "802.1ad and 802.1Q tag",
            tagged(&V4, &[0x88, 0xa8, 0, 42, 0x81, 0, 0, 7]),
        ),
        (
            "two 802.1Q tags",
            tagged(&V4, &[0x81, 0, 0, 42, 0x81, 0, 0, 7]),
        ),
        ("ARP", {
            let mut odd = odd(&V4, |f| f.truncate(60));
            odd.frame[12..14].copy_from_slice(&[8, 6]);
            odd
        }),
        (
            "802.3 length in place of a type",
            odd(&V4, |f| put(f, 12, 200)),
        ),
        ("TCP to a media port", odd(&V4, |f| f[23] = 6)),
        ("UDP-Lite to a media port", odd(&V4, |f| f[23] = 136)),
        ("ICMP: port unreachable", icmp(&V4, 3, 3, 1)),
        ("ICMP: fragmentation needed", icmp(&V4, 3, 4, 1)),
        ("ICMPv6: packet too big", icmp(&V6, 2, 0, 58)),
        ("ICMPv6: port unreachable", icmp(&V6, 1, 4, 58)),
    ]
}

fn payloads() -> Vec<(&'static str, Odd)> {
    let first = |byte: u8| {
        let mut payload = rtp(1);
        payload[0] = byte;
        on(&V4, payload)
    };
    let mut stun = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    stun.extend([7; 12]);
    let mut padded = rtp(1);
    padded[0] = 0xa0;
    *padded.last_mut().unwrap() = 255;
    vec![
        ("RTP, version 0", first(0x00)),
        ("RTP, version 1", first(0x40)),
        ("RTP, version 3", first(0xc0)),
        ("RTP that names 15 sources", first(0x8f)),
        ("RTP with an extension", first(0x90)),
        ("RTP with more padding than payload", on(&V4, padded)),
        ("RTP header alone", on(&V4, rtp_of(0, 1, 7, 0))),
        ("RTP of 11 bytes", on(&V4, rtp(1)[..11].to_vec())),
        ("a byte", on(&V4, vec![0x80])),
        ("no payload", on(&V4, Vec::new())),
        (
            "line ends, to keep a NAT open",
            on(&V4, b"\r\n\r\n".to_vec()),
        ),
        ("STUN", on(&V4, stun)),
        (
            "TURN channel data",
            on(&V4, vec![0x40, 0, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]),
        ),
        (
            "DTLS",
            on(&V4, vec![22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]),
        ),
        (
            "ZRTP",
            on(&V4, b"\x10\x00\0\x01ZRTP\0\0\0\x01PZ..".to_vec()),
        ),
        (
            "payload type that was not negotiated",
            on(&V4, rtp_of(96, 1, 7, 160)),
        ),
        ("RTCP on the port of RTP", on(&V4, rtcp())),
        ("RTP on the port of RTCP", on(&RTCP, rtp(1))),
        ("RTCP of 8 bytes", on(&RTCP, rtcp())),
        ("RTCP of 7 bytes", on(&RTCP, rtcp()[..7].to_vec())),
        (
            "RTCP, version 1",
            on(&RTCP, vec![0x40, 201, 0, 1, 1, 2, 3, 4]),
        ),
        ("fax (UDPTL)", on(&FAX, b"\0\x01\x06\xe0".to_vec())),
        ("nothing at all, on the port of a fax", on(&FAX, Vec::new())),
    ]
}

fn places() -> Vec<(&'static str, Odd)> {
    let mut damaged = on(&USER, rtp(1));
    put(&mut damaged.frame, UDP + 4, 3);
    let mut fragment = on(&USER, rtp(1));
    put(&mut fragment.frame, 20, 0x2000);
    vec![
        ("of no flow", between(&V4, PHONE, "10.0.0.1:30100")),
        ("of no flow, IPv6", between(&V6, PHONE6, "[fd00::1]:30100")),
        (
            "first port of the media range",
            between(&V4, "10.0.0.3:4000", "10.0.0.1:30000"),
        ),
        (
            "port below the media range",
            between(&V4, PHONE, "10.0.0.1:29999"),
        ),
        (
            "last port of the media range",
            between(&V4, PHONE, "10.0.0.1:31999"),
        ),
        (
            "port above the media range",
            between(&V4, PHONE, "10.0.0.1:32000"),
        ),
        (
            "to an address that is not ours",
            between(&V4, PHONE, "10.0.0.99:30000"),
        ),
        ("of a flow of user space", on(&USER, rtp(1))),
        ("of a flow of user space, damaged", damaged),
        ("of a flow of user space, first fragment", fragment),
    ]
}
