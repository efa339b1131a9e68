//! Upstreams behind TLS and HTTP/2: who is believed, what is spoken, and that deadlines hold.

use std::time::Duration;

use tidegate::config::{ClientCertificate, Protocol, UpstreamTls};
use tidegate::gateway::Gateway;
use tidegate::gateway::governor::{Course, Failure, Forward, Governor};
use tidegate::gateway::settings::GatewaySettings;

use crate::backend::{Backend, Secure, pem};
use crate::harness::{PATIENCE, Running, UNHURRIED, eventually, forward, settings};
use crate::script::Script;

const GOOD: Secure = Secure {
    certificate: "good",
    asks_for_client: false,
    alpn: &[],
};
const H2: Secure = Secure {
    alpn: &["h2"],
    ..GOOD
};

/// TLS that believes the authority of the tests, for the name that its certificates have.
fn tls() -> UpstreamTls {
    UpstreamTls {
        server_name: Some("orders.test".into()),
        ca: Some(pem("ca.pem")),
        ..UpstreamTls::default()
    }
}

fn behind(backend: &Backend, protocol: Protocol, tls: Option<UpstreamTls>) -> GatewaySettings {
    let mut settings = settings(&[backend.address]);
    settings.upstreams[0].protocol = protocol;
    settings.upstreams[0].tls = tls;
    settings
}

fn run(settings: GatewaySettings) -> Running {
    Running::start(settings, Script::forwarding())
}

/// The answer to one request, and what was recorded.
fn ask(gateway: &Running) -> (u16, Option<Failure>) {
    let before = gateway.governor.completions().len();
    let answer = gateway.connect().get("/a");
    let completion = gateway.completions(before + 1)[before];
    if let Some(told) = answer.field("proxy-status") {
        assert_eq!(told, "tidegate; error=tls_protocol_error");
        assert_eq!((completion.attempts, completion.never_sent), (1, 1));
    }
    (answer.status(), completion.failure)
}

#[test]
fn only_a_certificate_that_can_be_believed_is() {
    let refused = (502, Some(Failure::Tls));
    let fine = (200, None);
    let no_name = UpstreamTls {
        server_name: None,
        ..tls()
    };
    let wrong = UpstreamTls {
        server_name: Some("payments.test".into()),
        ..tls()
    };
    let system = UpstreamTls { ca: None, ..tls() };
    let blind = UpstreamTls {
        verify: false,
        ..tls()
    };
    for (certificate, tls, expected) in [
        ("good", tls(), fine),
        // Its own address is in the certificate.
        ("good", no_name.clone(), fine),
        ("good", wrong, refused),
        // The system does not know the authority of the tests.
        ("good", system, refused),
        ("wrong_name", tls(), refused),
        ("wrong_name", no_name, refused),
        ("unknown_ca", tls(), refused),
        ("expired", tls(), refused),
        ("expired", blind, fine),
    ] {
        for protocol in [Protocol::Http1, Protocol::Auto, Protocol::Http2] {
            let backend = Backend::secure(Secure {
                certificate,
                alpn: &["h2", "http/1.1"],
                ..GOOD
            });
            let gateway = run(behind(&backend, protocol, Some(tls.clone())));
            let got = ask(&gateway);
            assert_eq!(got, expected, "{certificate} {protocol:?} {tls:?}");
            let seen = backend.seen();
            assert_eq!(seen.len(), usize::from(expected == fine), "{certificate}");
            for seen in seen {
                assert_eq!(seen.sni.as_deref(), tls.server_name.as_deref());
                assert_eq!(seen.host, "test", "what the client said");
                assert_eq!(seen.is_h2, protocol != Protocol::Http1);
            }
        }
    }
}

#[test]
fn without_tls_on_the_other_side_the_handshake_fails() {
    let backend = crate::wire::Upstream::start(|mut conn, _| {
        conn.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        conn.rest();
    });
    let mut settings = settings(&[backend.address]);
    settings.upstreams[0].tls = Some(tls());
    let gateway = run(settings);
    assert_eq!(gateway.connect().get("/a").status(), 502);
    assert_eq!(gateway.completions(1)[0].failure, Some(Failure::Tls));
}

