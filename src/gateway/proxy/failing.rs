//! Attempts that failed: whose fault it was, and whether another one may follow.
//!
//! Invariant: only what no server can have taken is sent again, and only within the budget. Not here:
//! what the client is told (`own`).

use pingora::proxy::Session;
use pingora::{Error, ErrorSource, ErrorType};

use super::Hooks;
use crate::gateway::bodies;
use crate::gateway::common::may_be_repeated;
use crate::gateway::failure;
use crate::gateway::governor::Failure;
use crate::gateway::passage::Passage;

impl Hooks {
    /// No connection came about, so nothing was sent.
    pub(super) fn not_connected(
        &self,
        session: &Session,
        passage: &mut Passage,
        mut error: Box<Error>,
    ) -> Box<Error> {
        passage.never_sent += 1;
        self.judge(passage, true);
        let may_retry = passage.forward().is_some_and(|forward| forward.may_retry)
            && is_first_try_of_idempotent(session, passage);
        error.set_retry(may_retry && self.has_budget(passage));
        error
    }

    /// An exchange broke off on its way.
    pub(super) fn broken_off(
        &self,
        session: &Session,
        passage: &mut Passage,
        mut error: Box<Error>,
        reused: bool,
    ) -> Box<Error> {
        if bodies::is_waited_for(&error, passage) {
            error.as_down();
        }
        // Such a request is refused by Pingora before its head is written.
        let never_sent = failure::classify(&error) == Failure::NotForwardable;
        passage.never_sent += u8::from(never_sent);
        let unserved = reused && closed_before_a_byte(&error, session);
        passage.unanswered += u8::from(unserved);
        if !unserved && *error.esource() == ErrorSource::Upstream {
            self.judge(passage, true);
        }
        let may_retry = unserved && is_first_try_of_idempotent(session, passage);
        error.set_retry(may_retry && self.has_budget(passage));
        error
    }
}

fn is_first_try_of_idempotent(session: &Session, passage: &Passage) -> bool {
    let is_idempotent = session.req_header().method.is_idempotent();
    may_be_repeated(passage, is_idempotent) && !session.retry_buffer_truncated()
}

/// Whether an upstream closed a kept connection instead of taking the request.
fn closed_before_a_byte(error: &Error, session: &Session) -> bool {
    let head_only = session.upstream_body_bytes_sent() == Some(0);
    let nothing_sent_back = session.response_written().is_none();
    let mut retry = error.retry;
    retry.decide_reuse(true);
    let closed = retry.retry() || (head_only && *error.etype() == ErrorType::WriteError);
    closed && nothing_sent_back && *error.esource() == ErrorSource::Upstream
}
