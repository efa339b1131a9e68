//! Connections: kept, pipelined, capped.

use crate::script::Script;

use tidegate::gateway::Closed;
use tidegate::gateway::governor::{Course, Failure, Forward};
use tidegate::gateway::respond::Answer;

use crate::harness::{Client, OK, Running, UNHURRIED, Upstream, eventually, forward, settings};

#[test]
fn both_sides_keep_their_connections() {
    let connections = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&connections);
    let upstream = Upstream::start(move |mut conn, _| {
        count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        conn.stream.set_read_timeout(None).unwrap();
        while conn.request().is_some() {
            conn.send(OK);
        }
    });
    let gateway = Running::forwarding_to(upstream.address);
    let mut client = gateway.connect();
    for _ in 0..50 {
        assert_eq!(client.get("/").status(), 200);
    }
    assert_eq!(connections.load(std::sync::atomic::Ordering::SeqCst), 1);
    assert_eq!(gateway.control.connections().open(), 1);
}

#[test]
fn three_requests_in_one_write_are_answered_in_order() {
    let upstream = Upstream::replying(|request| {
        let path = request.line().split(' ').nth(1).unwrap();
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}",
            path.len()
        )
        .into_bytes()
    });
    let gateway = Running::forwarding_to(upstream.address);
    let mut client = gateway.connect();
    client.send(concat!(
        "GET /1 HTTP/1.1\r\nHost: test\r\n\r\n",
        "POST /2 HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody",
        "POST /3 HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
        "GET /4 HTTP/1.1\r\nHost: test\r\n\r\n",
    ));
    for path in ["/1", "/2", "/3", "/4"] {
        assert_eq!(client.response().text(), path);
    }
    let bodies: Vec<Vec<u8>> = upstream.seen().into_iter().map(|seen| seen.body).collect();
    assert_eq!(bodies, [&b""[..], b"body", b"body", b""]);
}

