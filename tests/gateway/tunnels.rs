//! Connections that become tunnels, and streams that never end by themselves.

use std::net::Shutdown;
use std::sync::mpsc;
use std::time::Duration;

use tidegate::contract::Terms;
use tidegate::gateway::Closed;
use tidegate::gateway::governor::{Course, Failure, Forward};

use tidegate::units::Tier;

use crate::governed::{Plan, contract};
use crate::harness::{Client, OK, PATIENCE, Running, Upstream, eventually, forward, settings};
use crate::script::Script;

const HANDSHAKE: &str =
    "GET /ws HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
const SWITCHED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

/// Agrees to every handshake and sends back what it gets.
fn echo() -> Upstream {
    Upstream::start(|mut conn, _| {
        use std::io::{Read, Write};
        conn.stream.set_read_timeout(None).unwrap();
        conn.head();
        conn.send(SWITCHED);
        let mut piece = [0; 4_096];
        while let Ok(read @ 1..) = conn.stream.read(&mut piece) {
            if conn.stream.write_all(&piece[..read]).is_err() {
                return;
            }
        }
    })
}

fn switched(gateway: &Running) -> Client {
    let mut client = gateway.connect();
    client.send(HANDSHAKE);
    assert_eq!(client.response().status(), 101);
    client
}

fn opened(gateway: &Running) -> Client {
    let mut client = switched(gateway);
    client.send("ping");
    assert_eq!(client.exactly(4), b"ping");
    client
}

#[test]
fn a_tunnel_is_in_flight_and_recorded_with_its_bytes_when_it_ends() {
    let upstream = echo();
    let gateway = Running::forwarding_to(upstream.address);
    let mut client = opened(&gateway);
    assert_eq!(gateway.control.in_flight(), 1);
    let connections = gateway.control.connections();
    assert_eq!(connections.counts().tunnels, 1);
    assert!(gateway.governor.completions().is_empty(), "it still runs");
    client.send("longer");
    assert_eq!(client.exactly(6), b"longer");
    client.stream.shutdown(Shutdown::Write).unwrap();
    client.is_closed();
    let completion = gateway.completions(1)[0];
    assert_eq!(
        (completion.status_sent, completion.upstream_status),
        (101, 101)
    );
    assert_eq!(completion.failure, None);
    let bytes = (
        completion.request_body_bytes,
        completion.response_body_bytes,
    );
    assert_eq!(bytes, (10, 10));
    eventually("the end", || gateway.control.in_flight() == 0);
    eventually("the account", || {
        connections.counts().closed_as(Closed::Tunnel) == 1
    });
    assert_eq!(connections.counts().tunnels, 0);
}

#[test]
fn a_tunnel_ends_when_nothing_moves_and_when_it_is_old() {
    for (idle_ms, age_ms, failure) in [
        (100, 60_000, Failure::TunnelIdle),
        (60_000, 300, Failure::TunnelAge),
    ] {
        let upstream = echo();
        let mut settings = settings(&[upstream.address]);
        settings.timeouts.tunnel_idle = Duration::from_millis(idle_ms);
        settings.timeouts.tunnel_age = Duration::from_millis(age_ms);
        let gateway = Running::start(settings, Script::forwarding());
        // Nothing is said in it: on a busy machine an answer may come after either time.
        let mut client = switched(&gateway);
        client.is_closed();
        let completion = gateway.completions(1)[0];
        assert_eq!(completion.failure, Some(failure));
        assert_eq!(completion.upstream_status, 101);
    }
}

#[test]
fn the_clocks_of_bodies_do_not_end_a_tunnel() {
    let upstream = echo();
    let mut settings = settings(&[upstream.address]);
    settings.timeouts.body_read = Duration::from_millis(50);
    settings.timeouts.rate_grace = Duration::from_millis(50);
    settings.timeouts.tunnel_idle = Duration::from_millis(2_500);
    settings.limits.body_rate_min = 1_000_000;
    let gateway = Running::start(
        settings,
        Script::scripted(Box::new(|_| {
            Course::Forward(Forward {
                timeout: Duration::from_secs(2),
                ..forward()
            })
        })),
    );
    let mut client = opened(&gateway);
    client.is_closed();
    // The one clock that tunnels have.
    let completion = gateway.completions(1)[0];
    assert_eq!(completion.failure, Some(Failure::TunnelIdle));
}

#[test]
fn a_handshake_is_answered_in_time_or_the_upstream_is_slow() {
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
    let mut client = gateway.connect();
    client.send(HANDSHAKE);
    assert_eq!(client.response().status(), 504);
    let completion = gateway.completions(1)[0];
    assert_eq!(completion.failure, Some(Failure::Timeout));
}

#[test]
fn a_handshake_is_passed_on_only_where_it_may_be() {
    let upstream = Upstream::answering(OK);
    let gateway = Running::scripted(upstream.address, |_| {
        Course::Forward(Forward {
            may_upgrade: false,
            ..forward()
        })
    });
    let mut client = gateway.connect();
    client.send(HANDSHAKE);
    assert_eq!(client.response().status(), 200);
    // A plain request, and the connection goes on.
    assert_eq!(client.get("/").status(), 200);
    let seen = upstream.seen();
    assert_eq!(seen[0].field("upgrade"), None);
    assert_eq!(seen[0].field("connection"), None);
}

