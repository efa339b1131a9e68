//! What a head may say, as a table.

use super::{Framing, Head, ParseRefusal, read};
use crate::gateway::settings::Limits;

fn check(head: &str, expected: Result<Option<Framing>, ParseRefusal>) {
    let got = read(head.as_bytes(), &Limits::default());
    let got = got.map(|head| head.map(|Head { framing, .. }| framing));
    assert_eq!(got, expected, "{head:?}");
}

const NO_BODY: Result<Option<Framing>, ParseRefusal> = Ok(Some(Framing::Length(0)));

#[test]
fn an_ordinary_head_is_framed() {
    check("GET / HTTP/1.1\r\nHost: a\r\n\r\n", NO_BODY);
    check("GET / HTTP/1.0\r\n\r\n", NO_BODY);
    check("GET / HTTP/1.1\r\nHost: a\r\n", Ok(None));
    check("OPTIONS * HTTP/1.1\r\nHost: a:80\r\n\r\n", NO_BODY);
    check(
        "POST /x?y={1}|2 HTTP/1.1\r\nHOST: [::1]:8\r\nContent-Length: 12\r\n\r\n",
        Ok(Some(Framing::Length(12))),
    );
    check(
        "PUT / HTTP/1.1\r\nhost: a\r\nTransfer-Encoding: Chunked\r\n\r\n",
        Ok(Some(Framing::Chunked)),
    );
    check(
        "PUT / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\n",
        Ok(Some(Framing::Length(2))),
    );
    check("BREW /%zz//../ HTTP/1.1\r\nHost: a\r\n\r\n", NO_BODY);
}

#[test]
fn the_head_ends_where_it_ends() {
    let head = read(
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /",
        &Limits::default(),
    );
    assert_eq!(head.map(|head| head.map(|head| head.len)), Ok(Some(27)));
}

#[test]
fn another_protocol_needs_a_field_and_a_version() {
    for (head, expected) in [
        (
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
            true,
        ),
        (
            "GET / HTTP/1.0\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
            false,
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", false),
    ] {
        let read = read(head.as_bytes(), &Limits::default());
        assert_eq!(
            read.map(|head| head.map(|head| head.may_switch)),
            Ok(Some(expected))
        );
    }
}

#[test]
fn a_host_is_one_and_plain() {
    for host in [
        "",
        "Host:\r\n",
        "Host: \r\n",
        "Host: a\r\nHost: a\r\n",
        "Host: a b\r\n",
        "Host: u@a\r\n",
        "Host: a/b\r\n",
        "Host: a,b\r\n",
        "Host: a:b\r\n",
        "Host: a:80:81\r\n",
        "Host: a:123456\r\n",
        "Host: :80\r\n",
        "Host: [::1\r\n",
        "Host: ::1\r\n",
        "Host: []a\r\n",
        "Host: [::1]80\r\n",
        "Host: http://a\r\n",
    ] {
        check(
            &format!("GET / HTTP/1.1\r\n{host}\r\n"),
            Err(ParseRefusal::Host),
        );
    }
    check("GET / HTTP/1.0\r\nHost:\r\n\r\n", Err(ParseRefusal::Host));
    for host in [
        "a.b-c_d",
        "A:80",
        "a:",
        "[::1]",
        "[fe80::1%25eth0]:8080",
        "10.0.0.1:1",
        "%41",
    ] {
        check(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), NO_BODY);
    }
}

#[test]
fn nobody_takes_away_what_frames_or_names() {
    for (value, protected) in [
        ("keep-alive", false),
        ("Close", false),
        ("Upgrade, HTTP2-Settings", false),
        ("X-Mine, TE", false),
        ("Hosts, Cookies, X-Forwarded", false),
        ("", false),
        ("host", true),
        ("close, Content-Length", true),
        ("keep-alive ,\ttransfer-encoding", true),
        ("Authorization", true),
        ("Cookie", true),
        ("Forwarded", true),
        ("x-a,X-Real-IP", true),
        ("X-Forwarded-Proto", true),
        ("Tidegate-Quarantine", true),
        ("X-Tidegate-Priority", true),
        ("close, \"host\"", true),
        (":authority", true),
        ("a b", true),
        ("a,b,c,d,,e,f,g,h,i", false),
        ("a,b,c,d,e,f,g,h,i\r\nConnection: j", true),
        ("close,a,b,c,d,e,f,g,h,i", true),
    ] {
        let expected = match protected {
            true => Err(ParseRefusal::Nomination),
            false => NO_BODY,
        };
        check(
            &format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {value}\r\n\r\n"),
            expected,
        );
    }
}

