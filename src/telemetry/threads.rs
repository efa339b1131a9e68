//! The threads that run beside the workers: which of them live, and what becomes of one that panics.
//!
//! Invariant: a thread that ends, by itself or by a panic, is seen as down at once; one that is begun
//! again is begun again so many times and not for ever. Not here: what the threads do.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often a thread that panics is begun again: beyond, it is a fault that time does not mend.
const RESTARTS_MAX: u32 = 5;
/// Between a panic and the next beginning.
const PAUSE: Duration = Duration::from_millis(100);

/// Which threads live.
#[derive(Debug, Default)]
pub struct Threads(Mutex<Vec<(&'static str, Arc<AtomicBool>)>>);

impl Threads {
    /// A thread begins; it is down when what this returns is dropped, which is to be on that thread.
    pub fn enter(&self, name: &'static str) -> Life {
        let is_up = self.row(name);
        is_up.store(true, Ordering::Relaxed);
        Life { name, is_up }
    }

    /// Tells of a thread that does not tell by itself.
    pub fn set(&self, name: &'static str, is_up: bool) {
        self.row(name).store(is_up, Ordering::Relaxed);
    }

    /// All of them by name, and whether each lives.
    #[must_use]
    pub fn read(&self) -> Vec<(&'static str, bool)> {
        let rows = self.rows();
        let read = |(name, is_up): &(&'static str, Arc<AtomicBool>)| {
            (*name, is_up.load(Ordering::Relaxed))
        };
        rows.iter().map(read).collect()
    }

    /// Whether a thread of this name was begun and lives no more.
    #[must_use]
    pub fn is_down(&self, name: &str) -> bool {
        self.read().contains(&(name, false))
    }

    fn row(&self, name: &'static str) -> Arc<AtomicBool> {
        let mut rows = self.rows();
        let place = match rows.binary_search_by_key(&name, |(name, _)| *name) {
            Ok(place) => place,
            Err(place) => {
                rows.insert(place, (name, Arc::default()));
                place
            }
        };
        let row = rows.get(place).map(|(_, is_up)| Arc::clone(is_up));
        row.unwrap_or_default()
    }

    fn rows(&self) -> MutexGuard<'_, Vec<(&'static str, Arc<AtomicBool>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The life of one thread.
#[derive(Debug)]
pub struct Life {
    name: &'static str,
    is_up: Arc<AtomicBool>,
}

impl Life {
    /// Does `work` until it returns; where it panics it is begun again, five times at most. What it works
    /// on must be whole also after a panic in the middle.
    pub fn supervise(&self, mut work: impl FnMut()) {
        for again in 0..=RESTARTS_MAX {
            if catch_unwind(AssertUnwindSafe(&mut work)).is_ok() {
                return;
            }
            let left = RESTARTS_MAX - again;
            tracing::error!(
                event = "thread_panicked",
                thread = self.name,
                restarts_left = left
            );
            if left > 0 {
                std::thread::sleep(PAUSE);
            }
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.is_up.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{RESTARTS_MAX, Threads};

    #[test]
    fn a_thread_that_panics_is_begun_again_and_then_given_up() {
        let threads = Threads::default();
        for (panics, rounds) in [(0, 1), (2, 3), (99, RESTARTS_MAX + 1)] {
            let life = threads.enter("one");
            assert_eq!(threads.read(), [("one", true)]);
            let mut begun = 0;
            life.supervise(|| {
                begun += 1;
                assert!(begun > panics, "a panic of the test");
            });
            assert_eq!(begun, rounds);
            drop(life);
            assert!(threads.is_down("one"), "whatever it ended by");
        }
    }

    #[test]
    fn a_panic_without_supervision_shows_as_down() {
        let threads = Threads::default();
        let life = threads.enter("two");
        let ended = std::thread::spawn(move || {
            let _life = life;
            panic!("a panic of the test");
        });
        assert!(ended.join().is_err());
        assert!(threads.is_down("two") && !threads.is_down("never begun"));
        threads.set("three", false);
        assert_eq!(threads.read(), [("three", false), ("two", false)]);
    }
}