#[test]
fn the_gateway_shows_its_certificate_where_it_has_one() {
    let backend = Backend::secure(Secure {
        asks_for_client: true,
        ..GOOD
    });
    let known = UpstreamTls {
        client: Some(ClientCertificate {
            cert: pem("client.pem"),
            key: pem("client.key"),
        }),
        ..tls()
    };
    let gateway = run(behind(&backend, Protocol::Http1, Some(known)));
    assert_eq!(ask(&gateway), (200, None));
    // TLS 1.3 tells a client that was refused only when it reads.
    let unknown = run(behind(&backend, Protocol::Http1, Some(tls())));
    assert_eq!(unknown.connect().get("/a").status(), 502);
    assert_eq!(backend.seen().len(), 1);
}

#[test]
fn files_that_cannot_be_used_are_an_error_of_the_start() {
    let garbage = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        garbage.path(),
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    let client = |cert: &str, key: &str| {
        Some(ClientCertificate {
            cert: pem(cert),
            key: pem(key),
        })
    };
    let backend = crate::harness::nobody();
    for (tls, file) in [
        (
            UpstreamTls {
                ca: Some(pem("none.pem")),
                ..tls()
            },
            "none.pem",
        ),
        (
            UpstreamTls {
                ca: Some(pem("good.key")),
                ..tls()
            },
            "good.key",
        ),
        (
            UpstreamTls {
                ca: Some(garbage.path().to_owned()),
                ..tls()
            },
            "tmp",
        ),
        (
            UpstreamTls {
                client: client("client.pem", "good.key"),
                ..tls()
            },
            "good.key",
        ),
        (
            UpstreamTls {
                client: client("client.pem", "ca.pem"),
                ..tls()
            },
            "ca.pem",
        ),
        (
            UpstreamTls {
                client: client("client.key", "client.key"),
                ..tls()
            },
            "client.key",
        ),
    ] {
        let mut settings = settings(&[backend]);
        settings.upstreams[0].tls = Some(tls);
        let governor = Script::forwarding() as std::sync::Arc<dyn Governor>;
        let error = Gateway::bind(settings, vec![governor]).err().unwrap();
        let told = error.to_string();
        assert!(told.contains(file) && told.contains("; name "), "{told}");
    }
}

#[test]
fn files_that_change_come_into_force_and_faulty_ones_do_not() {
    let backend = Backend::secure(GOOD);
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    let put = |name: &str| {
        // Put in place whole, as tools do that know their trade.
        let new = folder.path().join("new.pem");
        std::fs::copy(pem(name), &new).unwrap();
        std::fs::rename(&new, &ca).unwrap();
    };
    put("other_ca.pem");
    let own = UpstreamTls {
        ca: Some(ca.clone()),
        ..tls()
    };
    let gateway = run(behind(&backend, Protocol::Http1, Some(own)));
    assert_eq!(gateway.connect().get("/a").status(), 502);
    put("ca.pem");
    eventually("the new authority", || {
        gateway.connect().get("/a").status() == 200
    });
    put("good.key");
    put("other_ca.pem");
    // A connection that was made under the old authority is not used again.
    eventually("the other authority", || {
        gateway.connect().get("/a").status() == 502
    });
}

#[test]
fn both_sides_agree_on_a_protocol_and_keep_the_connection() {
    for (alpn, protocol, is_h2) in [
        (&["h2", "http/1.1"][..], Protocol::Auto, true),
        (&["http/1.1"][..], Protocol::Auto, false),
        (&[][..], Protocol::Auto, false),
        (&["h2", "http/1.1"][..], Protocol::Http1, false),
        (&["h2"][..], Protocol::Http2, true),
    ] {
        let backend = Backend::secure(Secure { alpn, ..GOOD });
        let gateway = run(behind(&backend, protocol, Some(tls())));
        let mut client = gateway.connect();
        for _ in 0..3 {
            assert_eq!(client.get("/a").text(), "ok", "{alpn:?} {protocol:?}");
        }
        let seen = backend.seen();
        assert!(
            seen.iter().all(|seen| seen.is_h2 == is_h2),
            "{alpn:?} {protocol:?}"
        );
        assert!(seen.iter().all(|seen| seen.connection == 0), "{seen:?}");
    }
}

