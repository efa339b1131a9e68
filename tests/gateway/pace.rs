//! Clients that take their time, with their bodies and with their answers, and bodies that are
//! longer than they may be.

use std::io::Write as _;
use std::num::NonZeroU64;
use std::sync::mpsc;
use std::time::Duration;

use tidegate::gateway::Closed;
use tidegate::gateway::governor::{Course, Failure, Forward};
use tidegate::gateway::respond::Answer;
use tidegate::gateway::settings::GatewaySettings;

use tidegate::contract::{Contract, Terms};
use tidegate::units::Tier;

use crate::governed::{Plan, contract};
use crate::harness::{Client, OK, Running, UNHURRIED, Upstream, eventually, forward, settings};
use crate::script::Script;

/// Settings under which a client may be waited for a moment and no longer.
fn hurried(upstream: &Upstream) -> GatewaySettings {
    let mut settings = settings(&[upstream.address]);
    settings.limits.body_rate_min = 1_000_000;
    settings.limits.response_rate_min = 1_000_000;
    settings.timeouts.rate_grace = Duration::from_millis(100);
    settings
}

/// Reads whatever comes, for as long as it comes.
fn swallowing() -> Upstream {
    Upstream::start(|mut conn, _| {
        conn.stream.set_read_timeout(None).unwrap();
        conn.rest();
    })
}

// What a short answer leaves in the gateway's own buffer must not wait for a client that never reads.
#[test]
fn whoever_reads_no_answers_does_not_hold_the_connection() {
    let upstream = swallowing();
    let refusing = || Script::scripted(Box::new(|_| Course::Answer(Answer::refused())));
    let mut settings = hurried(&upstream);
    settings.limits.requests_per_connection_max = u32::MAX;
    let gateway = Running::start(settings, refusing());
    let client = gateway.connect();
    let mut sending = client.stream.try_clone().unwrap();
    let many = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1_000);
    // Until the gateway takes no more, and then until it has closed.
    let sender = std::thread::spawn(move || while sending.write_all(many.as_bytes()).is_ok() {});
    let connections = gateway.control.connections();
    eventually("an end", || {
        connections.counts().closed_as(Closed::Served) == 1 && connections.open() == 0
    });
    sender.join().unwrap();
}

#[test]
fn a_body_below_the_rate_is_answered_408() {
    let upstream = swallowing();
    let gateway = Running::start(hurried(&upstream), Script::forwarding());
    let bodies = [
        ("Content-Length: 10", "12345"),
        ("Content-Length: 10", ""),
        ("Transfer-Encoding: chunked", "5\r\nhel"),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n"),
    ];
    for (count, (framing, begun)) in bodies.into_iter().enumerate() {
        let mut client = gateway.connect();
        client.send(format!(
            "PUT / HTTP/1.1\r\nHost: test\r\n{framing}\r\n\r\n{begun}"
        ));
        let answer = client.response();
        assert_eq!(answer.status(), 408, "{framing} {begun}");
        assert_eq!(answer.field("connection"), Some("close"));
        client.is_closed();
        let completion = gateway.completions(count + 1)[count];
        assert_eq!(completion.failure, Some(Failure::BodyTooSlow));
        assert_eq!(
            (completion.status_sent, completion.upstream_status),
            (408, 0)
        );
    }
}

#[test]
fn a_body_that_stands_still_is_answered_408_whatever_the_rate() {
    let upstream = swallowing();
    let mut settings = settings(&[upstream.address]);
    settings.limits.body_rate_min = 0;
    settings.timeouts.body_read = Duration::from_millis(100);
    let gateway = Running::start(settings, Script::forwarding());
    let mut client = gateway.connect();
    client.send("PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n12345");
    assert_eq!(client.response().status(), 408);
    let completion = gateway.completions(1)[0];
    assert_eq!(completion.failure, Some(Failure::BodyTooSlow));
}

