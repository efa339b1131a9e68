//! One instant on both clocks, taken once per request.

/// An instant: monotonic for windows and latencies, wall clock for records.
///
/// Both readings come from one function of the shell, once per request, so that no stage can
/// see two different "now"s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moment {
    /// Nanoseconds on a clock that never goes back; the origin is arbitrary.
    pub monotonic_ns: u64,
    /// Microseconds since 1970-01-01 UTC, as the host's clock says.
    pub wall_us: u64,
}

impl Moment {
    /// Nanoseconds since `earlier`; 0 where `earlier` is later.
    #[must_use]
    pub const fn nanos_since(self, earlier: Self) -> u64 {
        self.monotonic_ns.saturating_sub(earlier.monotonic_ns)
    }

    /// Microseconds since `earlier`; 0 where `earlier` is later.
    #[must_use]
    pub const fn micros_since(self, earlier: Self) -> u64 {
        self.nanos_since(earlier) / 1_000
    }

    /// The instant `nanos` later, on both clocks.
    #[must_use]
    pub const fn plus_nanos(self, nanos: u64) -> Self {
        Self {
            monotonic_ns: self.monotonic_ns + nanos,
            wall_us: self.wall_us + nanos / 1_000,
        }
    }
}
