//! What holds for heads of HTTP/1 holds for those of HTTP/2.

use http::Request;
use tidegate::gateway::governor::ParseRefusal;

use super::client::{ask, connect, run};
use crate::harness::{Running, Upstream, settings};
use crate::script::Script;

fn request(method: &str, fields: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri("http://test/");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

#[test]
fn what_is_refused_over_http1_is_refused_alike() {
    let upstream = Upstream::ok();
    let gateway = Running::forwarding_to(upstream.address);
    let long = "X".repeat(33);
    let many = [("expect", "100-continue"), ("expect", "more")];
    let table = [
        (
            "PUT",
            &[("expect", "more")][..],
            Some("x"),
            417,
            ParseRefusal::Expectation,
        ),
        (
            "PUT",
            &[("expect", "")],
            Some("x"),
            417,
            ParseRefusal::Expectation,
        ),
        ("PUT", &many, Some("x"), 417, ParseRefusal::Expectation),
        ("TRACE", &[], Some("x"), 400, ParseRefusal::BodyNotAllowed),
        (
            "TRACE",
            &[("max-forwards", "0")],
            None,
            405,
            ParseRefusal::MaxForwards,
        ),
        (
            "OPTIONS",
            &[("max-forwards", "0")],
            None,
            405,
            ParseRefusal::MaxForwards,
        ),
        (&long, &[], None, 400, ParseRefusal::RequestLine),
    ];
    run(async {
        let mut client = connect(gateway.address).await;
        for (number, (method, fields, body, status, reason)) in table.into_iter().enumerate() {
            let answer = ask(&mut client, request(method, fields), body).await;
            assert_eq!(answer.status, status, "{method} {fields:?}");
            assert!(answer.headers.contains_key("tidegate-decision-id"));
            let refusal = gateway.governor.refusals()[number];
            assert_eq!((refusal.reason, refusal.status), (reason, status));
        }
    });
    assert_eq!(upstream.seen().len(), 0);
}

#[test]
fn what_passes_over_http1_passes_alike() {
    let upstream = Upstream::ok();
    let gateway = Running::forwarding_to(upstream.address);
    run(async {
        let mut client = connect(gateway.address).await;
        for (method, fields, body) in [
            ("PUT", &[("expect", "100-continue")][..], Some("x")),
            ("PUT", &[("expect", "100-Continue")], Some("x")),
            ("TRACE", &[], None),
            ("GET", &[("max-forwards", "0")], None),
        ] {
            let answer = ask(&mut client, request(method, fields), body).await;
            assert_eq!(
                (answer.status, answer.text()),
                (200, "ok"),
                "{method} {fields:?}"
            );
        }
    });
    assert_eq!(gateway.governor.refusals().len(), 0);
}

#[test]
fn each_hop_is_counted_where_a_method_asks() {
    let upstream = Upstream::ok();
    let gateway = Running::forwarding_to(upstream.address);
    run(async {
        let mut client = connect(gateway.address).await;
        for (method, left) in [("OPTIONS", "2"), ("TRACE", "2"), ("GET", "3")] {
            let request = request(method, &[("max-forwards", "3")]);
            assert_eq!(ask(&mut client, request, None).await.status, 200);
            let seen = upstream.seen();
            assert_eq!(seen.last().unwrap().field("max-forwards"), Some(left));
        }
    });
}

const CLAIMS: &[(&str, &str)] = &[
    ("x_forwarded_for", "1.2.3.4"),
    ("x-forwarded-for", "1.2.3.4"),
    ("x-real-ip", "1.2.3.4"),
    ("forwarded", "for=1.2.3.4"),
    ("client-cert", ":YQ==:"),
    ("content_length", "9"),
    ("tidegate-risk", "0"),
    ("tidegate_risk", "0"),
    ("x-caller", "me"),
    ("x_own", "1"),
];

/// The claims that reach the upstream.
fn passed(trusted: &str) -> Vec<&'static str> {
    let upstream = Upstream::ok();
    let mut settings = settings(&[upstream.address]);
    settings.caller_header = Some("x-caller".parse().unwrap());
    settings.trusted_proxies = vec![trusted.parse().unwrap()];
    let gateway = Running::start(settings, Script::forwarding());
    run(async {
        let mut client = connect(gateway.address).await;
        let answer = ask(&mut client, request("GET", CLAIMS), None).await;
        assert_eq!(answer.status, 200);
    });
    let seen = &upstream.seen()[0];
    let names = CLAIMS.iter().map(|(name, _)| *name);
    names.filter(|name| seen.field(name).is_some()).collect()
}

#[test]
fn what_a_client_may_not_say_stays_behind() {
    assert_eq!(passed("10.0.0.0/8"), ["x_own"]);
    let from_a_proxy = [
        "x-forwarded-for",
        "x-real-ip",
        "forwarded",
        "client-cert",
        "x-caller",
        "x_own",
    ];
    assert_eq!(passed("127.0.0.0/8"), from_a_proxy);
}
