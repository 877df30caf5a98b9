//! Sides that share no codec: what each is offered and answered, and what is ordered of those who forward.

use std::sync::Arc;

use super::support::*;
use crate::config::Codec;
use crate::media::{
    End, Fallback, FlowCommand, FlowKind, FlowPair, PairId, Path, PayloadTypes, Refused, Side,
    Transcoding, Unsupported, Voice,
};

pub(super) const TRANSCODED: Path = Path::User(Fallback::Transcoded);

/// A phone outside that may use all codecs, and a carrier inside that may use these.
pub(super) fn ends(codecs: &[Codec]) -> (End, End) {
    let transcoding = Transcoding::On;
    let a = End {
        transcoding,
        ..phone("198.51.100.9")
    };
    let b = End {
        transcoding,
        codecs: codecs.to_vec(),
        ..carrier("10.71.2.2")
    };
    (a, b)
}

pub(super) fn offer(formats: &str, more: &str) -> String {
    body("198.51.100.9", 4000, formats, more)
}

pub(super) fn answer(formats: &str, more: &str) -> String {
    body("10.71.2.2", 6000, formats, more)
}

/// The lines from the first m= on, without the port.
pub(super) fn streams(body: &str) -> Vec<String> {
    let all = body.split("\r\n").filter(|line| !line.is_empty());
    let lines = all.skip_while(|line| !line.starts_with("m="));
    let without_port = |line: &str| match line.strip_prefix("m=audio ") {
        Some(rest) => format!("m= {}", rest.split_once(' ').unwrap().1),
        None => line.to_owned(),
    };
    lines
        .filter(|line| !line.starts_with("a=rtcp:"))
        .map(without_port)
        .collect()
}

/// An offer and its answer, both as the other side gets them.
pub(super) fn exchange(
    call: &mut Call,
    (a, b): (&End, &End),
    offer: &str,
    answer: &str,
) -> [Vec<String>; 2] {
    let to_b = call.offer((A, a), (B, b), offer).unwrap();
    let to_a = call.answer(B, answer).unwrap();
    [streams(&to_b), streams(&to_a)]
}

fn of_one_pipe(id: u64, kind: FlowKind, sides: [Side; 2], companion: u64) -> Arc<FlowPair> {
    let mut pair = Arc::unwrap_or_clone(pair(id, kind, sides, TRANSCODED));
    pair.companion = Some(PairId(companion));
    pair.into()
}

pub(super) fn installed(commands: &[FlowCommand], kind: FlowKind) -> Option<Arc<FlowPair>> {
    commands.iter().find_map(|command| match command {
        FlowCommand::Install(pair) if pair.kind == kind => Some(pair.clone()),
        _ => None,
    })
}

/// Voices and payload types of the RTP pair that is there.
pub(super) fn spoken(call: &Call) -> [(Option<Voice>, u128); 2] {
    let mut rtp = call.media.pairs().filter(|pair| pair.kind == FlowKind::Rtp);
    let pair = rtp.next().unwrap();
    pair.sides
        .each_ref()
        .map(|side| (side.voice, side.payload_types))
}

pub(super) fn paths(call: &Call) -> Vec<Path> {
    call.media.pairs().map(|pair| pair.path).collect()
}

