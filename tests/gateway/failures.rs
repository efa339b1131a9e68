//! Upstreams that are down, slow or broken, and clients that leave.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::script::Script;
use tidegate::gateway::governor::{Course, Failure, Forward};

use crate::harness::{
    Client, OK, Running, UNHURRIED, Upstream, eventually, forward, nobody, reset, settings,
};

fn check(gateway: &Running, status: u16, failure: Failure, proxy_status: &str) {
    let before = gateway.governor.completions().len();
    let answer = gateway.connect().get("/");
    assert_eq!(answer.status(), status);
    assert_eq!(
        answer.field("content-type"),
        Some("application/problem+json")
    );
    assert!(answer.field("tidegate-decision-id").is_some());
    let told = answer.field("proxy-status").unwrap();
    assert!(told.contains(proxy_status), "{told}");
    let completion = gateway.completions(before + 1)[before];
    assert_eq!(completion.failure, Some(failure));
    assert_eq!(completion.status_sent, status);
    assert_eq!(completion.upstream_status, 0);
    eventually("nothing in flight", || gateway.control.in_flight() == 0);
}

#[test]
fn an_upstream_that_is_down_is_502() {
    let gateway = Running::forwarding_to(nobody());
    check(&gateway, 502, Failure::Connect, "connection_refused");
    let completion = gateway.completions(1)[0];
    assert_eq!((completion.attempts, completion.never_sent), (1, 1));
}

#[test]
fn an_upstream_without_an_address_is_502() {
    let mut settings = settings(&[nobody()]);
    settings.upstreams[0].servers = vec!["no-such-host.invalid:80".into()];
    let gateway = Running::start(settings, Script::forwarding());
    check(&gateway, 502, Failure::NoAddress, "dns_error");
}

#[test]
fn an_upstream_that_is_slow_is_504() {
    let upstream = Upstream::start(|mut conn, _| {
        conn.stream.set_read_timeout(None).unwrap();
        conn.rest();
    });
    let gateway = Running::scripted(upstream.address, |_| {
        Course::Forward(Forward {
            timeout: Duration::from_millis(100),
            ..forward()
        })
    });
    check(&gateway, 504, Failure::Timeout, "http_response_timeout");
}

/// The upstream answers when it has the whole body, and its time counts from there.
#[test]
fn who_stalls_its_own_body_is_the_slow_one() {
    let upstream = Upstream::start(|mut conn, _| {
        conn.stream.set_read_timeout(None).unwrap();
        conn.rest();
    });
    // A body that is whole has to come within it.
    let gateway = Running::scripted(upstream.address, |_| {
        Course::Forward(Forward {
            timeout: UNHURRIED,
            ..forward()
        })
    });
    for (count, (rest, status, failure)) in [
        ("Content-Length: 10\r\n\r\n12345", 408, Failure::BodyTooSlow),
        ("Content-Length: 10\r\n\r\n", 408, Failure::BodyTooSlow),
        (
            "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            408,
            Failure::BodyTooSlow,
        ),
        (
            "Content-Length: 10\r\n\r\n1234567890",
            504,
            Failure::Timeout,
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            504,
            Failure::Timeout,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = gateway.connect();
        client.send(format!("PUT / HTTP/1.1\r\nHost: test\r\n{rest}"));
        assert_eq!(client.response().status(), status, "{rest}");
        let completion = gateway.completions(count + 1)[count];
        assert_eq!(completion.failure, Some(failure), "{rest}");
    }
}

#[test]
fn an_upstream_that_closes_or_resets_is_502() {
    let upstream = Upstream::start(|mut conn, _| {
        conn.request();
    });
    check(
        &Running::forwarding_to(upstream.address),
        502,
        Failure::Reset,
        "connection_terminated",
    );
    let upstream = Upstream::start(|conn, _| reset(conn));
    check(
        &Running::forwarding_to(upstream.address),
        502,
        Failure::Reset,
        "connection_terminated",
    );
}

#[test]
fn an_upstream_that_answers_nonsense_is_502() {
    for nonsense in [
        "SSH-2.0-server\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
    ] {
        let upstream = Upstream::start(move |mut conn, _| {
            conn.request();
            conn.send(nonsense);
            conn.rest();
        });
        check(
            &Running::forwarding_to(upstream.address),
            502,
            Failure::Garbage,
            "http_protocol_error",
        );
    }
}

#[test]
fn interim_answers_without_end_are_nonsense() {
    let upstream = Upstream::start(|mut conn, _| {
        conn.request();
        conn.send("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".repeat(1_000));
        conn.rest();
    });
    let gateway = Running::forwarding_to(upstream.address);
    let mut client = gateway.connect();
    let mut answer = client.get("/");
    let mut interims = 0;
    while answer.status() == 103 {
        interims += 1;
        answer = client.response();
    }
    assert_eq!((interims, answer.status()), (32, 502));
    assert_eq!(gateway.completions(1)[0].failure, Some(Failure::Garbage));
}

#[test]
fn an_answer_that_breaks_off_ends_the_connection() {
    let upstream = Upstream::start(|mut conn, _| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    });
    let gateway = Running::forwarding_to(upstream.address);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    let head = client.head().unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(client.rest(), b"half");
    let completion = gateway.completions(1)[0];
    assert_eq!(completion.failure, Some(Failure::Reset));
    assert_eq!(
        (completion.status_sent, completion.upstream_status),
        (200, 200)
    );
}

