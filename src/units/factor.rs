//! The names of the eleven factors.

/// One thing that can make a request risky. Whom it speaks about stands in `risk`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Factor {
    /// Share of slow requests of the route.
    Latency,
    /// The route is slower than it used to be.
    LatencyRegression,
    /// Share of failed requests of the route.
    ErrorRate,
    /// The error budget is being spent too fast.
    ErrorBudgetBurn,
    /// The circuit of the route is open.
    Circuit,
    /// Requests in flight against the contract's limit.
    Concurrency,
    /// More traffic than usual.
    TrafficAnomaly,
    /// The client is over its own limit.
    RateLimit,
    /// No contract for this path.
    UnknownEndpoint,
    /// The path has a contract, the method has not.
    MethodDisallowed,
    /// A retry while many are retrying.
    RetryStorm,
}

/// How many factors there are.
pub const FACTOR_COUNT: usize = 11;

impl Factor {
    /// All factors, in the order of their numbers.
    pub const ALL: [Self; FACTOR_COUNT] = [
        Self::Latency,
        Self::LatencyRegression,
        Self::ErrorRate,
        Self::ErrorBudgetBurn,
        Self::Circuit,
        Self::Concurrency,
        Self::TrafficAnomaly,
        Self::RateLimit,
        Self::UnknownEndpoint,
        Self::MethodDisallowed,
        Self::RetryStorm,
    ];

    /// All factors, in the alphabetical order of their names, which is that of records.
    pub const BY_NAME: [Self; FACTOR_COUNT] = [
        Self::Circuit,
        Self::Concurrency,
        Self::ErrorBudgetBurn,
        Self::ErrorRate,
        Self::Latency,
        Self::LatencyRegression,
        Self::MethodDisallowed,
        Self::RateLimit,
        Self::RetryStorm,
        Self::TrafficAnomaly,
        Self::UnknownEndpoint,
    ];

    /// The name in files, records and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::LatencyRegression => "latency_regression",
            Self::ErrorRate => "error_rate",
            Self::ErrorBudgetBurn => "error_budget_burn",
            Self::Circuit => "circuit",
            Self::Concurrency => "concurrency",
            Self::TrafficAnomaly => "traffic_anomaly",
            Self::RateLimit => "rate_limit",
            Self::UnknownEndpoint => "unknown_endpoint",
            Self::MethodDisallowed => "method_disallowed",
            Self::RetryStorm => "retry_storm",
        }
    }

    /// The factor of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|factor| factor.name() == name)
    }
}

/// A set of factors, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FactorSet(u16);

impl FactorSet {
    /// No factor.
    pub const EMPTY: Self = Self(0);

    /// All factors.
    pub const ALL: Self = Self((1 << FACTOR_COUNT) - 1);

    /// This set but for `factor`.
    #[must_use]
    pub const fn without(self, factor: Factor) -> Self {
        Self(self.0 & !(1 << factor as u8))
    }

    /// This set and `factor`.
    #[must_use]
    pub const fn with(self, factor: Factor) -> Self {
        Self(self.0 | 1 << factor as u8)
    }

    /// Whether `factor` is in the set.
    #[must_use]
    pub const fn contains(self, factor: Factor) -> bool {
        self.0 & 1 << factor as u8 != 0
    }

    /// Whether nothing is in the set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// All factors that are not in the set.
    #[must_use]
    pub const fn complement(self) -> Self {
        Self::from_bits(!self.0)
    }

    /// The set of those bits; bits that stand for no factor are left out.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits & ((1 << FACTOR_COUNT) - 1))
    }

    /// The bits, for a compact event.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// The factors in the set, in the order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = Factor> {
        Factor::ALL
            .into_iter()
            .filter(move |factor| self.contains(*factor))
    }
}

#[cfg(test)]
mod tests {
    use super::Factor;

    #[test]
    fn names_lead_back_to_their_factors() {
        assert!(Factor::BY_NAME.is_sorted_by_key(|factor| factor.name()));
        for factor in Factor::ALL {
            assert_eq!(Factor::from_name(factor.name()), Some(factor));
            assert!(Factor::BY_NAME.contains(&factor));
        }
    }
}
