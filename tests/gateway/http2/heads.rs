//! Heads that are refused, by the edge, by Pingora and by `h2`.

use http::Request;
use tidegate::gateway::governor::ParseRefusal;

use super::client::{ask, connect, get, run, try_ask};
use super::raw::{CALM, GET, RST_STREAM, Raw};
use crate::harness::{Running, Upstream, eventually};

fn with(fields: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::get("http://test/");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

#[test]
fn a_refused_head_is_answered_on_its_stream() {
    let upstream = Upstream::ok();
    let gateway = Running::forwarding_to(upstream.address);
    let many: Vec<(&str, &str)> = (0..101).map(|_| ("x", "1")).collect();
    let large = "x".repeat(33_000);
    let long = format!("http://test/{}", "x".repeat(8_192));
    let cases = [
        (with(&many), 431, ParseRefusal::TooManyFields),
        (with(&[("x", &large)]), 431, ParseRefusal::HeadTooLarge),
        (get(&long), 414, ParseRefusal::TargetTooLong),
        (with(&[("x", " a")]), 400, ParseRefusal::Field),
        (with(&[("x", "a\t")]), 400, ParseRefusal::Field),
        (
            with(&[("content-length", "0"), ("content-length", "0")]),
            400,
            ParseRefusal::ContentLength,
        ),
        (
            Request::connect("test:443").body(()).unwrap(),
            405,
            ParseRefusal::Connect,
        ),
    ];
    run(async {
        let mut client = connect(gateway.address).await;
        for (number, (request, status, reason)) in cases.into_iter().enumerate() {
            let what = format!("{request:?}");
            let answer = ask(&mut client, request, None).await;
            assert_eq!(answer.status, status, "{what}");
            assert_eq!(answer.headers["content-type"], "application/problem+json");
            assert_eq!(
                answer.headers["proxy-status"],
                "tidegate; error=http_request_error"
            );
            let refusal = gateway.governor.refusals()[number];
            assert_eq!((refusal.reason, refusal.status), (reason, status), "{what}");
            assert!(refusal.peer.is_some());
            // The next one on the same connection is none the worse for it.
            let answer = ask(&mut client, get("http://test/"), None).await;
            assert_eq!((answer.status, answer.text()), (200, "ok"), "{what}");
        }
    });
    assert_eq!(upstream.seen().len(), 7);
}

#[test]
fn an_authority_that_host_denies_is_refused_and_counted() {
    let upstream = Upstream::ok();
    let gateway = Running::forwarding_to(upstream.address);
    run(async {
        let mut client = connect(gateway.address).await;
        let answer = ask(&mut client, with(&[("host", "other")]), None).await;
        assert_eq!(answer.status, 400);
        let answer = ask(&mut client, with(&[("host", "test")]), None).await;
        assert_eq!(answer.status, 200);
    });
    eventually("the record", || gateway.governor.refusals().len() == 1);
    let refusal = gateway.governor.refusals()[0];
    assert_eq!((refusal.reason, refusal.status), (ParseRefusal::Host, 400));
    let seen = upstream.seen();
    assert_eq!(seen[0].field("host"), Some("test"));
    assert_eq!(seen.len(), 1);
}

/// What `h2` resets before anybody could look: each is seen from outside, counted and recorded.
#[test]
fn what_is_reset_out_of_sight_is_counted() {
    let upstream = Upstream::ok();
    for fields in [
        &[(":path", "/"), (":scheme", "http"), (":authority", "test")][..],
        &[(":method", "GET"), (":path", "/"), (":authority", "test")],
        &[(":method", "GET"), (":scheme", "http"), (":path", "")],
        &[GET, &[(":path", "/two")]].concat(),
        &[GET, &[(":protocol", "websocket")]].concat(),
        &[GET, &[("a", "1"), (":method", "GET")]].concat(),
        &[GET, &[("connection", "close")]].concat(),
        &[GET, &[("keep-alive", "1")]].concat(),
        &[GET, &[("proxy-connection", "close")]].concat(),
        &[GET, &[("transfer-encoding", "chunked")]].concat(),
        &[GET, &[("upgrade", "websocket")]].concat(),
        &[GET, &[("te", "gzip")]].concat(),
        &[GET, &[("content-length", "5")]].concat(),
        &[GET, &[("content-length", "x")]].concat(),
        &[GET, &[(":status", "200")]].concat(),
        &[
            (":method", "GET"),
            (":scheme", "http"),
            (":path", "/ a"),
            (":authority", "test"),
        ],
        &[
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "http"),
            (":path", "/"),
            (":authority", "test"),
        ],
    ] {
        let gateway = Running::forwarding_to(upstream.address);
        let mut raw = Raw::open(gateway.address);
        raw.head(1, true, fields);
        let reset = raw.until(|frame| frame.kind == RST_STREAM);
        assert_eq!((reset.stream, reset.code()), (1, 1), "{fields:?}");
        raw.head(3, true, GET);
        raw.until(|frame| frame.stream == 3 && frame.flags & 1 == 1);
        eventually("the record", || !gateway.governor.refusals().is_empty());
        let refusals = gateway.governor.refusals();
        assert_eq!(refusals.len(), 1, "{fields:?}");
        assert_eq!(refusals[0].reason, ParseRefusal::Http2Stream);
        assert_eq!(refusals[0].status, 0, "nobody was answered");
    }
    let seen = upstream.seen();
    assert!(seen.iter().all(|seen| seen.line() == "GET / HTTP/1.1"));
}

