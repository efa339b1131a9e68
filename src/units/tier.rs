//! The tier: how much the gateway may do by itself.

/// How much the gateway may do by itself. The order is the order of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Tier {
    /// Forwards everything; says what it would have done.
    #[default]
    ObserveOnly,
    /// Refuses, throttles and quarantines.
    Control,
    /// Also moves limits, inside a signed envelope.
    Autonomous,
}

impl Tier {
    /// All tiers, weakest first.
    pub const ALL: [Self; 3] = [Self::ObserveOnly, Self::Control, Self::Autonomous];

    /// The name in records and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ObserveOnly => "OBSERVE_ONLY",
            Self::Control => "CONTROL",
            Self::Autonomous => "AUTONOMOUS",
        }
    }

    /// The name in files: lower case.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::ObserveOnly => "observe_only",
            Self::Control => "control",
            Self::Autonomous => "autonomous",
        }
    }

    /// The tier of a file key.
    #[must_use]
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.key() == key)
    }

    /// The tier of a number written by `as u8`.
    #[must_use]
    pub fn from_index(index: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| *tier as u64 == index)
    }
}
