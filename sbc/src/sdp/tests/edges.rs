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
