//! Bands of risk, and where they begin.

use crate::units::BasisPoints;

/// Where the bands begin; strictly rising.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bands {
    low: BasisPoints,
    medium: BasisPoints,
    high: BasisPoints,
    critical: BasisPoints,
}

impl Bands {
    /// `Some` where each bound is above the one before it.
    #[must_use]
    pub fn new(
        low: BasisPoints,
        medium: BasisPoints,
        high: BasisPoints,
        critical: BasisPoints,
    ) -> Option<Self> {
        (low < medium && medium < high && high < critical).then_some(Self {
            low,
            medium,
            high,
            critical,
        })
    }

    /// From here on: watched.
    #[must_use]
    pub const fn low(self) -> BasisPoints {
        self.low
    }

    /// From here on: THROTTLE.
    #[must_use]
    pub const fn medium(self) -> BasisPoints {
        self.medium
    }

    /// From here on: QUARANTINE.
    #[must_use]
    pub const fn high(self) -> BasisPoints {
        self.high
    }

    /// From here on: DROP.
    #[must_use]
    pub const fn critical(self) -> BasisPoints {
        self.critical
    }

    /// The band of a score.
    #[must_use]
    pub fn band(self, score: BasisPoints) -> Band {
        if score >= self.critical {
            Band::Critical
        } else if score >= self.high {
            Band::High
        } else if score >= self.medium {
            Band::Medium
        } else if score >= self.low {
            Band::Watch
        } else {
            Band::Low
        }
    }
}

impl Default for Bands {
    fn default() -> Self {
        Self {
            low: BasisPoints::saturating(2_000),
            medium: BasisPoints::saturating(4_000),
            high: BasisPoints::saturating(7_000),
            critical: BasisPoints::saturating(9_000),
        }
    }
}

/// The band of a score, mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum Band {
    /// Nothing to see.
    #[default]
    Low,
    /// Allowed, and watched.
    Watch,
    /// Worth slowing down.
    Medium,
    /// Worth setting apart.
    High,
    /// Worth refusing.
    Critical,
}

impl Band {
    /// All bands, mildest first.
    pub const ALL: [Self; 5] = [
        Self::Low,
        Self::Watch,
        Self::Medium,
        Self::High,
        Self::Critical,
    ];

    /// The name in files and answers.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Watch => "watch",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}
