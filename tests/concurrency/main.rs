//! What workers share, under sixteen real threads: permits and tokens never go below zero, nothing
//! is granted twice, and no count is lost.
//!
//! `words` asks each shared word alone in a tight loop, where two threads meet most often;
//! `requests` asks the whole pipeline. Time is virtual, so every expected number is exact.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod requests;
mod words;

use std::sync::Barrier;

const THREADS: usize = 16;

/// Runs on every worker's thread at once; all begin together.
pub(crate) fn on_all_workers(work: impl Fn(usize) + Sync) {
    let begin = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for worker in 0..THREADS {
            let (begin, work) = (&begin, &work);
            scope.spawn(move || {
                begin.wait();
                work(worker);
            });
        }
    });
}
