//! What the daemon runs on when nobody gave it a file: a file all the same, to keep and go on from.

use std::fmt::Write as _;
use std::net::IpAddr;

use super::bind::usable;

/// The embedded defaults as TOML, read like any other file: a network of each name at those of its addresses that hold
/// beyond the link, a phone account for each of `phones` (name and password), and every phone may call every other.
#[must_use]
pub fn embedded(
    networks: &[(&str, Vec<IpAddr>)],
    phones: &[(String, String)],
    state_dir: &str,
) -> String {
    let mut text = format!(
        "\
# A file to start from. Check what you change with `sbc check --config FILE`.

[sbc]
name      = \"sbc\"                      # how the box calls itself towards phones
state_dir = {state_dir}
admin     = \"127.0.0.1:9960\"           # metrics and health

# A side of the box. Phones call each other across sides; one more could lead to a carrier or a PBX.
",
        state_dir = quoted(state_dir),
    );
    for (name, addresses) in networks {
        let addresses: Vec<_> = usable(addresses)
            .iter()
            .map(|ip| format!("\"{ip}\""))
            .collect();
        // Writing into a string does not fail.
        let _ = write!(
            text,
            "\
[network.{name}]
address     = [{addresses}]  # or interface = \"eth0\" for all addresses of one
sip         = [\"udp:5060\", \"tcp:5060\"]
media_ports = \"20000-29999\"            # UDP; the box forwards what belongs to a call and drops the rest
fast_path   = \"auto\"                   # auto | native | generic | off: whether the kernel forwards media

",
            addresses = addresses.join(", "),
        );
    }
    if !phones.is_empty() {
        text.push_str(
            "\n# Phones that register here, by user name. A password may stay out of this file: `password = { env = \"NAME\" }`\n\
             # or `{ file = \"PATH\" }`.\n",
        );
    }
    for (name, password) in phones {
        // Writing into a string does not fail.
        let _ = write!(
            text,
            "[phone.{}]\npassword = {}\n\n",
            key(name),
            quoted(password)
        );
    }
    text.push_str(
        "# Routes are read from the top; the first that matches decides. `number = \"6XXX\"` would ask for a number too.
[[route]]
name = \"extensions\"
from = [\"phone:*\"]
to   = [\"phone:{number}\"]      # the phone that was dialled
",
    );
    text
}

/// A TOML key, bare where it may be.
fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(bare) {
        name.to_owned()
    } else {
        quoted(name)
    }
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::super::{Bind, Config, FastPath, From, NoSecrets, Target, Template};
    use super::*;

    fn phones() -> Vec<(String, String)> {
        vec![
            ("6001".to_owned(), "a\"b\\c".to_owned()),
            ("+49.2".to_owned(), "#xyz".to_owned()),
        ]
    }

    #[test]
    fn loads_and_says_what_was_put_in() {
        let addresses: Vec<IpAddr> = ["127.0.0.1", "192.168.1.2", "fe80::1", "2001:db8::2", "::1"]
            .iter()
            .map(|ip| ip.parse().unwrap())
            .collect();
        let networks = [
            ("lan", addresses.clone()),
            ("local", vec![[127, 0, 0, 2].into()]),
        ];
        let text = embedded(&networks, &phones(), "/tmp/a \"dir\"");
        let config = Config::parse(&text, "embedded", &NoSecrets).unwrap();
        assert_eq!(config.sbc.name, "sbc");
        assert_eq!(config.sbc.state_dir.to_str(), Some("/tmp/a \"dir\""));
        assert_eq!(config.sbc.admin.to_string(), "127.0.0.1:9960");
        let lan = &config.networks[0];
        assert_eq!(lan.name, "lan");
        assert_eq!(
            lan.bind,
            Bind::Addresses(vec![addresses[0], addresses[1], addresses[3], addresses[4]])
        );
        let local = &config.networks[1];
        assert_eq!((local.name.as_str(), config.networks.len()), ("local", 2));
        assert_eq!(local.bind, Bind::Addresses(vec![[127, 0, 0, 2].into()]));
        let listeners: Vec<_> = lan.sip.iter().map(ToString::to_string).collect();
        assert_eq!(listeners, ["udp:5060", "tcp:5060"]);
        assert_eq!(lan.media_ports, 20000..=29999);
        assert_eq!(lan.fast_path, FastPath::Auto);
        let accounts: Vec<_> = config
            .phones
            .iter()
            .map(|p| (p.name.clone(), p.password.reveal().to_owned()))
            .collect();
        assert_eq!(accounts, phones());
        assert_eq!(config.routes.len(), 1);
        assert_eq!(config.routes[0].from, [From::AnyPhone]);
        assert_eq!(
            config.routes[0].to,
            [Target::DialledPhone(Template::parse("{number}").unwrap())]
        );
        assert!(config.routes[0].number.is_empty());
    }

    #[test]
    fn looks_like_a_file_to_keep() {
        let text = embedded(
            &[("lan", vec!["127.0.0.1".parse().unwrap()])],
            &phones()[1..],
            "/var/lib/sbc",
        );
        for line in text.lines() {
            assert!(line.chars().count() <= 120, "{line}");
        }
        assert!(
            text.contains("\n[phone.\"+49.2\"]\npassword = \"#xyz\"\n"),
            "{text}"
        );
    }
}
