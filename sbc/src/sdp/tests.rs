//! Parsing, views, edits and anchoring, stated in bytes.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;

mod edges;

const PHONE: &str = "v=0\r\n\
    o=alice 18446744073709551615 99999999999999999999 IN IP4 192.168.1.7\r\n\
    s=call from 192.168.1.7\r\n\
    c=IN IP4 192.168.1.7\r\n\
    b=AS:64\r\n\
    t=0 0\r\n\
    a=tool:phone 1.0\r\n\
    a=ice-lite\r\n\
    m=audio 4000 RTP/AVP 18 0 8 101 13\r\n\
    a=rtpmap:18 G729/8000\r\n\
    a=fmtp:18 annexb=no\r\n\
    a=rtpmap:0 PCMU/8000\r\n\
    a=rtpmap:8 PCMA/8000\r\n\
    a=rtpmap:101 telephone-event/8000\r\n\
    a=fmtp:101 0-16\r\n\
    a=ptime:20\r\n\
    a=rtcp:4009 IN IP4 192.168.1.7\r\n\
    a=rtcp-mux\r\n\
    a=candidate:1 1 UDP 2130706431 192.168.1.7 4000 typ host\r\n\
    a=ssrc:1 cname:alice@host\r\n\
    a=X-seen-at:192.168.1.7\r\n\
    a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\n\
    a=sendrecv\r\n\
    m=video 4002 RTP/AVP 99\r\n\
    c=IN IP4 192.168.1.7\r\n\
    a=rtpmap:99 H264/90000\r\n";

fn parse(text: &str) -> Result<Sdp<'_>, SdpError> {
    Sdp::parse(text.as_bytes(), &Limits::default())
}

fn anchored(text: &str, address: &str, plans: &[StreamPlan]) -> String {
    let to = Anchor {
        address: address.parse().unwrap(),
        origin: address.parse().unwrap(),
        session: 7,
        version: 3,
    };
    String::from_utf8(anchor(&parse(text).unwrap(), &to, plans)).unwrap()
}

fn carry(port: u16, formats: &[u8]) -> StreamPlan {
    StreamPlan::Carry {
        port,
        formats: Formats::Types(formats.into()),
        rtcp: RtcpPlan::Next,
        held: false,
    }
}

fn held(port: u16, formats: &[u8]) -> StreamPlan {
    StreamPlan::Carry {
        port,
        formats: Formats::Types(formats.into()),
        rtcp: RtcpPlan::Next,
        held: true,
    }
}

#[test]
fn the_views_say_what_the_lines_say() {
    let sdp = parse(PHONE).unwrap();
    let ip: IpAddr = "192.168.1.7".parse().unwrap();
    let origin = sdp.origin();
    assert_eq!((origin.username, origin.host), ("alice", Host::Ip(ip)));
    assert_eq!(origin.id, "18446744073709551615");
    assert_eq!(origin.version, "99999999999999999999");
    assert_eq!(sdp.connection().unwrap().host, Host::Ip(ip));
    let streams: Vec<_> = sdp.streams().collect();
    assert_eq!(streams.len(), 2);
    let media = streams[0].media();
    assert_eq!((media.kind, media.port, media.ports), ("audio", 4000, 1));
    assert_eq!(
        (media.protocol, media.formats),
        ("RTP/AVP", "18 0 8 101 13")
    );
    assert_eq!(streams[1].connection().unwrap().host, Host::Ip(ip));
    let names: Vec<_> = formats(&streams[0])
        .iter()
        .map(|f| (f.payload_type, f.encoding.unwrap().name))
        .collect();
    let expected = [
        (18, "G729"),
        (0, "PCMU"),
        (8, "PCMA"),
        (101, "telephone-event"),
        (13, "CN"),
    ];
    assert_eq!(names, expected);
    let attributes: Vec<_> = streams[0].attributes().collect();
    assert!(attributes.contains(&Attribute::Ptime(20)));
    assert!(attributes.contains(&Attribute::Direction(Direction::SendRecv)));
    assert!(attributes.contains(&Attribute::Rtcp(Rtcp {
        port: 4009,
        host: Some(Host::Ip(ip)),
    })));
}

