//! OBSERVE: the signals of one request, each number read once.

use super::staging::is_retired;
use super::{CLASS_ORDINARY, CLASS_PRIVILEGED, CLASS_RETRY, Site, takes};
use crate::contract::{Quarantine, Terms};
use crate::observation::{
    ALL_ORDINARY_BP, ALWAYS_KNOWN, CircuitReading, RetryKind, RouteShared, SLOW_START_MAX_BP,
    Signals, Standing,
};
use crate::policy::rules::{Rules, Severity};

/// Reads every number once, into signals at rest. After this nothing shared is looked at but the
/// limits.
#[inline]
pub(super) fn observe(site: &Site<'_>, circuit: &CircuitReading, signals: &mut Signals) {
    // Distress is about a contract's route, and only a request that may go there would use it.
    if reads_route(site.rulebook.rules(), site.terms, signals.standing) {
        read_route(site.route.published(), signals);
        signals.in_flight = site.route.in_flight(site.mode);
        read_circuit(signals, site.rulebook.rules(), circuit);
        if site
            .terms
            .is_some_and(|terms| terms.client_rate_limit.is_some())
        {
            takes::peek(site, signals);
        }
    }
    let arrival = site.arrival;
    let retries = site.rulebook.board().clients().retries();
    if arrival.declared_retries > 0 {
        signals.retry = RetryKind::Declared;
        signals.class = CLASS_RETRY;
    } else if retries.knows(arrival.request, arrival.at.monotonic_ns) {
        signals.retry = RetryKind::Seen;
        signals.class = CLASS_RETRY;
    } else if arrival.privileged {
        signals.class = CLASS_PRIVILEGED;
    }
}

/// Whether the numbers of the route belong to a request's signals: also of a method that the contract
/// has not, where it would be forwarded, marked or as it is.
#[must_use]
#[inline]
pub fn reads_route(rules: &Rules, terms: Option<&Terms>, standing: Standing) -> bool {
    match standing {
        Standing::Contracted => !is_retired(terms),
        Standing::MethodNotAllowed => {
            let is_shadowed = |terms: &Terms| terms.quarantine == Quarantine::Shadow;
            rules.method_disallowed == Severity::Allow || terms.is_some_and(is_shadowed)
        }
        Standing::Unknown | Standing::Ambiguous | Standing::Malformed => false,
    }
}

/// The signals of a route of which nothing was seen. Its long windows are not known to be quiet: a
/// path without a contract has none, and those of the path are not read for a wrong method.
#[must_use]
#[inline]
pub fn at_rest() -> Signals {
    Signals {
        known: ALWAYS_KNOWN,
        class: CLASS_ORDINARY,
        class_share_bp: ALL_ORDINARY_BP,
        ..Signals::default()
    }
}

#[inline]
pub(super) fn read_route(shared: &RouteShared, signals: &mut Signals) {
    signals.known = shared.known();
    signals.class_share_bp = shared.class_share_bp();
    signals.retries = shared.retries();
    signals.slow = shared.slow();
    signals.failed = shared.failed();
    signals.overdue = shared.overdue();
    signals.route_band = shared.band();
    shared.read_long(signals);
}

/// State and epoch, and how much is still shed because the circuit closed a moment ago.
#[inline]
pub(super) fn read_circuit(signals: &mut Signals, rules: &Rules, circuit: &CircuitReading) {
    if circuit.epoch == 0 {
        // It never opened, and the signals at rest say so.
        return;
    }
    signals.circuit = circuit.state;
    signals.circuit_epoch = circuit.epoch;
    let slow_start_ns = rules.circuit.slow_start.as_nanos();
    if let Some(closed_ns) = circuit.closed_for_ns
        && let Some(left_ns) = slow_start_ns.checked_sub(closed_ns)
    {
        let share = u64::from(SLOW_START_MAX_BP) * (left_ns / 1_000_000);
        signals.slow_start_bp = (share / u64::from(rules.circuit.slow_start.get()).max(1)) as u16;
    }
}
