//! Which answer a refusal gets. The statuses and bodies themselves are in `respond`.
//!
//! Invariant: `course` and [`status`] go by the same `Kind`, so a simulation tells the status
//! that a client would get.

use super::governor::Course;
use super::quota;
use super::respond::Answer;
use crate::contract::{Contract, MethodSet, Pairing, Refusal, Terms};
use crate::decision::Reason;
use crate::enforcement::Measure;
use crate::observation::{ClientKey, Signals, Standing, Take};
use crate::pipeline::{Admission, Judgement};
use crate::record::{DecisionEvent, case_of};
use crate::rulebook::Rulebook;
use crate::units::{Bands, Moment};

const NANOS_PER_SECOND: u64 = 1_000_000_000;
const MICROS_PER_MINUTE: u64 = 60_000_000;
/// How long a client that behaves unusually is asked to stay away at least.
const ABNORMAL_S: u32 = 10;
/// How long a client is asked to stay away at least while no records are kept.
const UNRECORDED_S: u32 = 10;
/// Over how many seconds the clients of one minute come again.
const RETURN_SPREAD_S: u64 = 10;

/// Why a request is refused, as its client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A rate limit is used up.
    Quota,
    /// The client behaves unusually.
    Abnormal,
    /// Shed, or no place in flight is free.
    Capacity,
    /// The circuit is open, or no probe is left.
    Circuit,
    /// The ledger keeps no records, and nothing may go on without one.
    Unrecorded,
    /// Set apart.
    Apart,
    /// The path does not allow the method.
    Method,
    /// The target has more than one reading.
    Ambiguous,
    /// Anything else.
    Refused,
}

fn kind_of(bands: &Bands, judged: &Judgement, signals: &Signals) -> Kind {
    let decision = &judged.decision;
    let measure = judged.permit.measure();
    match signals.take {
        // Limits are asked only where nothing else speaks against the request.
        Take::ClientRate | Take::ContractRate => return Kind::Quota,
        Take::Concurrency => return Kind::Capacity,
        Take::Probe => return Kind::Circuit,
        Take::NotAsked | Take::Granted => {}
    }
    if decision.deciding() == Reason::LedgerUnavailable {
        return Kind::Unrecorded;
    }
    let reasons = decision.reasons();
    // However severe: a method that is not allowed is answered as such, a path that nobody
    // knows too. Coming back later would help with neither.
    if reasons.contains(Reason::ContractMethodDisallowed) {
        return Kind::Method;
    }
    if signals.standing == Standing::Unknown && measure != Measure::Drop {
        return Kind::Apart;
    }
    match (measure, decision.deciding()) {
        (Measure::Throttle, _) if abuse_decided(bands, judged) => Kind::Abnormal,
        (Measure::Throttle, _) => Kind::Capacity,
        (Measure::Quarantine, _) => Kind::Apart,
        (Measure::Drop | Measure::Forward, Reason::AmbiguousTarget) => Kind::Ambiguous,
        (Measure::Drop | Measure::Forward, Reason::CircuitOpen) => Kind::Circuit,
        (Measure::Drop | Measure::Forward, _) => Kind::Refused,
    }
}

fn abuse_decided(bands: &Bands, judged: &Judgement) -> bool {
    judged.assessment.abuse() >= bands.medium()
}

/// Whether the connection ends without an answer.
fn is_closed(terms: Option<&Terms>, judged: &Judgement) -> bool {
    // Who may come back in a moment is told so.
    judged.decision.deciding() != Reason::LedgerUnavailable
        && judged.permit.measure() == Measure::Drop
        && terms.is_some_and(|terms| terms.refusal == Refusal::Close)
}

/// What becomes of a request that is not sent on.
pub(super) fn course(
    rulebook: &Rulebook,
    admission: &Admission,
    pairing: Pairing,
    event: &DecisionEvent,
    at: Moment,
) -> Course {
    let (judged, signals) = (&admission.judgement, &admission.signals);
    let terms = rulebook.contract_of(admission.route).map(Contract::terms);
    let unknown = rulebook.rules().unknown_endpoint.answer_status;
    if is_closed(terms, judged) {
        return Course::Close;
    }
    let mut answer = match kind_of(&rulebook.rules().bands, judged, signals) {
        Kind::Quota => Answer::quota_exceeded(quota_s(rulebook, admission, event, at)),
        Kind::Abnormal => Answer::abnormal_usage(abnormal_s(rulebook, admission)),
        Kind::Capacity => Answer::reduced_capacity(next_draw_s(event.client, event.wall_us)),
        Kind::Circuit => Answer::circuit_open(seconds(admission.wait_ns)),
        Kind::Unrecorded => Answer::ledger_unavailable(unrecorded_s(event.client)),
        Kind::Apart => Answer::quarantined(quarantine_status(unknown, terms)),
        Kind::Method => Answer::method_not_allowed(allow(rulebook, pairing)),
        Kind::Ambiguous => Answer::ambiguous_target(),
        Kind::Refused => Answer::refused(),
    };
    // Whatever its status: who asks about the answer names the case that its record has.
    if admission.judgement.permit.measure() == Measure::Quarantine {
        let contract = rulebook.contract_of(admission.route);
        answer.case_id = Some(case_of(event, contract.map(Contract::id)));
    }
    answer.violated = quota::violated(rulebook, admission);
    answer.reasons = admission.judgement.decision.reasons();
    Course::Answer(answer)
}

