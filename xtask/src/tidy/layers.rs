//! Who may import whom: L0 nothing of ours, L1 L0 and L1, nobody `io`.

use super::Finding;
use super::source::{Source, line_of, occurrences};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
enum Layer {
    L0,
    L1,
    L2,
}

/// The modules at the top of the crate.
const MODULES: [(&str, Layer); 19] = [
    ("config", Layer::L0),
    ("sip", Layer::L0),
    ("sdp", Layer::L0),
    ("rtp", Layer::L0),
    ("codec", Layer::L0),
    ("pcap", Layer::L0),
    ("transaction", Layer::L1),
    ("dialog", Layer::L1),
    ("call", Layer::L1),
    ("registrar", Layer::L1),
    ("routing", Layer::L1),
    ("media", Layer::L1),
    ("flight", Layer::L1),
    ("shed", Layer::L1),
    ("external", Layer::L1),
    ("trunks", Layer::L1),
    ("trace", Layer::L1),
    ("engine", Layer::L1),
    ("io", Layer::L2),
];

/// The program's own module, beside `main.rs`.
const PROGRAM: &str = "cli";

const ROOT: &str = "sbc/src/";

pub(super) fn check(source: &Source) -> Vec<Finding> {
    let Some(inside) = source.path.strip_prefix(ROOT) else {
        return Vec::new();
    };
    let path: Vec<&str> = module_path(inside);
    let Some(&home) = path.first().filter(|&&home| home != PROGRAM) else {
        // lib.rs and the program see everything.
        return Vec::new();
    };
    let finding = |line, what| Finding {
        path: source.path.clone(),
        line,
        what,
    };
    let Some(from) = layer(home) else {
        return vec![finding(
            1,
            format!("module {home} is in no layer: say in xtask which"),
        )];
    };
    imports(&source.code, path.len())
        .into_iter()
        .filter(|(to, _)| !may_import(home, from, to))
        .map(|(to, line)| finding(line, format!("{home} ({from:?}) must not import {to}")))
        .collect()
}

fn may_import(home: &str, from: Layer, to: &str) -> bool {
    match layer(to) {
        // Not a module of ours: a macro, or an item of lib.rs.
        None => true,
        Some(_) if home == to => true,
        // Config knows the transports by their names.
        Some(_) if home == "config" && to == "sip" => true,
        Some(Layer::L2) => false,
        Some(to) => from > Layer::L0 && to <= from,
    }
}

fn layer(module: &str) -> Option<Layer> {
    MODULES
        .iter()
        .find(|(name, _)| *name == module)
        .map(|(_, layer)| *layer)
}

/// `sip/header/via.rs` is `[sip, header, via]`, `sip/mod.rs` is `[sip]`, `lib.rs` is the root.
fn module_path(inside: &str) -> Vec<&str> {
    let mut parts: Vec<&str> = inside.trim_end_matches(".rs").split('/').collect();
    if matches!(parts.last(), Some(&"mod" | &"lib" | &"main")) {
        parts.pop();
    }
    parts
}

/// The modules of ours that are named, with the line: through `crate::` or `sbc::`, or through so many `super::` that
/// they reach the root from a module `depth` levels below it.
fn imports(code: &str, depth: usize) -> Vec<(String, usize)> {
    let roots = ["crate::", "sbc::"]
        .into_iter()
        .flat_map(|prefix| occurrences_of_prefix(code, prefix));
    let supers = "super::".repeat(depth);
    let climbing = occurrences_of_prefix(code, &supers)
        // An inline module climbs one more: then the module named is a sibling's, and in no layer.
        .filter(|&end| !code[end..].starts_with("super::"));
    roots
        .chain(climbing)
        .flat_map(|end| {
            let line = line_of(code, end);
            heads(&code[end..])
                .into_iter()
                .map(move |head| (head, line))
        })
        .collect()
}

/// Offsets just behind each `prefix`.
fn occurrences_of_prefix<'a>(
    code: &'a str,
    prefix: &'a str,
) -> Box<dyn Iterator<Item = usize> + 'a> {
    let word = prefix.trim_end_matches("::");
    Box::new(
        occurrences(code, word)
            .map(|at| at + word.len())
            .filter(|&at| code[at..].starts_with("::"))
            .filter(move |&at| !code[..at - word.len()].ends_with("super::"))
            .map(|at| at + 2),
    )
}

/// The first identifiers of a path or of a `{…}` group of paths.
fn heads(path: &str) -> Vec<String> {
    let path = path.trim_start();
    let Some(group) = path.strip_prefix('{') else {
        return Vec::from([identifier(path)]);
    };
    let mut heads = Vec::new();
    let mut depth = 0;
    let mut item = String::new();
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                heads.push(identifier(item.trim_start()));
                item.clear();
                continue;
            }
            _ => {}
        }
        item.push(c);
    }
    heads.push(identifier(item.trim_start()));
    heads
}

fn identifier(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<String> {
        check(&Source::new(path, text))
            .iter()
            .map(|f| format!("{}: {}", f.line, f.what))
            .collect()
    }

    #[test]
    fn bytes_import_nothing_of_ours() {
        let text = "use crate::sip::Name;\nuse crate::config::Codec;\n";
        assert_eq!(
            findings("sbc/src/sip/via.rs", text),
            ["2: sip (L0) must not import config"]
        );
        assert_eq!(
            findings("sbc/src/config/model.rs", "use crate::sip::Transport;"),
            [""; 0]
        );
        assert_eq!(
            findings("sbc/src/config/model.rs", "use crate::media::Path;"),
            ["1: config (L0) must not import media"]
        );
    }

    #[test]
    fn state_machines_import_each_other_and_bytes() {
        let text = "use crate::{config::{Config, Network}, dialog, sip};\nuse sbc_ebpf::Verdict;\n";
        assert_eq!(findings("sbc/src/call/mod.rs", text), [""; 0]);
    }

    #[test]
    fn nobody_imports_the_shells() {
        for text in [
            "use crate::io::run;",
            "use crate::{sip,\n io::run};",
            "fn a() { crate::io::run() }",
            "use super::io::run;",
            "use super :: io;",
        ] {
            let found = findings("sbc/src/engine/mod.rs", text);
            assert_eq!(found.is_empty(), text.contains(" :: "), "{text}: {found:?}");
        }
        assert_eq!(
            findings(
                "sbc/src/engine/deep/file.rs",
                "use super::super::super::io::run;"
            )
            .len(),
            1
        );
        assert_eq!(
            findings("sbc/src/engine/deep/file.rs", "use super::super::io;"),
            [""; 0]
        );
        assert_eq!(
            findings(
                "sbc/src/io/run.rs",
                "use crate::io::metrics; use crate::sip;"
            ),
            [""; 0]
        );
    }

    #[test]
    fn comments_import_nothing() {
        assert_eq!(
            findings("sbc/src/sip/mod.rs", "//! [`crate::io`]\n"),
            [""; 0]
        );
    }

    #[test]
    fn a_new_module_must_be_given_a_layer() {
        assert_eq!(
            findings("sbc/src/billing/mod.rs", ""),
            ["1: module billing is in no layer: say in xtask which"]
        );
    }
}
