//! Rows of figures: a table for people, JSON for comparison.

use anyhow::Result;
use serde_json::{Value, json};

/// One figure, or why there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What was measured.
    pub name: String,
    /// What it is counted in.
    pub unit: &'static str,
    /// The figure, or the reason for its absence.
    pub figure: Result<f64, String>,
    /// What it may be at most, where there is such a goal.
    pub goal: Option<f64>,
}

impl Row {
    /// A row without a goal; of an error the first line is kept.
    pub fn new(name: impl Into<String>, unit: &'static str, figure: Result<f64>) -> Row {
        Row {
            name: name.into(),
            unit,
            figure: figure.map_err(|error| first_line(&format!("{error:#}"))),
            goal: None,
        }
    }

    /// The same with a goal: at most this.
    #[must_use]
    pub fn at_most(mut self, goal: f64) -> Row {
        self.goal = Some(goal);
        self
    }

    /// As a line of the table.
    #[must_use]
    pub fn line(&self) -> String {
        let name = &self.name;
        match &self.figure {
            Ok(figure) => {
                let goal = self.goal.map_or(String::new(), |goal| {
                    let verdict = match self.is_met() {
                        Some(false) => "MISSED",
                        _ => "met",
                    };
                    format!("  at most {}: {verdict}", shown(goal))
                });
                format!("{name:<60} {:>12} {}{goal}", shown(*figure), self.unit)
            }
            Err(reason) => format!("{name:<60} {:>12} {reason}", "skipped:"),
        }
    }

    /// Whether the goal is met, where there is one and it was measured.
    #[must_use]
    pub fn is_met(&self) -> Option<bool> {
        let (figure, goal) = (self.figure.as_ref().ok()?, self.goal?);
        Some(*figure <= goal)
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name,
            "unit": self.unit,
            "value": self.figure.as_ref().ok(),
            "skipped": self.figure.as_ref().err(),
            "goal": self.goal,
            "met": self.is_met(),
        })
    }
}

/// All rows by section as JSON.
#[must_use]
pub fn json(sections: &[(&str, Vec<Row>)]) -> Value {
    let rows = sections.iter().flat_map(|(section, rows)| {
        rows.iter().map(move |row| {
            let mut value = row.json();
            value["section"] = json!(section);
            value
        })
    });
    json!({ "rows": rows.collect::<Vec<_>>() })
}

/// In one line how many goals were met, and the names of those that were not.
#[must_use]
pub fn summary<'a>(rows: impl IntoIterator<Item = &'a Row>) -> String {
    let (mut met, mut missed, mut skipped) = (0, Vec::new(), 0);
    for row in rows {
        match row.is_met() {
            Some(true) => met += 1,
            Some(false) => missed.push(row.name.as_str()),
            None if row.goal.is_some() => skipped += 1,
            None => {}
        }
    }
    let mut line = format!(
        "goals: {met} met, {} MISSED, {skipped} skipped",
        missed.len()
    );
    if !missed.is_empty() {
        line.push_str(": ");
        line.push_str(&missed.join("; "));
    }
    line
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// Three digits that count.
fn shown(figure: f64) -> String {
    match figure.abs() {
        f if f >= 100.0 => format!("{figure:.0}"),
        f if f >= 10.0 => format!("{figure:.1}"),
        f if f >= 1.0 => format!("{figure:.2}"),
        _ => format!("{figure:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_or_missed() {
        let row = |figure| Row::new("ratio", "x", Ok(figure)).at_most(1.5).line();
        assert!(
            row(1.5).ends_with("1.50 x  at most 1.50: met"),
            "{}",
            row(1.5)
        );
        assert!(row(1.6).ends_with("at most 1.50: MISSED"));
        let rows = [
            Row::new("a", "x", Ok(1.0)).at_most(2.0),
            Row::new("b", "x", Ok(3.0)).at_most(2.0),
        ];
        assert_eq!(summary(&rows), "goals: 1 met, 1 MISSED, 0 skipped: b");
    }

    #[test]
    fn what_was_not_measured_says_why() {
        let row = Row::new("ratio", "x", Err(anyhow::anyhow!("no root\nat all")));
        assert!(row.line().ends_with("skipped: no root"), "{}", row.line());
        assert_eq!(
            summary([&row]),
            "goals: 0 met, 0 MISSED, 0 skipped",
            "a row without a goal is none"
        );
        let value = json(&[("a section", vec![row])]);
        assert_eq!(value["rows"][0]["section"], "a section");
        assert_eq!(value["rows"][0]["skipped"], "no root");
        assert_eq!(value["rows"][0]["value"], Value::Null);
    }
}
