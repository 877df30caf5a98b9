//! Into transcoding and out of it: in a call, among several who ring, and where media could have gone otherwise.

use super::support::*;
use super::transcoding::*;
use crate::config::Codec;
use crate::media::{Anchored, Direct, End, FlowCommand, FlowKind, FlowPair, PairId, Path, Voice};

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
        let [x, y] = expected.map(|(codec, number)| Some(Voice::plain(codec, number)));
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
    let [one, other] = [Voice::plain(Codec::G722, 9), Voice::plain(Codec::Pcmu, 0)];
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
