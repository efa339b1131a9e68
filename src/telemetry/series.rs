//! From the workers' tables to samples: keys get their label values, workers are summed.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::contract::Method;
use crate::decision::Reason;
use crate::policy::rules::Severity;
use crate::telemetry::buckets::{DECISION_BOUNDS_NS, REQUEST_BOUNDS_US, SUM};
use crate::telemetry::cut::{Cut, DIRECTIONS};
use crate::telemetry::exposition::Exposition;
use crate::telemetry::key::{Family, Key};
use crate::telemetry::names::{self, Metric};
use crate::telemetry::route_names::RouteNames;
use crate::telemetry::tally::{Fill, Tally};
use crate::telemetry::worker::{CONTRACTED, FORWARDED};
use crate::units::{Action, Tier};

/// The label of everything for which there was no room.
pub const OTHER: &str = "_other";

/// No metric has more labels than that (a histogram's bound is counted apart).
type Labels<'a> = [&'a str; 4];
/// Route or template, method and status of a histogram, and the cell that is counted.
type Cell<'a> = (&'a str, &'a str, u16, u8);
type Durations = [u64; REQUEST_BOUNDS_US.len() + 2];

/// The counts of all workers, as they were in one reading; what they are called is found out metric
/// by metric, so that the names of one of them lie in memory and not those of all.
#[derive(Debug)]
pub(super) struct Series<'a> {
    names: &'a RouteNames,
    refusals: &'a [&'static str],
    counts: Vec<(Key, u64)>,
    /// By contract and client; `None` = the others.
    callers: BTreeMap<(&'a str, Option<u64>), u64>,
    fill: Fill,
    room: u64,
}

impl<'a> Series<'a> {
    /// Reads the tables of all workers.
    pub(super) fn read(
        tallies: &[Arc<Tally>],
        names: &'a RouteNames,
        refusals: &'a [&'static str],
    ) -> Self {
        let mut series = Self {
            names,
            refusals,
            counts: Vec::new(),
            callers: BTreeMap::new(),
            fill: Fill::default(),
            room: 0,
        };
        for tally in tallies {
            let fill = tally.fill();
            series.fill.series += fill.series;
            series.fill.overflowed += fill.overflowed;
            series.fill.lost += fill.lost;
            series.room += tally.room();
        }
        let most = usize::try_from(series.fill.series).unwrap_or_default();
        series.counts.reserve_exact(most);
        for tally in tallies {
            series.counts.extend(tally.read());
            for (route, client, count) in tally.callers().read() {
                let callers = &mut series.callers;
                *callers.entry((names.contract(route), client)).or_default() += count;
            }
        }
        series
    }

    /// What was counted of a family.
    fn of(&self, family: Family) -> impl Iterator<Item = (Key, u64)> {
        let all = self.counts.iter().copied();
        all.filter(move |(key, _)| key.is_of(family))
    }

    /// Writes all of them.
    pub(super) fn write(&self, text: &mut Exposition<'_>) {
        self.write_exchanges(text);
        self.write_named(text);
        self.write_routed(text, &names::RETRIES, Family::Retry);
        self.write_routed(text, &names::NEVER_SENT, Family::NeverSent);
        self.write_routed(text, &names::UNANSWERED, Family::Unanswered);
        self.write_routed(text, &names::PUSHBACKS, Family::Pushback);
        self.write_ends(text);
        for ((contract, client), count) in &self.callers {
            let client = client.map(|client| format!("{client:016x}"));
            let labels = [*contract, client.as_deref().unwrap_or(OTHER)];
            text.sample(&names::DEPRECATED_REQUESTS, &labels, *count as f64);
        }
        self.write_durations(text);
        self.write_timings(text);
        self.write_coverage(text);
        text.sample(&names::SERIES, &[], self.fill.series as f64);
        text.sample(&names::SERIES_MAX, &[], self.room as f64);
        let results = [("other", self.fill.overflowed), ("lost", self.fill.lost)];
        for (result, count) in results {
            text.sample(&names::SERIES_OVERFLOWED, &[result], count as f64);
        }
    }

    /// Requests, and what was decided about them.
    fn write_exchanges(&self, text: &mut Exposition<'_>) {
        self.write_counter(text, &names::REQUESTS, Family::Request, |key| {
            let class = status_class(key.first());
            Some([
                self.names.contract(key.route()),
                method_label(key),
                class,
                severity(key.third()),
            ])
        });
        self.write_counter(text, &names::DECISIONS, Family::Decision, |key| {
            let reason = Reason::ALL.get(usize::from(key.first()));
            Some([
                self.names.contract(key.route()),
                severity(key.second()),
                reason.map_or(OTHER, |reason| reason.code()),
                tier(key.third() & 0xf),
            ])
        });
        for (metric, was_forwarded) in [(&names::FORWARDED, true), (&names::ANSWERED, false)] {
            self.write_counter(text, metric, Family::Decision, |key| {
                let is_forwarded = key.third() & FORWARDED != 0;
                let contract = self.names.contract(key.route());
                (is_forwarded == was_forwarded).then_some([contract, "", "", ""])
            });
        }
    }

    /// What has a name of its own, and no route.
    fn write_named(&self, text: &mut Exposition<'_>) {
        self.write_counter(text, &names::SUPPRESSED, Family::Suppressed, |key| {
            let action = Action::ALL.get(usize::from(key.first()));
            let action = action.map_or(OTHER, |action| action.name());
            Some([action, tier(key.second()), "", ""])
        });
        self.write_counter(text, &names::REFUSED, Family::Refused, |key| {
            let name = self.refusals.get(usize::from(key.first())).copied();
            Some([name.unwrap_or(OTHER), "", "", ""])
        });
    }

    /// How requests and tunnels came to an end that was not their upstream's.
    fn write_ends(&self, text: &mut Exposition<'_>) {
        self.write_counter(text, &names::CUTS, Family::Cut, |key| {
            let cut = Cut::ALL.get(usize::from(key.first()));
            Some([cut.map_or(OTHER, |cut| cut.name()), "", "", ""])
        });
        let unnamed = |_| Some([""; 4]);
        self.write_counter(text, &names::TUNNELS, Family::Tunnel, unnamed);
        self.write_counter(text, &names::TUNNEL_BYTES, Family::TunnelBytes, |key| {
            let direction = DIRECTIONS.get(usize::from(key.first())).copied();
            Some([direction.unwrap_or(OTHER), "", "", ""])
        });
    }

    fn write_routed(&self, text: &mut Exposition<'_>, metric: &'static Metric, family: Family) {
        self.write_counter(text, metric, family, |key| {
            Some([self.names.contract(key.route()), "", "", ""])
        });
    }

    /// One metric, sorted by its labels; what has equal ones is one sample.
    fn write_counter<'l>(
        &self,
        text: &mut Exposition<'_>,
        metric: &'static Metric,
        family: Family,
        labels: impl Fn(Key) -> Option<Labels<'l>>,
    ) {
        let labelled = || {
            self.of(family)
                .filter_map(|(key, count)| Some((labels(key)?, count)))
        };
        let mut samples = Vec::with_capacity(self.of(family).count());
        samples.extend(labelled());
        samples.sort_unstable();
        for same in samples.chunk_by(|(one, _), (other, _)| one == other) {
            if let Some((labels, _)) = same.first() {
                let count: u64 = same.iter().map(|(_, count)| count).sum();
                text.sample(metric, labels, count as f64);
            }
        }
    }

    fn write_durations(&self, text: &mut Exposition<'_>) {
        let cell = |(key, count): (Key, u64)| {
            let template = self.names.template(key.route());
            let cell: Cell<'_> = (template, method_label(key), key.first(), key.third());
            (cell, count)
        };
        let mut cells = Vec::with_capacity(self.of(Family::Duration).count());
        cells.extend(self.of(Family::Duration).map(cell));
        cells.sort_unstable();
        let is_same =
            |(a, _): &(Cell<'_>, u64), (b, _): &(Cell<'_>, u64)| (a.0, a.1, a.2) == (b.0, b.1, b.2);
        for same in cells.chunk_by(is_same) {
            let mut counts = Durations::default();
            for ((.., third), count) in same {
                add_bucket(&mut counts, *third, *count);
            }
            if let Some(((route, method, status, _), _)) = same.first() {
                let values = [*route, *method, &status.to_string()];
                let bounds = &REQUEST_BOUNDS_US;
                write_histogram(
                    text,
                    &names::REQUEST_DURATION,
                    &values,
                    bounds,
                    &counts,
                    1e6,
                );
            }
        }
    }

    fn write_timings(&self, text: &mut Exposition<'_>) {
        let mut counts = [0; DECISION_BOUNDS_NS.len() + 2];
        for (key, count) in self.of(Family::DecisionDuration) {
            add_bucket(&mut counts, key.third(), count);
        }
        if counts.iter().any(|count| *count > 0) {
            let bounds = &DECISION_BOUNDS_NS;
            write_histogram(text, &names::DECISION_DURATION, &[], bounds, &counts, 1e9);
        }
    }

    fn write_coverage(&self, text: &mut Exposition<'_>) {
        let (mut contracted, mut decided) = (0, 0);
        for (key, count) in self.of(Family::Decision) {
            decided += count;
            if key.third() & CONTRACTED != 0 {
                contracted += count;
            }
        }
        if decided > 0 {
            let share = contracted as f64 / decided as f64;
            text.sample(&names::COVERAGE, &[], share);
        }
    }
}

