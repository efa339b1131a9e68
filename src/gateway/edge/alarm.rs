//! One timer for all the deadlines of a connection.
//!
//! Invariant: it never rings before the deadline that is asked for. An ordinary request on a reused
//! connection touches no timer: one that is set to an earlier time is left as it is, and looked at
//! again when it has rung; nor is one asked again that tells the same task.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep};

use super::told::Told;

/// A timer that is made when it is first needed, and re-armed only where it must ring earlier.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    told: Told,
}

impl Alarm {
    /// Ready once `deadline` has passed.
    pub(in crate::gateway) fn poll_past(
        &mut self,
        cx: &mut Context<'_>,
        deadline: Instant,
    ) -> Poll<()> {
        let Self { sleep, told } = self;
        let sleep = sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if sleep.deadline() > deadline {
            told.forget();
            sleep.as_mut().reset(deadline);
        } else if told.is(cx) && !sleep.is_elapsed() {
            return Poll::Pending;
        }
        loop {
            ready!(told.ask(sleep.as_mut(), cx));
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }

    /// Returns once `deadline` has passed.
    pub(in crate::gateway) async fn ring_at(&mut self, deadline: Instant) {
        poll_fn(|cx| self.poll_past(cx, deadline)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Alarm;

    #[tokio::test(start_paused = true)]
    async fn it_rings_for_whoever_asked_last_and_not_before() {
        let begin = Instant::now();
        let at = move |seconds| begin + Duration::from_secs(seconds);
        let mut alarm = Alarm::default();
        for deadline in [5, 5, 9, 3, 3] {
            let is_past = poll_fn(|cx| Poll::Ready(alarm.poll_past(cx, at(deadline)).is_ready()));
            assert!(!is_past.await, "{deadline}");
        }
        // It is set to the third second, and looked at again then.
        alarm.ring_at(at(4)).await;
        assert_eq!(Instant::now(), at(4));
        for deadline in [8, 8] {
            let is_past = poll_fn(|cx| Poll::Ready(alarm.poll_past(cx, at(deadline)).is_ready()));
            assert!(!is_past.await, "{deadline}");
        }
        // The task that was told is not the one that waits.
        let other = tokio::spawn(async move {
            alarm.ring_at(at(8)).await;
            Instant::now()
        });
        assert_eq!(other.await.unwrap(), at(8));
    }
}
