//! The one function of the shell that reads clocks.
//!
//! Invariant: both readings of a [`Moment`] are taken together, once per event of a request.
//! Deliberately not here: timers. They belong to the runtime and measure nothing.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::units::Moment;

/// What the monotonic part begins at: an hour. It has to be able to say instants before the
/// process began, of a circuit that an earlier one closed. Whole minutes, as windows count them.
const BEGINS_AT_NS: u64 = 3_600_000_000_000;

/// The instant at which it is called.
///
/// The monotonic part counts nanoseconds, an hour at the first call in this process; the wall part is
/// 0 while the host's clock stands before 1970.
#[must_use]
pub fn now() -> Moment {
    static CLOCK: OnceLock<(quanta::Clock, u64)> = OnceLock::new();
    let (clock, origin) = CLOCK.get_or_init(|| {
        let clock = quanta::Clock::new();
        let origin = clock.raw();
        (clock, origin)
    });
    let wall_us = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
        });
    Moment {
        monotonic_ns: BEGINS_AT_NS.saturating_add(clock.delta_as_nanos(*origin, clock.raw())),
        wall_us,
    }
}

#[cfg(test)]
mod tests {
    use super::{BEGINS_AT_NS, now};

    #[test]
    fn time_does_not_go_back() {
        let mut before = now();
        assert!(before.monotonic_ns >= BEGINS_AT_NS);
        for _ in 0..10_000 {
            let after = now();
            assert!(after.monotonic_ns >= before.monotonic_ns);
            before = after;
        }
        assert!(
            before.wall_us > 1_700_000_000_000_000,
            "the year 2023 is over"
        );
    }
}
