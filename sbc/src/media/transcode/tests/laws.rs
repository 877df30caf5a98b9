//! From one law of G.711 to the other: octet for octet as the Recommendation's own tables have it, where nothing was lost and no key is pressed.

use super::support::*;
use crate::codec::g711::{alaw, ulaw};
use crate::config::Codec::{self, G722, Pcma, Pcmu};

/// What each octet of one law becomes in the other one.
fn through(bench: &mut Bench, source: &mut Source) -> Vec<u8> {
    let octets: Vec<u8> = (0..=255).collect();
    let mut left = Vec::new();
    // Neither packets of ours nor 256 are a multiple of this.
    for payload in octets.chunks(48) {
        let timestamp = source.timestamp;
        let packet = source.aside(source.payload_type, timestamp, payload);
        source.timestamp = timestamp.wrapping_add(payload.len() as u32);
        left.extend(bench.put(&packet));
        left.extend(bench.pass(payload.len() as u64 * MS / 8));
    }
    left.extend(bench.pass(200 * MS));
    left_octets(&left)
}

fn table(from: Codec) -> Vec<u8> {
    let convert = match from {
        Pcmu => ulaw::to_alaw,
        _ => alaw::to_ulaw,
    };
    (0..=255).map(convert).collect()
}

#[test]
fn all_octets_become_those_of_the_tables_both_ways() {
    for (from, to) in [(Pcmu, Pcma), (Pcma, Pcmu)] {
        let mut bench = Bench::new([voice(from), voice(to)]);
        let mut source = Source::new(from);
        assert_eq!(through(&mut bench, &mut source), table(from), "{from:?}");
    }
}

#[test]
fn they_do_so_after_whatever_else_was_spoken() {
    for before in [[G722, G722], [Pcmu, G722], [Pcma, Pcmu], [G722, Pcma]] {
        for (from, to) in [(Pcmu, Pcma), (Pcma, Pcmu)] {
            let mut bench = Bench::new(before.map(voice));
            let mut source = Source::new(before[0]);
            bench.feed(source.packets(3, 160));
            bench.pipe.update([voice(from), voice(to)]);
            source.payload_type = from.payload_type();
            let heard = through(&mut bench, &mut source);
            assert_eq!(heard, table(from), "{before:?}, then {from:?}");
        }
    }
}

#[test]
fn one_law_to_itself_stays_as_it_is() {
    for law in [Pcmu, Pcma] {
        let mut bench = Bench::new([voice(law), voice(law)]);
        let mut source = Source::new(law);
        let heard = through(&mut bench, &mut source);
        // Also µ-law's two zeros, of which there is one in samples: octets pass as they are.
        assert_eq!(heard, (0..=255).collect::<Vec<u8>>());
    }
}