#[test]
fn who_shares_no_codec_is_offered_others_and_the_offerer_is_answered_with_one_of_its_own() {
    let mut call = Call::new();
    let (a, b) = ends(&[Codec::Pcma, Codec::Pcmu]);
    let to_b = call.offer(
        (A, &a),
        (B, &b),
        &offer(
            "9 96",
            "a=rtpmap:9 G722/8000\r\na=rtpmap:96 telephone-event/8000\r\na=fmtp:96 0-16\r\na=ptime:30\r\na=ssrc:7 cname:x\r\n",
        ),
    );
    let to_b = to_b.unwrap();
    let (pb, ..) = named(&to_b);
    assert_eq!(
        streams(&to_b),
        [
            "m= RTP/AVP 8 0 96",
            "a=rtpmap:96 telephone-event/8000",
            "a=fmtp:96 0-16",
            "a=ptime:30",
            "a=rtpmap:8 PCMA/8000",
            "a=rtpmap:0 PCMU/8000",
        ]
    );
    assert_eq!(call.commands(), []);
    let to_a = call.answer(
        B,
        &answer(
            "8 101",
            "a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=maxptime:150\r\na=ssrc:8 cname:y\r\na=sendrecv\r\n",
        ),
    );
    let to_a = to_a.unwrap();
    let (pa, ..) = named(&to_a);
    assert_eq!(
        streams(&to_a),
        [
            "m= RTP/AVP 9 96",
            "a=sendrecv",
            "a=rtpmap:9 G722/8000",
            "a=rtpmap:96 telephone-event/8000",
            "a=fmtp:96 0-16",
            "a=ptime:30",
        ]
    );
    let rtp = [
        Side {
            ssrcs: [7][..].into(),
            voice: Some(Voice {
                events: Some(PayloadTypes::both(96)),
                packet_time: 30,
                ..Voice::plain(Codec::G722, 9)
            }),
            ..side(
                OUTSIDE,
                &format!("10.71.1.1:{pa}"),
                "198.51.100.9:4000",
                &[],
                1 << 9 | 1 << 13 | 1 << 96,
            )
        },
        Side {
            ssrcs: [8][..].into(),
            voice: Some(Voice {
                events: Some(PayloadTypes {
                    from_peer: 96,
                    to_peer: 101,
                }),
                ..Voice::plain(Codec::Pcma, 8)
            }),
            ..side(
                INSIDE,
                &format!("10.71.2.1:{pb}"),
                "10.71.2.2:6000",
                &[],
                1 << 8 | 1 << 13 | 1 << 96,
            )
        },
    ];
    let rtcp = [
        side(
            OUTSIDE,
            &format!("10.71.1.1:{}", pa + 1),
            "198.51.100.9:4001",
            &[],
            0,
        ),
        side(
            INSIDE,
            &format!("10.71.2.1:{}", pb + 1),
            "10.71.2.2:6001",
            &[],
            0,
        ),
    ];
    let commands = call.commands();
    assert_eq!(
        commands,
        [
            FlowCommand::Install(of_one_pipe(1, FlowKind::Rtp, rtp, 2)),
            FlowCommand::Install(of_one_pipe(2, FlowKind::Rtcp, rtcp, 1)),
        ]
    );
    let rtp = installed(&commands, FlowKind::Rtp).unwrap();
    assert_eq!(rtp.transcoded(), Some([Codec::G722, Codec::Pcma]));
    assert_eq!(
        installed(&commands, FlowKind::Rtcp).unwrap().transcoded(),
        None
    );
    call.end();
    assert_eq!(call.free_after(30), [200, 100]);
}

#[test]
fn nothing_is_added_where_nobody_transcodes() {
    let (on_a, on_b) = ends(&[Codec::Pcma]);
    let off = |end: &End| End {
        transcoding: Transcoding::Off,
        ..end.clone()
    };
    for (a, b) in [(off(&on_a), on_b.clone()), (on_a, off(&on_b))] {
        let mut call = Call::new();
        let refused = call.offer((A, &a), (B, &b), &offer("9", ""));
        let expected = Refused::NoStream(Unsupported::Codec);
        assert_eq!(refused, Err(expected));
        let shared = call.offer((A, &a), (B, &b), &offer("8", "")).unwrap();
        assert_eq!(streams(&shared), ["m= RTP/AVP 8"]);
    }
    // Nor where the offerer has nothing to transcode from, or the other side all that there is.
    let (a, b) = ends(&[Codec::Pcma]);
    let mut call = Call::new();
    for formats in ["18", "13", "101"] {
        assert!(call.offer((A, &a), (B, &b), &offer(formats, "")).is_err());
    }
    let shared = call.offer((A, &a), (B, &b), &offer("8 9", "a=ssrc:7 x:y\r\n"));
    assert_eq!(streams(&shared.unwrap()), ["m= RTP/AVP 8", "a=ssrc:7 x:y"]);
}

#[test]
fn what_both_have_is_offered_first_and_forwarded() {
    let (a, b) = ends(&[Codec::Pcma, Codec::Pcmu]);
    for (said, told, types) in [
        ("0", "m= RTP/AVP 0", 1 | 1 << 13),
        // What is listed behind it would not be understood, and is not let in.
        ("0 8", "m= RTP/AVP 0", 1 | 1 << 13),
    ] {
        let mut call = Call::new();
        let [to_b, to_a] = exchange(&mut call, (&a, &b), &offer("9 0", ""), &answer(said, ""));
        assert_eq!(to_b, ["m= RTP/AVP 0 8", "a=rtpmap:8 PCMA/8000"]);
        assert_eq!(to_a, [told]);
        assert_eq!(spoken(&call), [(None, types), (None, types)]);
        assert_eq!(paths(&call), [Path::Kernel, Path::Kernel]);
    }
}