#[test]
fn anchoring_leaves_nothing_of_the_writer() {
    let refused = StreamPlan::Refuse {
        kind: "video".into(),
        rest: "RTP/AVP 99".into(),
    };
    let plans = [carry(30_000, &[8, 0, 101, 13]), refused];
    let expected = "v=0\r\n\
        o=- 7 3 IN IP4 10.0.0.1\r\n\
        s=-\r\n\
        c=IN IP4 10.0.0.1\r\n\
        b=AS:64\r\n\
        t=0 0\r\n\
        a=tool:phone 1.0\r\n\
        m=audio 30000 RTP/AVP 8 0 101 13\r\n\
        a=rtpmap:0 PCMU/8000\r\n\
        a=rtpmap:8 PCMA/8000\r\n\
        a=rtpmap:101 telephone-event/8000\r\n\
        a=fmtp:101 0-16\r\n\
        a=ptime:20\r\n\
        a=rtcp:30001\r\n\
        a=ssrc:1 cname:alice@host\r\n\
        a=sendrecv\r\n\
        m=video 0 RTP/AVP 99\r\n\
        c=IN IP4 10.0.0.1\r\n";
    assert_eq!(anchored(PHONE, "10.0.0.1", &plans), expected);
}

#[test]
fn line_ends_stay_as_they_are_and_ipv6_takes_its_place() {
    let text = "v=0\no=a b 1 2 IN IP6 2001:db8::1\ns=-\nt=0 0\n\nm=audio 4000 RTP/AVP 0\nc=IN IP6 2001:db8::1\na=x:[2001:db8::1]:9";
    let expected =
        "v=0\no=- 7 3 IN IP4 10.0.0.1\ns=-\nt=0 0\nm=audio 30000 RTP/AVP 0\nc=IN IP4 10.0.0.1\n";
    assert_eq!(anchored(text, "10.0.0.1", &[carry(30_000, &[0])]), expected);
    let expected =
        "v=0\no=- 7 3 IN IP6 fd00::1\ns=-\nt=0 0\nm=audio 0 RTP/AVP 0\nc=IN IP6 fd00::1\n";
    assert_eq!(anchored(text, "fd00::1", &[]), expected);
}

#[test]
fn a_host_name_of_the_writer_is_hidden_too() {
    let text = "v=0\r\no=- 1 1 IN IP4 pbx.example.org\r\ns=PBX.example.org\r\ni=not pbx.example.organ\r\n\
        u=http://pbx.example.org/\r\nc=IN IP4 media.example.org\r\nt=0 0\r\nm=audio 4 RTP/AVP 0\r\n\
        a=note:media.example.org\r\na=rtpmap:0 PCMU/8000";
    let expected = "v=0\r\no=- 7 3 IN IP4 10.0.0.1\r\ns=-\r\ni=not pbx.example.organ\r\n\
        c=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 30000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000";
    assert_eq!(anchored(text, "10.0.0.1", &[carry(30_000, &[0])]), expected);
    let sdp = parse(text).unwrap();
    let host = sdp.streams().next().unwrap().connection().unwrap().host;
    assert_eq!(host, Host::Name("media.example.org"));
    assert_eq!(host.ip(), None);
}

#[test]
fn hold_by_the_unspecified_address_becomes_a_direction() {
    let body = |session: &str, stream: &str| {
        format!(
            "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\n{session}m=audio 4 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\n{stream}"
        )
    };
    let expected = |session: &str, stream: &str| {
        format!(
            "v=0\r\no=- 7 3 IN IP4 10.0.0.1\r\ns=-\r\n{session}m=audio 30000 RTP/AVP 0\r\nc=IN IP4 10.0.0.1\r\n{stream}"
        )
    };
    let cases = [
        ("", "", "a=sendonly\r\n"),
        ("", "a=sendrecv\r\n", "a=sendonly\r\n"),
        (
            "",
            "a=inactive\r\na=ptime:20\r\n",
            "a=inactive\r\na=ptime:20\r\n",
        ),
        (
            "a=recvonly\r\n",
            "a=ptime:20",
            "a=ptime:20\r\na=inactive\r\n",
        ),
    ];
    for (session, stream, becomes) in cases {
        let anchored = anchored(&body(session, stream), "10.0.0.1", &[held(30_000, &[0])]);
        assert_eq!(anchored, expected(session, becomes));
    }
}

