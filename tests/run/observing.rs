//! OBSERVE_ONLY changes nothing but the decision id.
//!
//! What Pingora owns and a client may see changed: `Connection` (it is about one connection, and
//! the gateway has its own), and `Date`, which becomes that of the gateway's clock. Hop-by-hop fields, inbound
//! `Tidegate-*` and forwarded-for fields of untrusted peers do not pass; everything else does.

use crate::held::holding;
use crate::installation::Installation;
use crate::process::Process;
use crate::wire::{Client, Message, Upstream, eventually};

/// Targets with their methods, each a thing that the refusing tier would not forward as it is.
const ODD: &[(&str, &str, &str)] = &[
    ("GET", "/unknown", "NO_CONTRACT_MATCH"),
    ("PURGE", "/unknown/x?y=%zz|&z", "NO_CONTRACT_MATCH"),
    ("PURGE", "/api/v1/status", "CONTRACT_METHOD_DISALLOWED"),
    ("DELETE", "/api/v1/status", "CONTRACT_METHOD_DISALLOWED"),
    ("GET", "/a/../b", "AMBIGUOUS_TARGET"),
    ("GET", "/a/./b", "AMBIGUOUS_TARGET"),
    ("GET", "/%2e/b", "AMBIGUOUS_TARGET"),
    ("GET", "/a/%2E%2e/b", "AMBIGUOUS_TARGET"),
    ("GET", "/a/%zz", "AMBIGUOUS_TARGET"),
    ("GET", "/a\\b", "AMBIGUOUS_TARGET"),
    ("GET", "//", "AMBIGUOUS_TARGET"),
    ("GET", "/api//v1/status", "AMBIGUOUS_TARGET"),
    ("GET", "/api/v1/deployments/a%2fb", "AMBIGUOUS_TARGET"),
    ("OPTIONS", "*", "AMBIGUOUS_TARGET"),
    // Known, but not in the canonical spelling: matched as that, forwarded as sent.
    ("GET", "/api/v1/deployments/%61bc?q=%7e", "LOW_RISK_SCORE"),
];

fn exchange(client: &mut Client, method: &str, target: &str) -> (String, Message) {
    let head = format!(
        "{method} {target} HTTP/1.1\r\nhOsT: Example.COM\r\nX-CASE-kept: Value  twice\r\nx-a: 1\r\nX-A: 2\r\nAccept: */*\r\nContent-Length: 4\r\n\r\n"
    );
    client.send(format!("{head}body"));
    (head, client.response())
}

#[test]
fn odd_requests_are_forwarded_byte_for_byte() {
    // R001: each is decided about and recorded nevertheless.
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address);
    let process = Process::start(&installation);
    let mut client = process.connect();
    for (method, target, _) in ODD {
        let (sent, answer) = exchange(&mut client, method, target);
        assert_eq!((answer.status(), answer.text()), (200, "ok"), "{target}");
        let seen = upstream.seen().pop().unwrap();
        assert_eq!(seen.head, sent);
        assert_eq!(seen.body, b"body");
    }
    process.stop();
    let decisions = installation.decisions();
    assert_eq!(decisions.len(), ODD.len());
    for (decision, (method, target, reason)) in decisions.iter().zip(ODD) {
        assert_eq!(decision["method"], *method);
        let reasons = decision["reason_codes"].as_array().unwrap();
        assert!(
            reasons.iter().any(|code| code == reason),
            "{target}: {decision}"
        );
        assert_eq!(decision["outcome"], "done", "{target}");
        assert_eq!(decision["tier"], "OBSERVE_ONLY", "{target}");
    }
    assert_eq!(installation.replay(), ODD.len() as u64);
}

#[test]
fn the_ledger_says_what_would_have_been_done() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address).contract(
        r#"{id: rare_v1, owner: me, endpoint: "GET /rare", rate_limit_rpm: 1, burst: 1}"#,
    );
    let process = Process::start(&installation);
    let table = [
        ("GET", "/unknown", "QUARANTINE", "quarantine"),
        ("DELETE", "/api/v1/status", "DROP", "drop"),
        ("GET", "/a/../b", "DROP", "drop"),
        ("GET", "/rare", "ALLOW", "log"),
        ("GET", "/rare", "THROTTLE", "throttle"),
    ];
    let mut client = process.connect();
    for (method, target, _, _) in table {
        let (_, answer) = exchange(&mut client, method, target);
        assert_eq!(answer.status(), 200, "{target}");
    }
    process.stop();
    for (record, (_, target, decision, action)) in installation.decisions().iter().zip(table) {
        let has = |member: &str| {
            let actions = record[member].as_array().unwrap();
            actions.iter().any(|name| name == action)
        };
        assert_eq!(record["decision"], decision, "{target}: {record}");
        assert!(has("recommended_actions"), "{target}: {record}");
        assert_eq!(has("actions_taken"), action == "log", "{target}: {record}");
        assert_eq!(record["status"], 200, "{target}");
    }
}

