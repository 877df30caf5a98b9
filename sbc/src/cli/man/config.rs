//! sbc.toml(5): the keys of the config, as [`sbc::config::SECTIONS`] has them.

use clap_mangen::roff::{Inline, Roff, bold, roman};
use sbc::config::{Key, SECTIONS, Usual};

/// Its file name.
pub(super) const NAME: &str = "sbc.toml.5";

/// The page.
pub(super) fn page() -> Vec<u8> {
    let mut roff = Roff::new();
    let source = concat!("sbc ", env!("CARGO_PKG_VERSION"));
    roff.control("TH", ["sbc.toml", "5", "", source, "sbc"]);
    roff.control("SH", ["NAME"]);
    roff.text([roman("sbc.toml - the config of sbc(1)")]);
    roff.control("SH", ["DESCRIPTION"]);
    roff.text([roman(
        "One file in TOML. sbc-check(1) says what it comes to, or where it is wrong; a key that is not on this page is an error. The file is read at the start \
         and by sbc-reload(1), which takes the whole of it or nothing and touches no call. Durations are whole numbers with a unit: 30s, 10m, 1h, 2d. One \
         text may stand for a list of one.",
    )]);
    for section in SECTIONS {
        roff.control("SH", [section.heading.replace('`', "").as_str()]);
        roff.text(spoken(section.about));
        for key in section.keys {
            roff.control("TP", []);
            roff.text([bold(key.name), roman(format!(" = {}", key.example))]);
            roff.text(spoken(&described(key)));
        }
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman("sbc(1), sbc-check(1), sbc-explain(1), sbc-reload(1)")]);
    let mut text = Vec::new();
    // Writing to memory does not fail.
    let _ = roff.to_writer(&mut text);
    text
}

fn described(key: &Key) -> String {
    let usual = match key.usual {
        Usual::Required => "Required.".to_owned(),
        Usual::Value(value) => format!("Default: `{value}`."),
        Usual::Words(words) => format!("Where it is not there: {words}."),
    };
    let restart = match key.wants_restart {
        true => " Another value wants a restart.",
        false => "",
    };
    format!("{} Takes {}. {usual}{restart}", key.about, key.takes)
}

/// Markdown as roff: what is code is bold, and of links the words stay.
fn spoken(markdown: &str) -> Vec<Inline> {
    let mut text = markdown.to_owned();
    while let Some(end) = text.find("](") {
        let (before, after) = text.split_at(end);
        let (Some(start), Some(close)) = (before.rfind('['), after.find(')')) else {
            break;
        };
        let words = before.get(start + 1..).unwrap_or_default();
        let rest = after.get(close + 1..).unwrap_or_default();
        text = format!("{}{words}{rest}", before.get(..start).unwrap_or_default());
    }
    let pieces = text.split('`').enumerate();
    pieces
        .map(|(index, piece)| match index % 2 {
            0 => roman(piece),
            _ => bold(piece),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_told_with_its_default() {
        let page = String::from_utf8(page()).unwrap();
        assert!(page.contains(".TH sbc.toml 5"), "{page}");
        for section in SECTIONS {
            for key in section.keys {
                let name = key.name.replace('-', "\\-");
                assert!(page.contains(&format!("\\fB{name}\\fR = ")), "{name}");
            }
        }
        assert!(page.contains("\"20000\\-29999\""), "{page}");
        assert!(!page.contains("]("), "{page}");
    }
}
