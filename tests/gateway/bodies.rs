//! Bodies in both directions, and answers that have none.

use tidegate::gateway::governor::Failure;

use crate::harness::{Client, Running, Upstream};

fn megabyte() -> Vec<u8> {
    (0..1_048_576u32).map(|n| (n % 251) as u8).collect()
}

fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let mut wire = Vec::new();
    for chunk in body.chunks(size) {
        wire.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        wire.extend(chunk);
        wire.extend(b"\r\n");
    }
    wire.extend(b"0\r\n\r\n");
    wire
}

#[test]
fn a_megabyte_goes_up_and_down_with_a_length() {
    let upstream = Upstream::replying(|request| {
        let mut answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
            request.body.len()
        )
        .into_bytes();
        answer.extend(&request.body);
        answer
    });
    let gateway = Running::forwarding_to(upstream.address);
    let mut client = gateway.connect();
    for _ in 0..2 {
        client.send(format!(
            "PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n",
            1 << 20
        ));
        client.send(megabyte());
        let answer = client.response();
        assert!(
            answer.body == megabyte(),
            "{} bytes came back",
            answer.body.len()
        );
    }
    let completion = gateway.completions(2)[1];
    assert_eq!(completion.request_body_bytes, 1 << 20);
    assert_eq!(completion.response_body_bytes, 1 << 20);
}

#[test]
fn a_megabyte_goes_up_and_down_in_chunks() {
    let upstream = Upstream::replying(|request| {
        let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        answer.extend(chunked(&request.body, 70_000));
        answer
    });
    let gateway = Running::forwarding_to(upstream.address);
    let mut client = gateway.connect();
    for size in [7, 4_096, 300_000] {
        client.send("PUT / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.send(chunked(&megabyte(), size));
        let answer = client.response();
        assert!(
            answer.body == megabyte(),
            "{} bytes came back",
            answer.body.len()
        );
    }
    assert!(upstream.seen().iter().all(|seen| seen.body == megabyte()));
}

#[test]
fn a_body_without_a_length_ends_with_its_connection() {
    let upstream = Upstream::start(|mut conn, _| {
        conn.request();
        conn.send("HTTP/1.0 200 OK\r\n\r\nto the end");
    });
    let gateway = Running::forwarding_to(upstream.address);
    let answer = gateway.connect().get("/");
    assert_eq!((answer.status(), answer.text()), (200, "to the end"));
}

#[test]
fn an_old_client_gets_no_chunks() {
    for answer in [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nplain\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain",
    ] {
        let upstream = Upstream::answering(answer);
        let gateway = Running::forwarding_to(upstream.address);
        let mut client = gateway.connect();
        client.send("GET / HTTP/1.0\r\n\r\n");
        let answer = client.response();
        assert_eq!(answer.field("transfer-encoding"), None);
        assert_eq!(answer.text(), "plain");
        client.is_closed();
    }
}

#[test]
fn answers_without_a_body_end_with_their_head() {
    let upstream = Upstream::replying(|request| {
        let text = match request.line().split(' ').nth(1).unwrap() {
            "/204" => "HTTP/1.1 204 No Content\r\n\r\n",
            "/304" => "HTTP/1.1 304 Not Modified\r\nETag: x\r\nContent-Length: 9\r\n\r\n",
            "/103" => {
                "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
            }
            _ => "HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n",
        };
        text.as_bytes().to_vec()
    });
    let gateway = Running::forwarding_to(upstream.address);
    let mut client = gateway.connect();
    assert_eq!(client.get("/204").status(), 204);
    assert_eq!(client.get("/304").field("etag"), Some("x"));
    client.send("HEAD /head HTTP/1.1\r\nHost: test\r\n\r\n");
    assert!(client.head().unwrap().contains("Content-Length: 12345"));
    let hint = client.get("/103");
    assert_eq!(
        (hint.status(), hint.field("tidegate-decision-id")),
        (103, None)
    );
    let answer = client.response();
    assert_eq!((answer.status(), answer.text()), (200, "ok"));
    assert!(answer.field("tidegate-decision-id").is_some());
    assert_eq!(gateway.completions(4)[3].upstream_status, 200);
}

#[test]
fn an_expectation_is_the_upstreams_to_meet() {
    let upstream = Upstream::start(|mut conn, _| {
        let head = conn.head().unwrap();
        assert!(
            head.to_ascii_lowercase().contains("expect: 100-continue"),
            "{head}"
        );
        conn.send("HTTP/1.1 100 Continue\r\n\r\n");
        assert_eq!(conn.exactly(4), b"body");
        conn.send(crate::harness::OK);
    });
    let gateway = Running::forwarding_to(upstream.address);
    let mut client = gateway.connect();
    client
        .send("PUT / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    assert_eq!(client.response().status(), 100);
    client.send("body");
    assert_eq!(client.response().status(), 200);
}

#[test]
fn a_client_is_told_one_end_of_an_answer() {
    for (answer, fields) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
            "content-length: 2",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
            "content-length: 2",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            "transfer-encoding: chunked",
        ),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", ""),
        (
            "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "",
        ),
    ] {
        let upstream = Upstream::answering(answer);
        let gateway = Running::forwarding_to(upstream.address);
        let mut client = gateway.connect();
        // Twice, because what stands behind an answer must not become the next one.
        for _ in 0..2 {
            client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
            let head = client.head().unwrap().to_ascii_lowercase();
            let framing = head.split("\r\n").filter(|line| {
                line.starts_with("content-length") || line.starts_with("transfer-encoding")
            });
            assert_eq!(framing.collect::<Vec<_>>().join(";"), fields, "{answer}");
            let body = match fields {
                "" => "",
                "content-length: 2" => "ok",
                _ => "2\r\nok\r\n0\r\n\r\n",
            };
            assert_eq!(client.exactly(body.len()), body.as_bytes());
        }
    }
}

