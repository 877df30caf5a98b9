//! Whole files in, configs and error texts out.

use super::*;

mod dscp;
mod errors;
mod external;
mod fuzz;
mod phones;
mod routes;
mod secrets;
mod server;
mod succession;

const LAB: &str = include_str!("../../../../deploy/lab.toml");

#[test]
fn the_lab_loads() {
    let config = Config::parse(LAB, "lab.toml", &NoSecrets).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(config.sbc.name, "lab");
    assert_eq!(config.sbc.state_dir.to_str(), Some("/var/lib/sbc-lab"));
    assert_eq!(config.sbc.admin.to_string(), "127.0.0.1:9960");
    let names: Vec<_> = config.networks.iter().map(|n| n.name.as_str()).collect();
    assert_eq!(names, ["left", "right"]);
    let a = &config.trunks[0];
    assert_eq!((a.name.as_str(), a.network), ("a", NetworkId(0)));
    assert_eq!(a.server.to_string(), "udp:10.71.1.2:5060");
    assert_eq!(a.codecs, [Codec::G722, Codec::Pcmu, Codec::Pcma]);
    let b = &config.trunks[1];
    assert_eq!(b.codecs, [Codec::Pcmu, Codec::G722, Codec::Pcma]);
    assert_eq!(b.accept_from[0].to_string(), "10.71.2.2/32");
    assert_eq!(config.routes[0].from, [From::Trunk(TrunkId(0))]);
    assert_eq!(config.routes[0].to, [Target::Trunk(TrunkId(1))]);
}

/// The whole text of what is wrong with `text`.
fn errors(text: &str) -> String {
    match Config::parse(text, "sbc.toml", &Vault) {
        Ok(config) => panic!("loads: {config:?}"),
        Err(errors) => errors.to_string(),
    }
}

/// The first line of the first error, without the name of the file, and its help.
fn first(text: &str) -> (String, Option<String>) {
    let errors = Config::parse(text, "f", &Vault).unwrap_err();
    let problem = &errors.problems()[0];
    let line = problem.to_string().lines().next().unwrap().to_owned();
    (line, problem.help.clone())
}

/// Has one variable and one file.
struct Vault;

impl Secrets for Vault {
    fn env(&self, name: &str) -> Result<String, NoSecret> {
        match name {
            "GOOD" => Ok("from-env".to_owned()),
            "EMPTY" => Ok(String::new()),
            _ => Err(NoSecret::Absent),
        }
    }

    fn file(&self, path: &std::path::Path) -> Result<String, NoSecret> {
        match path.to_str() {
            Some("/good") => Ok("from-file\n".to_owned()),
            Some("/lines") => Ok("s3cret\ns3cret\n".to_owned()),
            Some("/closed") => Err(NoSecret::Unreadable(std::io::ErrorKind::PermissionDenied)),
            _ => Err(NoSecret::Absent),
        }
    }
}

const NETWORK: &str = "[network.a]\naddress = [\"10.0.0.1\"]\n";

#[test]
fn who_is_silent_gets_the_usual() {
    let text = "[network.a]\ninterface = \"eth0\"\n[trunk.t]\nnetwork = \"a\"\nserver = \"sip:[2001:db8::1]\"\n\
                [phone.6001]\npassword = \"x\"\n[[route]]\nfrom = \"phone:6001\"\nto = \"trunk:t\"\n";
    let config = Config::parse(text, "f", &Vault).unwrap();
    assert_eq!(config.sbc.name, "sbc");
    assert_eq!(config.sbc.state_dir.to_str(), Some("/var/lib/sbc"));
    assert_eq!(config.sbc.admin.to_string(), "127.0.0.1:9960");
    let network = &config.networks[0];
    assert_eq!(network.bind, Bind::Interface("eth0".to_owned()));
    assert!(network.addresses.is_empty());
    let listeners: Vec<_> = network.sip.iter().map(ToString::to_string).collect();
    assert_eq!(listeners, ["udp:5060", "tcp:5060"]);
    assert_eq!(network.media_ports, 20000..=29999);
    assert_eq!(network.fast_path, FastPath::Auto);
    let trunk = &config.trunks[0];
    assert_eq!(trunk.server.to_string(), "udp:[2001:db8::1]:5060");
    assert_eq!(trunk.accept_from[0].to_string(), "2001:db8::1/128");
    assert!(trunk.media_from.is_empty());
    assert_eq!(trunk.codecs, Codec::ALL);
    assert_eq!(config.phones[0].codecs, Codec::ALL);
    assert_eq!(config.phones[0].display_name, None);
    assert_eq!(config.routes[0].name, "route 1");
}

