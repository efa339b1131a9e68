//! What an answer of an upstream says about its own end, made plain before it is passed on.
//!
//! Invariant: a client is told one way in which an answer ends, and the right one. What Pingora
//! took for something it is not, is not passed on at all. Deliberately not here: reading bodies.

use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::{Error, ErrorType, Result};

/// Mends the framing of an answer. `may_switch` says that the request asked for another protocol.
///
/// # Errors
///
/// Where it cannot be mended: a transfer coding that Pingora did not take off, or a change of
/// protocol that nobody asked for.
pub(crate) fn mend(answer: &mut ResponseHeader, may_switch: bool) -> Result<()> {
    let status = answer.status;
    if status == StatusCode::SWITCHING_PROTOCOLS
        && !(may_switch && is_websocket_alone(&answer.headers))
    {
        return Err(garbage("a change of protocol that nobody asked for"));
    }
    if status.is_informational() || status == StatusCode::NO_CONTENT {
        answer.remove_header(&CONTENT_LENGTH);
        answer.remove_header(&TRANSFER_ENCODING);
        return Ok(());
    }
    if answer.headers.contains_key(TRANSFER_ENCODING) {
        return only_chunked(answer);
    }
    one_length(answer)
}

/// Whether a head without a body asks for a WebSocket, as RFC 6455 says: GET over HTTP/1.1, one
/// `Upgrade`, which `Connection` names.
pub(crate) fn is_handshake(request: &RequestHeader) -> bool {
    let named = request.headers.get_all(CONNECTION).iter();
    let mut named = named.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    request.version == Version::HTTP_11
        && request.method == Method::GET
        && is_websocket_alone(&request.headers)
        && named.any(|name| name.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
}

fn is_websocket_alone(headers: &HeaderMap) -> bool {
    let mut protocols = headers.get_all(UPGRADE).iter();
    let first = protocols.next().map(HeaderValue::as_bytes);
    first.is_some_and(|name| name.eq_ignore_ascii_case(b"websocket")) && protocols.next().is_none()
}

fn only_chunked(answer: &ResponseHeader) -> Result<()> {
    let mut codings = answer.headers.get_all(TRANSFER_ENCODING).iter();
    let chunked = codings
        .next()
        .is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if chunked && codings.next().is_none() {
        Ok(())
    } else {
        Err(garbage("a transfer coding other than chunked"))
    }
}

/// Pingora has made sure that all lengths are equal; the client is told one of them.
fn one_length(answer: &mut ResponseHeader) -> Result<()> {
    let mut lengths = answer.headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = lengths.next() else {
        return Ok(());
    };
    let list = first.as_bytes().contains(&b',');
    if !list && lengths.next().is_none() {
        return Ok(());
    }
    let one = first.as_bytes().split(|byte| *byte == b',').next();
    let one = one.unwrap_or_default().trim_ascii().to_vec();
    answer.insert_header(CONTENT_LENGTH, one)
}

fn garbage(what: &'static str) -> Box<Error> {
    Error::explain(ErrorType::InvalidHTTPHeader, what).into_up()
}

#[cfg(test)]
mod tests {
    use pingora::http::{RequestHeader, ResponseHeader};

    use super::{is_handshake, mend};

    fn check(status: u16, fields: &[(&'static str, &str)], expected: Option<&str>) {
        let mut answer = ResponseHeader::build(status, None).unwrap();
        for (name, value) in fields {
            answer.append_header(*name, *value).unwrap();
        }
        let left = mend(&mut answer, false).ok().map(|()| {
            let left = answer.headers.iter();
            let left = left.map(|(name, value)| format!("{name}={}", value.to_str().unwrap()));
            left.collect::<Vec<_>>().join(" ")
        });
        assert_eq!(left.as_deref(), expected, "{status} {fields:?}");
    }

    #[test]
    fn an_answer_ends_in_one_way() {
        const LENGTH: &str = "Content-Length";
        const CODING: &str = "Transfer-Encoding";
        check(200, &[(LENGTH, "5")], Some("content-length=5"));
        check(
            200,
            &[(LENGTH, "5"), (LENGTH, "5")],
            Some("content-length=5"),
        );
        check(200, &[(LENGTH, "5, 5")], Some("content-length=5"));
        check(
            200,
            &[(CODING, "Chunked")],
            Some("transfer-encoding=Chunked"),
        );
        for coding in [
            "gzip",
            "gzip, chunked",
            "chunked, identity",
            "identity",
            "xchunked",
        ] {
            check(200, &[(CODING, coding)], None);
        }
        check(200, &[(CODING, "chunked"), (CODING, "chunked")], None);
        check(204, &[(LENGTH, "5")], Some(""));
        check(204, &[(CODING, "chunked")], Some(""));
        check(103, &[(LENGTH, "5"), ("Link", "x")], Some("link=x"));
        check(304, &[(LENGTH, "5")], Some("content-length=5"));
        check(101, &[], None);
    }

    #[test]
    fn a_protocol_changes_for_who_asked() {
        for (protocols, expected) in [
            (&["WebSocket"][..], true),
            (&[], false),
            (&["h2c"], false),
            (&["websocket, h2c"], false),
            (&["websocket", "h2c"], false),
        ] {
            let mut answer = ResponseHeader::build(101, None).unwrap();
            for protocol in protocols {
                answer.append_header("Upgrade", *protocol).unwrap();
            }
            assert_eq!(mend(&mut answer, true).is_ok(), expected, "{protocols:?}");
            assert!(mend(&mut answer, false).is_err());
        }
    }

    #[test]
    fn a_handshake_is_a_get_that_names_its_upgrade() {
        for (method, connection, upgrade, expected) in [
            ("GET", "keep-alive, Upgrade", "websocket", true),
            ("GET", "upgrade", "WebSocket", true),
            ("GET", "keep-alive", "websocket", false),
            ("GET", "upgrade", "h2c", false),
            ("POST", "upgrade", "websocket", false),
            ("HEAD", "upgrade", "websocket", false),
        ] {
            let mut request = RequestHeader::build(method, b"/", None).unwrap();
            request.append_header("Connection", connection).unwrap();
            request.append_header("Upgrade", upgrade).unwrap();
            let is = is_handshake(&request);
            assert_eq!(is, expected, "{method} {connection} {upgrade}");
        }
    }
}