/// Bytes buy no time without end.
#[test]
fn a_body_ends_in_time_whatever_it_brings() {
    let upstream = swallowing();
    let mut settings = settings(&[upstream.address]);
    settings.timeouts.body = Duration::from_millis(500);
    let gateway = Running::start(settings, Script::forwarding());
    let mut client = gateway.connect();
    client.send("PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: 10000000\r\n\r\n");
    let mut sender = client.stream.try_clone().unwrap();
    let drip = std::thread::spawn(move || {
        let (_hold, silent) = mpsc::channel::<()>();
        while sender.write_all(&[b'x'; 1_000]).is_ok() {
            assert!(silent.recv_timeout(Duration::from_millis(50)).is_err());
        }
    });
    assert_eq!(client.response().status(), 408);
    drop(client);
    let completion = gateway.completions(1)[0];
    assert_eq!(completion.failure, Some(Failure::BodyTooSlow));
    drip.join().unwrap();
}

#[test]
fn once_an_answer_has_begun_a_slow_body_only_loses_its_connection() {
    let upstream = Upstream::start(|mut conn, _| {
        conn.stream.set_read_timeout(None).unwrap();
        conn.head();
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun");
        conn.rest();
    });
    let mut settings = hurried(&upstream);
    // The answer has to begin within it.
    settings.timeouts.rate_grace = UNHURRIED;
    let gateway = Running::start(settings, Script::forwarding());
    let mut client = gateway.connect();
    client.send("PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n12345");
    let seen = String::from_utf8(client.rest()).unwrap();
    assert!(seen.starts_with("HTTP/1.1 200 OK"), "{seen}");
    assert!(seen.ends_with("\r\n\r\nbegun"), "no second answer: {seen}");
    let completion = gateway.completions(1)[0];
    assert_eq!(completion.failure, Some(Failure::BodyTooSlow));
    assert_eq!(completion.status_sent, 200);
}

#[test]
fn a_slow_upstream_does_not_make_a_client_slow() {
    let (send, gate) = mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let upstream = Upstream::start(move |mut conn, _| {
        conn.stream.set_read_timeout(None).unwrap();
        while conn.request().is_some() {
            conn.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n1");
            gate.lock().unwrap().recv().unwrap();
            conn.send("234");
        }
    });
    let gateway = Running::start(hurried(&upstream), Script::forwarding());
    let mut client = gateway.connect();
    for request in [
        "GET / HTTP/1.1\r\nHost: test\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody",
    ] {
        client.send(request);
        assert!(client.head().unwrap().contains("200 OK"));
        assert_eq!(client.exactly(1), b"1");
        // Three times the grace, in which nothing waits for the client.
        let waited = gate_after(&send, Duration::from_millis(300));
        assert_eq!(client.exactly(3), b"234");
        waited.join().unwrap();
    }
    let failures: Vec<_> = gateway.completions(2).iter().map(|c| c.failure).collect();
    assert_eq!(failures, [None, None]);
}

fn gate_after(send: &mpsc::Sender<()>, time: Duration) -> std::thread::JoinHandle<()> {
    let send = send.clone();
    std::thread::spawn(move || {
        // Nobody sends on this channel: it is the wait itself that is the point.
        let (_hold, silent) = mpsc::channel::<()>();
        assert!(silent.recv_timeout(time).is_err());
        send.send(()).unwrap();
    })
}

#[test]
fn an_answer_that_nobody_reads_is_cut_and_the_upstream_let_go() {
    let (gone, is_gone) = mpsc::channel();
    let gone = std::sync::Mutex::new(gone);
    let upstream = Upstream::start(move |mut conn, _| {
        conn.stream.set_read_timeout(None).unwrap();
        conn.stream.set_write_timeout(None).unwrap();
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        let piece = vec![b'x'; 1 << 20];
        while conn.stream.write_all(&piece).is_ok() {}
        gone.lock().unwrap().send(()).unwrap();
    });
    let gateway = Running::start(hurried(&upstream), Script::forwarding());
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    let completion = gateway.completions(1)[0];
    assert_eq!(completion.failure, Some(Failure::AnswerTooSlow));
    assert_eq!(
        (completion.status_sent, completion.upstream_status),
        (200, 200)
    );
    is_gone.recv_timeout(crate::harness::PATIENCE).unwrap();
}

/// A gateway whose bodies have at most ten bytes.
fn bounded(upstream: &Upstream) -> Running {
    Running::scripted(upstream.address, |_| {
        Course::Forward(Forward {
            body_bytes_max: Some(10),
            ..forward()
        })
    })
}

