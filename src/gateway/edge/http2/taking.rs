//! Whether the client of a connection takes the answers that it asked for.
//!
//! Invariant: time counts only while answers wait and the connection as a whole takes less than the
//! minimum rate, so a stream that stands still beside others that move costs those nothing. The more
//! waits, the shorter the client is waited for: what a client can hold is a product of memory and
//! time. Deliberately not here: one stream that stands still; each write has a clock of its own.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::gateway::held::Held;
use crate::gateway::settings::GatewaySettings;

/// Bytes that may wait for as long as one write may take; twice as many for half as long.
const BYTES_FOR_LONGEST: u64 = 1024 * 1024;

/// How one client takes its answers.
#[derive(Debug)]
pub(super) struct Taking {
    held: Arc<Held>,
    terms: Terms,
    looked: Instant,
    taken: u64,
    /// Since when too little is taken.
    since: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Terms {
    bytes_per_second: u32,
    shortest: Duration,
    longest: Duration,
}

impl Terms {
    /// How long so many bytes may wait.
    fn patience(self, held: usize) -> Duration {
        let longest = u64::try_from(self.longest.as_millis()).unwrap_or(u64::MAX);
        let held = u64::try_from(held).unwrap_or(u64::MAX).max(1);
        let millis = longest.saturating_mul(BYTES_FOR_LONGEST) / held;
        let most = self.longest.max(self.shortest);
        Duration::from_millis(millis).clamp(self.shortest, most)
    }
}

impl Taking {
    pub(super) fn new(settings: &GatewaySettings, now: Instant) -> Self {
        let terms = Terms {
            bytes_per_second: settings.limits.response_rate_min,
            shortest: settings.timeouts.rate_grace,
            // Where one stream stands still alone, its own clock ends it first, and nothing else.
            longest: settings.timeouts.client_write * 5 / 4,
        };
        Self::with(terms, now)
    }

    fn with(terms: Terms, now: Instant) -> Self {
        Self {
            held: Arc::default(),
            terms,
            looked: now,
            taken: 0,
            since: now,
        }
    }

    /// Serves a stream, whose answer counts.
    pub(super) fn holding<F: Future>(&self, served: F) -> impl Future<Output = F::Output> + use<F> {
        Arc::clone(&self.held).serving(served)
    }

    /// When to look again, while streams are open.
    pub(super) fn look_at(&self) -> Instant {
        let every =
            (self.terms.shortest / 4).clamp(Duration::from_millis(10), Duration::from_secs(2));
        self.looked + every
    }

    /// Whether the client, who has taken so many bytes of answers so far, was waited for too long.
    pub(super) fn look(&mut self, now: Instant, taken: u64) -> bool {
        let held = self.held.bytes();
        self.judge(now, taken, held)
    }

    fn judge(&mut self, now: Instant, taken: u64, held: usize) -> bool {
        if now < self.look_at() {
            return false;
        }
        let passed = now.saturating_duration_since(self.looked).as_millis();
        let owed = passed * u128::from(self.terms.bytes_per_second) / 1_000;
        let moved = taken.saturating_sub(self.taken);
        if held == 0 || u128::from(moved) >= owed.max(1) {
            self.since = now;
        }
        self.looked = now;
        self.taken = taken;
        held > 0 && now.saturating_duration_since(self.since) >= self.terms.patience(held)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Taking, Terms};

    const MIB: usize = 1024 * 1024;

    fn terms() -> Terms {
        Terms {
            bytes_per_second: 240,
            shortest: Duration::from_secs(5),
            longest: Duration::from_secs(60),
        }
    }

    /// The second in which a client is given up that takes so many bytes in each.
    fn given_up_at(held: usize, bytes: u64) -> Option<u64> {
        let began = Instant::now();
        let mut taking = Taking::with(terms(), began);
        (1..600).find(|second| {
            let now = began + Duration::from_secs(2 * second);
            taking.judge(now, 2 * bytes * second, held)
        })
    }

    #[test]
    fn the_more_waits_the_shorter_it_may() {
        for (held, bytes, expected) in [
            (0, 0, None),
            (1, 0, Some(30)),
            (MIB, 0, Some(30)),
            (4 * MIB, 0, Some(8)),
            (12 * MIB, 0, Some(3)),
            (500 * MIB, 0, Some(3)),
            (500 * MIB, 239, Some(3)),
            (500 * MIB, 240, None),
        ] {
            assert_eq!(given_up_at(held, bytes), expected, "{held} {bytes}");
        }
    }

    #[test]
    fn what_moves_again_is_waited_for_anew() {
        let began = Instant::now();
        let mut taking = Taking::with(terms(), began);
        let mut at =
            |second, taken, held| taking.judge(began + Duration::from_secs(second), taken, held);
        assert!(!at(4, 0, 12 * MIB));
        assert!(!at(8, 10_000, 12 * MIB), "it moved");
        assert!(!at(12, 10_000, 12 * MIB));
        assert!(!at(100, 10_000, 0), "nothing waits");
        assert!(!at(104, 10_000, 12 * MIB));
        assert!(at(105, 10_000, 12 * MIB) || at(106, 10_000, 12 * MIB));
    }
}
