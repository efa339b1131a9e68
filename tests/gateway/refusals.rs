//! Heads that are refused: answered, counted, recorded.

use std::time::{Duration, Instant};

use crate::script::Script;
use tidegate::gateway::governor::ParseRefusal;

use crate::harness::{Client, PATIENCE, Running, UNHURRIED, Upstream, eventually, settings};

const HEADS: &[(&str, u16, ParseRefusal)] = &[
    ("GET / HTTP/1.1\r\n\r\n", 400, ParseRefusal::Host),
    ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, ParseRefusal::Host),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        400,
        ParseRefusal::Host,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello",
        400,
        ParseRefusal::ContentLength,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        400,
        ParseRefusal::ContentLength,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        400,
        ParseRefusal::TransferEncoding,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
        400,
        ParseRefusal::LengthAndEncoding,
    ),
    (
        "GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n",
        400,
        ParseRefusal::TargetBytes,
    ),
    (
        "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
        400,
        ParseRefusal::TargetBytes,
    ),
    (
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        400,
        ParseRefusal::RequestLine,
    ),
    (
        "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        400,
        ParseRefusal::Version,
    ),
    (
        "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        400,
        ParseRefusal::TargetForm,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
        400,
        ParseRefusal::Field,
    ),
    ("GET / HTTP/1.1\nHost: a\n\n", 400, ParseRefusal::LineEnd),
    (
        "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
        405,
        ParseRefusal::Connect,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Authorization\r\n\r\n",
        400,
        ParseRefusal::Nomination,
    ),
    // What Pingora would refuse after the decision, and nobody would know that it went nowhere.
    (
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, \"host\"\r\n\r\n",
        400,
        ParseRefusal::Nomination,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, a, b, c, d, e, f, g, h, i\r\n\r\n",
        400,
        ParseRefusal::Nomination,
    ),
    (
        "PUT / HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n",
        417,
        ParseRefusal::Expectation,
    ),
    (
        "TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
        400,
        ParseRefusal::BodyNotAllowed,
    ),
    (
        "OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n",
        405,
        ParseRefusal::MaxForwards,
    ),
    ("\u{16}\u{3}\u{1}\u{2}", 400, ParseRefusal::RequestLine),
];

/// A head that ends its connection, on a fresh one and on a used one.
fn check_refused(gateway: &Running, used: bool, wire: &str, status: u16, reason: ParseRefusal) {
    let mut client = gateway.connect();
    if used {
        assert_eq!(client.get("/").status(), 200);
    }
    client.send(wire);
    let answer = client.response();
    assert_eq!(answer.status(), status, "{wire:.60?}");
    assert_eq!(answer.field("tidegate-decision-id").map(str::len), Some(22));
    assert_eq!(
        answer.field("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(answer.field("connection"), Some("close"));
    client.is_closed();
    let refusals = gateway.governor.refusals();
    let last = refusals.last().unwrap();
    assert_eq!((last.reason, last.status), (reason, status), "{wire:.60?}");
}

#[test]
fn every_refusal_is_answered_and_counted() {
    let long_target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(9_000));
    let endless_target = format!("GET /{}", "x".repeat(9_000));
    let long_field = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "x".repeat(40_000)
    );
    let many_fields = format!(
        "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
        "x: y\r\n".repeat(100)
    );
    let long: &[(&str, u16, ParseRefusal)] = &[
        (&long_target, 414, ParseRefusal::TargetTooLong),
        (&endless_target, 414, ParseRefusal::TargetTooLong),
        (&long_field, 431, ParseRefusal::HeadTooLarge),
        (&many_fields, 431, ParseRefusal::TooManyFields),
    ];
    let table = [HEADS, long].concat();
    let upstream = Upstream::ok();
    let gateway = Running::forwarding_to(upstream.address);
    for (n, (wire, status, reason)) in table.iter().enumerate() {
        // On a fresh connection and on a used one.
        for used in [false, true] {
            check_refused(&gateway, used, wire, *status, *reason);
            let refusals = gateway.governor.refusals();
            assert_eq!(refusals.len(), 2 * n + usize::from(used) + 1);
        }
    }
    assert_eq!(gateway.governor.admitted(), table.len() as u64);
    assert_eq!(upstream.seen().len(), table.len());
}

