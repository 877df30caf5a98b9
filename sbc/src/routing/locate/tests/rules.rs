//! RFC 3263 4.1 and 4.2, rule by rule.

use super::*;

const NAME: &str = "carrier.example";
const UDP: &str = "_sip._udp.carrier.example";
const TCP: &str = "_sip._tcp.carrier.example";

#[test]
fn an_address_needs_no_dns() {
    let mut stage = Stage::server("sip:10.0.0.9:5070;transport=tcp").settle();
    assert_eq!(stage.way(), ["tcp:10.0.0.9:5070"]);
    assert_eq!(stage.asked, [""; 0]);
    assert_eq!(stage.places.poll_timeout(), None);
}

#[test]
fn a_port_means_addresses_and_nothing_else() {
    for (server, found) in [
        ("sip:carrier.example:5070", "udp:10.0.0.9:5070"),
        (
            "sip:carrier.example:5070;transport=tcp",
            "tcp:10.0.0.9:5070",
        ),
    ] {
        let stage = Stage::server(server).srv(UDP, &[(1, 0, 5080, "b.example")]);
        let mut stage = stage.a(NAME, &["10.0.0.9"]).settle();
        assert_eq!(stage.way(), [found]);
        assert_eq!(
            stage.asked,
            ["A of carrier.example", "AAAA of carrier.example"]
        );
    }
}

#[test]
fn a_transport_means_its_service_and_no_naptr() {
    let stage = Stage::server("sip:carrier.example;transport=tcp");
    let stage = stage.naptr(NAME, &[(1, 1, "s", "SIP+D2U", UDP)]);
    let stage = stage
        .srv(UDP, &[(1, 0, 5080, "b.example")])
        .srv(TCP, &[(1, 0, 5090, "b.example")]);
    let mut stage = stage.a("b.example", &["10.0.0.9"]).settle();
    assert_eq!(stage.way(), ["tcp:10.0.0.9:5090"]);
    assert_eq!(stage.asked[0], "SRV of _sip._tcp.carrier.example");
    assert_eq!(stage.asked.len(), 3);
}

#[test]
fn without_the_service_it_is_the_name_itself_at_5060() {
    let mut stage = Stage::server("sip:carrier.example;transport=tcp")
        .a(NAME, &["10.0.0.9"])
        .settle();
    assert_eq!(stage.way(), ["tcp:10.0.0.9:5060"]);
    let mut stage = Stage::server("sip:carrier.example")
        .a(NAME, &["10.0.0.9"])
        .settle();
    assert_eq!(stage.way(), ["udp:10.0.0.9:5060"]);
    let asked = [
        "NAPTR of carrier.example",
        "SRV of _sip._tcp.carrier.example",
        "SRV of _sip._udp.carrier.example",
    ];
    assert_eq!(stage.asked[..3], asked);
}

#[test]
fn naptr_says_which_transport_comes_first() {
    let stage = Stage::server("sip:carrier.example").naptr(
        NAME,
        &[
            (20, 1, "s", "SIP+D2U", UDP),
            (10, 2, "s", "sip+d2t", "_sip._tcp.b.example"),
            (10, 1, "S", "SIP+D2T", TCP),
        ],
    );
    let stage = stage
        .srv(UDP, &[(1, 0, 1, "x.example")])
        .srv(TCP, &[(1, 0, 2, "x.example")]);
    let stage = stage.srv("_sip._tcp.b.example", &[(1, 0, 3, "x.example")]);
    let mut stage = stage.a("x.example", &["10.0.0.9"]).settle();
    assert_eq!(
        stage.way(),
        ["tcp:10.0.0.9:2", "tcp:10.0.0.9:3", "udp:10.0.0.9:1"]
    );
}

#[test]
fn what_is_not_spoken_is_left_out_and_told() {
    let tls = (1, 1, "s", "SIPS+D2T", "_sips._tcp.carrier.example");
    let stage =
        Stage::server("sip:carrier.example").naptr(NAME, &[tls, (2, 1, "s", "SIP+D2T", TCP)]);
    let mut stage = stage
        .srv(TCP, &[(1, 0, 5060, "x.example")])
        .a("x.example", &["10.0.0.9"])
        .settle();
    assert_eq!(stage.way(), ["tcp:10.0.0.9:5060"]);
    let found = News::Found {
        trunk: TRUNK,
        places: vec![place("tcp:10.0.0.9:5060")],
        left_out: Some("TLS, which is not supported"),
    };
    assert_eq!(stage.told(), [found]);
    // With nothing else on offer: as if there were none.
    let mut stage = Stage::server("sip:carrier.example")
        .naptr(NAME, &[tls])
        .a(NAME, &["10.0.0.9"])
        .settle();
    assert_eq!(stage.way(), ["udp:10.0.0.9:5060"]);
    for record in [
        (1, 1, "u", "SIP+D2U", UDP),
        (1, 1, "s", "E2U+sip", UDP),
        (1, 1, "s", "SIP+D2U", ""),
    ] {
        let stage = Stage::server("sip:carrier.example").naptr(NAME, &[record]);
        let mut stage = stage.a(NAME, &["10.0.0.9"]).settle();
        assert_eq!(stage.way(), ["udp:10.0.0.9:5060"], "{record:?}");
    }
}

