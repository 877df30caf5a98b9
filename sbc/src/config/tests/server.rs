//! Servers with names, `accept_from` with names, `resolver`.

use super::super::{Config, Host, NoSecrets};
use super::first;
use crate::sip::Transport;

const NETWORK: &str = "[network.a]\naddress = [\"10.0.0.1\"]\nsip = [\"udp:5060\", \"tcp:5060\"]\n";

fn trunk(lines: &str) -> Config {
    let text = format!("{NETWORK}[trunk.t]\nnetwork = \"a\"\n{lines}\n");
    Config::parse(&text, "f", &NoSecrets).unwrap()
}

#[test]
fn a_server_is_an_address_or_a_name() {
    for (text, shown, port, transport) in [
        (
            "sip:atlanta2.voip.ms;transport=tcp",
            "tcp:atlanta2.voip.ms",
            None,
            Some(Transport::Tcp),
        ),
        (
            "sip:Sip.Carrier.Example.",
            "sip.carrier.example",
            None,
            None,
        ),
        ("sip:pbx:5070", "pbx:5070", Some(5070), None),
        (
            "SIP:pbx:5070;transport=UDP",
            "udp:pbx:5070",
            Some(5070),
            Some(Transport::Udp),
        ),
        ("sip:192.0.2.1", "udp:192.0.2.1:5060", None, None),
    ] {
        let config = trunk(&format!("server = \"{text}\""));
        let trunk = &config.trunks[0];
        assert_eq!(trunk.server.to_string(), shown);
        assert_eq!(
            (trunk.server.port, trunk.server.transport),
            (port, transport)
        );
        let is_name = matches!(trunk.server.host, Host::Name(_));
        assert_eq!(
            (trunk.server.fixed().is_none(), is_name),
            (is_name, trunk.server.name().is_some())
        );
        assert_eq!(
            (trunk.accepts_server, trunk.accept_from.is_empty()),
            (true, is_name)
        );
    }
}

#[test]
fn sources_are_prefixes_and_names() {
    let config = trunk(
        "server = \"sip:carrier.example\"\naccept_from = [\"198.51.100.0/24\", \"Out.Carrier.Example\", \"2001:db8::1\"]",
    );
    let trunk = &config.trunks[0];
    let prefixes: Vec<String> = trunk.accept_from.iter().map(ToString::to_string).collect();
    assert_eq!(prefixes, ["198.51.100.0/24", "2001:db8::1/128"]);
    assert_eq!(trunk.accept_names.len(), 1);
    assert_eq!(trunk.accept_names[0].as_str(), "out.carrier.example");
    assert!(!trunk.accepts_server);
}

#[test]
fn name_servers_are_addresses() {
    let text = format!("[sbc]\nresolver = [\"192.0.2.53\", \"[2001:db8::53]:5353\"]\n{NETWORK}");
    let config = Config::parse(&text, "f", &NoSecrets).unwrap();
    let found: Vec<String> = config
        .sbc
        .resolver
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(found, ["192.0.2.53:53", "[2001:db8::53]:5353"]);
    assert!(trunk("server = \"sip:10.0.0.2\"").sbc.resolver.is_empty());
}

#[test]
fn what_is_neither_is_told_with_what_would_be() {
    let server = |text: &str| format!("{NETWORK}[trunk.t]\nnetwork = \"a\"\nserver = \"{text}\"\n");
    let accept = |text: &str| {
        server(&format!(
            "sip:carrier.example\"\naccept_from = [\"{text}\"]\n#"
        ))
    };
    let resolver = |text: &str| format!("[sbc]\nresolver = [\"{text}\"]\n{NETWORK}");
    const HOST: &str = "expected an IPv4 or IPv6 address or a host name after `sip:`";
    const SHAPE: &str = "expected `sip:ADDRESS` or `sip:NAME`, perhaps with `:PORT` and `;transport=udp` or `;transport=tcp`";
    const SOURCE: &str = "expected an address, a prefix such as `198.51.100.0/24`, or a host name";
    const RESOLVER: &str = "expected the address of a name server, perhaps with a port, such as `192.0.2.53` or `[2001:db8::53]:53`";
    for (text, line, help) in [
        (
            server("sip:b\u{fc}cher.example"),
            format!("f:6:10: error: server: found `sip:b\u{fc}cher.example`, {HOST}"),
            "`\u{fc}` cannot be in a host name: letters, digits, `-` and `.` can",
        ),
        (
            server("sip:10.0.0.300"),
            format!("f:6:10: error: server: found `sip:10.0.0.300`, {HOST}"),
            "the last part of a host name is no number: an IPv4 address has four, each from 0 to 255",
        ),
        (
            server("carrier.example"),
            format!("f:6:10: error: server: found `carrier.example`, {SHAPE}"),
            "write `sip:carrier.example`",
        ),
        (
            server("carrier.example:5060"),
            format!("f:6:10: error: server: found `carrier.example:5060`, {SHAPE}"),
            "write `sip:carrier.example:5060`",
        ),
        (
            server("sip:carrier.example:0"),
            "f:6:10: error: server: found `sip:carrier.example:0`, expected a port from 1 to 65535 after the host".to_owned(),
            "",
        ),
        (
            accept("out_.-x.example"),
            format!("f:7:16: error: accept_from: found `out_.-x.example`, {SOURCE}"),
            "no part of a host name begins or ends with `-`",
        ),
        (
            resolver("dns.example"),
            format!("f:2:13: error: resolver: found `dns.example`, {RESOLVER}"),
            "a name server cannot be named: who would look the name up?",
        ),
        (
            resolver("0.0.0.0"),
            format!("f:2:13: error: resolver: found `0.0.0.0`, {RESOLVER}"),
            "",
        ),
    ] {
        let (found, hint) = first(&text);
        assert_eq!((found.as_str(), hint.unwrap_or_default().as_str()), (line.as_str(), help), "{text}");
    }
}
