//! Several streams, and streams that are not audio.

use std::sync::Arc;

use super::support::*;
use crate::config::Codec;
use crate::media::{FlowCommand, FlowKind, FlowPair, PairId, Path, must_relearn};

const H264: &str = "a=rtpmap:99 H264/90000\r\na=fmtp:99 profile-level-id=42e01f\r\na=rtpmap:100 rtx/90000\r\na=fmtp:100 apt=99\r\n";

fn ends() -> (crate::media::End, crate::media::End) {
    (phone("198.51.100.9"), carrier("10.71.2.2"))
}

fn with_video(address: &str, audio: u16, video: u16, more: &str) -> String {
    let stream = format!("m=video {video} RTP/AVP 99 100\r\n{H264}{more}");
    body(address, audio, "0", &stream)
}

/// The lines from the first m= on.
fn streams(body: &str) -> Vec<&str> {
    let all = body.split("\r\n").filter(|line| !line.is_empty());
    all.skip_while(|line| !line.starts_with("m=")).collect()
}

/// The port of the m= line of that kind.
fn port(body: &str, kind: &str) -> u16 {
    let start = format!("m={kind} ");
    let line = body.lines().find_map(|line| line.strip_prefix(&start));
    line.unwrap().split(' ').next().unwrap().parse().unwrap()
}

fn installed(call: &mut Call) -> Vec<FlowPair> {
    let pair = |command| match command {
        FlowCommand::Install(pair) => Arc::unwrap_or_clone(pair),
        other => panic!("{other:?}"),
    };
    call.commands().into_iter().map(pair).collect()
}

fn ids(commands: &[FlowCommand]) -> Vec<(char, u64)> {
    commands
        .iter()
        .map(|command| match command {
            FlowCommand::Install(pair) => ('i', pair.id.0),
            FlowCommand::Update(pair) => ('u', pair.id.0),
            FlowCommand::Read(id) => ('?', id.0),
            FlowCommand::Key(id, ..) => ('k', id.0),
            FlowCommand::Remove(id) => ('r', id.0),
        })
        .collect()
}

#[test]
fn video_has_ports_and_pairs_of_its_own_and_passes_as_it_is() {
    let mut call = Call::new();
    let (a, b) = ends();
    let offer = with_video("198.51.100.9", 4000, 4002, "a=rtcp:4444\r\n");
    let to_b = call.offer((A, &a), (B, &b), &offer).unwrap();
    let (audio_b, video_b) = (port(&to_b, "audio"), port(&to_b, "video"));
    let expected = format!(
        "m=audio {audio_b} RTP/AVP 0\r\nm=video {video_b} RTP/AVP 99 100\r\n{H264}a=rtcp:{}\r\n",
        video_b + 1
    );
    assert!(to_b.ends_with(&expected), "{to_b}");
    assert_eq!(call.free_after(0), [196, 96]);
    let answer = with_video("10.71.2.2", 6000, 6002, "");
    let to_a = call.answer(B, &answer).unwrap();
    let (audio_a, video_a) = (port(&to_a, "audio"), port(&to_a, "video"));
    let pairs = installed(&mut call);
    let places: Vec<_> = pairs
        .iter()
        .map(|p| (p.id.0, p.kind, p.sides.each_ref().map(|s| s.local.port())))
        .collect();
    assert_eq!(
        places,
        [
            (1, FlowKind::Rtp, [audio_a, audio_b]),
            (2, FlowKind::Rtcp, [audio_a + 1, audio_b + 1]),
            (3, FlowKind::Rtp, [video_a, video_b]),
            (4, FlowKind::Rtcp, [video_a + 1, video_b + 1]),
        ]
    );
    let rtp = &pairs[2].sides[0];
    assert_eq!(rtp.named, Some(at("198.51.100.9:4002")));
    // What is sent again has a clock of its own; comfort noise is not for video.
    assert_eq!(
        (rtp.payload_types, rtp.timed, rtp.clock_rate),
        (1 << 99 | 1 << 100, 1 << 99, 90_000)
    );
    assert_eq!(pairs[3].sides[0].named, Some(at("198.51.100.9:4444")));
    call.end();
    assert_eq!(call.free_after(30), [200, 100]);
}