/// The status of that answer, for a simulation; 0 where the connection ends without one.
#[must_use]
pub fn status(rulebook: &Rulebook, admission: &Admission) -> u16 {
    let terms = rulebook.contract_of(admission.route).map(Contract::terms);
    let rules = rulebook.rules();
    let unknown = rules.unknown_endpoint.answer_status;
    let (judged, signals) = (&admission.judgement, &admission.signals);
    status_of((&rules.bands, unknown), terms, judged, signals)
}

/// The same from what decides it alone, for a self-test: the bands of the policy and its answer to
/// unknown paths, the terms, the judgement.
#[must_use]
pub fn status_of(
    (bands, unknown): (&Bands, u16),
    terms: Option<&Terms>,
    judged: &Judgement,
    signals: &Signals,
) -> u16 {
    if is_closed(terms, judged) {
        return 0;
    }
    match kind_of(bands, judged, signals) {
        Kind::Quota => Answer::quota_exceeded(1).status,
        Kind::Abnormal => Answer::abnormal_usage(ABNORMAL_S).status,
        Kind::Capacity => Answer::reduced_capacity(1).status,
        Kind::Circuit => Answer::circuit_open(1).status,
        Kind::Unrecorded => Answer::ledger_unavailable(UNRECORDED_S).status,
        Kind::Apart => quarantine_status(unknown, terms),
        Kind::Method => Answer::method_not_allowed(MethodSet::EMPTY).status,
        Kind::Ambiguous => Answer::ambiguous_target().status,
        Kind::Refused => Answer::refused().status,
    }
}

/// Until the limit that refused would not, rounded up, so that a client that waits succeeds.
///
/// A limit that many share and wait for is free again for one of them at a time: then each is
/// asked to come at an instant of its own within one period more. One client alone is not.
fn quota_s(rulebook: &Rulebook, admission: &Admission, event: &DecisionEvent, at: Moment) -> u32 {
    let wait_ns = admission.wait_ns;
    if admission.signals.take != Take::ContractRate {
        return seconds(wait_ns);
    }
    let route = rulebook.route(admission.route);
    let free_ns = at.monotonic_ns.saturating_add(wait_ns);
    if route.waits_alone(event.client, at.monotonic_ns, free_ns) {
        return seconds(wait_ns);
    }
    let limit = rulebook
        .limit_of(admission.route)
        .unwrap_or(rulebook.unknown_limit());
    seconds(wait_ns.saturating_add(event.client.0 % limit.period_ns().max(1)))
}

/// Never earlier than its own limit would let it pass, where that is used up as well.
fn abnormal_s(rulebook: &Rulebook, admission: &Admission) -> u32 {
    let limits = rulebook.client_limits_of(admission.route);
    let wait_ns = limits.map_or(0, |limits| {
        limits.own.wait_ns(admission.signals.client_tat_ns)
    });
    seconds(wait_ns).max(ABNORMAL_S)
}

/// The hash by which requests are shed is drawn again with the next minute. Not all clients are
/// asked to come at once then, or they would be the next overload.
fn next_draw_s(client: ClientKey, wall_us: u64) -> u32 {
    let left_us = MICROS_PER_MINUTE - wall_us % MICROS_PER_MINUTE;
    let spread_s = client.0 % RETURN_SPREAD_S;
    u32::try_from(left_us.div_ceil(1_000_000) + spread_s).unwrap_or(u32::MAX)
}

/// Nobody knows when the disk comes back; not all clients are asked to come at once.
fn unrecorded_s(client: ClientKey) -> u32 {
    UNRECORDED_S + (client.0 % RETURN_SPREAD_S) as u32
}

/// Rounded up, at least one.
fn seconds(wait_ns: u64) -> u32 {
    u32::try_from(wait_ns.div_ceil(NANOS_PER_SECOND))
        .unwrap_or(u32::MAX)
        .max(1)
}

const fn quarantine_status(unknown: u16, terms: Option<&Terms>) -> u16 {
    match terms {
        Some(_) => 403,
        None => unknown,
    }
}

fn allow(rulebook: &Rulebook, pairing: Pairing) -> MethodSet {
    match pairing {
        Pairing::MethodNotAllowed(index) => rulebook.catalogue().allowed_methods(index),
        Pairing::Contracted(_)
        | Pairing::Unknown
        | Pairing::Ambiguous(_)
        | Pairing::Alias { .. } => MethodSet::EMPTY,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{MICROS_PER_MINUTE, next_draw_s};
    use crate::observation::ClientKey;

    #[test]
    fn whoever_is_shed_comes_after_the_minute_and_not_with_all_others() {
        // R050
        for (into_minute_us, left_s) in [(0, 60), (1, 60), (59_000_000, 1), (59_999_999, 1)] {
            let wall_us = 29_453_760 * MICROS_PER_MINUTE + into_minute_us;
            let waits = (0..100).map(|client| next_draw_s(ClientKey(client), wall_us));
            let waits: BTreeSet<u32> = waits.collect();
            assert_eq!(waits, (left_s..left_s + 10).collect(), "{into_minute_us}");
        }
    }
}
