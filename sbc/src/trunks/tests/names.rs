//! Who calls by the name that we registered.

use super::*;

#[test]
fn of_several_accounts_at_one_carrier_the_name_says_which() {
    let second = CARRIER
        .replace("carrier]", "second]")
        .replace("5555", "+49 30");
    let bench = bench(&format!("{CARRIER}{second}"));
    let hop = |source: &str| Hop {
        network: NetworkId(0),
        transport: Transport::Udp,
        local: "10.0.0.1:5060".parse().unwrap(),
        remote: source.parse().unwrap(),
        connection: None,
    };
    let invite = |uri: &str| {
        let text = format!(
            "INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:15550100@h>\r\n\
             Call-ID: c\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
        );
        Message::parse(Bytes::from(text), &Default::default()).unwrap()
    };
    let known = TrunkId(0);
    for (uri, source, expected) in [
        ("sip:5555@10.0.0.1", "10.0.0.9:5060", 0),
        ("sip:+49%2030@10.0.0.1", "10.0.0.9:5060", 1),
        ("sip:+49%2030@10.0.0.1", "10.0.0.8:9999", 1),
        ("sip:other@10.0.0.1", "10.0.0.9:5060", 0),
        ("sip:10.0.0.1", "10.0.0.9:5060", 0),
        // A source that is not the second's, though what it names is.
        ("sip:+49%2030@10.0.0.1", "10.0.0.7:5060", 0),
    ] {
        let at = hop(source);
        let is_here = |id: TrunkId| {
            let sources = &bench.config.trunk(id).accept_from;
            sources.iter().any(|net| net.contains(&at.remote.ip()))
        };
        let named = Trunks::named(&bench.config, &at, &invite(uri), known, is_here);
        assert_eq!(named, TrunkId(expected), "{uri} from {source}");
    }
    for (uri, expected) in [
        ("sip:5555@10.0.0.1", "sip:15550100@h"),
        ("sip:15550199@10.0.0.1", "sip:15550199@10.0.0.1"),
    ] {
        let message = invite(uri);
        assert_eq!(Trunks::dialled(&bench.config, known, &message), expected);
    }
}