#[test]
fn a_request_that_comes_early_does_not_disturb_the_one_before() {
    let (send, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let upstream = Upstream::start(move |mut conn, _| {
        conn.stream.set_read_timeout(None).unwrap();
        while conn.request().is_some() {
            gate.lock().unwrap().recv().unwrap();
            conn.send(OK);
        }
    });
    let gateway = Running::forwarding_to(upstream.address);
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\nhi");
    eventually("the first request", || gateway.governor.admitted() == 1);
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    send.send(()).unwrap();
    assert_eq!(client.response().status(), 200);
    send.send(()).unwrap();
    assert_eq!(client.response().status(), 200);
}

#[test]
fn a_wish_for_another_protocol_keeps_the_connection_in_step() {
    let upstream = Upstream::replying(|request| {
        let path = request.line().split(' ').nth(1).unwrap();
        let len = path.len() + request.body.len();
        let mut answer =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n{path}").into_bytes();
        answer.extend(&request.body);
        answer
    });
    for may_upgrade in [true, false] {
        let gateway = Running::scripted(upstream.address, move |_| {
            Course::Forward(Forward {
                may_upgrade,
                ..forward()
            })
        });
        let mut client = gateway.connect();
        for wish in ["foo", "websocket", "h2c"] {
            client.send(format!(
                "PUT /1 HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: {wish}\r\nContent-Length: 2\r\n\r\nhiGET /2 HTTP/1.1\r\nHost: test\r\nUpgrade: {wish}\r\n\r\n"
            ));
            for text in ["/1hi", "/2"] {
                let answer = client.response();
                assert_eq!((answer.status(), answer.text()), (200, text), "{wish}");
                assert_eq!(answer.field("connection"), Some("keep-alive"));
            }
        }
    }
}

#[test]
fn the_last_request_of_a_connection_says_so() {
    let upstream = Upstream::ok();
    let mut settings = settings(&[upstream.address]);
    settings.limits.requests_per_connection_max = 3;
    let gateway = Running::start(settings, Script::forwarding());
    let mut client = gateway.connect();
    for connection in ["keep-alive", "keep-alive", "close"] {
        assert_eq!(client.get("/").field("connection"), Some(connection));
    }
    client.is_closed();
}

#[test]
fn a_client_may_ask_for_the_end() {
    let upstream = Upstream::ok();
    let gateway = Running::forwarding_to(upstream.address);
    for request in [
        "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
    ] {
        let mut client = gateway.connect();
        client.send(request);
        assert_eq!(client.response().status(), 200);
        client.is_closed();
    }
}

#[test]
fn a_last_answer_is_whole_whatever_comes_behind_its_request() {
    let upstream = Upstream::ok();
    let refused = || Course::Answer(Answer::quota_exceeded(1));
    let forwarded = || Course::Forward(forward());
    let courses: [(fn() -> Course, u16); 2] = [(refused, 429), (forwarded, 200)];
    for (course, status) in courses {
        let gateway = Running::scripted(upstream.address, move |_| course());
        for behind in ["", "GET /more HTTP/1.1\r\nHost: test\r\n\r\n", "no request"] {
            let mut client = gateway.connect();
            client.send(format!(
                "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n{behind}"
            ));
            let answer = client.response();
            assert_eq!(answer.status(), status, "{behind}");
            assert_eq!(answer.field("connection"), Some("close"), "{behind}");
        }
        eventually("all closed", || gateway.control.connections().open() == 0);
        let counts = gateway.control.connections().counts();
        assert_eq!(counts.closed_as(Closed::Served), 3);
    }
}

#[test]
fn connections_are_capped_and_places_come_back() {
    for per_address in [false, true] {
        let upstream = Upstream::ok();
        let mut settings = settings(&[upstream.address]);
        let limits = &mut settings.limits;
        match per_address {
            true => limits.connections_per_address_max = 2,
            false => limits.connections_max = 2,
        }
        let gateway = Running::start(settings, Script::forwarding());
        let mut open: Vec<Client> = (0..2).map(|_| gateway.connect()).collect();
        for client in &mut open {
            assert_eq!(client.get("/").status(), 200);
        }
        gateway.connect().is_closed();
        let connections = gateway.control.connections();
        let refused = (connections.refused_all(), connections.refused_address());
        assert_eq!(refused, if per_address { (0, 1) } else { (1, 0) });
        drop(open);
        eventually("a place", || connections.open() == 0);
        assert_eq!(gateway.connect().get("/").status(), 200);
    }
}

#[test]
fn every_connection_accepted_is_open_or_has_ended_as_something() {
    let upstream = Upstream::ok();
    let mut settings = settings(&[upstream.address]);
    settings.limits.connections_max = 3;
    // Only the one who waits for that becomes idle.
    settings.timeouts.idle = UNHURRIED;
    let gateway = Running::start(settings, Script::forwarding());
    let connections = gateway.control.connections();
    let ended = |closed, count| {
        eventually("an end", || connections.counts().closed_as(closed) == count);
        let counts = connections.counts();
        let closed: u64 = counts.closed.iter().sum();
        assert_eq!(counts.accepted, closed + counts.open);
    };
    drop(gateway.connect());
    ended(Closed::Unused, 1);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHo");
    eventually("a head begun", || connections.counts().reading_head == 1);
    drop(client);
    ended(Closed::BrokenHead, 1);
    assert_eq!(connections.counts().reading_head, 0);
    let mut client = gateway.connect();
    client.send("nonsense\r\n\r\n");
    assert_eq!(client.response().status(), 400);
    drop(client);
    ended(Closed::RefusedInParsing, 1);
    let mut client = gateway.connect();
    assert_eq!(client.get("/").status(), 200);
    drop(client);
    ended(Closed::Served, 1);
    let mut client = gateway.connect();
    assert_eq!(client.get("/").status(), 200);
    client.is_closed();
    ended(Closed::Idle, 1);
    let open: Vec<Client> = (0..3).map(|_| gateway.connect()).collect();
    eventually("three", || connections.open() == 3);
    gateway.connect().is_closed();
    ended(Closed::FullAll, 1);
    drop(open);
    ended(Closed::Unused, 4);
    assert_eq!(connections.counts().accepted, 9);
}

/// A client that takes little at once, with a connection of its own.
fn narrow(gateway: &Running) -> Client {
    use rustix::net::{AddressFamily, SocketType, connect, socket, sockopt};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    sockopt::set_socket_recv_buffer_size(&socket, 4_096).unwrap();
    connect(&socket, &gateway.address).unwrap();
    Client::new(socket.into())
}

#[test]
fn what_a_client_sent_ahead_takes_no_last_answer_away() {
    let body = vec![b'x'; 30_000];
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    let upstream = Upstream::answering([head.as_bytes(), &body].concat());
    let gateway = Running::forwarding_to(upstream.address);
    for count in 1..=20 {
        let mut client = narrow(&gateway);
        let last = "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
        let ahead = format!(
            "GET / HTTP/1.1\r\nHost: test\r\nX: {}\r\n\r\n",
            "a".repeat(300)
        );
        client.send([last, &ahead.repeat(10)].concat());
        eventually("the end", || gateway.control.connections().open() == 0);
        assert_eq!(client.response().body.len(), body.len(), "try {count}");
        client.is_closed();
    }
}

#[test]
fn a_client_that_says_its_last_word_before_the_answer_gets_none() {
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let upstream = Upstream::replying(move |_| {
        held.lock().unwrap().recv().unwrap();
        OK.as_bytes().to_vec()
    });
    let gateway = Running::forwarding_to(upstream.address);
    for count in 1..=10 {
        let mut client = gateway.connect();
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        client.stream.shutdown(std::net::Shutdown::Write).unwrap();
        release.send(()).unwrap();
        client.is_closed();
        let completion = gateway.completions(count)[count - 1];
        assert_eq!(completion.failure, Some(Failure::ClientAbort));
        assert_eq!(completion.status_sent, 0);
    }
}
