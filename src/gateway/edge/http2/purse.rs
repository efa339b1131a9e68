//! What a client may still spend: a bucket that fills with time and with what it is given.
//!
//! Invariant: never more than its size. Deliberately not here: what is paid with it.

use std::time::Duration;

use tokio::time::Instant;

/// A bucket of tokens.
#[derive(Debug)]
pub(super) struct Purse {
    size: u32,
    per_second: u32,
    left: u32,
    filled_at: Instant,
}

impl Purse {
    /// A full one.
    pub(super) const fn new(size: u32, per_second: u32, now: Instant) -> Self {
        Self {
            size,
            per_second,
            left: size,
            filled_at: now,
        }
    }

    /// Takes one token; `false` where there is none.
    pub(super) fn pay(&mut self, now: Instant) -> bool {
        self.fill(now);
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }

    /// Puts tokens in, as far as there is room.
    pub(super) fn earn(&mut self, tokens: u32) {
        self.left = self.left.saturating_add(tokens).min(self.size);
    }

    /// What time has brought; the part of a token that is left over goes on counting.
    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled_at);
        let tokens = passed.as_millis() * u128::from(self.per_second) / 1_000;
        let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
        if tokens > 0 {
            self.earn(tokens);
            self.filled_at = if self.left == self.size {
                now
            } else {
                let nanos = u64::from(tokens) * 1_000_000_000 / u64::from(self.per_second.max(1));
                self.filled_at + Duration::from_nanos(nanos)
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Purse;

    #[test]
    fn it_empties_and_fills_again() {
        let start = Instant::now();
        let mut purse = Purse::new(3, 2, start);
        let mut paid = |at_ms: u64, times: u32| {
            let now = start + Duration::from_millis(at_ms);
            (0..times).filter(|_| purse.pay(now)).count()
        };
        assert_eq!(paid(0, 5), 3, "full, and no more");
        assert_eq!(paid(499, 1), 0);
        assert_eq!(paid(500, 2), 1, "half a second is one token");
        assert_eq!(paid(999, 1), 0, "what was taken before is not given again");
        assert_eq!(paid(1_000, 2), 1);
        assert_eq!(paid(3_600_000, 9), 3, "never more than its size");
    }

    #[test]
    fn it_can_be_filled_by_hand() {
        let start = Instant::now();
        let mut purse = Purse::new(2, 1, start);
        purse.earn(9);
        assert_eq!((0..5).filter(|_| purse.pay(start)).count(), 2);
        purse.earn(1);
        assert!(purse.pay(start));
    }
}