#[test]
fn video_that_one_side_refuses_has_no_flow_and_may_come_later() {
    let mut call = Call::new();
    let (a, b) = ends();
    let offer = with_video("198.51.100.9", 4000, 4002, "");
    call.offer((A, &a), (B, &b), &offer).unwrap();
    let without = body("10.71.2.2", 6000, "0", "m=video 0 RTP/AVP 99\r\n");
    let to_a = call.answer(B, &without).unwrap();
    assert!(to_a.ends_with("m=video 0 RTP/AVP 99 100\r\n"), "{to_a}");
    assert_eq!(ids(&call.commands()), [('i', 1), ('i', 2)]);
    // The carrier turns it on, the phone off.
    let with = with_video("10.71.2.2", 6000, 6002, "");
    call.offer((B, &b), (A, &a), &with).unwrap();
    call.answer(A, &offer).unwrap();
    assert_eq!(ids(&call.commands()), [('i', 3), ('i', 4)]);
    let off = body("198.51.100.9", 4000, "0", "m=video 0 RTP/AVP 99\r\n");
    let to_b = call.offer((A, &a), (B, &b), &off).unwrap();
    assert!(to_b.ends_with("m=video 0 RTP/AVP 99\r\n"), "{to_b}");
    call.answer(B, &without).unwrap();
    assert_eq!(ids(&call.commands()), [('r', 3), ('r', 4)]);
}

#[test]
fn an_answer_may_number_video_its_own_way_and_has_only_what_was_offered() {
    let mut call = Call::new();
    let (a, b) = ends();
    let offer = with_video("198.51.100.9", 4000, 4002, "");
    call.offer((A, &a), (B, &b), &offer).unwrap();
    let answer = body(
        "10.71.2.2",
        6000,
        "0",
        "m=video 6002 RTP/AVP 97 98\r\na=rtpmap:97 h264/90000\r\na=rtpmap:98 VP8/90000\r\n",
    );
    let to_a = call.answer(B, &answer).unwrap();
    let expected = format!(
        "m=video {} RTP/AVP 97\r\na=rtpmap:97 h264/90000\r\n",
        port(&to_a, "video")
    );
    assert!(to_a.ends_with(&expected), "{to_a}");
    let types = installed(&mut call)[2]
        .sides
        .each_ref()
        .map(|side| side.payload_types);
    assert_eq!(types, [1 << 97, 1 << 99]);
}

#[test]
fn avpf_is_offered_on_as_it_came() {
    let mut call = Call::new();
    let (a, b) = ends();
    let feedback = "a=rtcp-fb:* trr-int 100\r\na=rtcp-fb:0 nack\r\na=rtcp-fb:9 nack\r\n";
    let offer = body("198.51.100.9", 4000, "9 0", feedback).replace("RTP/AVP", "RTP/AVPF");
    let to_b = call.offer((A, &a), (B, &b), &offer).unwrap();
    let expected = format!(
        "m=audio {} RTP/AVPF 0\r\na=rtcp-fb:* trr-int 100\r\na=rtcp-fb:0 nack\r\n",
        port(&to_b, "audio")
    );
    assert!(to_b.ends_with(&expected), "{to_b}");
    // Another profile is no answer to it.
    assert!(call.answer(B, &body("10.71.2.2", 6000, "0", "")).is_err());
    let answer = body("10.71.2.2", 6000, "0", "").replace("RTP/AVP", "RTP/AVPF");
    let to_a = call.answer(B, &answer).unwrap();
    assert_eq!(
        streams(&to_a),
        [format!("m=audio {} RTP/AVPF 0", port(&to_a, "audio"))]
    );
    assert_eq!(installed(&mut call).len(), 2);
}

const FAX: &str = "a=T38FaxVersion:0\r\na=T38MaxBitRate:14400\r\na=T38FaxRateManagement:transferredTCF\r\n\
    a=T38FaxUdpEC:t38UDPRedundancy\r\n";

fn fax(address: &str, port: u16) -> String {
    body(address, 1, "0", FAX).replace("m=audio 1 RTP/AVP 0", &format!("m=image {port} udptl t38"))
}

