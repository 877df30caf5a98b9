//! URIs, addresses, Vias, lists.

use super::super::{NameAddr, Uri, ValueError, Via, split_list};

#[test]
fn uris() {
    let uri =
        Uri::parse("sips:alice:secret@Example.COM:5061;transport=TCP;lr?Subject=x&p=y").unwrap();
    assert_eq!(uri.scheme(), "sips");
    assert!(uri.is_sip());
    assert_eq!(uri.user(), Some("alice"));
    assert_eq!(uri.host(), "Example.COM");
    assert_eq!(uri.host_ip(), None);
    assert_eq!(uri.port(), Some(5061));
    assert_eq!(uri.param("TRANSPORT"), Some(Some("TCP")));
    assert_eq!(uri.param("lr"), Some(None));
    assert_eq!(uri.param("maddr"), None);
    assert_eq!(uri.headers(), Some("Subject=x&p=y"));
    assert_eq!(uri.to_string(), uri.as_str());

    let uri = Uri::parse("sip:192.0.2.1").unwrap();
    assert_eq!(
        (uri.user(), uri.host(), uri.port()),
        (None, "192.0.2.1", None)
    );
    assert_eq!(uri.host_ip(), Some("192.0.2.1".parse().unwrap()));

    let uri = Uri::parse("tel:+1-201-555-0123;phone-context=x").unwrap();
    assert!(!uri.is_sip());
    assert_eq!((uri.user(), uri.host()), (Some("+1-201-555-0123"), ""));
    assert_eq!(uri.param("phone-context"), Some(Some("x")));

    for (text, error) in [
        ("", ValueError::Scheme),
        ("bob", ValueError::Scheme),
        (":bob", ValueError::Scheme),
        ("1sip:bob", ValueError::Scheme),
        ("sip:", ValueError::Host),
        ("sip:@h", ValueError::Host),
        ("sip:u@", ValueError::Host),
        ("sip:u@h@i", ValueError::Host),
        ("sip:[::1", ValueError::Host),
        ("sip:[]", ValueError::Host),
        ("sip:::1", ValueError::Host),
        ("sip:h:", ValueError::Port),
        ("sip:h:0", ValueError::Port),
        ("sip:h:+5", ValueError::Port),
        ("sip:h:65536", ValueError::Port),
        ("sip:[::1]5060", ValueError::Host),
        ("tel:", ValueError::Host),
        ("sip:a b@c", ValueError::Character),
        ("sip:a\r\nb@c", ValueError::Character),
        ("<sip:a@c>", ValueError::Character),
    ] {
        assert_eq!(Uri::parse(text), Err(error), "{text:?}");
    }
}

#[test]
fn addresses() {
    let address =
        NameAddr::parse("\"a;b,<c>\\\"\" <sip:x@y;lr?z=1>;tag=1;flag;n=\"q;,=\"").unwrap();
    assert_eq!(address.display().as_deref(), Some("a;b,<c>\""));
    assert_eq!(address.uri(), "sip:x@y;lr?z=1");
    assert_eq!(address.tag(), Some("1"));
    assert_eq!(address.param("flag"), Some(None));
    assert_eq!(address.param("n"), Some(Some("\"q;,=\"")));
    assert_eq!(address.params().count(), 3);

    // In practice, phones send display names that are no tokens.
    let address = NameAddr::parse("J\u{fc}rgen (2nd floor) <sip:x@y>").unwrap();
    assert_eq!(
        address.display().as_deref(),
        Some("J\u{fc}rgen (2nd floor)")
    );
    assert_eq!(NameAddr::parse("\"\" <sip:x@y>").unwrap().display(), None);
    assert_eq!(
        NameAddr::parse("<sip:x@y>;tag=1;").unwrap().tag(),
        Some("1")
    );
    assert_eq!(NameAddr::parse("<sip:x@y>;tag").unwrap().tag(), None);
    assert_eq!(NameAddr::parse("tel:+12;tag=1").unwrap().tag(), Some("1"));

    for (text, error) in [
        ("", ValueError::Scheme),
        ("*", ValueError::Scheme),
        ("<>", ValueError::Scheme),
        ("\"x <sip:x@y>", ValueError::Brackets),
        ("\"x\"", ValueError::Brackets),
        ("\"x\" y <sip:x@y>", ValueError::Brackets),
        ("<sip:x@y", ValueError::Brackets),
        ("<sip:x@y> z", ValueError::Brackets),
        ("<sip:x@y>;n=\"", ValueError::Brackets),
        ("<sip:x@y>;n=1,<sip:z@y>", ValueError::Parameter),
        ("sip:x@y,sip:z@y", ValueError::Character),
        ("x sip:x@y", ValueError::Character),
        ("<sip:x@y <sip:z@y>", ValueError::Character),
    ] {
        assert_eq!(NameAddr::parse(text), Err(error), "{text:?}");
    }
}

