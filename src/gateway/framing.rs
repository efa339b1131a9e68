//! What an answer of an upstream says about its own end, made plain before it is passed on.
//!
//! Invariant: a client is told one way in which an answer ends, and the right one. What Pingora
//! took for something it is not, is not passed on at all. Deliberately not here: reading bodies.

use http::StatusCode;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use pingora::http::ResponseHeader;
use pingora::{Error, ErrorType, Result};

/// Mends the framing of an answer. `may_switch` says that the request asked for another protocol.
///
/// # Errors
///
/// Where it cannot be mended: a transfer coding that Pingora did not take off, or a change of
/// protocol that nobody asked for.
pub(crate) fn mend(answer: &mut ResponseHeader, may_switch: bool) -> Result<()> {
    let status = answer.status;
    if status == StatusCode::SWITCHING_PROTOCOLS && !may_switch {
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
    use pingora::http::ResponseHeader;

    use super::mend;

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
        let mut answer = ResponseHeader::build(101, None).unwrap();
        assert!(mend(&mut answer, true).is_ok());
    }
}