#[test]
fn fields_of_one_connection_and_forged_ones_stay_behind() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address);
    let process = Process::start(&installation);
    let mut client = process.connect();
    client.send(concat!(
        "GET /unknown HTTP/1.1\r\nHost: test\r\nConnection: keep-alive, X-Mine\r\nX-Mine: 1\r\n",
        "Keep-Alive: timeout=9\r\nTE: trailers\r\nTidegate-Decision-Id: forged\r\n",
        "X-Forwarded-For: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\nX-Forwarded-Proto: https\r\n",
        "X-Request-Id: 7\r\nTraceParent: 00-x\r\nCookie: a=b; c=d\r\n\r\n",
    ));
    assert_eq!(client.response().status(), 200);
    let seen = upstream.seen().pop().unwrap();
    assert_eq!(
        seen.head,
        "GET /unknown HTTP/1.1\r\nHost: test\r\nX-Request-Id: 7\r\nTraceParent: 00-x\r\nCookie: a=b; c=d\r\n\r\n"
    );
}

#[test]
fn a_trusted_proxy_may_speak_for_its_clients() {
    let upstream = Upstream::ok();
    let installation =
        Installation::in_front_of(upstream.address).and("trusted_proxies: [\"127.0.0.0/8\"]");
    let process = Process::start(&installation);
    let mut clients = Vec::new();
    for address in ["198.51.100.1", "198.51.100.2", "198.51.100.1"] {
        let sent = format!("GET /x HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: {address}\r\n\r\n");
        let mut client = process.connect();
        client.send(&sent);
        assert_eq!(client.response().status(), 200);
        assert_eq!(upstream.seen().pop().unwrap().head, sent);
    }
    process.stop();
    for decision in installation.decisions() {
        clients.push(decision["client"].as_str().unwrap().to_owned());
    }
    assert_eq!(clients[0], clients[2]);
    assert_ne!(clients[0], clients[1]);
}

#[test]
fn an_answer_differs_by_the_decision_id_alone() {
    let table = [
        "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 299 Odd Reason\r\nServer: a\r\nX-aBc: 1\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nDate: x\r\nContent-Length: 3\r\n\r\na\0b",
        "HTTP/1.1 404 Not Here\r\nDate: x\r\nContent-Encoding: gzip\r\nETag: \"x\"\r\nContent-Length: 1\r\n\r\n\x1f",
        "HTTP/1.1 500 Broken\r\nDate: x\r\nRetry-After: 9\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 204 None\r\nDate: x\r\nAllow: GET\r\n\r\n",
        "HTTP/1.1 304 Same\r\nDate: x\r\nETag: \"x\"\r\nContent-Length: 77\r\n\r\n",
        "HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ];
    for answer in table {
        let upstream = Upstream::answering(answer);
        let installation = Installation::in_front_of(upstream.address);
        let process = Process::start(&installation);
        let received = process.get("/unknown");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let left: Vec<&str> = received
            .fields()
            .into_iter()
            .filter(|field| {
                let name = field.split(':').next().unwrap();
                !["Tidegate-Decision-Id", "Connection", "Date"].contains(&name)
            })
            .collect();
        assert_eq!(received.line(), head.split("\r\n").next().unwrap());
        let mut sent: Vec<&str> = head.split("\r\n").skip(1).collect();
        sent.retain(|field| !field.starts_with("Date: "));
        assert_eq!(left, sent);
        match head.contains("chunked") {
            true => assert_eq!(received.text(), "abc"),
            false => assert_eq!(received.body, body.as_bytes()),
        }
        let id = received.field("tidegate-decision-id").unwrap();
        assert_eq!(id.len(), 22);
    }
}

#[test]
fn a_slow_answer_counts_against_readiness_when_its_end_is_told_later() {
    let (upstream, release) = holding("");
    let installation = Installation::in_front_of(upstream.address).contract(
        r#"{id: slow_v1, owner: me, endpoint: "GET /slow", max_latency_ms: 100, timeout_ms: 300}"#,
    );
    let process = Process::start(&installation);
    let mut client = process.connect();
    client.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n");
    // Its record does not wait for its end, and is written later than it may take.
    eventually("its record", || !installation.decisions().is_empty());
    assert_eq!(installation.decisions()[0]["outcome"], "open");
    release.send(()).unwrap();
    assert_eq!(client.response().status(), 200);
    process.stop();
    let told = installation.command("readiness").output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(told.contains("slow_v1  not ready: 1 requests"), "{told}");
    assert!(told.contains("ALLOW timed_out: "), "{told}");
}
