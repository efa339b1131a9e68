//! Answers of ours through Pingora: how they are written, and what follows on the connection.
//!
//! Not here: their statuses and words (`respond`).

use bytes::Bytes;
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::proxy::Session;

use crate::gateway::answer_fields::AnswerFields;
use crate::gateway::fields;
use crate::gateway::governor::{Exchange, Failure};
use crate::gateway::passage::Passage;
use crate::gateway::quota;
use crate::gateway::respond::Answer;

/// Writes a whole answer. One without a body ends with its head, which over HTTP/2 only the stream
/// itself can say; a client of gRPC takes any other end for a broken call.
pub(super) async fn write_answer(
    session: &mut Session,
    head: ResponseHeader,
    body: Option<Bytes>,
) -> Result<()> {
    let head = Box::new(head);
    if body.is_none()
        && let ServerSession::H2(stream) = session.as_downstream_mut()
    {
        return stream.write_response_header(head, true);
    }
    session.write_response_header(head, body.is_none()).await?;
    session.write_response_body(body, true).await
}

/// What the client is told of a failure; nothing where there is nobody, or an answer has begun.
pub(super) fn message_of(
    failure: Failure,
    session: &Session,
    passage: &Passage,
) -> Option<(u16, ResponseHeader, Bytes)> {
    if session.response_written().is_some_and(is_final) {
        return None;
    }
    let (answer, exchange) = Answer::to_failure(failure).zip(passage.exchange())?;
    let asked = session.req_header();
    let (mut head, body) = answer.message_to(asked, exchange.decision_id()).ok()?;
    decorate(&mut head, exchange).ok()?;
    Some((answer.status, head, body))
}

/// Adds what a response tells of its decision, apart from the id.
pub(in crate::gateway) fn decorate(
    response: &mut impl AnswerFields,
    exchange: &Exchange,
) -> Result<()> {
    quota::tell(response, exchange.quotas())?;
    fields::deprecate(response, exchange.notice())?;
    fields::expose(response, exchange.exposed())
}

/// Reads the rest of a small body, so that the client sees the answer instead of a reset. A
/// client that waits for `100 Continue` may send its body or not, so nothing can follow it.
pub(super) fn keep_for_next_request(session: &mut Session, close: bool) {
    if close
        || session
            .req_header()
            .headers
            .contains_key(http::header::EXPECT)
    {
        session.set_keepalive(None);
    } else {
        session.set_close_on_response_before_downstream_finish(false);
    }
}

pub(super) fn is_final(head: &ResponseHeader) -> bool {
    !head.status.is_informational() || head.status == http::StatusCode::SWITCHING_PROTOCOLS
}
