//! The table of factors: whom each speaks about, what it is correlated with, how it is read.

use crate::contract::Terms;
use crate::observation::{CircuitState, RetryKind, Signals, Standing};
use crate::risk::{error_budget, error_rate, latency, traffic};
use crate::units::{BasisPoints, FACTOR_COUNT, Factor, ramp};

/// Whom a factor speaks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The route: its upstream or its load.
    Route,
    /// This request: the conduct of its client.
    Request,
}

/// Factors of one family are correlated: only the worst of them counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names are those of the risk model")]
pub enum Family {
    D1,
    D2,
    D3,
    D4,
    A1,
    A2,
    A3,
}

impl Family {
    /// The families that speak about the route.
    pub const DISTRESS: [Self; 4] = [Self::D1, Self::D2, Self::D3, Self::D4];
    /// The families that speak about the request.
    pub const ABUSE: [Self; 3] = [Self::A1, Self::A2, Self::A3];

    /// Whom the family speaks about.
    #[must_use]
    pub const fn subject(self) -> Subject {
        match self {
            Self::D1 | Self::D2 | Self::D3 | Self::D4 => Subject::Route,
            Self::A1 | Self::A2 | Self::A3 => Subject::Request,
        }
    }
}

/// What a factor reads. Zero and unknown are different facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// So much, 0 = harmless, 10000 = at its worst.
    Known(BasisPoints),
    /// Too little was seen to say; counts as 0.
    Insufficient,
}

impl Reading {
    /// Harmless, and known to be.
    pub const ZERO: Self = Self::Known(BasisPoints::ZERO);
    /// At its worst.
    pub const FULL: Self = Self::Known(BasisPoints::FULL);

    /// The reading as a number; 0 where unknown.
    #[must_use]
    pub const fn value(self) -> BasisPoints {
        match self {
            Self::Known(value) => value,
            Self::Insufficient => BasisPoints::ZERO,
        }
    }
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct FactorLine {
    /// Which factor.
    pub factor: Factor,
    /// Its family, which also says its subject.
    pub family: Family,
}

impl FactorLine {
    /// What the factor reads. `None` for terms: no contract claims the request.
    ///
    /// A match and not a function pointer in the table, because pointers are never inlined.
    #[inline(always)]
    #[must_use]
    pub fn read(&self, signals: &Signals, terms: Option<&Terms>) -> Reading {
        match self.factor {
            Factor::Latency => latency::share_of_slow(signals),
            Factor::LatencyRegression => latency::regression(signals, terms),
            Factor::ErrorRate => error_rate::error_rate(signals, terms),
            Factor::ErrorBudgetBurn => error_budget::burn(signals, terms),
            Factor::Circuit => circuit(signals),
            Factor::Concurrency => concurrency(signals, terms),
            Factor::TrafficAnomaly => traffic::anomaly(signals),
            Factor::RateLimit => rate_limit(signals, terms),
            Factor::UnknownEndpoint => unknown_endpoint(signals),
            Factor::MethodDisallowed => method_disallowed(signals),
            Factor::RetryStorm => retry_storm(signals),
        }
    }
}

/// All factors, in the order of their numbers.
pub const TABLE: [FactorLine; FACTOR_COUNT] = [
    line(Factor::Latency, Family::D1),
    line(Factor::LatencyRegression, Family::D1),
    line(Factor::ErrorRate, Family::D2),
    line(Factor::ErrorBudgetBurn, Family::D2),
    line(Factor::Circuit, Family::D2),
    line(Factor::Concurrency, Family::D3),
    line(Factor::TrafficAnomaly, Family::D4),
    line(Factor::RateLimit, Family::A1),
    line(Factor::UnknownEndpoint, Family::A2),
    line(Factor::MethodDisallowed, Family::A2),
    line(Factor::RetryStorm, Family::A3),
];

const fn line(factor: Factor, family: Family) -> FactorLine {
    FactorLine { factor, family }
}

fn circuit(signals: &Signals) -> Reading {
    match signals.circuit {
        CircuitState::Open => Reading::FULL,
        CircuitState::Closed | CircuitState::HalfOpen => Reading::ZERO,
    }
}

/// From 70 % of the contract's limit on; a contract without a limit cannot be crowded.
fn concurrency(signals: &Signals, terms: Option<&Terms>) -> Reading {
    let Some(max) = terms.and_then(|terms| terms.max_in_flight) else {
        return Reading::ZERO;
    };
    let (in_flight, max) = (u64::from(signals.in_flight), u64::from(max.get()));
    if in_flight * 10 <= max * 7 {
        return Reading::ZERO;
    }
    Reading::Known(ramp(in_flight * 10_000 / max, 7_000, 10_000))
}

/// Half for being over the limit at all, the other half for insisting.
///
/// `rpm` refusals in one clock minute are the worst, so the reading depends on the client's own
/// limit; without one there is nothing to exceed.
fn rate_limit(signals: &Signals, terms: Option<&Terms>) -> Reading {
    let Some(limit) = terms.and_then(|terms| terms.client_rate_limit) else {
        return Reading::ZERO;
    };
    if !signals.client_over {
        return Reading::ZERO;
    }
    let insisting = 5_000 * u64::from(signals.client_refusals) / u64::from(limit.get());
    Reading::Known(BasisPoints::saturating(5_000 + insisting.min(5_000)))
}

const fn unknown_endpoint(signals: &Signals) -> Reading {
    match signals.standing {
        Standing::Unknown | Standing::Ambiguous => Reading::FULL,
        Standing::Contracted | Standing::MethodNotAllowed | Standing::Malformed => Reading::ZERO,
    }
}

const fn method_disallowed(signals: &Signals) -> Reading {
    match signals.standing {
        Standing::MethodNotAllowed => Reading::FULL,
        _ => Reading::ZERO,
    }
}

const RETRY_SAMPLES_MIN: u32 = 50;

/// Only a request that is itself a retry can be part of a storm.
fn retry_storm(signals: &Signals) -> Reading {
    if signals.retry == RetryKind::First {
        return Reading::ZERO;
    }
    let retries = signals.retries;
    if retries.whole < RETRY_SAMPLES_MIN {
        return Reading::Insufficient;
    }
    let share_bp = u64::from(retries.part) * 10_000 / u64::from(retries.whole);
    Reading::Known(ramp(share_bp, 1_000, 5_000))
}

#[cfg(test)]
mod tests {
    use super::{Reading, TABLE};
    use crate::contract::Terms;
    use crate::observation::{CircuitState, RetryKind, Share, Signals, Standing};
    use crate::units::{Factor, PerMinute};