#[test]
fn ids_follow_the_order_of_the_file() {
    let text = format!(
        "[phone.z]\npassword = \"1\"\n[phone.a]\npassword = \"2\"\n{NETWORK}[phone.m]\npassword = \"3\"\n\
         [[route]]\nfrom = \"phone:a\"\nto = [\"phone:m\", \"phone:z\"]\n"
    );
    let config = Config::parse(&text, "f", &Vault).unwrap();
    let names: Vec<_> = config.phones.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["z", "a", "m"]);
    assert_eq!(config.phone_named("m"), Some(PhoneId(2)));
    assert_eq!(config.routes[0].from, [From::Phone(PhoneId(1))]);
    assert_eq!(
        config.routes[0].to,
        [Target::Phone(PhoneId(2)), Target::Phone(PhoneId(0))]
    );
}

#[test]
fn media_ports_are_whole_pairs() {
    let range = |text: &str| {
        let text = format!("{NETWORK}media_ports = \"{text}\"");
        Config::parse(&text, "f", &Vault)
            .map(|config| config.networks[0].media_ports.clone())
            .map_err(|errors| errors.problems()[0].fault.to_string())
    };
    assert_eq!(range("20000-29999"), Ok(20000..=29999));
    assert_eq!(range("10001 - 20000"), Ok(10002..=19999));
    assert_eq!(range("20000-20003"), Ok(20000..=20003));
    assert_eq!(range("60000-65535"), Ok(60000..=65535));
    let pairs = "expected at least two pairs of an even and an odd port, as in `20000-20003`";
    for (text, expected) in [
        ("20000-20002", pairs),
        ("20001-20004", pairs),
        ("65535-65535", pairs),
        ("20000-65536", "expected ports up to 65535"),
        ("1000-2000", "expected ports from 1024 on"),
        ("3000-2000", "expected the lower port first"),
        ("x-y", "expected a range such as `20000-29999`"),
    ] {
        assert_eq!(
            range(text),
            Err(format!("media_ports: found `{text}`, {expected}"))
        );
    }
}

#[test]
fn what_check_prints() {
    let config = Config::parse(LAB, "lab.toml", &NoSecrets).unwrap();
    assert_eq!(
        describe(&config),
        "\
sbc \"lab\": state in /var/lib/sbc-lab, admin at http://127.0.0.1:9960

NETWORK  ADDRESS    SIP                 MEDIA PORTS  FAST PATH
left     10.71.1.1  udp:5060, tcp:5060  20000-29999  auto
right    10.71.2.1  udp:5060, tcp:5060  20000-29999  auto

SIP LIMITS  A STRANGER  ALL STRANGERS  A TRUNK OR PHONE  A BAN LASTS
left        50/s        2000/s         10000/s           10m
right       50/s        2000/s         10000/s           10m

TRUNK  NETWORK  SERVER              RECOGNISED BY  OFFERED
a      left     udp:10.71.1.2:5060  10.71.1.2      G722, PCMU, PCMA
b      right    udp:10.71.2.2:5060  10.71.2.2      PCMU, G722, PCMA

NO RTP OR RTCP FROM  AND NOBODY ON HOLD: AN ANSWERED CALL ENDS
trunk:a              after 1m, if the other leg is silent too
trunk:b              after 1m, if the other leg is silent too

ROUTES, the first that matches decides
 1. a-to-b: calls from trunk:a to any number go to trunk:b
 2. b-to-a: calls from trunk:b to any number go to trunk:a
"
    );
    let phones = ["6001", "6002"].map(|name| (name.to_owned(), "s3cret".to_owned()));
    let addresses =
        ["127.0.0.1", "192.168.1.2", "::1", "2001:db8::2"].map(|ip| ip.parse().unwrap());
    let networks = [("lan", addresses.to_vec())];
    let text = embedded(&networks, &phones, "/var/lib/sbc");
    let config = Config::parse(&text, "embedded", &NoSecrets).unwrap();
    assert_eq!(
        describe(&config),
        "\
sbc \"sbc\": state in /var/lib/sbc, admin at http://127.0.0.1:9960

NETWORK  ADDRESS      SIP                 MEDIA PORTS  FAST PATH
lan      127.0.0.1    udp:5060, tcp:5060  20000-29999  auto
         192.168.1.2
         ::1
         2001:db8::2
  A phone of network:lan on the internet would see 192.168.1.2, which it cannot
  reach: set `external`.

SIP LIMITS  A STRANGER  ALL STRANGERS  A TRUNK OR PHONE  A BAN LASTS
lan         50/s        2000/s         10000/s           10m

PHONE  SHOWN AS  OFFERED
6001   -         G722, PCMU, PCMA
6002   -         G722, PCMU, PCMA

NO RTP OR RTCP FROM  AND NOBODY ON HOLD: AN ANSWERED CALL ENDS
phones on lan        after 1m

ROUTES, the first that matches decides
 1. extensions: calls from any phone to any number go to the phone that was
    dialled (6001 or 6002)
"
    );
}

