//! What passes the gateway and what does not.

use std::sync::{Arc, Mutex};

use crate::script::Script;
use tidegate::contract::{Method, MethodSet};
use tidegate::gateway::governor::{Course, Forward, ParseRefusal};
use tidegate::gateway::respond::Answer;
use tidegate::gateway::settings::ListenerSettings;
use tidegate::gateway::worker;
use tidegate::units::{Reason, ReasonSet};

use crate::harness::{Client, Running, Upstream, forward, settings};

#[test]
fn target_fields_and_body_arrive_byte_for_byte() {
    let upstream = Upstream::ok();
    let gateway = Running::forwarding_to(upstream.address);
    let mut client = gateway.connect();
    client.send(concat!(
        "PuRGE /a/../b//c/%2e%2E/;x=%ff?q={1}|&r=%zz'\\^ HTTP/1.1\r\n",
        "hOsT: Example.COM:8080\r\n",
        "X-CASE-kept: Value with  spaces\t\r\n",
        "x-twice: 1\r\n",
        "Cookie: a=b; c=d\r\n",
        "X-Twice: 2\r\n",
        "X-Request-Id: 7\r\n",
        "TraceParent: 00-x\r\n",
        "X-High: caf\u{e9}\r\n",
        "Content-Length: 5\r\n",
        "\r\nhello",
    ));
    let answer = client.response();
    assert_eq!((answer.status(), answer.text()), (200, "ok"));
    let seen = &upstream.seen()[0];
    assert_eq!(
        seen.line(),
        "PuRGE /a/../b//c/%2e%2E/;x=%ff?q={1}|&r=%zz'\\^ HTTP/1.1"
    );
    let fields = [
        "hOsT: Example.COM:8080",
        "X-CASE-kept: Value with  spaces",
        "x-twice: 1",
        "X-Twice: 2",
        "Cookie: a=b; c=d",
        "X-Request-Id: 7",
        "TraceParent: 00-x",
        "X-High: caf\u{e9}",
        "Content-Length: 5",
    ];
    assert_eq!(
        seen.fields(),
        fields,
        "names keep their case, values their bytes"
    );
    assert_eq!(seen.body, b"hello");
}

#[test]
fn the_answer_comes_back_with_the_decision() {
    let upstream = Upstream::answering(
        "HTTP/1.1 299 Odd Reason\r\nX-aBc: 1\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nKeep-Alive: timeout=5\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nContent-Length: 3\r\n\r\nabc",
    );
    let gateway = Running::forwarding_to(upstream.address);
    let answer = gateway.connect().get("/");
    assert_eq!(answer.line(), "HTTP/1.1 299 Odd Reason");
    assert_eq!(answer.text(), "abc");
    let fields = answer.fields();
    assert!(fields.contains(&"X-aBc: 1"), "{fields:?}");
    assert!(fields.contains(&"Set-Cookie: a") && fields.contains(&"Set-Cookie: b"));
    assert_eq!(answer.field("tidegate-decision-id").map(str::len), Some(22));
    assert_eq!(answer.field("keep-alive"), None);
    assert_eq!(answer.field("x-hop"), None);
}

#[test]
fn an_old_request_without_a_host_gets_that_of_its_server() {
    let upstream = Upstream::ok();
    let gateway = Running::forwarding_to(upstream.address);
    for host in ["", "Host: test\r\n"] {
        let mut client = gateway.connect();
        client.send(format!("GET /x HTTP/1.0\r\n{host}\r\n"));
        assert_eq!(client.response().status(), 200);
    }
    let seen = upstream.seen();
    assert_eq!(seen[0].line(), "GET /x HTTP/1.1");
    let address = upstream.address.to_string();
    assert_eq!(seen[0].field("host"), Some(address.as_str()));
    assert_eq!(seen[1].field("host"), Some("test"));
}

#[test]
fn hop_by_hop_and_foreign_fields_stay_behind() {
    let upstream = Upstream::ok();
    let gateway = Running::forwarding_to(upstream.address);
    let mut client = gateway.connect();
    client.send(concat!(
        "GET / HTTP/1.1\r\nHost: test\r\nConnection: keep-alive, X-Mine\r\nX-Mine: 1\r\n",
        "Keep-Alive: timeout=9\r\nTE: trailers\r\nProxy-Authorization: x\r\n",
        "Tidegate-Decision-Id: forged\r\nX-Forwarded-For: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\n",
        "X-Forwarded-Proto: https\r\nAccept: */*\r\n\r\n",
    ));
    assert_eq!(client.response().status(), 200);
    let mut fields = upstream.seen()[0].fields().join("\n");
    fields.make_ascii_lowercase();
    assert_eq!(fields, "host: test\naccept: */*");
}

