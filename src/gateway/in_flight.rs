//! How many requests are being served.
//!
//! Invariant: a request is counted from its head to the last byte of its answer, and uncounted
//! by a drop guard, whatever ends it. Each worker writes a cell of its own. Deliberately not
//! here: requests per contract; the pipeline counts those.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam::utils::CachePadded;

/// The requests of one worker.
#[derive(Debug, Clone, Default)]
pub(crate) struct InFlight(Arc<CachePadded<AtomicUsize>>);

impl InFlight {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn enter(&self) -> Guard {
        self.0.fetch_add(1, Ordering::AcqRel);
        Guard(Arc::clone(&self.0))
    }
}

/// One request being served.
#[derive(Debug)]
pub(crate) struct Guard(Arc<CachePadded<AtomicUsize>>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
