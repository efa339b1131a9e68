//! Every status and every body that the gateway makes by itself.
//!
//! Invariant: no other file names a status code of ours, and no answer says more about the
//! inside than its reason codes. Bodies are RFC 9457 problems, and every answer says in
//! Proxy-Status (RFC 9209) that it is ours. Deliberately not here: which answer a request deserves.

use std::borrow::Cow;

use bytes::Bytes;
use pingora::Result;
use pingora::http::ResponseHeader;
use serde::Serialize;

use super::governor::{DecisionId, Failure, ParseRefusal};

pub(crate) mod grpc;

/// The header that names the decision on every response.
pub const DECISION_ID: &str = "Tidegate-Decision-Id";
const PROBLEM_JSON: &str = "application/problem+json";

/// An answer of the gateway itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status, 400..=599.
    pub status: u16,
    /// The problem type, a URI.
    pub kind: &'static str,
    /// The problem in three words.
    pub title: &'static str,
    /// The problem in one sentence for the client.
    pub detail: Cow<'static, str>,
    /// Reason codes, sorted.
    pub reason_codes: Cow<'static, [&'static str]>,
    /// The quarantine case the request belongs to.
    pub case_id: Option<String>,
    /// Methods for `Allow`.
    pub allow: Option<String>,
    /// Seconds for `Retry-After`.
    pub retry_after_s: Option<u32>,
    /// The limit that is used up, by its name in `RateLimit-Policy`.
    pub violated: Option<&'static str>,
    /// The value of `Proxy-Status`.
    pub proxy_status: &'static str,
    /// Whether the connection ends with this answer.
    pub close: bool,
}

impl Answer {
    const fn plain(
        status: u16,
        kind: &'static str,
        title: &'static str,
        detail: &'static str,
    ) -> Self {
        Self {
            status,
            kind,
            title,
            detail: Cow::Borrowed(detail),
            reason_codes: Cow::Borrowed(&[]),
            case_id: None,
            allow: None,
            retry_after_s: None,
            violated: None,
            proxy_status: DENIED,
            close: false,
        }
    }

