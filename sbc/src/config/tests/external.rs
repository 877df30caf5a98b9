//! `local`, `external`, `stun`.

use super::super::{Config, External, NoSecrets, describe, is_public};

fn config(keys: &str) -> Result<Config, String> {
    with(keys, "")
}

fn with(keys: &str, more: &str) -> Result<Config, String> {
    let text = format!("[network.home]\naddress = [\"192.168.1.2\"]\n{keys}\n{more}");
    Config::parse(&text, "f", &NoSecrets).map_err(|errors| errors.to_string())
}

fn ip(text: &str) -> std::net::IpAddr {
    text.parse().unwrap()
}

#[test]
fn who_is_outside_sees_the_external_address() {
    let config = config("local = [\"192.168.0.0/16\"]\nexternal = \"203.0.113.8\"").unwrap();
    let network = &config.networks[0];
    let shows = |peer: &str| network.shows(ip("192.168.1.2"), ip(peer)).to_string();
    for inside in [
        "192.168.1.2",
        "192.168.77.1",
        "::ffff:192.168.1.9",
        "127.0.0.1",
    ] {
        assert_eq!(shows(inside), "192.168.1.2");
    }
    for outside in ["198.51.100.1", "10.0.0.1"] {
        assert_eq!(shows(outside), "203.0.113.8");
    }
    // A family without one keeps its own.
    assert_eq!(
        network.shows(ip("fd00::2"), ip("2001:db8::1")),
        ip("fd00::2")
    );
    for ours in ["192.168.1.2", "203.0.113.8"] {
        assert!(network.is_ours(ip(ours)));
    }
    assert!(!network.is_ours(ip("203.0.113.9")));
}

#[test]
fn without_local_all_private_addresses_are_inside() {
    let config = config("external = [\"203.0.113.8\", \"2001:db8:8::8\"]\n").unwrap_err();
    let refused = "external: found an IPv6 address, but network `home` has no IPv6 address";
    assert!(config.contains(refused), "{config}");
    let text = "[network.home]\naddress = [\"192.168.1.2\", \"fd00::2\", \"2001:db8:1:1::2\"]\n\
                external = [\"203.0.113.8\", \"2001:db8:8::8\"]\n";
    let config = Config::parse(text, "f", &NoSecrets).unwrap();
    let network = &config.networks[0];
    for inside in [
        "10.0.0.1",
        "172.31.255.255",
        "192.168.9.9",
        "169.254.1.1",
        "127.0.0.1",
        "fe80::1",
        "fd12::1",
        "::1",
        // On the same link.
        "2001:db8:1:1::77",
    ] {
        assert!(!network.is_outside(ip(inside)), "{inside}");
    }
    for outside in ["172.32.0.0", "100.64.0.1", "8.8.8.8", "2001:db8:1:2::1"] {
        assert!(network.is_outside(ip(outside)), "{outside}");
    }
    let shown = network.shows(ip("fd00::2"), ip("2001:db8:1:2::1"));
    assert_eq!(shown, ip("2001:db8:8::8"));
}

#[test]
fn everyone_is_inside_where_there_is_no_external_address() {
    for keys in ["", "local = [\"192.168.0.0/16\"]"] {
        let config = config(keys).unwrap();
        assert!(!config.networks[0].is_outside(ip("198.51.100.1")));
        assert!(config.networks[0].misleads(ip("192.168.1.2"), ip("198.51.100.1")));
        assert!(!config.networks[0].misleads(ip("192.168.1.2"), ip("10.0.0.1")));
        assert!(!config.networks[0].misleads(ip("203.0.113.8"), ip("198.51.100.1")));
    }
}

#[test]
fn auto_needs_somebody_who_tells() {
    let trunk = "[trunk.t]\nnetwork = \"home\"\nserver = \"sip:198.51.100.9\"\n";
    let of = |keys: &str, more: &str| {
        let config = with(keys, more)?;
        Ok::<_, String>(config.networks[0].external.clone().unwrap())
    };
    assert_eq!(
        of("external = \"auto\"", trunk),
        Ok(External::Auto { stun: None })
    );
    let nobody = of("external = \"auto\"", "").unwrap_err();
    assert_eq!(
        nobody,
        "f:3:12: error: external: network `home` has neither `stun` nor a trunk that could tell its address\n\
         3 | external = \"auto\"\n  |            ^^^^^^\n\
         help: name a STUN server in `stun`, such as `stun.example:3478`"
    );
    for (text, host, port) in [
        ("stun.example", "stun.example", 3478),
        ("stun.example:19302", "stun.example", 19302),
        ("stun:stun.example:1", "stun.example", 1),
        ("198.51.100.1:99", "198.51.100.1", 99),
        ("[2001:db8::1]:99", "2001:db8::1", 99),
        ("2001:db8::1", "2001:db8::1", 3478),
    ] {
        let found = of(&format!("external = \"auto\"\nstun = \"{text}\""), "").unwrap();
        let External::Auto { stun: Some(stun) } = found else {
            panic!("{found:?}");
        };
        assert_eq!((stun.host.as_str(), stun.port), (host, port));
    }
    let tcp = of(
        "sip = \"tcp:5060\"\nexternal = \"auto\"\nstun = \"stun.example\"",
        "",
    );
    let told = "STUN goes over UDP, which network `home` does not listen on";
    assert!(tcp.unwrap_err().contains(told));
}

