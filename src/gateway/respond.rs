//! Every status and every body that the gateway makes by itself.
//!
//! Invariant: nothing outside this module names a status code of ours, and no answer says more
//! about the inside than its reason codes. Bodies are RFC 9457 problems, and every answer says in
//! Proxy-Status (RFC 9209) that it is ours. Deliberately not here: which answer a request deserves.

use bytes::Bytes;
use pingora::Result;
use pingora::http::ResponseHeader;

use super::governor::{DecisionId, Failure, ParseRefusal};
use crate::contract::MethodSet;
use crate::units::{Reason, ReasonSet};

pub(crate) mod grpc;
mod http1;
mod problem;
#[cfg(test)]
mod tests;
mod words;

/// The header that names the decision on every response.
pub const DECISION_ID: &str = "Tidegate-Decision-Id";
const PROBLEM_JSON: &str = "application/problem+json";

/// An answer of the gateway itself. Making one does not allocate, but for a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status, 400..=599.
    pub status: u16,
    /// The problem type, a URI.
    pub kind: &'static str,
    /// The problem in three words.
    pub title: &'static str,
    /// The problem in one sentence for the client.
    pub detail: &'static str,
    /// Why, as far as it is told.
    pub reasons: ReasonSet,
    /// The quarantine case the request belongs to.
    pub case_id: Option<String>,
    /// Methods for `Allow`.
    pub allow: Option<MethodSet>,
    /// Seconds for `Retry-After`.
    pub retry_after_s: Option<u32>,
    /// The limit that is used up, by its name in `RateLimit-Policy`.
    pub violated: Option<&'static str>,
    /// The value of `Proxy-Status`.
    pub proxy_status: &'static str,
    /// Whether the connection ends with this answer.
    pub close: bool,
    /// What its body begins with, up to the id, where that is ready made.
    front: Option<&'static str>,
}

/// An answer with the words of a refusal, whose body is ready made as far as its id.
macro_rules! refusal {
    ($status:literal, $kind:literal, $title:literal, $detail:literal) => {{
        let mut answer = Answer::plain($status, $kind, $title, $detail);
        answer.front = Some(concat!(
            "{\"type\":\"",
            $kind,
            "\",\"title\":\"",
            $title,
            "\",\"status\":",
            $status,
            ",\"detail\":\"",
            $detail,
            "\",\"instance\":\""
        ));
        answer
    }};
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
            detail,
            reasons: ReasonSet::EMPTY,
            case_id: None,
            allow: None,
            retry_after_s: None,
            violated: None,
            proxy_status: DENIED,
            close: false,
            front: None,
        }
    }

    /// The same answer with these reasons.
    #[must_use]
    pub const fn because(mut self, reasons: ReasonSet) -> Self {
        self.reasons = reasons;
        self
    }

    /// 404 or 403: the request is set apart; which of them says the policy for unknown paths.
    #[must_use]
    pub const fn quarantined(status: u16) -> Self {
        match status {
            404 => refusal!(
                404,
                "urn:tidegate:problem:unknown-endpoint",
                "Unknown endpoint",
                "No contract covers this path."
            ),
            _ => refusal!(
                403,
                "urn:tidegate:problem:quarantined",
                "Quarantined",
                "The request has been set apart for review."
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
        refusal!(
            403,
            "urn:tidegate:problem:refused",
            "Refused",
            "The request is not permitted."
        )
    }

    /// 405 with `Allow`.
    #[must_use]
    pub const fn method_not_allowed(allow: MethodSet) -> Self {
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
        let mut answer = refusal!(
            429,
            "https://iana.org/assignments/http-problem-types#quota-exceeded",
            "Quota exceeded",
            "The limit of this endpoint is used up."
        );
        answer.retry_after_s = Some(retry_after_s);
        answer
    }

    /// 429: the client behaves unusually; a retry is welcome after so many seconds.
    #[must_use]
    pub const fn abnormal_usage(retry_after_s: u32) -> Self {
        let mut answer = refusal!(
            429,
            "https://iana.org/assignments/http-problem-types#abnormal-usage-detected",
            "Abnormal usage detected",
            "Requests of this client are slowed down."
        );
        answer.retry_after_s = Some(retry_after_s);
        answer
    }

    /// 503: the endpoint sheds load or all its places are taken.
    #[must_use]
    pub const fn reduced_capacity(retry_after_s: u32) -> Self {
        let mut answer = refusal!(
            503,
            "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",
            "Temporary reduced capacity",
            "The endpoint serves fewer requests for now."
        );
        answer.proxy_status = "tidegate; error=connection_limit_reached";
        answer.retry_after_s = Some(retry_after_s);
        answer
    }

    /// 503: no record of the decision can be kept, and nothing goes on without one.
    #[must_use]
    pub const fn ledger_unavailable(retry_after_s: u32) -> Self {
        let mut answer = refusal!(
            503,
            "urn:tidegate:problem:ledger-unavailable",
            "Ledger unavailable",
            "The gateway cannot keep the record that this endpoint requires."
        );
        answer.proxy_status = INTERNAL;
        answer.retry_after_s = Some(retry_after_s);
        answer
    }

    /// 503: the circuit of the endpoint is open.
    #[must_use]
    pub const fn circuit_open(retry_after_s: u32) -> Self {
        let mut answer = refusal!(
            503,
            "urn:tidegate:problem:circuit-open",
            "Circuit open",
            "The endpoint is not reachable for now."
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
    pub const fn to_refusal(refusal: ParseRefusal) -> Self {
        let (status, title, detail) = words::refused(refusal);
        let mut answer = Self::plain(status, MALFORMED, title, detail);
        answer.reasons = ReasonSet::EMPTY.with(Reason::MalformedRequest);
        answer.proxy_status = REQUEST_ERROR;
        answer.close = true;
        answer
    }

    /// The answer to a failure; `None` when there is nobody left to answer.
    #[must_use]
    pub fn to_failure(failure: Failure) -> Option<Self> {
        let (status, kind, title) = words::failed(failure)?;
        let mut answer = Self::plain(status, kind, title, words::detail(failure));
        answer.proxy_status = words::proxy_status(failure);
        Some(answer)
    }

    /// The head and body of the answer as decision `id`.
    ///
    /// # Errors
    ///
    /// Where a value cannot stand in a header, which none of ours is.
    pub(crate) fn message(&self, id: DecisionId) -> Result<(ResponseHeader, Bytes)> {
        let body = self.body(id);
        let mut head = ResponseHeader::build(self.status, Some(8))?;
        head.insert_header("Content-Type", PROBLEM_JSON)?;
        head.insert_header("Content-Length", itoa::Buffer::new().format(body.len()))?;
        head.insert_header("Cache-Control", "no-store")?;
        head.insert_header(DECISION_ID, id.as_bytes())?;
        if let Some(allow) = self.allow {
            let names: Vec<&str> = allow.iter().map(|method| method.as_str()).collect();
            head.insert_header("Allow", names.join(", "))?;
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
        let mut wire = Vec::new();
        self.write_http1(id, true, &[b"Connection: close\r\n"], &mut wire);
        wire
    }
}

/// The gateway's own rules stand against the request; it was not forwarded.
const DENIED: &str = "tidegate; error=http_request_denied";
/// The request is at fault.
const REQUEST_ERROR: &str = "tidegate; error=http_request_error";
const INTERNAL: &str = "tidegate; error=proxy_internal_error";
const SLOW: &str = "tidegate; error=http_response_timeout";
const MALFORMED: &str = "urn:tidegate:problem:malformed-request";
