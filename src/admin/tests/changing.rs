//! The POSTs: what they answer, and what they refuse before a lever is pulled.

use super::bench::{Bench, Reply};
use crate::units::Tier;

const JSON: &str = "Content-Type: application/json\r\n";
const TEXT: &str = "Content-Type: text/plain\r\n";

fn check(bench: &Bench, path: &str, fields: &str, body: &str, want: u16) -> Reply {
    let reply = bench.post(path, fields, body);
    assert_eq!(reply.status, want, "{path} {fields} {body:.60}: {reply:?}");
    reply
}

#[test]
fn a_reload_is_answered_and_guarded() {
    let bench = Bench::start(Tier::Control);
    let of_a_page = format!("{JSON}Origin: null\r\n");
    let table = [
        (JSON, "", 422),
        (JSON, "{}", 422),
        (JSON, r#"{"force":true}"#, 400),
        (JSON, "x", 400),
        ("Accept: */*\r\n", "", 415),
        (TEXT, "{}", 415),
        (&of_a_page, "", 403),
    ];
    for (fields, body, want) in table {
        let reply = check(&bench, "/v1/reload", fields, body, want);
        if want == 422 {
            assert_eq!(reply.json()["findings"][0]["line"], 2);
        }
    }
    let status = bench.get("/v1/status").json();
    assert_eq!(status["last_reload"]["result"], "refused");
    assert_eq!(status["needs_restart"][0], "threads");
    assert_eq!(status["active_since_unix_ms"], 5);
}

#[test]
fn a_lower_tier_is_answered_and_guarded() {
    let bench = Bench::start(Tier::Control);
    let table = [
        (r#"{"tier":"observe_only"}"#, 200),
        (r#"{"tier":"observe_only","reason":"a flood"}"#, 200),
        (r#"{"tier":"observe_only","reason":"a\nb"}"#, 400),
        (r#"{"tier":"observe_only","reason":1}"#, 400),
        (r#"{"tier":"control"}"#, 409),
        (r#"{"tier":"autonomous"}"#, 500),
        (r#"{"tier":"OBSERVE_ONLY"}"#, 400),
        (r#"{"tier":"observe_only","for":1}"#, 400),
        ("{}", 400),
        ("", 400),
    ];
    for (body, want) in table {
        check(&bench, "/v1/tier", JSON, body, want);
    }
    check(&bench, "/v1/tier", TEXT, r#"{"tier":"observe_only"}"#, 415);
    let long = " ".repeat(5_000);
    check(&bench, "/v1/tier", JSON, &long, 413).check_problem(413, "body");
    let status = bench.get("/v1/status").json();
    assert_eq!(status["kill_switch"]["tier"], "CONTROL");
}

#[test]
fn a_bundle_names_what_it_replaces_and_has_a_limit_of_its_own() {
    let bench = Bench::start(Tier::Control);
    let check = |fields: &str, body: &str, want| check(&bench, "/v1/bundle", fields, body, want);
    check("If-Match: \"none\"\r\n", "{}", 415);
    check(JSON, "{}", 428).check_problem(428, "if-match");
    for unreadable in [
        "*",
        "none",
        "\"\"",
        "W/\"a\"",
        "\"a\", \"b\"",
        "\"a\"\r\nIf-Match: \"b\"",
    ] {
        let reply = check(&format!("{JSON}If-Match: {unreadable}\r\n"), "{}", 400);
        reply.check_problem(400, "if-match");
    }
    let none = format!("{JSON}If-Match: \"none\"\r\n");
    let refused = check(&none, "{}", 422).json();
    assert_eq!(refused["code"], "UNKNOWN_KEY");
    assert_eq!(
        (&refused["epoch"], &refused["serial"]),
        (&1.into(), &2.into())
    );
    check(&none, &" ".repeat(100_000), 422);
    let other = format!("{JSON}If-Match: \"{}\"\r\n", "a".repeat(64));
    let raced = check(&other, "{}", 412).json();
    assert_eq!(raced["code"], "STATE_CHANGED");
    let large = check(&none, &" ".repeat((16 << 20) + 1), 413).json();
    assert_eq!(large["code"], "BUNDLE_TOO_LARGE");
    let status = bench.get("/v1/status").json();
    assert_eq!(
        status["bundle"],
        serde_json::json!({"signed": false, "active": null})
    );
}
