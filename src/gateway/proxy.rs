//! Pingora's hooks: translate in, call one function, translate out.
//!
//! Invariant: a hook decides nothing; what becomes of a request stands in its exchange, and
//! whatever ends the request, the exchange is closed exactly once. Deliberately not here: what a
//! hook calls (`asking`, `upward`, `downward`, `failing`, `own`), statuses, the reading of heads.

mod asking;
mod downward;
mod failing;
mod own;
mod upward;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, Result};

use super::bodies;
use super::clock;
use super::common::Common;
use super::edge::{self, LINGER_MAX};
use super::failure;
use super::governor::Course;
use super::held::Held;
use super::passage::{Ending, Passage};
use own::{is_final, keep_for_next_request, message_of, write_answer};

pub(super) use own::decorate;

/// The hooks of one worker.
pub(crate) struct Hooks(pub(crate) Arc<Common>);

impl Deref for Hooks {
    type Target = Common;

    fn deref(&self) -> &Common {
        &self.0
    }
}

#[async_trait]
impl ProxyHttp for Hooks {
    type CTX = Passage;

    fn new_ctx(&self) -> Passage {
        Passage::handed()
            .unwrap_or_else(|| Passage::new(Arc::clone(&self.governor), self.in_flight.enter()))
    }

    /// Without this Pingora adds a compression module that costs time even while it is off.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(&self, session: &mut Session, passage: &mut Passage) -> Result<bool> {
        passage.has_body = !session.as_downstream_mut().is_body_empty();
        if session.req_header().version == http::Version::HTTP_10 {
            // HTTP/1.0 knows one head per answer.
            session.as_downstream_mut().set_ignore_info_resp(true);
        }
        if passage.exchange().is_none() {
            self.admit(session, passage);
        }
        let Some(exchange) = passage.exchange() else {
            return Ok(false);
        };
        let answer = match exchange.course() {
            Course::Forward(forward) if bodies::declares_too_much(session, forward) => {
                passage.never_sent += 1;
                return Err(bodies::too_large());
            }
            Course::Forward(forward) if forward.hold.is_zero() => return Ok(false),
            Course::Forward(forward) => {
                let hold = forward.hold;
                self.wait_for_turn(session, passage, hold).await?;
                return Ok(false);
            }
            Course::Close => {
                session.set_keepalive(None);
                return Ok(true);
            }
            Course::Answer(answer) => answer,
        };
        let asked = session.req_header();
        let (mut head, body) = answer.message_to(asked, exchange.decision_id())?;
        decorate(&mut head, exchange)?;
        let (close, status) = (answer.close, answer.status);
        passage.status_meant = Some(status);
        keep_for_next_request(session, close);
        let has_body = session.req_header().method != http::Method::HEAD && !body.is_empty();
        write_answer(session, head, has_body.then_some(body)).await?;
        Ok(true)
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        passage: &mut Passage,
    ) -> Result<Box<HttpPeer>> {
        self.next_peer(session, passage)
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        passage: &mut Passage,
    ) -> Result<()> {
        self.mend_request(session, request, passage)
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        passage: &mut Passage,
    ) -> Result<()> {
        self.mend_response(session, response, passage)
    }

    /// Pingora chunks what has no length for any client; HTTP/1.0 knows no chunks, so there the
    /// body ends with the connection.
    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        _passage: &mut Passage,
    ) -> Result<()> {
        if session.req_header().version == http::Version::HTTP_10
            && response
                .remove_header(&http::header::TRANSFER_ENCODING)
                .is_some()
        {
            // Also where the client asked to keep it: nothing else tells it where the body ends.
            session.set_keepalive(None);
        }
        Ok(())
    }

    async fn request_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        passage: &mut Passage,
    ) -> Result<()> {
        bodies::count(passage, body.as_ref())?;
        passage.body_ended |= end_of_stream;
        if let Some(progress) = &passage.body {
            progress.note(body.as_ref().map_or(0, Bytes::len), end_of_stream);
        }
        if end_of_stream
            && passage.has_body
            && let Some(exchange) = passage.exchange()
        {
            self.governor.body_read(exchange, clock::now());
        }
        Ok(())
    }

    fn upstream_response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        passage: &mut Passage,
    ) -> Result<Option<Duration>> {
        Held::note(body);
        if end_of_stream {
            passage.upstream_ended_at = Some(clock::now());
        }
        Ok(None)
    }

    fn fail_to_connect(
        &self,
        session: &mut Session,
        _peer: &HttpPeer,
        passage: &mut Passage,
        error: Box<Error>,
    ) -> Box<Error> {
        self.not_connected(session, passage, error)
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        passage: &mut Passage,
        reused: bool,
    ) -> Box<Error> {
        self.broken_off(session, passage, error, reused)
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        passage: &mut Passage,
    ) -> FailToProxy {
        let mut told = FailToProxy {
            error_code: 0,
            can_reuse_downstream: false,
        };
        let failure = failure::classify(error);
        let message = message_of(failure, session, passage);
        if let Some((status, head, body)) = message {
            told.error_code = status;
            // A client that is gone as well has nothing left to be told.
            if body.is_empty() && session.response_written().is_none() {
                passage.status_meant = Some(status);
                _ = write_answer(session, head, None).await;
            } else {
                _ = session.write_error_response(head, body).await;
            }
        }
        if bodies::is_cut(failure) {
            if let Some(stream) = session.stream() {
                edge::linger_at_the_end(stream);
            }
            let end = session.downstream_session.shutdown();
            _ = tokio::time::timeout(LINGER_MAX, end).await;
        }
        told
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, passage: &mut Passage) {
        // A client that left behind an interim answer has got no status.
        let sent = session
            .response_written()
            .filter(|head| is_final(head))
            .map_or(0, |head| head.status.as_u16());
        let ending = Ending {
            at: clock::now(),
            status_sent: sent,
            failure: error.map(failure::classify),
            request_body_bytes: session.body_bytes_read() as u64,
            response_body_bytes: session.body_bytes_sent() as u64,
        };
        passage.close(&ending);
        if passage.upstream_status != 0 {
            // What failed has been judged before.
            self.judge(passage, false);
        }
    }

    /// Each failure stands in the ledger and in the metrics; a line per failure in the log
    /// would let a client fill the disk.
    fn suppress_error_log(&self, _: &Session, _: &Passage, _: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _: &Session,
        _: &Passage,
        _: &Error,
        _: ProxyWarnLogContext,
    ) -> bool {
        true
    }
}