#[test]
fn what_is_wrong_is_told_with_what_would_be_right() {
    for (keys, told) in [
        (
            "external = \"203.0.113.300\"",
            "external: found `203.0.113.300`, expected an address, or \"auto\"",
        ),
        (
            "external = \"203.0.113.8:5060\"",
            "help: write `203.0.113.8`: ports are the same outside, which the router has to forward as they are",
        ),
        (
            "external = \"home.example.org\"",
            "help: a host name may change at any time: `external = \"auto\"` finds the address and follows it",
        ),
        ("external = \"atuo\"", "help: did you mean `auto`?"),
        ("external = \"127.0.0.1\"", "help: others have to reach it"),
        ("external = \"0.0.0.0\"", "help: others have to reach it"),
        (
            "external = \"::ffff:203.0.113.8\"",
            "help: write `203.0.113.8`",
        ),
        ("external = 5", "expected a list of strings"),
        (
            "external = [\"203.0.113.8\", \"203.0.113.9\"]",
            "external: found `203.0.113.9`, expected at most one address of IPv4 and one of IPv6",
        ),
        (
            "external = [\"auto\", \"203.0.113.9\"]",
            "external: found `203.0.113.9`, expected \"auto\" alone, or addresses alone",
        ),
        (
            "external = \"192.168.5.1\"",
            "external: found `192.168.5.1`, expected an address outside `local`, which has 192.168.0.0/16\n",
        ),
        (
            "external = \"192.168.5.1\"",
            "help: name those who reach our own address: without `local` all private addresses are inside, such as 192.168.5.1",
        ),
        (
            "local = \"203.0.113.0/24\"\nexternal = \"203.0.113.8\"",
            "help: peers in `local` see our own address, all others `external`",
        ),
        (
            "local = \"192.168.1.1/16\"",
            "expected a prefix without host bits",
        ),
        (
            "local = []",
            "local: found an empty list, expected at least one prefix",
        ),
        (
            "external = \"203.0.113.8\"\nstun = \"stun.example\"",
            "stun: found `stun.example`, expected no `stun` unless `external` is \"auto\"",
        ),
        (
            "external = \"auto\"\nstun = \"stun.example:x\"",
            "stun: found `stun.example:x`, expected a host or address, perhaps with `:PORT`, such as `stun.example:3478`",
        ),
        ("extrenal = \"auto\"", "help: did you mean `external`?"),
    ] {
        let error = config(keys).unwrap_err();
        assert!(error.contains(told), "{keys}: {error}");
    }
    // Behind two routers.
    let inner = config("local = \"192.168.1.0/24\"\nexternal = \"192.168.5.1\"").unwrap();
    let note = "  Note: 192.168.5.1 is no address of the internet: who is there cannot reach it.\n";
    assert!(describe(&inner).contains(note));
}

#[test]
fn check_says_who_sees_what() {
    let trunk = "[trunk.t]\nnetwork = \"home\"\nserver = \"sip:198.51.100.9\"\n";
    for (keys, told) in [
        (
            "local = [\"192.168.0.0/16\"]\nexternal = \"203.0.113.8\"",
            "  Peers of network:home at 192.168.0.0/16 see 192.168.1.2; all others see\n  203.0.113.8.\n",
        ),
        (
            "external = \"auto\"\nstun = \"stun.example\"",
            "  Peers of network:home at private and link-local addresses see 192.168.1.2; all\n  \
             others see the address that stun.example:3478 sees us at, followed when it\n  changes.\n",
        ),
        (
            "external = \"auto\"",
            "  Peers of network:home at private and link-local addresses see 192.168.1.2; all\n  \
             others see the address that its trunks see us at, followed when it changes.\n",
        ),
        (
            "",
            "  Note: trunk:t is on the internet and sees 192.168.1.2, which it cannot reach:\n  \
             set `external` in [network.home].\n",
        ),
    ] {
        let text = describe(&with(keys, trunk).unwrap());
        assert!(text.contains(told), "{keys}: {text}");
        assert_eq!(text.matches("Note:").count(), usize::from(keys.is_empty()));
    }
}

#[test]
fn addresses_of_the_internet() {
    for public in ["8.8.8.8", "203.0.113.8", "100.63.0.1", "2001:db8::1"] {
        assert!(is_public(ip(public)), "{public}");
    }
    for private in [
        "10.0.0.1",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "169.254.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "fd00::1",
        "fe80::1",
        "::1",
    ] {
        assert!(!is_public(ip(private)), "{private}");
    }
}
