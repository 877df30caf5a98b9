//! Who may call, and whom.

use super::*;
use crate::engine::Event;

#[test]
fn strangers_get_nothing_that_they_can_use() {
    let mut bench = bench();
    let stranger = "10.71.1.66:7000";
    let rport =
        |text: String| text.replace("10.71.1.2:5060;branch", "10.71.1.66:7000;rport;branch");
    bench.message(LEFT, stranger, &rport(invite("100")));
    let (to, challenge) = bench.one();
    assert_eq!(to, stranger.parse().unwrap());
    assert_eq!(challenge.code(), Some(401));
    let offers: Vec<_> = challenge
        .fields()
        .filter(|f| f.name == Name::WwwAuthenticate)
        .map(|f| f.value.to_owned())
        .collect();
    assert_eq!(
        offers.len(),
        1,
        "phones on libre refuse an answer with more"
    );
    assert!(offers[0].contains("algorithm=MD5"));
    // A copy gets a copy.
    bench.message(LEFT, stranger, &rport(invite("100")));
    assert_eq!(tag_of(&bench.one().1), tag_of(&challenge));
    // Options, unknown methods: nothing is told.
    let options = request("OPTIONS", "sip:10.71.1.1", "To: <sip:10.71.1.1>\r\n", "");
    bench.message(LEFT, stranger, &rport(options.clone()));
    assert_eq!(bench.actions(), []);
    let tcp = Hop {
        transport: Transport::Tcp,
        connection: Some(ConnectionId(1)),
        ..hop(LEFT, stranger)
    };
    let bytes = Bytes::from(rport(options.clone()).replace("SIP/2.0/UDP", "SIP/2.0/TCP"));
    let input = Input::Message { hop: tcp, bytes };
    bench.engine.handle_input(bench.now, input);
    let (_, refused) = bench.one();
    assert_eq!(refused.code(), Some(403));
    assert_eq!(refused.header(Name::Server), None);
    assert_eq!(refused.header(Name::Allow), None);
    // A malformed one: silence. From a trunk: 400.
    let broken = options.replace("Contact:", "Max-Forwards: x\r\nContact:");
    bench.message(LEFT, stranger, &rport(broken.clone()));
    assert_eq!(bench.actions(), []);
    bench.message(LEFT, A, &broken);
    assert_eq!(bench.one().1.code(), Some(400));
    let stats = bench.engine.stats(bench.now);
    assert_eq!(stats.sip_malformed[&(LEFT, "bad-max-forwards")], 2);
    let told = std::iter::from_fn(|| bench.engine.poll_event());
    let malformed: Vec<_> = told
        .filter_map(|event| match event {
            Event::Malformed { source, reason, .. } => Some((source.to_string(), reason)),
            _ => None,
        })
        .collect();
    assert_eq!(
        malformed,
        [stranger, A].map(|source| (source.to_owned(), "bad-max-forwards"))
    );
    assert_eq!(stats.sip_refused[&(LEFT, "no-credentials")], 2);
    assert_eq!(stats.sip_refused[&(LEFT, "stranger")], 2);
    assert_eq!(stats.transactions, 0);
    bench.message(LEFT, A, &options);
    let (_, ok) = bench.one();
    assert_eq!(ok.code(), Some(200));
    assert_eq!(ok.header(Name::Allow), Some(crate::call::ALLOW));
    assert_eq!(ok.header(Name::Accept), Some("application/sdp"));
    bench.assert_empty();
}

#[test]
fn what_cannot_be_routed_is_refused_with_its_reason() {
    let mut bench = bench();
    let cases: [(&str, &str, u16); 8] = [
        ("sip:100@10.71.1.1", "sip:999@10.71.1.1", 404),
        ("sip:100@10.71.1.1", "sip:6009@10.71.1.1", 404),
        ("sip:100@10.71.1.1", "sip:10.71.1.1", 404),
        ("sip:100@10.71.1.1", "sips:100@10.71.1.1", 416),
        ("Max-Forwards: 70", "Max-Forwards: 0", 483),
        ("Subject: test", "Require: timer, gruu", 420),
        ("application/sdp", "text/plain", 415),
        ("RTP/AVP 0", "RTP/SAVP 0", 488),
    ];
    for (index, (what, with, code)) in cases.into_iter().enumerate() {
        let text = invite("100")
            .replace("z9hG4bKINVITE1", &format!("z9hG4bKcase{index}"))
            .replace(what, with)
            .replace("To: <sips:", "To: <sip:");
        let length = text.split("\r\n\r\n").nth(1).unwrap().len();
        let text = text.replace(
            &format!("Content-Length: {}", sdp("10.71.1.2", 4000).len()),
            &format!("Content-Length: {length}"),
        );
        bench.message(LEFT, A, &text);
        let (_, refused) = bench.one();
        assert_eq!(refused.code(), Some(code), "{with}");
        if code == 420 {
            assert_eq!(refused.header(Name::Unsupported), Some("gruu"));
        }
    }
    bench.pass(Duration::from_secs(1));
    bench.actions();
    bench.assert_empty();
}

#[test]
fn a_request_of_ours_that_comes_back_is_a_loop() {
    let mut bench = bench();
    bench.message(LEFT, A, &invite("100"));
    let (_, ours) = bench.one();
    // B sends it back as it is, with a Via of its own on top.
    let text = String::from_utf8(ours.bytes().to_vec()).unwrap().replacen(
        "Via:",
        &format!("Via: SIP/2.0/UDP {A};branch=z9hG4bKloop\r\nVia:"),
        1,
    );
    bench.message(LEFT, A, &text);
    assert_eq!(bench.one().1.code(), Some(482));
}
