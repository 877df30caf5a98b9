//! Against the examples of the RFCs, and against ourselves.

use super::super::digest::{Algorithm, Challenge, Credentials, DigestError, answer};

/// RFC 2617 3.5.
const MD5: &str = "Digest username=\"Mufasa\", realm=\"testrealm@host.com\", \
    nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", uri=\"/dir/index.html\", qop=auth, nc=00000001, \
    cnonce=\"0a4f113b\", response=\"6629fae49393a05397450978507c4ef1\", \
    opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"";

/// RFC 7616 3.9.1.
const SHA256: &str = "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\", \
    algorithm=SHA-256, nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", nc=00000001, \
    cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth, \
    response=\"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1\"";

#[test]
fn the_rfcs_examples() {
    let md5 = Credentials::parse(MD5).unwrap();
    assert_eq!(md5.username, "Mufasa");
    assert_eq!(md5.algorithm, Algorithm::Md5);
    assert_eq!(md5.auth.map(|a| (a.count, a.cnonce)), Some((1, "0a4f113b")));
    assert!(md5.verify("Circle Of Life", "GET"));
    assert!(!md5.verify("Circle of Life", "GET"));
    assert!(!md5.verify("Circle Of Life", "PUT"));
    let sha = Credentials::parse(SHA256).unwrap();
    assert_eq!(sha.algorithm, Algorithm::Sha256);
    assert!(sha.verify("Circle of Life", "GET"));
    assert!(!sha.verify("", "GET"));
}

#[test]
fn without_qop() {
    // MD5 of MD5("bob:biloxi.com:zanzibar") ":" nonce ":" MD5("REGISTER:sip:biloxi.com").
    let text = "Digest username=\"bob\",realm=\"biloxi.com\",nonce=\"dcd98b71\",uri=\"sip:biloxi.com\",\
        response=\"@@\",algorithm=md5";
    let text = text.replace("@@", NO_QOP);
    let credentials = Credentials::parse(&text).unwrap();
    assert_eq!(credentials.auth, None);
    assert!(credentials.verify("zanzibar", "REGISTER"));
    assert!(!credentials.verify("zanzibaR", "REGISTER"));
    let upper = text.replace(NO_QOP, &NO_QOP.to_uppercase());
    assert!(
        Credentials::parse(&upper)
            .unwrap()
            .verify("zanzibar", "REGISTER")
    );
    let short = text.replace(NO_QOP, &NO_QOP[..31]);
    assert!(
        !Credentials::parse(&short)
            .unwrap()
            .verify("zanzibar", "REGISTER")
    );
}

const NO_QOP: &str = "c97288ed731acbc766ce2e6585fbbb58";

#[test]
fn what_is_asked_is_answered() {
    for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
        for stale in [false, true] {
            let challenge = Challenge {
                realm: "sbc \"x\"",
                nonce: "n1",
                algorithm,
                stale,
            };
            let text = challenge.to_string();
            assert!(
                text.starts_with("Digest realm=\"sbc x\", nonce=\"n1\""),
                "{text}"
            );
            assert_eq!(text.contains("stale=true"), stale);
            let value = answer(&text, "ann", "pw", "REGISTER", "sip:h", "c").unwrap();
            let credentials = Credentials::parse(&value).unwrap();
            assert_eq!(credentials.algorithm, algorithm);
            assert_eq!((credentials.username, credentials.realm), ("ann", "sbc x"));
            assert_eq!((credentials.nonce, credentials.uri), ("n1", "sip:h"));
            assert!(credentials.verify("pw", "REGISTER"));
            assert!(!credentials.verify("pw", "INVITE"));
            assert!(!credentials.verify("pW", "REGISTER"));
        }
    }
    let value = answer(
        "Digest realm=r, nonce=n, opaque=\"o,\"",
        "a",
        "p",
        "M",
        "u",
        "c",
    )
    .unwrap();
    assert!(value.ends_with("opaque=\"o,\""));
    assert!(Credentials::parse(&value).unwrap().verify("p", "M"));
}

#[test]
fn what_is_not_spoken_here() {
    let change = |from: &str, to: &str| {
        let text = MD5.replace(from, to);
        assert_ne!(text, MD5);
        Credentials::parse(&text).map(|_| ()).unwrap_err()
    };
    assert_eq!(change("Digest ", "Basic "), DigestError::Scheme);
    assert_eq!(change("Digest ", ""), DigestError::Scheme);
    assert_eq!(change("username", "user"), DigestError::Missing("username"));
    assert_eq!(
        change("response", "answer"),
        DigestError::Missing("response")
    );
    assert_eq!(change("cnonce", "xnonce"), DigestError::Missing("cnonce"));
    assert_eq!(change("nc=", "xc="), DigestError::Missing("nc"));
    assert_eq!(change("nc=00000001", "nc=1"), DigestError::Syntax);
    assert_eq!(change("nc=00000001", "nc=+0000001"), DigestError::Syntax);
    assert_eq!(change("qop=auth", "qop=auth-int"), DigestError::Qop);
    assert_eq!(
        change("qop=auth", "algorithm=MD5-sess"),
        DigestError::Algorithm
    );
    assert_eq!(change("qop=auth", "nonce=\"2\""), DigestError::Syntax);
    assert_eq!(change("qop=auth", "what"), DigestError::Syntax);
    assert_eq!(change("host.com\"", "host.com"), DigestError::Syntax);
    for text in [
        "",
        "Digest",
        "Digest ",
        "Digest \u{e9}=\"",
        "Digest \u{e9}\u{e9}=x, y=",
    ] {
        assert!(Credentials::parse(text).is_err());
        assert!(answer(text, "a", "p", "M", "u", "c").is_err());
    }
    let only_int = "Digest realm=r, nonce=n, qop=\"auth-int\"";
    assert_eq!(
        answer(only_int, "a", "p", "M", "u", "c"),
        Err(DigestError::Qop)
    );
}