#[test]
fn a_call_becomes_a_fax_and_a_call_again_on_the_same_ports() {
    let mut call = Call::new();
    let (a, b) = ends();
    let (voice_a, voice_b) = (
        body("198.51.100.9", 4000, "0", ""),
        body("10.71.2.2", 6000, "0", ""),
    );
    let to_b = call.offer((A, &a), (B, &b), &voice_a).unwrap();
    let to_a = call.answer(B, &voice_b).unwrap();
    let (pa, pb) = (port(&to_a, "audio"), port(&to_b, "audio"));
    assert_eq!(ids(&call.commands()), [('i', 1), ('i', 2)]);

    // The called gateway hears a fax.
    let to_a = call
        .offer((B, &b), (A, &a), &fax("10.71.2.2", 6000))
        .unwrap();
    assert!(
        to_a.ends_with(&format!("m=image {pa} udptl t38\r\n{FAX}")),
        "{to_a}"
    );
    assert_eq!(call.commands(), []);
    let to_b = call.answer(A, &fax("198.51.100.9", 4004)).unwrap();
    assert!(
        to_b.ends_with(&format!("m=image {pb} udptl t38\r\n{FAX}")),
        "{to_b}"
    );
    let plain = |mut side: crate::media::Side| {
        (side.timed, side.clock_rate) = (0, 0);
        side
    };
    let sides = [
        plain(side(
            OUTSIDE,
            &format!("10.71.1.1:{pa}"),
            "198.51.100.9:4004",
            &[],
            0,
        )),
        plain(side(
            INSIDE,
            &format!("10.71.2.1:{pb}"),
            "10.71.2.2:6000",
            &[],
            0,
        )),
    ];
    assert_eq!(
        call.commands(),
        [
            FlowCommand::Remove(PairId(1)),
            FlowCommand::Remove(PairId(2)),
            FlowCommand::Install(pair(3, FlowKind::Opaque, sides, Path::Kernel)),
        ]
    );

    let to_b = call.offer((A, &a), (B, &b), &voice_a).unwrap();
    let to_a = call.answer(B, &voice_b).unwrap();
    assert_eq!((port(&to_a, "audio"), port(&to_b, "audio")), (pa, pb));
    assert_eq!(ids(&call.commands()), [('r', 3), ('i', 4), ('i', 5)]);
    call.end();
    assert_eq!(call.free_after(30), [200, 100]);
}

#[test]
fn a_fax_may_be_a_stream_beside_the_voice_that_is_off() {
    let mut call = Call::new();
    let (a, b) = ends();
    let voice = body("198.51.100.9", 4000, "0", "");
    call.offer((A, &a), (B, &b), &voice).unwrap();
    call.answer(B, &body("10.71.2.2", 6000, "0", "")).unwrap();
    call.commands();
    let both = |address: &str, port: u16| {
        body(
            address,
            0,
            "0",
            &format!("m=image {port} UDPTL t38\r\n{FAX}"),
        )
    };
    let to_b = call
        .offer((A, &a), (B, &b), &both("198.51.100.9", 4004))
        .unwrap();
    assert!(to_b.contains("m=audio 0 RTP/AVP 0\r\nm=image 30"), "{to_b}");
    call.answer(B, &both("10.71.2.2", 6004)).unwrap();
    assert_eq!(ids(&call.commands()), [('r', 1), ('r', 2), ('i', 3)]);
    assert_eq!(call.media.pairs().next().unwrap().kind, FlowKind::Opaque);
}

#[test]
fn a_fax_that_the_other_side_refuses_leaves_the_voice_as_it_was() {
    let mut call = Call::new();
    let (a, b) = ends();
    call.offer((A, &a), (B, &b), &body("198.51.100.9", 4000, "0", ""))
        .unwrap();
    call.answer(B, &body("10.71.2.2", 6000, "0", "")).unwrap();
    call.commands();
    call.offer((B, &b), (A, &a), &fax("10.71.2.2", 6000))
        .unwrap();
    // 488: nothing more is said of it, and the gateway goes on with voice.
    call.offer((B, &b), (A, &a), &body("10.71.2.2", 6000, "0", ""))
        .unwrap();
    call.answer(A, &body("198.51.100.9", 4000, "0", ""))
        .unwrap();
    assert_eq!(call.commands(), []);
}

