//! What the core must not do, and where unsafe code may stand.

use super::Finding;
use super::source::{Source, line_of, occurrences};

/// Paths that reach out of the core, and what to do instead.
const OUTSIDE: [(&str, &str); 17] = [
    ("Instant::now", "time comes in as an argument"),
    ("SystemTime", "time comes in as an argument"),
    ("UdpSocket", "sockets are io's"),
    ("TcpStream", "sockets are io's"),
    ("TcpListener", "sockets are io's"),
    ("UnixStream", "sockets are io's"),
    ("std::fs", "files are io's"),
    ("std::thread", "threads are io's"),
    ("std::process", "processes are io's"),
    ("std::env", "the environment is main's"),
    ("tokio", "tasks are io's"),
    ("socket2", "sockets are io's"),
    ("tracing", "return facts, io logs them"),
    ("println", "return facts, io prints them"),
    ("eprintln", "return facts, io prints them"),
    ("rand::rng", "a seed comes in as an argument"),
    ("OsRng", "a seed comes in as an argument"),
];

/// The shells, and the files at the root that wire up.
const SHELLS: [&str; 3] = ["sbc/src/io/", "sbc/src/main.rs", "sbc/src/cli"];

/// The only places with unsafe code: the kernel program, the rings, the allocator that counts.
const UNSAFE: [&str; 3] = [
    "ebpf/src/",
    "sbc/src/io/media/ring",
    "sbc/tests/relay_allocates_nothing.rs",
];

pub(super) fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let path = source.path.as_str();
    let finding = |line, what| Finding {
        path: path.to_owned(),
        line,
        what,
    };
    if is_core(path) {
        for (word, instead) in OUTSIDE {
            for at in occurrences(&source.product, word) {
                let line = line_of(&source.product, at);
                findings.push(finding(line, format!("{word} in the core: {instead}")));
            }
        }
    }
    if !UNSAFE.iter().any(|place| path.starts_with(place)) {
        for line in Source::lines_with(&source.code, "unsafe") {
            findings.push(finding(
                line,
                format!("unsafe code is for {}", UNSAFE.join(", ")),
            ));
        }
    }
    findings
}

fn is_core(path: &str) -> bool {
    path.starts_with("sbc/src/") && !SHELLS.iter().any(|shell| path.starts_with(shell))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(&Source::new(path, text))
            .iter()
            .map(|f| f.line)
            .collect()
    }

    #[test]
    fn the_core_reaches_nothing_outside() {
        for (word, _) in OUTSIDE {
            let text = format!("fn a() {{\n    {word}::x();\n}}\n");
            assert_eq!(lines("sbc/src/engine/a.rs", &text), [2], "{word}");
            assert_eq!(lines("sbc/src/io/a.rs", &text), [0; 0], "{word}");
            assert_eq!(lines("xtask/src/a.rs", &text), [0; 0], "{word}");
        }
    }

    #[test]
    fn tests_may_take_the_first_instant_from_the_clock() {
        let text = "#[cfg(test)]\nmod tests {\n fn a() { Instant::now(); }\n}\n";
        assert_eq!(lines("sbc/src/engine/a.rs", text), [0; 0]);
    }

    #[test]
    fn unsafe_stands_in_its_places_only() {
        let text = "#![deny(unsafe_code)]\nfn a() {\n unsafe { b() }\n}\n";
        for path in [
            "sbc/src/io/metrics.rs",
            "sbc/src/sip/mod.rs",
            "xtask/src/a.rs",
            "tests/src/a.rs",
        ] {
            assert_eq!(lines(path, text), [3], "{path}");
        }
        for path in UNSAFE {
            let path = if path.ends_with('/') {
                format!("{path}a.rs")
            } else {
                path.to_owned()
            };
            assert_eq!(lines(&path, text), [0; 0], "{path}");
        }
    }

    #[test]
    fn unsafe_in_a_test_counts_too() {
        let text = "#[cfg(test)]\nmod tests {\n fn a() { unsafe {} }\n}\n";
        assert_eq!(lines("sbc/src/sip/a.rs", text), [3]);
    }
}
