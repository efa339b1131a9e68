//! The streams of one connection that are being served.
//!
//! Invariant: each is counted out exactly once, when its guard is dropped, whatever ended it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The streams of one connection.
#[derive(Debug, Default)]
pub(super) struct Active {
    streams: AtomicUsize,
    ended: Notify,
}

/// One stream; counted out when it is dropped.
#[derive(Debug)]
pub(super) struct Guard(Arc<Active>);

impl Active {
    /// Counts a stream in.
    pub(super) fn enter(active: &Arc<Self>) -> Guard {
        active.streams.fetch_add(1, Ordering::Relaxed);
        Guard(Arc::clone(active))
    }

    /// Whether no stream is open.
    pub(super) fn is_quiet(&self) -> bool {
        self.streams.load(Ordering::Relaxed) == 0
    }

    /// Waits until the last open stream has ended.
    pub(super) async fn all_ended(&self) {
        self.ended.notified().await;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.0.streams.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.ended.notify_one();
        }
    }
}