#[test]
fn what_goes_over_tcp_is_refused_and_the_rest_goes_on() {
    let mut call = Call::new();
    let (a, b) = ends();
    let more = "m=application 5000 TCP/TLS/BFCP *\r\na=floorctrl:c-s\r\nm=message 7000 TCP/MSRP *\r\na=path:msrp://x\r\n";
    let to_b = call
        .offer((A, &a), (B, &b), &body("198.51.100.9", 4000, "0", more))
        .unwrap();
    assert_eq!(
        streams(&to_b)[1..],
        ["m=application 0 TCP/TLS/BFCP *", "m=message 0 TCP/MSRP *"]
    );
    let off = "m=application 0 TCP/TLS/BFCP *\r\nm=message 0 TCP/MSRP *\r\n";
    let to_a = call.answer(B, &body("10.71.2.2", 6000, "0", off)).unwrap();
    assert_eq!(streams(&to_a)[1..], streams(&to_b)[1..]);
    assert_eq!(installed(&mut call).len(), 2);
}

#[test]
fn a_side_is_held_to_the_sources_that_it_names() {
    let mut call = Call::new();
    let (a, b) = ends();
    let lines = |ssrcs: &[u32]| -> String {
        let two = |ssrc| format!("a=ssrc:{ssrc} cname:x\r\na=ssrc:{ssrc} mslabel:y\r\n");
        ssrcs.iter().map(two).collect()
    };
    let offer = |ssrcs: &[u32]| body("198.51.100.9", 4000, "0", &lines(ssrcs));
    let answer = body("10.71.2.2", 6000, "0", "");
    let to_b = call
        .offer((A, &a), (B, &b), &offer(&[1, u32::MAX]))
        .unwrap();
    assert!(to_b.ends_with(&lines(&[1, u32::MAX])), "{to_b}");
    call.answer(B, &answer).unwrap();
    let pairs = installed(&mut call);
    assert_eq!(pairs[0].sides[0].ssrcs[..], [1, u32::MAX]);
    assert!(pairs[0].sides[1].ssrcs.is_empty());
    // Of who sends RTCP nothing is said.
    assert!(pairs[1].sides.iter().all(|side| side.ssrcs.is_empty()));
    for (ssrcs, expected) in [
        (&[1, 2, 3, 4][..], &[1, 2, 3, 4][..]),
        (&[1, 2, 3, 4, 5], &[]),
        (&[1, 2, 3, 4, 5, 6], &[]),
    ] {
        let before = call.media.pairs().next().unwrap().sides[0].clone();
        call.offer((A, &a), (B, &b), &offer(ssrcs)).unwrap();
        call.answer(B, &answer).unwrap();
        let after = &call.media.pairs().next().unwrap().sides[0];
        assert_eq!(after.ssrcs[..], *expected);
        assert_eq!(must_relearn(&before, after), before.ssrcs != after.ssrcs);
    }
    // Of one SSRC that cannot be read nothing passes.
    let odd = body("198.51.100.9", 4000, "0", "a=ssrc:4294967296 cname:x\r\n");
    let to_b = call.offer((A, &a), (B, &b), &odd).unwrap();
    assert!(!to_b.contains("ssrc"), "{to_b}");
}

#[test]
fn jitter_is_measured_on_codecs_and_on_nothing_else() {
    let mut call = Call::new();
    let (a, mut b) = ends();
    b.codecs = Codec::ALL.to_vec();
    let more = "a=rtpmap:101 telephone-event/8000\r\na=rtpmap:97 CN/8000\r\n";
    let offer = body("198.51.100.9", 4000, "9 0 101 97", more);
    call.offer((A, &a), (B, &b), &offer).unwrap();
    call.answer(B, &body("10.71.2.2", 6000, "9 0 101 97", more))
        .unwrap();
    let side = installed(&mut call).remove(0).sides[0].clone();
    let types = 1 | 1 << 9 | 1 << 13 | 1 << 97 | 1 << 101;
    assert_eq!(
        (side.payload_types, side.timed, side.clock_rate),
        (types, 1 | 1 << 9, 8_000)
    );
}
