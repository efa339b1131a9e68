//! How slowly a client may take part: the time it may let the gateway wait, bought with bytes.
//!
//! Invariant: only the client's own slowness counts. The clock runs from a read or write that has
//! to wait for the client to the one that goes on, and is read, like the timer, only then: bytes
//! that are there when they are asked for cost neither. Deliberately not here: how long a client
//! may stand still altogether; Pingora has a clock for each read and write.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use super::super::Cut;
use super::super::alarm::Alarm;
use crate::gateway::bind::UNSENT_BYTES_MAX;
use crate::gateway::settings::{Limits, Timeouts};

/// The kernel says that there is room again when half of what may wait in it has gone: a client that
/// takes bytes one by one is seen to take them in steps of this size.
const WRITE_STEP_BYTES: u32 = UNSENT_BYTES_MAX / 2;

/// What a rate asks for.
#[derive(Debug, Clone, Copy)]
struct Terms {
    bytes_per_second: u32,
    /// What may be waited for before the first byte.
    first: Duration,
    /// What can be saved up at most.
    most: Duration,
    /// What a message may take in all, from when it is first waited for; 0 = any.
    all: Duration,
    cut: Cut,
}

/// One direction of a connection.
#[derive(Debug)]
pub(super) struct Pace {
    terms: Terms,
    left: Duration,
    /// Bytes that have not bought time yet.
    moved: u64,
    waiting: Option<Instant>,
    ends_by: Option<Instant>,
    alarm: Alarm,
}

impl Pace {
    /// The pace of request bodies.
    pub(super) fn of_bodies(limits: &Limits, timeouts: &Timeouts) -> Option<Self> {
        Self::new(Terms {
            bytes_per_second: limits.body_rate_min,
            first: timeouts.rate_grace,
            most: timeouts.body_read,
            all: timeouts.body,
            cut: Cut::BodyTooSlow,
        })
    }

    /// The pace at which answers are read.
    pub(super) fn of_answers(limits: &Limits, timeouts: &Timeouts) -> Option<Self> {
        let step = time_for(u64::from(WRITE_STEP_BYTES), limits.response_rate_min);
        Self::new(Terms {
            bytes_per_second: limits.response_rate_min,
            first: timeouts.rate_grace + step,
            most: timeouts.client_write.max(timeouts.rate_grace + step),
            all: Duration::ZERO,
            cut: Cut::AnswerTooSlow,
        })
    }

    fn new(terms: Terms) -> Option<Self> {
        (terms.bytes_per_second > 0 || !terms.all.is_zero()).then(|| Self {
            left: terms.first,
            terms,
            moved: 0,
            waiting: None,
            ends_by: None,
            alarm: Alarm::default(),
        })
    }

    /// Begins anew, with the next message.
    pub(super) fn begin(&mut self) {
        self.left = self.terms.first;
        self.moved = 0;
        self.waiting = None;
        self.ends_by = None;
    }

    /// So many bytes went on.
    pub(super) fn moved(&mut self, bytes: usize) {
        self.moved = self.moved.saturating_add(bytes as u64);
        if let Some(since) = self.waiting.take() {
            self.left = self.left.saturating_sub(since.elapsed());
        }
    }

    /// The client has to be waited for; the error is that it was for too long.
    pub(super) fn poll_wait<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let since = match self.waiting {
            Some(since) => since,
            None => self.begin_waiting(),
        };
        let by_rate = (self.terms.bytes_per_second > 0).then(|| since + self.left);
        let Some(deadline) = by_rate.into_iter().chain(self.ends_by).min() else {
            return Poll::Pending;
        };
        ready!(self.alarm.poll_past(cx, deadline));
        Poll::Ready(Err(self.terms.cut.into()))
    }

    fn begin_waiting(&mut self) -> Instant {
        let bought = time_for(self.moved, self.terms.bytes_per_second);
        self.left = self.left.saturating_add(bought).min(self.terms.most);
        self.moved = 0;
        let now = Instant::now();
        self.waiting = Some(now);
        if self.ends_by.is_none() && !self.terms.all.is_zero() {
            self.ends_by = Some(now + self.terms.all);
        }
        now
    }
}

/// How long `bytes` take at a rate, which is not 0 where it matters.
fn time_for(bytes: u64, bytes_per_second: u32) -> Duration {
    let rate = u64::from(bytes_per_second.max(1));
    Duration::from_millis(bytes.saturating_mul(1_000) / rate)
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    use super::{Cut, Pace, Terms};

    fn pace() -> Pace {
        let terms = Terms {
            bytes_per_second: 100,
            first: Duration::from_secs(5),
            most: Duration::from_secs(60),
            all: Duration::ZERO,
            cut: Cut::BodyTooSlow,
        };
        Pace::new(terms).unwrap()
    }

    fn wait(pace: &mut Pace) -> Poll<std::io::Result<()>> {
        pace.poll_wait(&mut Context::from_waker(Waker::noop()))
    }

    /// Waits `seconds` and then gets `bytes`, again and again; how often until it is cut.
    async fn rounds(seconds: u64, bytes: usize) -> usize {
        let mut pace = pace();
        for round in 0..100 {
            assert!(wait(&mut pace).is_pending(), "asked at once");
            tokio::time::advance(Duration::from_secs(seconds)).await;
            if wait(&mut pace).is_ready() {
                return round;
            }
            pace.moved(bytes);
        }
        100
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_buy_time_and_waiting_spends_it() {
        for (seconds, bytes, expected) in [
            (1, 100, 100),
            (1, 1_000, 100),
            (1, 0, 4),
            // Half of the rate: each second costs half a second of the grace.
            (1, 50, 8),
            (5, 10_000, 0),
            (4, 10_000, 100),
        ] {
            assert_eq!(
                rounds(seconds, bytes).await,
                expected,
                "{seconds} s, {bytes}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_saved_up_is_bounded_and_a_new_message_begins_anew() {
        let mut pace = pace();
        pace.moved(1 << 30);
        assert!(wait(&mut pace).is_pending());
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(wait(&mut pace).is_pending());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(wait(&mut pace).is_ready());
        pace.begin();
        assert!(wait(&mut pace).is_pending());
        // Nobody waited for the client meanwhile.
        pace.moved(0);
        tokio::time::advance(Duration::from_secs(600)).await;
        assert!(wait(&mut pace).is_pending());
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_ends_in_time_whatever_it_buys() {
        let terms = Terms {
            bytes_per_second: 0,
            all: Duration::from_secs(100),
            ..pace().terms
        };
        let mut pace = Pace::new(terms).unwrap();
        for _ in 0..2 {
            for _ in 0..9 {
                assert!(wait(&mut pace).is_pending());
                tokio::time::advance(Duration::from_secs(11)).await;
                pace.moved(1 << 30);
            }
            assert!(wait(&mut pace).is_pending());
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(wait(&mut pace).is_ready());
            pace.begin();
        }
    }

    #[test]
    fn a_rate_of_nothing_is_no_rate() {
        let terms = Terms {
            bytes_per_second: 0,
            ..pace().terms
        };
        assert!(Pace::new(terms).is_none());
    }
}
