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
type Samples<'a> = BTreeMap<Labels<'a>, u64>;

/// The counts of all workers, by what they count.
#[derive(Debug, Default)]
pub(super) struct Series<'a> {
    decisions: Samples<'a>,
    forwarded: Samples<'a>,
    answered: Samples<'a>,
    requests: Samples<'a>,
    refused: Samples<'a>,
    suppressed: Samples<'a>,
    retries: Samples<'a>,
    never_sent: Samples<'a>,
    unanswered: Samples<'a>,
    pushbacks: Samples<'a>,
    cuts: Samples<'a>,
    tunnels: Samples<'a>,
    tunnel_bytes: Samples<'a>,
    /// By contract and client; `None` = the others.
    callers: BTreeMap<(&'a str, Option<u64>), u64>,
    durations: BTreeMap<(&'a str, &'a str, u16), [u64; REQUEST_BOUNDS_US.len() + 2]>,
    timings: [u64; DECISION_BOUNDS_NS.len() + 2],
    contracted: u64,
    decided: u64,
    fill: Fill,
    room: u64,
}

impl<'a> Series<'a> {
    /// Sums the tables of all workers.
    pub(super) fn read(
        tallies: &[Arc<Tally>],
        names: &'a RouteNames,
        refusals: &'a [&'static str],
    ) -> Self {
        let mut sums: BTreeMap<Key, u64> = BTreeMap::new();
        let mut series = Self::default();
        for tally in tallies {
            for (key, count) in tally.read() {
                *sums.entry(key).or_default() += count;
            }
            for (route, client, count) in tally.callers().read() {
                let callers = &mut series.callers;
                *callers.entry((names.contract(route), client)).or_default() += count;
            }
            let fill = tally.fill();
            series.fill.series += fill.series;
            series.fill.overflowed += fill.overflowed;
            series.fill.lost += fill.lost;
            series.room += tally.room();
        }
        for (key, count) in sums {
            series.take(names, refusals, key, count);
        }
        series
    }

    fn take(&mut self, names: &'a RouteNames, refusals: &'a [&'static str], key: Key, count: u64) {
        let contract = names.contract(key.route());
        let alone = [contract, "", "", ""];
        match key.family() {
            Some(Family::Decision) => self.take_decision(contract, key, count),
            Some(Family::Request) => {
                let labels = [
                    contract,
                    method_label(key),
                    status_class(key.first()),
                    severity(key.third()),
                ];
                add(&mut self.requests, labels, count);
            }
            Some(Family::Duration) => {
                let labels = (names.template(key.route()), method_label(key), key.first());
                add_bucket(self.durations.entry(labels).or_default(), key, count);
            }
            Some(Family::DecisionDuration) => add_bucket(&mut self.timings, key, count),
            Some(Family::Refused) => {
                let name = refusals.get(usize::from(key.first())).copied();
                add(
                    &mut self.refused,
                    [name.unwrap_or(OTHER), "", "", ""],
                    count,
                );
            }
            Some(Family::Suppressed) => {
                let action = Action::ALL.get(usize::from(key.first()));
                let action = action.map_or(OTHER, |action| action.name());
                let labels = [action, tier(key.second()), "", ""];
                add(&mut self.suppressed, labels, count);
            }
            Some(Family::Retry) => add(&mut self.retries, alone, count),
            Some(Family::NeverSent) => add(&mut self.never_sent, alone, count),
            Some(Family::Unanswered) => add(&mut self.unanswered, alone, count),
            Some(Family::Pushback) => add(&mut self.pushbacks, alone, count),
            Some(Family::Cut) => {
                let cut = Cut::ALL.get(usize::from(key.first()));
                let name = cut.map_or(OTHER, |cut| cut.name());
                add(&mut self.cuts, [name, "", "", ""], count);
            }
            Some(Family::Tunnel) => add(&mut self.tunnels, [""; 4], count),
            Some(Family::TunnelBytes) => {
                let direction = DIRECTIONS.get(usize::from(key.first())).copied();
                let name = direction.unwrap_or(OTHER);
                add(&mut self.tunnel_bytes, [name, "", "", ""], count);
            }
            None => {}
        }
    }

    fn take_decision(&mut self, contract: &'a str, key: Key, count: u64) {
        let facts = key.third();
        let reason = Reason::ALL.get(usize::from(key.first()));
        let labels = [
            contract,
            severity(key.second()),
            reason.map_or(OTHER, |reason| reason.code()),
            tier(facts & 0xf),
        ];
        add(&mut self.decisions, labels, count);
        let ways = if facts & FORWARDED != 0 {
            &mut self.forwarded
        } else {
            &mut self.answered
        };
        add(ways, [contract, "", "", ""], count);
        self.decided += count;
        if facts & CONTRACTED != 0 {
            self.contracted += count;
        }
    }

    /// Writes all of them.
    pub(super) fn write(&self, text: &mut Exposition) {
        let counters: [(&'static Metric, &Samples<'_>); 13] = [
            (&names::REQUESTS, &self.requests),
            (&names::DECISIONS, &self.decisions),
            (&names::FORWARDED, &self.forwarded),
            (&names::ANSWERED, &self.answered),
            (&names::SUPPRESSED, &self.suppressed),
            (&names::REFUSED, &self.refused),
            (&names::RETRIES, &self.retries),
            (&names::NEVER_SENT, &self.never_sent),
            (&names::UNANSWERED, &self.unanswered),
            (&names::PUSHBACKS, &self.pushbacks),
            (&names::CUTS, &self.cuts),
            (&names::TUNNELS, &self.tunnels),
            (&names::TUNNEL_BYTES, &self.tunnel_bytes),
        ];
        for (metric, samples) in counters {
            for (labels, count) in samples {
                text.sample(metric, labels, *count as f64);
            }
        }
        for ((contract, client), count) in &self.callers {
            let client = client.map(|client| format!("{client:016x}"));
            let labels = [*contract, client.as_deref().unwrap_or(OTHER)];
            text.sample(&names::DEPRECATED_REQUESTS, &labels, *count as f64);
        }
        for ((route, method, status), counts) in &self.durations {
            let values = [*route, *method, &status.to_string()];
            let bounds = &REQUEST_BOUNDS_US;
            write_histogram(text, &names::REQUEST_DURATION, &values, bounds, counts, 1e6);
        }
        if self.timings.iter().any(|count| *count > 0) {
            let bounds = &DECISION_BOUNDS_NS;
            write_histogram(
                text,
                &names::DECISION_DURATION,
                &[],
                bounds,
                &self.timings,
                1e9,
            );
        }
        if self.decided > 0 {
            let share = self.contracted as f64 / self.decided as f64;
            text.sample(&names::COVERAGE, &[], share);
        }
        text.sample(&names::SERIES, &[], self.fill.series as f64);
        text.sample(&names::SERIES_MAX, &[], self.room as f64);
        let results = [("other", self.fill.overflowed), ("lost", self.fill.lost)];
        for (result, count) in results {
            text.sample(&names::SERIES_OVERFLOWED, &[result], count as f64);
        }
    }
}

fn add<'a>(samples: &mut Samples<'a>, labels: Labels<'a>, count: u64) {
    *samples.entry(labels).or_default() += count;
}

/// The sum stands behind the buckets.
fn add_bucket(counts: &mut [u64], key: Key, count: u64) {
    let place = match key.third() {
        SUM => counts.len().saturating_sub(1),
        bucket => usize::from(bucket),
    };
    if let Some(cell) = counts.get_mut(place) {
        *cell += count;
    }
}

fn write_histogram(
    text: &mut Exposition,
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
