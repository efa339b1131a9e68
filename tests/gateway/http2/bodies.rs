//! Bodies in both directions: how they are framed, how slow they may be, and who breaks off.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tidegate::gateway::governor::{Course, Failure, Forward};

use super::client::{Answer, ask, connect, get, post, run};
use super::raw::{DATA, END_HEADERS, HEADERS, POST, RST_STREAM, Raw, block, frame};
use crate::harness::{OK, Running, UNHURRIED, Upstream, eventually, forward, settings};
use crate::script::Script;

const SHORT: Duration = Duration::from_millis(200);

#[test]
fn a_body_without_length_is_chunked_for_http1() {
    let upstream = Upstream::ok();
    let gateway = Running::forwarding_to(upstream.address);
    run(async {
        let mut client = connect(gateway.address).await;
        let answer = ask(&mut client, post("http://test/"), Some("body")).await;
        assert_eq!(answer.status, 200);
        let mut sized = post("http://test/");
        sized
            .headers_mut()
            .insert("content-length", "4".parse().unwrap());
        assert_eq!(ask(&mut client, sized, Some("body")).await.status, 200);
        assert_eq!(
            ask(&mut client, post("http://test/"), None).await.status,
            200
        );
    });
    let framing: Vec<_> = upstream
        .seen()
        .iter()
        .map(|seen| {
            let chunked = seen.field("transfer-encoding").map(str::to_owned);
            let length = seen.field("content-length").map(str::to_owned);
            (chunked, length, seen.body.clone())
        })
        .collect();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(framing[0], (text("chunked"), None, b"body".to_vec()));
    assert_eq!(framing[1], (None, text("4"), b"body".to_vec()));
    assert_eq!(framing[2].2, b"");
}

/// A length that the body contradicts never becomes a request that an upstream could misread.
#[test]
fn a_length_that_lies_is_reset() {
    let upstream = Upstream::ok();
    for body in [&b"toolong"[..], b"sho"] {
        let gateway = Running::forwarding_to(upstream.address);
        let mut raw = Raw::open(gateway.address);
        raw.head(1, false, &[POST, &[("content-length", "4")]].concat());
        raw.send(&frame(DATA, 1, 1, body));
        let reset = raw.until(|frame| frame.kind == RST_STREAM && frame.stream == 1);
        assert_eq!(reset.code(), 1);
        eventually("its end", || {
            let dropped = gateway.governor.dropped() as usize;
            dropped + gateway.governor.completions().len() == gateway.governor.admitted() as usize
        });
    }
    assert_eq!(upstream.seen().len(), 0, "no whole request came");
}

#[test]
fn answers_without_a_body() {
    let upstream = Upstream::replying(|request| {
        let answer: &str = match request.line().split(' ').nth(1).unwrap() {
            "/204" => "HTTP/1.1 204 No Content\r\n\r\n",
            "/304" => "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n",
            "/hints" => {
                "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
            }
            "/head" => "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
            "/close" => {
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\nKeep-Alive: a\r\n\r\n2\r\nok\r\n0\r\n\r\n"
            }
            _ => OK,
        };
        answer.as_bytes().to_vec()
    });
    let gateway = Running::forwarding_to(upstream.address);
    run(async {
        let mut client = connect(gateway.address).await;
        for (path, status, body) in [
            ("/204", 204, ""),
            ("/304", 304, ""),
            ("/hints", 200, "ok"),
            ("/close", 200, "ok"),
            ("/", 200, "ok"),
        ] {
            let answer = ask(&mut client, get(&format!("http://test{path}")), None).await;
            assert_eq!((answer.status, answer.text()), (status, body), "{path}");
            for name in ["connection", "keep-alive", "transfer-encoding"] {
                assert!(!answer.headers.contains_key(name), "{path} {name}");
            }
        }
        let head = http::Request::head("http://test/head").body(()).unwrap();
        let answer = ask(&mut client, head, None).await;
        assert_eq!((answer.status, answer.body.len()), (200, 0));
        assert_eq!(answer.headers["content-length"], "9");
    });
}

#[test]
fn a_body_that_stands_still_is_broken_off_and_recorded() {
    let upstream = Upstream::start(|mut conn, _| _ = conn.rest());
    let mut settings = settings(&[upstream.address]);
    // What has come is on its way to the upstream by then.
    settings.timeouts.body_read = UNHURRIED;
    let gateway = Running::start(settings, Script::forwarding());
    let mut raw = Raw::open(gateway.address);
    // In one piece, or the body might be too slow before its beginning.
    let head = frame(HEADERS, END_HEADERS, 1, &block(POST));
    raw.send(&[head, frame(DATA, 0, 1, b"a beginning")].concat());
    let reset = raw.until(|frame| frame.kind == RST_STREAM);
    assert_eq!(reset.stream, 1);
    let ended = &gateway.completions(1)[0];
    assert_eq!(ended.failure, Some(Failure::BodyTooSlow));
    assert_eq!((ended.status_sent, ended.request_body_bytes), (0, 11));
    eventually("its place", || gateway.control.in_flight() == 0);
    assert_eq!(gateway.governor.dropped(), 0);
    assert_eq!(
        gateway.governor.refusals().len(),
        0,
        "no fault of the frames"
    );
}

