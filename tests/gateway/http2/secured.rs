//! HTTP/2 on both sides with TLS towards the server, and calls that are under way at a stop.

use bytes::Bytes;
use tidegate::config::{Protocol, UpstreamTls};

use super::calls::{a_call, gateway, server};
use super::client::{ask, connect, post, run};
use super::raw::{GOAWAY, Raw, SETTINGS};
use crate::backend::{Backend, Secure, pem};
use crate::harness::{Running, forward, settings};
use crate::script::Script;
use tidegate::gateway::governor::Course;

// R028
#[test]
fn trailers_of_a_server_behind_tls_reach_the_client() {
    let backend = Backend::secure(Secure {
        certificate: "good",
        asks_for_client: false,
        alpn: &["h2"],
    });
    let mut settings = settings(&[backend.address]);
    settings.upstreams[0].protocol = Protocol::Http2;
    settings.upstreams[0].tls = Some(UpstreamTls {
        server_name: Some("orders.test".into()),
        ca: Some(pem("ca.pem")),
        ..UpstreamTls::default()
    });
    let gateway = Running::start(settings, Script::forwarding());
    run(async {
        let mut client = connect(gateway.address).await;
        for _ in 0..3 {
            let answer = ask(&mut client, post("http://test/trailers"), Some("x")).await;
            assert_eq!((answer.status, answer.text()), (200, "ok"));
            assert_eq!(answer.trailers.unwrap()["grpc-status"], "0");
        }
    });
    let seen = backend.seen();
    assert!(seen.iter().all(|seen| seen.is_h2 && seen.connection == 0));
    assert_eq!(seen[0].sni.as_deref(), Some("orders.test"));
}

/// Everybody is told to go, and a conversation is still had to its end.
#[test]
fn a_stop_lets_a_conversation_finish() {
    let mut gateway = gateway(server(), || Course::Forward(forward()));
    run(async {
        let mut client = connect(gateway.address).await;
        let mut idle = Raw::open(gateway.address);
        idle.until(|frame| frame.kind == SETTINGS);
        let (answer, mut stream) = client.send_request(a_call("Echo"), false).unwrap();
        stream.send_data(Bytes::from_static(b"0"), false).unwrap();
        let (_, mut body) = answer.await.unwrap().into_parts();
        assert_eq!(body.data().await.unwrap().unwrap(), "0");
        gateway.control.stop();
        let told = tokio::task::spawn_blocking(move || idle.until(|frame| frame.kind == GOAWAY));
        assert_eq!(told.await.unwrap().code(), 0);
        for n in 1..20 {
            let message = Bytes::from(n.to_string());
            stream.send_data(message.clone(), false).unwrap();
            assert_eq!(body.data().await.unwrap().unwrap(), message);
        }
        stream.send_data(Bytes::new(), true).unwrap();
        while body.data().await.is_some() {}
        assert_eq!(body.trailers().await.unwrap().unwrap()["grpc-status"], "0");
    });
    assert_eq!(gateway.stop().cut_off, 0);
    let ended = gateway.completions(1)[0];
    assert_eq!((ended.status_sent, ended.failure), (200, None));
}
