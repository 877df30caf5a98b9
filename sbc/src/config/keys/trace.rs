//! `[trace]`.

use super::Key;

pub(in crate::config) const TRACE: &[Key] = &[
    Key::usual(
        "memory",
        "\"64MB\"",
        "\"256MB\"",
        "a size from `1MB` to `16GB`, or `0`",
        "What all of it may take of the memory; what is least worth keeping makes room. `0`: nothing is kept.",
    ),
    Key::usual(
        "keep",
        "\"1h\"",
        "\"10m\"",
        "a duration",
        "How long a call that went well is kept after its end.",
    ),
    Key::usual(
        "keep_failed",
        "\"1d\"",
        "\"7d\"",
        "a duration",
        "The same of one that came to nothing, or in which somebody was not heard.",
    ),
];
