//! What the board and the rulebook say about each route at the time of a scrape.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use crate::contract::{Contract, Throttle};
use crate::observation::{
    BUCKETS, BURN_WINDOW_NAMES, Board, CircuitState, Histogram, TotalsReading, bucket_ceiling_us,
};
use crate::pipeline;
use crate::risk::{Reading, Subject, TABLE, budget_remaining_bp, burn_thousandths};
use crate::rulebook::Rulebook;
use crate::telemetry::exposition::Exposition;
use crate::telemetry::key;
use crate::telemetry::names;
use crate::telemetry::route_names::contract_label;
use crate::units::BasisPoints;

/// Upper bounds of upstream durations: 256 us, doubled up to 33.6 s.
///
/// Each is the exact end of a bucket of the route's histogram, so nothing is interpolated.
const UPSTREAM_BOUNDS_US: [u64; 18] = [
    256, 512, 1_024, 2_048, 4_096, 8_192, 16_384, 32_768, 65_536, 131_072, 262_144, 524_288,
    1_048_576, 2_097_152, 4_194_304, 8_388_608, 16_777_216, 33_554_432,
];

/// Stands for all routes without a name of their own.
const OTHER_ROUTE: usize = key::OTHER_ROUTE as usize;

/// The most samples that one route has here: 21 of the histogram, seven factors, three changes and
/// the state of its circuit, five burn rates, and five more.
const SAMPLES_PER_ROUTE: u64 = 42;

/// The routes that have names of their own; whoever comes later is counted as `_other`.
///
/// A route keeps its name once it has it, or its counters would fall.
#[derive(Debug, Default)]
pub(super) struct Named {
    generation: u32,
    numbers: BTreeSet<u32>,
}

impl Named {
    /// Adds routes, by number, as long as their samples fit into `series_max`.
    fn extend(&mut self, generation: u32, used: impl Iterator<Item = u32>, series_max: u64) {
        let used: BTreeSet<u32> = used.collect();
        if self.generation != generation {
            // Removed contracts make room.
            self.generation = generation;
            self.numbers.retain(|number| used.contains(number));
        }
        let most = usize::try_from(series_max / SAMPLES_PER_ROUTE).unwrap_or(usize::MAX);
        for number in used {
            if self.numbers.len() >= most {
                break;
            }
            self.numbers.insert(number);
        }
    }
}

/// Latencies in groups of buckets, and their sum in microseconds.
#[derive(Debug, Default)]
struct Latencies {
    counts: [u64; UPSTREAM_BOUNDS_US.len() + 1],
    sum_us: u64,
}

impl Latencies {
    fn add(&mut self, board: &Board, route: usize) {
        let (histogram, sum_us) = board.latencies(route);
        for (sum, count) in self.counts.iter_mut().zip(regroup(&histogram)) {
            *sum += count;
        }
        self.sum_us = self.sum_us.wrapping_add(sum_us);
    }

    fn write(&self, text: &mut Exposition<'_>, contract: &str) {
        if self.counts.iter().any(|count| *count > 0) {
            let (metric, bounds) = (&names::UPSTREAM_DURATION, &UPSTREAM_BOUNDS_US);
            text.histogram(metric, &[contract], bounds, &self.counts, self.sum_us, 1e6);
        }
    }
}

/// The routes that were ever asked for, with what is in flight on each.
#[derive(Debug)]
pub(super) struct Used {
    /// Those with a name of their own, by place.
    own: Vec<(usize, u64)>,
    /// The others: their places, and what is in flight on all of them.
    others: Vec<usize>,
    others_in_flight: u64,
}

impl Used {
    /// Gives names to those that have none as long as `series_max` has room.
    pub(super) fn read(rulebook: &Rulebook, named: &mut Named, series_max: u64) -> Self {
        let board = rulebook.board();
        let used: Vec<(usize, u64)> = (0..board.routes())
            .map(|route| (route, board.totals(route)))
            .filter(|(_, totals)| *totals != TotalsReading::default())
            .map(|(route, totals)| (route, in_flight(&totals)))
            .collect();
        let number = |route: usize| rulebook.route(route).number();
        let numbers = used.iter().map(|(route, _)| number(*route));
        named.extend(board.generation(), numbers, series_max);
        let is_own = |(route, _): &(usize, u64)| named.numbers.contains(&number(*route));
        let (own, rest): (Vec<_>, Vec<_>) = used.into_iter().partition(is_own);
        Self {
            own,
            others_in_flight: rest.iter().map(|(_, in_flight)| in_flight).sum(),
            others: rest.into_iter().map(|(route, _)| route).collect(),
        }
    }
}