#[test]
fn an_admin_address_that_others_reach_is_told() {
    let told = |admin: &str| {
        let text =
            format!("[sbc]\nadmin = \"{admin}\"\nadmin_token = \"token-of-this-test\"\n{NETWORK}");
        describe(&Config::parse(&text, "f", &Vault).unwrap())
    };
    for admin in ["127.0.0.1:9960", "[::1]:9960", "127.1.2.3:1"] {
        assert!(!told(admin).contains("admin_token"), "{admin}");
    }
    for admin in ["0.0.0.0:9960", "[::]:9960", "10.0.0.1:9960"] {
        let told = told(admin);
        let flat = told.split_whitespace().collect::<Vec<_>>().join(" ");
        let note = "Other hosts may reach that address: metrics and API are for whoever has `admin_token`.";
        assert!(flat.contains(note), "{told}");
        assert!(!told.contains("token-of-this-test"), "{told}");
    }
}

#[test]
fn where_media_may_come_from_is_read_and_told() {
    let text = format!(
        "{NETWORK}[trunk.carrier]\nnetwork = \"a\"\nserver = \"sip:10.0.0.2\"\n\
         media_from = [\"198.51.100.0/24\", \"203.0.113.7\"]\n"
    );
    let config = Config::parse(&text, "f", &Vault).unwrap();
    let sources: Vec<_> = config.trunks[0]
        .media_from
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(sources, ["198.51.100.0/24", "203.0.113.7/32"]);
    let told = describe(&config);
    assert!(
        told.contains(
            "  Media of trunk:carrier may also come from 198.51.100.0/24 or 203.0.113.7,\n  whatever its SDP says.\n"
        ),
        "{told}"
    );
}

#[test]
fn a_trunk_may_say_how_long_its_calls_last() {
    let config = |key: &str| {
        let text = format!(
            "[network.a]\naddress = [\"10.0.0.1\"]\n[trunk.t]\nnetwork = \"a\"\nserver = \"sip:10.0.0.9\"\n{key}"
        );
        Config::parse(&text, "f", &NoSecrets).map_err(|errors| errors.to_string())
    };
    assert_eq!(config("").unwrap().trunks[0].max_duration, None);
    let four = config("max_duration = \"4h\"\n").unwrap();
    let hours = std::time::Duration::from_secs(14_400);
    assert_eq!(four.trunks[0].max_duration, Some(hours));
    let told = "Calls from and to trunk:t end 4h after the answer.";
    assert!(describe(&four).contains(told), "{}", describe(&four));
    for wrong in ["\"0s\"", "\"forever\"", "\"366d\""] {
        let error = config(&format!("max_duration = {wrong}\n")).unwrap_err();
        let expected = "expected a duration from `1s` to `365d`, such as `4h`";
        assert!(error.contains(expected), "{error}");
    }
    let error = config("max_duration = 4\n").unwrap_err();
    assert!(error.contains("expected a string"), "{error}");
}
