//! Which paths and methods there are, and who may ask.

use serde_json::Value;

use super::bench::Bench;
use crate::admin::router::{CHANGING, OPENAPI, routes};
use crate::units::Tier;

#[test]
fn pages_of_a_browser_are_refused() {
    let bench = Bench::start(Tier::ObserveOnly);
    let table = [
        ("Host: evil.example\r\n", 403),
        ("Host: localhost.evil.example\r\n", 403),
        ("Host: localhost\r\nOrigin: http://evil.example\r\n", 403),
        ("Host: localhost\r\nOrigin: null\r\n", 403),
        ("", 403),
        ("Host: 127.0.0.1:9901\r\n", 200),
        ("Host: [::1]\r\n", 200),
    ];
    for path in ["/metrics", "/v1/status", "/nowhere"] {
        for (fields, want) in table {
            let head = format!("GET {path} HTTP/1.1\r\n{fields}Connection: close\r\n\r\n");
            let want = if path == "/nowhere" && want == 200 {
                404
            } else {
                want
            };
            assert_eq!(bench.send(&head).status, want, "{path} {fields:?}");
        }
    }
}

#[test]
fn only_get_is_served_and_unknown_paths_are_problems() {
    let bench = Bench::start(Tier::ObserveOnly);
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let reply = bench.ask(method, "/v1/status");
        reply.check_problem(405, "method-not-allowed");
        assert!(reply.head.contains("\r\nallow: get"), "{reply:?}");
        assert_eq!(reply.head.matches("\r\nallow:").count(), 1, "{reply:?}");
    }
    for path in CHANGING {
        let reply = bench.get(path);
        reply.check_problem(405, "method-not-allowed");
        assert!(reply.head.contains("\r\nallow: post"), "{reply:?}");
    }
    for path in ["/", "/v1", "/v1/status/", "/v2/status", "/metrics/x"] {
        bench.get(path).check_problem(404, "unknown-path");
    }
}

#[test]
fn the_description_names_every_route_and_no_other() {
    let bench = Bench::start(Tier::ObserveOnly);
    let description = bench.get("/openapi.json").json();
    assert_eq!(
        description,
        serde_json::from_str::<Value>(OPENAPI).expect("JSON")
    );
    let paths = description["paths"].as_object().expect("paths");
    let routed: Vec<&str> = routes().iter().map(|(path, _)| *path).collect();
    for path in &routed {
        assert!(paths.contains_key(*path), "{path} is not described");
        let operations = paths[*path].as_object().expect("operations");
        let method = if CHANGING.contains(path) {
            "post"
        } else {
            "get"
        };
        assert!(
            operations.keys().eq([method]),
            "{path} is more than {method}"
        );
    }
    assert_eq!(paths.len(), routed.len());
    for (path, item) in paths {
        if CHANGING.contains(&path.as_str()) {
            continue;
        }
        let reply = bench.get(&path.replace("{id}", "0000000000000000000000"));
        let described = &item["get"]["responses"][reply.status.to_string()];
        assert!(described.is_object(), "{path} answers {}", reply.status);
    }
}
