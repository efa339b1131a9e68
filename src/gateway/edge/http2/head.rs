//! Reads one request head of HTTP/2 as strictly as one of HTTP/1.
//!
//! Invariant: a head that passes here means the same to an upstream of either version. What `h2`
//! resets before anybody sees it (fields of a connection, names in upper case, repeated or
//! misplaced pseudo-fields, control bytes in values, a length that the body contradicts) and what
//! Pingora answers by itself (a Host that disagrees with `:authority`) is not looked for again.

use http::header::{CONTENT_LENGTH, COOKIE, EXPECT, HOST, MAX_FORWARDS};
use http::{HeaderMap, HeaderValue, Method};
use pingora::Result;
use pingora::http::RequestHeader;

use crate::gateway::edge::head::{METHOD_BYTES_MAX, check_target_bytes, decimal, is_host};
use crate::gateway::governor::ParseRefusal;
use crate::gateway::settings::{FIELDS_CEILING, Limits};

/// What RFC 9113 adds to each field when it measures a list of them.
const FIELD_OVERHEAD: usize = 32;

/// Whether the head of a stream is acceptable; `has_body` says that the stream goes on behind it.
pub(super) fn check(
    request: &RequestHeader,
    has_body: bool,
    limits: &Limits,
) -> Result<(), ParseRefusal> {
    let fields_max = limits.fields_max.min(FIELDS_CEILING);
    if request.headers.len() > fields_max {
        return Err(ParseRefusal::TooManyFields);
    }
    let target = request.raw_path();
    let mut list = FIELD_OVERHEAD + target.len();
    for (name, value) in &request.headers {
        list += FIELD_OVERHEAD + name.as_str().len() + value.len();
        check_value(value)?;
    }
    check_method(request, has_body)?;
    if target.len() > limits.target_bytes_max {
        return Err(ParseRefusal::TargetTooLong);
    }
    if list > limits.head_bytes_max {
        return Err(ParseRefusal::HeadTooLarge);
    }
    check_host(request)?;
    check_length(&request.headers)?;
    check_expectations(&request.headers)?;
    check_target(request)
}

/// What the method itself does not allow, as in HTTP/1: a tunnel, content in TRACE, another hop
/// where the client wants none.
fn check_method(request: &RequestHeader, has_body: bool) -> Result<(), ParseRefusal> {
    let method = &request.method;
    let is_last_hop = || {
        let hops = request.headers.get_all(MAX_FORWARDS).iter().next_back();
        hops.and_then(|hops| decimal(hops.as_bytes())) == Some(0)
    };
    match *method {
        Method::CONNECT => Err(ParseRefusal::Connect),
        Method::TRACE if has_body => Err(ParseRefusal::BodyNotAllowed),
        Method::TRACE | Method::OPTIONS if is_last_hop() => Err(ParseRefusal::MaxForwards),
        _ if method.as_str().len() > METHOD_BYTES_MAX => Err(ParseRefusal::RequestLine),
        _ => Ok(()),
    }
}

/// The gateway cannot promise what it does not know.
fn check_expectations(headers: &HeaderMap) -> Result<(), ParseRefusal> {
    let mut expected = headers.get_all(EXPECT).iter().map(HeaderValue::as_bytes);
    if expected.all(|value| value.eq_ignore_ascii_case(b"100-continue")) {
        Ok(())
    } else {
        Err(ParseRefusal::Expectation)
    }
}

/// An HTTP/1.1 reader cuts off blanks around a value, so with them it would read another one.
fn check_value(value: &HeaderValue) -> Result<(), ParseRefusal> {
    let value = value.as_bytes();
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    if is_blank(value.first()) || is_blank(value.last()) {
        Err(ParseRefusal::Field)
    } else {
        Ok(())
    }
}

fn check_host(request: &RequestHeader) -> Result<(), ParseRefusal> {
    let mut hosts = request.headers.get_all(HOST).iter();
    let host = hosts.next().map(HeaderValue::as_bytes);
    let authority = request.uri.authority().map(|name| name.as_str().as_bytes());
    let named = match (authority, host) {
        (Some(authority), Some(host)) if authority == host => Some(authority),
        (Some(_), Some(_)) => None,
        (authority, host) => authority.or(host),
    };
    if named.is_some_and(is_host) && hosts.next().is_none() {
        Ok(())
    } else {
        Err(ParseRefusal::Host)
    }
}

/// One number or none, as in HTTP/1.
fn check_length(headers: &HeaderMap) -> Result<(), ParseRefusal> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let length = lengths.next().map(HeaderValue::as_bytes);
    let is_number = length.is_none_or(|length| decimal(length).is_some());
    if is_number && lengths.next().is_none() {
        Ok(())
    } else {
        Err(ParseRefusal::ContentLength)
    }
}

fn check_target(request: &RequestHeader) -> Result<(), ParseRefusal> {
    let http = request
        .uri
        .scheme_str()
        .is_none_or(|scheme| matches!(scheme, "http" | "https"));
    let target = request.raw_path();
    match target.first() {
        _ if !http => Err(ParseRefusal::TargetForm),
        Some(b'/') => check_target_bytes(target),
        _ if target == b"*" && request.method == Method::OPTIONS => Ok(()),
        _ => Err(ParseRefusal::TargetForm),
    }
}

/// Joins the crumbs of a cookie: HTTP/2 may split one for its compression, but HTTP/1.1 knows one
/// field only (RFC 9113, 8.2.3), and nobody shall see two.
pub(super) fn join_cookies(request: &mut RequestHeader) -> Result<()> {
    let mut crumbs = request.headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) else {
        return Ok(());
    };
    let all = [first, second].into_iter().chain(crumbs);
    let all = all.map(HeaderValue::as_bytes);
    // An empty crumb says nothing, and would leave a blank at an end.
    let said: Vec<&[u8]> = all.filter(|crumb| !crumb.is_empty()).collect();
    let whole = said.join(b"; ".as_slice());
    request.insert_header(COOKIE, whole)
}

#[cfg(test)]
mod tests;
