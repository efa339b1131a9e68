//! When a connection must be looked after, and what is done then.
//!
//! Invariant: each silence of a client ends: of its head, of what it asked for, of the connection. Not
//! here: the rules of each (`frames`, `taking`).

use std::time::Duration;

use h2::Reason;
use tokio::time::Instant;

use super::Serving;
use super::frames::head_deadline;
use crate::gateway::governor::ParseRefusal;

impl Serving<'_> {
    /// When the connection must be looked after, whatever happens.
    pub(super) fn due(&self) -> Instant {
        let timeouts = &self.edge.settings.timeouts;
        let head = head_deadline(&self.frames.watch(), self.began, timeouts.head);
        let quiet = self.quiet_since.map(|since| since + timeouts.idle);
        let age = (!self.is_leaving).then(|| self.began + timeouts.age);
        let far = || Instant::now() + Duration::from_secs(24 * 3_600);
        let taking = self.quiet_since.is_none().then(|| self.taking.look_at());
        let due = [head, quiet, age, taking].into_iter().flatten().min();
        due.unwrap_or_else(far)
    }

    /// A deadline has passed, or is no longer one.
    pub(super) async fn ring(&mut self) -> bool {
        let now = Instant::now();
        let timeouts = &self.edge.settings.timeouts;
        let (settled, head, taken) = {
            let watch = self.frames.watch();
            let head = head_deadline(&watch, self.began, timeouts.head);
            (watch.is_settled(), head, watch.data_sent())
        };
        if head.is_some_and(|head| head <= now) {
            if !settled {
                return self.end(Reason::SETTINGS_TIMEOUT).await;
            }
            let reason = ParseRefusal::HeadTimeout;
            self.edge.note_refused(self.connection, reason, 0);
            return self.end(Reason::ENHANCE_YOUR_CALM).await;
        }
        if self
            .quiet_since
            .is_some_and(|since| since + timeouts.idle <= now)
        {
            return self.end(Reason::NO_ERROR).await;
        }
        if self.taking.look(now, taken) {
            return self.end(Reason::ENHANCE_YOUR_CALM).await;
        }
        if now >= self.began + timeouts.age {
            self.leave();
        }
        true
    }
}
