use sbc::config::NoSecrets;
use sbc::media::Fallback;

use super::*;

const OFF: NetworkPath = NetworkPath::User(Fallback::Off);
const XDP: NetworkPath = NetworkPath::Kernel {
    mode: XdpMode::Native,
};

/// The rules without comments and without what all have.
fn rules(text: &str, paths: &[NetworkPath]) -> Vec<String> {
    let shown = shown(text, paths, &[]);
    let lines = shown.lines().map(str::trim);
    let own = lines.filter(|line| {
        line.contains("jump network_")
            || line.starts_with("chain network_")
            || line.contains("dport") && !line.contains("dport 22 ") && !line.contains("dport 546 ")
    });
    own.filter(|line| !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

fn shown(text: &str, paths: &[NetworkPath], untried: &[&'static str]) -> String {
    let mut config = Config::parse(text, "f", &NoSecrets).unwrap();
    for network in &mut config.networks {
        match &network.bind {
            Bind::Addresses(addresses) => network.addresses = addresses.clone(),
            Bind::Interface(_) => network.addresses = vec![[203, 0, 113, 7].into()],
        }
    }
    let looked = Looked::default();
    let firewall = Firewall {
        config: &config,
        looked: &looked,
        origin: "f".to_owned(),
        foreseen: Foreseen {
            paths: (0..).map(NetworkId).zip(paths.iter().copied()).collect(),
            untried: untried.to_vec(),
        },
    };
    firewall.to_string()
}

#[test]
fn trunks_alone_may_speak_sip_where_there_are_no_phones() {
    let text = r#"
[network.a-1]
address = ["192.0.2.1", "2001:db8::1", "192.0.2.2"]
sip = ["udp:5060", "udp:5070", "tcp:5060"]
[network.b]
address = ["198.51.100.1"]
media_ports = "10000-10999"
[trunk.x]
network = "a-1"
server = "sip:10.0.0.9"
accept_from = ["10.0.0.0/8", "10.1.0.0/16", "192.168.1.1", "2001:db8:1::/48"]
"#;
    assert_eq!(
        rules(text, &[XDP, OFF]),
        [
            "ip daddr { 192.0.2.1, 192.0.2.2 } jump network_0_a_1",
            "ip6 daddr 2001:db8::1 jump network_0_a_1",
            "ip daddr 198.51.100.1 jump network_1_b",
            "chain network_0_a_1 {",
            "ip saddr { 10.0.0.0/8, 192.168.1.1 } udp dport { 5060, 5070 } accept",
            "ip6 saddr 2001:db8:1::/48 udp dport { 5060, 5070 } accept",
            "ip saddr { 10.0.0.0/8, 192.168.1.1 } tcp dport 5060 accept",
            "ip6 saddr 2001:db8:1::/48 tcp dport 5060 accept",
            "udp dport 20000-29999 accept",
            "chain network_1_b {",
            "udp dport 10000-10999 accept",
        ]
    );
}

#[test]
fn phones_call_from_anywhere_and_an_interface_may_change_its_address() {
    let text = r#"
[sbc]
admin = "203.0.113.7:9960"
admin_token = "token-of-this-test"
[network.wan]
interface = "ppp0"
sip = ["udp:5060"]
[trunk.x]
network = "wan"
server = "sip:10.0.0.9"
[phone.1]
password = "secret"
"#;
    assert_eq!(
        rules(text, &[OFF]),
        [
            "ip daddr 203.0.113.7 jump network_0_wan",
            "iifname \"ppp0\" meta pkttype host jump network_0_wan",
            "chain network_0_wan {",
            "udp dport 5060 accept",
            "udp dport 20000-29999 accept",
        ]
    );
    let shown = shown(text, &[OFF], &["CAP_BPF"]);
    assert!(!shown.contains("secret"), "{shown}");
    for part in [
        "# ip saddr 192.0.2.10 tcp dport 9960 accept",
        "Media goes through user space: fast_path is \"off\".",
        "was not tried, which needs CAP_BPF.",
    ] {
        let flat = shown
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .replace(" # ", " ");
        assert!(
            flat.contains(part.trim_start_matches("# ")),
            "{part}: {shown}"
        );
    }
}

#[test]
fn a_name_does_not_end_a_comment() {
    let text = "[sbc]\nname = \"a\\nflush ruleset\"\n[network.a]\naddress = \"192.0.2.1\"\n";
    let Ok(_) = Config::parse(text, "f", &NoSecrets) else {
        // Better still: such a name is refused.
        return;
    };
    let shown = shown(text, &[OFF], &[]);
    assert!(
        shown.starts_with("# nftables rules for sbc `a flush ruleset`, from f.\n"),
        "{shown}"
    );
}

#[test]
fn loopback_needs_no_rules() {
    let shown = shown("[network.a]\naddress = \"127.0.0.1\"\n", &[OFF], &[]);
    assert!(shown.lines().all(|line| line.starts_with('#')), "{shown}");
    assert!(shown.contains("there is nothing to write"), "{shown}");
}
