//! Upstreams that fail: what the client is told and what is written down.

use serde_json::{Value, json};

use crate::backend::{Backend, Secure, pem};
use crate::installation::Installation;
use crate::process::Process;
use crate::wire::{Message, Upstream, eventually, nobody, reset};

/// The answer to one request and its record.
fn fail(installation: &Installation) -> (Message, Value) {
    let process = Process::start(installation);
    let answer = process.get("/api/v1/slow");
    process.stop();
    let decisions = installation.decisions();
    assert_eq!(decisions.len(), 1, "one request, one record");
    (answer, decisions.into_iter().next().unwrap())
}

/// R003, R200: a failure of the upstream is told with its cause and counted as one error.
fn check(upstream: std::net::SocketAddr, status: u16, cause: &str) {
    // Long enough to be neither over on a machine that stands still before the upstream has failed,
    // nor before it has been asked where it is to be over.
    let timeout_ms = if status == 504 { 1_500 } else { 30_000 };
    let contract = &format!(
        r#"{{id: slow_v1, owner: me, endpoint: "GET /api/v1/slow", max_latency_ms: 100, timeout_ms: {timeout_ms}}}"#
    );
    let observing = Installation::in_front_of(upstream).contract(contract);
    let controlling = Installation::in_front_of(upstream)
        .contract(contract)
        .controlling();
    // While it only observes, the gateway has no deadline of its own, so it cannot say 504.
    let both = [Some(controlling), (status != 504).then_some(observing)];
    for installation in both.into_iter().flatten() {
        let (answer, record) = fail(&installation);
        assert_eq!(answer.status(), status, "{cause}");
        let told = answer.field("proxy-status").unwrap();
        assert_eq!(told, format!("tidegate; error={cause}"));
        let problem: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(problem["instance"], record["decision_id"], "{cause}");
        assert_eq!(problem["status"], status);
        assert_eq!(record["status"], status, "{cause}");
        assert_eq!(record["upstream_status"], 0, "{cause}");
        assert_eq!(record["error_count"], 1, "{cause}");
        // The end of what took long is a record of its own, which names the error in place of its count.
        if status == 504 {
            assert_eq!(record["upstream_error"], "timeout", "{cause}");
        }
        assert_eq!(record["outcome"], "done", "{cause}");
        assert_eq!(record["upstream"], "main", "{cause}");
        if status == 504 {
            let least_us = timeout_ms * 1_000;
            assert!(
                record["latency_us"].as_u64().unwrap() >= least_us,
                "{record}"
            );
        }
    }
}

#[test]
fn an_upstream_that_is_down_is_502() {
    check(nobody(), 502, "connection_refused");
}

#[test]
fn an_upstream_that_does_not_answer_in_time_is_504() {
    let upstream = Upstream::start(|mut conn, _| {
        conn.stream.set_read_timeout(None).unwrap();
        conn.rest();
    });
    check(upstream.address, 504, "http_response_timeout");
}

#[test]
fn an_upstream_that_answers_garbage_is_502() {
    let upstream = Upstream::start(|mut conn, _| {
        conn.request();
        conn.send("SSH-2.0-server\r\n\r\n");
        conn.rest();
    });
    check(upstream.address, 502, "http_protocol_error");
}

#[test]
fn an_upstream_that_resets_is_502() {
    let upstream = Upstream::start(|conn, _| reset(conn));
    check(upstream.address, 502, "connection_terminated");
}

#[test]
fn an_answer_of_the_upstream_that_is_an_error_passes_and_counts() {
    // R003: a status from 500 on is an error of the upstream, and its own answer goes back.
    for (status, errors) in [(500, 1), (503, 1), (404, 0), (429, 0)] {
        let upstream = Upstream::answering(format!(
            "HTTP/1.1 {status} Own Words\r\nContent-Length: 4\r\n\r\nmine"
        ));
        let installation = Installation::in_front_of(upstream.address).controlling();
        let process = Process::start(&installation);
        let answer = process.get("/api/v1/status");
        assert_eq!((answer.status(), answer.text()), (status, "mine"));
        assert_eq!(answer.field("proxy-status"), None);
        process.stop();
        let record = installation.decisions().pop().unwrap();
        assert_eq!(record["error_count"], errors, "{status}");
        assert_eq!(record["status"], status);
        assert_eq!(record["upstream_status"], status);
    }
}

