//! The streams of one connection that are being served.
//!
//! Invariant: each is counted out exactly once, when its guard is dropped, whatever ended it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use crate::gateway::edge::caps::StreamPermit;

/// The streams of one connection.
#[derive(Debug, Default)]
pub(super) struct Active {
    streams: AtomicUsize,
    ended: Notify,
}

/// One stream; counted out when it is dropped.
#[derive(Debug)]
pub(super) struct Guard {
    active: Arc<Active>,
    /// The place of a stream beside others.
    _permit: Option<StreamPermit>,
}

impl Active {
    /// Counts a stream in.
    pub(super) fn enter(active: &Arc<Self>, permit: Option<StreamPermit>) -> Guard {
        active.streams.fetch_add(1, Ordering::Relaxed);
        Guard {
            active: Arc::clone(active),
            _permit: permit,
        }
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
        if self.active.streams.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.active.ended.notify_one();
        }
    }
}
