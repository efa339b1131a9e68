//! Who a future of the runtime tells once it is ready.
//!
//! Asking it again while it is not means a lock or two, and says nothing new: it tells the same task
//! in any case. Invariant: nobody is taken for told whom the future has not taken note of. Deliberately
//! not here: whether the future may be ready by now; whoever waits for it looks at that first.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::task::coop;

/// The task that was told to wait; nobody at first.
#[derive(Debug, Default)]
pub(super) struct Told(Option<Waker>);

impl Told {
    /// Whether it is the task that asks.
    pub(super) fn is(&self, cx: &Context<'_>) -> bool {
        self.0
            .as_ref()
            .is_some_and(|told| told.will_wake(cx.waker()))
    }

    /// Asks, and notes who waits.
    pub(super) fn ask<F: Future>(
        &mut self,
        future: Pin<&mut F>,
        cx: &mut Context<'_>,
    ) -> Poll<F::Output> {
        // Without a turn left the runtime has the task wait, and the future never hears of it.
        let is_heard = coop::has_budget_remaining();
        let answer = future.poll(cx);
        if answer.is_ready() || !is_heard {
            self.0 = None;
        } else if !self.is(cx) {
            self.0 = Some(cx.waker().clone());
        }
        answer
    }

    /// The future may have forgotten who waits.
    pub(super) fn forget(&mut self) {
        self.0 = None;
    }
}
