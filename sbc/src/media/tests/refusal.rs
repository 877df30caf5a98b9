//! What is refused, with which code, and what of it is kept.

use super::support::*;
use crate::config::Codec;
use crate::media::{Exhausted, Misfit, Refused, Unsupported};
use crate::sdp::SdpError;

fn offer(sdp: &str) -> Result<String, Refused> {
    let mut call = Call::new();
    let (a, b) = (phone("198.51.100.9"), carrier("10.71.2.2"));
    let result = call.offer((A, &a), (B, &b), sdp);
    if result.is_err() {
        assert_eq!(
            call.free_after(0),
            [200, 100],
            "nothing is held for a refused offer"
        );
    }
    result
}

fn stream(line: &str) -> String {
    body("198.51.100.9", 4, "0", "").replace("m=audio 4 RTP/AVP 0", line)
}

#[test]
fn an_offer_of_which_nothing_remains() {
    let cases = [
        (stream("m=192.0.2.1 4 RTP/AVP 0"), Unsupported::Kind),
        (stream("m=audio 4 RTP/SAVP 0"), Unsupported::Secure),
        (stream("m=audio 4 RTP/SAVPF 0"), Unsupported::Secure),
        (stream("m=audio 4 UDP/TLS/RTP/SAVPF 0"), Unsupported::Secure),
        (stream("m=audio 4 TCP/RTP/AVP 0"), Unsupported::Protocol),
        (stream("m=image 4 TCP t38"), Unsupported::Protocol),
        (stream("m=image 4 udptl 192.0.2.1"), Unsupported::Protocol),
        (stream("m=video 4 RTP/AVP x"), Unsupported::Codec),
        (stream("m=audio 4/2 RTP/AVP 0"), Unsupported::PortCount),
        (stream("m=audio 4 RTP/AVP 18 101"), Unsupported::Codec),
        // The carrier has no G.722.
        (stream("m=audio 4 RTP/AVP 9"), Unsupported::Codec),
        (body("sip.example.org", 4, "0", ""), Unsupported::HostName),
        (body("239.1.2.3/127", 4, "0", ""), Unsupported::Multicast),
        (body("255.255.255.255", 4, "0", ""), Unsupported::Multicast),
        (
            body("2001:db8::1", 4, "0", "").replace("IP4", "IP6"),
            Unsupported::Family,
        ),
        (
            body("198.51.100.9", 4, "0", "").replace("c=IN IP4 198.51.100.9\r\n", ""),
            Unsupported::NoAddress,
        ),
    ];
    for (sdp, why) in cases {
        let refused = offer(&sdp).unwrap_err();
        assert_eq!(refused, Refused::NoStream(why), "{sdp}");
        assert_eq!(refused.code(), 488);
    }
    let refused = offer("hello").unwrap_err();
    assert_eq!(refused, Refused::Malformed(SdpError::Line { line: 1 }));
    assert_eq!((refused.code(), refused.label()), (400, "sdp-line"));
}

#[test]
fn what_is_not_carried_keeps_its_place_with_port_0() {
    let mut call = Call::new();
    let (a, b) = (phone("198.51.100.9"), carrier("10.71.2.2"));
    let slides = "m=application 9 TCP/BFCP *\r\na=setup:active\r\n";
    let locked = "m=video 11 RTP/SAVP 99\r\na=rtpmap:99 H264/90000\r\n";
    let offer = body(
        "198.51.100.9",
        4,
        "0",
        &format!("{slides}m=audio 8 RTP/AVP 8\r\n{locked}"),
    );
    let lines = |body: &str| -> Vec<String> {
        let streams = body
            .split("\r\n")
            .filter(|l| l.starts_with("m=") || l.starts_with("a="));
        streams.map(str::to_owned).collect()
    };
    let to_b = lines(&call.offer((A, &a), (B, &b), &offer).unwrap());
    assert!(to_b[0].starts_with("m=audio 30") && to_b[0].ends_with(" RTP/AVP 0"));
    assert!(to_b[2].starts_with("m=audio 30") && to_b[2].ends_with(" RTP/AVP 8"));
    assert_eq!(
        [&to_b[1], &to_b[3]],
        ["m=application 0 TCP/BFCP *", "m=video 0 RTP/SAVP 99"]
    );
    assert_eq!(to_b.len(), 4);
    // Two streams a leg; an answer that takes the second alone, and the one that it was not offered.
    assert_eq!(call.free_after(0), [196, 96]);
    let answer = body(
        "10.71.2.2",
        0,
        "0",
        "m=application 66 TCP/BFCP *\r\nm=audio 88 RTP/AVP 8\r\nm=video 0 RTP/SAVP 99\r\n",
    );
    let to_a = lines(&call.answer(B, &answer).unwrap());
    assert_eq!(
        to_a[..2],
        ["m=audio 0 RTP/AVP 0", "m=application 0 TCP/BFCP *"]
    );
    assert!(to_a[2].starts_with("m=audio 20") && to_a[2].ends_with(" RTP/AVP 8"));
    assert_eq!(to_a[3..], ["m=video 0 RTP/SAVP 99"]);
    assert_eq!(call.commands().len(), 2);
}

