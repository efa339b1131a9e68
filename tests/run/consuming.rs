//! Callers that a contract names, and others.

use crate::installation::Installation;
use crate::process::Process;
use crate::wire::{OK, Upstream};

fn installation(upstream: &Upstream) -> Installation {
    Installation::in_front_of(upstream.address)
        .controlling()
        .contract(
            "{id: orders, endpoint: \"GET /api/v1/orders\", consumers: [checkout, \"dns:checkout\"], owner: test}",
        )
        .policy("consumer_not_declared: {action: quarantine}")
        .and("caller_header: X-Caller")
}

fn ask(process: &Process, caller: &str) -> u16 {
    let mut client = process.connect();
    client.send(format!(
        "GET /api/v1/orders HTTP/1.1\r\nHost: test\r\n{caller}\r\n"
    ));
    client.response().status()
}

// R028
#[test]
fn a_trusted_proxy_names_the_caller() {
    let upstream = Upstream::answering(OK);
    let installation = installation(&upstream).and("trusted_proxies: [127.0.0.1]");
    let process = Process::start(&installation);
    for (caller, status) in [
        ("X-Caller: checkout\r\n", 200),
        ("x-caller: reports\r\n", 403),
        ("X-Caller: \r\n", 403),
        // Whoever appends to a client's own line or adds another one would let it choose.
        ("X-Caller: checkout\r\nX-Caller: reports\r\n", 403),
        ("Connection: x-caller\r\nX-Caller: checkout\r\n", 403),
        // Only a certificate proves a name of this kind.
        ("X-Caller: dns:checkout\r\n", 403),
        ("", 403),
    ] {
        assert_eq!(ask(&process, caller), status, "{caller}");
    }
    process.stop();
    let reasons: Vec<String> = installation
        .decisions()
        .iter()
        .map(|decision| decision["reason_codes"].to_string())
        .collect();
    let undeclared = reasons
        .iter()
        .filter(|codes| codes.contains("CONSUMER_NOT_DECLARED"));
    assert_eq!(undeclared.count(), 6, "{reasons:?}");
    assert_eq!(installation.replay(), 7);
}

// R028
#[test]
fn nobody_else_names_the_caller_and_no_server_is_told_so() {
    let upstream = Upstream::answering(OK);
    let installation = installation(&upstream);
    let process = Process::start(&installation);
    assert_eq!(ask(&process, "X-Caller: checkout\r\n"), 403);
    let mut client = process.connect();
    client.send("GET /api/v1/status HTTP/1.1\r\nHost: test\r\nX-Caller: checkout\r\nX_Caller: checkout\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    let seen = upstream.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].field("x-caller"), None);
    assert_eq!(seen[0].field("x_caller"), None);
}
