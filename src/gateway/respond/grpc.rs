//! Answers of the gateway in the words of gRPC.
//!
//! Invariant: a gRPC client that the gateway answers by itself gets what its library can read, a
//! response of trailers only with `grpc-status`; the record keeps the HTTP status that anybody
//! else would have got. Deliberately not here: gRPC-Web, whose clients read HTTP statuses.

use std::fmt::Write;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Version};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};

use super::{Answer, DECISION_ID};
use crate::gateway::governor::DecisionId;

const MEDIA_TYPE: &[u8] = b"application/grpc";

/// Whether a request speaks gRPC: HTTP/2 with `application/grpc`, alone or with a codec or
/// parameters.
pub(crate) fn is_spoken(request: &RequestHeader) -> bool {
    request.version == Version::HTTP_2 && is_named(&request.headers)
}

fn is_named(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return false;
    };
    let Some((front, rest)) = value.as_bytes().split_at_checked(MEDIA_TYPE.len()) else {
        return false;
    };
    front.eq_ignore_ascii_case(MEDIA_TYPE) && matches!(rest.first(), None | Some(b'+' | b';'))
}

impl Answer {
    /// The head and body of the answer to this request. Without a body the head is the end.
    ///
    /// # Errors
    ///
    /// Where a value cannot stand in a header, which none of ours is.
    pub(crate) fn message_to(
        &self,
        asked: &RequestHeader,
        id: DecisionId,
    ) -> Result<(ResponseHeader, Bytes)> {
        if !is_spoken(asked) {
            return self.message(id);
        }
        let mut head = ResponseHeader::build(200, Some(8))?;
        head.insert_header("Content-Type", MEDIA_TYPE)?;
        head.insert_header(
            "Grpc-Status",
            itoa::Buffer::new().format(self.grpc_status()),
        )?;
        head.insert_header("Grpc-Message", percent_encoded(self.detail))?;
        head.insert_header("Cache-Control", "no-store")?;
        head.insert_header(DECISION_ID, id.as_bytes())?;
        if let Some(seconds) = self.retry_after_s {
            head.insert_header("Retry-After", itoa::Buffer::new().format(seconds))?;
            let millis = u64::from(seconds) * 1_000;
            let millis = itoa::Buffer::new().format(millis).to_owned();
            head.insert_header("Grpc-Retry-Pushback-Ms", millis)?;
        }
        head.insert_header("Proxy-Status", self.proxy_status)?;
        Ok((head, Bytes::new()))
    }

    /// The status code of gRPC: the table that gRPC gives for answers of HTTP intermediaries, but
    /// for two where a gateway that speaks gRPC knows better: a limit is `RESOURCE_EXHAUSTED`, and
    /// an upstream that was too slow `DEADLINE_EXCEEDED` (it may have done the work, so nobody
    /// shall try again as lightly as with `UNAVAILABLE`).
    fn grpc_status(&self) -> u8 {
        const UNKNOWN: u8 = 2;
        const DEADLINE_EXCEEDED: u8 = 4;
        const PERMISSION_DENIED: u8 = 7;
        const RESOURCE_EXHAUSTED: u8 = 8;
        const UNIMPLEMENTED: u8 = 12;
        const INTERNAL: u8 = 13;
        const UNAVAILABLE: u8 = 14;
        const UNAUTHENTICATED: u8 = 16;
        match self.status {
            400 => INTERNAL,
            401 => UNAUTHENTICATED,
            403 => PERMISSION_DENIED,
            404 => UNIMPLEMENTED,
            429 => RESOURCE_EXHAUSTED,
            504 if self.proxy_status == super::SLOW => DEADLINE_EXCEEDED,
            502..=504 => UNAVAILABLE,
            _ => UNKNOWN,
        }
    }
}

/// As `grpc-message` carries text: printable ASCII as it is, all else as `%XX`.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use http::Version;
    use pingora::http::RequestHeader;

    use super::{Answer, is_spoken, percent_encoded};
    use crate::contract::MethodSet;
    use crate::gateway::governor::{DecisionId, Failure};

    fn asked(content_type: &str) -> RequestHeader {
        let mut request = RequestHeader::build("POST", b"/p.S/M", None).unwrap();
        request.set_version(Version::HTTP_2);
        request.insert_header("Content-Type", content_type).unwrap();
        request
    }

    #[test]
    fn grpc_is_told_by_its_media_type() {
        for (content_type, expected) in [
            ("application/grpc", true),
            ("Application/gRPC+proto", true),
            ("application/grpc;charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/grpc-web+proto", false),
            ("application/json", false),
        ] {
            assert_eq!(is_spoken(&asked(content_type)), expected, "{content_type}");
        }
        let mut old = asked("application/grpc");
        old.set_version(Version::HTTP_11);
        assert!(!is_spoken(&old), "there are no trailers to expect");
    }

    #[test]
    fn every_status_has_its_code() {
        let slow = Answer::to_failure(Failure::Timeout).unwrap();
        let unreachable = Answer::to_failure(Failure::ConnectTimeout).unwrap();
        for (answer, code) in [
            (Answer::ambiguous_target(), "13"),
            (Answer::refused(), "7"),
            (Answer::quarantined(404), "12"),
            (Answer::quota_exceeded(1), "8"),
            (Answer::abnormal_usage(1), "8"),
            (Answer::reduced_capacity(1), "14"),
            (Answer::circuit_open(1), "14"),
            (slow, "4"),
            (unreachable, "14"),
            (Answer::internal(), "2"),
            (Answer::method_not_allowed(MethodSet::EMPTY), "2"),
        ] {
            let id = DecisionId::new([b'a'; 22]);
            let (head, body) = answer
                .message_to(&asked("application/grpc+proto"), id)
                .unwrap();
            assert_eq!((head.status.as_u16(), body.len()), (200, 0));
            assert_eq!(head.headers["content-type"], "application/grpc");
            assert_eq!(head.headers["grpc-status"], code, "{}", answer.status);
            assert!(head.headers.contains_key("grpc-message"));
            assert!(!head.headers.contains_key("content-length"));
            let pushback = head.headers.contains_key("grpc-retry-pushback-ms");
            assert_eq!(pushback, answer.retry_after_s.is_some());
        }
    }

    #[test]
    fn others_get_the_problem() {
        let id = DecisionId::new([b'a'; 22]);
        let (head, body) = Answer::refused()
            .message_to(&asked("application/json"), id)
            .unwrap();
        assert_eq!(head.status, 403);
        assert!(!body.is_empty());
    }

    #[test]
    fn a_message_is_percent_encoded() {
        for (text, expected) in [
            ("a b", "a b"),
            ("50%", "50%25"),
            ("é", "%C3%A9"),
            ("\n", "%0A"),
        ] {
            assert_eq!(percent_encoded(text), expected);
        }
    }
}
