//! What ails the upstream at the moment: it fails below a path, or its workers stand still.
//!
//! Work is done by a few workers in order of arrival. A client that leaves takes nothing back: its
//! request keeps its place and is worked on, as most servers do it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

/// How many requests are worked on at once.
pub const WORKERS: usize = 10;
/// How often a worker that stands still looks whether it may go on.
const STALL_STEP: Duration = Duration::from_millis(5);
/// So many arrivals are remembered.
const ARRIVALS_MAX: usize = 1_000_000;

/// How requests fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failing {
    /// The answer.
    pub status: u16,
    /// How long it takes.
    pub after: Duration,
}

/// The health of one upstream; shared by all of its connections.
pub struct Health {
    stalled: AtomicBool,
    workers: Semaphore,
    watched: Mutex<Watched>,
}

#[derive(Default)]
struct Watched {
    prefix: String,
    failing: Option<Failing>,
    arrivals: Vec<Instant>,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            stalled: AtomicBool::new(false),
            workers: Semaphore::new(WORKERS),
            watched: Mutex::default(),
        }
    }
}

impl Health {
    /// Notes from now on when requests come whose target begins with `prefix`.
    pub fn watch(&self, prefix: &str) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        *watched = Watched {
            prefix: prefix.to_owned(),
            ..Watched::default()
        };
    }

    /// Fails the watched requests, or stops failing them.
    pub fn fail(&self, failing: Option<Failing>) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.failing = failing;
    }

    /// When the watched requests came.
    #[must_use]
    pub fn arrivals(&self) -> Vec<Instant> {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.arrivals.clone()
    }

    /// Lets all workers stand still, or go on.
    pub fn stall(&self, stalled: bool) {
        self.stalled.store(stalled, Ordering::Relaxed);
    }

    /// Notes a request, and says how it fails.
    pub(super) fn arrived(&self, target: &str) -> Option<Failing> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if watched.prefix.is_empty() || !target.starts_with(&watched.prefix) {
            return None;
        }
        if watched.arrivals.len() < ARRIVALS_MAX {
            watched.arrivals.push(Instant::now());
        }
        watched.failing
    }

    /// Waits for a worker, and for its work.
    pub(super) async fn work(&self, long: Duration) {
        // The semaphore is never closed, and without a permit the work would merely be unbounded.
        let _permit = self.workers.acquire().await;
        while self.stalled.load(Ordering::Relaxed) {
            tokio::time::sleep(STALL_STEP).await;
        }
        tokio::time::sleep(long).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_watched_requests_are_noted_and_fail() {
        let health = Health::default();
        let failing = Failing {
            status: 502,
            after: Duration::ZERO,
        };
        health.fail(Some(failing));
        assert_eq!(health.arrived("/a"), None, "nothing is watched");
        health.watch("/a");
        health.fail(Some(failing));
        assert_eq!(health.arrived("/a?x=1"), Some(failing));
        assert_eq!(health.arrived("/b"), None);
        health.fail(None);
        assert_eq!(health.arrived("/a"), None);
        assert_eq!(health.arrivals().len(), 2);
    }
}
