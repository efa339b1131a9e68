//! The rules of heads, one by one.

use std::mem::MaybeUninit;

use bytes::BytesMut;

use super::{
    AnswerHead, BodyEnd, ClientBody, DateLine, FIELDS_MAX, Malformed, OurFields, read, write,
    write_interim,
};
use crate::gateway::answer_fields::AnswerFields;

fn with_head<T>(
    text: &str,
    to_head: bool,
    see: impl FnOnce(Result<Option<AnswerHead<'_, '_>>, Malformed>) -> T,
) -> T {
    let mut slots = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    see(read(text.as_bytes(), &mut slots, to_head))
}

/// How the body of `head` ends and whether its connection stays; nothing where it is refused.
fn check_body(to_head: bool, head: &str, expected: Option<(BodyEnd, bool)>) {
    let text = format!("HTTP/1.{head}\r\n\r\n").replace("; ", "\r\n");
    let got = with_head(&text, to_head, |head| {
        head.ok().flatten().map(|head| (head.body, head.keeps))
    });
    assert_eq!(got, expected, "{text}");
}

#[test]
fn how_a_body_ends_and_whether_its_connection_stays() {
    let length = |bytes: u64, keeps: bool| Some((BodyEnd::Length(bytes), keeps));
    let chunked = |keeps: bool| Some((BodyEnd::Chunked, keeps));
    let none = Some((BodyEnd::None, true));
    for (head, expected) in [
        ("1 200 OK; Content-Length: 5", length(5, true)),
        ("1 200 OK; Content-Length: 0", length(0, true)),
        ("0 200 OK; Content-Length: 5", length(5, false)),
        (
            "1 200 OK; Content-Length: 5; Content-Length: 05, 5",
            length(5, true),
        ),
        ("1 200 OK", Some((BodyEnd::Close, false))),
        ("1 200 OK; Transfer-Encoding: Chunked", chunked(true)),
        (
            "1 200 OK; Transfer-Encoding: chunked; Content-Length: 5, 6",
            chunked(true),
        ),
        ("1 204 No Content; Content-Length: 5", none),
        ("1 204 No Content; Transfer-Encoding: gzip", none),
        ("1 304 Not Modified; Content-Length: 5", none),
    ] {
        check_body(false, head, expected);
    }
    check_body(true, "1 200 OK", none);
    check_body(true, "1 200 OK; Content-Length: 5", none);
}

#[test]
fn a_connection_stays_where_both_say_so() {
    let check = |version: u8, connection: &str, keeps: bool| {
        let head = format!("{version} 200 OK; Content-Length: 5; {connection}");
        check_body(false, &head, Some((BodyEnd::Length(5), keeps)));
    };
    check(0, "Connection: Keep-Alive", true);
    check(0, "Connection: keep-alive, a", false);
    check(1, "Connection: a, Close", false);
    check(1, "Connection: a; Connection: close", false);
    let chunked = "0 200 OK; Transfer-Encoding: chunked; Connection: keep-alive";
    check_body(false, chunked, Some((BodyEnd::Chunked, false)));
}

#[test]
fn what_says_nothing_clear_of_its_body_is_refused() {
    for head in [
        "1 304 Not Modified; Transfer-Encoding: gzip",
        "1 200 OK; Transfer-Encoding: gzip, chunked",
        "1 200 OK; Transfer-Encoding: chunked; Transfer-Encoding: chunked",
        "1 200 OK; Content-Length: 5; Content-Length: 6",
        "1 200 OK; Content-Length: +5",
        "1 204 No Content; Content-Length: 5,",
        "1 101 Switching Protocols; Upgrade: websocket",
        "1 099 Low",
        "2 200 OK",
    ] {
        check_body(false, head, None);
    }
}

#[test]
fn a_head_is_waited_for_within_bounds() {
    for text in ["", "HTTP/1.1 200 OK\r\nA: b", "HTTP/1.1 200 OK\r\nA: b\r\n"] {
        assert!(
            with_head(text, false, |head| matches!(head, Ok(None))),
            "{text}"
        );
    }
    let endless = |bytes: usize| format!("HTTP/1.1 200 OK\r\nA: {}", "b".repeat(bytes - 20));
    assert!(with_head(&endless(1_048_575), false, |head| matches!(
        head,
        Ok(None)
    )));
    assert!(with_head(&endless(1_048_576), false, |head| head.is_err()));
}

