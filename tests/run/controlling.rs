//! CONTROL refuses: which answer each refusal gets, and where the tier is lower.

use serde_json::Value;

use crate::held::holding;
use crate::installation::Installation;
use crate::process::Process;
use crate::wire::{Client, Message, Upstream};

/// The problem of an answer of ours; its instance is the decision id.
fn problem(answer: &Message) -> Value {
    let kind = answer.field("content-type");
    assert_eq!(kind, Some("application/problem+json"), "{}", answer.head);
    let problem: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(problem["status"], answer.status());
    let id = answer.field("tidegate-decision-id").unwrap();
    assert_eq!(problem["instance"], id);
    problem
}

fn has_reason(told: &Value, reason: &str) -> bool {
    let codes = told["reason_codes"].as_array().unwrap();
    codes.iter().any(|code| code == reason)
}

#[test]
fn what_no_contract_covers_is_set_apart() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address).controlling();
    let process = Process::start(&installation);
    let answer = process.get("/unknown/path");
    assert_eq!(answer.status(), 404);
    let told = problem(&answer);
    assert_eq!(told["type"], "urn:tidegate:problem:unknown-endpoint");
    assert!(has_reason(&told, "NO_CONTRACT_MATCH"));
    let case = told["case_id"].as_str().unwrap();
    assert!(case.starts_with("q-") && case.len() == 18, "{case}");
    process.stop();
    let decision = installation.decisions().pop().unwrap();
    assert_eq!(decision["case_id"], case);
    assert_eq!(decision["outcome"], "refused");
    assert_eq!(
        (&decision["status"], &decision["upstream_status"]),
        (&404.into(), &0.into())
    );
    assert_eq!(decision.get("contract_id"), None);
    assert_eq!(decision.get("endpoint_key"), None);
    assert!(upstream.seen().is_empty(), "nothing reached the upstream");
}

#[test]
fn the_policy_chooses_the_answer_to_unknown_paths() {
    let upstream = Upstream::ok();
    for (line, status) in [
        ("unknown_endpoint: {answer: 403}", 403),
        ("unknown_endpoint: {action: drop}", 403),
        // The score of the factor alone is enough for a quarantine, so it has to go as well.
        (
            "unknown_endpoint: {action: allow}\nweights: {unknown_endpoint: 0.1}",
            200,
        ),
    ] {
        let installation = Installation::in_front_of(upstream.address)
            .controlling()
            .policy(line);
        let process = Process::start(&installation);
        assert_eq!(process.get("/unknown").status(), status, "{line}");
    }
}

#[test]
fn a_wrong_method_is_told_all_methods_of_the_path() {
    // R012: the path is matched first, the method second.
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address).controlling();
    let process = Process::start(&installation);
    for (method, target, allow) in [
        ("DELETE", "/api/v1/status", "GET"),
        ("PURGE", "/api/v1/status", "GET"),
        // Two contracts share this path.
        ("DELETE", "/api/v1/deployments/a", "GET, HEAD, PATCH"),
    ] {
        let answer = process.request(method, target);
        assert_eq!(answer.status(), 405, "{method} {target}");
        assert_eq!(answer.field("allow"), Some(allow), "{method} {target}");
        let told = problem(&answer);
        assert!(has_reason(&told, "CONTRACT_METHOD_DISALLOWED"));
    }
    assert_eq!(process.get("/api/v1/deployments/a").status(), 200);
    assert_eq!(
        process.request("PATCH", "/api/v1/deployments/a").status(),
        200
    );
    assert_eq!(upstream.seen().len(), 2);
}