    fn read(factor: Factor, signals: &Signals, terms: Option<&Terms>) -> Reading {
        TABLE[factor as usize].read(signals, terms)
    }

    #[test]
    fn the_table_is_in_the_order_of_the_numbers() {
        for (number, line) in TABLE.iter().enumerate() {
            assert_eq!(line.factor as usize, number);
        }
    }

    #[test]
    fn standing_is_read_by_two_factors() {
        // R019, R042, R043
        let table = [
            (Standing::Contracted, 0, 0),
            (Standing::MethodNotAllowed, 0, 10_000),
            (Standing::Unknown, 10_000, 0),
            (Standing::Ambiguous, 10_000, 0),
            (Standing::Malformed, 0, 0),
        ];
        for (standing, unknown, method) in table {
            let signals = Signals {
                standing,
                ..Signals::default()
            };
            let value = |factor| read(factor, &signals, None).value().get();
            assert_eq!(value(Factor::UnknownEndpoint), unknown, "{standing:?}");
            assert_eq!(value(Factor::MethodDisallowed), method, "{standing:?}");
        }
    }

    #[test]
    fn concurrency_rises_from_seventy_percent_of_the_limit() {
        let terms = Terms {
            max_in_flight: std::num::NonZeroU32::new(100),
            ..Terms::default()
        };
        for (in_flight, want) in [(0, 0), (70, 0), (85, 5_000), (100, 10_000), (500, 10_000)] {
            let signals = Signals {
                in_flight,
                ..Signals::default()
            };
            let value = |terms| read(Factor::Concurrency, &signals, terms).value().get();
            assert_eq!(value(Some(&terms)), want, "{in_flight} in flight");
            assert_eq!(value(Some(&Terms::default())), 0, "no limit, no crowd");
        }
    }

    #[test]
    fn only_an_open_circuit_is_read() {
        for (circuit, want) in [
            (CircuitState::Closed, 0),
            (CircuitState::HalfOpen, 0),
            (CircuitState::Open, 10_000),
        ] {
            let signals = Signals {
                circuit,
                ..Signals::default()
            };
            assert_eq!(read(Factor::Circuit, &signals, None).value().get(), want);
        }
    }

    #[test]
    fn insisting_on_a_spent_limit_reads_worse() {
        let terms = Terms {
            client_rate_limit: PerMinute::new(60),
            ..Terms::default()
        };
        for (over, refusals, want) in [
            (false, 90, 0),
            (true, 0, 5_000),
            (true, 30, 7_500),
            (true, 90, 10_000),
        ] {
            let signals = Signals {
                client_over: over,
                client_refusals: refusals,
                ..Signals::default()
            };
            let value = |terms| read(Factor::RateLimit, &signals, terms).value().get();
            assert_eq!(value(Some(&terms)), want, "{over} {refusals}");
            assert_eq!(value(Some(&Terms::default())), 0);
        }
    }

    #[test]
    fn a_first_attempt_is_never_a_storm() {
        let storm = Share {
            part: 50,
            whole: 100,
        };
        let few = Share { part: 9, whole: 49 };
        let table = [
            (RetryKind::First, storm, Reading::ZERO),
            (RetryKind::Declared, storm, Reading::FULL),
            (RetryKind::Seen, few, Reading::Insufficient),
        ];
        for (retry, retries, want) in table {
            let signals = Signals {
                retry,
                retries,
                ..Signals::default()
            };
            assert_eq!(read(Factor::RetryStorm, &signals, None), want);
        }
    }
}
