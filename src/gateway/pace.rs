//! How fast the body of one request arrives, where Pingora has no clock for it.
//!
//! Over HTTP/2 Pingora waits for a body without end. Who serves a stream looks here how far the
//! body has come, and breaks the request off when it comes too slowly; its passage then closes the
//! exchange as one whose body was too slow. Deliberately not here: HTTP/1, where reads have timeouts.

use std::future::{Future, pending};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

tokio::task_local! {
    static CURRENT: Arc<BodyProgress>;
}

/// How far the body of a request has come.
#[derive(Debug, Default)]
pub(crate) struct BodyProgress {
    taken: AtomicU64,
    forwarding: AtomicBool,
    conversation: AtomicBool,
    answered: AtomicBool,
    ended: AtomicBool,
    broken_off: AtomicBool,
}

impl BodyProgress {
    /// That of the current request; `None` where nobody looks.
    pub(crate) fn current() -> Option<Arc<Self>> {
        CURRENT.try_with(Arc::clone).ok()
    }

    /// Runs what serves the request.
    pub(crate) async fn serving<T>(self: &Arc<Self>, served: impl Future<Output = T>) -> T {
        CURRENT.scope(Arc::clone(self), served).await
    }

    /// Notes that from now on the body is read as it comes. `may_converse` says that its upstream
    /// may be one that client and server talk through; what a client says of itself is not enough.
    pub(crate) fn note_forwarding(&self, may_converse: bool) {
        self.conversation.store(may_converse, Ordering::Relaxed);
        self.forwarding.store(true, Ordering::Relaxed);
    }

    /// Notes that the head of the answer is on its way to the client.
    pub(crate) fn note_answered(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    /// Notes bytes of the body, and whether they were the last.
    pub(crate) fn note(&self, bytes: usize, last: bool) {
        self.taken.fetch_add(bytes as u64, Ordering::Relaxed);
        self.ended.fetch_or(last, Ordering::Relaxed);
    }

    /// Bytes of the body so far.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Whether the request was broken off because its body came too slowly.
    pub(crate) fn is_broken_off(&self) -> bool {
        self.broken_off.load(Ordering::Relaxed)
    }
}

/// How fast a body has to come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// It may stand still for so long.
    pub(crate) standstill: Duration,
    /// What it may take in all; 0 = any.
    pub(crate) all: Duration,
    /// Bytes per second that it brings on average after `grace`; 0 = any.
    pub(crate) bytes_per_second: u32,
    /// Whether the client says that it is a conversation. If its upstream may hold one, its silence
    /// means nothing, and it is only watched until the answer begins.
    pub(crate) speaks_grpc: bool,
    /// What a body may take before its average counts.
    pub(crate) grace: Duration,
}

impl Pace {
    /// Returns when the body is too slow, and has noted that. `under_way` says how many bytes
    /// have come that could be its own and that nobody could take yet.
    pub(crate) async fn watch(self, body: &BodyProgress, under_way: impl Fn() -> u64) {
        let look_every = Duration::from_secs(1)
            .min(self.standstill / 2)
            .max(Duration::from_millis(10));
        let mut seen = Seen::from(Instant::now());
        loop {
            tokio::time::sleep(look_every).await;
            if self.is_done(body) {
                return pending().await;
            }
            let come = body.taken() + under_way();
            let waits = !body.forwarding.load(Ordering::Relaxed);
            let pace = self.of(body);
            if seen.is_too_slow(pace, Instant::now(), come, waits) {
                body.broken_off.store(true, Ordering::Relaxed);
                return;
            }
        }
    }

    fn is_done(self, body: &BodyProgress) -> bool {
        body.ended.load(Ordering::Relaxed)
            || (self.is_conversation(body) && body.answered.load(Ordering::Relaxed))
    }

    fn is_conversation(self, body: &BodyProgress) -> bool {
        self.speaks_grpc && body.conversation.load(Ordering::Relaxed)
    }

    /// What holds for this body.
    fn of(self, body: &BodyProgress) -> Self {
        match self.is_conversation(body) {
            true => Self {
                bytes_per_second: 0,
                ..self
            },
            false => self,
        }
    }
}

/// What was seen of a body.
struct Seen {
    since: Instant,
    moved_at: Instant,
    most: u64,
}

impl Seen {
    const fn from(now: Instant) -> Self {
        Self {
            since: now,
            moved_at: now,
            most: 0,
        }
    }

    /// Looks again; `waits` says that the request waits for its turn and nobody takes what comes.
    fn is_too_slow(&mut self, pace: Pace, now: Instant, come: u64, waits: bool) -> bool {
        if waits {
            *self = Self::from(now);
        } else if come > self.most {
            (self.most, self.moved_at) = (come, now);
        }
        let counted = (now - self.since).saturating_sub(pace.grace).as_millis();
        let owed = counted * u128::from(pace.bytes_per_second) / 1_000;
        let in_all = !pace.all.is_zero() && now - self.since >= pace.all;
        in_all || now - self.moved_at >= pace.standstill || u128::from(come) < owed
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{BodyProgress, Pace, Seen};

    const PACE: Pace = Pace {
        standstill: Duration::from_secs(60),
        all: Duration::from_secs(500),
        bytes_per_second: 240,
        speaks_grpc: true,
        grace: Duration::from_secs(5),
    };
    const CONVERSATION: Pace = Pace {
        bytes_per_second: 0,
        ..PACE
    };

    /// The second at which a body is broken off that brings so many bytes in each.
    fn broken_off_at(pace: Pace, bytes: u64, waits_until: u64) -> Option<u64> {
        let began = Instant::now();
        let mut seen = Seen::from(began);
        (1..600).find(|second| {
            let now = began + Duration::from_secs(*second);
            seen.is_too_slow(pace, now, bytes * second, *second <= waits_until)
        })
    }

    #[test]
    fn slow_bodies_are_broken_off() {
        for (pace, bytes, waits_until, expected) in [
            (
                Pace {
                    all: Duration::ZERO,
                    ..PACE
                },
                240,
                0,
                None,
            ),
            (PACE, 240, 0, Some(500)),
            (PACE, 0, 0, Some(6)),
            (PACE, 100, 0, Some(9)),
            (PACE, 0, 100, Some(106)),
            (CONVERSATION, 1, 0, Some(500)),
            (CONVERSATION, 0, 0, Some(60)),
            (CONVERSATION, 0, 100, Some(160)),
        ] {
            let got = broken_off_at(pace, bytes, waits_until);
            assert_eq!(got, expected, "{bytes} {waits_until} {pace:?}");
        }
    }

    #[test]
    fn nothing_is_owed_after_the_end_or_once_a_conversation_has_begun() {
        let body = BodyProgress::default();
        assert!(!PACE.is_done(&body));
        body.note_answered();
        // The client alone says that it is one.
        body.note_forwarding(false);
        assert!(!PACE.is_done(&body));
        assert_eq!(PACE.of(&body).bytes_per_second, 240);
        body.note_forwarding(true);
        assert!(PACE.is_done(&body));
        assert_eq!(PACE.of(&body).bytes_per_second, 0);
        body.note_forwarding(false);
        body.note(3, true);
        assert!(PACE.is_done(&body));
        assert_eq!(body.taken(), 3);
    }
}
