//! `[network.NAME]`.

use super::Key;

pub(in crate::config) const NETWORK: &[Key] = &[
    Key::optional(
        "interface",
        "`address` says it",
        "\"eth0\"",
        "the name of a network interface",
        "The box is at all global addresses of the interface, of both families. Either this or `address` has to be there.",
    )
    .wants_restart(),
    Key::optional(
        "address",
        "`interface` says it",
        "[\"10.71.1.1\"]",
        "addresses of this host",
        "The box is at these addresses. The first of a family is the one that calls to that family leave from.",
    )
    .wants_restart(),
    Key::optional(
        "local",
        "with `external` all private and link-local addresses; else everybody",
        "[\"192.168.1.0/24\"]",
        "prefixes",
        "Who sees the box's own address, and where phones may be that are not `remote`. Whoever is on this host or on the /64 of an own IPv6 address always counts.",
    ),
    Key::optional(
        "external",
        "everybody sees our own address",
        "\"203.0.113.8\"",
        "one IPv4 and one IPv6 address, or `\"auto\"`",
        "The address that peers outside of `local` are shown, in SIP and in SDP, where the box is [behind a router](home.md#behind-a-router). `\"auto\"`: it is found and followed. Ports stay the same.",
    ),
    Key::optional(
        "stun",
        "the network's trunks tell, by `received` in their answers",
        "\"stun.example.net\"",
        "`HOST` or `HOST:PORT` (3478)",
        "With `external = \"auto\"`: the STUN server that tells the address.",
    ),
    Key::usual(
        "sip",
        "[\"udp:5060\", \"tcp:5060\"]",
        "[\"udp:5080\"]",
        "`udp:PORT` and `tcp:PORT`",
        "What SIP listens on, at each address.",
    )
    .wants_restart(),
    Key::usual(
        "media_ports",
        "\"20000-29999\"",
        "\"16384-18383\"",
        "a range of UDP ports from 1024 on, at least two pairs",
        "Where media comes in. Two ports for each leg and stream of a call, even and odd, which rest for 30 s afterwards. The range must not overlap the system's own (`net.ipv4.ip_local_port_range`) unless it is reserved there; `check` says how.",
    )
    .wants_restart(),
    Key::usual(
        "fast_path",
        "\"auto\"",
        "\"off\"",
        "`\"auto\"`, `\"native\"`, `\"generic\"` or `\"off\"`",
        "Whether the kernel forwards media: native XDP where the driver has it, else generic, else user space; one of the two alone; or never. What came of it, and why, is told at the start.",
    )
    .wants_restart(),
    Key::optional(
        "media_timeout",
        "60 s for phones; a trunk ends a call by itself only when the other leg is silent too",
        "\"90s\"",
        "a duration from `1s` to `365d`, or `\"off\"`",
        "For its trunks and phones that say nothing: an answered call ends when no packet came from one leg for so long and [nobody is on hold](calls.md#media-that-stops).",
    ),
    Key::optional(
        "transfers",
        "`true` for phones, `false` for trunks",
        "\"pass\"",
        "`false`, `true` (or `\"here\"`) or `\"pass\"`",
        "For its trunks and phones that say nothing: what becomes of their REFER. `false`: refused (403); `true`: the box transfers the call, by their routes; `\"pass\"`: [the other party gets it](calls.md#what-passes-from-one-side-to-the-other).",
    ),
    Key::usual(
        "methods",
        "[\"INFO\", \"MESSAGE\", \"SUBSCRIBE\", \"NOTIFY\"]",
        "[\"INFO\", \"X-PING\"]",
        "up to 32 names of methods, or none",
        "For its trunks and phones that say nothing: which requests pass inside their calls, beside those that the box serves itself.",
    ),
    Key::usual(
        "headers",
        "[\"*\"]",
        "[\"*\", \"P-Asserted-Identity\"]",
        "up to 32 names of headers, or none; `\"*\"` is all that the box does not know",
        "For its trunks and phones that say nothing: [which headers pass](calls.md#what-passes-from-one-side-to-the-other), beside the usual ones.",
    ),
    Key::optional(
        "limits",
        "`{ requests_per_second = 50, ban = \"10m\" }`",
        "{ requests_per_second = 100 }",
        "a table",
        "How much SIP a stranger may send, and how long bans last; its keys are below.",
    ),
    Key::optional(
        "dscp",
        "`{ sip = \"CS3\", media = \"EF\" }`",
        "{ sip = \"CS5\" }",
        "a table",
        "How what leaves is marked; its keys are below.",
    )
    .wants_restart(),
    Key::usual(
        "digest",
        "[\"MD5\"]",
        "[\"SHA-256\", \"MD5\"]",
        "`\"MD5\"` and `\"SHA-256\"`, the best first",
        "What its phones are asked to hash their passwords with. Phones built on libre (baresip 1.0) give up at the sight of SHA-256. An answer by SHA-256 is always taken.",
    ),
];

pub(in crate::config) const LIMITS: &[Key] = &[
    Key::usual(
        "requests_per_second",
        "50",
        "100",
        "1 to 100000",
        "Datagrams, connections and messages over them from a source that is neither a trunk nor a registered phone. All of those together have 40 times that; each trunk and registered phone has 200 times that.",
    ),
    Key::usual(
        "ban",
        "\"10m\"",
        "\"1h\"",
        "a duration from `1s` to `365d`",
        "How long a [ban](security.md#floods-and-bans) lasts that says nothing of its own. Each of the same source lasts four times as long as the one before, up to a day.",
    ),
];

pub(in crate::config) const DSCP: &[Key] = &[
    Key::usual(
        "sip",
        "\"CS3\"",
        "\"CS5\"",
        "a mark",
        "Of signalling over UDP and TCP.",
    )
    .wants_restart(),
    Key::usual(
        "media",
        "\"EF\"",
        "34",
        "a mark",
        "Of RTP, RTCP and whatever else the legs of a call exchange.",
    )
    .wants_restart(),
];
