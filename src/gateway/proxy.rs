//! Pingora's hooks: translate in, call one function, translate out.
//!
//! Invariant: a hook decides nothing; what becomes of a request stands in its exchange, and
//! whatever ends the request, the exchange is closed exactly once. Deliberately not here:
//! statuses, bodies and the reading of heads.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::protocols::http::ServerSession;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy};
use pingora::{Error, ErrorSource, ErrorType, Result};

use super::bodies;
use super::clock;
use super::connection::Connection;
use super::edge::{self, LINGER_MAX};
use super::failure::{self, NO_ADDRESS};
use super::fields;
use super::framing;
use super::governor::{Course, Exchange, Failure, Forward, Governor, HeadFacts};
use super::held::Held;
use super::in_flight::InFlight;
use super::passage::{Ending, Passage};
use super::quota;
use super::respond::{Answer, DECISION_ID};
use super::retry_budget::push_back;
use super::settings::GatewaySettings;
use super::upstreams::{Picker, Target};
use crate::tls::KINDS;

/// The field that tells an upstream of the case a request goes on under.
const QUARANTINE: &str = "Tidegate-Quarantine";

/// Attempts at most, the first one included.
const ATTEMPTS_MAX: u8 = 2;

/// The hooks of one worker.
pub(crate) struct Hooks {
    pub(crate) governor: Arc<dyn Governor>,
    pub(crate) picker: Picker,
    pub(crate) settings: Arc<GatewaySettings>,
    pub(crate) in_flight: InFlight,
    pub(crate) worker: usize,
}

#[async_trait]
impl ProxyHttp for Hooks {
    type CTX = Passage;

    fn new_ctx(&self) -> Passage {
        Passage::new(Arc::clone(&self.governor), self.in_flight.enter())
    }

