//! Which worker the current thread is.
//!
//! Invariant: a worker is one thread with one current-thread runtime, and a connection never
//! leaves the worker that accepted it, so everything of one request happens on one thread.
//! The number is claimed once per thread at its first use and never handed to another thread
//! of the same gateway. Deliberately not here: what a worker owns.

use std::cell::Cell;

thread_local! {
    static INDEX: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Claims `index` for the current thread, unless it already has a number. Returns its number.
pub(crate) fn claim(index: usize) -> usize {
    INDEX.with(|cell| {
        let claimed = cell.get().unwrap_or(index);
        cell.set(Some(claimed));
        claimed
    })
}

/// The number of the current worker, 0..threads; `None` on a thread that serves no connections.
#[must_use]
pub fn index() -> Option<usize> {
    INDEX.with(Cell::get)
}

#[cfg(test)]
mod tests {
    use super::{claim, index};

    #[test]
    fn a_thread_keeps_its_first_number() {
        std::thread::spawn(|| {
            assert_eq!(index(), None);
            assert_eq!(claim(3), 3);
            assert_eq!(claim(5), 3);
            assert_eq!(index(), Some(3));
        })
        .join()
        .unwrap();
    }
}