#[test]
fn a_body_within_the_bound_passes() {
    let upstream = Upstream::ok();
    let gateway = bounded(&upstream);
    let mut client = gateway.connect();
    for request in [
        "PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n0123456789",
        "PUT / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n012345678\r\n1\r\n9\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: test\r\n\r\n",
    ] {
        client.send(request);
        assert_eq!(client.response().status(), 200, "{request}");
    }
    assert_eq!(upstream.seen()[1].body, b"0123456789");
}

#[test]
fn a_body_that_says_it_is_too_long_goes_nowhere() {
    let upstream = Upstream::ok();
    let gateway = bounded(&upstream);
    // The whole body is on the way, or none of it yet.
    for (count, sent) in [(1, 2_000), (2, 0)] {
        let mut client = gateway.connect();
        client.send("PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: 2000\r\n\r\n");
        client.send(vec![b'x'; sent]);
        let answer = client.response();
        assert_eq!(answer.status(), 413);
        assert_eq!(
            answer.field("proxy-status"),
            Some("tidegate; error=http_request_denied")
        );
        assert_eq!(answer.field("connection"), Some("close"));
        assert!(answer.field("tidegate-decision-id").is_some());
        client.stream.shutdown(std::net::Shutdown::Write).unwrap();
        client.is_closed();
        let completion = gateway.completions(count)[count - 1];
        assert_eq!(completion.failure, Some(Failure::BodyTooLarge));
        assert_eq!((completion.attempts, completion.never_sent), (0, 1));
    }
    assert!(upstream.seen().is_empty());
}

#[test]
fn a_body_that_turns_out_too_long_is_cut_and_its_upstream_connection_too() {
    let (ended, received) = mpsc::channel();
    let ended = std::sync::Mutex::new(ended);
    let upstream = Upstream::start(move |mut conn, number| {
        conn.stream.set_read_timeout(None).unwrap();
        if number > 0 {
            conn.request();
            return conn.send(OK);
        }
        ended.lock().unwrap().send(conn.rest()).unwrap();
    });
    let gateway = bounded(&upstream);
    let mut client: Client = gateway.connect();
    client.send("PUT / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send("6\r\n012345\r\n6\r\nSECRET\r\n");
    let answer = client.response();
    assert_eq!(answer.status(), 413);
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    client.is_closed();
    let received = received.recv_timeout(crate::harness::PATIENCE).unwrap();
    let received = String::from_utf8(received).unwrap();
    assert!(!received.contains("SECRET"), "{received}");
    assert!(!received.contains("\r\n0\r\n"), "not ended: {received}");
    let completion = gateway.completions(1)[0];
    assert_eq!(completion.failure, Some(Failure::BodyTooLarge));
    assert_eq!(gateway.connect().get("/").status(), 200);
}

/// A contract whose bodies have at most ten bytes.
fn bounded_contract() -> Vec<Contract> {
    let terms = Terms {
        body_bytes_max: NonZeroU64::new(10),
        ..Terms::default()
    };
    vec![contract("small_v1", "/small", terms)]
}

#[test]
fn a_contract_bounds_its_bodies_where_the_tier_acts() {
    let upstream = Upstream::ok();
    for (tier, status, forwarded) in [(Tier::Control, 413, 0), (Tier::ObserveOnly, 200, 200)] {
        let mut plan = Plan::of(upstream.address, bounded_contract());
        plan.tier = tier;
        let gateway = plan.start();
        let mut client = gateway.connect();
        client.send("GET /small HTTP/1.1\r\nHost: test\r\nContent-Length: 11\r\n\r\nhello world");
        assert_eq!(client.response().status(), status, "{tier:?}");
        // Or its end would be looked out for, and the record written before.
        client.stream.shutdown(std::net::Shutdown::Write).unwrap();
        // Let through by its head, and ended by its body; nothing in it contradicts itself.
        let record = &gateway.records(1)[0];
        assert_eq!(record["decision"], "ALLOW");
        assert_eq!(record["status"], status);
        assert_eq!(record["upstream_status"], forwarded);
        assert_eq!(record["outcome"], "done");
        let outcomes = u32::from(status == 200);
        assert_eq!(gateway.totals(0).outcomes, outcomes, "whom it speaks about");
    }
}