fn written(head: &str, client_keeps: bool, set: &[(&'static str, &str, bool)]) -> String {
    let text = format!("HTTP/1.{head}\r\n\r\n");
    with_head(&text, false, |head| {
        let head = head.unwrap().unwrap();
        let mut out = BytesMut::new();
        let mut ours = OurFields::default();
        for (name, value, is_beside) in set {
            if *is_beside {
                ours.append(name, value.as_bytes()).unwrap();
            } else {
                ours.insert(name, value.as_bytes()).unwrap();
            }
        }
        let body = write(&head, &ours, b"Date: now\r\n", client_keeps, &mut out);
        let expected = match head.body {
            BodyEnd::None => ClientBody::None,
            BodyEnd::Length(length) => ClientBody::Length(length),
            BodyEnd::Chunked | BodyEnd::Close => ClientBody::Chunked,
        };
        assert_eq!(body, expected);
        String::from_utf8_lossy(&out).replace("\r\n", "|")
    })
}

#[test]
fn what_the_client_is_told() {
    for (head, expected) in [
        (
            "1 200 OK\r\nA: 1\r\nContent-Length: 5",
            "HTTP/1.1 200 OK|A: 1|Content-Length: 5|Date: now|Connection: keep-alive||",
        ),
        // What was meant for one connection stays there, and the last name takes its place.
        (
            "1 200 OK\r\nConnection: x-hop\r\nA: 1\r\nX-Hop: 1\r\nB: 2\r\nContent-Length: 0",
            "HTTP/1.1 200 OK|B: 2|A: 1|Content-Length: 0|Date: now|Connection: keep-alive||",
        ),
        (
            "1 200 OK\r\nKeep-Alive: timeout=5\r\nDATE: then\r\nTidegate-Risk: 1\r\nContent-Length: 0",
            "HTTP/1.1 200 OK|Content-Length: 0|Date: now|Connection: keep-alive||",
        ),
        // Values of one name stand together.
        (
            "1 200 OK\r\na: 1\r\nB: 2\r\nA: 3\r\nContent-Length: 0",
            "HTTP/1.1 200 OK|a: 1|A: 3|B: 2|Content-Length: 0|Date: now|Connection: keep-alive||",
        ),
        (
            "1 200 OK\r\ncontent-length: 05, 5\r\nA : 1\r\nB:2\r\nC:\r\nD: e\r\n f ",
            "HTTP/1.1 200 OK|Content-Length: 05|A: 1|B: 2|C: |D: e f|Date: now|Connection: keep-alive||",
        ),
        (
            "0 200\r\nA: 1",
            "HTTP/1.1 200 |A: 1|Transfer-Encoding: chunked|Date: now|Connection: keep-alive||",
        ),
        (
            "0 200 OK\r\nContent-Length: 5",
            "HTTP/1.0 200 OK|Content-Length: 5|Date: now|Connection: keep-alive||",
        ),
        (
            "1 204 No Content\r\nContent-Length: 5\r\nA: 1\r\nTransfer-Encoding: gzip",
            "HTTP/1.1 204 No Content|A: 1|Date: now|Connection: keep-alive||",
        ),
    ] {
        assert_eq!(written(head, true, &[]), expected);
    }
    let closing = written("1 304 Not Modified", false, &[]);
    assert_eq!(
        closing,
        "HTTP/1.1 304 Not Modified|Date: now|Connection: close||"
    );
}

#[test]
fn ours_stand_in_the_place_of_theirs_or_beside_them() {
    let set = [
        ("A", "ours", false),
        ("Link", "</b>", true),
        ("New", "1", false),
    ];
    let got = written(
        "1 200 OK\r\nlink: </a>\r\na: 1\r\nContent-Length: 0\r\na: 2",
        true,
        &set,
    );
    let expected = "HTTP/1.1 200 OK|link: </a>|Link: </b>|A: ours|Content-Length: 0|New: 1|\
                    Date: now|Connection: keep-alive||";
    assert_eq!(got, expected);
    let mut ours = OurFields::default();
    assert!(ours.insert("A", b"a\r\nB: c").is_err());
    assert!(ours.append("A", b"a\0").is_err());
    assert!(ours.insert("A", b"a\tb\xe9").is_ok());
}

#[test]
fn an_interim_head_carries_nothing_of_ours() {
    let text =
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 5\r\nConnection: close\r\n\r\n";
    with_head(text, false, |head| {
        let head = head.unwrap().unwrap();
        assert!(head.is_interim() && head.len == text.len());
        let mut out = BytesMut::new();
        write_interim(&head, &mut out);
        assert_eq!(out, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    });
}

#[test]
fn when_to_come_back_is_said_by_the_first_that_passes() {
    let check = |fields: &str, expected: Option<&str>| {
        let text = format!("HTTP/1.1 503 Busy\r\n{fields}\r\n\r\n");
        with_head(&text, false, |head| {
            let head = head.unwrap().unwrap();
            let got = head.retry_after();
            assert_eq!(got.as_deref(), expected.map(str::as_bytes), "{fields}");
        });
    };
    check("A: 1", None);
    check("Retry-After: 5\r\nretry-after: 7", Some("5"));
    check("Retry-After:\r\n 9", Some("9"));
    check("Retry-After: 5\r\nConnection: close, retry-After", None);
}

#[test]
fn a_date_is_made_once_per_second() {
    let mut line = DateLine::default();
    let first = b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    assert_eq!(line.at(784_111_777_000_000), first);
    assert_eq!(line.at(784_111_777_999_999), first);
    assert_eq!(
        line.at(784_111_778_000_000),
        b"Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n"
    );
}