    /// The same answer with these reason codes.
    #[must_use]
    pub fn because(mut self, codes: impl Into<Cow<'static, [&'static str]>>) -> Self {
        self.reason_codes = codes.into();
        self
    }

    /// 404 or 403: the request is set apart; which of them says the policy for unknown paths.
    #[must_use]
    pub const fn quarantined(status: u16) -> Self {
        match status {
            404 => Self::plain(
                404,
                "urn:tidegate:problem:unknown-endpoint",
                "Unknown endpoint",
                "No contract covers this path.",
            ),
            _ => Self::plain(
                403,
                "urn:tidegate:problem:quarantined",
                "Quarantined",
                "The request has been set apart for review.",
            ),
        }
    }

    /// 500: the gateway itself failed.
    #[must_use]
    pub const fn internal() -> Self {
        let mut answer = Self::plain(
            500,
            "urn:tidegate:problem:internal",
            "Internal error",
            "The gateway could not handle this request.",
        );
        answer.proxy_status = INTERNAL;
        answer.close = true;
        answer
    }

    /// 403: the request is refused.
    #[must_use]
    pub const fn refused() -> Self {
        Self::plain(
            403,
            "urn:tidegate:problem:refused",
            "Refused",
            "The request is not permitted.",
        )
    }

    /// 405 with `Allow`.
    #[must_use]
    pub fn method_not_allowed(allow: String) -> Self {
        let mut answer = Self::plain(
            405,
            "urn:tidegate:problem:method-not-allowed",
            "Method not allowed",
            "The contract of this path does not allow the method.",
        );
        answer.allow = Some(allow);
        answer
    }

    /// 400: the target has more than one reading.
    #[must_use]
    pub const fn ambiguous_target() -> Self {
        let mut answer = Self::plain(
            400,
            "urn:tidegate:problem:ambiguous-target",
            "Ambiguous target",
            "The request target can be read in more than one way.",
        );
        answer.proxy_status = REQUEST_ERROR;
        answer
    }

    /// 429: a limit is exceeded; a retry is welcome after so many seconds.
    #[must_use]
    pub const fn quota_exceeded(retry_after_s: u32) -> Self {
        let mut answer = Self::plain(
            429,
            "https://iana.org/assignments/http-problem-types#quota-exceeded",
            "Quota exceeded",
            "The limit of this endpoint is used up.",
        );
        answer.retry_after_s = Some(retry_after_s);
        answer
    }

    /// 429: the client behaves unusually; a retry is welcome after so many seconds.
    #[must_use]
    pub const fn abnormal_usage(retry_after_s: u32) -> Self {
        let mut answer = Self::plain(
            429,
            "https://iana.org/assignments/http-problem-types#abnormal-usage-detected",
            "Abnormal usage detected",
            "Requests of this client are slowed down.",
        );
        answer.retry_after_s = Some(retry_after_s);
        answer
    }

    /// 503: the endpoint sheds load or all its places are taken.
    #[must_use]
    pub const fn reduced_capacity(retry_after_s: u32) -> Self {
        let mut answer = Self::plain(
            503,
            "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",
            "Temporary reduced capacity",
            "The endpoint serves fewer requests for now.",
        );
        answer.proxy_status = "tidegate; error=connection_limit_reached";
        answer.retry_after_s = Some(retry_after_s);
        answer
    }

    /// 503: no record of the decision can be kept, and nothing goes on without one.
    #[must_use]
    pub const fn ledger_unavailable(retry_after_s: u32) -> Self {
        let mut answer = Self::plain(
            503,
            "urn:tidegate:problem:ledger-unavailable",
            "Ledger unavailable",
            "The gateway cannot keep the record that this endpoint requires.",
        );
        answer.proxy_status = INTERNAL;
        answer.retry_after_s = Some(retry_after_s);
        answer
    }

    /// 503: the circuit of the endpoint is open.
    #[must_use]
    pub const fn circuit_open(retry_after_s: u32) -> Self {
        let mut answer = Self::plain(
            503,
            "urn:tidegate:problem:circuit-open",
            "Circuit open",
            "The endpoint is not reachable for now.",
        );
        answer.proxy_status = "tidegate; error=destination_unavailable";
        answer.retry_after_s = Some(retry_after_s);
        answer
    }

    /// Whether it tells of the limits that the client has or shares.
    #[must_use]
    pub const fn tells_of_limits(&self) -> bool {
        self.status == 429
    }

    /// The answer to a head that was refused in parsing; it ends the connection.
    #[must_use]
    pub fn to_refusal(refusal: ParseRefusal) -> Self {
        let (status, title, detail) = in_words(refusal);
        let mut answer = Self::plain(
            status,
            "urn:tidegate:problem:malformed-request",
            title,
            detail,
        );
        answer.reason_codes = Cow::Borrowed(&["MALFORMED_REQUEST"]);
        answer.proxy_status = REQUEST_ERROR;
        answer.close = true;
        answer
    }

    /// The answer to a failure; `None` when there is nobody left to answer.
    #[must_use]
    pub fn to_failure(failure: Failure) -> Option<Self> {
        let (status, kind, title, proxy_status) = match failure {
            Failure::NotForwardable | Failure::BodyMalformed => (
                400,
                "urn:tidegate:problem:malformed-request",
                "Malformed request",
                REQUEST_ERROR,
            ),
            Failure::BodyTooSlow => (
                408,
                "urn:tidegate:problem:request-timeout",
                "Request timeout",
                REQUEST_ERROR,
            ),
            Failure::BodyTooLarge => (
                413,
                "urn:tidegate:problem:body-too-large",
                "Request body too large",
                DENIED,
            ),
            Failure::NoAddress => (
                502,
                UNREACHABLE,
                "Upstream unreachable",
                "tidegate; error=dns_error",
            ),
            Failure::Connect => (
                502,
                UNREACHABLE,
                "Upstream unreachable",
                "tidegate; error=connection_refused",
            ),
            Failure::ConnectTimeout => (
                504,
                UNREACHABLE,
                "Upstream unreachable",
                "tidegate; error=connection_timeout",
            ),
            Failure::Tls => (
                502,
                UNREACHABLE,
                "Upstream unreachable",
                "tidegate; error=tls_protocol_error",
            ),
            Failure::Timeout => (
                504,
                "urn:tidegate:problem:upstream-slow",
                "Upstream too slow",
                SLOW,
            ),
            Failure::Write | Failure::Reset => (
                502,
                "urn:tidegate:problem:upstream-closed",
                "Upstream closed the connection",
                "tidegate; error=connection_terminated",
            ),
            Failure::Garbage => (
                502,
                "urn:tidegate:problem:upstream-malformed",
                "Upstream answered nonsense",
                "tidegate; error=http_protocol_error",
            ),
            Failure::Internal => (
                500,
                "urn:tidegate:problem:internal",
                "Internal error",
                INTERNAL,
            ),
            Failure::ClientAbort
            | Failure::AnswerTooSlow
            | Failure::TunnelIdle
            | Failure::TunnelAge => return None,
        };
        let detail = match failure {
            Failure::BodyMalformed => "The chunks of the request body cannot be read.",
            Failure::BodyTooSlow => "The request body did not come in time.",
            Failure::BodyTooLarge => "The request body is longer than the endpoint takes.",
            _ => "The gateway could not get an answer for this request.",
        };
        let mut answer = Self::plain(status, kind, title, detail);
        answer.proxy_status = proxy_status;
        Some(answer)
    }

    /// The head and body of the answer as decision `id`.
    ///
    /// # Errors
    ///
    /// Where a value cannot stand in a header, which only `allow` could cause.
    pub(crate) fn message(&self, id: DecisionId) -> Result<(ResponseHeader, Bytes)> {
        let body = self.body(id);
        let mut head = ResponseHeader::build(self.status, Some(8))?;
        head.insert_header("Content-Type", PROBLEM_JSON)?;
        head.insert_header("Content-Length", itoa::Buffer::new().format(body.len()))?;
        head.insert_header("Cache-Control", "no-store")?;
        head.insert_header(DECISION_ID, id.as_bytes())?;
        if let Some(allow) = &self.allow {
            head.insert_header("Allow", allow.as_str())?;
        }
        if let Some(seconds) = self.retry_after_s {
            head.insert_header("Retry-After", itoa::Buffer::new().format(seconds))?;
        }
        head.insert_header("Proxy-Status", self.proxy_status)?;
        Ok((head, body))
    }

    /// The same message as HTTP/1.1 bytes that end the connection, for a client whose request
    /// never became a session.
    pub(crate) fn closing_bytes(&self, id: DecisionId) -> Vec<u8> {
        let Ok((head, body)) = self.message(id) else {
            return Vec::new();
        };
        let mut wire = Vec::with_capacity(512 + body.len());
        wire.extend_from_slice(b"HTTP/1.1 ");
        wire.extend_from_slice(head.status.as_str().as_bytes());
        wire.push(b' ');
        wire.extend_from_slice(head.get_reason_phrase().unwrap_or_default().as_bytes());
        wire.extend_from_slice(b"\r\n");
        head.header_to_h1_wire(&mut wire);
        wire.extend_from_slice(b"Connection: close\r\n\r\n");
        wire.extend_from_slice(&body);
        wire
    }

    fn body(&self, id: DecisionId) -> Bytes {
        let problem = Problem {
            kind: self.kind,
            title: self.title,
            status: self.status,
            detail: &self.detail,
            instance: id.as_str(),
            reason_codes: Some(&*self.reason_codes).filter(|codes| !codes.is_empty()),
            violated_policies: self.violated.map(|name| [name]),
            case_id: self.case_id.as_deref(),
        };
        // Text and numbers always serialise; an empty body is still a valid answer.
        serde_json::to_vec(&problem).unwrap_or_default().into()
    }
}

