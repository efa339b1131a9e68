//! What is kept about one request on its way, whichever way that is.
//!
//! Invariant: the exchange is given back exactly once; a passage that is dropped before gives it
//! to its drop guard. Deliberately not here: decisions.

use std::cell::Cell;
use std::future::Future;
use std::sync::Arc;

use pingora::{Error, ErrorType, Result};

use super::clock;
use super::connection::Connection;
use super::governor::{Completion, Course, Exchange, Failure, Forward, Governor};
use super::in_flight::Guard;
use super::pace::BodyProgress;
use super::upstreams::Target;
use crate::units::Moment;

/// Interim answers to one request, over all its attempts.
const INTERIMS_MAX: u8 = 32;

tokio::task_local! {
    static HANDED: Cell<Option<Box<Passage>>>;
}

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
    /// The server of the last attempt.
    pub(crate) target: Option<Target>,
    /// Attempts to reach an upstream.
    pub(crate) attempts: u8,
    /// Attempts without a connection.
    pub(crate) never_sent: u8,
    /// Attempts on a kept connection that closed before a byte came back.
    pub(crate) unanswered: u8,
    /// Interim answers of the upstream.
    interims: u8,
    /// The last final status received.
    pub(crate) upstream_status: u16,
    /// When the upstream's answer had arrived in full.
    pub(crate) upstream_ended_at: Option<Moment>,
    /// Bytes of the body that went on.
    pub(crate) body_bytes: u64,
    /// Whether a body follows the head.
    pub(crate) has_body: bool,
    /// Whether the last byte of the body has come.
    pub(crate) body_ended: bool,
    /// How far the body has come, where somebody watches that.
    pub(crate) body: Option<Arc<BodyProgress>>,
    /// The status that the decision stands for, where the client was told it in other words.
    pub(crate) status_meant: Option<u16>,
    _in_flight: Guard,
}

/// What is known at the end of a request.
pub(crate) struct Ending {
    pub(crate) at: Moment,
    pub(crate) status_sent: u16,
    pub(crate) failure: Option<Failure>,
    pub(crate) request_body_bytes: u64,
    pub(crate) response_body_bytes: u64,
}

impl Passage {
    /// One on the current connection.
    pub(crate) fn new(governor: Arc<dyn Governor>, in_flight: Guard) -> Self {
        let mut passage = Self::on(governor, in_flight, Connection::current());
        passage.body = BodyProgress::current();
        passage
    }

    /// The passage that is handed over with the current request, if one is.
    pub(crate) fn handed() -> Option<Self> {
        HANDED
            .try_with(Cell::take)
            .ok()
            .flatten()
            .map(|boxed| *boxed)
    }

    /// Runs what serves a request; `decided` where it has been decided about already.
    pub(crate) async fn handing<T>(
        decided: Option<Box<Self>>,
        served: impl Future<Output = T>,
    ) -> T {
        match decided {
            Some(passage) => HANDED.scope(Cell::new(Some(passage)), served).await,
            None => served.await,
        }
    }

    /// One on a connection.
    pub(crate) fn on(
        governor: Arc<dyn Governor>,
        in_flight: Guard,
        connection: Arc<Connection>,
    ) -> Self {
        Self {
            progress: Progress::New,
            governor,
            connection,
            target: None,
            attempts: 0,
            never_sent: 0,
            unanswered: 0,
            interims: 0,
            upstream_status: 0,
            upstream_ended_at: None,
            body_bytes: 0,
            has_body: false,
            body_ended: false,
            body: None,
            status_meant: None,
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

    /// Counts an interim answer (1xx): an upstream may send a few, not one after the other without
    /// end, for each of them would start the time of the next.
    ///
    /// # Errors
    ///
    /// When there have been too many.
    pub(crate) fn one_more_interim(&mut self) -> Result<()> {
        self.interims = self.interims.saturating_add(1);
        if self.interims > INTERIMS_MAX {
            let too_many = "too many interim answers";
            return Err(Error::explain(ErrorType::InvalidHTTPHeader, too_many).into_up());
        }
        Ok(())
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
            status_sent: match ending.status_sent {
                0 => 0,
                sent => self.status_meant.unwrap_or(sent),
            },
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

    /// The end of a request that was broken off because its body came too slowly.
    fn broken_off(&self) -> Option<Ending> {
        let body = self.body.as_ref().filter(|body| body.is_broken_off())?;
        Some(Ending {
            at: clock::now(),
            status_sent: self.upstream_status,
            failure: Some(Failure::BodyTooSlow),
            request_body_bytes: body.taken(),
            response_body_bytes: 0,
        })
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        if let Some(ending) = self.broken_off() {
            self.close(&ending);
        }
        let progress = std::mem::replace(&mut self.progress, Progress::Closed);
        if let Progress::Admitted(exchange) = progress {
            self.governor.abandon(exchange);
        }
    }
}