#[test]
fn nobody_takes_a_host_away() {
    let upstream = Upstream::ok();
    let gateway = Running::forwarding_to(upstream.address);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: mine\r\nConnection: Host\r\n\r\n");
    assert_eq!(client.response().status(), 400);
    let refusals = gateway.governor.refusals();
    assert_eq!(refusals[0].reason, ParseRefusal::Nomination);
    // More names than the proxy engine takes are refused before a decision says that they went on.
    let mut client = gateway.connect();
    let names = "x, ".repeat(20);
    client.send(format!(
        "GET / HTTP/1.1\r\nHost: mine\r\nConnection: {names}\r\n\r\n"
    ));
    assert_eq!(client.response().status(), 400);
    assert_eq!(gateway.governor.refusals().len(), 2);
    assert_eq!(gateway.governor.admitted(), 0);
    assert!(upstream.seen().is_empty());
}

#[test]
fn a_name_in_disguise_stays_behind() {
    let upstream = Upstream::ok();
    let gateway = Running::forwarding_to(upstream.address);
    let mut client = gateway.connect();
    client.send(concat!(
        "GET / HTTP/1.1\r\nHost: test\r\nX_Forwarded_For: 1.2.3.4\r\nX-Real-IP: 1.2.3.4\r\n",
        "Content_Length: 9\r\nTidegate_Risk: 0\r\nX_Own: 1\r\n\r\n",
    ));
    assert_eq!(client.response().status(), 200);
    assert_eq!(upstream.seen()[0].fields(), ["Host: test", "X_Own: 1"]);
}

#[test]
fn each_hop_is_counted_where_a_method_asks() {
    let upstream = Upstream::ok();
    let gateway = Running::forwarding_to(upstream.address);
    for (method, left) in [("OPTIONS", "2"), ("TRACE", "2"), ("GET", "3")] {
        let mut client = gateway.connect();
        client.send(format!(
            "{method} / HTTP/1.1\r\nHost: test\r\nMax-Forwards: 3\r\n\r\n"
        ));
        assert_eq!(client.response().status(), 200);
        let seen = upstream.seen();
        assert_eq!(seen.last().unwrap().field("max-forwards"), Some(left));
    }
}

/// A client of a listener on that address is a trusted proxy, and is taken at its word.
fn check_trusted(bind: &str) {
    let upstream = Upstream::ok();
    let mut settings = settings(&[upstream.address]);
    settings.listeners[0].bind = bind.parse().unwrap();
    settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let trusted = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&trusted);
    let gateway = Running::start(
        settings,
        Script::scripted(Box::new(move |facts| {
            notes.lock().unwrap().push(facts.peer_trusted);
            Course::Forward(forward())
        })),
    );
    let port = gateway.address.port();
    let mut client = Client::connect(([127, 0, 0, 1], port).into());
    client.send(
        "GET / HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: 1.2.3.4\r\nTidegate-Risk: 1\r\n\r\n",
    );
    assert_eq!(client.response().status(), 200);
    let seen = &upstream.seen()[0];
    assert_eq!(seen.field("x-forwarded-for"), Some("1.2.3.4"));
    assert_eq!(seen.field("tidegate-risk"), None);
    assert_eq!(*trusted.lock().unwrap(), [true]);
}

#[test]
fn a_trusted_proxy_speaks_for_its_clients() {
    check_trusted("127.0.0.1:0");
}

#[test]
fn a_trusted_proxy_is_known_in_either_form() {
    // There the client's address comes in its IPv6 form.
    check_trusted("[::ffff:127.0.0.1]:0");
}

#[test]
fn the_canonical_path_is_what_is_forwarded() {
    let upstream = Upstream::ok();
    let gateway = Running::scripted(upstream.address, |facts| {
        assert_eq!(facts.raw_target, b"/a/%62?x=%7e");
        Course::Forward(Forward {
            path: Some("/a/b?x=%7e".into()),
            ..forward()
        })
    });
    for target in ["/a/%62?x=%7e", "http://test/a/%62?x=%7e"] {
        assert_eq!(gateway.connect().get(target).status(), 200);
    }
    for seen in upstream.seen() {
        assert_eq!(seen.line(), "GET /a/b?x=%7e HTTP/1.1");
    }
    assert_eq!(upstream.seen().len(), 2);
}