#[test]
fn a_target_with_two_readings_is_refused() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address).controlling();
    let process = Process::start(&installation);
    let mut client = process.connect();
    for target in ["/a/../b", "/%2e%2e/b", "/a/%zz", "/a\\b", "/a/.", "/a%00"] {
        let answer = client.get(target);
        assert_eq!(answer.status(), 400, "{target}");
        assert!(
            has_reason(&problem(&answer), "AMBIGUOUS_TARGET"),
            "{target}"
        );
    }
    assert_eq!(
        client.get("/api/v1/status").status(),
        200,
        "the same connection"
    );
    assert_eq!(upstream.seen().len(), 1);
}

#[test]
fn the_canonical_path_is_matched_and_forwarded() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address).controlling();
    let process = Process::start(&installation);
    assert_eq!(
        process.get("/api/v1/deployments/%61%2d?q=%61").status(),
        200
    );
    let seen = upstream.seen().pop().unwrap();
    assert_eq!(seen.line(), "GET /api/v1/deployments/a-?q=%61 HTTP/1.1");
}

#[test]
fn the_path_that_was_judged_is_the_one_that_is_forwarded() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address).controlling();
    let process = Process::start(&installation);
    for (target, forwarded) in [
        ("http://test/api/v1/status?q=1", "/api/v1/status?q=1"),
        (
            "http://test/api/v1/deployments/%61",
            "/api/v1/deployments/a",
        ),
    ] {
        assert_eq!(process.get(target).status(), 200, "{target}");
        let seen = upstream.seen().pop().unwrap();
        assert_eq!(seen.line(), format!("GET {forwarded} HTTP/1.1"));
        assert_eq!(seen.field("host"), Some("test"));
    }
    assert_eq!(process.get("http://test?q").status(), 400);
    // Who only observes changes nothing.
    let observing = Installation::in_front_of(upstream.address);
    let process = Process::start(&observing);
    let target = "http://test/api/v1/status";
    assert_eq!(process.get(target).status(), 200);
    let seen = upstream.seen().pop().unwrap();
    assert_eq!(seen.line(), format!("GET {target} HTTP/1.1"));
}

#[test]
fn no_field_replaces_what_was_judged() {
    let upstream = Upstream::ok();
    let observing = Installation::in_front_of(upstream.address);
    let controlling = Installation::in_front_of(upstream.address).controlling();
    let fields = "X-HTTP-Method-Override: DELETE\r\nX-Original-URL: /admin\r\n";
    for (installation, passed) in [(observing, true), (controlling, false)] {
        let process = Process::start(&installation);
        let mut client = process.connect();
        client.send(format!(
            "GET /api/v1/status HTTP/1.1\r\nHost: test\r\n{fields}\r\n"
        ));
        assert_eq!(client.response().status(), 200);
        let seen = upstream.seen().pop().unwrap();
        assert_eq!(seen.head.contains(fields), passed, "{}", seen.head);
        assert_eq!(seen.field("x-original-url").is_some(), passed);
    }
}