#[test]
fn without_naptr_it_is_what_the_network_listens_on_in_its_order() {
    let text = "[network.a]\naddress = [\"10.0.0.1\"]\nsip = [\"tcp:5060\", \"udp:5060\"]\n[trunk.t]\nnetwork = \"a\"\nserver = \"sip:carrier.example\"\n";
    let config = Config::parse(text, "f", &NoSecrets).unwrap();
    let stage = Stage::with(config, [0; 32]);
    let stage = stage
        .srv(UDP, &[(1, 0, 1, "x.example")])
        .srv(TCP, &[(9, 0, 2, "x.example")]);
    let mut stage = stage.a("x.example", &["10.0.0.9"]).settle();
    assert_eq!(stage.way(), ["tcp:10.0.0.9:2", "udp:10.0.0.9:1"]);
}

#[test]
fn a_dot_is_decidedly_nobody_and_so_is_port_0() {
    let stage = Stage::server("sip:carrier.example;transport=udp").srv(UDP, &[(1, 0, 5060, ".")]);
    let mut stage = stage.a(NAME, &["10.0.0.9"]).settle();
    assert_eq!(stage.way(), [""; 0]);
    let stage = Stage::server("sip:carrier.example;transport=udp");
    let stage = stage.srv(UDP, &[(1, 0, 0, "a.example"), (2, 0, 5060, "b.example")]);
    let mut stage = stage
        .a("a.example", &["10.0.0.8"])
        .a("b.example", &["10.0.0.9"])
        .settle();
    assert_eq!(stage.way(), ["udp:10.0.0.9:5060"]);
}

#[test]
fn both_families_in_the_order_of_the_network_s_own() {
    let stage = Stage::server("sip:carrier.example:5060").a(NAME, &["10.0.0.9"]);
    let stage = stage.has(NAME, Kind::Aaaa, addresses_of(&["2001:db8::9"]));
    let mut stage = stage.settle();
    assert_eq!(stage.way(), ["udp:10.0.0.9:5060", "udp:[2001:db8::9]:5060"]);
    // An address of a family that the network has no more is not used.
    stage.config.networks[0].addresses = vec!["2001:db8::1".parse().unwrap()];
    stage
        .places
        .handle_input(stage.now, &stage.config, Input::Readdressed);
    stage.run();
    assert_eq!(stage.way(), ["udp:[2001:db8::9]:5060"]);
}

#[test]
fn addresses_that_no_host_has_are_left_out() {
    let lies = ["0.0.0.0", "224.0.0.1", "255.255.255.255", "10.0.0.9"];
    let mut stage = Stage::server("sip:carrier.example:5060")
        .a(NAME, &lies)
        .settle();
    assert_eq!(stage.way(), ["udp:10.0.0.9:5060"]);
}

#[test]
fn sources_are_the_servers_unless_the_file_says_others() {
    let base = |trunk: &str| {
        let stage = Stage::new(&format!("server = \"sip:carrier.example:5060\"\n{trunk}"));
        stage
            .a(NAME, &["10.0.0.8", "10.0.0.9"])
            .a("out.example", &["10.0.0.7"])
            .settle()
    };
    let at = |stage: &Stage, text: &str| {
        let network = crate::config::NetworkId(0);
        stage
            .places
            .trunk_of(&stage.config, network, text.parse().unwrap())
            .is_some()
    };
    let stage = base("");
    assert_eq!(Vec::from_iter(&stage.sources), ["10.0.0.8", "10.0.0.9"]);
    assert!(at(&stage, "10.0.0.8") && at(&stage, "::ffff:10.0.0.9") && !at(&stage, "10.0.0.7"));
    let stage = base("accept_from = [\"out.example\", \"10.1.0.0/16\"]");
    assert_eq!(Vec::from_iter(&stage.sources), ["10.0.0.7"]);
    assert!(!at(&stage, "10.0.0.8") && at(&stage, "10.0.0.7") && at(&stage, "10.1.2.3"));
    // A server with an address may have sources with names.
    let stage = Stage::new("server = \"sip:10.0.0.2\"\naccept_from = [\"out.example\"]");
    let mut stage = stage.a("out.example", &["10.0.0.7"]).settle();
    assert!(at(&stage, "10.0.0.7") && !at(&stage, "10.0.0.2"));
    assert_eq!(stage.way(), ["udp:10.0.0.2:5060"]);
    assert_eq!(stage.told(), []);
}

#[test]
fn a_name_of_a_contact_is_found_if_it_was_asked_for() {
    let stage =
        Stage::server("sip:carrier.example;transport=udp").srv(UDP, &[(1, 0, 5060, "b.example")]);
    let stage = stage.a("b.example", &["10.0.0.8", "10.0.0.9"]).settle();
    let host = |name: &str, like: &str| {
        stage
            .places
            .host(name, like.parse().unwrap())
            .map(|ip| ip.to_string())
    };
    assert_eq!(host("B.example.", "10.0.0.9").as_deref(), Some("10.0.0.9"));
    assert_eq!(host("b.example", "10.0.0.1").as_deref(), Some("10.0.0.8"));
    assert_eq!(host("b.example", "2001:db8::9"), None);
    assert_eq!(host("c.example", "10.0.0.9"), None);
}
