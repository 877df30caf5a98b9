//! Plain tables for people: columns as wide as they must be, lists broken over lines, records where 80 columns are too few.

use std::fmt::Write as _;

/// Columns of a terminal.
pub(super) const WIDTH: usize = 80;
const GAP: usize = 2;

/// Rows under a header.
pub(super) struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

/// One or more things, beside each other where there is room, else one below the other.
pub(super) type Cell = Vec<String>;

impl Table {
    pub(super) fn new(header: &[&'static str]) -> Self {
        Table {
            header: header.to_vec(),
            rows: Vec::new(),
        }
    }

    /// As many cells as the header has.
    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// The table, each line with its break.
    pub(super) fn render(&self) -> String {
        let columns = self.header.len();
        let mut stacked = vec![false; columns];
        loop {
            let widths: Vec<_> = (0..columns)
                .map(|column| self.width(column, stacked[column]))
                .collect();
            let total = widths.iter().sum::<usize>() + GAP * columns.saturating_sub(1);
            if total <= WIDTH {
                return self.grid(&widths, &stacked);
            }
            let saving = |&column: &usize| widths[column] - self.width(column, true);
            match (0..columns)
                .filter(|column| !stacked[*column])
                .max_by_key(saving)
            {
                Some(column) => stacked[column] = true,
                None => return self.records(),
            }
        }
    }

    fn width(&self, column: usize, stacked: bool) -> usize {
        let header = self.header[column].chars().count();
        self.rows
            .iter()
            .filter_map(|row| row.get(column))
            .flat_map(|cell| lines(cell, stacked))
            .map(|line| line.chars().count())
            .max()
            .unwrap_or(0)
            .max(header)
    }

    fn grid(&self, widths: &[usize], stacked: &[bool]) -> String {
        let mut out = String::new();
        let header: Vec<_> = self.header.iter().map(ToString::to_string).collect();
        line(&mut out, widths, &header);
        for row in &self.rows {
            let cells: Vec<_> = row
                .iter()
                .zip(stacked)
                .map(|(cell, stacked)| lines(cell, *stacked))
                .collect();
            let height = cells.iter().map(Vec::len).max().unwrap_or(0);
            for index in 0..height {
                let texts: Vec<_> = cells
                    .iter()
                    .map(|cell| cell.get(index).cloned().unwrap_or_default())
                    .collect();
                line(&mut out, widths, &texts);
            }
        }
        out
    }

    /// One line for each cell: for rows that no terminal is wide enough for.
    fn records(&self) -> String {
        let mut out = String::new();
        let widest = self.header.iter().map(|h| h.len()).max().unwrap_or(0);
        for row in &self.rows {
            for (index, (title, cell)) in self.header.iter().zip(row).enumerate() {
                let indent = if index == 0 { 0 } else { GAP };
                let pad = widest + GAP - indent;
                for (index, text) in lines(cell, true).iter().enumerate() {
                    let title = if index == 0 { title } else { "" };
                    let text = format!("{:indent$}{title:pad$}{:GAP$}{text}", "", "");
                    let _ = writeln!(out, "{}", text.trim_end());
                }
            }
        }
        out
    }
}

/// Words broken into lines of the terminal's width; all but the first are indented by `hanging`.
pub(super) fn wrapped(text: &str, hanging: usize) -> String {
    let mut out = String::new();
    let mut width = 0;
    for (index, word) in text.split(' ').enumerate() {
        let length = word.chars().count();
        if width > hanging && width + 1 + length > WIDTH {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', hanging));
            out.push_str(word);
            width = hanging + length;
            continue;
        }
        if index > 0 {
            out.push(' ');
            width += 1;
        }
        out.push_str(word);
        width += length;
    }
    out.push('\n');
    out
}

fn lines(cell: &Cell, stacked: bool) -> Vec<String> {
    if stacked {
        cell.clone()
    } else {
        vec![cell.join(", ")]
    }
}

fn line(out: &mut String, widths: &[usize], texts: &[String]) {
    let mut line = String::new();
    for (width, text) in widths.iter().zip(texts) {
        let _ = write!(line, "{text:width$}{:GAP$}", "");
    }
    let _ = writeln!(out, "{}", line.trim_end());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(atoms: &[&str]) -> Cell {
        atoms.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn lists_stack_where_a_line_is_too_short() {
        let mut table = Table::new(&["NAME", "WHAT", "MORE"]);
        table.row(vec![cell(&["a"]), cell(&["one", "two"]), cell(&["x"])]);
        assert_eq!(table.render(), "NAME  WHAT      MORE\na     one, two  x\n");
        let (long, other) = ("l".repeat(35), "o".repeat(35));
        table.row(vec![
            cell(&["b"]),
            cell(&[&long, &other]),
            cell(&["y", "z"]),
        ]);
        let expected = format!(
            "NAME  {:35}  MORE\na     {:35}  x\n      two\nb     {long}  y, z\n      {other}\n",
            "WHAT", "one"
        );
        assert_eq!(table.render(), expected);
    }

    #[test]
    fn records_where_no_line_is_long_enough() {
        let mut table = Table::new(&["NAME", "WHAT"]);
        let long = "l".repeat(75);
        table.row(vec![cell(&["a"]), cell(&[&long, "x"])]);
        assert_eq!(
            table.render(),
            format!("NAME    a\n  WHAT  {long}\n        x\n")
        );
    }

    #[test]
    fn words_wrap() {
        let text = wrapped(&format!("1. {}", "word ".repeat(20).trim_end()), 3);
        let lengths: Vec<_> = text.lines().map(str::len).collect();
        assert_eq!(lengths, [77, 27]);
        assert!(text.lines().nth(1).unwrap().starts_with("   word"));
    }
}