fn in_flight(totals: &TotalsReading) -> u64 {
    // The two counts are read one after the other: an end in between must not wrap.
    let in_flight = totals.forwarded.wrapping_sub(totals.ended).cast_signed();
    u64::from(in_flight.max(0).unsigned_abs())
}

/// Writes the metrics of all routes that were ever asked for.
pub(super) fn write(text: &mut Exposition<'_>, rulebook: &Rulebook, used: &Used) {
    let board = rulebook.board();
    for (route, in_flight) in &used.own {
        let contract = contract_label(rulebook, *route);
        text.sample(&names::INFLIGHT, &[contract], *in_flight as f64);
    }
    let others = contract_label(rulebook, OTHER_ROUTE);
    if !used.others.is_empty() {
        text.sample(&names::INFLIGHT, &[others], used.others_in_flight as f64);
    }
    let own = used.own.iter().map(|(route, _)| *route);
    for route in own.clone() {
        let terms = rulebook.contract_of(route).map(Contract::terms);
        if terms.is_some_and(|terms| terms.throttle != Throttle::Reject) {
            let held = rulebook.route(route).held();
            let contract = contract_label(rulebook, route);
            text.sample(&names::HELD, &[contract], f64::from(held));
        }
    }
    for route in own.clone() {
        let mut latencies = Latencies::default();
        latencies.add(board, route);
        latencies.write(text, contract_label(rulebook, route));
    }
    let mut latencies = Latencies::default();
    for route in &used.others {
        latencies.add(board, *route);
    }
    latencies.write(text, others);
    // Distress is about a contract's route: what is unmatched has none, and others are many.
    let contracts = own.filter(|route| rulebook.contract_of(*route).is_some());
    risks(text, rulebook, contracts);
}

fn risks(
    text: &mut Exposition<'_>,
    rulebook: &Rulebook,
    routes: impl Iterator<Item = usize> + Clone,
) {
    let board = rulebook.board();
    for route in routes.clone() {
        if let Some(shared) = board.published(route) {
            let contract = contract_label(rulebook, route);
            text.sample(&names::RISK, &[contract], ratio(shared.distress()));
        }
    }
    for route in routes.clone() {
        write_factors(text, rulebook, route);
    }
    for route in routes.clone() {
        if let Some(contract) = rulebook.contract_of(route) {
            let limit = contract.terms().max_latency.as_micros() as f64 / 1e6;
            text.sample(&names::LATENCY_LIMIT, &[contract.id().as_str()], limit);
        }
    }
    for route in routes.clone() {
        let Some(contract) = rulebook.contract_of(route) else {
            continue;
        };
        let id = contract.id().as_str();
        let labels = [id, contract.terms().stage.name()];
        text.sample(&names::CONTRACT_STAGE, &labels, 1.0);
    }
    for route in routes.clone() {
        let Some(contract) = rulebook.contract_of(route) else {
            continue;
        };
        let id = contract.id().as_str();
        if let Some(day) = contract.lifecycle().parts().sunset_on {
            text.sample(&names::SUNSET, &[id], day.unix_seconds() as f64);
        }
    }
    write_circuits(text, rulebook, routes.clone());
    write_budgets(text, rulebook, routes);
}

fn write_circuits(
    text: &mut Exposition<'_>,
    rulebook: &Rulebook,
    routes: impl Iterator<Item = usize> + Clone,
) {
    for route in routes.clone() {
        let state = rulebook.route(route);
        let ticked_ns = state.published().ticked_ns();
        let (signals, _) = pipeline::signals_at_rest(rulebook, route, state, ticked_ns);
        let contract = [contract_label(rulebook, route)];
        let state = f64::from(signals.circuit as u8);
        text.sample(&names::CIRCUIT_STATE, &contract, state);
    }
    for route in routes {
        let shared = rulebook.route(route).published();
        for to in [
            CircuitState::Open,
            CircuitState::HalfOpen,
            CircuitState::Closed,
        ] {
            let labels = [contract_label(rulebook, route), to.name()];
            let count = f64::from(shared.transitions(to));
            text.sample(&names::CIRCUIT_TRANSITIONS, &labels, count);
        }
    }
}

