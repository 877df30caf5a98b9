//! `[flight_recorder]`.

use super::Key;

pub(in crate::config) const FLIGHT_RECORDER: &[Key] = &[
    Key::usual(
        "calls",
        "1000",
        "100",
        "1 to 4000",
        "How many calls at once are recorded, 33 kB each; those beyond are not.",
    )
    .wants_restart(),
    Key::optional(
        "directory",
        "no captures are written by themselves",
        "\"/var/lib/sbc/flight\"",
        "a directory",
        "Where captures of bad calls are written; required with `mos` or `loss`.",
    )
    .wants_restart(),
    Key::optional(
        "mos",
        "no call is bad for it",
        "3.5",
        "a score from 1 to 4.5",
        "A call with a stream that sounds worse is bad.",
    )
    .wants_restart(),
    Key::optional(
        "loss",
        "no call is bad for it",
        "5",
        "a percentage from 0.01 to 100",
        "A call with a stream that has lost so much is bad.",
    )
    .wants_restart(),
    Key::usual(
        "files",
        "100",
        "1000",
        "1 to 100000",
        "How many captures there are in the directory at most; the oldest give way.",
    )
    .wants_restart(),
    Key::usual(
        "payload",
        "false",
        "true",
        "`true` or `false`",
        "Whether what is said in a call may be recorded from when somebody asks for it (`sbc record CALL --payload FILE`). Wants an `admin_token`, or a Unix socket for `admin`.",
    )
    .wants_restart(),
];
