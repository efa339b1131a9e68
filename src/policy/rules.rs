//! The rules of one policy, as the stages read them.

use crate::units::{Action, ActionSet, BasisPoints, FACTOR_COUNT, Factor, Tier};
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
    /// What each tier may do, weakest tier first.
    pub tiers: [ActionSet; 3],
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
            tiers: [
                observing,
                controlling,
                controlling.with(Action::PolicyUpdate),
            ],
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
}

impl Default for UnknownEndpoint {
    fn default() -> Self {
        Self {
            action: Severity::Quarantine,
            answer_status: 404,
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