#[test]
fn an_answer_that_breaks_off_is_recorded_as_an_error() {
    let upstream = Upstream::start(|mut conn, _| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    });
    let installation = Installation::in_front_of(upstream.address).controlling();
    let process = Process::start(&installation);
    let mut client = process.connect();
    client.send("GET /api/v1/status HTTP/1.1\r\nHost: test\r\n\r\n");
    assert!(client.head().unwrap().starts_with("HTTP/1.1 200 "));
    assert_eq!(client.rest(), b"half");
    process.stop();
    let record = installation.decisions().pop().unwrap();
    let seen = [
        &record["status"],
        &record["upstream_status"],
        &record["error_count"],
    ];
    assert_eq!(seen, [&json!(200), &json!(200), &json!(1)]);
}

/// `tidegate.yaml` with these upstreams in place of the one.
fn with_upstreams(installation: Installation, main: &Upstream, upstreams: &str) -> Installation {
    let one = format!("upstreams: {{main: {{servers: [\"{}\"]}}}}", main.address);
    let upstreams = format!("upstreams: {{{upstreams}}}\ndefault_upstream: main");
    installation.with(&one, &upstreams)
}

#[test]
fn who_is_set_apart_goes_to_the_other_upstream_over_tls() {
    let main = Upstream::ok();
    let sandbox = Backend::secure(Secure {
        certificate: "good",
        asks_for_client: true,
        alpn: &["h2"],
    });
    let own = r#"{id: mine_v1, owner: me, endpoint: "GET /mine", quarantine: {mode: divert, upstream: sandbox}, per_client: {rate_limit_rpm: 1, burst: 1}}"#;
    let installation = Installation::in_front_of(main.address)
        .controlling()
        .policy("bands: {low: 0.2, medium: 0.4, high: 0.45, critical: 0.9}")
        .policy("weights: {rate_limit: 1.0}")
        .contract(own);
    let file = |name: &str| pem(name).display().to_string();
    let upstreams = format!(
        "main: {{servers: [\"{}\"]}}, sandbox: {{servers: [\"{}\"], protocol: auto, tls: {{server_name: orders.test, ca: \"{}\", cert: \"{}\", key: \"{}\"}}}}",
        main.address,
        sandbox.address,
        file("ca.pem"),
        file("client.pem"),
        file("client.key"),
    );
    let installation = with_upstreams(installation, &main, &upstreams);
    let process = Process::start(&installation);
    let statuses: Vec<u16> = (0..3).map(|_| process.get("/mine").status()).collect();
    process.stop();
    assert_eq!(statuses, [200, 200, 200]);
    let seen = sandbox.seen();
    assert_eq!((main.seen().len(), seen.len()), (1, 2));
    assert!(seen.iter().all(|seen| seen.is_h2 && seen.path == "/mine"));
}

#[test]
fn status_and_metrics_say_how_each_server_fares() {
    let main = Upstream::ok();
    let down = nobody();
    let installation = Installation::in_front_of(main.address).controlling();
    let upstreams = format!(
        "main: {{servers: [\"{}\", {{address: \"{down}\", weight: 2}}], health: {{interval_ms: 500, timeout_ms: 500}}}}",
        main.address
    );
    let installation = with_upstreams(installation, &main, &upstreams);
    let process = Process::start(&installation);
    let server = |number: usize| process.status()["upstreams"][0]["servers"][number].clone();
    eventually("the checks", || server(1)["state"] == "unhealthy");
    let expected = json!({
        "server": main.address.to_string(),
        "address": main.address.to_string(),
        "state": "healthy",
        "weight": 1,
        "requests_in_flight": 0,
    });
    assert_eq!(server(0), expected);
    assert_eq!(server(1)["weight"], 2);
    let status = process.status();
    assert_eq!(status["upstreams"][0]["name"], "main");
    assert_eq!(status["upstreams"][0]["panic"], false);
    let text = process.ask("/metrics").text().to_owned();
    for line in [
        "tidegate_upstream_servers{upstream=\"main\",state=\"healthy\"} 1\n",
        "tidegate_upstream_servers{upstream=\"main\",state=\"unhealthy\"} 1\n",
        "tidegate_upstream_panic{upstream=\"main\"} 0\n",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
    for _ in 0..6 {
        assert_eq!(process.get("/api/v1/status").status(), 200);
    }
    process.stop();
}

#[test]
fn certificates_that_cannot_be_used_stop_the_start_with_a_remedy() {
    let main = Upstream::ok();
    let installation = Installation::in_front_of(main.address);
    let upstreams = format!(
        "main: {{servers: [\"{}\"], tls: {{ca: none.pem}}}}",
        main.address
    );
    let ran = with_upstreams(installation, &main, &upstreams);
    ran.write();
    let ran = ran.run_in_vain();
    assert_ne!(ran.code, Some(0));
    assert!(
        ran.stderr.contains("none.pem") && ran.stderr.contains("name a PEM file"),
        "{}",
        ran.stderr
    );
}
