//! `[group.NAME]` and `[[route]]`.

use super::Key;

pub(in crate::config) const GROUP: &[Key] = &[
    Key::required(
        "members",
        "[\"phone:6001\", \"phone:6002\"]",
        "up to 64 of `phone:NAME` and `trunk:NAME`",
        "Who is in it, in order.",
    ),
    Key::usual(
        "strategy",
        "\"all\"",
        "\"in-order\"",
        "`\"all\"`, `\"in-order\"`, `\"round-robin\"` or `\"weighted\"`",
        "All ring at once; one after the other; each time beginning with the next; the first, and then whoever is next, drawn by weight.",
    ),
    Key::optional(
        "ring_for",
        "what the route says",
        "\"25s\"",
        "a duration from `1s` to `1h`",
        "How long each time that somebody is asked may last.",
    ),
];

pub(in crate::config) const MEMBER: &[Key] = &[
    Key::required(
        "target",
        "\"trunk:b\"",
        "`phone:NAME` or `trunk:NAME`",
        "Who it is.",
    ),
    Key::usual(
        "weight",
        "1",
        "3",
        "1 to 65535",
        "With `strategy = \"weighted\"`: its share.",
    ),
];

pub(in crate::config) const ROUTE: &[Key] = &[
    Key::optional(
        "name",
        "`route` and its number in the file",
        "\"national\"",
        "a name, of one route only",
        "How logs, records and `sbc calls` call it.",
    ),
    Key::required(
        "from",
        "[\"phone:*\"]",
        "`trunk:NAME`, `phone:NAME`, `phone:*`, `phones:NETWORK`, `network:NAME`",
        "Who calls: a trunk; a phone; any phone; phones that call from a network; whoever calls from there, its trunks too.",
    ),
    Key::optional(
        "number",
        "any number",
        "[\"1NXXNXXXXXX\", \"/^9(.*)$/\"]",
        "patterns, regular expressions between slashes, or `{ file = \"PATH\" }`",
        "One of them has to fit the whole number: X is 0-9, Z 1-9, N 2-9, `[15-7]` one of these, at the end `.` one or more of anything and `!` none or more. An expression is found anywhere unless `^` and `$` say otherwise, and may have nine groups.",
    ),
    Key::optional(
        "when",
        "always",
        "{ hours = \"08:00-18:00\", zone = \"Europe/Zurich\" }",
        "a table",
        "At what times the route holds; its keys are below.",
    ),
    Key::optional(
        "to",
        "required, unless a table says it",
        "[\"trunk:b\", \"reject:480\"]",
        "`trunk:NAME`, `phone:NAME`, `phone:{number}`, `group:NAME`, and as the last `reject:CODE` (400 to 699)",
        "Whom to ask, one after the other. `phone:{number}` is the phone of that name; no such phone is no target.",
    ),
    Key::optional(
        "dial",
        "the number as it was dialled",
        "\"+1555{number}\"",
        "a [template](routes.md#templates)",
        "What trunks are asked for.",
    ),
    Key::optional(
        "caller_id",
        "the caller himself",
        "\"John Doe <+15555555555>\"",
        "`NUMBER` or `NAME <NUMBER>`, each a template",
        "Who calls, as those who are asked see it.",
    ),
    Key::optional(
        "on_failure",
        "any answer but 6xx",
        "[408, \"5xx\"]",
        "codes, and classes such as `\"5xx\"`",
        "With which answers the next target is tried. No answer always leads to it.",
    ),
    Key::optional(
        "ring_for",
        "as long as is usual (180 s)",
        "\"30s\"",
        "a duration from `1s` to `1h`",
        "How long each time that somebody is asked may last, where his group says nothing.",
    ),
    Key::usual(
        "emergency",
        "false",
        "true",
        "`true` or `false`",
        "No limit and no failed probe ever stops a call of this route, and nothing hides who calls.",
    ),
    Key::usual(
        "add_headers",
        "{}",
        "{ \"Alert-Info\" = \"<http://localhost>;info=alert-autoanswer\" }",
        "up to 16 headers, one line each",
        "What all whom the route calls get, [in place of the caller's own](routes.md#headers-that-a-route-sets) of that name.",
    ),
];

pub(in crate::config) const NUMBER: &[Key] = &[Key::required(
    "file",
    "\"/etc/sbc/prefixes.csv\"",
    "the path of a file",
    "Up to 1,000,000 lines `prefix,to,dial`. It is read when the config is, also by a reload.",
)];

pub(in crate::config) const WHEN: &[Key] = &[
    Key::optional(
        "days",
        "each day",
        "[\"mon-fri\", \"12-25\"]",
        "`mon`, `mon-fri`, `12-25` (each year), `2026-12-24`",
        "On which days.",
    ),
    Key::optional(
        "hours",
        "the whole day",
        "\"22:00-06:00\"",
        "`08:00-18:00`",
        "At what hours. What goes over midnight belongs to the day that it begins on.",
    ),
    Key::required(
        "zone",
        "\"Europe/Zurich\"",
        "a name of the time zone database",
        "Whose days and hours. The database is in the program: a zone whose rules change needs a new one.",
    ),
];