#[test]
fn rtcp_is_where_the_plan_says() {
    let head = "v=0\r\no=- 7 3 IN IP4 10.0.0.1\r\nm=audio 30000 RTP/AVP 0\r\n";
    let own = "a=rtcp:9 IN IP4 192.168.1.7\r\n";
    let mux = "a=rtcp-mux\r\n";
    let next = "a=rtcp:30001\r\n";
    for (rtcp, written, becomes) in [
        (RtcpPlan::Next, "", ""),
        (RtcpPlan::Next, own, next),
        (
            RtcpPlan::Next,
            "a=rtcp-mux\r\na=ptime:20\r\n",
            "a=ptime:20\r\n",
        ),
        (RtcpPlan::Offered, "", mux),
        (
            RtcpPlan::Offered,
            "a=ptime:20",
            "a=ptime:20\r\na=rtcp-mux\r\n",
        ),
        // Said once, where it stands, and nothing of one that could not do otherwise.
        (
            RtcpPlan::Offered,
            "a=rtcp-mux\r\na=rtcp:9 IN IP4 192.168.1.7\r\na=RTCP-MUX\r\na=rtcp-mux-only\r\n",
            "a=rtcp-mux\r\na=rtcp:30001\r\n",
        ),
        (RtcpPlan::Multiplexed, own, mux),
        (RtcpPlan::Multiplexed, mux, mux),
        (RtcpPlan::None, "a=rtcp:9\r\na=rtcp-mux\r\n", ""),
    ] {
        let text = format!("v=0\r\no=- 1 1 IN IP4 192.168.1.7\r\nm=audio 4 RTP/AVP 0\r\n{written}");
        let plan = StreamPlan::Carry {
            port: 30_000,
            formats: Formats::Types([0_u8][..].into()),
            rtcp,
            held: false,
        };
        let expected = format!("{head}{becomes}");
        assert_eq!(anchored(&text, "10.0.0.1", &[plan]), expected, "{rtcp:?}");
    }
}

#[test]
fn a_stream_that_is_not_carried_says_itself_where_it_is_wanted() {
    let text = "v=0\r\no=- 1 1 IN IP4 192.168.1.7\r\ns=-\r\nc=IN IP4 192.168.1.8\r\nt=0 0\r\n\
                m=audio 4000 RTP/AVP 0 8 101\r\ni=voice\r\nc=IN IP4 192.168.1.9\r\nc=IN IP4 192.168.1.10\r\n\
                a=rtpmap:8 PCMA/8000\r\na=fmtp:101 0-15\r\na=rtcp:4005\r\na=rtcp-mux\r\n\
                a=candidate:1 1 UDP 1 192.168.1.9 4000 typ host\r\na=sendonly\r\n";
    let plan = StreamPlan::AsSaid {
        address: "192.168.1.9".parse().unwrap(),
        formats: Formats::Types([101_u8, 0][..].into()),
    };
    let expected = "v=0\r\no=- 9 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n\
                    m=audio 4000 RTP/AVP 101 0\r\ni=voice\r\nc=IN IP4 192.168.1.9\r\n\
                    a=fmtp:101 0-15\r\na=rtcp:4005\r\na=rtcp-mux\r\na=sendonly\r\n";
    let own = anchored(text, "10.0.0.1", &[plan]);
    let version = own.lines().nth(1).unwrap().to_owned();
    assert_eq!(own.replace(&version, "o=- 9 1 IN IP4 10.0.0.1"), expected);
}

#[test]
fn what_is_not_rtp_passes_as_it_is_written() {
    let lines = "a=T38FaxVersion:0\r\na=fmtp:98 x\r\na=T38FaxUdpEC:t38UDPRedundancy\r\n";
    let text = format!(
        "v=0\r\no=- 1 1 IN IP4 192.168.1.7\r\nm=image 4 udptl t38 98\r\nc=IN IP4 192.168.1.7\r\n{lines}a=x:192.168.1.7\r\n"
    );
    let plan = StreamPlan::Carry {
        port: 30_000,
        formats: Formats::AsWritten,
        rtcp: RtcpPlan::None,
        held: false,
    };
    let expected = format!(
        "v=0\r\no=- 7 3 IN IP4 10.0.0.1\r\nm=image 30000 udptl t38 98\r\nc=IN IP4 10.0.0.1\r\n{lines}"
    );
    assert_eq!(anchored(&text, "10.0.0.1", &[plan]), expected);
}

