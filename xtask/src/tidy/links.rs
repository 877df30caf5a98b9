//! Links of the documentation within the repository: the file is there, and has the heading.

use std::path::{Component, Path, PathBuf};

use super::Finding;

/// `read` gives the text of a file by its path in the repository.
pub(super) fn check(
    path: &str,
    text: &str,
    read: &dyn Fn(&Path) -> Option<String>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, target) in links(text) {
        if target.contains("://") || target.starts_with("mailto:") {
            continue;
        }
        let (file, heading) = target.split_once('#').unwrap_or((target, ""));
        let there = match file {
            "" => Some(text.to_owned()),
            file => read(&beside(path, file)),
        };
        let what = match there {
            None => format!("{target}: there is no such file"),
            Some(page) if !heading.is_empty() && !headings(&page).any(|one| one == heading) => {
                format!("{target}: there is no such heading")
            }
            Some(_) => continue,
        };
        findings.push(Finding {
            path: path.to_owned(),
            line,
            what,
        });
    }
    findings
}

/// Line and target of each link outside of code blocks.
fn links(text: &str) -> impl Iterator<Item = (usize, &str)> {
    outside_code(text).flat_map(|(line, text)| {
        text.split("](")
            .skip(1)
            .filter_map(move |rest| Some((line, rest.split_once(')')?.0)))
    })
}

/// What a link to each heading names.
fn headings(text: &str) -> impl Iterator<Item = String> {
    let titles = outside_code(text).filter_map(|(_, line)| {
        let title = line.trim_start_matches('#');
        (title.len() < line.len()).then(|| title.trim())
    });
    titles.map(|title| {
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        let kept: String = title.chars().filter(kept).collect();
        kept.to_lowercase().replace(' ', "-")
    })
}

fn outside_code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut is_code = false;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        is_code ^= fence;
        !is_code && !fence
    })
}

/// The path in the repository of what `file` names in the page at `path`.
fn beside(path: &str, file: &str) -> PathBuf {
    let mut found = Path::new(path).to_owned();
    found.pop();
    for part in Path::new(file).components() {
        match part {
            Component::ParentDir => drop(found.pop()),
            Component::CurDir => {}
            part => found.push(part),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_files_and_headings() {
        let other = "# A page\n\n```\n# no heading\n```\n## `[network.NAME]` of it\n";
        let read = |path: &Path| (path == Path::new("docs/a.md")).then(|| other.to_owned());
        let told = |text| -> Vec<String> {
            let findings = check("docs/b.md", text, &read);
            findings.iter().map(ToString::to_string).collect()
        };
        let fine = "# Here\n[a](a.md) [b](../docs/a.md#networkname-of-it) [c](#here) [d](https://example.net/x)\n```\n[e](gone.md)\n```\n";
        assert_eq!(told(fine), [""; 0]);
        assert_eq!(
            told("\n[a](gone.md) and [b](a.md#no-heading) and [c](#there)"),
            [
                "docs/b.md:2: gone.md: there is no such file",
                "docs/b.md:2: a.md#no-heading: there is no such heading",
                "docs/b.md:2: #there: there is no such heading",
            ]
        );
    }
}
