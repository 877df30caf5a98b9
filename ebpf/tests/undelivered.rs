//! What is read of frames by which the network says that it could not deliver media.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use sbc_ebpf::Undelivered;

const UDP: u8 = 17;
const V4: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)),
    IpAddr::V4(Ipv4Addr::new(10, 0, 9, 9)),
];
const V6: [IpAddr; 3] = [
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 9, 9)),
];

fn header(from: IpAddr, to: IpAddr, protocol: u8) -> Vec<u8> {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut header = vec![0x45, 0, 0, 60, 0, 0, 0x40, 0, 64, protocol, 0, 0];
            header.extend(from.octets());
            header.extend(to.octets());
            header
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let mut header = vec![0x60, 0, 0, 0, 0, 60, protocol, 64];
            header.extend(from.octets());
            header.extend(to.octets());
            header
        }
        _ => Vec::new(),
    }
}

/// That what we sent from port 20000 to port 4000 was not delivered, says a router.
fn frame([ours, theirs, router]: [IpAddr; 3], kind: u8, code: u8, protocol: u8) -> Vec<u8> {
    let mut frame = vec![2; 12];
    let (ethertype, icmp) = if ours.is_ipv4() {
        ([8, 0], 1)
    } else {
        ([0x86, 0xdd], 58)
    };
    frame.extend(ethertype);
    frame.extend(header(router, ours, icmp));
    frame.extend([kind, code, 0, 0, 0, 0, 0, 0]);
    frame.extend(header(ours, theirs, protocol));
    frame.extend([0x4e, 0x20, 0x0f, 0xa0, 0, 180, 0, 0]);
    frame
}

fn of(frame: &[u8]) -> Option<Undelivered> {
    Undelivered::of(frame)
}

#[test]
fn what_is_quoted_is_read_in_both_families_and_behind_a_tag() {
    for (ends, kind, code) in [(V4, 3, 3), (V6, 1, 4)] {
        let frame = frame(ends, kind, code, UDP);
        let mut tagged = frame.clone();
        tagged.splice(12..12, [0x81, 0, 0, 42]);
        for frame in [frame, tagged] {
            let told = of(&frame).unwrap();
            assert_eq!([told.local.ip(), told.to.ip(), told.by.ip()], ends);
            let ports = (told.local_port.number(), told.to_port.number());
            assert_eq!((ports, told.code), ((20_000, 4000), code.into()));
            // Cut off anywhere before the end of the ports, it is none.
            for cut in 0..frame.len() - 4 {
                assert_eq!(of(&frame[..cut]), None, "{cut}");
            }
        }
    }
}

#[test]
fn what_is_about_something_else_is_none() {
    // Of TCP; an echo request; a smaller MTU.
    for odd in [
        frame(V4, 3, 3, 6),
        frame(V4, 8, 0, UDP),
        frame(V4, 3, 4, UDP),
        frame(V6, 1, 4, 6),
        frame(V6, 2, 0, UDP),
        frame(V6, 128, 0, UDP),
    ] {
        assert_eq!(of(&odd), None);
    }
    // Options, a later fragment, what somebody else has sent, another version.
    for (at, value) in [
        (14, 0x46),
        (21, 1),
        (42, 0x46),
        (49, 1),
        (57, 7),
        (14, 0x65),
        (12, 9),
    ] {
        let mut odd = frame(V4, 3, 3, UDP);
        odd[at] = value;
        assert_eq!(of(&odd), None, "byte {at}");
    }
    let mut odd = frame(V6, 1, 4, UDP);
    odd[85] ^= 1;
    assert_eq!(of(&odd), None);
}

proptest! {
    #[test]
    fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..120), six: bool, keep in 0..100_usize) {
        let mut frame = if six { frame(V6, 1, 4, UDP) } else { frame(V4, 3, 3, UDP) };
        frame.truncate(keep);
        frame.extend(bytes);
        if let Some(told) = of(&frame) {
            prop_assert_eq!(told.local.is_v4(), told.by.is_v4());
        }
    }

    /// As it lies in memory, it is read back.
    #[test]
    fn it_reads_what_was_written(words in proptest::array::uniform12(any::<u32>()), ports: (u16, u16), code: u32) {
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        bytes.extend(ports.0.to_ne_bytes());
        bytes.extend(ports.1.to_ne_bytes());
        bytes.extend(code.to_ne_bytes());
        let told = Undelivered::read(&bytes).unwrap();
        let [by, local, to] = [told.by, told.local, told.to].map(|one| one.words());
        prop_assert_eq!([by, local, to].concat(), words.to_vec());
        prop_assert_eq!((told.local_port.word(), told.to_port.word(), told.code), (ports.0, ports.1, code));
        prop_assert_eq!(Undelivered::read(&bytes[..55]), None);
    }
}
