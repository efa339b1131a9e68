//! One content, two machines: the same bytes, and public keys are enough to judge them.

use crate::place::{CONFIGURATION, Place};

const BUILD: &str =
    "bundle build -o b.json --root root.json --author alice --created-at 1900000000";

fn digests(place: &Place) -> (String, String) {
    let found = place
        .ok("bundle verify b.json --allow-unsigned --format json")
        .json();
    let text = |name: &str| found[name].as_str().unwrap().to_owned();
    (text("digest"), text("content_digest"))
}

// R103, R107
#[test]
fn order_of_files_and_comments_do_not_matter() {
    let (one, other) = (Place::new(), Place::empty());
    one.contract("b", 30);
    one.ok(BUILD);
    std::fs::copy(one.path("root.json"), other.path("root.json")).unwrap();
    other.write("tidegate.yaml", &format!("# a comment\n{CONFIGURATION}"));
    other.write(
        "contracts/all.yaml",
        "contracts: # the other way round, in one file, with a default written out\n\
         - { owner: api, rate_limit_rpm: 30, endpoint: 'GET /b', id: b }\n\
         - { owner: api, rate_limit_rpm: 60, endpoint: 'GET /a', id: a, max_latency_ms: 1000 }\n\
         version: 1\n",
    );
    other.ok(BUILD);
    let bytes = |place: &Place| std::fs::read(place.path("b.json")).unwrap();
    assert_eq!(bytes(&one), bytes(&other));
    assert_eq!(
        one.ok("check").out.lines().last(),
        other.ok("check").out.lines().last()
    );
    let (digest, content) = digests(&one);
    assert!(one.ok("check").out.contains(&content));
    // Another time is another bundle of the same content; other content is another content.
    let later = BUILD.replace("1900000000", "1900000001");
    one.remove("b.json");
    one.ok(&later);
    let (next_digest, next_content) = digests(&one);
    assert!(next_digest != digest && next_content == content);
    one.contract("b", 31);
    one.remove("b.json");
    one.ok(BUILD);
    assert_ne!(digests(&one).1, content);
}

// R107
#[test]
fn a_bundle_is_judged_elsewhere_with_public_keys_alone() {
    let (here, there) = (Place::new(), Place::empty());
    here.bundle("b.json", "", &["alice", "bob", "carol"]);
    for file in ["root.json", "b.json"] {
        std::fs::copy(here.path(file), there.path(file)).unwrap();
    }
    let found = there
        .ok("bundle verify b.json --root root.json --format json")
        .json();
    assert_eq!(found["result"], "ok");
    assert_eq!(
        found["signers"],
        serde_json::json!(["alice", "bob", "carol"])
    );
    assert_eq!(found["classes"], serde_json::json!(["LOOSEN"]));
}