#[test]
fn the_lowest_tier_of_process_listener_and_contract_acts() {
    // R059: the same decision, other actions.
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address)
        .controlling()
        .with(
            r#"listeners: [{bind: "127.0.0.1:0"}]"#,
            r#"listeners: [{bind: "127.0.0.1:0"}, {bind: "127.0.0.1:0", tier: observe_only}]"#,
        )
        .contract(r#"{id: watched_v1, owner: me, endpoint: "GET /watched", tier: observe_only}"#);
    let process = Process::start(&installation);
    let told: Vec<Value> = process
        .log()
        .iter()
        .filter(|entry| entry["event"] == "listening")
        .map(|entry| entry["tier"].clone())
        .collect();
    assert_eq!(told, ["CONTROL", "OBSERVE_ONLY"]);
    let ask = |listener: usize, method: &str, path: &str| {
        let mut client = Client::connect(process.addresses[listener]);
        client.send(format!("{method} {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
        client.response().status()
    };
    assert_eq!(ask(0, "GET", "/unknown"), 404);
    assert_eq!(ask(1, "GET", "/unknown"), 200);
    assert_eq!(ask(0, "POST", "/watched"), 200, "its contract only watches");
    assert_eq!(ask(0, "POST", "/api/v1/status"), 405);
    process.stop();
    let decisions = installation.decisions();
    let of = |n: usize, member: &str| decisions[n][member].clone();
    for member in ["decision", "reason_codes", "risk_bp", "recommended_actions"] {
        assert_eq!(of(0, member), of(1, member), "{member}");
        assert_eq!(of(2, member), of(3, member), "{member}");
    }
    for (n, tier) in [
        (0, "CONTROL"),
        (1, "OBSERVE_ONLY"),
        (2, "OBSERVE_ONLY"),
        (3, "CONTROL"),
    ] {
        assert_eq!(of(n, "tier"), tier, "{n}");
    }
    assert_ne!(of(0, "actions_taken"), of(1, "actions_taken"));
    assert_ne!(of(2, "actions_taken"), of(3, "actions_taken"));
}

#[test]
fn retry_after_is_the_time_until_one_request_conforms() {
    // R015: one request per period passes after the burst; the wait is exact and rounded up.
    let upstream = Upstream::ok();
    let period_s = 60;
    for burst in [1, 3] {
        let installation = Installation::in_front_of(upstream.address)
            .controlling()
            .contract(&format!(
                r#"{{id: rare_v1, owner: me, endpoint: "GET /rare", rate_limit_rpm: 1, burst: {burst}}}"#
            ));
        let process = Process::start(&installation);
        let mut client = process.connect();
        let begun = std::time::Instant::now();
        for _ in 0..burst {
            assert_eq!(client.get("/rare").status(), 200);
        }
        let answer = client.get("/rare");
        let elapsed = begun.elapsed().as_secs_f64();
        assert_eq!(answer.status(), 429);
        let told = problem(&answer);
        assert!(has_reason(&told, "RATE_LIMIT_EXCEEDED"));
        assert!(told["type"].as_str().unwrap().ends_with("#quota-exceeded"));
        // The bucket was full when the first request came, so the next place is one period
        // after that, whatever the burst.
        let wait_s: f64 = answer.field("retry-after").unwrap().parse().unwrap();
        assert!(wait_s <= f64::from(period_s), "{wait_s}");
        assert!(
            wait_s >= f64::from(period_s) - elapsed,
            "{wait_s} after {elapsed}"
        );
        process.stop();
        let decision = installation.decisions().pop().unwrap();
        assert_eq!(decision["outcome"], "refused");
        assert_eq!(decision["contract_id"], "rare_v1");
    }
    assert_eq!(upstream.seen().len(), 4);
}

#[test]
fn a_contract_has_no_more_requests_in_flight_than_it_may() {
    // R038
    let (upstream, send) = holding("");
    let installation = Installation::in_front_of(upstream.address)
        .controlling()
        // A full route is in distress as well; without this a part of its requests is shed.
        .policy("weights: {concurrency: 0.1}")
        .contract(r#"{id: tight_v1, owner: me, endpoint: "GET /tight", max_in_flight: 1}"#);
    let process = Process::start(&installation);
    let mut first = process.connect();
    first.send("GET /tight HTTP/1.1\r\nHost: test\r\n\r\n");
    process.until_in_flight("tight_v1", 1);
    let answer = process.get("/tight");
    assert_eq!(answer.status(), 503);
    // To the end of the clock minute, when the hash of shed requests is drawn again, and up to ten
    // seconds more, so that not all come back at once.
    let wait: u64 = answer.field("retry-after").unwrap().parse().unwrap();
    assert!((1..=70).contains(&wait), "{wait}");
    assert!(has_reason(&problem(&answer), "CONCURRENCY_EXCEEDED"));
    send.send(()).unwrap();
    assert_eq!(first.response().status(), 200);
    process.until_in_flight("tight_v1", 0);
    send.send(()).unwrap();
    assert_eq!(process.get("/tight").status(), 200);
}
