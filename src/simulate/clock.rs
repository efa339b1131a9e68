//! Virtual time: milliseconds since 2026-01-01 00:00:00 UTC.

use crate::units::Moment;

/// 2026-01-01 00:00:00 UTC in microseconds since 1970.
const ORIGIN_WALL_US: u64 = 1_767_225_600_000_000;

/// The monotonic clock does not begin at 0, as it does on no real machine.
const ORIGIN_MONOTONIC_NS: u64 = 3_600_000_000_000;

/// The instant `at_ms` milliseconds after the origin.
#[must_use]
pub const fn virtual_moment(at_ms: u64) -> Moment {
    Moment {
        monotonic_ns: ORIGIN_MONOTONIC_NS + at_ms * 1_000_000,
        wall_us: ORIGIN_WALL_US + at_ms * 1_000,
    }
}
