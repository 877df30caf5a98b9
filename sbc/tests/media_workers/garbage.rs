//! What should never have been sent, at the sockets of pairs that are transcoded: the audio beside it goes on as if there were nothing.

use std::net::UdpSocket;

use sbc::codec::g711::ulaw;
use sbc::config::{Codec, NetworkId};
use sbc::io::media::Driver;
use sbc::media::{PairId, Voice};

use crate::support::{is_silent, receive};
use crate::transcoded::{Talk, sequence, timestamp, tone};

crate::on_both! {
    audio_goes_on_among_garbage
    packets_of_any_length_come_out_in_whole_ones
    who_has_listed_several_codecs_changes_over_without_a_word
}

/// Datagrams of garbage for each packet of audio.
const BESIDE: usize = 20;
const ROUNDS: u16 = 300;

/// xorshift64*.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % sides
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.roll(256) as u8).collect()
    }

    /// Nothing of it is RTP of a codec that was agreed upon.
    fn garbage(&mut self, sequence: u16) -> Vec<u8> {
        let length = self.roll(1_400);
        let mut bytes = self.bytes(length);
        match self.roll(4) {
            // Of another version.
            0 => {
                if let Some(first) = bytes.first_mut() {
                    *first &= 0x7f;
                }
            }
            // What the talker says, in a codec that nobody has agreed to.
            1 => {
                bytes = tone(0, sequence, 160);
                bytes[1] = [1, 3, 18, 34, 95, 96, 127][self.roll(7)];
            }
            // Sources, extensions and padding beyond its end.
            2 => {
                bytes = tone(0, sequence, 0);
                bytes[0] = [0x8f, 0x90, 0xa0][self.roll(3)];
                bytes.extend([0xff; 3]);
            }
            // Too short to be anything.
            _ => {
                let length = self.roll(12);
                bytes = tone(0, sequence, 160)[..length].to_vec();
            }
        }
        bytes
    }

    fn rtcp(&mut self) -> Vec<u8> {
        let length = self.roll(300);
        let mut bytes = self.bytes(length);
        for (place, head) in bytes.iter_mut().zip([0x80, 200]) {
            if !length.is_multiple_of(3) {
                *place = head;
            }
        }
        bytes
    }
}

fn audio_goes_on_among_garbage(driver: Driver) {
    let talk = Talk::start(driver, 40);
    let mut dice = Dice(7);
    let mut before: Option<Vec<u8>> = None;
    let locals = talk.locals();
    let send = |socket: &UdpSocket, bytes: &[u8], to| {
        socket.send_to(bytes, to).unwrap();
    };
    for number in 0..ROUNDS {
        for _ in 0..BESIDE {
            // Whatever comes of RTCP goes nowhere.
            send(&talk.a[1], &dice.rtcp(), talk.rtcp.sides[0].local);
            send(&talk.a[0], &dice.garbage(number), locals[0]);
            send(&talk.b[0], &dice.garbage(number), locals[1]);
        }
        let said = tone(0, number, 160);
        let heard = talk.b_hears(&said);
        let expected: Vec<u8> = said[12..].iter().copied().map(ulaw::to_alaw).collect();
        assert_eq!(heard[12..], expected);
        if let Some(before) = before {
            assert_eq!(sequence(&heard), sequence(&before).wrapping_add(1));
            assert_eq!(timestamp(&heard), timestamp(&before).wrapping_add(160));
        }
        before = Some(heard);
    }
    assert!(is_silent(&talk.a[0]) && is_silent(&talk.b[0]));
    let voice = talk.sbc.workers.voice();
    assert_eq!(voice.networks[&NetworkId(0)].concealed, 0);
    // All of it was counted, and the audio with it.
    let dropped: u64 = talk.sbc.network(0).dropped.values().sum();
    let garbage = u64::from(ROUNDS) * BESIDE as u64;
    assert!(dropped > garbage / 2, "{dropped} of {garbage} dropped");
    let ends = talk.sbc.remove(PairId(1));
    assert!(ends.sides[0].packets >= ROUNDS.into());
    for local in locals {
        UdpSocket::bind(local).unwrap();
    }
}

fn who_has_listed_several_codecs_changes_over_without_a_word(driver: Driver) {
    let mut talk = Talk::start(driver, 43);
    let side = &mut talk.rtp.sides[0];
    side.payload_types = 1 | 1 << 8 | 1 << 13;
    side.voice = Some(Voice {
        others: [Some((Codec::Pcma, 8)), None],
        ..Voice::plain(Codec::Pcmu, 0)
    });
    talk.sbc.update(&talk.rtp);
    talk.sbc.settle();
    let mut dice = Dice(5);
    let mut before: Option<Vec<u8>> = None;
    for number in 0..ROUNDS {
        let payload_type = [0, 8][dice.roll(2)];
        let said = tone(payload_type, number, 160);
        let heard = talk.b_hears(&said);
        let expected: Vec<u8> = match payload_type {
            8 => said[12..].to_vec(),
            _ => said[12..].iter().copied().map(ulaw::to_alaw).collect(),
        };
        assert_eq!(heard[12..], expected);
        if let Some(before) = before {
            assert_eq!(sequence(&heard), sequence(&before).wrapping_add(1));
            assert_eq!(timestamp(&heard), timestamp(&before).wrapping_add(160));
        }
        before = Some(heard);
    }
    assert_eq!(talk.sbc.network(0).dropped, [].into());
}

fn packets_of_any_length_come_out_in_whole_ones(driver: Driver) {
    let talk = Talk::start(driver, 41);
    let mut dice = Dice(11);
    let (mut at, mut heard) = (0_u32, 0);
    for number in 0..500 {
        let octets = [0, 1, 3, 7, 33, 79, 121, 159, 161, 333, 801, 1_399][dice.roll(12)];
        let mut packet = tone(0, number, octets);
        packet[4..8].copy_from_slice(&at.to_be_bytes());
        talk.a[0].send_to(&packet, talk.locals()[0]).unwrap();
        at += octets as u32;
        while heard + 160 <= at {
            assert_eq!(receive(&talk.b[0]).0.len(), 172);
            heard += 160;
        }
    }
    // What waits leaves when nothing follows.
    if heard < at {
        assert_eq!(receive(&talk.b[0]).0.len() as u32, 12 + at - heard);
    }
    assert!(is_silent(&talk.b[0]));
}
