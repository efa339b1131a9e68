//! Whether the gateway stops, as a connection wants to know it beside each of its requests.
//!
//! Invariant: a connection that waits is told; a request touches nothing that other workers touch.
//! Deliberately not here: what follows from it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pingora::server::ShutdownWatch;

use super::told::Told;
use crate::gateway::stop::LAST_REQUEST;

/// Ready when a connection between two requests has to end.
pub(super) struct Stopping<'a, F> {
    wait: Pin<&'a mut F>,
    /// The listener's own: a copy would count on a line that all workers share.
    watch: &'a ShutdownWatch,
    /// Whether it was stopping when the connection began.
    from_the_start: bool,
    told: Told,
}

/// Waits for the stop, and then for a request that may be on its way; it is the last one then, and
/// its answer says so.
pub(super) async fn after_the_stop(mut watch: ShutdownWatch) {
    // An error means the sender is gone, and with it everything else.
    _ = watch.wait_for(|stopping| *stopping).await;
    tokio::time::sleep(LAST_REQUEST).await;
}

impl<'a, F: Future<Output = ()>> Stopping<'a, F> {
    /// `wait` is [`after_the_stop`] of the same `watch`.
    pub(super) fn new(wait: Pin<&'a mut F>, watch: &'a ShutdownWatch) -> Self {
        Self {
            wait,
            watch,
            from_the_start: *watch.borrow(),
            told: Told::default(),
        }
    }

    /// Whether the gateway stops by now.
    pub(super) fn has_begun(&self) -> bool {
        self.from_the_start || (self.has_news() && *self.watch.borrow())
    }

    fn has_news(&self) -> bool {
        !matches!(self.watch.has_changed(), Ok(false))
    }
}

impl<F: Future<Output = ()>> Future for Stopping<'_, F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Before there is news the wait is for news, and who waits for it is told.
        if self.told.is(cx) && !self.from_the_start && !self.has_news() {
            return Poll::Pending;
        }
        let Self { wait, told, .. } = &mut *self;
        told.ask(wait.as_mut(), cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future as _, poll_fn};
    use std::pin::{Pin, pin};
    use std::task::Poll;

    use tokio::sync::watch;
    use tokio::time::Instant;

    use super::{Stopping, after_the_stop};
    use crate::gateway::stop::LAST_REQUEST;

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_told_though_it_asks_once() {
        let (stop, watch) = watch::channel(false);
        let wait = pin!(after_the_stop(watch.clone()));
        let mut stopping = Stopping::new(wait, &watch);
        for _ in 0..3 {
            let ends = poll_fn(|cx| Poll::Ready(Pin::new(&mut stopping).poll(cx).is_ready()));
            assert!(!ends.await);
        }
        assert!(!stopping.has_begun());
        let begin = Instant::now();
        tokio::join!(&mut stopping, async {
            tokio::task::yield_now().await;
            stop.send(true).unwrap();
        });
        assert!(stopping.has_begun());
        assert!(Instant::now() >= begin + LAST_REQUEST);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_between_two_looks_is_seen_and_one_before_the_first() {
        let (stop, watch) = watch::channel(false);
        let wait = pin!(after_the_stop(watch.clone()));
        let mut early = Stopping::new(wait, &watch);
        let ends = poll_fn(|cx| Poll::Ready(Pin::new(&mut early).poll(cx).is_ready()));
        assert!(!ends.await);
        stop.send(true).unwrap();
        assert!(early.has_begun());
        let watch = stop.subscribe();
        let wait = pin!(after_the_stop(watch.clone()));
        let late = Stopping::new(wait, &watch);
        assert!(late.has_begun());
        late.await;
        early.await;
        // Nobody is left who could say so: the same.
        let (gone, watch) = watch::channel(false);
        drop(gone);
        let wait = pin!(after_the_stop(watch.clone()));
        Stopping::new(wait, &watch).await;
    }
}
