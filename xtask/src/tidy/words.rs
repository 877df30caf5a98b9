//! What must not stand in any file: places of one machine, marks of unfinished work.

use super::Finding;

/// Split, so that this file does not find itself.
const WORDS: [(&str, &str); 9] = [
    (concat!("/wo", "rk/"), "a path of one machine"),
    (concat!("/ro", "ot/"), "a path of one machine"),
    (concat!("/ho", "me/"), "a path of one machine"),
    (concat!("../sh", "ared"), "a path of one machine"),
    (concat!("crates", ".io"), "a package registry"),
    (concat!("static.", "crates"), "a package registry"),
    (concat!("proxy.go", "lang"), "a package registry"),
    (
        concat!("FIX", "ME"),
        "unfinished: finish it or write down what is missing where users read it",
    ),
    (
        concat!("XX", "X:"),
        "unfinished: finish it or write down what is missing where users read it",
    ),
];

/// Made by a tool, which writes such words itself.
const MADE: [&str; 1] = ["Cargo.lock"];

pub(super) fn check(path: &str, text: &str) -> Vec<Finding> {
    if MADE.contains(&path) {
        return Vec::new();
    }
    let found = |(index, line): (usize, &str)| -> Vec<Finding> {
        WORDS
            .iter()
            .filter(|(word, _)| line.contains(word))
            .map(|(word, why)| Finding {
                path: path.to_owned(),
                line: index + 1,
                what: format!("{word:?}: {why}"),
            })
            .collect()
    };
    text.lines().enumerate().flat_map(found).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_found_where_it_stands() {
        for (word, _) in WORDS {
            let findings = check("README.md", &format!("fine\nsee {word}x\n"));
            assert_eq!(findings.len(), 1, "{word}");
            assert_eq!(findings[0].line, 2, "{word}");
        }
    }

    #[test]
    fn ordinary_text_is_fine() {
        assert_eq!(check("README.md", "the first call\n"), []);
        let lock = format!("source = {:?}", WORDS[4].0);
        assert_eq!(check("Cargo.lock", &lock), []);
    }
}
