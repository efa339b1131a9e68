//! `bundle diff` and `contract diff` of bundles: who made what after what, and why.

use serde_json::{Value, json};

use crate::place::Place;

const ROOT: &str = "--root root.json";

/// A first bundle `one.json`, signed by two.
fn place() -> Place {
    let place = Place::new();
    place.bundle("one.json", "--tier-max control", &["alice", "bob"]);
    place
}

fn text<'a>(json: &'a Value, member: &str) -> &'a str {
    json[member].as_str().unwrap()
}

#[test]
fn both_sides_say_what_they_are() {
    let place = place();
    place.contract("a", 59);
    place.bundle(
        "two.json",
        "--parent one.json --change-request T-1",
        &["alice"],
    );
    let about = place
        .ok("bundle verify one.json --allow-unsigned --format json")
        .json();
    let ran = place.run("bundle diff one.json two.json --format json");
    assert_eq!((ran.code, ran.err.as_str()), (3, ""));
    let report = ran.json();
    let old = &report["old"];
    for member in [
        "name",
        "epoch",
        "serial",
        "digest",
        "content_digest",
        "author",
    ] {
        assert_eq!(old[member], about[member], "{member}");
    }
    assert_eq!(old["tier_max"], "control");
    assert_eq!(old["signed_by"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&report["new"]["parent"], &report["follows"]),
        (&old["digest"], &json!(true))
    );
    let digest = text(&report["new"], "digest");
    for format in ["pretty", "markdown"] {
        let told = place
            .run(&format!("bundle diff one.json two.json --format {format}"))
            .out;
        assert_eq!(told.matches("not verified here").count(), 1, "{told}");
        for part in [
            digest,
            text(old, "digest"),
            "by alice",
            "change request: T-1",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
        assert!(!told.contains("does not follow"), "{told}");
    }
    // A configuration has a content and no name.
    let report = place
        .run("bundle diff one.json tidegate.yaml --format json")
        .json();
    assert_eq!(report["new"]["content_digest"].as_str().unwrap().len(), 64);
    assert_eq!(
        (&report["new"]["name"], &report["follows"]),
        (&Value::Null, &Value::Null)
    );
}

#[test]
fn what_does_not_follow_and_what_comes_back_is_told() {
    let place = place();
    place.contract("a", 59);
    place.bundle("two.json", "--parent one.json", &["alice"]);
    place.bundle(
        "back.json",
        "--parent two.json --revert-of one.json",
        &["alice"],
    );
    let report = place.run("bundle diff one.json back.json --format json");
    assert_eq!(report.code, 0, "{report:?}");
    let report = report.json();
    assert_eq!(
        (&report["follows"], &report["new"]["revert_of"]),
        (&json!(false), &report["old"]["digest"])
    );
    let told = place.run("bundle diff one.json back.json").out;
    let (parent, back) = (
        text(&report["new"], "parent"),
        text(&report["old"], "digest"),
    );
    for part in [
        format!("NEW does not follow OLD: its parent is {parent}\n"),
        format!("brings back the content of {back}\n"),
    ] {
        assert!(told.contains(&part), "{part}: {told}");
    }
    let told = place.run("bundle diff two.json one.json").out;
    assert!(told.contains("its parent is none\n"), "{told}");
}

#[test]
fn an_emergency_measure_is_judged_as_a_gateway_would() {
    let place = place();
    let glass = "--parent one.json --breakglass fire --for 2h --created-at 1782777600";
    place.bundle(
        "low.json",
        &format!("{glass} --tier-max observe_only"),
        &["alice", "bob"],
    );
    let words = format!("bundle diff one.json low.json {ROOT}");
    let ran = place.run(&words);
    for part in [
        "break-glass until 2026-06-30 02:00:00 UTC: fire\n",
        "1 changes: BREAKGLASS\n",
        "signatures: 1 besides the author's\n",
    ] {
        assert!(ran.out.contains(part), "{part}: {}", ran.out);
    }
    let json = place.run(&format!("{words} --format json")).json();
    assert_eq!(json["classes"], json!(["BREAKGLASS"]));
    assert_eq!(
        json["new"]["breakglass"],
        json!({"reason": "fire", "until_us": 1_782_784_800_000_000_u64})
    );
    assert_eq!(json["too_wide"], Value::Null);
    place.contract("a", 61);
    place.bundle("wide.json", glass, &["alice"]);
    let words = format!("bundle diff one.json wide.json {ROOT}");
    let why = "BREAKGLASS_TOO_WIDE: it loosens rate_limit_rpm of a";
    for format in ["pretty", "markdown", "json"] {
        let ran = place.run(&format!("{words} --format {format}"));
        assert_eq!(ran.code, 3);
        assert!(
            ran.out.contains(why) && ran.out.contains("LOOSEN"),
            "{}",
            ran.out
        );
        assert!(!ran.out.contains("BREAKGLASS\n"), "{}", ran.out);
    }
}

// R016
#[test]
fn contracts_of_bundles_are_compared() {
    let place = place();
    let same = place.ok("contract diff one.json tidegate.yaml");
    assert_eq!(same.out, "no changes\n");
    let ended = |lifecycle: &str| {
        let text = format!(
            "version: 1\ncontracts:\n  - id: a\n    endpoint: \"GET /a\"\n    \
             rate_limit_rpm: 60\n    owner: api\n{lifecycle}  - {{id: b, endpoint: 'GET /b', owner: api}}\n"
        );
        place.write("contracts/a.yaml", &text);
    };
    ended(
        "    lifecycle: {status: deprecated, deprecated_on: 2020-01-01, sunset_on: 2021-01-01}\n",
    );
    place.bundle("ended.json", "--parent one.json", &["alice"]);
    place.write(
        "contracts/a.yaml",
        "version: 1\ncontracts:\n  - {id: b, endpoint: 'GET /b', owner: api}\n",
    );
    place.bundle("gone.json", "--parent ended.json", &["alice"]);
    let ran = place.ok("contract diff ended.json gone.json");
    let told =
        "after its sunset on 2021-01-01; callers were not looked for: name a ledger with --ledger";
    assert!(ran.out.contains(told), "{}", ran.out);
    let before = place.run("contract diff ended.json gone.json --today 2020-12-31");
    assert_eq!(before.code, 3, "{before:?}");
    assert!(!before.out.contains("looked for"), "{}", before.out);
}