#[test]
fn some_methods_and_fields_ask_for_more_than_there_is() {
    for (method, field, expected) in [
        ("POST", "Expect: 100-Continue", NO_BODY),
        (
            "POST",
            "Expect: 100-continue, x",
            Err(ParseRefusal::Expectation),
        ),
        ("POST", "Expect:", Err(ParseRefusal::Expectation)),
        ("TRACE", "Content-Length: 0", NO_BODY),
        (
            "TRACE",
            "Content-Length: 1",
            Err(ParseRefusal::BodyNotAllowed),
        ),
        (
            "TRACE",
            "Transfer-Encoding: chunked",
            Err(ParseRefusal::BodyNotAllowed),
        ),
        ("TRACE", "Max-Forwards: 0", Err(ParseRefusal::MaxForwards)),
        (
            "OPTIONS",
            "Max-Forwards: 00",
            Err(ParseRefusal::MaxForwards),
        ),
        ("OPTIONS", "Max-Forwards: 1", NO_BODY),
        ("OPTIONS", "Max-Forwards: x", NO_BODY),
        ("GET", "Max-Forwards: 0", NO_BODY),
    ] {
        check(
            &format!("{method} / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n"),
            expected,
        );
    }
}

#[test]
fn a_body_has_one_way_to_end() {
    for (fields, refusal) in [
        (
            "Content-Length: 5\r\nContent-Length: 5",
            ParseRefusal::ContentLength,
        ),
        ("Content-Length: 5, 5", ParseRefusal::ContentLength),
        ("Content-Length: +5", ParseRefusal::ContentLength),
        ("Content-Length: -5", ParseRefusal::ContentLength),
        ("Content-Length: 0x5", ParseRefusal::ContentLength),
        ("Content-Length:", ParseRefusal::ContentLength),
        (
            "Content-Length: 1234567890123456789",
            ParseRefusal::ContentLength,
        ),
        (
            "Transfer-Encoding: gzip, chunked",
            ParseRefusal::TransferEncoding,
        ),
        (
            "Transfer-Encoding: chunked, chunked",
            ParseRefusal::TransferEncoding,
        ),
        ("Transfer-Encoding: gzip", ParseRefusal::TransferEncoding),
        (
            "Transfer-Encoding: xchunked",
            ParseRefusal::TransferEncoding,
        ),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            ParseRefusal::TransferEncoding,
        ),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 5",
            ParseRefusal::LengthAndEncoding,
        ),
    ] {
        check(
            &format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n"),
            Err(refusal),
        );
    }
    check(
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        Err(ParseRefusal::TransferEncoding),
    );
}

#[test]
fn a_target_has_one_reading() {
    for (line, refusal) in [
        ("GET  / HTTP/1.1", ParseRefusal::RequestLine),
        ("GET /a b HTTP/1.1", ParseRefusal::Version),
        ("GET /\u{e9} HTTP/1.1", ParseRefusal::TargetBytes),
        ("GET /\u{1} HTTP/1.1", ParseRefusal::RequestLine),
        ("GET /a#b HTTP/1.1", ParseRefusal::TargetBytes),
        ("GET /a<b HTTP/1.1", ParseRefusal::TargetBytes),
        ("GET /a?b=\" HTTP/1.1", ParseRefusal::TargetBytes),
        ("GET a HTTP/1.1", ParseRefusal::TargetForm),
        ("GET * HTTP/1.1", ParseRefusal::TargetForm),
        ("GET ?a HTTP/1.1", ParseRefusal::TargetForm),
        ("GET ftp://a/ HTTP/1.1", ParseRefusal::TargetForm),
        ("GET http://b/ HTTP/1.1", ParseRefusal::TargetForm),
        ("GET http://u@a/ HTTP/1.1", ParseRefusal::TargetForm),
        ("CONNECT a:80 HTTP/1.1", ParseRefusal::Connect),
        (
            "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1",
            ParseRefusal::RequestLine,
        ),
        ("GET / HTTP/1.2", ParseRefusal::Version),
        ("GET / HTTP/3.0", ParseRefusal::Version),
        ("G\u{e9}T / HTTP/1.1", ParseRefusal::RequestLine),
    ] {
        check(&format!("{line}\r\nHost: a\r\n\r\n"), Err(refusal));
    }
    check("GET http://A/x HTTP/1.1\r\nHost: a\r\n\r\n", NO_BODY);
    check("GET HTTP://a/x HTTP/1.1\r\nHost: a\r\n\r\n", NO_BODY);
    check("GET https://a?x HTTP/1.1\r\nHost: a\r\n\r\n", NO_BODY);
}

#[test]
fn lines_end_in_one_way() {
    for head in [
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        check(head, Err(ParseRefusal::LineEnd));
    }
    for head in [
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX\u{0}: a\r\n\r\n",
    ] {
        check(head, Err(ParseRefusal::Field));
    }
}

#[test]
fn a_head_is_bounded() {
    let fields = |n: usize| "a: b\r\n".repeat(n);
    check(
        &format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", fields(99)),
        NO_BODY,
    );
    check(
        &format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", fields(100)),
        Err(ParseRefusal::TooManyFields),
    );
    check(
        &format!(
            "GET / HTTP/1.1\r\nHost: a\r\nx: {}\r\n\r\n",
            "y".repeat(33_000)
        ),
        Err(ParseRefusal::HeadTooLarge),
    );
    check(
        &format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "y".repeat(8_192)),
        Err(ParseRefusal::TargetTooLong),
    );
}
