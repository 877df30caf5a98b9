//! Rust source without what is no code: comments, literals, tests.

/// A file, its code alone in the same lines and columns as it stands.
pub(super) struct Source {
    /// From the top of the repository.
    pub(super) path: String,
    /// Blank where there was a comment or a literal.
    pub(super) code: String,
    /// As `code`, blank too where there was a `#[cfg(test)]` item; blank altogether in a file of tests.
    pub(super) product: String,
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Source {
        let code = blank_literals(text);
        let product = if is_test_file(path) {
            String::new()
        } else {
            blank_tests(&code)
        };
        Source {
            path: path.to_owned(),
            code,
            product,
        }
    }

    /// Each identifier-bounded occurrence of `word` in `text`, as a line number from 1.
    pub(super) fn lines_with(text: &str, word: &str) -> Vec<usize> {
        occurrences(text, word)
            .map(|at| line_of(text, at))
            .collect()
    }
}

/// Byte offsets at which `word` stands with no identifier character on either side.
pub(super) fn occurrences<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |&at| {
            let before = text[..at].chars().next_back();
            let after = text[at + word.len()..].chars().next();
            let inside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
            !inside(before) && !inside(after)
        })
}

/// The line of an offset, from 1.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

fn is_test_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name == "tests.rs"
        || name.ends_with("_tests.rs")
        || path
            .split('/')
            .any(|part| part == "tests" || part == "benches")
}

/// Comments, strings and characters become blanks; line ends stay.
fn blank_literals(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_end(&chars, at);
        if end > at {
            out.extend(chars[at..end].iter().map(|&c| blank(c)));
            at = end;
        } else {
            out.push(chars[at]);
            at += 1;
        }
    }
    out
}

fn blank(c: char) -> char {
    if c == '\n' { '\n' } else { ' ' }
}

/// Where the comment or literal that begins at `at` ends; `at` if there is none.
fn literal_end(chars: &[char], at: usize) -> usize {
    let rest = &chars[at..];
    let word_before = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match rest {
        ['/', '/', ..] => at + rest.iter().position(|&c| c == '\n').unwrap_or(rest.len()),
        ['/', '*', ..] => at + block_comment(rest),
        ['"', ..] => at + quoted(rest, '"'),
        ['r', '"' | '#', ..] if !word_before => at + raw_string(rest, 1),
        ['b', '"', ..] if !word_before => at + 1 + quoted(&rest[1..], '"'),
        ['b', 'r', '"' | '#', ..] if !word_before => at + raw_string(rest, 2),
        // 'a' and '\n' are characters, 'a alone is a lifetime.
        ['\'', '\\', ..] | ['\'', _, '\'', ..] => at + quoted(rest, '\''),
        _ => at,
    }
}

fn block_comment(rest: &[char]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        match &rest[at..] {
            ['/', '*', ..] => {
                depth += 1;
                at += 2;
            }
            ['*', '/', ..] => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    rest.len()
}

fn quoted(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            c if c == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// `r#"..."#`, its prefix `skip` characters long; 0 if it is a raw identifier.
fn raw_string(rest: &[char], skip: usize) -> usize {
    let hashes = rest[skip..].iter().take_while(|&&c| c == '#').count();
    if rest.get(skip + hashes) != Some(&'"') {
        return 0;
    }
    let mut at = skip + hashes + 1;
    while at < rest.len() {
        let closes =
            rest[at] == '"' && rest[at + 1..].iter().take_while(|&&c| c == '#').count() >= hashes;
        if closes {
            return at + 1 + hashes;
        }
        at += 1;
    }
    rest.len()
}

/// `#[cfg(test)]` and the item after it become blanks.
fn blank_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut out = code.to_owned();
    let mut from = 0;
    while let Some(found) = code[from..].find(MARK) {
        let start = from + found;
        let end = item_end(code, start + MARK.len());
        let blanks: String = code[start..end].chars().map(blank).collect();
        // Blanks may be shorter than what they stand for if that was not ASCII; identifiers are.
        if blanks.len() == end - start {
            out.replace_range(start..end, &blanks);
        }
        from = end;
    }
    out
}

/// The end of the item after `from`: its closing brace, or a semicolon before any brace.
fn item_end(code: &str, from: usize) -> usize {
    let mut depth = 0usize;
    for (at, c) in code[from..].char_indices() {
        match c {
            ';' if depth == 0 => return from + at + 1,
            '{' => depth += 1,
            '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return from + at + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_no_code() {
        let text = "a // x\nb /* x /* x */ x */ c \"x\\\"x\" d 'x' e r#\"x\"x\"# f &'x str b'x' br\"x\" \"x\nx\"";
        let code = blank_literals(text);
        assert_eq!(code.len(), text.len());
        assert_eq!(code.matches('\n').count(), 2);
        assert_eq!(
            code.split_whitespace().collect::<Vec<_>>(),
            ["a", "b", "c", "d", "e", "f", "&'x", "str", "b"]
        );
    }

    #[test]
    fn tests_are_no_product() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() { {} }\n}\nfn c() {}\n#[cfg(test)]\nuse d;\nfn e() {}\n";
        let source = Source::new("sbc/src/sip/a.rs", text);
        for (word, lines) in [("a", 1), ("b", 0), ("c", 1), ("d", 0), ("e", 1)] {
            let found = Source::lines_with(&source.product, word).len();
            assert_eq!(found, lines, "{word}");
        }
        assert_eq!(Source::lines_with(&source.code, "b"), [4]);
    }

    #[test]
    fn files_of_tests_are_no_product() {
        for path in [
            "sbc/src/sip/tests.rs",
            "sbc/src/call/tests/hold.rs",
            "sbc/src/a_tests.rs",
        ] {
            assert_eq!(Source::new(path, "fn a() {}").product, "", "{path}");
        }
    }

    #[test]
    fn words_are_whole_words() {
        let at: Vec<usize> = occurrences("unsafe_code unsafe {", "unsafe").collect();
        assert_eq!(at, [12]);
    }
}
