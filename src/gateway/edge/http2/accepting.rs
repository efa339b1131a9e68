//! Takes streams in: each has a place, and a connection has so many of them.
//!
//! Invariant: a stream that is refused here was not looked at, and its client may send it again. Not
//! here: the rules of heads (`head`), and what becomes of a stream (`stream`).

use h2::Reason;
use pingora::protocols::http::v2::server::HttpSession;

use super::super::caps::{Full, StreamPermit};
use super::Serving;
use super::active::Active;

/// Requests that may come behind the last one that a client was told of, in multiples of the
/// streams it may have open: it cannot have heard of that yet.
const LATE_ROUNDS: u32 = 10;

impl Serving<'_> {
    pub(super) fn accept(&mut self, mut session: HttpSession) {
        self.requests = self.requests.saturating_add(1);
        if self.frames.is_over() {
            // What came in front of it ends the connection.
            return;
        }
        if let Ok(permit) = self.place() {
            self.quiet_since = None;
            let guard = Active::enter(&self.active, permit);
            let served = self.edge.serve_stream(
                session,
                self.connection,
                self.shutdown,
                &self.frames,
                guard,
            );
            tokio::spawn(self.taking.holding(served));
        } else {
            // It was not looked at, so the client may send it again.
            session.shutdown_with_reason(Reason::REFUSED_STREAM);
        }
        if self.requests == self.edge.settings.limits.requests_per_connection_max {
            self.leave();
        }
    }

    /// The place of one more stream; the first of a connection has that of the connection.
    fn place(&self) -> Result<Option<StreamPermit>, Full> {
        if self.active.is_quiet() {
            return Ok(None);
        }
        let address = self.connection.peer.map(|peer| peer.ip());
        self.edge.connections.admit_stream(address).map(Some)
    }

    /// More than this comes only from a client that was told to go and does not.
    pub(super) fn requests_max(&self) -> u32 {
        let limits = &self.edge.settings.limits;
        let late = limits.h2_streams_max.saturating_mul(LATE_ROUNDS);
        limits.requests_per_connection_max.saturating_add(late)
    }
}