#[test]
fn vias() {
    let via =
        Via::parse("SIP/2.0/TCP [2001:db8::1]:5062;rport=5;RECEIVED=[2001:db8::2];ttl=1;branch=b")
            .unwrap();
    assert_eq!(via.transport(), "TCP");
    assert_eq!(via.sent_by(), "[2001:db8::1]:5062");
    assert_eq!(via.rport(), Some(5));
    assert_eq!(via.received(), Some("2001:db8::2".parse().unwrap()));
    assert_eq!(via.branch(), Some("b"));
    assert_eq!(via.param("ttl"), Some(Some("1")));
    let via = Via::parse("SIP/2.0/UDP h").unwrap();
    assert_eq!((via.host(), via.port(), via.branch()), ("h", None, None));
    assert!(!via.has_rport());
    assert_eq!(
        Via::parse("SIP/2.0/UDP h;a=b,SIP/2.0/UDP i"),
        Err(ValueError::Parameter)
    );
    assert_eq!(Via::parse("SIP/2.0/U;P h"), Err(ValueError::Protocol));
    let via = Via::parse("SIP/2.0/UDP [2001:db8:::192.0.2.1]").unwrap();
    assert_eq!(via.host_ip(), Some("2001:db8::c000:201".parse().unwrap()));
    assert_eq!(
        Via::parse("SIP/2.0/UDP [2001:db8:::1]"),
        Err(ValueError::Host)
    );
    assert_eq!(Via::parse("SIP/2.0/UDP h;x=\""), Err(ValueError::Parameter));
}

#[test]
fn lists() {
    let split = |text| split_list(text).collect::<Vec<_>>();
    assert_eq!(split("a, b ,c"), ["a", "b", "c"]);
    assert_eq!(split(""), Vec::<&str>::new());
    assert_eq!(split(" ,, a,"), ["a"]);
    assert_eq!(split("\"x,\\\",y\" <a,b>, c"), ["\"x,\\\",y\" <a,b>", "c"]);
    assert_eq!(split("a, \"b, c"), ["a", "\"b, c"]);
    assert_eq!(split("a, <b, c"), ["a", "<b, c"]);
}

#[test]
fn only_the_branch_of_a_via_is_its_branch() {
    let branch = |text: &'static str| Via::parse(text).unwrap().branch();
    assert_eq!(branch("SIP/2.0/UDP h;ttl=1;branch=b;maddr=m"), Some("b"));
    assert_eq!(branch("SIP/2.0/UDP h;BRANCH=b"), Some("b"));
    // The first counts.
    assert_eq!(branch("SIP/2.0/UDP h;branch=a;branch=b"), Some("a"));
    assert_eq!(branch("SIP/2.0/UDP h;ttl=1"), None);
}

#[test]
fn a_uri_without_its_headers() {
    for (text, expected) in [
        ("sip:b@h", "sip:b@h"),
        ("sip:b@h;x=y?Replaces=a&c=d", "sip:b@h;x=y"),
        ("sip:b@h?", "sip:b@h"),
    ] {
        assert_eq!(Uri::parse(text).unwrap().without_headers(), expected);
    }
}
