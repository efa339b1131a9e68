//! How long a gateway that stops has had nothing to do, by what it has seen.
//!
//! Invariant: time in which the process stood still counts for one look, whatever the clock says: a
//! request that came meanwhile waits in its socket, and nobody has had the time to find it.

use std::time::Duration;

use tokio::time::Instant;

use super::LOOK_EVERY;

/// What a look counts for at most, however long ago the one before was.
const LOOK_MAX: Duration = LOOK_EVERY.saturating_mul(2);

/// Looks at a gateway that stops.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    /// The look before, and how long nothing had been going on by then.
    before: Option<(Instant, Duration)>,
}

impl Quiet {
    /// Looks once more; for how long nothing has been going on.
    pub(super) fn look(&mut self, now: Instant, is_busy: bool) -> Duration {
        if is_busy {
            self.before = None;
            return Duration::ZERO;
        }
        let lasted = self.before.map_or(Duration::ZERO, |(then, lasted)| {
            lasted + (now - then).min(LOOK_MAX)
        });
        self.before = Some((now, lasted));
        lasted
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Quiet;

    #[test]
    fn a_pause_of_the_process_is_no_quiet_time() {
        let begun = Instant::now();
        let mut quiet = Quiet::default();
        // When it looks, what it sees, and how long it has been quiet by then.
        for (at, is_busy, lasted) in [
            (0, false, 0),
            (5, false, 5),
            (12, false, 12),
            (600, false, 22),
            (605, false, 27),
            (610, true, 0),
            (615, false, 0),
            (620, false, 5),
        ] {
            let now = begun + Duration::from_millis(at);
            let found = quiet.look(now, is_busy);
            assert_eq!(found, Duration::from_millis(lasted), "at {at} ms");
        }
    }
}