    /// Without this Pingora adds a compression module that costs time even while it is off.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(&self, session: &mut Session, passage: &mut Passage) -> Result<bool> {
        passage.has_body = !session.as_downstream_mut().is_body_empty();
        if session.req_header().version == http::Version::HTTP_10 {
            // HTTP/1.0 knows one head per answer.
            session.as_downstream_mut().set_ignore_info_resp(true);
        }
        self.admit(session, passage);
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
        passage.attempts += 1;
        // Whoever did not take the first attempt is not asked again while there is another one.
        let last = passage.target.take().map(|target| target.socket());
        // A further attempt begins with the body from its first byte.
        passage.body_bytes = 0;
        let forward = passage
            .forward()
            .ok_or_else(|| Error::new_in(ErrorType::InternalError))?;
        let chosen = self.picker.pick(forward.upstream, last);
        let may_switch = may_switch(session, passage);
        let chosen =
            chosen.and_then(|target| Some((self.peer(&target, forward, may_switch)?, target)));
        let Some((mut peer, target)) = chosen else {
            passage.never_sent += 1;
            return Err(Error::new_up(ErrorType::Custom(NO_ADDRESS)));
        };
        if may_switch {
            self.expect_tunnel(session, forward, &mut peer);
        }
        passage.target = Some(target);
        if let Some(body) = &passage.body {
            let is_http2 = peer.options.alpn.get_min_http_version() == 2;
            let is_stream = passage.forward().is_some_and(|forward| forward.is_stream);
            body.note_forwarding(is_stream || is_http2);
        }
        Ok(Box::new(peer))
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        passage: &mut Passage,
    ) -> Result<()> {
        if let Some(path) = passage
            .forward()
            .and_then(|forward| forward.path.as_deref())
        {
            request.set_raw_path(path)?;
        }
        let strict = passage.forward().is_some_and(|forward| forward.strict);
        fields::strip_request(request, passage.connection.peer_trusted, strict);
        if let Some(field) = self.settings.caller_header.as_ref() {
            // Beside a certificate the field was not looked at.
            let connection = &passage.connection;
            let is_believed = connection.peer_trusted && connection.identity.is_none();
            fields::strip_caller(request, field, is_believed);
        }
        fields::one_hop_less(request)?;
        if session.req_header().version == http::Version::HTTP_10 {
            // Its client knows no 100, whatever it says.
            request.remove_header(&http::header::EXPECT);
        }
        if let Some(case) = passage
            .forward()
            .and_then(|forward| forward.case.as_deref())
        {
            request.insert_header(QUARANTINE, case)?;
        }
        // HTTP/1.0 may leave it out; what goes upstream is HTTP/1.1, which may not.
        // HTTP/2 has it in the authority.
        if !request.headers.contains_key(http::header::HOST)
            && request.uri.authority().is_none()
            && let Some(target) = &passage.target
            && let Some(authority) = self.picker.authority(target)
        {
            request.insert_header(http::header::HOST, authority)?;
        }
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        passage: &mut Passage,
    ) -> Result<()> {
        framing::mend(response, may_switch(session, passage))?;
        let status = response.status;
        if status.is_informational() && status != http::StatusCode::SWITCHING_PROTOCOLS {
            fields::strip_response(response);
            return passage.one_more_interim();
        }
        passage.upstream_status = status.as_u16();
        if is_of_a_gateway(status) {
            self.judge(passage, true);
        }
        if status == http::StatusCode::SWITCHING_PROTOCOLS {
            // A tunnel may be silent for longer than a body; the edge knows how long.
            session.as_downstream_mut().set_read_timeout(None);
        }
        if let Some(body) = &passage.body {
            body.note_answered();
        }
        fields::strip_response(response);
        if let Some(exchange) = passage.exchange() {
            let at = clock::now();
            self.governor.head_received(exchange, at, status.as_u16());
            let retry_after = response.headers.get(http::header::RETRY_AFTER);
            let retry_after = retry_after.map(http::HeaderValue::as_bytes);
            if let Some(quiet) = push_back(status.as_u16(), retry_after) {
                self.governor.pushed_back(exchange, at, quiet);
            }
            response.insert_header(DECISION_ID, exchange.decision_id().as_bytes())?;
            decorate(response, exchange)?;
        }
        Ok(())
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
        mut error: Box<Error>,
    ) -> Box<Error> {
        passage.never_sent += 1;
        self.judge(passage, true);
        let may_retry = passage.forward().is_some_and(|forward| forward.may_retry)
            && is_first_try_of_idempotent(session, passage);
        error.set_retry(may_retry && self.has_budget(passage));
        error
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        passage: &mut Passage,
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
        let answer = Answer::to_failure(failure);
        let begun = session.response_written().is_some_and(is_final);
        let message =
            answer
                .filter(|_| !begun)
                .zip(passage.exchange())
                .and_then(|(answer, exchange)| {
                    let asked = session.req_header();
                    let (mut head, body) = answer.message_to(asked, exchange.decision_id()).ok()?;
                    decorate(&mut head, exchange).ok()?;
                    Some((answer.status, head, body))
                });
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
        let sent = session
            .response_written()
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

impl Hooks {
    fn admit(&self, session: &Session, passage: &mut Passage) {
        let request = session.req_header();
        let facts = HeadFacts {
            listener: passage.connection.listener,
            worker: self.worker,
            peer: passage.connection.peer,
            peer_trusted: passage.connection.peer_trusted,
            identity: passage.connection.identity.as_deref(),
            method: request.method.as_str(),
            raw_target: behind_authority(request.raw_path()),
            origin_form: request.raw_path().starts_with(b"/"),
            host: host_of(request),
            headers: &request.headers,
            has_body: passage.has_body,
            caller: self.caller(&request.headers, &passage.connection),
            at: clock::now(),
        };
        passage.admit(self.governor.admit(&facts));
    }

    /// The name that the caller proved. Names of certificates carry their kind, which no field can
    /// claim.
    fn caller<'a>(
        &self,
        headers: &'a http::HeaderMap,
        connection: &'a Connection,
    ) -> Option<&'a str> {
        if let Some(proved) = connection.identity.as_deref() {
            return Some(proved);
        }
        let field = self.settings.caller_header.as_ref();
        let field = field.filter(|_| connection.peer_trusted)?;
        let name = fields::only_value(headers, field.as_str())?.to_str().ok()?;
        let is_certified = KINDS.iter().any(|kind| name.starts_with(kind));
        (!name.is_empty() && !is_certified).then_some(name)
    }

    /// Waits until the request's turn has come. A client that leaves meanwhile is noticed, unless
    /// its body is on the way: then nobody reads before the request is sent on.
    async fn wait_for_turn(
        &self,
        session: &mut Session,
        passage: &Passage,
        hold: Duration,
    ) -> Result<()> {
        let turn = tokio::time::sleep(hold);
        if passage.has_body {
            turn.await;
        } else {
            // The edge holds back what the client sends ahead, so only its end can come here.
            let gone = async {
                match session.as_downstream_mut().read_body_or_idle(true).await {
                    Err(error) => error,
                    Ok(_) => std::future::pending().await,
                }
            };
            tokio::select! {
                () = turn => {}
                error = gone => return Err(error.into_down()),
            }
        }
        if let Some(exchange) = passage.exchange() {
            self.governor.turn_came(exchange, clock::now());
        }
        Ok(())
    }

    /// Whether one more attempt is within the budget. Where the gateway only observes there is
    /// none, because it adds no attempt that the client would not have made.
    fn has_budget(&self, passage: &Passage) -> bool {
        let acts = passage.forward().is_some_and(|forward| forward.may_retry);
        let exchange = passage.exchange().filter(|_| acts);
        exchange.is_none_or(|exchange| self.governor.may_retry(exchange, clock::now()))
    }

    /// The last server that was chosen failed, or did not.
    fn judge(&self, passage: &mut Passage, failed: bool) {
        if let Some(target) = &mut passage.target {
            let now_ns = || clock::now().monotonic_ns;
            self.picker.judge(target, failed, now_ns);
        }
    }

    /// A tunnel is silent for as long as it wants; only its handshake has to be answered in time.
    fn expect_tunnel(&self, session: &Session, forward: &Forward, peer: &mut HttpPeer) {
        peer.options.read_timeout = Some(self.settings.timeouts.tunnel_age);
        if let Some(stream) = session.stream() {
            edge::answer_handshake_within(stream, forward.timeout);
        }
    }

    fn peer(&self, target: &Target, forward: &Forward, may_switch: bool) -> Option<HttpPeer> {
        let timeouts = &self.settings.timeouts;
        let mut peer = self.picker.peer(target)?;
        peer.options.connection_timeout = Some(timeouts.connect);
        peer.options.total_connection_timeout = Some(timeouts.connect);
        peer.options.read_timeout = Some(forward.timeout);
        peer.options.write_timeout = Some(timeouts.upstream_write);
        peer.options.idle_timeout = Some(timeouts.upstream_idle);
        if !may_switch {
            peer.options.http_upstream_request_policy = HttpUpstreamRequestPolicy::deny_upgrades();
        }
        Some(peer)
    }
}

