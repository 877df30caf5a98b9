//! One metric family in the making.

use std::collections::BTreeMap;

use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

use crate::engine;

/// Labels and their values, in the order of the family's names.
type Values = Vec<String>;

/// A metric family: name, help, and a series or a histogram for each set of label values.
#[derive(Debug)]
pub(super) struct Family {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    labels: &'static [&'static str],
    series: BTreeMap<Values, f64>,
    histograms: Vec<(Values, Histogram)>,
}

impl Family {
    /// What only grows.
    pub(super) fn counter(
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Self {
        Family {
            name,
            help,
            kind: MetricType::COUNTER,
            labels,
            series: BTreeMap::new(),
            histograms: Vec::new(),
        }
    }

    /// What goes up and down.
    pub(super) fn gauge(
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Self {
        Family {
            kind: MetricType::GAUGE,
            ..Family::counter(name, help, labels)
        }
    }

    /// The engine's histogram, as it is.
    pub(super) fn histogram(
        name: &'static str,
        help: &'static str,
        from: &engine::Histogram,
    ) -> Self {
        let mut family = Family::histograms(name, help, &[]);
        family.observed([], from);
        family
    }

    /// Histograms, one for each set of label values.
    pub(super) fn histograms(
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Self {
        Family {
            kind: MetricType::HISTOGRAM,
            ..Family::counter(name, help, labels)
        }
    }

    /// One of them, as it is.
    pub(super) fn observed<const N: usize>(&mut self, values: [&str; N], from: &engine::Histogram) {
        // The bucket for all above is not among them: the encoder adds it, from the sample count.
        let mut cumulated = 0;
        let mut buckets = Vec::new();
        for (&bound, &count) in from.bounds().iter().zip(from.counts()) {
            cumulated += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(cumulated);
            buckets.push(bucket);
        }
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets);
        histogram.set_sample_count(from.counts().iter().sum());
        histogram.set_sample_sum(from.sum());
        self.histograms.push((owned(values), histogram));
    }

    /// A series that is to exist even if nothing has been counted.
    pub(super) fn zero<const N: usize>(&mut self, values: [&str; N]) {
        self.series.entry(owned(values)).or_insert(0.0);
    }

    /// Adds to a series.
    #[expect(
        clippy::cast_precision_loss,
        reason = "Prometheus knows nothing but f64: exact up to 2^53"
    )]
    pub(super) fn add<const N: usize>(&mut self, values: [&str; N], value: u64) {
        *self.series.entry(owned(values)).or_insert(0.0) += value as f64;
    }

    /// Sets a series to what is no whole number.
    pub(super) fn set<const N: usize>(&mut self, values: [&str; N], value: f64) {
        self.series.insert(owned(values), value);
    }

    /// The names of its labels.
    #[cfg(test)]
    pub(super) fn labels(&self) -> &'static [&'static str] {
        self.labels
    }

    /// The family as Prometheus wants it; `None` if it is empty.
    pub(super) fn finish(self) -> Option<MetricFamily> {
        let mut metrics: Vec<Metric> = self
            .series
            .into_iter()
            .map(|(values, value)| metric(self.kind, self.labels, values, value))
            .collect();
        for (values, histogram) in self.histograms {
            let mut metric = Metric::from_label(pairs(self.labels, values));
            metric.set_histogram(histogram);
            metrics.push(metric);
        }
        if metrics.is_empty() {
            return None;
        }
        let mut family = MetricFamily::default();
        family.set_name(self.name.to_owned());
        family.set_help(self.help.to_owned());
        family.set_field_type(self.kind);
        family.set_metric(metrics);
        Some(family)
    }
}

fn owned<const N: usize>(values: [&str; N]) -> Values {
    values.map(str::to_owned).to_vec()
}

fn pairs(labels: &[&str], values: Values) -> Vec<LabelPair> {
    let pair = |(name, value): (&&str, String)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value(value);
        pair
    };
    labels.iter().zip(values).map(pair).collect()
}

fn metric(kind: MetricType, labels: &[&str], values: Values, value: f64) -> Metric {
    let mut metric = Metric::from_label(pairs(labels, values));
    if kind == MetricType::COUNTER {
        let mut counter = Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    }
    metric
}
