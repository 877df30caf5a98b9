//! `[cdr]`.

use super::Key;

pub(in crate::config) const CDR: &[Key] = &[
    Key::optional(
        "json",
        "none",
        "\"/var/log/sbc/calls.json\"",
        "the path of a file",
        "One JSON object a line.",
    )
    .wants_restart(),
    Key::optional(
        "csv",
        "none",
        "\"/var/log/sbc/calls.csv\"",
        "the path of another file",
        "RFC 4180, with a line of names.",
    )
    .wants_restart(),
    Key::optional(
        "rotate",
        "never",
        "[\"1d\", \"100MB\"]",
        "a duration, a size from `1kB` to `1TB`, or one of each",
        "Another file is begun with each span of so long, counted in UTC, and at this size.",
    )
    .wants_restart(),
    Key::optional(
        "keep",
        "all",
        "30",
        "1 to 100000",
        "How many files stay that were put away.",
    )
    .wants_restart(),
    Key::optional(
        "webhook",
        "none",
        "\"https://billing.example/calls\"",
        "a URL, with http or https",
        "POST of a JSON list, repeated until it is taken.",
    )
    .wants_restart(),
    Key::optional(
        "token",
        "none is sent",
        "{ env = \"CALLS_TOKEN\" }",
        "a secret",
        "Goes along to the webhook as `Authorization: Bearer`.",
    )
    .wants_restart(),
    Key::usual(
        "spool",
        "\"32MB\"",
        "\"256MB\"",
        "a size from `1MB` to `16GB`",
        "Taken of the disk in `state_dir` at the start, for records that have yet to go elsewhere.",
    )
    .wants_restart(),
    Key::usual(
        "mask",
        "0",
        "3",
        "0 to 15",
        "So many digits at the end of each number are written as `x`.",
    )
    .wants_restart(),
];