/// For a clock before whose end nothing has to happen.
const SHORT: Duration = Duration::from_millis(50);

fn impatient(head: Duration, idle: Duration) -> (Upstream, Running) {
    let upstream = Upstream::ok();
    let mut settings = settings(&[upstream.address]);
    settings.timeouts.head = head;
    settings.timeouts.idle = idle;
    let gateway = Running::start(settings, Script::forwarding());
    (upstream, gateway)
}

#[test]
fn a_head_has_one_deadline_however_it_drips() {
    let (_upstream, gateway) = impatient(UNHURRIED, PATIENCE);
    for used in [false, true] {
        // The deadline of a first head runs from the accept on, that of a later one from its first byte.
        let mut begun = Instant::now();
        let mut client = gateway.connect();
        if used {
            assert_eq!(client.get("/").status(), 200);
            begun = Instant::now();
        }
        client.send("GET / HTTP/1.1\r\nX-Slow: ");
        let before = gateway.governor.refusals().len();
        // A byte now and then does not move the deadline.
        eventually("a refusal", || {
            _ = std::io::Write::write(&mut &client.stream, b"x");
            std::thread::park_timeout(Duration::from_millis(5));
            gateway.governor.refusals().len() > before
        });
        assert!(begun.elapsed() >= UNHURRIED, "{:?}", begun.elapsed());
        let answer = client.response();
        assert_eq!(answer.status(), 408, "used: {used}");
        let last = *gateway.governor.refusals().last().unwrap();
        assert_eq!(last.reason, ParseRefusal::HeadTimeout);
    }
}

#[test]
fn empty_lines_do_not_keep_a_connection() {
    for piece_len in [2, 1] {
        let (_upstream, gateway) = impatient(UNHURRIED, UNHURRIED);
        let mut client = gateway.connect();
        assert_eq!(client.get("/").status(), 200);
        let mut drip = b"\r\n".iter().copied().cycle();
        eventually("the end of the connection", || {
            let piece: Vec<u8> = drip.by_ref().take(piece_len).collect();
            _ = std::io::Write::write(&mut &client.stream, &piece);
            std::thread::park_timeout(Duration::from_millis(5));
            gateway.control.connections().open() == 0
        });
    }
}

#[test]
fn a_connection_that_stays_idle_is_closed_in_silence() {
    let (_upstream, gateway) = impatient(PATIENCE, SHORT);
    let mut client = gateway.connect();
    assert_eq!(client.get("/").status(), 200);
    client.is_closed();
    assert!(gateway.governor.refusals().is_empty());
}

#[test]
fn a_connection_that_never_says_anything_is_closed_in_silence() {
    let (_upstream, gateway) = impatient(SHORT, PATIENCE);
    gateway.connect().is_closed();
    assert!(gateway.governor.refusals().is_empty());
    eventually("the place to come back", || {
        gateway.control.connections().open() == 0
    });
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_head_is_not_counted() {
    let (_upstream, gateway) = impatient(PATIENCE, PATIENCE);
    let mut client: Client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHo");
    drop(client);
    assert_eq!(gateway.connect().get("/").status(), 200);
    eventually("the place to come back", || {
        gateway.control.connections().open() == 0
    });
    assert!(gateway.governor.refusals().is_empty());
}

#[test]
fn empty_lines_before_a_request_mean_nothing() {
    let (upstream, gateway) = impatient(PATIENCE, PATIENCE);
    let mut client = gateway.connect();
    client.send("\r\n\r\nGET /a HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    assert_eq!(upstream.seen()[0].line(), "GET /a HTTP/1.1");
}
