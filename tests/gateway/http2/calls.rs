//! gRPC: calls of all four kinds with trailers, over HTTP/2 on both sides, and refused ones.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, Request, Response};
use tidegate::config::Protocol;
use tidegate::gateway::governor::{Course, Failure, Forward};
use tidegate::gateway::respond::Answer as Told;

use super::client::{Answer, ask, connect, post, run};
use crate::harness::{Running, UNHURRIED, forward, nobody, settings};
use crate::script::Script;

/// A server of calls: `/p.S/Echo` sends each piece back as it comes and ends with trailers,
/// `/p.S/Silent` never answers.
async fn serve(listener: tokio::net::TcpListener) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            let mut calls = h2::server::handshake(stream).await.unwrap();
            while let Some(Ok((request, respond))) = calls.accept().await {
                tokio::spawn(call(request, respond));
            }
        });
    }
}

async fn call(request: Request<h2::RecvStream>, mut respond: SendResponse<Bytes>) {
    let (head, mut body) = request.into_parts();
    assert_eq!(head.headers["te"], "trailers");
    assert_eq!(head.uri.authority().unwrap(), "test");
    if head.uri.path() == "/p.S/Silent" {
        std::future::pending::<()>().await;
    }
    let answer = Response::builder().header("content-type", "application/grpc");
    let mut send = respond
        .send_response(answer.body(()).unwrap(), false)
        .unwrap();
    while let Some(Ok(piece)) = body.data().await {
        _ = body.flow_control().release_capacity(piece.len());
        if send.send_data(piece, false).is_err() {
            return;
        }
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    trailers.insert("grpc-message", "fine".parse().unwrap());
    _ = send.send_trailers(trailers);
}

pub(super) fn server() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            serve(tokio::net::TcpListener::from_std(listener).unwrap()).await;
        });
    });
    address
}

pub(super) fn gateway(
    server: SocketAddr,
    rule: impl Fn() -> Course + Send + Sync + 'static,
) -> Running {
    let mut settings = settings(&[server]);
    settings.upstreams[0].protocol = Protocol::Http2;
    Running::start(settings, Script::scripted(Box::new(move |_| rule())))
}

pub(super) fn a_call(method: &str) -> Request<()> {
    let mut request = post(&format!("http://test/p.S/{method}"));
    let headers = request.headers_mut();
    headers.insert("te", "trailers".parse().unwrap());
    headers.insert("content-type", "application/grpc+proto".parse().unwrap());
    request
}

// R028
#[test]
fn calls_pass_with_their_trailers() {
    let gateway = gateway(server(), || Course::Forward(forward()));
    run(async {
        let mut client = connect(gateway.address).await;
        for _ in 0..3 {
            let answer = ask(&mut client, a_call("Echo"), Some("hello")).await;
            assert_eq!((answer.status, answer.text()), (200, "hello"));
            let trailers = answer.trailers.unwrap();
            assert_eq!(trailers["grpc-status"], "0");
            assert_eq!(trailers["grpc-message"], "fine");
        }
        let ended = &gateway.completions(3)[2];
        assert_eq!((ended.status_sent, ended.failure), (200, None));
        assert_eq!(ended.request_body_bytes, 5);
    });
}

/// Each message is answered before the next one is sent, so neither side waits for an end.
#[test]
fn a_conversation_goes_both_ways_at_once() {
    let gateway = gateway(server(), || Course::Forward(forward()));
    run(async {
        let mut client = connect(gateway.address).await;
        let (answer, mut stream) = client.send_request(a_call("Echo"), false).unwrap();
        stream.send_data(Bytes::from_static(b"0"), false).unwrap();
        let (_, mut body) = answer.await.unwrap().into_parts();
        assert_eq!(body.data().await.unwrap().unwrap(), "0");
        for n in 1..20 {
            let message = Bytes::from(n.to_string());
            stream.send_data(message.clone(), false).unwrap();
            assert_eq!(body.data().await.unwrap().unwrap(), message);
        }
        stream.send_data(Bytes::new(), true).unwrap();
        while body.data().await.is_some() {}
        assert_eq!(body.trailers().await.unwrap().unwrap()["grpc-status"], "0");
        assert_eq!(gateway.completions(1)[0].failure, None);
    });
}