#[test]
fn sources_are_read_and_pass_unless_they_tell_an_address() {
    let read = |line: &'static str| Attribute::parse(line.as_bytes());
    assert_eq!(read("ssrc:4294967295 cname:x"), Attribute::Ssrc(u32::MAX));
    assert_eq!(read("SSRC:0"), Attribute::Ssrc(0));
    assert_eq!(read("ssrc-group:FID 1 2"), Attribute::SsrcGroup);
    for odd in [
        "ssrc",
        "ssrc:",
        "ssrc:-1 x",
        "ssrc:+1 x",
        "ssrc:4294967296 x",
    ] {
        assert_eq!(read(odd), Attribute::Malformed, "{odd}");
    }
    let kept = "a=ssrc-group:FID 1 2\r\na=ssrc:1 cname:u\r\na=ssrc:2 cname:u\r\n";
    let text = format!(
        "v=0\r\no=- 1 1 IN IP4 pbx.example.org\r\nm=audio 4 RTP/AVP 0\r\n{kept}\
         a=ssrc:1 cname:u@192.168.1.7\r\na=ssrc:2 cname:u@pbx.example.org\r\na=ssrc:x cname:u\r\na=msid:s t\r\n"
    );
    let expected = format!("v=0\r\no=- 7 3 IN IP4 10.0.0.1\r\nm=audio 30000 RTP/AVP 0\r\n{kept}");
    assert_eq!(
        anchored(&text, "10.0.0.1", &[carry(30_000, &[0])]),
        expected
    );
}

#[test]
fn what_is_no_session_description_is_refused() {
    let error = |text: &str| parse(text).err();
    let o = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\n";
    assert_eq!(error(""), Some(SdpError::Version));
    assert_eq!(error("v=1\r\n"), Some(SdpError::Version));
    assert_eq!(error("v=0\r\ns=-\r\n"), Some(SdpError::NoOrigin));
    assert_eq!(
        error("v=0\r\nnonsense\r\n"),
        Some(SdpError::Line { line: 2 })
    );
    assert_eq!(error("v=0\r\ns=a\rb\r\n"), Some(SdpError::Line { line: 2 }));
    assert_eq!(error("v=0\r\ns=a\0b\r\n"), Some(SdpError::Line { line: 2 }));
    for (kind, line) in [
        ('o', "o=- 1 IN IP4 10.0.0.1"),
        ('o', "o=- x 1 IN IP4 10.0.0.1"),
        ('c', "c=IN IP4"),
        ('c', "c=IN IP5 10.0.0.1"),
        ('c', "c=IN IP4 10.0.0.1 9"),
        ('m', "m=audio 65536 RTP/AVP 0"),
        ('m', "m=audio +5 RTP/AVP 0"),
        ('m', "m=audio 5 RTP/AVP"),
        ('m', "m=audio"),
    ] {
        let text = if kind == 'o' {
            format!("v=0\r\n{line}\r\n")
        } else {
            format!("{o}{line}\r\n")
        };
        let line = if kind == 'o' { 2 } else { 3 };
        assert_eq!(error(&text), Some(SdpError::Value { line, kind }), "{text}");
    }
    let limits = Limits {
        size: 200,
        lines: 4,
        streams: 1,
    };
    let error = |text: &str| Sdp::parse(text.as_bytes(), &limits).err();
    let long = format!("{o}s={}", "x".repeat(200));
    let size = long.len();
    assert_eq!(error(&long), Some(SdpError::TooLong { size, limit: 200 }));
    assert_eq!(
        error(&format!("{o}s=-\r\n\r\n\r\n")),
        Some(SdpError::TooManyLines { limit: 4 })
    );
    let stream = "m=audio 1 RTP/AVP 0\r\n";
    assert_eq!(
        error(&format!("{o}{stream}{stream}")),
        Some(SdpError::TooManyStreams { limit: 1 })
    );
}

#[test]
fn a_second_version_does_not_show_where_its_writer_is() {
    let text = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\nv=192.0.2.1\r\ns=-\r\nv=0\r\n";
    assert_eq!(
        anchored(text, "203.0.113.77", &[]),
        "v=0\r\no=- 7 3 IN IP4 203.0.113.77\r\ns=-\r\nv=0\r\n"
    );
}

#[test]
fn addresses_are_found_wherever_they_stand() {
    let shows = [
        "10.0.0.1",
        "x10.0.0.1y",
        "a 1.2.3.4.5",
        "udp:10.0.0.1:9",
        "[2001:db8::1]",
        "::1",
        "fe80::1%eth0",
        "cafe:2001:db8:1:2:3:4:5:6",
        "::ffff:10.0.0.1",
    ];
    for text in shows {
        assert!(holds_address(text.as_bytes()), "{text}");
    }
    let plain = [
        "",
        "-",
        "1.0.256.3",
        "1.2.3",
        "12:30:00",
        "urn:ietf:params",
        "PCMU/8000",
        "::",
        "00:11:22:33:44:55",
    ];
    for text in plain {
        assert!(!holds_address(text.as_bytes()), "{text}");
    }
}

