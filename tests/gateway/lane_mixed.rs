//! Requests of the lane and of the full proxy on the same connections, clients' and upstreams': in
//! order, each with its own answer, and no upstream's connection used again in a wrong state.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use crate::harness::{OK, Running, Upstream, eventually, reset};

/// An answer whose body is the path of its request.
fn echo(path: &str) -> String {
    let length = path.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{path}")
}

/// Requests that the lane takes, and such that it leaves, in turn.
fn request(number: usize) -> String {
    let fields = match number % 4 {
        0 => "",
        1 => "Connection: keep-alive, x-hop\r\n",
        2 => "Content-Length: 4\r\n",
        _ => "Transfer-Encoding: chunked\r\n",
    };
    let (method, body) = match number % 4 {
        2 => ("POST", "body"),
        3 => ("POST", "4\r\nbody\r\n0\r\n\r\n"),
        _ => ("GET", ""),
    };
    format!("{method} /{number} HTTP/1.1\r\nHost: test\r\n{fields}\r\n{body}")
}

#[test]
fn both_ways_take_turns_on_one_connection() {
    let upstream =
        Upstream::replying(|request| echo(request.line().split(' ').nth(1).unwrap()).into_bytes());
    let gateway = Running::forwarding_to(upstream.address);
    let all: String = (0..40).map(request).collect();
    // Cut behind a head, in a head, in a body, and between two requests.
    for cut in [1, 30, 47, 121, 160, 301, all.len() / 2, all.len() - 3] {
        let mut client = gateway.connect();
        let (front, rest) = all.split_at(cut);
        client.send(front);
        let whole = (0..40)
            .take_while(|count| (0..=*count).map(request).map(|it| it.len()).sum::<usize>() <= cut)
            .count();
        for number in 0..whole {
            assert_eq!(client.response().text(), format!("/{number}"), "{cut}");
        }
        client.send(rest);
        for number in whole..40 {
            assert_eq!(client.response().text(), format!("/{number}"), "{cut}");
        }
    }
    let completions = gateway.completions(8 * 40);
    assert!(
        completions
            .iter()
            .all(|it| it.attempts == 1 && it.failure.is_none())
    );
}

#[test]
fn what_comes_behind_an_answer_is_nobodys() {
    let poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON";
    for (method, answer) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 43\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 43\r\n\r\n",
        ),
        ("GET", OK),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ),
    ] {
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        let upstream = Upstream::start(move |mut conn, _| {
            count.fetch_add(1, Ordering::SeqCst);
            conn.stream.set_read_timeout(None).unwrap();
            while let Some(asked) = conn.request() {
                match asked.line().contains("/first") {
                    true => conn.send(format!("{answer}{poison}")),
                    false => conn.send(echo("/second")),
                }
            }
        });
        let gateway = Running::forwarding_to(upstream.address);
        let mut first = gateway.connect();
        first.send(format!("{method} /first HTTP/1.1\r\nHost: test\r\n\r\n"));
        first.head().expect("an answer");
        gateway.completions(1);
        assert_eq!(
            gateway.connect().get("/second").text(),
            "/second",
            "{answer}"
        );
        assert_eq!(connections.load(Ordering::SeqCst), 2, "{answer}");
    }
}

#[test]
fn an_answer_that_nobody_asked_for_is_nobodys() {
    let (ask, asked) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel::<()>();
    let (asked, tell) = (Mutex::new(asked), Mutex::new(tell));
    let upstream = Upstream::start(move |mut conn, number| {
        conn.stream.set_read_timeout(None).unwrap();
        while conn.request().is_some() {
            conn.send(echo(if number == 0 { "/first" } else { "/second" }));
            if number == 0 {
                asked.lock().unwrap().recv().unwrap();
                conn.send(echo("POISON"));
                tell.lock().unwrap().send(()).unwrap();
            }
        }
    });
    let gateway = Running::forwarding_to(upstream.address);
    assert_eq!(gateway.connect().get("/").text(), "/first");
    gateway.completions(1);
    ask.send(()).unwrap();
    told.recv().unwrap();
    assert_eq!(gateway.connect().get("/").text(), "/second");
}

#[test]
fn what_changes_something_is_never_sent_twice() {
    for end in ["", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 20"] {
        for method in ["POST", "PATCH"] {
            let seen = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&seen);
            let upstream = Upstream::start(move |mut conn, _| {
                conn.request();
                conn.send(OK);
                if conn.request().is_some() {
                    count.fetch_add(1, Ordering::SeqCst);
                    conn.send(end);
                }
                reset(conn);
            });
            let gateway = Running::forwarding_to(upstream.address);
            let mut client = gateway.connect();
            assert_eq!(client.get("/").status(), 200);
            client.send(format!(
                "{method} / HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\n\r\nx"
            ));
            let mut answer = client.response();
            if answer.status() == 100 {
                answer = client.response();
            }
            assert_eq!(answer.status(), 502, "{method} {end:?}");
            client.is_closed();
            assert_eq!(gateway.completions(2)[1].attempts, 1);
            assert_eq!(seen.load(Ordering::SeqCst), 1, "{method} {end:?}");
        }
    }
}

#[test]
fn a_client_that_leaves_at_any_byte_leaves_nothing_behind() {
    let upstream = Upstream::ok();
    let gateway = Running::forwarding_to(upstream.address);
    let two = format!("{}{}", request(2), request(0));
    for cut in 1..=two.len() {
        let mut client = gateway.connect();
        client.send(two.get(..cut).unwrap());
        drop(client);
    }
    let connections = gateway.control.connections();
    eventually("all are closed", || {
        let counts = connections.counts();
        counts.accepted == two.len() as u64 && counts.open == 0
    });
    // Whoever was admitted has been completed or given up, and the gateway serves as before.
    let governor = &gateway.governor;
    eventually("all are over", || {
        governor.completions().len() as u64 + governor.dropped() == governor.admitted()
    });
    assert_eq!(gateway.connect().get("/").text(), "ok");
}
