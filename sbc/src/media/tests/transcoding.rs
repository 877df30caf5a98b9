//! Sides that share no codec: what each is offered and answered, and what is ordered of those who forward.

use std::sync::Arc;

use super::support::*;
use crate::config::Codec;
use crate::media::{
    Anchored, Direct, End, Fallback, FlowCommand, FlowKind, FlowPair, PairId, Path, PayloadTypes,
    Refused, Side, Transcoding, Unsupported, Voice,
};

const TRANSCODED: Path = Path::User(Fallback::Transcoded);

/// A phone outside that may use all codecs, and a carrier inside that may use these.
fn ends(codecs: &[Codec]) -> (End, End) {
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

fn offer(formats: &str, more: &str) -> String {
    body("198.51.100.9", 4000, formats, more)
}

fn answer(formats: &str, more: &str) -> String {
    body("10.71.2.2", 6000, formats, more)
}

/// The lines from the first m= on, without the port.
fn streams(body: &str) -> Vec<String> {
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
fn exchange(call: &mut Call, (a, b): (&End, &End), offer: &str, answer: &str) -> [Vec<String>; 2] {
    let to_b = call.offer((A, a), (B, b), offer).unwrap();
    let to_a = call.answer(B, answer).unwrap();
    [streams(&to_b), streams(&to_a)]
}

fn both(number: u8) -> PayloadTypes {
    PayloadTypes {
        from_peer: number,
        to_peer: number,
    }
}

fn voice(codec: Codec, number: u8) -> Voice {
    Voice {
        codec,
        numbers: both(number),
        events: None,
        comfort_noise: false,
        packet_time: 20,
    }
}

fn of_one_pipe(id: u64, kind: FlowKind, sides: [Side; 2], companion: u64) -> Arc<FlowPair> {
    let mut pair = Arc::unwrap_or_clone(pair(id, kind, sides, TRANSCODED));
    pair.companion = Some(PairId(companion));
    pair.into()
}

fn installed(commands: &[FlowCommand], kind: FlowKind) -> Option<Arc<FlowPair>> {
    commands.iter().find_map(|command| match command {
        FlowCommand::Install(pair) if pair.kind == kind => Some(pair.clone()),
        _ => None,
    })
}

/// Voices and payload types of the RTP pair that is there.
fn spoken(call: &Call) -> [(Option<Voice>, u128); 2] {
    let mut rtp = call.media.pairs().filter(|pair| pair.kind == FlowKind::Rtp);
    let pair = rtp.next().unwrap();
    pair.sides
        .each_ref()
        .map(|side| (side.voice, side.payload_types))
}

fn paths(call: &Call) -> Vec<Path> {
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
                events: Some(both(96)),
                packet_time: 30,
                ..voice(Codec::G722, 9)
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
                ..voice(Codec::Pcma, 8)
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
    let expected = [
        (Some(voice(Codec::Pcmu, 0)), 1 | 1 << 13),
        (Some(voice(Codec::Pcma, 8)), 1 << 8 | 1 << 13),
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
    let events = Some(both(0));
    let [a, b] = [(Codec::G722, 97), (Codec::Pcmu, 96)].map(|(codec, number)| Voice {
        events,
        ..voice(codec, number)
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

#[test]
fn a_re_invite_leads_into_transcoding_and_out_of_it() {
    let mut call = Call::new();
    let (a, b) = ends(&[Codec::Pcmu]);
    exchange(&mut call, (&a, &b), &offer("9 0", ""), &answer("0", ""));
    let first = call.commands();
    let pinned = installed(&first, FlowKind::Rtp).unwrap();
    assert_eq!(pinned.path, Path::Kernel);
    // Only G.722 is left, then both again.
    for (offered, path, told) in [
        ("9", TRANSCODED, "m= RTP/AVP 9"),
        ("0 9", Path::Kernel, "m= RTP/AVP 0"),
    ] {
        let mut before: Vec<PairId> = call.media.pairs().map(|pair| pair.id).collect();
        if path == Path::Kernel {
            // RTCP that ends in the pipe of its RTP goes first.
            before.reverse();
        }
        let [_, to_a] = exchange(&mut call, (&a, &b), &offer(offered, ""), &answer("0", ""));
        assert_eq!(to_a[0], told);
        let commands = call.commands();
        let gone = before.into_iter().map(FlowCommand::Remove);
        assert_eq!(commands[..2], gone.collect::<Vec<_>>());
        let rtp = installed(&commands, FlowKind::Rtp).unwrap();
        assert_eq!(rtp.path, path);
        let locals = |pair: &FlowPair| pair.sides.each_ref().map(|side| side.local);
        assert_eq!(locals(&rtp), locals(&pinned));
        assert_eq!(rtp.transcoded().is_some(), path == TRANSCODED);
        assert_eq!(paths(&call), [path, path]);
        assert_eq!(commands.len(), 4);
    }
}

#[test]
fn another_codec_or_hold_is_news_for_the_pair_that_is_there() {
    let mut call = Call::new();
    let (a, b) = ends(&[Codec::Pcmu, Codec::Pcma]);
    exchange(&mut call, (&a, &b), &offer("9", ""), &answer("0", ""));
    let id = installed(&call.commands(), FlowKind::Rtp).unwrap().id;
    for (offered, said, types, expected) in [
        (
            "",
            "8",
            [1 << 9 | 1 << 13, 1 << 8 | 1 << 13],
            [(Codec::G722, 9), (Codec::Pcma, 8)],
        ),
        // On hold: nobody is let in, and who speaks what holds.
        (
            "a=inactive\r\n",
            "8",
            [0, 0],
            [(Codec::G722, 9), (Codec::Pcma, 8)],
        ),
        (
            "",
            "0",
            [1 << 9 | 1 << 13, 1 | 1 << 13],
            [(Codec::G722, 9), (Codec::Pcmu, 0)],
        ),
    ] {
        let mirrored = offered;
        exchange(
            &mut call,
            (&a, &b),
            &offer("9", offered),
            &answer(said, mirrored),
        );
        let [FlowCommand::Update(pair)] = &call.commands()[..] else {
            panic!("one update of {said}");
        };
        assert_eq!((pair.id, pair.path), (id, TRANSCODED));
        let heard = pair
            .sides
            .each_ref()
            .map(|side| (side.voice, side.payload_types));
        let [x, y] = expected.map(|(codec, number)| Some(voice(codec, number)));
        assert_eq!(heard, [(x, types[0]), (y, types[1])]);
    }
}

#[test]
fn the_side_that_called_comes_first_whoever_offers() {
    let mut call = Call::new();
    let (a, b) = ends(&[Codec::Pcmu]);
    let to_a = call.offer((B, &b), (A, &a), &answer("0", "")).unwrap();
    assert_eq!(
        streams(&to_a),
        [
            "m= RTP/AVP 0 9 8",
            "a=rtpmap:9 G722/8000",
            "a=rtpmap:8 PCMA/8000"
        ]
    );
    let to_b = call.answer(A, &offer("9", "")).unwrap();
    assert_eq!(streams(&to_b), ["m= RTP/AVP 0", "a=rtpmap:0 PCMU/8000"]);
    let [one, other] = [voice(Codec::G722, 9), voice(Codec::Pcmu, 0)];
    let heard = spoken(&call).map(|(voice, _)| voice);
    assert_eq!(heard, [Some(one), Some(other)]);
}

#[test]
fn of_two_who_ring_one_may_share_and_the_other_not() {
    let mut call = Call::new();
    let (a, b) = ends(&[Codec::Pcmu]);
    let c = End {
        codecs: vec![Codec::G722],
        signalling: ip("10.71.2.3"),
        ..b.clone()
    };
    let invite = offer("9", "");
    let to_b = call.offer((A, &a), (B, &b), &invite).unwrap();
    let to_c = call.offer((A, &a), (C, &c), &invite).unwrap();
    assert_eq!(streams(&to_b)[0], "m= RTP/AVP 0");
    assert_eq!(streams(&to_c)[0], "m= RTP/AVP 9");
    // The first is heard before the answer, the second takes the call.
    call.answer(B, &answer("0", "")).unwrap();
    let early = call.commands();
    assert_eq!(installed(&early, FlowKind::Rtp).unwrap().path, TRANSCODED);
    let to_a = call.answer(C, &body("10.71.2.3", 7000, "9", "")).unwrap();
    assert_eq!(streams(&to_a), ["m= RTP/AVP 9"]);
    let commands = call.commands();
    assert_eq!(
        commands[..2],
        [2, 1].map(|id| FlowCommand::Remove(PairId(id)))
    );
    assert_eq!(
        installed(&commands, FlowKind::Rtp).unwrap().path,
        Path::Kernel
    );
}

#[test]
fn video_beside_it_is_forwarded_as_it_is() {
    let mut call = Call::new();
    let (a, b) = ends(&[Codec::Pcmu]);
    let video = "m=video 4002 RTP/AVP 99\r\na=rtpmap:99 H264/90000\r\na=ssrc:9 x:y\r\n";
    let [to_b, to_a] = exchange(
        &mut call,
        (&a, &b),
        &offer("9", video),
        &answer("0", &video.replace("4002", "6002")),
    );
    for told in [to_b, to_a] {
        assert_eq!(told.last().unwrap(), "a=ssrc:9 x:y");
    }
    assert_eq!(
        paths(&call),
        [TRANSCODED, TRANSCODED, Path::Kernel, Path::Kernel]
    );
}

#[test]
fn two_who_would_send_to_each_other_and_share_no_codec_do_not() {
    let direct = |codecs: &[Codec]| End {
        codecs: codecs.to_vec(),
        direct: Direct::Possible,
        ..ends(&[]).0
    };
    let (a, b) = (direct(&Codec::ALL), direct(&[Codec::Pcmu]));
    let mut call = Call::new();
    // One in common is enough, and nothing is added.
    let to_b = call.offer((A, &a), (B, &b), &offer("9 0", "")).unwrap();
    assert_eq!(
        to_b.lines()
            .filter(|l| l.starts_with("m="))
            .collect::<Vec<_>>(),
        ["m=audio 4000 RTP/AVP 0"]
    );
    assert_eq!(call.media.poll_anchored(), None);
    let mut call = Call::new();
    let [to_b, to_a] = exchange(
        &mut call,
        (&a, &b),
        &offer("9", ""),
        &body("198.51.100.8", 6000, "0", ""),
    );
    assert_eq!([&to_b[0], &to_a[0]], ["m= RTP/AVP 0", "m= RTP/AVP 9"]);
    assert_eq!(call.media.poll_anchored(), Some(Anchored::Codec));
    assert_eq!(paths(&call), [TRANSCODED, TRANSCODED]);
}

#[test]
fn of_what_two_have_offered_each_other_whatever_they_share_is_taken() {
    let (a, b) = ends(&Codec::ALL);
    for (one, other, told) in [
        ("9 8", "8 0", ["m= RTP/AVP 8", "m= RTP/AVP 8"]),
        ("8 9", "0 8", ["m= RTP/AVP 8", "m= RTP/AVP 8"]),
        ("9", "0 8", ["m= RTP/AVP 9", "m= RTP/AVP 0"]),
    ] {
        let mut call = Call::new();
        let (one, other) = (offer(one, ""), answer(other, ""));
        call.offer((B, &b), (A, &a), &other).unwrap();
        let to_b = call.media.answer_with(&mut call.ports, A, one.as_bytes());
        call.offer((A, &a), (B, &b), &one).unwrap();
        let to_a = call.media.answer_with(&mut call.ports, B, other.as_bytes());
        let text = |body: Result<bytes::Bytes, _>| {
            let body: bytes::Bytes = body.unwrap();
            streams(std::str::from_utf8(&body).unwrap())[0].clone()
        };
        assert_eq!([text(to_a), text(to_b)], told);
    }
}
