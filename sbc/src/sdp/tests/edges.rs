//! What one change to the code around them would let pass.

use super::*;

#[test]
fn a_body_may_be_as_long_as_the_limit() {
    let size = PHONE.len();
    for (limit, fits) in [(size - 1, false), (size, true)] {
        let limits = Limits {
            size: limit,
            ..Limits::default()
        };
        assert_eq!(Sdp::parse(PHONE.as_bytes(), &limits).is_ok(), fits);
    }
}

#[test]
fn the_first_line_is_the_version() {
    for first in ["v=1", "v=", "s=0", "o=0"] {
        let text = PHONE.replacen("v=0", first, 1);
        assert_eq!(parse(&text).unwrap_err(), SdpError::Version, "{first}");
    }
}

#[test]
fn where_rtcp_is_has_a_family_that_is_known() {
    for (value, is_read) in [
        ("4009", true),
        ("4009 IN IP4 192.168.1.7", true),
        ("4009 IN IP9 192.168.1.7", false),
        ("4009 IN IP4", false),
        ("0", false),
    ] {
        let rtcp = matches!(
            Attribute::parse(&format!("rtcp:{value}").into_bytes()),
            Attribute::Rtcp(_)
        );
        assert_eq!(rtcp, is_read, "{value}");
    }
}

#[test]
fn an_encoding_is_its_name_its_clock_and_its_channels() {
    let encoding = |name, clock, channels| Encoding {
        name,
        clock,
        channels,
    };
    let opus = encoding("opus", 48_000, 2);
    assert_eq!(opus, encoding("OPUS", 48_000, 2));
    for other in [
        encoding("opusx", 48_000, 2),
        encoding("opus", 16_000, 2),
        encoding("opus", 48_000, 1),
    ] {
        assert_ne!(opus, other);
    }
}

#[test]
fn of_several_session_connections_one_is_left() {
    let text = "v=0\no=a b 1 2 IN IP4 192.168.1.7\ns=-\nc=IN IP4 192.168.1.7\nc=IN IP4 192.168.1.8\nt=0 0\nm=audio 4000 RTP/AVP 0\n";
    let expected =
        "v=0\no=- 7 3 IN IP4 10.0.0.1\ns=-\nc=IN IP4 10.0.0.1\nt=0 0\nm=audio 30000 RTP/AVP 0\n";
    assert_eq!(anchored(text, "10.0.0.1", &[carry(30_000, &[0])]), expected);
}

#[test]
fn formats_that_are_not_the_writers_are_said_in_place_of_his() {
    let lines = "a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 opus/48000/2\r\na=fmtp:8 x\r\na=rtcp-fb:8 nack\r\na=rtpmap:101 telephone-event/8000\r\n\
                 a=ptime:20\r\na=maxptime:150\r\na=ssrc:1 cname:u\r\na=ssrc-group:FID 1 2\r\na=sendonly\r\n";
    let text = format!("v=0\r\no=- 1 1 IN IP4 192.168.1.7\r\nm=audio 4 RTP/AVP 0 8 101\r\n{lines}");
    let with = |own: &[u8], keeps_packet_time| {
        let mixed = Mixed {
            types: [9_u8, 8, 101][..].into(),
            own: own.into(),
            keeps_packet_time,
            attributes: vec!["rtpmap:9 G722/8000".to_owned(), "x\r\nm=y".to_owned()],
        };
        let plan = StreamPlan::Carry {
            port: 30_000,
            formats: Formats::Mixed(Box::new(mixed)),
            rtcp: RtcpPlan::Multiplexed,
            held: false,
        };
        let body = anchored(&text, "10.0.0.1", &[plan]);
        let (_, lines) = body
            .split_once("m=audio 30000 RTP/AVP 9 8 101\r\n")
            .unwrap();
        lines.to_owned()
    };
    // What would break a line does not.
    let added = "a=rtcp-mux\r\na=rtpmap:9 G722/8000\r\na=xm=y\r\n";
    assert_eq!(with(&[], false), format!("a=sendonly\r\n{added}"));
    assert_eq!(
        with(&[101], true),
        format!(
            "a=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\na=maxptime:150\r\na=sendonly\r\n{added}"
        )
    );
    let read = |line: &'static str| Attribute::parse(line.as_bytes());
    assert_eq!(read("maxptime:150"), Attribute::MaxPtime(150));
    assert_eq!(read("maxptime:x"), Attribute::Other);
}
