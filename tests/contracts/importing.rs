//! Contracts from descriptions of APIs.

use std::fs;

use serde_json::json;
use tidegate::config::load;

use crate::{findings, site, text, tidegate};

/// Twenty operations on ten paths.
fn description(version: &str) -> serde_json::Value {
    let paths: serde_json::Map<_, _> = (0..10)
        .map(|number| {
            let item = json!({
                "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}],
                "get": {"operationId": format!("getThing{number}"), "responses": {"200": {"description": "ok"}}},
                "delete": {"responses": {"204": {"description": "gone"}}},
            });
            (format!("/things{number}/{{id}}"), item)
        })
        .collect();
    json!({
        "openapi": version,
        "info": {"title": "Things", "version": "1.2.3"},
        "servers": [{"url": "https://things.example.org/api/v1"}],
        "paths": paths,
    })
}

/// The same tree as block YAML: maps of texts, lists and maps.
fn as_yaml(value: &serde_json::Value, indent: usize) -> String {
    match value {
        serde_json::Value::Object(map) => {
            let lines = map.iter().map(|(key, value)| {
                let key = serde_json::Value::from(key.as_str());
                let margin = " ".repeat(indent);
                format!("\n{margin}{key}: {}", as_yaml(value, indent + 2))
            });
            lines.collect()
        }
        other => other.to_string(),
    }
}

#[test]
fn twenty_operations_are_twenty_contracts_that_pass() {
    // R026
    for version in ["3.0.3", "3.1.0"] {
        let tree = description(version);
        for (name, content) in [
            ("api.json", tree.to_string()),
            ("api.yaml", as_yaml(&tree, 0)),
        ] {
            let folder = site(&[(name, &content)]);
            let output = tidegate(
                folder.path(),
                &[
                    "contract",
                    "import",
                    name,
                    "-o",
                    "contracts/things.yaml",
                    "--owner",
                    "team \"things\"",
                    "--backup-owner",
                    "b",
                    "--upstream",
                    "stock",
                    "--service",
                    "things",
                ],
            );
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{name}: {said}");
            assert_eq!(said, "20 contracts, 0 not taken, 0 notes\n");
            let (found, code) = findings(folder.path(), &["check", "--deny-warnings"]);
            assert_eq!((found, code), (vec![], Some(0)), "{name}");
            let loaded = load(&folder.path().join("tidegate.yaml")).unwrap();
            let contracts = loaded.catalogue.contracts();
            assert_eq!(contracts.len(), 20);
            let get = contracts
                .iter()
                .find(|c| c.id().as_str() == "get_thing3")
                .unwrap();
            assert_eq!(get.endpoint_key(), "GET /api/v1/things3/{id}");
            assert_eq!(get.owner(), Some("team \"things\""));
            assert_eq!(
                (get.upstream(), get.service()),
                (Some("stock"), Some("things"))
            );
            let made = "delete_api_v1_things3_id";
            assert!(contracts.iter().any(|c| c.id().as_str() == made));
        }
    }
}

#[test]
fn what_is_there_is_not_written_over_and_what_is_left_out_is_said() {
    let tree = json!({
        "openapi": "3.1.0",
        "paths": {"/a": {"get": {}}, "/b/{x}.json": {"get": {}}, "/c": {"get": {"operationId": "get /a"}}},
    });
    let folder = site(&[("api.json", &tree.to_string()), ("there.yaml", "kept")]);
    let import = |args: &[&str]| tidegate(folder.path(), &[&["contract", "import"], args].concat());
    let some = import(&["api.json"]);
    assert_eq!(some.status.code(), Some(3));
    let expected = "version: 1\ncontracts:\n  - id: get_a\n    endpoint: \"GET /a\"\n  - id: get_a_2\n    endpoint: \"GET /c\"\n";
    assert_eq!(text(&some.stdout), expected);
    let said = text(&some.stderr);
    assert!(
        said.contains("C602") && said.contains("#/paths/~1b~1{x}.json/get"),
        "{said}"
    );
    assert!(
        said.contains("C605") && said.contains("'get_a_2'"),
        "{said}"
    );
    let over = import(&["api.json", "-o", "there.yaml"]);
    assert_eq!(over.status.code(), Some(1));
    assert_eq!(
        fs::read_to_string(folder.path().join("there.yaml")).unwrap(),
        "kept"
    );
    for (args, code) in [
        (["missing.json", "--owner", "x"], 1),
        ([".", "--owner", "x"], 1),
        (["there.yaml", "--owner", "x"], 1),
        (["api.json", "--owner", ""], 2),
        (["api.json", "--owner", "a\nb"], 2),
        (["api.json", "--service", "A"], 2),
        (["api.json", "--upstream", "http://x"], 2),
    ] {
        let output = import(&args);
        assert_eq!(output.status.code(), Some(code), "{args:?}");
        assert_eq!(text(&output.stdout), "", "{args:?}");
        assert_ne!(text(&output.stderr), "", "{args:?}");
    }
}