/// The sum stands behind the buckets.
fn add_bucket(counts: &mut [u64], third: u8, count: u64) {
    let place = match third {
        SUM => counts.len().saturating_sub(1),
        bucket => usize::from(bucket),
    };
    if let Some(cell) = counts.get_mut(place) {
        *cell += count;
    }
}

fn write_histogram(
    text: &mut Exposition<'_>,
    metric: &'static Metric,
    values: &[&str],
    bounds: &[u64],
    counts: &[u64],
    per_second: f64,
) {
    if let Some((sum, buckets)) = counts.split_last() {
        text.histogram(metric, values, bounds, buckets, *sum, per_second);
    }
}

fn method_label(key: Key) -> &'static str {
    let method = Method::NAMED.get(usize::from(key.second()));
    method.copied().unwrap_or(Method::Other).as_str()
}

const fn status_class(class: u16) -> &'static str {
    match class {
        0 => "none",
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        5 => "5xx",
        _ => OTHER,
    }
}

fn severity(index: u8) -> &'static str {
    let severity = Severity::ALL.get(usize::from(index));
    severity.map_or(OTHER, |severity| severity.name())
}

fn tier(index: u8) -> &'static str {
    Tier::from_index(u64::from(index)).map_or(OTHER, Tier::name)
}

#[cfg(test)]
mod tests {
    use super::{method_label, severity};
    use crate::contract::Method;
    use crate::policy::rules::Severity;
    use crate::telemetry::key::{Family, Key};

    #[test]
    fn numbers_in_keys_are_places_in_the_tables_of_names() {
        for method in Method::NAMED.into_iter().chain([Method::Other]) {
            let key = Key::unrouted(Family::Request).b(method as u8);
            assert_eq!(method_label(key), method.as_str());
        }
        for one in Severity::ALL {
            assert_eq!(severity(one as u8), one.name());
        }
    }
}