fn write_budgets(
    text: &mut Exposition<'_>,
    rulebook: &Rulebook,
    routes: impl Iterator<Item = usize> + Clone,
) {
    let budgets = routes.filter_map(|route| {
        let contract = rulebook.contract_of(route)?;
        let sums = rulebook.route(route).published().burn_sums();
        Some((contract.id().as_str(), contract.terms().error_budget, sums))
    });
    for (contract, budget, sums) in budgets.clone() {
        let [.., longest] = sums;
        if let Some(remaining_bp) = budget_remaining_bp(longest, budget) {
            let remaining = remaining_bp as f64 / 10_000.0;
            text.sample(&names::BUDGET_REMAINING, &[contract], remaining);
        }
    }
    for (contract, budget, sums) in budgets {
        for (window, sum) in BURN_WINDOW_NAMES.into_iter().zip(sums) {
            if sum.whole > 0 {
                let rate = burn_thousandths(sum, budget) as f64 / 1_000.0;
                text.sample(&names::BURN_RATE, &[contract, window], rate);
            }
        }
    }
}

fn write_factors(text: &mut Exposition<'_>, rulebook: &Rulebook, route: usize) {
    let state = rulebook.route(route);
    let ticked_ns = state.published().ticked_ns();
    let (signals, terms) = pipeline::signals_at_rest(rulebook, route, state, ticked_ns);
    for line in &TABLE {
        let of_route = line.family.subject() == Subject::Route;
        if !of_route || !signals.known.contains(line.factor) {
            continue;
        }
        if let Reading::Known(reading) = line.read(&signals, terms) {
            let values = [contract_label(rulebook, route), line.factor.name()];
            text.sample(&names::RISK_FACTOR, &values, ratio(reading));
        }
    }
}

fn ratio(value: BasisPoints) -> f64 {
    f64::from(value.get()) / 10_000.0
}

/// The group of each bucket of a histogram; the last bucket has no end.
static GROUPS: LazyLock<[usize; BUCKETS]> = LazyLock::new(|| {
    std::array::from_fn(|bucket| {
        UPSTREAM_BOUNDS_US
            .iter()
            .position(|bound| bucket + 1 < BUCKETS && bucket_ceiling_us(bucket) <= *bound)
            .unwrap_or(UPSTREAM_BOUNDS_US.len())
    })
});

fn regroup(histogram: &Histogram) -> [u64; UPSTREAM_BOUNDS_US.len() + 1] {
    let mut counts = [0; UPSTREAM_BOUNDS_US.len() + 1];
    for (group, count) in GROUPS.iter().zip(histogram.counts()) {
        if let Some(cell) = counts.get_mut(*group) {
            *cell += u64::from(*count);
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::{Named, SAMPLES_PER_ROUTE, UPSTREAM_BOUNDS_US, regroup};
    use crate::observation::{BUCKETS, Histogram, bucket_ceiling_us, bucket_of};

    #[test]
    fn a_route_keeps_its_name_and_names_are_bounded() {
        let mut named = Named::default();
        let room = 3 * SAMPLES_PER_ROUTE;
        named.extend(0, [5, 9].into_iter(), room);
        named.extend(0, [1, 2, 5, 9].into_iter(), room);
        assert_eq!(named.numbers, [1, 5, 9].into());
        named.extend(1, [2, 3, 9].into_iter(), room);
        assert_eq!(named.numbers, [2, 3, 9].into(), "1 and 5 were removed");
    }

    #[test]
    fn bounds_are_ends_of_buckets() {
        for bound in UPSTREAM_BOUNDS_US {
            assert_eq!(bucket_ceiling_us(bucket_of(bound - 1)), bound, "{bound}");
        }
    }

    #[test]
    fn a_latency_lands_below_the_first_bound_above_it() {
        for (micros, place) in [
            (0, 0),
            (255, 0),
            (256, 1),
            (511, 1),
            (33_554_431, 17),
            (u64::MAX, 18),
        ] {
            let mut counts = [0; BUCKETS];
            counts[bucket_of(micros)] = 7;
            assert_eq!(regroup(&Histogram::new(counts))[place], 7, "{micros} us");
        }
    }
}
