//! The file itself, `[sbc]`, and how secrets are given.

use super::Key;

/// The sections of the file; what they are for stands in [`super::SECTIONS`].
pub(in crate::config) const ROOT: &[Key] = &[
    section("sbc", "[sbc]"),
    section("network", "[network.NAME]"),
    section("trunk", "[trunk.NAME]"),
    section("phone", "[phone.NAME]"),
    section("group", "[group.NAME]"),
    section("route", "[[route]]"),
    section("cdr", "[cdr]"),
    section("trace", "[trace]"),
    section("flight_recorder", "[flight_recorder]"),
];

const fn section(name: &'static str, heading: &'static str) -> Key {
    Key::optional(name, "nothing", heading, "a section", "")
}

pub(in crate::config) const SBC: &[Key] = &[
    Key::usual(
        "name",
        "\"sbc\"",
        "\"lab\"",
        "a name",
        "How the box calls itself: the realm that phones hash their passwords with (they have to register anew when it changes), Server and User-Agent, `node` of records.",
    )
    .wants_restart(),
    Key::usual(
        "state_dir",
        "\"/var/lib/sbc\"",
        "\"/var/lib/sbc-lab\"",
        "a directory",
        "Where phones are, who is banned, and records of calls on their way are kept over a restart. It is made if it is missing; where it cannot be written the log says so, phones register anew, and nobody is banned.",
    )
    .wants_restart(),
    Key::usual(
        "admin",
        "\"127.0.0.1:9960\"",
        "\"unix:/run/sbc/admin.sock\"",
        "an address and a port, or `unix:` and the path of a socket",
        "Where metrics, health and the API are, and where the command line asks. A socket is for its owner and group (mode 0660). An address that other hosts reach is refused without `admin_token`.",
    )
    .wants_restart(),
    Key::optional(
        "admin_token",
        "programs on this host need none, others get nothing",
        "{ file = \"/etc/sbc/admin.token\" }",
        "a secret of 16 printable characters or more",
        "What has to be sent at `admin` over TCP, for metrics too: `Authorization: Bearer TOKEN`. Over a Unix socket nobody needs it.",
    )
    .wants_restart(),
    Key::optional(
        "resolver",
        "those of `/etc/resolv.conf`",
        "[\"192.0.2.53\"]",
        "up to 8 addresses, each with a port or without (53)",
        "Name servers. `/etc/hosts` is read first.",
    )
    .wants_restart(),
    Key::usual(
        "media_cores",
        "\"auto\"",
        "[2, 3]",
        "`\"auto\"`, or the numbers of up to 64 processor cores",
        "A [media worker](performance.md#media-workers) on each of these cores, which it does not leave. `\"auto\"`: one for each core that the process may use, eight at most, wherever there is room.",
    )
    .wants_restart(),
    Key::usual(
        "media_priority",
        "\"high\"",
        "\"normal\"",
        "`\"high\"`, `\"normal\"` or `\"real-time\"`",
        "What media workers have before other processes: nice -10, nothing, or `SCHED_FIFO`, which is only had with `media_cores`.",
    )
    .wants_restart(),
    Key::usual(
        "media_gather",
        "\"5ms\"",
        "\"0ms\"",
        "whole milliseconds from `\"0ms\"` to `\"5ms\"`",
        "For so long a media worker with 32 transcoded calls or more that talk lets their packets come in, to do them together.",
    )
    .wants_restart(),
];

pub(in crate::config) const SECRET: &[Key] = &[
    Key::optional(
        "env",
        "`file` says it",
        "\"PHONE_6001\"",
        "the name of an environment variable",
        "It is read when the file is, also by a reload: under systemd from `/etc/sbc/environment`, which a reload of the service does not read again.",
    ),
    Key::optional(
        "file",
        "`env` says it",
        "\"/etc/sbc/phone-6001\"",
        "the path of a file",
        "It is read when the file is, also by a reload. An end of line at its end does not count.",
    ),
];