#[test]
fn an_answer_that_begins_with_what_only_its_writer_has_is_transcoded() {
    let mut call = Call::new();
    let (a, b) = ends(&[Codec::Pcma, Codec::Pcmu]);
    let said = answer("8 0", "");
    let [_, to_a] = exchange(&mut call, (&a, &b), &offer("0 9", ""), &said);
    assert_eq!(to_a, ["m= RTP/AVP 0", "a=rtpmap:0 PCMU/8000"]);
    // It may go on to what both have.
    let theirs = Voice {
        others: [Some((Codec::Pcmu, 0)), None],
        ..Voice::plain(Codec::Pcma, 8)
    };
    let expected = [
        (Some(Voice::plain(Codec::Pcmu, 0)), 1 | 1 << 13),
        (Some(theirs), 1 << 8 | 1 | 1 << 13),
    ];
    assert_eq!(spoken(&call), expected);
    // The same once more changes nothing.
    call.commands();
    let again = call.answer(B, &said).unwrap();
    assert_eq!((streams(&again), named(&again).2), (to_a, 1));
    assert_eq!(call.commands(), []);
}

#[test]
fn the_offerer_is_answered_with_the_first_that_it_may_use() {
    let (a, b) = ends(&[Codec::Pcma]);
    for (codecs, expected) in [
        (vec![Codec::G722, Codec::Pcmu], "m= RTP/AVP 0"),
        (vec![Codec::G722], "m= RTP/AVP 9"),
    ] {
        let a = End {
            codecs,
            ..a.clone()
        };
        let mut call = Call::new();
        let [to_b, to_a] = exchange(&mut call, (&a, &b), &offer("0 9", ""), &answer("8", ""));
        assert_eq!(to_b, ["m= RTP/AVP 8", "a=rtpmap:8 PCMA/8000"]);
        assert_eq!(to_a[0], expected);
    }
}

#[test]
fn odd_numbers_of_the_offer_are_its_writers_own() {
    let mut call = Call::new();
    let (a, b) = ends(&[Codec::Pcma, Codec::Pcmu]);
    // G.722 under a number of its own, 8 for something else, and events where mu-law should be.
    let odd = "a=rtpmap:97 G722/8000\r\na=rtpmap:8 opus/48000/2\r\na=fmtp:8 x\r\na=rtpmap:0 telephone-event/8000\r\na=fmtp:0 10.0.0.1\r\n";
    let [to_b, to_a] = exchange(
        &mut call,
        (&a, &b),
        &offer("97 8 0", odd),
        &answer(
            "96 0",
            "a=rtpmap:96 PCMU/8000\r\na=rtpmap:0 telephone-event/8000\r\n",
        ),
    );
    assert_eq!(
        to_b,
        [
            "m= RTP/AVP 8 96 0",
            "a=rtpmap:0 telephone-event/8000",
            "a=rtpmap:8 PCMA/8000",
            "a=rtpmap:96 PCMU/8000",
        ]
    );
    assert_eq!(
        to_a,
        [
            "m= RTP/AVP 97 0",
            "a=rtpmap:97 G722/8000",
            "a=rtpmap:0 telephone-event/8000",
        ]
    );
    let events = Some(PayloadTypes::both(0));
    let [a, b] = [(Codec::G722, 97), (Codec::Pcmu, 96)].map(|(codec, number)| Voice {
        events,
        ..Voice::plain(codec, number)
    });
    let expected = [
        (Some(a), 1 << 97 | 1 | 1 << 13),
        (Some(b), 1 << 96 | 1 | 1 << 13),
    ];
    assert_eq!(spoken(&call), expected);
}

#[test]
fn each_side_has_the_events_the_noise_and_the_packets_that_it_asked_for() {
    let (a, b) = ends(&[Codec::Pcmu]);
    const EVENTS: &str = "a=rtpmap:101 telephone-event/8000\r\n";
    for (offered, answered, told, expected) in [
        // It has events, and goes on to have them: the other side hears tones.
        (
            ("9 101", "a=ptime:5\r\n"),
            ("0", "a=maxptime:10\r\n"),
            "m= RTP/AVP 9 101",
            [(Some(101), false, 10), (None, false, 10)],
        ),
        (
            ("9 13", "a=ptime:20\r\na=maxptime:40\r\n"),
            ("0 13 101", "a=ptime:200\r\n"),
            "m= RTP/AVP 9 13",
            [(None, true, 20), (None, true, 60)],
        ),
        (
            ("13 101 9", "a=maxptime:60\r\n"),
            ("101 0", "a=ptime:30\r\na=maxptime:20\r\n"),
            "m= RTP/AVP 9 13 101",
            [(Some(101), true, 20), (Some(101), false, 20)],
        ),
    ] {
        let mut call = Call::new();
        let [_, to_a] = exchange(
            &mut call,
            (&a, &b),
            &offer(offered.0, &format!("{EVENTS}{}", offered.1)),
            &answer(answered.0, &format!("{EVENTS}{}", answered.1)),
        );
        assert_eq!(to_a[0], told);
        let heard = spoken(&call).map(|(voice, _)| {
            let voice = voice.unwrap();
            let events = voice.events.map(|events| events.from_peer);
            (events, voice.comfort_noise, voice.packet_time)
        });
        assert_eq!(heard, expected, "{offered:?} {answered:?}");
    }
}
