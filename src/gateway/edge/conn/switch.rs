//! A connection that may become a tunnel, or has: its deadlines.
//!
//! Invariant: a tunnel ends when no byte has moved either way for so long, and when it is so old,
//! whatever moves. Deliberately not here: which requests may ask for one, and what is in it.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use super::super::Cut;
use super::super::alarm::Alarm;
use crate::gateway::settings::Timeouts;

/// Made for each request that asks for another protocol.
#[derive(Debug)]
pub(super) struct Switch {
    idle: Duration,
    age: Duration,
    /// Milliseconds that the upstream has to answer the handshake; 0 while nobody waits for it.
    answer_within_ms: AtomicU64,
    asked: Option<Instant>,
    tunnel: Option<Tunnel>,
    alarm: Alarm,
}

#[derive(Debug, Clone, Copy)]
struct Tunnel {
    began: Instant,
    moved: Instant,
}

impl Switch {
    pub(super) fn new(timeouts: &Timeouts) -> Self {
        Self {
            idle: timeouts.tunnel_idle,
            age: timeouts.tunnel_age,
            answer_within_ms: AtomicU64::new(0),
            asked: None,
            tunnel: None,
            alarm: Alarm::default(),
        }
    }

    /// The handshake has been sent on, and its answer may take so long.
    pub(super) fn answer_within(&self, within: Duration) {
        let millis = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        self.answer_within_ms
            .store(millis.max(1), Ordering::Relaxed);
    }

    /// The answer is another one than a change of protocol.
    pub(super) fn declined(&self) {
        self.answer_within_ms.store(0, Ordering::Relaxed);
    }

    /// From here on it is a tunnel.
    pub(super) fn opened(&mut self) {
        let now = Instant::now();
        self.tunnel = Some(Tunnel {
            began: now,
            moved: now,
        });
    }

    /// Bytes went one way or the other.
    pub(super) fn moved(&mut self) {
        if let Some(tunnel) = &mut self.tunnel {
            tunnel.moved = Instant::now();
        }
    }

    /// Nothing comes from the client for now; the error is that a deadline has passed.
    pub(super) fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(tunnel) = self.tunnel else {
            return self.poll_answer(cx);
        };
        let (of_age, idle) = (tunnel.began + self.age, tunnel.moved + self.idle);
        ready!(self.alarm.poll_past(cx, of_age.min(idle)));
        let cut = if of_age <= idle {
            Cut::TunnelAge
        } else {
            Cut::TunnelIdle
        };
        Poll::Ready(Err(cut.into()))
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let within = match self.answer_within_ms.load(Ordering::Relaxed) {
            0 => return Poll::Pending,
            millis => Duration::from_millis(millis),
        };
        let asked = *self.asked.get_or_insert_with(Instant::now);
        ready!(self.alarm.poll_past(cx, asked + within));
        Poll::Ready(Err(Cut::HandshakeTimeout.into()))
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};
    use std::time::Duration;

    use super::Switch;
    use crate::gateway::edge::Cut;
    use crate::gateway::settings::Timeouts;

    fn switch() -> Switch {
        Switch::new(&Timeouts {
            tunnel_idle: Duration::from_secs(10),
            tunnel_age: Duration::from_secs(60),
            ..Timeouts::default()
        })
    }

    /// The cut that comes while something moves every `step` seconds, and after how many.
    async fn ends(mut switch: Switch, step: u64) -> Option<(u64, Cut)> {
        for passed in 1..200 {
            let mut cx = Context::from_waker(Waker::noop());
            tokio::time::advance(Duration::from_secs(1)).await;
            if let std::task::Poll::Ready(Err(error)) = switch.poll_wait(&mut cx) {
                return Cut::of(&error).map(|cut| (passed, cut));
            }
            if passed % step == 0 {
                switch.moved();
            }
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn a_tunnel_ends_idle_or_old() {
        let opened = || {
            let mut switch = switch();
            switch.opened();
            switch
        };
        assert_eq!(ends(opened(), 500).await, Some((10, Cut::TunnelIdle)));
        assert_eq!(ends(opened(), 9).await, Some((60, Cut::TunnelAge)));
        assert_eq!(ends(opened(), 11).await, Some((10, Cut::TunnelIdle)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_handshake_is_answered_in_time() {
        assert_eq!(ends(switch(), 1).await, None, "nobody has been asked");
        let asked = switch();
        asked.answer_within(Duration::from_secs(30));
        assert_eq!(ends(asked, 1).await, Some((31, Cut::HandshakeTimeout)));
        let declined = switch();
        declined.answer_within(Duration::from_secs(30));
        declined.declined();
        assert_eq!(ends(declined, 1).await, None);
    }
}
