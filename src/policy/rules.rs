//! The rules of one policy, as the stages read them.

use std::num::NonZeroU32;

use crate::units::{Action, ActionSet, BasisPoints, FACTOR_COUNT, Factor, Millis, PerMinute, Tier};
pub use crate::units::{Band, Bands};

/// A whole policy, compiled: valid by construction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Version of the policy, as its file says.
    pub version: Box<str>,
    /// Name of the policy, as its file says.
    pub name: Box<str>,
    /// Where the bands begin.
    pub bands: Bands,
    /// Per factor, the risk it reaches alone at its worst.
    pub weights: PerFactor<BasisPoints>,
    /// Per factor, how far it has been rolled out.
    pub stages: PerFactor<Stage>,
    /// What an unknown path deserves.
    pub unknown_endpoint: UnknownEndpoint,
    /// What a known path with a wrong method deserves.
    pub method_disallowed: Severity,
    /// What a caller deserves that the contract does not name.
    pub consumer_not_declared: Severity,
    /// What each tier may do, weakest tier first.
    pub tiers: [ActionSet; 3],
    /// When circuits open, and for how long.
    pub circuit: CircuitRules,
    /// How retries are known, and how many of our own are sent.
    pub retry: RetryRules,
}

impl Rules {
    /// What `tier` may do.
    #[must_use]
    pub const fn allowed(&self, tier: Tier) -> ActionSet {
        let [observe_only, control, autonomous] = self.tiers;
        match tier {
            Tier::ObserveOnly => observe_only,
            Tier::Control => control,
            Tier::Autonomous => autonomous,
        }
    }
}

impl Default for Rules {
    /// The defaults of the policy file.
    fn default() -> Self {
        let observing = ActionSet::of(&[Action::Log, Action::Report, Action::Propose]);
        let controlling = ActionSet::of(&[
            Action::Log,
            Action::Report,
            Action::Throttle,
            Action::Quarantine,
            Action::Drop,
            Action::CircuitOpen,
        ]);
        Self {
            version: "1.0.0".into(),
            name: "default".into(),
            bands: Bands::default(),
            weights: PerFactor::from_fn(default_weight),
            stages: PerFactor::from_fn(|_| Stage::Enforced),
            unknown_endpoint: UnknownEndpoint::default(),
            method_disallowed: Severity::Drop,
            consumer_not_declared: Severity::Allow,
            tiers: [
                observing,
                controlling,
                controlling.with(Action::PolicyUpdate),
            ],
            circuit: CircuitRules::default(),
            retry: RetryRules::default(),
        }
    }
}

const fn default_weight(factor: Factor) -> BasisPoints {
    let value = match factor {
        Factor::Circuit => 10_000,
        Factor::MethodDisallowed => 9_000,
        Factor::ErrorRate => 8_000,
        Factor::UnknownEndpoint => 7_000,
        Factor::Concurrency | Factor::RateLimit => 6_000,
        Factor::Latency | Factor::RetryStorm => 5_000,
        Factor::LatencyRegression => 4_000,
        Factor::ErrorBudgetBurn => 3_500,
        Factor::TrafficAnomaly => 3_000,
    };
    BasisPoints::saturating(value)
}

/// How far a factor has been rolled out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Counts with its full weight.
    Enforced,
    /// Counts for the share of clients and minutes whose shed hash is below this.
    Canary(BasisPoints),
    /// Read and recorded, counts nothing.
    Shadow,
}

/// What a request deserves, mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum Severity {
    /// Forward it.
    #[default]
    Allow,
    /// Refuse for now.
    Throttle,
    /// Set it apart.
    Quarantine,
    /// Refuse.
    Drop,
}

impl Severity {
    /// All severities, mildest first.
    pub const ALL: [Self; 4] = [Self::Allow, Self::Throttle, Self::Quarantine, Self::Drop];

    /// The name in policy files: an action, or `allow`.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Throttle => "throttle",
            Self::Quarantine => "quarantine",
            Self::Drop => "drop",
        }
    }

    /// The name in records and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "ALLOW",
            Self::Throttle => "THROTTLE",
            Self::Quarantine => "QUARANTINE",
            Self::Drop => "DROP",
        }
    }
}

