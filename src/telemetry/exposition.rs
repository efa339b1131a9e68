//! The Prometheus text format, version 0.0.4, of one scrape.
//!
//! Counters and gauges go into a recorder of `metrics` made for this scrape and are rendered by
//! its exporter. Histograms cannot take that way: the exporter wants every single observation,
//! and the workers have counted theirs in buckets already. So those are written here, as is the
//! one counter that is no whole number. A metric without samples does not show. All samples of
//! one metric must come in a row.

use std::fmt::Write;

use metrics::{Key, KeyName, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};

use crate::telemetry::names::{Kind, Metric};

/// The media type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const METADATA: Metadata<'static> = Metadata::new("tidegate", Level::INFO, None);

/// A scrape being put together.
pub(super) struct Exposition {
    recorder: PrometheusRecorder,
    text: String,
    current: &'static str,
}

impl Default for Exposition {
    fn default() -> Self {
        Self {
            recorder: PrometheusBuilder::new().build_recorder(),
            text: String::new(),
            current: "",
        }
    }
}

impl Exposition {
    /// One sample of a counter or gauge; `values` are those of the metric's labels, in order.
    pub(super) fn sample(&mut self, metric: &'static Metric, values: &[&str], number: f64) {
        let whole = number.fract() == 0.0 && number >= 0.0;
        match metric.kind {
            Kind::Gauge => {
                self.describe(metric);
                let gauge = self
                    .recorder
                    .register_gauge(&key(metric, values), &METADATA);
                gauge.set(number);
            }
            Kind::Counter if whole => {
                self.describe(metric);
                let key = key(metric, values);
                let counter = self.recorder.register_counter(&key, &METADATA);
                counter.absolute(number as u64);
            }
            Kind::Counter | Kind::Histogram => {
                self.introduce(metric);
                self.line(metric, "", values, None, number);
            }
        }
    }

    fn describe(&mut self, metric: &'static Metric) {
        if self.current == metric.name {
            return;
        }
        self.current = metric.name;
        let name = KeyName::from_const_str(metric.name);
        match metric.kind {
            Kind::Gauge => self.recorder.describe_gauge(name, None, metric.help.into()),
            _ => self
                .recorder
                .describe_counter(name, None, metric.help.into()),
        }
    }

    /// One histogram: counts per bucket, the last one beyond all `bounds`, and the sum.
    ///
    /// Bounds and sum are in units of which `per_second` make a second.
    pub(super) fn histogram(
        &mut self,
        metric: &'static Metric,
        values: &[&str],
        bounds: &[u64],
        counts: &[u64],
        sum: u64,
        per_second: f64,
    ) {
        self.introduce(metric);
        let mut cumulative = 0_u64;
        for (place, count) in counts.iter().enumerate() {
            cumulative = cumulative.saturating_add(*count);
            let bound = match bounds.get(place) {
                Some(bound) => (*bound as f64 / per_second).to_string(),
                None => "+Inf".to_owned(),
            };
            self.line(metric, "_bucket", values, Some(&bound), cumulative as f64);
        }
        self.line(metric, "_sum", values, None, sum as f64 / per_second);
        self.line(metric, "_count", values, None, cumulative as f64);
    }

    /// The text.
    pub(super) fn finish(self) -> String {
        let mut text = self.recorder.handle().render();
        text.push_str(&self.text);
        text
    }

    fn introduce(&mut self, metric: &'static Metric) {
        if self.current == metric.name {
            return;
        }
        self.current = metric.name;
        let help = metric.help.replace('\\', r"\\").replace('\n', r"\n");
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "# HELP {} {help}", metric.name);
        let _ = writeln!(self.text, "# TYPE {} {}", metric.name, metric.kind.name());
    }

    fn line(
        &mut self,
        metric: &Metric,
        suffix: &str,
        values: &[&str],
        bound: Option<&str>,
        number: f64,
    ) {
        self.text.push_str(metric.name);
        self.text.push_str(suffix);
        let labels = metric.labels.iter().copied().zip(values.iter().copied());
        let mut opened = false;
        for (label, value) in labels.chain(bound.map(|bound| ("le", bound))) {
            self.text.push(if opened { ',' } else { '{' });
            opened = true;
            self.text.push_str(label);
            self.text.push_str("=\"");
            self.value(value);
            self.text.push('"');
        }
        if opened {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {number}");
    }

    fn value(&mut self, value: &str) {
        for character in value.chars() {
            match character {
                '\\' => self.text.push_str(r"\\"),
                '"' => self.text.push_str("\\\""),
                '\n' => self.text.push_str(r"\n"),
                plain => self.text.push(plain),
            }
        }
    }
}

fn key(metric: &'static Metric, values: &[&str]) -> Key {
    let labels = metric.labels.iter().zip(values);
    let labels = labels.map(|(label, value)| Label::new(*label, (*value).to_owned()));
    Key::from_parts(metric.name, labels.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::Exposition;
    use crate::telemetry::names;

    #[test]
    fn help_and_type_come_once_and_values_are_escaped() {
        let mut text = Exposition::default();
        text.sample(&names::INFLIGHT, &["a"], 2.0);
        text.sample(&names::INFLIGHT, &["b\""], 0.25);
        let text = text.finish();
        for line in [
            "# HELP tidegate_inflight_requests Requests that were sent on and have not ended.\n",
            "# TYPE tidegate_inflight_requests gauge\n",
            "tidegate_inflight_requests{contract=\"a\"} 2\n",
            "tidegate_inflight_requests{contract=\"b\\\"\"} 0.25\n",
        ] {
            assert_eq!(text.matches(line).count(), 1, "{line} in\n{text}");
        }
    }

    #[test]
    fn histograms_are_cumulative() {
        let mut text = Exposition::default();
        text.histogram(
            &names::DECISION_DURATION,
            &[],
            &[100, 250],
            &[1, 2, 3],
            5_000,
            1e9,
        );
        let text = text.finish();
        for line in [
            "tidegate_decision_duration_seconds_bucket{le=\"0.0000001\"} 1",
            "tidegate_decision_duration_seconds_bucket{le=\"0.00000025\"} 3",
            "tidegate_decision_duration_seconds_bucket{le=\"+Inf\"} 6",
            "tidegate_decision_duration_seconds_sum 0.000005",
            "tidegate_decision_duration_seconds_count 6",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