/// Lines that look like SDP, so that more than the first check is reached.
fn body() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        "[a-z]=[ -~]{0,40}",
        "c=IN IP[46] [0-9a-f.:]{1,20}",
        "m=(audio|video|image) [0-9]{1,5}(/[0-9])? (RTP/AVP|RTP/SAVP|udptl) [0-9 ]{1,12}",
        "a=(rtpmap|fmtp|rtcp|ptime|ssrc|candidate|group|rtcp-fb):[0-9]{0,3} ?[ -~]{0,30}",
        "a=(sendrecv|inactive|rtcp-mux)",
        "",
    ];
    (prop::collection::vec((line, "\r?\n"), 0..20), any::<bool>()).prop_map(|(lines, headed)| {
        let head = if headed {
            "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n"
        } else {
            ""
        };
        let lines = lines.into_iter().map(|(line, end)| line + &end);
        head.to_owned() + &lines.collect::<String>()
    })
}

proptest! {
    #[test]
    fn any_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Sdp::parse(&bytes, &Limits::default());
        let _ = (Attribute::parse(&bytes), holds_address(&bytes));
    }

    #[test]
    fn what_nobody_edits_stays(text in body()) {
        if let Ok(sdp) = parse(&text) {
            prop_assert_eq!(Editor::new(&sdp).finish(), text.as_bytes());
        }
    }

    #[test]
    fn what_is_anchored_is_well_formed_and_shows_no_address_but_ours(text in body(), port in 1_u16..65_535, way in 0..4_usize) {
        if let Ok(sdp) = parse(&text) {
            let plans: Vec<_> = sdp.streams().map(|s| carry(port, &formats(&s).iter().map(|f| f.payload_type).collect::<Vec<_>>()))
                .enumerate().map(|(n, plan)| if n % 2 == 0 { plan } else { StreamPlan::Refuse { kind: "audio".into(), rest: "RTP/AVP 0".into() } }).collect();
            let rtcp_plan = [RtcpPlan::None, RtcpPlan::Next, RtcpPlan::Offered, RtcpPlan::Multiplexed][way];
            let plans: Vec<_> = plans.into_iter().map(|plan| match plan {
                StreamPlan::Carry { port, formats, .. } => StreamPlan::Carry { port, formats, rtcp: rtcp_plan, held: way == 2 },
                refused => refused,
            }).collect();
            // A stream of no payload type could not be carried.
            prop_assume!(plans.iter().all(|p| !matches!(p, StreamPlan::Carry { formats: Formats::Types(types), .. } if types.is_empty())));
            let out = anchored(&text, "203.0.113.77", &plans);
            let again = parse(&out);
            prop_assert!(again.is_ok(), "{:?}\n{}", again, out);
            prop_assert_eq!(again.unwrap().streams().len(), plans.len());
            let rest = out.replace("203.0.113.77", "");
            for line in rest.lines() {
                prop_assert!(!holds_address(line.as_bytes()), "{}", line);
            }
            let says_mux = matches!(rtcp_plan, RtcpPlan::Offered | RtcpPlan::Multiplexed);
            for (stream, plan) in parse(&out).unwrap().streams().zip(&plans) {
                let is_carried = matches!(plan, StreamPlan::Carry { .. });
                let said = stream.attributes().filter(|a| *a == Attribute::RtcpMux).count();
                prop_assert_eq!(said, usize::from(says_mux && is_carried));
            }
        }
    }
}

#[test]
fn payload_types_that_need_no_rtpmap() {
    // RFC 3551, table 4.
    for (number, name, clock, channels) in [
        (0, "PCMU", 8_000, 1),
        (3, "GSM", 8_000, 1),
        (8, "PCMA", 8_000, 1),
        (9, "G722", 8_000, 1),
        (10, "L16", 44_100, 2),
        (13, "CN", 8_000, 1),
        (15, "G728", 8_000, 1),
        (18, "G729", 8_000, 1),
    ] {
        let known = Encoding::of_static(number).unwrap();
        assert_eq!(known.name, name);
        assert_eq!((known.clock, known.channels), (clock, channels), "{name}");
    }
    for number in [1, 2, 19, 35, 96, 127] {
        assert_eq!(Encoding::of_static(number), None, "{number}");
    }
}
