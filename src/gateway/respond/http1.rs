//! An answer of ours as the bytes of HTTP/1.1, without a header map between.
//!
//! Invariant: fields, their order and the body are those of `Answer::message`; a test compares the
//! two for every kind of answer. Deliberately not here: `Date`, `Connection` and what the response
//! tells of its decision beside the id (`RateLimit`, deprecation, exposure); the caller hands them
//! in as complete lines.

use http::StatusCode;

use super::{Answer, PROBLEM_JSON};
use crate::gateway::governor::DecisionId;

/// The bytes of a head beside those of its `extra` fields, roughly: one growth is enough.
const HEAD_BYTES: usize = 384;

impl Answer {
    /// Appends the whole message as decision `id`: status line, fields, `extra`, the empty line and,
    /// `with_body` (not to HEAD), the body. `Content-Length` is that of the body either way. Returns
    /// how many bytes of the body were written.
    ///
    /// `extra` are complete field lines, each with its CRLF, or nothing. Neither `Date` nor
    /// `Connection` is written here, and whether the connection ends the caller knows by
    /// [`Answer::close`].
    pub fn write_http1(
        &self,
        id: DecisionId,
        with_body: bool,
        extra: &[&[u8]],
        out: &mut Vec<u8>,
    ) -> usize {
        let length = self.body_len(id);
        let extra_len: usize = extra.iter().map(|lines| lines.len()).sum();
        out.reserve(HEAD_BYTES + extra_len + length);
        let mut number = itoa::Buffer::new();
        match first_lines(self.status) {
            Some(lines) => out.extend_from_slice(lines.as_bytes()),
            None => self.write_first_lines(out),
        }
        out.extend_from_slice(number.format(length).as_bytes());
        out.extend_from_slice(b"\r\nCache-Control: no-store\r\nTidegate-Decision-Id: ");
        out.extend_from_slice(id.as_bytes());
        if let Some(allow) = self.allow {
            out.extend_from_slice(b"\r\nAllow: ");
            let mut comma: &[u8] = b"";
            for method in allow.iter() {
                out.extend_from_slice(comma);
                out.extend_from_slice(method.as_str().as_bytes());
                comma = b", ";
            }
        }
        if let Some(seconds) = self.retry_after_s {
            out.extend_from_slice(b"\r\nRetry-After: ");
            out.extend_from_slice(number.format(seconds).as_bytes());
        }
        out.extend_from_slice(b"\r\nProxy-Status: ");
        out.extend_from_slice(self.proxy_status.as_bytes());
        out.extend_from_slice(b"\r\n");
        for lines in extra {
            out.extend_from_slice(lines);
        }
        out.extend_from_slice(b"\r\n");
        if !with_body {
            return 0;
        }
        self.write_body(id, out);
        length
    }

    #[cold]
    fn write_first_lines(&self, out: &mut Vec<u8>) {
        let status = StatusCode::from_u16(self.status).unwrap_or_default();
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(status.as_str().as_bytes());
        out.extend_from_slice(b" ");
        out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
        out.extend_from_slice(b"\r\nContent-Type: ");
        out.extend_from_slice(PROBLEM_JSON.as_bytes());
        out.extend_from_slice(b"\r\nContent-Length: ");
    }
}