#[test]
fn an_answer_of_ours_keeps_the_connection() {
    let get = MethodSet::EMPTY.with(Method::Get);
    let no_contract = ReasonSet::EMPTY.with(Reason::NoContractMatch);
    let upstream = Upstream::ok();
    let gateway = Running::scripted(upstream.address, move |facts| match facts.raw_target {
        b"/known" => Course::Forward(forward()),
        b"/method" => Course::Answer(Answer::method_not_allowed(get)),
        b"/busy" => Course::Answer(Answer::reduced_capacity(7)),
        _ => Course::Answer(Answer::quarantined(404).because(no_contract)),
    });
    let mut client = gateway.connect();
    let unknown = client.get("/nowhere");
    assert_eq!(unknown.status(), 404);
    assert_eq!(
        unknown.field("content-type"),
        Some("application/problem+json")
    );
    let problem: serde_json::Value = serde_json::from_slice(&unknown.body).unwrap();
    assert_eq!(
        problem["instance"],
        unknown.field("tidegate-decision-id").unwrap()
    );
    assert_eq!(problem["reason_codes"][0], "NO_CONTRACT_MATCH");
    assert_eq!(client.get("/method").field("allow"), Some("GET"));
    client.send("POST /busy HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody");
    let busy = client.response();
    assert_eq!((busy.status(), busy.field("retry-after")), (503, Some("7")));
    client.send("HEAD /busy HTTP/1.1\r\nHost: test\r\n\r\n");
    assert!(client.head().unwrap().starts_with("HTTP/1.1 503 "));
    assert_eq!(client.get("/known").status(), 200, "all on one connection");
    let completions = gateway.completions(5);
    assert_eq!(completions.iter().filter(|c| c.attempts == 0).count(), 4);
    assert_eq!(completions[0].status_sent, 404);
    assert_eq!(upstream.seen().len(), 1);
}

#[test]
fn a_refused_body_does_not_hide_the_answer() {
    let upstream = Upstream::ok();
    let gateway = Running::scripted(upstream.address, |facts| match facts.method {
        "GET" => Course::Forward(forward()),
        _ => Course::Answer(Answer::refused()),
    });
    let mut client = gateway.connect();
    let body = vec![b'x'; 1 << 20];
    client.send(format!(
        "PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n",
        body.len()
    ));
    client.send(body);
    assert_eq!(client.response().status(), 403);
    assert_eq!(
        client.get("/").status(),
        200,
        "the connection is still in step"
    );
    // Whoever waits for 100 may send the body or not, so nothing can follow.
    client
        .send("PUT / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    assert_eq!(client.response().field("connection"), Some("close"));
    client.is_closed();
}

#[test]
fn a_panic_in_the_pipeline_ends_one_connection_only() {
    let upstream = Upstream::ok();
    let gateway = Running::scripted(upstream.address, |facts| {
        assert_ne!(facts.raw_target, b"/panic");
        Course::Forward(forward())
    });
    let mut client = gateway.connect();
    client.send("GET /panic HTTP/1.1\r\nHost: test\r\n\r\n");
    client.is_closed();
    crate::harness::eventually("the places to come back", || {
        gateway.control.in_flight() == 0 && gateway.control.connections().open() == 0
    });
    assert_eq!(gateway.connect().get("/").status(), 200);
}

#[test]
fn listeners_are_told_apart() {
    let upstream = Upstream::ok();
    let mut settings = settings(&[upstream.address]);
    let bind = "127.0.0.1:0".parse().unwrap();
    settings.listeners.push(ListenerSettings::plain(bind));
    let numbers = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&numbers);
    let gateway = Running::start(
        settings,
        Script::scripted(Box::new(move |facts| {
            notes.lock().unwrap().push(facts.listener);
            Course::Forward(forward())
        })),
    );
    for address in [gateway.addresses[1], gateway.addresses[0]] {
        crate::harness::Client::connect(address).get("/");
    }
    assert_eq!(*numbers.lock().unwrap(), [1, 0]);
}

#[test]
fn a_request_stays_on_its_worker() {
    let upstream = Upstream::ok();
    let settings = settings(&[upstream.address]);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&seen);
    let gateway = Running::start_workers(
        2,
        settings,
        Script::scripted(Box::new(move |facts| {
            let thread = std::thread::current().id();
            notes
                .lock()
                .unwrap()
                .push((facts.worker, worker::index(), thread));
            Course::Forward(forward())
        })),
    );
    // The kernel spreads connections by their ports, so enough of them reach both workers.
    let mut clients: Vec<_> = (0..64).map(|_| gateway.connect()).collect();
    for client in clients.iter_mut().chain([]) {
        client.get("/");
        client.get("/");
    }
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 128);
    for pair in seen.chunks(2) {
        assert_eq!(pair[0], pair[1], "a connection changed its worker");
        assert_eq!(Some(pair[0].0), pair[0].1);
    }
    let mut workers: Vec<_> = seen
        .iter()
        .map(|(worker, _, thread)| (*worker, *thread))
        .collect();
    workers.sort_by_key(|(worker, _)| *worker);
    workers.dedup();
    assert_eq!(workers.len(), 2, "two workers, each one thread");
}
