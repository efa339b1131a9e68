//! Which answer a refusal gets. The statuses and bodies themselves are in `respond`.

use std::borrow::Cow;

use super::respond::Answer;
use crate::contract::{MethodSet, Pairing};
use crate::decision::Reason;
use crate::enforcement::Measure;
use crate::observation::{Standing, UNMATCHED};
use crate::pipeline::Admission;
use crate::record::{DecisionEvent, case_id};
use crate::rulebook::Rulebook;

const MICROS_PER_MINUTE: u64 = 60_000_000;

/// The answer to a request that is not sent on.
pub(super) fn answer(
    rulebook: &Rulebook,
    admission: &Admission,
    pairing: Pairing,
    event: &DecisionEvent,
) -> Answer {
    let decision = &admission.judgement.decision;
    let has = |reason| decision.reasons().contains(reason);
    let measure = admission.judgement.permit.measure();
    let mut answer = match pairing {
        // However severe: a method that is not allowed is answered as such, a path that nobody
        // knows too. Coming back later would help with neither.
        Pairing::MethodNotAllowed(index) if has(Reason::ContractMethodDisallowed) => {
            Answer::method_not_allowed(allow(rulebook.catalogue().allowed_methods(index)))
        }
        Pairing::Unknown if measure != Measure::Drop => quarantined(rulebook, admission, event),
        _ => match measure {
            Measure::Throttle => throttled(rulebook, admission, event.wall_us),
            Measure::Quarantine => quarantined(rulebook, admission, event),
            Measure::Drop | Measure::Forward => dropped(decision.deciding()),
        },
    };
    let codes = decision.reasons().iter().map(Reason::code).collect();
    answer.reason_codes = Cow::Owned(codes);
    answer
}

/// The status of that answer, for a simulation.
#[must_use]
pub fn status(rulebook: &Rulebook, admission: &Admission) -> u16 {
    let decision = &admission.judgement.decision;
    let measure = admission.judgement.permit.measure();
    if decision
        .reasons()
        .contains(Reason::ContractMethodDisallowed)
    {
        return Answer::method_not_allowed(String::new()).status;
    }
    if admission.signals.standing == Standing::Unknown && measure != Measure::Drop {
        return quarantine_status(rulebook, admission);
    }
    match measure {
        Measure::Throttle => throttled(rulebook, admission, 0).status,
        Measure::Quarantine => quarantine_status(rulebook, admission),
        Measure::Drop | Measure::Forward => dropped(decision.deciding()).status,
    }
}

fn throttled(rulebook: &Rulebook, admission: &Admission, wall_us: u64) -> Answer {
    match admission.judgement.decision.deciding() {
        Reason::RateLimitExceeded => Answer::quota_exceeded(seconds_to_wait(rulebook, admission)),
        _ if abuse_decided(rulebook, admission) => Answer::abnormal_usage(),
        // Shed, or no place free: the hash is drawn again with the next minute.
        _ => {
            let left_us = MICROS_PER_MINUTE - wall_us % MICROS_PER_MINUTE;
            Answer::reduced_capacity(left_us.div_ceil(1_000_000) as u32)
        }
    }
}

fn abuse_decided(rulebook: &Rulebook, admission: &Admission) -> bool {
    admission.judgement.assessment.abuse() >= rulebook.rules().bands.medium()
}

/// Until one request conforms again, rounded up, so that a client that waits succeeds.
fn seconds_to_wait(rulebook: &Rulebook, admission: &Admission) -> u32 {
    let wait_ns = rulebook
        .limit_of(admission.route)
        .map_or(0, |limit| limit.wait_ns(admission.signals.contract_tat_ns));
    u32::try_from(wait_ns.div_ceil(1_000_000_000))
        .unwrap_or(u32::MAX)
        .max(1)
}

fn quarantined(rulebook: &Rulebook, admission: &Admission, event: &DecisionEvent) -> Answer {
    let contract = rulebook
        .contract_of(admission.route)
        .map_or(UNMATCHED, |contract| contract.id().as_str());
    let cause = admission.judgement.decision.deciding().code();
    let case = case_id(event.client, contract, cause, event.wall_us);
    Answer::quarantined(quarantine_status(rulebook, admission), case)
}

fn quarantine_status(rulebook: &Rulebook, admission: &Admission) -> u16 {
    if admission.contracted {
        403
    } else {
        rulebook.rules().unknown_endpoint.answer_status
    }
}

fn dropped(reason: Reason) -> Answer {
    match reason {
        Reason::AmbiguousTarget => Answer::ambiguous_target(),
        Reason::CircuitOpen => Answer::circuit_open(1),
        _ => Answer::refused(),
    }
}

fn allow(methods: MethodSet) -> String {
    let names: Vec<&str> = methods.iter().map(|method| method.as_str()).collect();
    names.join(", ")
}
