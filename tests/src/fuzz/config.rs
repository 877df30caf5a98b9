//! The box, and who is around it.

/// Nothing lasts for ever here, so that what is never ended ends all the same.
pub(super) const CONFIG: &str = r#"
[sbc]
name = "fuzz"
state_dir = "/tmp/sbc-fuzz"
admin = "127.0.0.1:9960"

[network.left]
address = ["10.71.1.1"]
sip = ["udp:5060", "tcp:5060"]
media_ports = "20000-20039"

[network.right]
address = ["10.71.2.1"]
sip = ["udp:5060", "tcp:5060"]
media_ports = "20000-20039"

[trunk.a]
network = "left"
server = "sip:192.0.2.250:5070"
codecs = ["PCMU", "PCMA"]
media_timeout = "60s"
max_duration = "1h"
transfers = true

[trunk.b]
network = "right"
server = "sip:10.71.2.2:5060"
codecs = ["PCMA", "PCMU"]
media_timeout = "60s"
max_duration = "1h"
username = "555"
password = "secret"
register = true

[trunk.c]
network = "right"
server = "sip:10.71.2.3:5060;transport=tcp"
codecs = ["PCMU", "G722"]
media_timeout = "off"
max_duration = "1h"
transfers = true
probe = "1h"
max_calls = 3
max_calls_per_second = 5

[phone.100]
password = "secret"
media_timeout = "60s"

[phone.200]
password = "secret"
media_timeout = "60s"

[[route]]
from = ["phone:*", "trunk:a", "trunk:b"]
number = "[12]00"
to = ["phone:{number}"]

[[route]]
from = ["phone:*", "trunk:a"]
number = "3XX"
to = ["trunk:b", "trunk:c"]

[[route]]
from = ["phone:*", "trunk:a"]
number = "5XX"
to = ["trunk:c"]

[[route]]
from = ["phone:*", "trunk:b", "trunk:c"]
number = "4XX"
to = ["trunk:a"]
"#;

/// How somebody's messages come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// 0 is left, 1 is right.
    pub(super) network: u16,
    pub(super) address: &'static str,
    /// The connection, if he has one.
    pub(super) connection: Option<u64>,
    /// His account, if he has one.
    pub(super) account: Option<&'static str>,
    /// The box has reason to listen to him.
    pub(super) is_known: bool,
}

const fn place(
    network: u16,
    address: &'static str,
    connection: Option<u64>,
    account: Option<&'static str>,
    is_known: bool,
) -> Place {
    Place {
        network,
        address,
        connection,
        account,
        is_known,
    }
}

pub(super) const PLACES: [Place; 7] = [
    place(0, "192.0.2.250:5070", None, None, true),
    place(1, "10.71.2.2:5060", None, None, true),
    place(1, "10.71.2.3:5060", Some(3), None, true),
    place(0, "198.51.100.21:40000", None, Some("100"), true),
    place(0, "198.51.100.22:40002", Some(5), Some("200"), true),
    place(0, "203.0.113.66:5060", None, None, false),
    place(0, "203.0.113.67:41000", Some(7), None, false),
];

pub(super) const PASSWORD: &str = "secret";

/// Ours, by network.
pub(super) const OURS: [&str; 2] = ["10.71.1.1", "10.71.2.1"];
