//! What is noted of packets that are dropped, and what silence is.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use sbc_ebpf::abi::Port;
use sbc_ebpf::{Drop, Faults, is_listened_to};
use support::{NAMED, at, rtp};

fn noted(reasons: &[Drop]) -> Faults {
    let mut faults = Faults::default();
    for reason in reasons {
        let source = at(NAMED).ip().into();
        faults.note(*reason as u8, (&source, Port::new(4000)), 0x80 | 18, 7);
    }
    faults
}

#[test]
fn each_reason_of_a_flow_is_counted_once() {
    let counts = |faults: Faults| {
        [
            faults.wrong_source,
            faults.payload_type,
            faults.ssrc,
            faults.not_rtp,
            faults.no_peer,
            faults.no_next_hop,
            faults.too_big,
        ]
    };
    let place = |reason| match reason {
        Drop::WrongSource => Some(0),
        Drop::PayloadType => Some(1),
        Drop::Ssrc => Some(2),
        Drop::NotRtp => Some(3),
        Drop::NoPeer => Some(4),
        Drop::NoNextHop => Some(5),
        Drop::TooBig | Drop::NoRoom => Some(6),
        Drop::NoFlow | Drop::Fragment | Drop::Malformed | Drop::Banned | Drop::Flood => None,
    };
    for reason in Drop::ALL {
        let mut expected = [0; 7];
        if let Some(place) = place(reason) {
            expected[place] = 2;
        }
        assert_eq!(counts(noted(&[reason, reason])), expected, "{reason:?}");
    }
}

#[test]
fn the_last_one_is_remembered() {
    let faults = noted(&[Drop::WrongSource, Drop::PayloadType, Drop::Ssrc]);
    assert_eq!(faults.source.ip(), at(NAMED).ip());
    assert_eq!((faults.port.number(), faults.last_type), (4000, 18));
    assert_eq!(faults.last_ssrc, 7);
}

#[test]
fn silence_is_what_does_not_move() {
    let listen = |packet: &[u8]| {
        let mut faults = Faults::default();
        // Behind whatever headers.
        faults.listen([&[1; 42], packet].concat().as_slice(), 42);
        (faults.listened, faults.quiet)
    };
    assert_eq!(listen(&rtp(8)), (1, 1), "digital silence");
    for place in 12..28 {
        let mut sound = rtp(8);
        sound[place] ^= 0x80;
        assert_eq!(listen(&sound), (1, 0), "{place}");
    }
    let mut later = rtp(8);
    later[28] ^= 0x80;
    assert_eq!(listen(&later), (1, 1), "not so far");
    // Comfort noise is a few octets, whatever they are.
    let noise = [&rtp(13)[..12], &[0x40, 1, 2]].concat();
    assert_eq!(listen(&noise), (1, 1));
    // What G.722 makes of silence moves, but for its high band; as G.711 it is sound.
    let still = [0xf8, 0xfb, 0xf8, 0xfa, 0xde, 0xf1, 0xf5, 0xf6].repeat(20);
    let packet = |kind: u8, octets: &[u8]| [&rtp(kind)[..12], octets].concat();
    assert_eq!(listen(&packet(9, &still)), (1, 1));
    assert_eq!(listen(&packet(0, &still)), (1, 0));
    for place in 0..16 {
        for high in [0x00, 0x40, 0x80] {
            let mut sound = still.clone();
            sound[place] = sound[place] & 0x3f | high;
            assert_eq!(listen(&packet(9, &sound)), (1, 0), "{place}, {high:#x}");
        }
    }
    // A frame of another codec, shorter than that.
    assert_eq!(listen(&rtp(18)[..22]), (0, 0));
    // An extension, contributing sources, padding: nobody looks behind them.
    for first in [0x90, 0x81, 0xa0] {
        let mut odd = rtp(8);
        odd[0] = first;
        assert_eq!(listen(&odd), (0, 0));
    }
    assert_eq!(listen(&[]), (0, 0));
    assert_eq!((0..=u16::MAX).filter(|n| is_listened_to(*n)).count(), 2048);
}