#[test]
fn http2_without_tls_takes_many_requests_on_one_connection() {
    let backend = Backend::h2c();
    let gateway = run(behind(&backend, Protocol::Http2, None));
    assert_eq!(gateway.connect().get("/first").text(), "ok");
    let mut clients: Vec<_> = (0..20).map(|_| gateway.connect()).collect();
    for client in &mut clients {
        client.send("GET /a HTTP/1.1\r\nHost: test\r\n\r\n");
    }
    for client in &mut clients {
        assert_eq!(client.response().text(), "ok");
    }
    let seen = backend.seen();
    assert_eq!(seen.len(), 21);
    assert!(seen.iter().all(|seen| seen.is_h2 && seen.host == "test"));
    let connections: std::collections::BTreeSet<_> = seen.iter().map(|it| it.connection).collect();
    assert!(connections.len() <= 3, "{connections:?}");
}

#[test]
fn a_server_of_http1_is_garbage_to_who_expects_http2() {
    let backend = crate::wire::Upstream::start(|mut conn, _| {
        conn.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        conn.rest();
    });
    let mut settings = settings(&[backend.address]);
    settings.upstreams[0].protocol = Protocol::Http2;
    let gateway = run(settings);
    assert_eq!(gateway.connect().get("/a").status(), 502);
    let failure = gateway.completions(1)[0].failure;
    assert!(
        matches!(failure, Some(Failure::Garbage | Failure::Reset)),
        "{failure:?}"
    );
}

#[test]
fn the_deadline_of_a_contract_holds_whatever_is_spoken() {
    let secured: fn(Secure) -> Backend = Backend::secure;
    for (backend, protocol, tls) in [
        (secured(GOOD), Protocol::Http1, Some(tls())),
        (secured(H2), Protocol::Http2, Some(tls())),
        (Backend::h2c(), Protocol::Http2, None),
    ] {
        let gateway = Running::start(
            behind(&backend, protocol, tls),
            Script::scripted(Box::new(|facts| {
                let timeout = match facts.raw_target {
                    b"/slow" => Duration::from_millis(100),
                    // Its head has to come in time.
                    b"/half" => UNHURRIED,
                    _ => PATIENCE,
                };
                Course::Forward(Forward {
                    timeout,
                    ..forward()
                })
            })),
        );
        let begun = std::time::Instant::now();
        assert_eq!(gateway.connect().get("/slow").status(), 504, "{protocol:?}");
        assert_eq!(gateway.completions(1)[0].failure, Some(Failure::Timeout));
        let mut client = gateway.connect();
        client.send("GET /half HTTP/1.1\r\nHost: test\r\n\r\n");
        assert!(client.head().unwrap().starts_with("HTTP/1.1 200 "));
        client.rest();
        assert_eq!(gateway.completions(2)[1].failure, Some(Failure::Timeout));
        assert!(begun.elapsed() < PATIENCE / 2, "{protocol:?}");
        assert_eq!(gateway.connect().get("/a").status(), 200, "{protocol:?}");
    }
}

#[test]
fn a_server_that_says_nothing_in_the_handshake_is_given_up() {
    let backend = crate::wire::Upstream::start(|mut conn, _| {
        conn.stream.set_read_timeout(None).unwrap();
        conn.rest();
    });
    let mut settings = settings(&[backend.address]);
    settings.upstreams[0].tls = Some(tls());
    settings.timeouts.connect = Duration::from_millis(200);
    let gateway = run(settings);
    assert_eq!(gateway.connect().get("/a").status(), 504);
    assert_eq!(
        gateway.completions(1)[0].failure,
        Some(Failure::ConnectTimeout)
    );
}
