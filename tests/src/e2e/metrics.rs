//! Prometheus text, as a test reads it.

use anyhow::{Context, Result};

/// One scrape.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    series: Vec<Series>,
}

#[derive(Clone, Debug, PartialEq)]
struct Series {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Metrics {
    /// Reads the text format.
    ///
    /// # Errors
    /// A line is not of that format.
    pub fn parse(text: &str) -> Result<Metrics> {
        let series = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| Series::parse(line).with_context(|| format!("not a metric: {line}")))
            .collect::<Result<_>>()?;
        Ok(Metrics { series })
    }

    /// The sum of all series of that name that have these labels; 0 if there is none.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.matching(name, labels).map(|series| series.value).sum()
    }

    /// Whether there is any series of that name and these labels.
    #[must_use]
    pub fn has(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        self.matching(name, labels).next().is_some()
    }

    /// All series whose name begins with `prefix`, as text, those of value 0 left out.
    #[must_use]
    pub fn show(&self, prefix: &str) -> Vec<String> {
        self.series
            .iter()
            .filter(|series| series.name.starts_with(prefix) && series.value != 0.0)
            .map(|series| {
                let labels: Vec<_> = series
                    .labels
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                format!("{}{{{}}} {}", series.name, labels.join(","), series.value)
            })
            .collect()
    }

    fn matching<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = &'a Series> {
        self.series.iter().filter(move |series| {
            series.name == name
                && labels.iter().all(|(label, value)| {
                    series
                        .labels
                        .iter()
                        .any(|(have, is)| have == label && is == value)
                })
        })
    }
}

impl Series {
    fn parse(line: &str) -> Option<Series> {
        let (key, value) = match line.split_once('}') {
            Some((key, rest)) => (key, rest.split_whitespace().next()?),
            None => {
                let mut words = line.split_whitespace();
                (words.next()?, words.next()?)
            }
        };
        let (name, labels) = match key.split_once('{') {
            Some((name, labels)) => (name, parse_labels(labels)?),
            None => (key, Vec::new()),
        };
        Some(Series {
            name: name.to_owned(),
            labels,
            value: value.parse().ok()?,
        })
    }
}

/// Label values of ours hold no comma, brace or quotation mark.
fn parse_labels(text: &str) -> Option<Vec<(String, String)>> {
    text.split(',')
        .filter(|part| !part.trim().is_empty())
        .map(|part| {
            let (name, value) = part.split_once('=')?;
            let value = value.trim().strip_prefix('"')?.strip_suffix('"')?;
            Some((name.trim().to_owned(), value.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP packets Some.\n# TYPE packets counter\n\
        packets{network=\"left\",path=\"kernel\"} 10\npackets{network=\"right\",path=\"kernel\"} 5\n\
        packets{network=\"left\",path=\"user\"} 1\nup 1\nbucket{le=\"+Inf\"} 3 1700000000\n";

    #[test]
    fn labels_select_and_values_add_up() {
        let metrics = Metrics::parse(TEXT).unwrap();
        assert_eq!(metrics.sum("packets", &[("path", "kernel")]), 15.0);
        assert_eq!(metrics.sum("packets", &[]), 16.0);
        assert_eq!(metrics.sum("up", &[]), 1.0);
        assert_eq!(metrics.sum("bucket", &[("le", "+Inf")]), 3.0);
        assert!(!metrics.has("packets", &[("path", "transcoded")]));
    }

    #[test]
    fn what_is_no_metric_is_an_error() {
        assert!(Metrics::parse("packets{network=left} 10\n").is_err());
        assert!(Metrics::parse("packets ten\n").is_err());
    }
}
