use serde_json::json;

use super::{Extras, import, render};
use crate::diagnostic::error_count;

/// Endpoints with their ids, and findings as code and message.
fn taken(text: &str) -> (Vec<String>, Vec<String>) {
    let import = import("api.yaml", text.as_bytes());
    let stubs = import.stubs.iter();
    let stubs = stubs.map(|stub| format!("{} {}", stub.id, stub.endpoint));
    let findings = import.findings.iter();
    let findings = findings.map(|d| format!("{} {}", d.code.as_str(), d.message));
    (stubs.collect(), findings.collect())
}

#[test]
fn operations_become_contracts_below_the_base_path() {
    let (stubs, findings) = taken(
        "openapi: 3.0.3
info: { title: t, version: '1' }
servers: [{ url: 'https://example.org/api/{v}', variables: { v: { default: v1 } } }]
x-anything: { ignored: true }
paths:
  /orders:
    get: { operationId: listOrders, responses: { 200: { description: ok } } }
    post: { operationId: createOrder }
    parameters: []
  /orders/{order.id}:
    get: {}
    servers: [{ url: /other }]
    delete: { operationId: listOrders }
  /health:
    $ref: '#/components/pathItems/health'
  x-note: nothing
components:
  pathItems:
    health: { head: { operationId: health, servers: [{ url: / }] } }
",
    );
    assert_eq!(
        stubs,
        [
            "health HEAD /health",
            "list_orders GET /api/v1/orders",
            "create_order POST /api/v1/orders",
            "get_other_orders_order_id GET /other/orders/{order_id}",
            "list_orders_2 DELETE /other/orders/{order_id}",
        ]
    );
    assert_eq!(
        findings,
        [
            "C605 #/paths/~1orders~1{order.id}/delete: the name of 'listOrders' was taken; the id is 'list_orders_2'"
        ]
    );
}

#[test]
fn what_cannot_be_taken_is_said() {
    let check = |paths: serde_json::Value, expected: &str| {
        let document = json!({ "openapi": "3.1.0", "paths": paths });
        let (_, findings) = taken(&document.to_string());
        assert_eq!(findings.len(), 1, "{paths}: {findings:?}");
        assert!(findings[0].starts_with(expected), "{findings:?}");
    };
    let path = |path: &str| json!({ path: { "get": {} } });
    check(
        path("orders"),
        "C602 #/paths/orders/get: the path does not begin",
    );
    check(
        path("/a/{x}.json"),
        "C602 #/paths/~1a~1{x}.json/get: '{x}.json'",
    );
    check(path("/a?b=1"), "C602 #/paths/~1a?b=1/get");
    check(path("/a//b"), "C602 #/paths/~1a~1~1b/get");
    check(path("/a/../b"), "C602 #/paths/~1a~1..~1b/get");
    check(path(&"/a".repeat(65)), "C602");
    check(path(&format!("/{}", "a".repeat(3_000))), "C602");
    check(path("/\u{1}"), "C602");
    check(json!({"/a": []}), "C602 #/paths/~1a: this is not a map");
    check(
        json!({"/a": {"get": 7}}),
        "C602 #/paths/~1a/get: this is not a map",
    );
    check(
        json!({"/a": {"query": {}}}),
        "C602 #/paths/~1a/query: this is no method",
    );
    check(json!({"/a": {"$ref": "other.yaml"}}), "C603 #/paths/~1a");
    check(json!({"/a": {"$ref": "#/paths/~1a"}}), "C603 #/paths/~1a");
    check(
        json!({"/a": {"get": {"servers": 1}}}),
        "C604 #/paths/~1a/get",
    );
    check(
        json!({"/a": {"get": {"operationId": 1}}}),
        "C605 #/paths/~1a/get",
    );
    check(
        json!({"/{x}": {"get": {}}, "/{y}": {"get": {}}}),
        "C602 #/paths/~1{y}/get",
    );
    check(json!(7), "C601 #/paths");
}

#[test]
fn other_documents_are_refused_as_a_whole() {
    for (text, expected) in [
        ("swagger: '2.0'\n", "C601 #/swagger"),
        ("openapi: 3.2.0\n", "C601 #/openapi"),
        ("openapi: 3\n", "C601 #"),
        ("a: 1\n", "C601 #"),
        ("[]", "C601 #"),
        ("", "C601 #"),
        ("openapi: 3.1.0\n", "C606 #"),
        (
            "openapi: 3.1.0\nwebhooks: {}\npaths: {}\n",
            "C606 #/webhooks",
        ),
    ] {
        let (stubs, findings) = taken(text);
        assert_eq!(
            (stubs.len(), findings.len()),
            (0, 1),
            "{text}: {findings:?}"
        );
        assert!(findings[0].starts_with(expected), "{text}: {findings:?}");
    }
}

#[test]
fn findings_and_operations_are_bounded() {
    let paths: serde_json::Map<_, _> = (0..20_000)
        .map(|n| (format!("/a{n}"), json!({ "get": {}, "nonsense": {} })))
        .collect();
    let document = json!({ "openapi": "3.0.0", "paths": paths }).to_string();
    let import = import("api.json", document.as_bytes());
    assert_eq!(import.stubs.len(), 10_000);
    assert_eq!(error_count(&import.findings), 1_001);
}

#[test]
fn the_version_of_a_path_is_that_of_its_contract() {
    // R021
    let check = |path: &str, expected: Option<&str>| {
        let description = format!("openapi: 3.0.0\npaths: {{{path}: {{get: {{}}}}}}");
        let stubs = super::import("a", description.as_bytes()).stubs;
        let text = render(&stubs, &Extras::default());
        let found = text
            .lines()
            .find_map(|line| line.strip_prefix("    version: "));
        assert_eq!(found, expected, "{text}");
    };
    check("/api/v2/x", Some("2.0.0"));
    check("/v1/x", Some("1.0.0"));
    check("/api/x", None);
    // No version begins so; `check` says that.
    check("/v02/x", None);
}

#[test]
fn texts_cannot_break_out_of_their_quotes() {
    let (name, stubs) = (
        "a\"\n  - id: x \\",
        super::import("a", b"openapi: 3.0.0\npaths: {/a: {get: {}}}").stubs,
    );
    let extras = Extras {
        keys: vec![("owner", name)],
    };
    let text = render(&stubs, &extras);
    assert_eq!(text.lines().count(), 5, "{text}");
}