/// Status, title and detail of a head that was refused in parsing.
const fn in_words(refusal: ParseRefusal) -> (u16, &'static str, &'static str) {
    match refusal {
        ParseRefusal::HeadTimeout => (
            408,
            "Request timeout",
            "The request head was not complete in time.",
        ),
        ParseRefusal::HeadTooLarge => (
            431,
            "Request head too large",
            "The request head has too many bytes.",
        ),
        ParseRefusal::TooManyFields => (
            431,
            "Too many header fields",
            "The request has too many header fields.",
        ),
        ParseRefusal::TargetTooLong => (
            414,
            "Request target too long",
            "The request target has too many bytes.",
        ),
        ParseRefusal::Connect => (405, "Method not allowed", "This is no tunnel."),
        ParseRefusal::MaxForwards => (
            405,
            "Method not allowed",
            "The request may go no further, and the gateway has no answer to its method.",
        ),
        ParseRefusal::Expectation => (
            417,
            "Expectation failed",
            "The only expectation that is known is 100-continue.",
        ),
        ParseRefusal::Version
        | ParseRefusal::RequestLine
        | ParseRefusal::Field
        | ParseRefusal::LineEnd
        | ParseRefusal::Host
        | ParseRefusal::ContentLength
        | ParseRefusal::TransferEncoding
        | ParseRefusal::LengthAndEncoding
        | ParseRefusal::TargetBytes
        | ParseRefusal::TargetForm
        | ParseRefusal::Nomination
        | ParseRefusal::BodyNotAllowed
        | ParseRefusal::Http2Stream
        | ParseRefusal::Http2Connection => (400, "Malformed request", malformed(refusal)),
    }
}

