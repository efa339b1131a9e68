//! What a refusal in parsing and a failure are called: status, title, one sentence, whose fault.
//!
//! Invariant: each match names every variant, so a new one does not compile until it has its words.
//! Deliberately not here: what else such an answer carries (`respond`).

use super::{DENIED, INTERNAL, MALFORMED, REQUEST_ERROR, SLOW};
use crate::gateway::governor::{Failure, ParseRefusal};

const UNREACHABLE: &str = "urn:tidegate:problem:upstream-unreachable";

/// Status, title and detail of a head that was refused in parsing.
pub(super) const fn refused(refusal: ParseRefusal) -> (u16, &'static str, &'static str) {
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

/// Status, problem type and title of a failure; nothing where nobody is left to answer.
pub(super) const fn failed(failure: Failure) -> Option<(u16, &'static str, &'static str)> {
    Some(match failure {
        Failure::NotForwardable | Failure::BodyMalformed => (400, MALFORMED, "Malformed request"),
        Failure::BodyTooSlow => {
            let kind = "urn:tidegate:problem:request-timeout";
            (408, kind, "Request timeout")
        }
        Failure::BodyTooLarge => {
            let kind = "urn:tidegate:problem:body-too-large";
            (413, kind, "Request body too large")
        }
        Failure::NoAddress | Failure::Connect | Failure::Tls => {
            (502, UNREACHABLE, "Upstream unreachable")
        }
        Failure::ConnectTimeout => (504, UNREACHABLE, "Upstream unreachable"),
        Failure::Timeout => {
            let kind = "urn:tidegate:problem:upstream-slow";
            (504, kind, "Upstream too slow")
        }
        Failure::Write | Failure::Reset => {
            let kind = "urn:tidegate:problem:upstream-closed";
            (502, kind, "Upstream closed the connection")
        }
        Failure::Garbage => {
            let kind = "urn:tidegate:problem:upstream-malformed";
            (502, kind, "Upstream answered nonsense")
        }
        Failure::Internal => (500, "urn:tidegate:problem:internal", "Internal error"),
        Failure::ClientAbort
        | Failure::AnswerTooSlow
        | Failure::TunnelIdle
        | Failure::TunnelAge => return None,
    })
}

/// One sentence for the client.
pub(super) const fn detail(failure: Failure) -> &'static str {
    match failure {
        Failure::BodyMalformed => "The chunks of the request body cannot be read.",
        Failure::BodyTooSlow => "The request body did not come in time.",
        Failure::BodyTooLarge => "The request body is longer than the endpoint takes.",
        _ => "The gateway could not get an answer for this request.",
    }
}

/// Whose fault it is, as `Proxy-Status` has it.
pub(super) const fn proxy_status(failure: Failure) -> &'static str {
    match failure {
        Failure::NotForwardable | Failure::BodyMalformed | Failure::BodyTooSlow => REQUEST_ERROR,
        Failure::BodyTooLarge => DENIED,
        Failure::NoAddress => "tidegate; error=dns_error",
        Failure::Connect => "tidegate; error=connection_refused",
        Failure::ConnectTimeout => "tidegate; error=connection_timeout",
        Failure::Tls => "tidegate; error=tls_protocol_error",
        Failure::Timeout => SLOW,
        Failure::Write | Failure::Reset => "tidegate; error=connection_terminated",
        Failure::Garbage => "tidegate; error=http_protocol_error",
        // Those at the end are told to nobody.
        Failure::Internal
        | Failure::ClientAbort
        | Failure::AnswerTooSlow
        | Failure::TunnelIdle
        | Failure::TunnelAge => INTERNAL,
    }
}
