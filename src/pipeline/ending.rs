//! What comes after a request was admitted: its turn, its head, its end, and what it gives back.
//!
//! Invariant: whatever a request holds is given back once, whichever way it ends; and only what
//! speaks about its route, in the present epoch of its circuit, is counted there.

use super::{Admission, Way};
use crate::contract::{Contract, Terms, Throttle};
use crate::observation::{Backoff, Circuit, Completion, Ending, Lateness, RetryKind, RouteState};
use crate::policy::rules::Rules;
use crate::rulebook::Rulebook;
use crate::units::Moment;

/// From when on a request sent at `sent_at` is overdue, on the monotonic clock.
#[must_use]
pub const fn overdue_at(terms: &Terms, sent_at: Moment) -> u64 {
    sent_at.monotonic_ns + terms.max_latency.as_nanos()
}

/// A request that waited for its turn is sent on: another one may wait.
pub fn turn_came(rulebook: &Rulebook, admission: &mut Admission) {
    if std::mem::take(&mut admission.holds.held) {
        rulebook.route(admission.route).release_held();
    }
}

/// Whether the promised time ends at the response head: of a stream, or of another protocol.
#[must_use]
pub fn ends_at_head(terms: Option<&Terms>, upstream_status: u16) -> bool {
    const SWITCHING_PROTOCOLS: u16 = 101;
    upstream_status == SWITCHING_PROTOCOLS || terms.is_some_and(|terms| terms.stream)
}

/// The response head of a forwarded request came. A probe whose time ends there is judged now: its
/// body may run for hours, and no other probe would get its place.
pub fn head_came(
    rulebook: &Rulebook,
    admission: &mut Admission,
    overdue_at_ns: u64,
    upstream_status: u16,
    at: Moment,
) {
    let terms = rulebook.contract_of(admission.route).map(Contract::terms);
    if !admission.holds.probe || !ends_at_head(terms, upstream_status) {
        return;
    }
    let head = Completion {
        at,
        status: upstream_status,
        upstream_status,
        latency_us: 0,
        ending: Ending::Answered,
    };
    if head.speaks_about_route() {
        let fails_at_ns = probe_fails_at(rulebook, admission, overdue_at_ns);
        let late = fails_at_ns.is_some_and(|fails_at_ns| fails_at_ns < at.monotonic_ns);
        judge_probe(rulebook, admission, head.is_failure() || late, at);
    }
}

/// Looks after an overdue request without a response head: a probe that stays without one for as
/// long again has failed. The time of a body, or of a turn, is none of the upstream's, so the
/// caller tells from when on the request is overdue.
pub fn watch_overdue(
    rulebook: &Rulebook,
    admission: &mut Admission,
    overdue_at_ns: u64,
    now: Moment,
) {
    let fails_at_ns = probe_fails_at(rulebook, admission, overdue_at_ns);
    if fails_at_ns.is_some_and(|fails_at_ns| fails_at_ns < now.monotonic_ns) {
        judge_probe(rulebook, admission, true, now);
    }
}

/// When a probe that is overdue from `overdue_at_ns` on has failed, on the monotonic clock: twice
/// the promised time after the upstream's time began. `None` where the request is no probe, or one
/// that has been judged.
#[must_use]
pub fn probe_fails_at(
    rulebook: &Rulebook,
    admission: &Admission,
    overdue_at_ns: u64,
) -> Option<u64> {
    if !admission.holds.probe {
        return None;
    }
    let terms = rulebook.contract_of(admission.route)?.terms();
    Some(overdue_at_ns.saturating_add(terms.max_latency.as_nanos()))
}

fn judge_probe(rulebook: &Rulebook, admission: &mut Admission, failed: bool, at: Moment) {
    admission.holds.probe = false;
    let circuit = rulebook.route(admission.route).circuit(admission.mode);
    let backoff = backoff(rulebook.rules());
    circuit.probe_ended(admission.epoch, failed, at.monotonic_ns, backoff);
}

