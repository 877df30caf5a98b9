//! The config of the lab's box.

use std::path::Path;

use super::family::{Family, host};

/// `fast_path` of both networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FastPath {
    /// Native XDP.
    Native,
    /// Generic XDP.
    Generic,
    /// User space.
    Off,
}

impl std::str::FromStr for FastPath {
    type Err = anyhow::Error;

    fn from_str(word: &str) -> anyhow::Result<FastPath> {
        [FastPath::Native, FastPath::Generic, FastPath::Off]
            .into_iter()
            .find(|path| path.word() == word)
            .ok_or_else(|| anyhow::anyhow!("fast path {word:?}: native, generic or off"))
    }
}

impl FastPath {
    /// As the file spells it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            FastPath::Native => "native",
            FastPath::Generic => "generic",
            FastPath::Off => "off",
        }
    }

    /// The label of the path that packets must be counted under.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            FastPath::Native | FastPath::Generic => "kernel",
            FastPath::Off => "user",
        }
    }

    /// The label that must count nothing.
    #[must_use]
    pub fn other_label(self) -> &'static str {
        match self {
            FastPath::Native | FastPath::Generic => "user",
            FastPath::Off => "kernel",
        }
    }
}

/// Two SIP servers, one on each side of the box, and calls both ways.
#[must_use]
pub fn lab_config(fast_path: FastPath, state_dir: &Path) -> String {
    lab_config_over(Family::V4, fast_path, state_dir)
}

/// The same over either family.
#[must_use]
pub fn lab_config_over(family: Family, fast_path: FastPath, state_dir: &Path) -> String {
    let (phone, carrier) = (family.phone(), family.carrier());
    let (phone_host, carrier_host) = (host(phone), host(carrier));
    let networks = lab_networks(family, fast_path, state_dir);
    format!(
        r#"{networks}
[trunk.a]
network     = "left"
server      = "sip:{phone_host}:5060"
accept_from = ["{phone}"]
codecs      = ["G722", "PCMU", "PCMA"]

[trunk.b]
network     = "right"
server      = "sip:{carrier_host}:5060"
accept_from = ["{carrier}"]
codecs      = ["PCMU", "G722", "PCMA"]

[[route]]
name = "a-to-b"
from = ["trunk:a"]
to   = ["trunk:b"]

[[route]]
name = "b-to-a"
from = ["trunk:b"]
to   = ["trunk:a"]
"#
    )
}

/// `[sbc]` and both networks of the lab's box, without whoever is there.
#[must_use]
pub fn lab_networks(family: Family, fast_path: FastPath, state_dir: &Path) -> String {
    let (left, right) = (family.edge_left(), family.edge_right());
    let fast_path = fast_path.word();
    let state_dir = state_dir.display();
    format!(
        r#"[sbc]
name      = "lab"
state_dir = "{state_dir}"
admin     = "127.0.0.1:9960"

[network.left]
address     = ["{left}"]
sip         = ["udp:5060", "tcp:5060"]
media_ports = "20000-29999"
fast_path   = "{fast_path}"

[network.right]
address     = ["{right}"]
sip         = ["udp:5060", "tcp:5060"]
media_ports = "20000-29999"
fast_path   = "{fast_path}"
"#
    )
}