#[test]
fn an_old_client_expects_nothing() {
    let upstream = Upstream::start(|mut conn, _| {
        let head = conn.head().unwrap().to_ascii_lowercase();
        assert!(!head.contains("expect"), "{head}");
        // HTTP/1.0 knows one head per answer, so this one stays behind.
        conn.send("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
        assert_eq!(conn.exactly(4), b"body");
        conn.send(crate::harness::OK);
    });
    let gateway = Running::forwarding_to(upstream.address);
    let mut client = gateway.connect();
    client.send(
        "PUT / HTTP/1.0\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody",
    );
    assert_eq!(client.response().status(), 200);
}

#[test]
fn a_websocket_becomes_a_tunnel() {
    let upstream = Upstream::start(|mut conn, _| {
        let head = conn.head().unwrap().to_ascii_lowercase();
        assert!(head.contains("upgrade: websocket"), "{head}");
        conn.send(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        );
        let said = conn.exactly(5);
        conn.send(said);
    });
    let gateway = Running::forwarding_to(upstream.address);
    let mut client = gateway.connect();
    // What comes early waits for the 101 and belongs to the new protocol.
    client.send(
        "GET / HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhel",
    );
    assert_eq!(client.response().status(), 101);
    client.send("lo");
    assert_eq!(client.exactly(5), b"hello");
}

#[test]
fn chunks_that_cannot_be_framed_are_answered_and_end_the_connection() {
    let upstream = Upstream::start(|mut conn, _| {
        conn.stream.set_read_timeout(None).unwrap();
        conn.rest();
    });
    let gateway = Running::forwarding_to(upstream.address);
    // More may follow than was read by the time of the answer.
    for (count, more) in [(1, 0), (2, 40_000)] {
        let mut client: Client = gateway.connect();
        client.send("PUT / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n");
        client.send(vec![b'x'; more]);
        let answer = client.response();
        assert_eq!(answer.status(), 400);
        assert_eq!(answer.field("connection"), Some("close"));
        assert!(answer.field("tidegate-decision-id").is_some());
        client.is_closed();
        drop(client);
        let completion = gateway.completions(count)[count - 1];
        assert_eq!(completion.failure, Some(Failure::BodyMalformed));
        assert_eq!(completion.status_sent, 400);
        assert_eq!(
            gateway.governor.admitted(),
            count as u64,
            "nothing was smuggled"
        );
    }
}
