//! What is kept about one request while Pingora carries it from hook to hook.
//!
//! Invariant: the exchange is given back exactly once; a passage that is dropped before gives it
//! to its drop guard. Deliberately not here: decisions.

use std::sync::Arc;

use super::connection::Connection;
use super::governor::{Completion, Course, Exchange, Failure, Forward, Governor};
use super::in_flight::Guard;
use crate::units::Moment;

/// How far a request has come.
#[allow(
    clippy::large_enum_variant,
    reason = "nearly all of its life a passage is admitted"
)]
pub(crate) enum Progress {
    /// Nothing has been decided.
    New,
    /// There is a decision.
    Admitted(Exchange),
    /// The exchange has been closed.
    Closed,
}

/// One request on its way.
pub(crate) struct Passage {
    progress: Progress,
    governor: Arc<dyn Governor>,
    /// The connection that the request came on.
    pub(crate) connection: Arc<Connection>,
    /// The server of the last attempt, by its number in the group.
    pub(crate) server: usize,
    /// Attempts to reach an upstream.
    pub(crate) attempts: u8,
    /// Attempts without a connection.
    pub(crate) never_sent: u8,
    /// Attempts on a kept connection that closed before a byte came back.
    pub(crate) unanswered: u8,
    /// Interim answers received.
    pub(crate) interim: u8,
    /// The last final status received.
    pub(crate) upstream_status: u16,
    /// When the upstream's answer had arrived in full.
    pub(crate) upstream_ended_at: Option<Moment>,
    /// Whether a body follows the head.
    pub(crate) has_body: bool,
    _in_flight: Guard,
}

/// What Pingora knows at the end of a request.
pub(crate) struct Ending {
    pub(crate) at: Moment,
    pub(crate) status_sent: u16,
    pub(crate) failure: Option<Failure>,
    pub(crate) request_body_bytes: u64,
    pub(crate) response_body_bytes: u64,
}

impl Passage {
    pub(crate) fn new(governor: Arc<dyn Governor>, in_flight: Guard) -> Self {
        Self {
            progress: Progress::New,
            governor,
            connection: Connection::current(),
            server: 0,
            attempts: 0,
            never_sent: 0,
            unanswered: 0,
            interim: 0,
            upstream_status: 0,
            upstream_ended_at: None,
            has_body: false,
            _in_flight: in_flight,
        }
    }

    pub(crate) fn admit(&mut self, exchange: Exchange) {
        self.progress = Progress::Admitted(exchange);
    }

    pub(crate) fn exchange(&self) -> Option<&Exchange> {
        match &self.progress {
            Progress::Admitted(exchange) => Some(exchange),
            Progress::New | Progress::Closed => None,
        }
    }

    /// Where the request goes; `None` when it goes nowhere.
    pub(crate) fn forward(&self) -> Option<&Forward> {
        match &self.progress {
            Progress::Admitted(exchange) => match exchange.course() {
                Course::Forward(forward) => Some(forward),
                Course::Answer(_) | Course::Close => None,
            },
            Progress::New | Progress::Closed => None,
        }
    }

    /// Closes the exchange, once.
    pub(crate) fn close(&mut self, ending: &Ending) {
        let progress = std::mem::replace(&mut self.progress, Progress::Closed);
        let Progress::Admitted(exchange) = progress else {
            return;
        };
        let completion = Completion {
            at: ending.at,
            upstream_ended_at: self.upstream_ended_at,
            status_sent: ending.status_sent,
            upstream_status: self.upstream_status,
            failure: ending.failure,
            attempts: self.attempts,
            never_sent: self.never_sent,
            unanswered: self.unanswered,
            request_body_bytes: ending.request_body_bytes,
            response_body_bytes: ending.response_body_bytes,
        };
        self.governor.complete(exchange, completion);
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        let progress = std::mem::replace(&mut self.progress, Progress::Closed);
        if let Progress::Admitted(exchange) = progress {
            self.governor.abandon(exchange);
        }
    }
}
