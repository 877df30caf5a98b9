//! `[trace]`: how much is kept of each call attempt for whoever asks why it failed.

use std::time::Duration;

use toml::de::DeValue;

use super::duration::shown_duration;
use super::error::Report;
use super::keys;
use super::model::Config;
use super::reader::Section;
use super::size::{bytes, shown_bytes};
use super::values::{self, Expected};

/// What traces may take of the memory.
const MEMORY: u64 = 64 << 20;
const MEMORY_MIN: u64 = 1 << 20;
const MEMORY_MAX: u64 = 16 << 30;
/// How long a call that went well is of interest.
const KEEP: Duration = Duration::from_secs(3600);
/// How long one that failed is: until somebody has the time to ask.
const KEEP_FAILED: Duration = Duration::from_secs(24 * 3600);

/// `[trace]`; what is silent about it gets the usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Bytes that all traces may take; 0: none are made.
    pub memory: usize,
    /// How long the trace of a call that went well is kept after its end.
    pub keep: Duration,
    /// The same of one that came to nothing, or in which somebody was not heard.
    pub keep_failed: Duration,
}

impl Default for Trace {
    fn default() -> Self {
        Trace {
            memory: usize::try_from(MEMORY).unwrap_or(usize::MAX),
            keep: KEEP,
            keep_failed: KEEP_FAILED,
        }
    }
}

/// The section.
pub(super) fn read(root: &Section<'_, '_>, report: &mut Report) -> Option<Trace> {
    let usual = Trace::default();
    let Some(value) = root.optional("trace") else {
        return Some(usual);
    };
    let DeValue::Table(table) = value.value else {
        report.add(value.at.clone(), value.mistyped("a table"));
        return None;
    };
    let section = Section::new("[trace]".to_owned(), value.at.clone(), table, keys::TRACE);
    section.unknown(report);
    // All that is wrong is told at once.
    let memory = match section.text("memory", report) {
        None => Some(usual.memory),
        Some(text) => values::one(&text, report, memory),
    };
    let mut time = |key, usual| match section.text(key, report) {
        None => Some(usual),
        Some(text) => values::one(&text, report, values::length),
    };
    let (keep, keep_failed) = (time("keep", KEEP), time("keep_failed", KEEP_FAILED));
    report.is_empty().then_some(Trace {
        memory: memory?,
        keep: keep?,
        keep_failed: keep_failed?,
    })
}

fn memory(text: &str) -> Result<usize, Expected> {
    let size = bytes(text).filter(|size| (MEMORY_MIN..=MEMORY_MAX).contains(size));
    let size = size.or((text == "0").then_some(0));
    size.and_then(|size| usize::try_from(size).ok())
        .ok_or_else(|| Expected {
            expected: "a size from `1MB` to `16GB` such as `64MB`, or `0` for no traces".to_owned(),
            help: None,
        })
}

/// What `sbc check` says of it, where it is not the usual.
pub(super) fn told(config: &Config) -> Vec<String> {
    let Trace {
        memory,
        keep,
        keep_failed,
    } = config.trace;
    if config.trace == Trace::default() {
        return Vec::new();
    }
    if memory == 0 {
        return vec!["No traces of calls are kept: `sbc trace` has nothing to show.".to_owned()];
    }
    vec![format!(
        "A trace of each call is kept for {}, of one that failed for {}; in {} of memory at most.",
        shown_duration(keep),
        shown_duration(keep_failed),
        shown_bytes(memory as u64),
    )]
}

#[cfg(test)]
mod tests {
    use super::super::NoSecrets;
    use super::*;

    fn config(trace: &str) -> Result<Config, String> {
        let text = format!("[network.a]\naddress = [\"10.0.0.1\"]\n{trace}\n");
        Config::parse(&text, "f", &NoSecrets).map_err(|errors| errors.to_string())
    }

    #[test]
    fn the_section_is_read() {
        let read = |text: &str| config(text).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(read("").trace, Trace::default());
        assert_eq!(read("[trace]").trace, Trace::default());
        assert_eq!(told(&read("")), Vec::<String>::new());
        let set = read("[trace]\nmemory = \"2MB\"\nkeep = \"10m\"\nkeep_failed = \"7d\"");
        let expected = Trace {
            memory: 2 << 20,
            keep: Duration::from_secs(600),
            keep_failed: Duration::from_secs(7 * 86_400),
        };
        assert_eq!(set.trace, expected);
        assert_eq!(
            told(&set),
            [
                "A trace of each call is kept for 10m, of one that failed for 7d; in 2MB of memory at most."
            ]
        );
        let off = read("[trace]\nmemory = \"0\"");
        assert_eq!(off.trace.memory, 0);
        assert!(told(&off)[0].starts_with("No traces"));
    }

    #[test]
    fn what_is_wrong_is_told_with_what_would_be_right() {
        for (text, found) in [
            (
                "memory = \"1kB\"",
                "memory: found `1kB`, expected a size from `1MB` to `16GB` such as `64MB`, or `0` for no traces",
            ),
            ("memory = 0", "memory"),
            (
                "keep = \"1\"",
                "keep: found `1`, expected a duration from `1s` to `365d`",
            ),
            ("keep_failed = \"\"", "keep_failed"),
            ("kep = \"1h\"", "did you mean `keep`?"),
        ] {
            let error = config(&format!("[trace]\n{text}")).unwrap_err();
            assert!(error.contains(found), "{text}: {error}");
        }
        let text = "trace = 1\n[network.a]\naddress = \"10.0.0.1\"\n";
        let error = Config::parse(text, "f", &NoSecrets)
            .unwrap_err()
            .to_string();
        assert!(error.contains("a table"), "{error}");
    }
}