#[test]
fn hostile_descriptions_end_in_a_clear_error() {
    let deep = format!("openapi: 3.0.0\npaths: {}", "{a: ".repeat(10_000));
    let deep_json = format!(
        "{{\"openapi\": \"3.0.0\", \"paths\": {}",
        "[".repeat(100_000)
    );
    let circle =
        "openapi: 3.0.0\npaths: { /a: { $ref: \"#/paths/~1b\" }, /b: { $ref: \"#/paths/~1a\" } }\n";
    let huge = format!("openapi: 3.0.0\npaths: {{}} #{}", "x".repeat(17 << 20));
    let nul = "openapi: 3.0.0\npaths: { \"/a\\0\": { get: {} } }\n";
    for (name, content, part) in [
        ("deep", deep.as_str(), "C601"),
        ("deep JSON", &deep_json, "C601"),
        ("circle", circle, "C603"),
        ("huge", &huge, "16 MiB"),
        ("nul", nul, "C602"),
        ("lists", "openapi: [3]\npaths: []\n", "C601"),
        ("empty", "", "C601"),
    ] {
        let folder = site(&[("api.yaml", content)]);
        let output = tidegate(folder.path(), &["contract", "import", "api.yaml"]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{name}: {said}");
        assert!(said.contains(part), "{name}: {said}");
        assert!(
            !said.contains("panicked") && said.len() < 10_000,
            "{name}: {said}"
        );
    }
}

#[test]
fn a_contract_is_described_where_it_says() {
    // R026
    let with = |reference: &str, expected: &[&str]| {
        let contract = format!(
            "version: 1\ncontracts:\n  - id: a\n    owner: x\n    endpoint: \"GET /api/v1/things3/{{x}}\"\n    {reference}\n"
        );
        let files = [
            ("specs/api.json", description("3.1.0").to_string()),
            ("specs/api.proto", "syntax = \"proto3\";".to_owned()),
            ("contracts/a.yaml", contract),
        ];
        let files = files.each_ref().map(|(name, text)| (*name, text.as_str()));
        crate::check(&files, expected);
        // What runs does not ask for descriptions.
        let folder = site(&files);
        assert!(
            load(&folder.path().join("tidegate.yaml")).is_ok(),
            "{reference}"
        );
    };
    let bad = ["a.yaml:6 C150"];
    with(
        "openapi: \"../specs/api.json#/paths/~1things3~1{id}/get\"",
        &[],
    );
    with(
        "openapi: \"../specs/api.json#/paths/~1things3~1{id}/delete\"",
        &bad,
    );
    with(
        "openapi: \"../specs/api.json#/paths/~1things4~1{id}/get\"",
        &bad,
    );
    with("openapi: \"../specs/api.json#/paths/~1nothing/get\"", &bad);
    with("openapi: \"../specs/api.json\"", &bad);
    with(
        "openapi: \"../specs/none.json#/paths/~1things3~1{id}/get\"",
        &bad,
    );
    with("openapi: \"../specs#/paths/~1things3~1{id}/get\"", &bad);
    with(
        "openapi: \"../specs/api.proto#/paths/~1things3~1{id}/get\"",
        &bad,
    );
    with("proto: ../specs/api.proto", &[]);
    with("proto: ../specs/none.proto", &bad);
}
