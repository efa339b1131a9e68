//! The numbers behind a factor's reading, in words.

use std::num::NonZeroU32;

use crate::contract::Contract;
use crate::observation::{RetryKind, Share, Signals, Standing};
use crate::rulebook::ClientLimits;
use crate::units::Factor;

/// What was counted for `factor`; the windows are those of the risk model.
pub(super) fn of(factor: Factor, signals: &Signals, contract: Option<&Contract>) -> String {
    let terms = contract.map(Contract::terms);
    let share = |share: Share, what: &str| format!("{} of {} {what}", share.part, share.whole);
    match factor {
        Factor::Latency => share(signals.slow, "slow in 60 s"),
        Factor::LatencyRegression => {
            let seen = signals.regression;
            format!("p95 {} us, usual {} us", seen.p95_us, seen.baseline_us)
        }
        Factor::ErrorRate => share(signals.failed, "failed in 10 s"),
        Factor::ErrorBudgetBurn => share(signals.burn[0].long, "failed in 1 h"),
        Factor::Circuit => signals.circuit.name().to_owned(),
        Factor::Concurrency => {
            let max = terms.and_then(|terms| terms.max_in_flight);
            let max = max.map_or("no limit".to_owned(), |max| format!("at most {max}"));
            format!("{} in flight, {max}", signals.in_flight)
        }
        Factor::TrafficAnomaly => format!("{} in the last minute", signals.traffic.offered),
        Factor::RateLimit => {
            let refusals = format!("{} refusals this minute", signals.client_refusals);
            if is_address_over(signals, contract) {
                return format!("its address is over its limit; {refusals}");
            }
            refusals
        }
        Factor::UnknownEndpoint => match signals.standing {
            Standing::Unknown => "no contract has the path".to_owned(),
            Standing::Ambiguous => "the path has no single meaning".to_owned(),
            _ => "the path is known".to_owned(),
        },
        Factor::MethodDisallowed => match signals.standing {
            Standing::MethodNotAllowed => "the contract has not this method".to_owned(),
            _ => "the method is not refused".to_owned(),
        },
        Factor::RetryStorm => match signals.retry {
            RetryKind::First => "not a retry".to_owned(),
            RetryKind::Declared | RetryKind::Seen => share(signals.retries, "retries in 10 s"),
        },
    }
}

/// Whether the address behind the client is over its limit, and the client itself is not.
pub(super) fn is_address_over(signals: &Signals, contract: Option<&Contract>) -> bool {
    contract.is_some_and(|contract| {
        // A record does not say among how many instances the limit was divided.
        let limits = ClientLimits::of(contract, NonZeroU32::MIN);
        limits.is_some_and(|limits| limits.is_address_over(contract, signals))
    })
}

/// What the matcher said, in words.
pub(super) const fn of_standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Contracted => "path and method are in the contract",
        Standing::MethodNotAllowed => "the path is in the contract, the method is not",
        Standing::Unknown => "no contract has the path",
        Standing::Ambiguous => "the path has no single meaning, so no contract may claim it",
        Standing::Malformed => "the head could not be read as a request",
    }
}
