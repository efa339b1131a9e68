//! How a connection ends, and what is counted of it.
//!
//! Invariant: what was refused out of sight is counted and recorded once.

use std::sync::Arc;

use h2::Reason;
use pingora::protocols::http::v2::server::HttpSession;

use super::super::LINGER_MAX;
use super::Serving;
use crate::gateway::governor::ParseRefusal;

impl Serving<'_> {
    /// Tells the client to open no more streams; those that are open go on.
    pub(super) fn leave(&mut self) {
        if !self.is_leaving {
            self.is_leaving = true;
            self.streams.graceful_shutdown();
        }
    }

    /// Ends the connection with all that is on it, and waits a moment for the client to hear why.
    pub(super) async fn end(&mut self, reason: Reason) -> bool {
        self.streams.abrupt_shutdown(reason);
        let ended = async {
            loop {
                let digest = Arc::clone(&self.digest);
                match HttpSession::from_h2_conn(&mut self.streams, digest).await {
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => return,
                }
            }
        };
        _ = tokio::time::timeout(LINGER_MAX, ended).await;
        self.note_fault_of_connection();
        false
    }

    pub(super) fn note_fault_of_connection(&mut self) {
        self.report_faults();
        if self.frames.watch().take_gone_away() {
            let reason = ParseRefusal::Http2Connection;
            self.edge.note_refused(self.connection, reason, 0);
        }
    }

    /// Counts and records what was refused out of sight. Pingora answers with a status alone where
    /// Host disagrees with the authority or both are missing, `h2` where the list of fields is far
    /// too large.
    pub(super) fn report_faults(&mut self) {
        let faults = self.frames.watch().take_unreported();
        for _ in 0..faults.reset {
            let reason = ParseRefusal::Http2Stream;
            self.edge.note_refused(self.connection, reason, 0);
        }
        for _ in 0..faults.bare {
            let (reason, status) = if self.rejected > 0 {
                self.rejected -= 1;
                (ParseRefusal::Host, 400)
            } else {
                (ParseRefusal::HeadTooLarge, 431)
            };
            self.edge.note_refused(self.connection, reason, status);
        }
    }
}
