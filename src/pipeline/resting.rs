//! What is known of a route without a request: the tick, and the signals at rest.

use super::ending::{backoff, lost_ns};
use super::mode_of;
use super::observing::{at_rest, read_circuit, read_route};
use crate::contract::{Contract, Terms};
use crate::observation::{
    CircuitState, Mode, RouteState, Share, ShortView, Signals, TickVerdict, Ticker,
};
use crate::policy::rules::Rules;
use crate::risk::assess;
use crate::rulebook::Rulebook;
use crate::units::{BasisPoints, Factor, Moment, Tier};

/// Moves all windows on to `now`, opens the circuits whose time has come, and publishes what the
/// next decisions will read.
pub fn tick(rulebook: &Rulebook, ticker: &mut Ticker, now: Moment) {
    let rules = rulebook.rules();
    ticker.heed(rulebook.serial());
    ticker.tick(rulebook.board(), now, &rules.bands, |index, route, view| {
        if let Some(contract) = rulebook.contract_of(index) {
            let terms = contract.terms();
            let main = mode_at_rest(rulebook, index);
            watch_circuits(rules, terms, route, main, view, now);
        }
        let (signals, terms) = signals_at_rest(rulebook, index, route, now.monotonic_ns);
        let assessment = assess(rules, terms, &signals);
        let calm = |factor| assessment.reading(factor) == BasisPoints::ZERO;
        let mode = mode_at_rest(rulebook, index);
        TickVerdict {
            distress: assessment.distress(),
            healthy: signals.circuit == CircuitState::Closed
                && calm(Factor::Latency)
                && calm(Factor::ErrorRate),
            mode,
            circuit: route.circuit(mode).read(now.monotonic_ns),
            untried: [Mode::Dry, Mode::Real]
                .into_iter()
                .all(|mode| route.circuit(mode).is_untried()),
        }
    });
}

/// Opens circuits whose share of failures or of slow requests is too large.
fn watch_circuits(
    rules: &Rules,
    terms: &Terms,
    route: &RouteState,
    main: Mode,
    view: &ShortView,
    now: Moment,
) {
    let (backoff, now_ns) = (backoff(rules), now.monotonic_ns);
    let samples_min = rules.circuit.samples_min.get();
    let reaches = |share: Share, threshold: BasisPoints| {
        share.whole >= samples_min
            && u64::from(share.part) * 10_000 >= threshold.wide() * u64::from(share.whole)
    };
    let trips = reaches(view.failed, terms.circuit_threshold)
        || reaches(view.slow_short, rules.circuit.slow_share);
    for mode in [Mode::Dry, Mode::Real] {
        route.circuit(mode).expire(now_ns, lost_ns(terms));
    }
    // Only the circuit that most requests see: the other one would wait for probes that never come.
    let circuit = route.circuit(main);
    let reading = circuit.read(now_ns);
    let as_of = main.of(&view.as_of);
    // Closed since the last tick: what was counted made it open before, and is forgotten next.
    let is_stale = as_of.state != CircuitState::Closed || as_of.epoch != reading.epoch;
    if trips && !is_stale && reading.state == CircuitState::Closed {
        circuit.trip(reading.epoch, now_ns, backoff);
    }
}

/// What is known of a route without a request, and the terms to read it by.
///
/// No client falls on a canary here: a factor on canary is no part of the route's distress.
#[must_use]
pub fn signals_at_rest<'r>(
    rulebook: &'r Rulebook,
    index: usize,
    route: &RouteState,
    now_ns: u64,
) -> (Signals, Option<&'r Terms>) {
    let terms = rulebook.contract_of(index).map(Contract::terms);
    let mode = mode_at_rest(rulebook, index);
    let mut signals = at_rest();
    read_route(route.published(), &mut signals);
    read_circuit(
        &mut signals,
        rulebook.rules(),
        &route.circuit(mode).read(now_ns),
    );
    signals.in_flight = route.in_flight(mode);
    signals.shed_hash = BasisPoints::FULL.get();
    (signals, terms)
}

/// The mode that most requests of a route count in: that of the last one that was sent on, for a
/// listener may only observe what process and contract would control.
#[must_use]
pub fn mode_at_rest(rulebook: &Rulebook, index: usize) -> Mode {
    let terms = rulebook.contract_of(index).map(Contract::terms);
    let ceiling = terms.map_or(Tier::Autonomous, Terms::ceiling);
    match mode_of(rulebook.tier().min(ceiling)) {
        Mode::Real => rulebook.route(index).served(),
        Mode::Dry => Mode::Dry,
    }
}