/// Ends a request: counts its outcome and gives back what it held.
pub fn complete(
    rulebook: &Rulebook,
    worker: usize,
    admission: &Admission,
    lateness: Lateness,
    completion: &Completion,
) {
    let now_ns = completion.at.monotonic_ns;
    let route = rulebook.route(admission.route);
    let circuit = route.circuit(admission.mode);
    // What comes again now is a retry. A refusal of ours does not make it one: else refusing
    // retries would make every later request a retry, and nobody would ever get through again.
    let silent = lateness == Lateness::Overdue;
    let lost_patience = silent && completion.ending == Ending::ClientAbort;
    let failed = completion.is_failure();
    if admission.is_forwarded() && (failed || lost_patience) {
        let retries = rulebook.board().clients().retries();
        retries.note(admission.request, now_ns);
    } else if admission.signals.retry == RetryKind::Seen && completion.is_success() {
        let retries = rulebook.board().clients().retries();
        retries.forget(admission.request, now_ns);
    }
    // What another upstream does, or did before the circuit opened, says nothing about the route.
    // Nor does a refusal: whatever it may hold it gives back.
    if !admission.is_forwarded()
        || !completion.speaks_about_route()
        || admission.way == Way::Divert
        || circuit.read(now_ns).epoch != admission.epoch
    {
        return abandon(rulebook, worker, admission, lateness);
    }
    release_places(route, admission);
    let terms = rulebook.contract_of(admission.route).map(Contract::terms);
    let slow = terms.is_some_and(|terms| completion.latency_us > terms.max_latency.as_micros());
    if let Some(totals) = route.totals_of(worker) {
        let was_overdue = lateness.was_overdue();
        totals.note_outcome(completion.latency_us, slow, failed, was_overdue);
        if lateness == Lateness::Overdue {
            totals.note_overdue_ended();
        }
    }
    if let Some(terms) = terms {
        tell_circuit(rulebook.rules(), circuit, terms, admission, completion);
    }
    // Behind all that a look of the ticker would find.
    rulebook.board().mark(worker, admission.route);
}

fn tell_circuit(
    rules: &Rules,
    circuit: &Circuit,
    terms: &Terms,
    admission: &Admission,
    completion: &Completion,
) {
    let (now_ns, epoch) = (completion.at.monotonic_ns, admission.epoch);
    let backoff = backoff(rules);
    if admission.holds.probe {
        let late = completion.latency_us > terms.max_latency.as_micros().saturating_mul(2);
        return circuit.probe_ended(epoch, completion.is_failure() || late, now_ns, backoff);
    }
    if !completion.is_broken() {
        return circuit.note_whole();
    }
    if circuit.note_broken(epoch, now_ns, rules.circuit.broken_in_a_row.get()) {
        circuit.trip(epoch, now_ns, backoff);
    }
}

/// A probe that was heard of for no longer than this may still be on its way: its body is read,
/// it waits for its turn, and then for the upstream.
pub(super) const fn lost_ns(terms: &Terms) -> u64 {
    const BODY_NS: u64 = 60_000_000_000;
    let turn_ns = match terms.throttle {
        Throttle::Delay { wait_max, .. } => wait_max.as_nanos(),
        Throttle::Reject => 0,
    };
    let upstream_ns = terms.timeout.as_nanos() + 2 * terms.max_latency.as_nanos();
    BODY_NS + turn_ns + upstream_ns
}

pub(super) const fn backoff(rules: &Rules) -> Backoff {
    Backoff {
        first: rules.circuit.open,
        longest: rules.circuit.open_max,
    }
}

/// Ends a request that says nothing about its route: it was refused, the client left, the upstream
/// pushed back, or a hook panicked.
pub fn abandon(rulebook: &Rulebook, worker: usize, admission: &Admission, lateness: Lateness) {
    let route = rulebook.route(admission.route);
    release_places(route, admission);
    if admission.holds.probe {
        let circuit = route.circuit(admission.mode);
        circuit.probe_given_back(admission.epoch);
    }
    if !admission.is_forwarded() {
        return;
    }
    if let Some(totals) = rulebook.board().touch(worker, admission.route) {
        totals.note_abandoned();
        if lateness == Lateness::Overdue {
            totals.note_overdue_ended();
        }
    }
}

/// A forwarded request is late and has no response head: it counts as slow from now on.
pub fn note_overdue(rulebook: &Rulebook, worker: usize, route: usize) {
    if let Some(totals) = rulebook.board().touch(worker, route) {
        totals.note_overdue();
    }
}

/// The response head of an overdue request came: it is overdue no more.
pub fn note_overdue_ended(rulebook: &Rulebook, worker: usize, route: usize) {
    if let Some(totals) = rulebook.board().touch(worker, route) {
        totals.note_overdue_ended();
    }
}

fn release_places(route: &RouteState, admission: &Admission) {
    if admission.holds.place {
        route.release_in_flight(admission.mode);
    }
    if admission.holds.held {
        route.release_held();
    }
}
