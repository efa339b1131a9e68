//! What a head may say, as a table.

use http::{Request, Version};
use pingora::http::RequestHeader;

use super::{ParseRefusal, check, join_cookies};
use crate::gateway::settings::Limits;

fn request(method: &str, uri: &str, fields: &[(&str, &str)]) -> RequestHeader {
    let mut request = Request::builder()
        .method(method)
        .uri(uri)
        .version(Version::HTTP_2);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    RequestHeader::from(request.body(()).unwrap().into_parts().0)
}

fn refused(method: &str, uri: &str, fields: &[(&str, &str)], expected: ParseRefusal) {
    let got = check(&request(method, uri, fields), false, &Limits::default());
    assert_eq!(got, Err(expected), "{method} {uri} {fields:?}");
}

#[test]
fn an_ordinary_head_passes() {
    for (method, uri, fields) in [
        ("GET", "http://a/", &[][..]),
        ("GET", "https://a:8443/x?y={1}|2", &[("accept", "*/*")]),
        ("POST", "http://[::1]:8/p.S/M", &[("te", "trailers")]),
        ("GET", "http://a/", &[("host", "a")]),
        ("GET", "/", &[("host", "a")]),
        ("PUT", "http://a/", &[("content-length", "12")]),
        ("BREW", "http://a/%zz//../", &[("x-empty", "")]),
    ] {
        let got = check(&request(method, uri, fields), false, &Limits::default());
        assert_eq!(got, Ok(()), "{method} {uri} {fields:?}");
    }
}

#[test]
fn whom_it_is_for_is_said_once() {
    for fields in [
        &[("host", "b")][..],
        &[("host", "a"), ("host", "a")],
        &[("host", "")],
        &[("host", "A")],
    ] {
        refused("GET", "http://a/", fields, ParseRefusal::Host);
    }
    refused("GET", "/", &[], ParseRefusal::Host);
    refused("GET", "/", &[("host", "u@a")], ParseRefusal::Host);
    refused("GET", "http://u@a/", &[], ParseRefusal::Host);
    refused("GET", "/", &[("host", "a/b")], ParseRefusal::Host);
}

#[test]
fn lengths_values_and_methods_as_in_http1() {
    for lengths in [
        &[("content-length", "1"), ("content-length", "1")][..],
        &[("content-length", "1, 1")],
        &[("content-length", "+1")],
        &[("content-length", "")],
        &[("content-length", "1234567890123456789")],
    ] {
        refused("POST", "http://a/", lengths, ParseRefusal::ContentLength);
    }
    for value in [" a", "a ", "\ta", "a\t", " "] {
        refused("GET", "http://a/", &[("x", value)], ParseRefusal::Field);
    }
    refused("CONNECT", "http://a:1/", &[], ParseRefusal::Connect);
}

#[test]
fn expectations_hops_and_content_as_in_http1() {
    for fields in [
        &[("expect", "more")][..],
        &[("expect", "")],
        &[("expect", "100-continue, more")],
        &[("expect", "100-continue"), ("expect", "more")],
    ] {
        refused("PUT", "http://a/", fields, ParseRefusal::Expectation);
    }
    for method in ["TRACE", "OPTIONS"] {
        let hops = &[("max-forwards", "0")];
        refused(method, "http://a/", hops, ParseRefusal::MaxForwards);
    }
    let long = "X".repeat(33);
    refused(&long, "http://a/", &[], ParseRefusal::RequestLine);
    for (method, fields, has_body, expected) in [
        ("TRACE", &[][..], true, Err(ParseRefusal::BodyNotAllowed)),
        ("TRACE", &[("max-forwards", "1")], false, Ok(())),
        ("OPTIONS", &[("max-forwards", "x")], true, Ok(())),
        ("GET", &[("max-forwards", "0")], false, Ok(())),
        ("PUT", &[("expect", "100-Continue")], true, Ok(())),
        (&"X".repeat(32), &[], false, Ok(())),
    ] {
        let request = request(method, "http://a/", fields);
        let got = check(&request, has_body, &Limits::default());
        assert_eq!(got, expected, "{method} {fields:?}");
    }
}

#[test]
fn targets_as_in_http1() {
    refused("GET", "ftp://a/", &[], ParseRefusal::TargetForm);
    for raw in ["/\u{e9}", "/`", "/?\u{e9}", "/<"] {
        let Ok(path) = http::uri::PathAndQuery::try_from(raw) else {
            continue;
        };
        let uri = http::Uri::builder().scheme("http").authority("a");
        let uri = uri.path_and_query(path).build().unwrap().to_string();
        refused("GET", &uri, &[], ParseRefusal::TargetBytes);
    }
    let long = format!(
        "http://a/{}",
        "x".repeat(Limits::default().target_bytes_max)
    );
    refused("GET", &long, &[], ParseRefusal::TargetTooLong);
}

#[test]
fn heads_are_bounded() {
    let many: Vec<(&str, &str)> = (0..101).map(|_| ("x", "1")).collect();
    refused("GET", "http://a/", &many, ParseRefusal::TooManyFields);
    let large = "x".repeat(Limits::default().head_bytes_max);
    refused(
        "GET",
        "http://a/",
        &[("x", &large)],
        ParseRefusal::HeadTooLarge,
    );
}

#[test]
fn crumbs_become_one_cookie() {
    for (crumbs, expected) in [
        (&["a=1", "b=2", "c=3"][..], "a=1; b=2; c=3"),
        (&["a=1"], "a=1"),
        (&["a=1", ""], "a=1"),
        (&["", "a=1", "", "b=2"], "a=1; b=2"),
        (&["", ""], ""),
    ] {
        let fields: Vec<(&str, &str)> = crumbs.iter().map(|crumb| ("cookie", *crumb)).collect();
        let mut request = request("GET", "http://a/", &fields);
        join_cookies(&mut request).unwrap();
        let cookies: Vec<_> = request.headers.get_all("cookie").iter().collect();
        assert_eq!(cookies, [expected]);
    }
}