/// What an unknown path deserves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownEndpoint {
    /// The least severity of the decision.
    pub action: Severity,
    /// The status of a refusal by quarantine: 404 (default) or 403.
    pub answer_status: u16,
    /// Requests per minute to all unknown paths together, where they are let through.
    pub rate_limit: PerMinute,
    /// Requests of that limit at once.
    pub burst: NonZeroU32,
}

/// When circuits open, and for how long. The windows are those of risk: 10 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CircuitRules {
    /// Broken exchanges in a row (no connection, reset, timeout, 502, 504) that open a circuit.
    pub broken_in_a_row: NonZeroU32,
    /// Below this many requests no share opens one.
    pub samples_min: NonZeroU32,
    /// The share of slow requests that opens one.
    pub slow_share: BasisPoints,
    /// How long it is open the first time; doubled each time until [`Self::open_max`].
    pub open: Millis,
    /// The longest it is open.
    pub open_max: Millis,
    /// For how long after closing some requests are still shed, fewer and fewer.
    pub slow_start: Millis,
}

impl Default for CircuitRules {
    fn default() -> Self {
        const fn count(value: u32) -> NonZeroU32 {
            match NonZeroU32::new(value) {
                Some(value) => value,
                None => NonZeroU32::MIN,
            }
        }
        Self {
            broken_in_a_row: count(5),
            samples_min: count(20),
            slow_share: BasisPoints::saturating(8_000),
            open: Millis::new(1_000),
            open_max: Millis::new(60_000),
            slow_start: Millis::new(5_000),
        }
    }
}

/// How retries are known, and how many of our own are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryRules {
    /// The fields that declare earlier attempts, lower case, at most eight.
    pub headers: Box<[Box<str>]>,
    /// Our own retries of first attempts, at most.
    pub budget: BasisPoints,
}

impl Default for RetryRules {
    fn default() -> Self {
        Self {
            headers: [
                "x-envoy-attempt-count",
                "grpc-previous-rpc-attempts",
                "x-retry-count",
            ]
            .map(Box::from)
            .into(),
            budget: BasisPoints::saturating(2_000),
        }
    }
}

impl UnknownEndpoint {
    /// Ten a second, where the policy does not say.
    pub const DEFAULT_RATE_LIMIT: PerMinute = match PerMinute::new(600) {
        Some(rate) => rate,
        None => PerMinute::MIN,
    };
    /// Sixty at once, where the policy does not say.
    pub const DEFAULT_BURST: NonZeroU32 = match NonZeroU32::new(60) {
        Some(burst) => burst,
        None => NonZeroU32::MIN,
    };
}

impl Default for UnknownEndpoint {
    fn default() -> Self {
        Self {
            action: Severity::Quarantine,
            answer_status: 404,
            rate_limit: Self::DEFAULT_RATE_LIMIT,
            burst: Self::DEFAULT_BURST,
        }
    }
}

/// One value for each factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerFactor<T>([T; FACTOR_COUNT]);

impl<T: Copy> PerFactor<T> {
    /// The value of each factor, computed.
    #[must_use]
    pub fn from_fn(value: impl Fn(Factor) -> T) -> Self {
        Self(Factor::ALL.map(value))
    }

    /// The same value for all factors.
    #[must_use]
    pub const fn all(value: T) -> Self {
        Self([value; FACTOR_COUNT])
    }

    /// The value of one factor.
    #[must_use]
    #[inline]
    #[allow(
        clippy::indexing_slicing,
        reason = "a Factor is always below FACTOR_COUNT"
    )]
    pub const fn of(&self, factor: Factor) -> T {
        self.0[factor as usize]
    }

    /// Replaces the value of one factor.
    #[inline]
    #[allow(
        clippy::indexing_slicing,
        reason = "a Factor is always below FACTOR_COUNT"
    )]
    pub const fn set(&mut self, factor: Factor, value: T) {
        self.0[factor as usize] = value;
    }

    /// The same values but for one factor.
    #[must_use]
    #[allow(
        clippy::indexing_slicing,
        reason = "a Factor is always below FACTOR_COUNT"
    )]
    pub const fn with(mut self, factor: Factor, value: T) -> Self {
        self.0[factor as usize] = value;
        self
    }
}
