//! The keys as a page: `docs/config.md`.

use std::fmt::Write as _;

use super::{Described, Key, SECTIONS, Usual};

const BEGINNING: &str = "\
<!-- Made by `cargo xtask docs` from sbc/src/config/keys: change it there. -->
# The config, key by key

One file in TOML. `sbc check --config FILE` says what it comes to, or with line and column what is wrong with it; a key that is not on this page is an
error. The file is read at the start and by `sbc reload` (or SIGHUP), which takes the whole of it or nothing and touches no call. What is marked with
↻ a reload cannot change: it says so, and the config in force stays until a restart.

Durations are whole numbers with a unit: `5ms` (where milliseconds make sense), `30s`, `10m`, `1h`, `2d`. One text may stand for a list of one.
Names are letters, digits, `-`, `_`, `.` and `+`, 64 characters at most. Whole files: [a home](../deploy/examples/home.toml), [an edge](../deploy/examples/carriers.toml),
[an Asterisk or FreePBX behind it](../deploy/examples/asterisk.toml).

";

/// All keys, as Markdown.
#[must_use]
pub fn reference() -> String {
    let mut page = BEGINNING.to_owned();
    for section in SECTIONS {
        // Writing into a string does not fail.
        let _ = writeln!(
            page,
            "- [{}](#{})",
            section.heading,
            anchor(section.heading)
        );
    }
    for section in SECTIONS {
        page.push_str(&described(section));
    }
    page
}

fn described(section: &Described) -> String {
    let mut text = format!(
        "\n## {}\n\n{}\n\n| key | where it is not there | takes | does |\n|---|---|---|---|\n",
        section.heading, section.about
    );
    for key in section.keys {
        text.push_str(&row(key));
    }
    text
}

fn row(key: &Key) -> String {
    let mark = if key.wants_restart { " ↻" } else { "" };
    let usual = match key.usual {
        Usual::Required => "*required*".to_owned(),
        Usual::Value(value) => format!("`{value}`"),
        Usual::Words(words) => words.to_owned(),
    };
    let cells = [
        format!("`{}`{mark}", key.name),
        usual,
        format!("{}; `{} = {}`", key.takes, key.name, key.example),
        key.about.to_owned(),
    ];
    // A bar ends a cell, within backticks too.
    let cells = cells.map(|cell| cell.replace('|', "\\|"));
    format!("| {} |\n", cells.join(" | "))
}

/// What a link to a heading names.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    let kept = heading.chars().filter(kept);
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}