#[test]
fn an_upgrade_to_http_2_is_never_passed_on() {
    let upstream = Upstream::answering(OK);
    let gateway = Running::forwarding_to(upstream.address);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    let seen = &upstream.seen()[0];
    assert_eq!(
        (seen.field("upgrade"), seen.field("http2-settings")),
        (None, None)
    );
}

/// What is no handshake goes on as a plain request, and no other protocol comes back.
#[test]
fn only_a_handshake_is_passed_on_and_only_to_a_websocket() {
    let upstream = Upstream::start(|mut conn, _| {
        let request = conn.request().unwrap();
        match request.field("upgrade") {
            Some(_) => conn.send(SWITCHED.replace("websocket", "other")),
            None => conn.send(OK),
        }
    });
    let gateway = Running::forwarding_to(upstream.address);
    for (request, status) in [
        (HANDSHAKE.to_owned(), 502),
        (HANDSHAKE.replace("GET", "POST"), 200),
        (
            HANDSHAKE.replace("Connection: Upgrade", "Connection: close"),
            200,
        ),
        (HANDSHAKE.replace("websocket", "other"), 200),
        (
            HANDSHAKE.replace("Host: test", "Host: test\r\nContent-Length: 4") + "body",
            200,
        ),
    ] {
        let mut client = gateway.connect();
        client.send(&request);
        assert_eq!(client.response().status(), status, "{request}");
    }
}

#[test]
fn a_stop_cuts_tunnels_at_its_deadline() {
    let upstream = echo();
    let mut settings = settings(&[upstream.address]);
    settings.timeouts.stop = Duration::from_millis(100);
    let mut gateway = Running::start(settings, Script::forwarding());
    let mut client = opened(&gateway);
    assert_eq!(gateway.stop().cut_off, 1);
    client.is_closed();
    assert_eq!(gateway.governor.dropped(), 1, "it is recorded as cut off");
}

#[test]
fn the_first_event_arrives_before_the_second_is_sent() {
    let (send, events) = mpsc::channel::<&str>();
    let events = std::sync::Mutex::new(events);
    let upstream = Upstream::start(move |mut conn, _| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
        for event in events.lock().unwrap().iter() {
            conn.send(format!("{:x}\r\n{event}\r\n", event.len()));
        }
        conn.send("0\r\n\r\n");
    });
    let gateway = Running::forwarding_to(upstream.address);
    let mut client = gateway.connect();
    client.send("GET /events HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\n\r\n");
    assert!(client.head().unwrap().contains("text/event-stream"));
    for event in ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"] {
        send.send(event).unwrap();
        let chunk = format!("{:x}\r\n{event}\r\n", event.len());
        let came = client.exactly(chunk.len());
        assert_eq!(String::from_utf8_lossy(&came), chunk);
    }
    drop(send);
    assert_eq!(client.exactly(5), b"0\r\n\r\n");
    let completion = gateway.completions(1)[0];
    assert_eq!(
        (completion.failure, completion.response_body_bytes),
        (None, 27)
    );
}

#[test]
fn a_client_that_leaves_a_stream_ends_it_for_the_upstream() {
    let (ended, end) = mpsc::channel();
    let ended = std::sync::Mutex::new(ended);
    let upstream = Upstream::start(move |mut conn, _| {
        conn.stream.set_read_timeout(None).unwrap();
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n");
        // Nothing more is sent: the end must be told, not found out by the next write.
        conn.rest();
        ended.lock().unwrap().send(()).unwrap();
    });
    let gateway = Running::forwarding_to(upstream.address);
    let mut client = gateway.connect();
    client.send("GET /events HTTP/1.1\r\nHost: test\r\n\r\n");
    assert!(client.head().is_some());
    drop(client);
    end.recv_timeout(PATIENCE).expect("the upstream is told");
    let completion = gateway.completions(1)[0];
    assert_eq!(completion.failure, Some(Failure::ClientAbort));
}

#[test]
fn a_contract_says_whether_a_handshake_is_passed_on() {
    let may = Terms {
        websocket: true,
        ..Terms::default()
    };
    for (terms, tier, status) in [
        (may, Tier::Control, 101),
        (Terms::default(), Tier::Control, 400),
        (Terms::default(), Tier::ObserveOnly, 101),
    ] {
        // As a WebSocket server does: 101 to a handshake, 400 to anything else.
        let upstream = Upstream::start(|mut conn, _| {
            let head = conn.head().unwrap().to_ascii_lowercase();
            if !head.contains("upgrade: websocket") {
                return conn.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
            }
            conn.send(SWITCHED);
            let said = conn.exactly(4);
            conn.send(said);
        });
        let mut plan = Plan::of(upstream.address, vec![contract("ws_v1", "/ws", terms)]);
        plan.tier = tier;
        let gateway = plan.start();
        let mut client = gateway.connect();
        client.send(HANDSHAKE);
        assert_eq!(client.response().status(), status, "{tier:?}");
        if status == 101 {
            client.send("ping");
            assert_eq!(client.exactly(4), b"ping");
        }
        client.stream.shutdown(Shutdown::Write).unwrap();
        client.is_closed();
        let record = &gateway.records(1)[0];
        assert_eq!(record["upstream_status"], status);
        assert_eq!(record["outcome"], "done");
    }
}