#[test]
fn an_answer_that_does_not_fit_changes_nothing() {
    let mut call = Call::new();
    let (a, b) = (phone("198.51.100.9"), carrier("10.71.2.2"));
    let good = body("10.71.2.2", 6, "0", "");
    assert_eq!(call.answer(B, &good), Err(Refused::NoOffer));
    call.offer((A, &a), (B, &b), &body("198.51.100.9", 4, "0 9", ""))
        .unwrap();
    assert_eq!(call.answer(A, &good), Err(Refused::NoOffer));
    let cases = [
        (
            body("10.71.2.2", 6, "0", "m=audio 8 RTP/AVP 0\r\n"),
            Misfit::Count,
        ),
        (good.replace("audio", "video"), Misfit::Kind),
        (good.replace("RTP/AVP", "RTP/SAVP"), Misfit::Kind),
        // 8 was not offered, 9 was offered to us and not by us.
        (body("10.71.2.2", 6, "8 9", ""), Misfit::Codec),
        (
            body("host.example", 6, "0", ""),
            Misfit::Stream(Unsupported::HostName),
        ),
    ];
    for (sdp, why) in cases {
        let refused = call.answer(B, &sdp).unwrap_err();
        assert_eq!(
            (refused.code(), &refused),
            (488, &Refused::Answer(why)),
            "{sdp}"
        );
        assert_eq!(call.commands(), []);
    }
    call.answer(B, &good).unwrap();
    assert_eq!(call.commands().len(), 2);
}

#[test]
fn without_ports_a_call_gets_503_and_holds_none() {
    let mut call = Call::new();
    let (a, b) = (phone("198.51.100.9"), carrier("10.71.2.2"));
    let held: Vec<_> = (0..50)
        .map(|_| call.ports.take(call.now, INSIDE, ip("10.71.2.1")).unwrap())
        .collect();
    let sdp = body("198.51.100.9", 4, "0", "");
    let refused = call.offer((A, &a), (B, &b), &sdp).unwrap_err();
    let address = ip("10.71.2.1");
    assert_eq!(refused, Refused::Ports(Exhausted { address }));
    assert_eq!((refused.code(), call.free_after(0)), (503, [200, 0]));
    for pair in held {
        call.ports.give_back(call.now, pair);
    }
    assert!(call.offer((A, &a), (B, &b), &sdp).is_err());
    call.now += crate::media::REST;
    assert!(call.offer((A, &a), (B, &b), &sdp).is_ok());
}

#[test]
fn the_callee_gets_codecs_in_our_order_for_it() {
    let mut call = Call::new();
    let (mut a, mut b) = (phone("198.51.100.9"), carrier("10.71.2.2"));
    b.codecs = vec![Codec::G722, Codec::Pcma, Codec::Pcmu];
    a.codecs = vec![Codec::Pcmu, Codec::G722];
    let more = "a=rtpmap:96 telephone-event/48000\r\na=rtpmap:97 telephone-event/8000\r\na=rtpmap:98 opus/48000/2\r\n";
    let sdp = body("198.51.100.9", 4, "98 96 13 0 8 97 9", more);
    let to_b = call.offer((A, &a), (B, &b), &sdp).unwrap();
    assert!(
        to_b.ends_with("RTP/AVP 9 0 13 97\r\na=rtpmap:97 telephone-event/8000\r\n"),
        "{to_b}"
    );
}

#[test]
fn a_peer_cannot_have_media_sent_to_ourselves() {
    let mut call = Call::new();
    let (a, b) = (phone("198.51.100.9"), carrier("10.71.2.2"));
    let to_b = call
        .offer((A, &a), (B, &b), &body("198.51.100.9", 4, "0", ""))
        .unwrap();
    let (port, ..) = named(&to_b);
    let ours = Refused::Answer(Misfit::Stream(Unsupported::Ours));
    let by_rtcp = format!("a=rtcp:{} IN IP4 10.71.2.1\r\n", port + 1);
    for answer in [
        body("10.71.2.1", port, "0", ""),
        body("10.71.2.2", 6, "0", &by_rtcp),
    ] {
        assert_eq!(call.answer(B, &answer), Err(ours.clone()));
    }
    // A port of that address that no call has is a neighbour's, on this host.
    let free = if port == 30_000 { 30_002 } else { 30_000 };
    assert!(call.answer(B, &body("10.71.2.1", free, "0", "")).is_ok());
}