/// What breaks the compression that all streams share ends the connection.
#[test]
fn what_nobody_can_decode_ends_the_connection() {
    let upstream = Upstream::ok();
    for fields in [
        &[GET, &[("X-Upper", "1")]].concat()[..],
        &[GET, &[("x", "a\rb")]].concat(),
        &[GET, &[("x", "a\nb")]].concat(),
        &[GET, &[("x", "a\0b")]].concat(),
        &[GET, &[("a b", "1")]].concat(),
    ] {
        let gateway = Running::forwarding_to(upstream.address);
        let mut raw = Raw::open(gateway.address);
        raw.head(1, true, fields);
        assert_eq!(raw.gone_away(), 1, "{fields:?}");
        eventually("the refusal", || !gateway.governor.refusals().is_empty());
        let reason = gateway.governor.refusals()[0].reason;
        assert_eq!(reason, ParseRefusal::Http2Connection);
    }
    assert_eq!(upstream.seen().len(), 0);
}

#[test]
fn refusals_of_one_connection_are_bounded() {
    let upstream = Upstream::ok();
    let gateway = Running::forwarding_to(upstream.address);
    let mut raw = Raw::open(gateway.address);
    for stream in 0..40 {
        raw.head(stream * 2 + 1, true, &[GET, &[("x", " a")]].concat());
    }
    assert_eq!(raw.gone_away(), CALM);
    eventually("the record", || {
        let refusals = gateway.governor.refusals();
        let last = refusals.last().map(|refusal| refusal.reason);
        last == Some(ParseRefusal::Http2Connection)
    });
    assert!(gateway.governor.refusals().len() <= 41);
}

#[test]
fn a_list_that_is_far_too_large_is_not_even_kept() {
    let upstream = Upstream::ok();
    let gateway = Running::forwarding_to(upstream.address);
    let large = "x".repeat(60_000);
    run(async {
        let mut client = connect(gateway.address).await;
        match try_ask(&mut client, with(&[("x", &large)]), None).await {
            Ok(answer) => assert_eq!(answer.status, 431),
            Err(error) => assert!(error.is_reset(), "{error}"),
        }
        let answer = ask(&mut client, get("http://test/"), None).await;
        assert_eq!(answer.status, 200);
    });
    eventually("the record", || gateway.governor.refusals().len() == 1);
    let refusal = gateway.governor.refusals()[0];
    assert_eq!(
        (refusal.reason, refusal.status),
        (ParseRefusal::HeadTooLarge, 431)
    );
}

#[test]
fn crumbs_reach_an_http1_upstream_as_one_cookie() {
    let upstream = Upstream::ok();
    let gateway = Running::forwarding_to(upstream.address);
    run(async {
        let mut client = connect(gateway.address).await;
        let crumbs = with(&[("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers")]);
        assert_eq!(ask(&mut client, crumbs, None).await.status, 200);
    });
    let seen = &upstream.seen()[0];
    assert_eq!(seen.field("cookie"), Some("a=1; b=2"));
    assert_eq!(seen.head.to_ascii_lowercase().matches("cookie").count(), 1);
    assert_eq!(seen.field("te"), None, "it is for one connection");
}

/// `h2` cuts a fragment off, so the policy and the upstream see the same target.
#[test]
fn a_fragment_reaches_nobody() {
    let upstream = Upstream::ok();
    let gateway = Running::forwarding_to(upstream.address);
    let mut raw = Raw::open(gateway.address);
    let fields = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/a#/../b"),
        (":authority", "test"),
    ];
    raw.head(1, true, &fields);
    raw.until(|frame| frame.stream == 1);
    for seen in upstream.seen() {
        assert_eq!(seen.line(), "GET /a HTTP/1.1");
    }
}

/// Targets in forms that only other requests may have.
#[test]
fn a_target_is_a_path() {
    let upstream = Upstream::ok();
    for (method, path, passes) in [
        ("OPTIONS", "*", true),
        ("GET", "*", false),
        ("GET", "a", false),
        ("GET", "http://test/", false),
        ("GET", "?a", false),
        ("GET", "/\u{e9}", false),
        ("GET", "/`", false),
    ] {
        let gateway = Running::forwarding_to(upstream.address);
        let before = upstream.seen().len();
        let mut raw = Raw::open(gateway.address);
        let fields = [
            (":method", method),
            (":scheme", "http"),
            (":path", path),
            (":authority", "test"),
        ];
        raw.head(1, true, &fields);
        raw.until(|frame| frame.stream == 1);
        let forwarded = upstream.seen().len() - before;
        assert_eq!(forwarded, usize::from(passes), "{method} {path}");
        eventually("the record", || {
            gateway.governor.refusals().len() == usize::from(!passes)
        });
    }
}
