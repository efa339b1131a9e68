//! Virtual time: since 2026-01-01 00:00:00 UTC, or since another origin.

use crate::units::Moment;

/// The monotonic clock does not begin at 0, as it does on no real machine.
const ORIGIN_MONOTONIC_NS: u64 = 3_600_000_000_000;

/// 2026-01-01 00:00:00 UTC.
pub(super) const SIMULATION: Origin = Origin(1_767_225_600_000_000);

const MINUTE_US: u64 = 60_000_000;

/// When virtual time begins, microseconds since 1970; ticks and minutes are counted from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin(u64);

impl Origin {
    /// The origin for requests from `first_us` on, microseconds since 1970: that of simulations,
    /// or for earlier ones the begin of their minute.
    #[must_use]
    pub const fn before(first_us: u64) -> Self {
        if first_us >= SIMULATION.0 {
            SIMULATION
        } else {
            Self(first_us - first_us % MINUTE_US)
        }
    }

    /// Microseconds since 1970.
    #[must_use]
    pub const fn wall_us(self) -> u64 {
        self.0
    }

    /// The instant `at_us` microseconds after it.
    #[must_use]
    pub const fn moment(self, at_us: u64) -> Moment {
        Moment {
            monotonic_ns: ORIGIN_MONOTONIC_NS + at_us * 1_000,
            wall_us: self.0 + at_us,
        }
    }

    /// The instant of the wall clock at `wall_us`, which must not lie before it.
    #[must_use]
    pub const fn at(self, wall_us: u64) -> Moment {
        self.moment(wall_us.saturating_sub(self.0))
    }
}

/// The instant `at_ms` milliseconds after the origin of simulations.
#[must_use]
pub const fn virtual_moment(at_ms: u64) -> Moment {
    SIMULATION.moment(at_ms * 1_000)
}
