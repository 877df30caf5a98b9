//! Aligned columns for a terminal.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

/// Between two columns.
const GAP: usize = 2;

/// How a column is aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Rows under a header, each column as wide as its widest cell.
#[derive(Clone, Debug)]
pub(super) struct Columns<const N: usize> {
    titles: [&'static str; N],
    align: [Align; N],
    lines: Vec<Line<N>>,
}

#[derive(Clone, Debug)]
enum Line<const N: usize> {
    Cells([String; N]),
    /// Over the whole width.
    Text(String),
}

impl<const N: usize> Columns<N> {
    /// No row yet.
    pub(super) fn new(titles: [(&'static str, Align); N]) -> Self {
        Columns {
            titles: titles.map(|(title, _)| title),
            align: titles.map(|(_, align)| align),
            lines: Vec::new(),
        }
    }

    pub(super) fn row(&mut self, cells: [String; N]) {
        self.lines.push(Line::Cells(cells));
    }

    /// A line that is not in columns.
    pub(super) fn text(&mut self, text: impl Into<String>) {
        self.lines.push(Line::Text(text.into()));
    }

    /// The header, then all rows; no blanks at the end of a line.
    pub(super) fn render(&self) -> String {
        self.fit(usize::MAX, &[]).0
    }

    /// The same in so many characters, as far as that can be had by leaving columns out, the first of these first; and the titles of those that
    /// are. Lines that are not in columns are as wide as they are.
    pub(super) fn fit(&self, room: usize, spare: &[usize]) -> (String, Vec<&'static str>) {
        let mut widths = self.widths();
        let mut left_out = Vec::new();
        for &column in spare {
            let shown = widths.iter().flatten();
            if shown.map(|width| width + GAP).sum::<usize>() <= room.saturating_add(GAP) {
                break;
            }
            if let Some(width) = widths.get_mut(column) {
                *width = None;
                left_out.extend(self.titles.get(column));
            }
        }
        let mut out = String::new();
        self.line(&mut out, widths, self.titles);
        for line in &self.lines {
            match line {
                Line::Cells(cells) => self.line(&mut out, widths, cells.each_ref().map(|c| &**c)),
                Line::Text(text) => {
                    let _ = writeln!(out, "{}", text.trim_end());
                }
            }
        }
        (out, left_out)
    }

    fn widths(&self) -> [Option<usize>; N] {
        let mut widths = self.titles.map(width);
        for line in &self.lines {
            if let Line::Cells(cells) = line {
                for (widest, cell) in widths.iter_mut().zip(cells) {
                    *widest = width(cell).max(*widest);
                }
            }
        }
        widths.map(Some)
    }

    /// A column without a width is left out.
    fn line(&self, out: &mut String, widths: [Option<usize>; N], cells: [&str; N]) {
        let mut line = String::new();
        for ((width, align), cell) in widths.into_iter().zip(self.align).zip(cells) {
            let Some(width) = width else { continue };
            let _ = match align {
                Align::Left => write!(line, "{cell:<width$}{:GAP$}", ""),
                Align::Right => write!(line, "{cell:>width$}{:GAP$}", ""),
            };
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
}

/// Characters in a line of the terminal; as many as there are where nobody says.
pub(super) fn terminal_width() -> usize {
    let terminal = terminal_size::terminal_size_of(io::stdout());
    // For whoever shows what comes through a pipe, as `watch` does.
    let told = || std::env::var("COLUMNS").ok()?.parse().ok();
    let width = terminal.map(|(width, _)| usize::from(width.0));
    width
        .or_else(told)
        .filter(|width| *width > 0)
        .unwrap_or(usize::MAX)
}

/// In lines of so many characters at most, broken at blanks where there are any.
pub(super) fn wrapped(text: &str, most: usize) -> Vec<String> {
    let most = most.max(1);
    let mut lines = Vec::new();
    let mut line: Vec<char> = Vec::new();
    for c in text.chars() {
        line.push(c);
        if line.len() <= most {
            continue;
        }
        let blank = line.iter().rposition(|c| *c == ' ').filter(|at| *at > 0);
        let rest = match blank {
            Some(at) => {
                let rest = line.split_off(at + 1);
                line.pop();
                rest
            }
            None => line.split_off(most),
        };
        lines.push(line.iter().collect::<String>());
        line = rest;
    }
    lines.push(line.iter().collect::<String>());
    lines
}

/// Each line that is longer than the room in several, those after the first so far to the right.
pub(super) fn folded(text: &str, room: usize, indent: usize) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let first = wrapped(line, room).into_iter().next().unwrap_or_default();
        out.push_str(&first);
        out.push('\n');
        let rest: String = line.chars().skip(width(&first)).collect();
        if rest.is_empty() {
            continue;
        }
        for part in wrapped(rest.trim_start(), room.saturating_sub(indent)) {
            let _ = writeln!(out, "{:indent$}{part}", "");
        }
    }
    out
}

/// `1:02:03`, days as hours.
pub(super) fn clock(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        hours => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// `7 s`, `12 min`, `3 h`, `4 d`: whole ones.
pub(super) fn ago(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// `999 B`, `1.2 kB`, `34 MB`: three digits at most, powers of 1000.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1000.0;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        if value < 999.5 {
            break;
        }
        value /= 1000.0;
        unit = larger;
    }
    match value < 9.95 {
        true => format!("{value:.1} {unit}"),
        false => format!("{value:.0} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut columns = Columns::new([("NAME", Align::Left), ("COUNT", Align::Right)]);
        columns.row(["é".to_owned(), "1".to_owned()]);
        columns.text("a line that is longer than all columns");
        columns.row(["longer".to_owned(), "1234567".to_owned()]);
        columns.row(["last".to_owned(), String::new()]);
        assert_eq!(
            columns.render(),
            "NAME      COUNT\né             1\na line that is longer than all columns\nlonger  1234567\nlast\n"
        );
    }

    #[test]
    fn what_does_not_fit_is_left_out_in_order() {
        let mut columns = Columns::new(["A", "BB", "CCC"].map(|title| (title, Align::Left)));
        columns.row(["1", "2", "3"].map(str::to_owned));
        let all = "A  BB  CCC\n1  2   3\n".to_owned();
        assert_eq!(columns.fit(10, &[1, 2]), (all, Vec::new()));
        let two = "A  CCC\n1  3\n".to_owned();
        assert_eq!(columns.fit(9, &[1, 2]), (two.clone(), vec!["BB"]));
        assert_eq!(columns.fit(6, &[1, 2]), (two, vec!["BB"]));
        let one = ("A\n1\n".to_owned(), vec!["BB", "CCC"]);
        assert_eq!(columns.fit(0, &[1, 2]), one);
    }

    #[test]
    fn long_lines_are_folded_at_blanks() {
        let text = "  at  one two three\nshort\n";
        assert_eq!(folded(text, usize::MAX, 6), text);
        assert_eq!(
            folded(text, 11, 6),
            "  at  one\n      two\n      three\nshort\n"
        );
    }

    #[test]
    fn times_are_whole() {
        for (seconds, text) in [
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7_199, "119 min"),
            (7_200, "2 h"),
            (172_799, "47 h"),
            (172_800, "2 d"),
        ] {
            assert_eq!(ago(Duration::from_secs(seconds)), text);
        }
        assert_eq!(ago(Duration::from_millis(1_999)), "1 s");
    }

    #[test]
    fn bytes_have_three_digits() {
        for (count, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (9_949, "9.9 kB"),
            (9_950, "10 kB"),
            (999_499, "999 kB"),
            (999_500, "1.0 MB"),
            (258_172, "258 kB"),
            (u64::MAX, "18 EB"),
        ] {
            assert_eq!(bytes(count), text, "{count}");
        }
    }
}
