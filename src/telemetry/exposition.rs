//! The Prometheus text format, version 0.0.4, of one scrape.
//!
//! What the gateway counts as a whole goes into a recorder of `metrics` made for this scrape and is
//! rendered by its exporter. What it counts by contract goes out in pieces, each line written once, so
//! that a scrape of thousands of contracts never lies in memory as a whole; so do histograms, of which
//! the exporter wants every single observation, and counters that are no whole number. All samples of
//! one metric come in a row, its help before them; a metric without samples does not show.

use std::fmt::Write;

use metrics::{Key, KeyName, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};

use crate::telemetry::names::{Kind, Metric};

/// The media type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A piece goes out when it is so long.
const PIECE_BYTES: usize = 64 << 10;
/// Most lines are shorter, so a piece does not grow when it is almost full.
const LINE_BYTES: usize = 512;
/// Numbers below are exact as whole ones.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

const METADATA: Metadata<'static> = Metadata::new("tidegate", Level::INFO, None);
/// The label of what there is once for each contract.
const BY_CONTRACT: &str = "contract";

/// A scrape being put together; `out` takes the pieces.
pub(super) struct Exposition<'a> {
    out: &'a mut dyn FnMut(String),
    recorder: PrometheusRecorder,
    text: String,
    current: &'static str,
}

impl<'a> Exposition<'a> {
    /// Nothing so far.
    pub(super) fn new(out: &'a mut dyn FnMut(String)) -> Self {
        Self {
            out,
            recorder: PrometheusBuilder::new().build_recorder(),
            text: String::with_capacity(PIECE_BYTES + LINE_BYTES),
            current: "",
        }
    }

    /// One sample of a counter or gauge; `values` are those of the metric's labels, in order.
    pub(super) fn sample(&mut self, metric: &'static Metric, values: &[&str], number: f64) {
        let is_whole = number.fract() == 0.0 && (0.0..WHOLE_MAX).contains(&number);
        match metric.kind {
            _ if metric.labels.contains(&BY_CONTRACT) => self.own_sample(metric, values, number),
            Kind::Gauge => {
                self.describe(metric);
                let gauge = self
                    .recorder
                    .register_gauge(&key(metric, values), &METADATA);
                gauge.set(number);
            }
            Kind::Counter if is_whole => {
                self.describe(metric);
                let key = key(metric, values);
                let counter = self.recorder.register_counter(&key, &METADATA);
                counter.absolute(number as u64);
            }
            Kind::Counter | Kind::Histogram => self.own_sample(metric, values, number),
        }
    }

    fn own_sample(&mut self, metric: &'static Metric, values: &[&str], number: f64) {
        self.introduce(metric);
        self.line(metric, "", values, None, number);
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
            let bound = bounds.get(place);
            let bound = bound.map_or(f64::INFINITY, |bound| *bound as f64 / per_second);
            self.line(metric, "_bucket", values, Some(bound), cumulative as f64);
        }
        self.line(metric, "_sum", values, None, sum as f64 / per_second);
        self.line(metric, "_count", values, None, cumulative as f64);
    }

    /// Lets the last piece out.
    pub(super) fn finish(self) {
        (self.out)(self.text);
        let whole = self.recorder.handle().render();
        if !whole.is_empty() {
            (self.out)(whole);
        }
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
        bound: Option<f64>,
        number: f64,
    ) {
        self.text.push_str(metric.name);
        self.text.push_str(suffix);
        let mut before = '{';
        for (label, value) in metric.labels.iter().zip(values) {
            self.text.push(before);
            before = ',';
            self.text.push_str(label);
            self.text.push_str("=\"");
            self.value(value);
            self.text.push('"');
        }
        if let Some(bound) = bound {
            self.text.push(before);
            before = ',';
            self.text.push_str("le=\"");
            self.bound(bound);
            self.text.push('"');
        }
        if before == ',' {
            self.text.push('}');
        }
        self.text.push(' ');
        self.number(number);
        self.text.push('\n');
        if self.text.len() >= PIECE_BYTES {
            let next = String::with_capacity(PIECE_BYTES + LINE_BYTES);
            (self.out)(std::mem::replace(&mut self.text, next));
        }
    }

    fn bound(&mut self, bound: f64) {
        if bound.is_infinite() {
            self.text.push_str("+Inf");
        } else {
            self.number(bound);
        }
    }

    /// Most numbers are whole, and those are quick to write.
    fn number(&mut self, number: f64) {
        if number.fract() == 0.0 && (0.0..WHOLE_MAX).contains(&number) {
            let mut digits = itoa::Buffer::new();
            self.text.push_str(digits.format(number as u64));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(self.text, "{number}");
        }
    }

    fn value(&mut self, value: &str) {
        if !value
            .bytes()
            .any(|byte| matches!(byte, b'\\' | b'"' | b'\n'))
        {
            return self.text.push_str(value);
        }
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
pub(super) mod tests {
    use super::{Exposition, PIECE_BYTES};
    use crate::telemetry::names;

    /// What comes out, as one text.
    pub(in crate::telemetry) fn written(write: impl FnOnce(&mut Exposition<'_>)) -> String {
        let mut whole = String::new();
        let mut take = |piece: String| whole.push_str(&piece);
        let mut text = Exposition::new(&mut take);
        write(&mut text);
        text.finish();
        whole
    }

    #[test]
    fn help_and_type_come_once_and_values_are_escaped() {
        let text = written(|text| {
            text.sample(&names::INFLIGHT, &["a"], 2.0);
            text.sample(&names::INFLIGHT, &["b\""], 0.25);
        });
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
        let text = written(|text| {
            let (bounds, counts) = ([100, 250], [1, 2, 3]);
            text.histogram(&names::DECISION_DURATION, &[], &bounds, &counts, 5_000, 1e9);
        });
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

    #[test]
    fn pieces_are_of_whole_lines_and_make_up_the_text() {
        let mut pieces = Vec::new();
        let mut take = |piece| pieces.push(piece);
        let mut text = Exposition::new(&mut take);
        for number in 0..5_000 {
            let name = number.to_string();
            text.sample(&names::INFLIGHT, &[name.as_str()], f64::from(number));
        }
        text.finish();
        assert!(pieces.len() > 2);
        for piece in &pieces {
            assert!(piece.len() < PIECE_BYTES + 512 && piece.ends_with('\n'));
        }
        let whole = pieces.concat();
        assert_eq!(whole.lines().count(), 5_002, "help and type once");
        assert!(whole.ends_with("tidegate_inflight_requests{contract=\"4999\"} 4999\n"));
    }

    #[test]
    fn numbers_are_written_as_they_are_read() {
        for (number, wanted) in [
            (0.0, "0"),
            (-1.0, "-1"),
            (0.25, "0.25"),
            (9_007_199_254_740_991.0, "9007199254740991"),
            (1e300, "1e300"),
        ] {
            let text = written(|text| text.sample(&names::INFLIGHT, &["a"], number));
            let (_, said) = text.trim_end().rsplit_once(' ').expect("a value");
            assert_eq!(said.parse::<f64>().ok(), Some(number));
            assert!(number > 1e20 || said == wanted, "{said}, not {wanted}");
        }
    }
}