/// What a message begins with, ready made for the statuses of refusals.
const fn first_lines(status: u16) -> Option<&'static str> {
    macro_rules! lines {
        ($status:literal) => {
            Some(concat!(
                "HTTP/1.1 ",
                $status,
                "\r\nContent-Type: application/problem+json\r\nContent-Length: "
            ))
        };
    }
    match status {
        403 => lines!("403 Forbidden"),
        404 => lines!("404 Not Found"),
        429 => lines!("429 Too Many Requests"),
        503 => lines!("503 Service Unavailable"),
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::{Answer, HEAD_BYTES};
    use crate::contract::{Method, MethodSet};
    use crate::gateway::governor::{DecisionId, Failure, ParseRefusal};
    use crate::gateway::respond::DECISION_ID;
    use crate::units::{Reason, ReasonSet};

    /// One of each kind, and each of those bare, with all that a refusal adds, and in between.
    pub(in crate::gateway::respond) fn all_answers() -> Vec<Answer> {
        let get = MethodSet::EMPTY.with(Method::Get);
        let kinds = [
            Answer::quarantined(404),
            Answer::quarantined(403),
            Answer::internal(),
            Answer::refused(),
            Answer::method_not_allowed(MethodSet::EMPTY),
            Answer::method_not_allowed(get),
            Answer::method_not_allowed(get.with(Method::Head).with(Method::Delete)),
            Answer::ambiguous_target(),
            Answer::quota_exceeded(1),
            Answer::abnormal_usage(10),
            Answer::reduced_capacity(u32::MAX),
            Answer::ledger_unavailable(12),
            Answer::circuit_open(7),
        ];
        let failures = [
            Failure::NoAddress,
            Failure::Connect,
            Failure::ConnectTimeout,
            Failure::Tls,
            Failure::Write,
            Failure::Timeout,
            Failure::Reset,
            Failure::Garbage,
            Failure::BodyMalformed,
            Failure::BodyTooSlow,
            Failure::BodyTooLarge,
            Failure::NotForwardable,
            Failure::Internal,
        ];
        let refusals = [
            ParseRefusal::HeadTimeout,
            ParseRefusal::HeadTooLarge,
            ParseRefusal::TooManyFields,
            ParseRefusal::TargetTooLong,
            ParseRefusal::RequestLine,
            ParseRefusal::Version,
            ParseRefusal::Field,
            ParseRefusal::LineEnd,
            ParseRefusal::Host,
            ParseRefusal::ContentLength,
            ParseRefusal::TransferEncoding,
            ParseRefusal::LengthAndEncoding,
            ParseRefusal::TargetBytes,
            ParseRefusal::TargetForm,
            ParseRefusal::Connect,
            ParseRefusal::Nomination,
            ParseRefusal::Expectation,
            ParseRefusal::BodyNotAllowed,
            ParseRefusal::MaxForwards,
            ParseRefusal::Http2Stream,
            ParseRefusal::Http2Connection,
        ];
        assert_eq!(refusals.len(), ParseRefusal::NAMES.len());
        let failed = failures
            .into_iter()
            .map(|failure| Answer::to_failure(failure).expect("somebody to answer"));
        let answers = kinds.into_iter().chain(failed);
        let answers = answers.chain(refusals.map(Answer::to_refusal));
        answers.flat_map(with_all_that_is_added).collect()
    }

    fn with_all_that_is_added(answer: Answer) -> [Answer; 4] {
        let one = ReasonSet::EMPTY.with(Reason::RateLimitExceeded);
        let all = Reason::ALL.into_iter().fold(one, ReasonSet::with);
        let mut limited = answer.clone().because(one);
        limited.violated = Some("contract");
        let mut apart = answer.clone().because(all);
        apart.case_id = Some("q-0123456789abcdef".to_owned());
        let mut both = limited.clone();
        both.case_id.clone_from(&apart.case_id);
        [answer, limited, apart, both]
    }

    fn written(answer: &Answer, id: DecisionId, with_body: bool, extra: &str) -> String {
        let mut out = b"before ".to_vec();
        answer.write_http1(id, with_body, &[extra.as_bytes()], &mut out);
        let wire = String::from_utf8(out).expect("text");
        let (_, wire) = wire.split_once("before ").expect("what was there stays");
        wire.to_owned()
    }

    #[test]
    fn it_is_the_message_of_the_full_proxy() {
        const EXTRA: &str = "RateLimit: \"contract\";r=0;t=1\r\nConnection: close\r\n";
        let id = DecisionId::new(*b"0123456789abcdef012345");
        for answer in all_answers() {
            let (head, body) = answer.message(id).unwrap();
            assert!(head.headers.contains_key(DECISION_ID));
            let mut expected = format!("HTTP/1.1 {}\r\n", head.status).into_bytes();
            head.header_to_h1_wire(&mut expected);
            let fields = String::from_utf8(expected).unwrap();
            let body = std::str::from_utf8(&body).unwrap();
            for (with_body, body) in [(true, body), (false, "")] {
                for extra in ["", EXTRA] {
                    let expected = format!("{fields}{extra}\r\n{body}");
                    assert_eq!(written(&answer, id, with_body, extra), expected);
                }
            }
        }
    }

    #[test]
    fn one_growth_is_enough() {
        let id = DecisionId::new([b'a'; 22]);
        for answer in all_answers() {
            let head = written(&answer, id, false, "");
            assert!(head.len() <= HEAD_BYTES, "{}: {head}", head.len());
        }
    }
}
