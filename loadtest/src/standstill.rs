//! Whether this machine stood still: seen by naps that took far longer than they should.
//!
//! What is lost while everything stands still says nothing of a gateway; this tells such moments apart
//! without looking at what was lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const NAP: Duration = Duration::from_millis(10);

/// Watches until it is dropped.
#[derive(Debug)]
pub struct Standstill {
    halts: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Standstill {
    /// Counts naps that took longer than `usual`.
    #[must_use]
    pub fn watch(usual: Duration) -> Self {
        let (halts, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (counted, ends) = (Arc::clone(&halts), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                let began = Instant::now();
                std::thread::sleep(NAP);
                counted.fetch_add(u64::from(began.elapsed() > usual), Ordering::Relaxed);
            }
        });
        Self {
            halts,
            stop,
            thread: Some(thread),
        }
    }

    /// How often it stood still.
    #[must_use]
    pub fn halts(&self) -> u64 {
        self.halts.load(Ordering::Relaxed)
    }
}

impl Drop for Standstill {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Its naps are short, and it has nothing to fail with.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nap_that_takes_too_long_is_counted() {
        let seen = Standstill::watch(Duration::ZERO);
        while seen.halts() < 3 {
            std::thread::yield_now();
        }
        assert_eq!(Standstill::watch(Duration::from_secs(3_600)).halts(), 0);
    }
}