/// The silence of a conversation that has begun is not held against anybody's body.
#[test]
fn a_quiet_conversation_is_not_broken_off() {
    let mut settings = settings(&[server()]);
    settings.upstreams[0].protocol = Protocol::Http2;
    settings.timeouts.body_read = UNHURRIED;
    let gateway = Running::start(settings, Script::forwarding());
    run(async {
        let mut client = connect(gateway.address).await;
        let (answer, mut stream) = client.send_request(a_call("Echo"), false).unwrap();
        let answer = answer.await.unwrap();
        // Far longer than a body may stand still; there is no event to wait for.
        tokio::time::sleep(2 * UNHURRIED).await;
        stream.send_data(Bytes::from_static(b"late"), true).unwrap();
        assert_eq!(Answer::read(answer).await.unwrap().text(), "late");
    });
}

#[test]
fn a_refused_call_is_refused_in_words_of_grpc() {
    let gateway = gateway(nobody(), || Course::Answer(Told::quota_exceeded(3)));
    run(async {
        let mut client = connect(gateway.address).await;
        let (answer, _stream) = client.send_request(a_call("Echo"), false).unwrap();
        let answer = answer.await.unwrap();
        assert!(answer.body().is_end_stream(), "trailers only");
        let answer = Answer::read(answer).await.unwrap();
        assert_eq!((answer.status, answer.body.len()), (200, 0));
        assert_eq!(answer.headers["grpc-status"], "8");
        assert_eq!(answer.headers["content-type"], "application/grpc");
        assert_eq!(answer.headers["grpc-retry-pushback-ms"], "3000");
        assert!(answer.headers.contains_key("tidegate-decision-id"));
        assert_eq!(gateway.completions(1)[0].status_sent, 429);
        let answer = ask(&mut client, post("http://test/p.S/Echo"), Some("hello")).await;
        assert_eq!(answer.status, 429, "others are told as ever");
    });
}

#[test]
fn failures_of_calls_are_told_in_words_of_grpc() {
    let patient = || Course::Forward(forward());
    let hasty = || {
        Course::Forward(Forward {
            timeout: Duration::from_millis(100),
            ..forward()
        })
    };
    let slow = gateway(server(), hasty);
    let gone = gateway(nobody(), patient);
    run(async {
        for (gateway, method, code, status, failure) in [
            (&slow, "Silent", "4", 504, Failure::Timeout),
            (&gone, "Echo", "14", 502, Failure::Connect),
        ] {
            let mut client = connect(gateway.address).await;
            let (answer, stream) = client.send_request(a_call(method), true).unwrap();
            let (head, body) = answer.await.unwrap().into_parts();
            assert_eq!(head.headers["grpc-status"], code, "{method}");
            assert!(body.is_end_stream(), "trailers only");
            drop(stream);
            let ended = &gateway.completions(1)[0];
            assert_eq!((ended.status_sent, ended.failure), (status, Some(failure)));
        }
    });
}

/// Nobody knows what a server waits for whose client has not ended, before its answer or within it.
#[test]
fn an_open_call_never_speaks_against_its_server() {
    // The second of the calls has to be answered within it.
    let gateway = gateway(server(), || {
        Course::Forward(Forward {
            timeout: UNHURRIED,
            ..forward()
        })
    });
    run(async {
        let mut client = connect(gateway.address).await;
        let (answer, _open) = client.send_request(a_call("Silent"), false).unwrap();
        let answer = answer.await.unwrap();
        assert!(answer.headers().contains_key("grpc-status"));
        let (answer, _open) = client.send_request(a_call("Echo"), false).unwrap();
        let mut body = answer.await.unwrap().into_body();
        assert!(body.data().await.unwrap().is_err(), "broken off");
        let ended = gateway.completions(2);
        assert_eq!(
            (ended[0].status_sent, ended[0].failure),
            (408, Some(Failure::BodyTooSlow))
        );
        assert_eq!(
            (ended[1].status_sent, ended[1].failure),
            (200, Some(Failure::BodyTooSlow))
        );
    });
}

#[test]
fn a_call_that_is_cancelled_is_recorded_so() {
    let gateway = gateway(server(), || Course::Forward(forward()));
    run(async {
        let mut client = connect(gateway.address).await;
        let (answer, mut stream) = client.send_request(a_call("Silent"), false).unwrap();
        while gateway.control.in_flight() == 0 {
            tokio::task::yield_now().await;
        }
        stream.send_reset(h2::Reason::CANCEL);
        drop(answer);
        while gateway.governor.completions().is_empty() {
            tokio::task::yield_now().await;
        }
        let ended = &gateway.governor.completions()[0];
        assert_eq!(ended.failure, Some(Failure::ClientAbort));
        let answer = ask(&mut client, a_call("Echo"), Some("next")).await;
        assert_eq!(answer.text(), "next");
    });
}
