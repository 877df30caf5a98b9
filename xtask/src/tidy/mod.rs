//! House rules that no compiler checks. Each rule is a function from a file to findings, with a test that shows it fail.

mod layers;
mod links;
mod purity;
mod source;
mod words;

use std::fmt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::run::top;
use source::Source;

/// A file of code may have this many lines.
const LINES: usize = 500;

/// Where a rule is broken.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    /// From 1.
    line: usize,
    what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// Checks all files that git knows or would add.
pub(crate) fn run() -> Result<()> {
    let mut findings = Vec::new();
    for path in files()? {
        let Ok(text) = std::fs::read_to_string(top().join(&path)) else {
            // Not text, or deleted but not yet committed.
            continue;
        };
        findings.extend(check(&path, &text));
        if Path::new(&path).extension().is_some_and(|e| e == "md") {
            findings.extend(links::check(&path, &text, &|path| {
                let path = top().join(path);
                // A folder or a picture is there, and has no headings.
                path.exists()
                    .then(|| std::fs::read_to_string(path).unwrap_or_default())
            }));
        }
    }
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("{} findings", findings.len());
    }
    Ok(())
}

fn check(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = words::check(path, text);
    if Path::new(path).extension().is_some_and(|e| e == "rs") {
        let source = Source::new(path, text);
        findings.extend(length(path, text));
        findings.extend(layers::check(&source));
        findings.extend(purity::check(&source));
    }
    findings
}

fn length(path: &str, text: &str) -> Option<Finding> {
    let lines = text.lines().count();
    (lines > LINES).then(|| Finding {
        path: path.to_owned(),
        line: lines,
        what: format!("{lines} lines; a file of code has at most {LINES}: split it"),
    })
}

fn files() -> Result<Vec<String>> {
    let output = Command::new("git")
        // Whoever owns the checkout: a CI machine's root is often not its owner.
        .args(["-c", "safe.directory=*", "ls-files"])
        .args(["--cached", "--others", "--exclude-standard"])
        .current_dir(top())
        .output()
        .context("cannot start git")?;
    if !output.status.success() {
        bail!("git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
    Ok(text.lines().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_is_found() {
        assert_eq!(length("a.rs", &"\n".repeat(500)), None);
        let finding = length("a.rs", &"\n".repeat(501)).unwrap();
        assert_eq!(
            finding.to_string(),
            "a.rs:501: 501 lines; a file of code has at most 500: split it"
        );
    }

    #[test]
    fn the_repository_has_files() {
        let files = files().unwrap();
        assert!(
            files.contains(&"xtask/src/tidy/mod.rs".to_owned()),
            "{files:?}"
        );
    }
}