/// What is wrong with a head that is answered with 400.
const fn malformed(refusal: ParseRefusal) -> &'static str {
    match refusal {
        ParseRefusal::Version => "The request is not HTTP/1.0 or HTTP/1.1.",
        ParseRefusal::RequestLine => {
            "The first line is not method, target and version with one space between them."
        }
        ParseRefusal::Field => "A header field has bytes that may not be there.",
        ParseRefusal::LineEnd => "Lines of a request head end with CRLF.",
        ParseRefusal::Host => "A request has exactly one Host field, and it names a host.",
        ParseRefusal::ContentLength => {
            "A request has at most one Content-Length, and it is a number."
        }
        ParseRefusal::TransferEncoding => "The only transfer encoding of a request is chunked.",
        ParseRefusal::LengthAndEncoding => {
            "A request has either Content-Length or Transfer-Encoding."
        }
        ParseRefusal::TargetBytes => "The request target has bytes that must be percent-encoded.",
        ParseRefusal::TargetForm => {
            "The request target is neither a path nor an address that agrees with Host."
        }
        ParseRefusal::Nomination => "Connection names a field that is not its own to take away.",
        ParseRefusal::BodyNotAllowed => "A request of this method has no content.",
        ParseRefusal::HeadTimeout
        | ParseRefusal::HeadTooLarge
        | ParseRefusal::TooManyFields
        | ParseRefusal::TargetTooLong
        | ParseRefusal::Expectation
        | ParseRefusal::MaxForwards
        | ParseRefusal::Connect
        | ParseRefusal::Http2Stream
        | ParseRefusal::Http2Connection => "The request head is not acceptable.",
    }
}

/// The gateway's own rules stand against the request; it was not forwarded.
const DENIED: &str = "tidegate; error=http_request_denied";
/// The request is at fault.
const REQUEST_ERROR: &str = "tidegate; error=http_request_error";
const INTERNAL: &str = "tidegate; error=proxy_internal_error";
const SLOW: &str = "tidegate; error=http_response_timeout";
const UNREACHABLE: &str = "urn:tidegate:problem:upstream-unreachable";

#[derive(Serialize)]
struct Problem<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    instance: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason_codes: Option<&'a [&'static str]>,
    #[serde(rename = "violated-policies", skip_serializing_if = "Option::is_none")]
    violated_policies: Option<[&'static str; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    case_id: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::{Answer, DecisionId};
    use crate::gateway::governor::{Failure, ParseRefusal};

    #[test]
    fn an_answer_is_a_problem_with_its_headers() {
        let answer = Answer::method_not_allowed("GET, HEAD".to_owned())
            .because(&["CONTRACT_METHOD_DISALLOWED"][..]);
        let (head, body) = answer
            .message(DecisionId::new(*b"0123456789abcdef012345"))
            .unwrap();
        assert_eq!(head.status, 405);
        assert_eq!(head.headers["allow"], "GET, HEAD");
        assert_eq!(
            head.headers["tidegate-decision-id"],
            "0123456789abcdef012345"
        );
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["status"], 405);
        assert_eq!(body["instance"], "0123456789abcdef012345");
        assert_eq!(body["reason_codes"][0], "CONTRACT_METHOD_DISALLOWED");
    }

    #[test]
    fn every_answer_says_whose_fault_it_is() {
        let check = |answer: Answer, status: u16, error: &str| {
            let (head, body) = answer.message(DecisionId::new([b'a'; 22])).unwrap();
            assert_eq!(head.status, status);
            let expected = format!("tidegate; error={error}");
            assert_eq!(head.headers["proxy-status"], expected, "{status}");
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body.get("reason_codes"), None, "none is none: {body}");
        };
        check(Answer::quarantined(404), 404, "http_request_denied");
        check(Answer::quarantined(403), 403, "http_request_denied");
        check(Answer::refused(), 403, "http_request_denied");
        check(
            Answer::method_not_allowed("GET".to_owned()),
            405,
            "http_request_denied",
        );
        check(Answer::quota_exceeded(1), 429, "http_request_denied");
        check(Answer::abnormal_usage(1), 429, "http_request_denied");
        check(Answer::ambiguous_target(), 400, "http_request_error");
        check(Answer::reduced_capacity(1), 503, "connection_limit_reached");
        check(Answer::circuit_open(1), 503, "destination_unavailable");
        check(Answer::internal(), 500, "proxy_internal_error");
        let parsing = Answer::to_refusal(ParseRefusal::HeadTooLarge);
        assert_eq!(parsing.proxy_status, "tidegate; error=http_request_error");
        let unreachable = Answer::to_failure(Failure::Connect).unwrap();
        check(unreachable, 502, "connection_refused");
    }

    #[test]
    fn a_refusal_in_parsing_is_whole_http() {
        let wire = Answer::to_refusal(ParseRefusal::HeadTimeout)
            .closing_bytes(DecisionId::new([b'a'; 22]));
        let text = String::from_utf8(wire).unwrap();
        assert!(
            text.starts_with("HTTP/1.1 408 Request Timeout\r\n"),
            "{text}"
        );
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("Content-Length: {}", body.len())),
            "{head}"
        );
        assert!(head.contains("Connection: close"), "{head}");
    }
}