/// One server that is down and one that is up, tried in this order.
fn half_down(may_retry: bool) -> (Upstream, Running) {
    let upstream = Upstream::ok();
    let gateway = Running::start(
        settings(&[nobody(), upstream.address]),
        Script::scripted(Box::new(move |_| {
            Course::Forward(Forward {
                may_retry,
                ..forward()
            })
        })),
    );
    (upstream, gateway)
}

#[test]
fn a_connection_that_fails_is_tried_once_more_where_it_may() {
    let (upstream, gateway) = half_down(true);
    assert_eq!(gateway.connect().get("/").status(), 200);
    let completion = gateway.completions(1)[0];
    assert_eq!((completion.attempts, completion.never_sent), (2, 1));
    assert_eq!((completion.failure, completion.status_sent), (None, 200));
    assert_eq!(upstream.seen().len(), 1);

    let (_upstream, gateway) = half_down(false);
    assert_eq!(gateway.connect().get("/").status(), 502);
    assert_eq!(gateway.completions(1)[0].attempts, 1);
}

#[test]
fn a_request_that_is_not_idempotent_is_never_tried_again() {
    let (_upstream, gateway) = half_down(true);
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(client.response().status(), 502);
    assert_eq!(gateway.completions(1)[0].attempts, 1);
}

#[test]
fn there_is_at_most_one_retry() {
    let gateway = Running::start(
        settings(&[nobody(), nobody()]),
        Script::scripted(Box::new(|_| {
            Course::Forward(Forward {
                may_retry: true,
                ..forward()
            })
        })),
    );
    assert_eq!(gateway.connect().get("/").status(), 502);
    let completion = gateway.completions(1)[0];
    assert_eq!((completion.attempts, completion.never_sent), (2, 2));
}

/// Takes one request per connection and closes when the second one arrives.
fn closing_early(served: &Arc<AtomicUsize>) -> Upstream {
    let served = Arc::clone(served);
    Upstream::start(move |mut conn, _| {
        conn.request();
        served.fetch_add(1, Ordering::SeqCst);
        conn.send(OK);
        let mut one = [0];
        _ = std::io::Read::read(&mut conn.stream, &mut one);
        reset(conn);
    })
}

#[test]
fn a_kept_connection_that_closes_first_is_replaced() {
    let served = Arc::default();
    let upstream = closing_early(&served);
    let gateway = Running::forwarding_to(upstream.address);
    let mut client = gateway.connect();
    for _ in 0..3 {
        assert_eq!(client.get("/").status(), 200);
    }
    assert_eq!(served.load(Ordering::SeqCst), 3);
    for completion in &gateway.completions(3)[1..] {
        assert_eq!((completion.attempts, completion.unanswered), (2, 1));
        assert_eq!(completion.failure, None);
    }
}

#[test]
fn a_kept_connection_that_closes_first_is_no_reason_to_post_twice() {
    let served = Arc::default();
    let upstream = closing_early(&served);
    let gateway = Running::forwarding_to(upstream.address);
    assert_eq!(gateway.connect().get("/").status(), 200);
    // By then its connection is kept.
    gateway.completions(1);
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(client.response().status(), 502);
    let completion = gateway.completions(2)[1];
    assert_eq!((completion.attempts, completion.unanswered), (1, 1));
    // The reset is met in writing or in reading, whichever comes first.
    let failure = completion.failure.unwrap();
    assert!(
        matches!(failure, Failure::Write | Failure::Reset),
        "{failure:?}"
    );
}

#[test]
fn a_client_that_leaves_takes_nothing_with_it() {
    let upstream = Upstream::start(|mut conn, _| {
        conn.stream.set_read_timeout(None).unwrap();
        conn.rest();
    });
    let gateway = Running::forwarding_to(upstream.address);
    for count in 1..=3 {
        let mut client: Client = gateway.connect();
        client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nhalf");
        eventually("the request", || gateway.control.in_flight() == 1);
        drop(client);
        let completion = gateway.completions(count)[count - 1];
        assert_eq!(completion.failure, Some(Failure::ClientAbort));
        assert_eq!(completion.status_sent, 0);
        eventually("nothing in flight", || gateway.control.in_flight() == 0);
    }
    eventually("no connection", || {
        gateway.control.connections().open() == 0
    });
    assert_eq!(gateway.governor.dropped(), 0);
}