/// Writes a whole answer. One without a body ends with its head, which over HTTP/2 only the stream
/// itself can say; a client of gRPC takes any other end for a broken call.
async fn write_answer(
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

/// Adds what a response tells of its decision, apart from the id.
fn decorate(response: &mut ResponseHeader, exchange: &Exchange) -> Result<()> {
    quota::tell(response, exchange.quotas())?;
    fields::deprecate(response, exchange.notice())?;
    fields::expose(response, exchange.exposed())
}

/// Reads the rest of a small body, so that the client sees the answer instead of a reset. A
/// client that waits for `100 Continue` may send its body or not, so nothing can follow it.
fn keep_for_next_request(session: &mut Session, close: bool) {
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

/// Whether the request asked its upstream for another protocol.
fn may_switch(session: &Session, passage: &Passage) -> bool {
    // The contract first: most allow no upgrade, and their requests need no look-up of fields.
    passage.forward().is_some_and(|forward| forward.may_upgrade)
        && !passage.has_body
        && framing::is_handshake(session.req_header())
}

fn is_final(head: &ResponseHeader) -> bool {
    !head.status.is_informational() || head.status == http::StatusCode::SWITCHING_PROTOCOLS
}

fn is_first_try_of_idempotent(session: &Session, passage: &Passage) -> bool {
    passage.attempts < ATTEMPTS_MAX
        && session.req_header().method.is_idempotent()
        && !session.retry_buffer_truncated()
}

/// Whether an answer says that nobody served the request, in the words of proxies: that is about
/// the server. 500 is about the request.
fn is_of_a_gateway(status: http::StatusCode) -> bool {
    matches!(status.as_u16(), 502..=504)
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

fn host_of(request: &RequestHeader) -> &[u8] {
    match request.uri.authority() {
        Some(authority) => authority.as_str().as_bytes(),
        None => request
            .headers
            .get(http::header::HOST)
            .map_or(b"", http::HeaderValue::as_bytes),
    }
}

/// Path and query of a target; the edge lets only `/...`, `*` and `scheme://authority...` pass.
fn behind_authority(target: &[u8]) -> &[u8] {
    if matches!(target.first(), Some(b'/' | b'*')) {
        return target;
    }
    let authority = target.windows(3).position(|three| three == b"://");
    let rest = target
        .get(authority.map_or(0, |at| at + 3)..)
        .unwrap_or_default();
    let path = rest.iter().position(|byte| matches!(byte, b'/' | b'?'));
    path.and_then(|at| rest.get(at..)).unwrap_or(b"/")
}

#[cfg(test)]
mod tests {
    use super::behind_authority;

    #[test]
    fn a_target_is_cut_behind_its_authority() {
        for (target, expected) in [
            ("/a?b=http://c/d", "/a?b=http://c/d"),
            ("*", "*"),
            ("http://a/b?c", "/b?c"),
            ("http://a", "/"),
            ("http://a?c", "?c"),
        ] {
            assert_eq!(behind_authority(target.as_bytes()), expected.as_bytes());
        }
    }
}
