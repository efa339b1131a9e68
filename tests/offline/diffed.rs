//! `bundle diff`: the same changes in three forms, with what they take and what they would have done.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tidegate::bundle::envelope::{Envelope, ROOT_TYPE};
use tidegate::bundle::root::{Principal, Role, Root, RootParts, Thresholds};

use crate::place::{Place, configuration};

const POLICY: &str = "version: 1\nname: plain\nmethod_disallowed: { action: quarantine }\n";

/// The usual configuration, and one with a lower rate and a milder policy.
fn place() -> Place {
    let place = Place::new();
    let text = std::fs::read_to_string(place.path("contracts/contracts.yaml")).unwrap();
    std::fs::create_dir(place.path("changed")).unwrap();
    let changed = text.replace(
        "max_latency_ms: 100",
        "rate_limit_rpm: 6\n    max_latency_ms: 100",
    );
    place.write("changed/contracts.yaml", &changed);
    place.write("changed-policy.yaml", POLICY);
    let text = configuration("changed-policy.yaml");
    place.write(
        "new.yaml",
        &text.replace("contracts: contracts/", "contracts: changed/"),
    );
    place
}

fn write_root(place: &Place) {
    let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]).verifying_key();
    let other = ed25519_dalek::SigningKey::from_bytes(&[8; 32]).verifying_key();
    let third = ed25519_dalek::SigningKey::from_bytes(&[9; 32]).verifying_key();
    let principal = |name: &str, key, roles: &[Role]| Principal {
        name: name.to_owned(),
        keys: vec![key],
        roles: roles.iter().copied().collect(),
    };
    let all = [Role::Approver, Role::Author, Role::Root, Role::Security];
    let root = Root::new(RootParts {
        version: 1,
        audience: "edge".to_owned(),
        epoch: 1,
        is_production: true,
        expires_at_us: 9,
        principals: vec![
            principal("alice", key, &all),
            principal("bob", other, &all),
            principal("carol", third, &all),
        ],
        groups: BTreeMap::from([("platform".to_owned(), BTreeSet::from(["bob".to_owned()]))]),
        thresholds: Thresholds {
            authority: 2,
            ..Thresholds::default()
        },
    });
    let payload = root.unwrap().to_payload().unwrap();
    let envelope = Envelope::unsigned(ROOT_TYPE, payload).to_bytes();
    place.write("root.json", std::str::from_utf8(&envelope).unwrap());
}

#[test]
fn a_diff_tells_changes_classes_signatures_and_impact() {
    let place = place();
    place.simulated();
    write_root(&place);
    let words = "bundle diff tidegate.yaml new.yaml --root root.json --ledger l --since 1d";
    let ran = place.run(words);
    assert_eq!((ran.code, ran.err.as_str()), (3, ""), "{}", ran.out);
    for told in [
        "status_get_v1 rate_limit_rpm: none -> 6  [consumer breaking, protection none]",
        "policy method_disallowed.action: drop -> quarantine  [consumer none, protection breaking]",
        "2 changes: BREAKING, LOOSEN",
        "signatures: 2 besides the author's, one of them from security, one of them from platform",
        "status_get_v1: ALLOW -> THROTTLE",
        "assumed: ",
    ] {
        assert!(ran.out.contains(told), "{told}: {}", ran.out);
    }
    let json: Value =
        serde_json::from_str(&place.run(&format!("{words} --format json")).out).unwrap();
    assert_eq!(json["classes"], serde_json::json!(["BREAKING", "LOOSEN"]));
    assert_eq!(json["changes"][1]["subject"], "status_get_v1");
    assert_eq!(json["changes"][1]["owner"], "platform");
    assert_eq!(json["needs"]["approvers"], 2);
    assert_eq!(json["impact"]["requests"], 600);
    let markdown = place.run(&format!("{words} --format markdown")).out;
    for told in [
        "| `status_get_v1` | `rate_limit_rpm` | `none` | `6` | breaking | none | BREAKING |",
        "**Classes:** BREAKING, LOOSEN",
        "**Signatures:** 2 besides the author's, one of them from security, one of them from platform",
        "| `status_get_v1` | ALLOW | THROTTLE | ",
        "- assumed: ",
    ] {
        assert!(markdown.contains(told), "{told}: {markdown}");
    }
}

#[test]
fn all_three_kinds_of_files_are_compared() {
    let place = place();
    place.simulated();
    let rulebook = std::fs::read_dir(place.path("l/rulebooks")).unwrap();
    let name = rulebook.last().unwrap().unwrap().file_name();
    let content = format!("l/rulebooks/{}", name.to_str().unwrap());
    let same = place.run(&format!("bundle diff {content} tidegate.yaml"));
    assert_eq!((same.code, same.err.as_str()), (0, ""));
    assert!(same.out.ends_with("nothing changes\n"), "{}", same.out);
    let other = place.run(&format!("bundle diff new.yaml {content}"));
    assert_eq!(other.code, 3, "{}", other.out);
    for (file, code, told) in [
        ("missing.yaml", 1, "name a bundle"),
        ("root.json", 65, "the payload's type is not"),
        ("broken.json", 65, "build it again"),
    ] {
        write_root(&place);
        place.write("broken.json", "{}");
        let ran = place.run(&format!("bundle diff tidegate.yaml {file}"));
        assert_eq!(ran.code, code, "{file}: {}", ran.err);
        assert!(ran.err.contains(told), "{file}: {}", ran.err);
    }
}