/// The upstream's time counts from the body's end, so the client is the slow one until then.
#[test]
fn who_stalls_its_own_body_is_the_slow_one() {
    let upstream = Upstream::start(|mut conn, _| {
        conn.stream.set_read_timeout(None).unwrap();
        conn.rest();
    });
    // The body that is whole has to come within it.
    let gateway = Running::scripted(upstream.address, |_| {
        Course::Forward(Forward {
            timeout: UNHURRIED,
            ..forward()
        })
    });
    run(async {
        let mut client = connect(gateway.address).await;
        for (body, status) in [(None, 408), (Some(false), 408), (Some(true), 504)] {
            let (answer, mut stream) = client.send_request(post("http://test/"), false).unwrap();
            if let Some(is_all) = body {
                stream
                    .send_data(Bytes::from_static(b"body"), is_all)
                    .unwrap();
            }
            assert_eq!(answer.await.unwrap().status(), status, "{body:?}");
        }
    });
    let failures: Vec<_> = gateway.completions(3).iter().map(|c| c.failure).collect();
    let slow = Some(Failure::BodyTooSlow);
    assert_eq!(failures, [slow, slow, Some(Failure::Timeout)]);
}

/// Below 240 bytes per second on average, after 5 s.
#[test]
fn a_body_that_drips_is_broken_off() {
    let upstream = Upstream::start(|mut conn, _| _ = conn.rest());
    let gateway = Running::forwarding_to(upstream.address);
    let mut raw = Raw::open(gateway.address);
    raw.head(1, false, POST);
    let began = std::time::Instant::now();
    // One byte for each look that is taken at it, in one frame that never becomes whole.
    raw.send(&frame(DATA, 0, 1, &[0; 16_000])[..10]);
    raw.set_patience(Duration::from_millis(300));
    while raw.try_next().is_none_or(|frame| frame.kind != RST_STREAM) {
        raw.send(b"x");
        assert!(began.elapsed() < crate::harness::PATIENCE);
    }
    assert!(began.elapsed() > Duration::from_secs(4));
    let ended = &gateway.completions(1)[0];
    assert_eq!(ended.failure, Some(Failure::BodyTooSlow));
}

/// Bytes buy no time without end, and a client's word that it speaks gRPC none at all.
#[test]
fn a_body_ends_in_time_whatever_it_brings() {
    let upstream = Upstream::start(|mut conn, _| {
        conn.stream.set_read_timeout(None).unwrap();
        conn.head();
        conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        conn.rest();
    });
    let mut settings = settings(&[upstream.address]);
    settings.timeouts.body = SHORT * 3;
    settings.limits.body_rate_min = 0;
    let gateway = Running::start(settings, Script::forwarding());
    let grpc = [POST, &[("content-type", "application/grpc")]].concat();
    for (count, fields) in [POST, &grpc].into_iter().enumerate() {
        let mut raw = Raw::open(gateway.address);
        raw.head(1, false, fields);
        raw.set_patience(SHORT / 4);
        let began = std::time::Instant::now();
        while raw.try_next().is_none_or(|frame| frame.kind != RST_STREAM) {
            raw.send(&frame(DATA, 0, 1, b"x"));
            assert!(began.elapsed() < crate::harness::PATIENCE);
        }
        let ended = &gateway.completions(count + 1)[count];
        assert_eq!(ended.failure, Some(Failure::BodyTooSlow));
    }
}

/// The connection to the upstream is in the middle of an answer, so nobody else gets it.
#[test]
fn a_client_that_leaves_takes_its_upstream_connection_along() {
    let (send, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let asked = Arc::new(AtomicBool::new(false));
    let is_asked = Arc::clone(&asked);
    let upstream = Upstream::start(move |mut conn, number| {
        conn.stream.set_read_timeout(None).unwrap();
        conn.request();
        is_asked.store(true, Ordering::SeqCst);
        if number == 0 {
            gate.lock().unwrap().recv().unwrap();
            conn.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstale");
        } else {
            conn.send(OK);
        }
        conn.rest();
    });
    let gateway = Running::forwarding_to(upstream.address);
    run(async {
        let mut client = connect(gateway.address).await;
        let (answer, mut stream) = client.send_request(get("http://test/"), true).unwrap();
        while !asked.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
        stream.send_reset(h2::Reason::CANCEL);
        drop(answer);
        while gateway.governor.completions().is_empty() {
            tokio::task::yield_now().await;
        }
        send.send(()).unwrap();
        let answer = ask(&mut client, get("http://test/"), None).await;
        assert_eq!((answer.status, answer.text()), (200, "ok"));
    });
    let completions = gateway.completions(2);
    assert_eq!(completions[0].failure, Some(Failure::ClientAbort));
    assert_eq!(completions[1].failure, None);
}

#[test]
fn an_answer_may_begin_before_the_request_ends() {
    let upstream = Upstream::start(|mut conn, _| {
        conn.head();
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no");
        // The chunk with its size line, and the end.
        let body = conn.exactly(b"4\r\nbody\r\n0\r\n\r\n".len());
        assert!(body.ends_with(b"0\r\n\r\n"));
        conn.send("k");
        conn.rest();
    });
    let gateway = Running::forwarding_to(upstream.address);
    run(async {
        let mut client = connect(gateway.address).await;
        let (answer, mut stream) = client.send_request(post("http://test/"), false).unwrap();
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200);
        stream.send_data(Bytes::from_static(b"body"), true).unwrap();
        assert_eq!(Answer::read(answer).await.unwrap().text(), "ok");
    });
}
