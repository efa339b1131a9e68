//! What a bundle carries besides contracts and policy, and that nothing goes in after its day.

use crate::place::{CONFIGURATION, Place};

const BUILD: &str = "bundle build -o b.json --root root.json --author alice";

fn with_all() -> Place {
    let place = Place::new();
    place.write(
        "tidegate.yaml",
        &format!("{CONFIGURATION}charter: charter.yaml\nself_tests: cases.yaml\n"),
    );
    place.write(
        "charter.yaml",
        "version: 1\ncompatibility_mode: strict\ndeployment: atomic\n",
    );
    cases(&place, "ALLOW");
    place
}

fn cases(place: &Place, decision: &str) {
    let text = format!(
        "version: 1\ntests:\n  - {{name: known, request: {{url: /a}}, expect: {{decision: {decision}}}}}\n"
    );
    place.write("cases.yaml", &text);
}

// R103
#[test]
fn a_bundle_carries_charter_and_self_tests() {
    let place = with_all();
    place.ok(BUILD);
    let digest = |words: &str| {
        let found = place.run(words).json();
        found["content_digest"].as_str().unwrap().to_owned()
    };
    let built = digest("bundle verify b.json --allow-unsigned --format json");
    assert_eq!(built, digest("test --format json"));
    assert_eq!(built, digest("test --bundle b.json --format json"));
    place.write("tidegate.yaml", CONFIGURATION);
    let ran = place.run("bundle diff b.json tidegate.yaml --format json");
    assert_eq!(ran.code, 3, "{ran:?}");
    let report = ran.json();
    let subjects: Vec<&str> = report["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| change["subject"].as_str().unwrap())
        .collect();
    assert_eq!(subjects, ["charter", "charter", "self_tests"], "{report}");
    assert_eq!(report["classes"], serde_json::json!(["LOOSEN"]));
}

#[test]
fn the_self_tests_of_a_bundle_are_run() {
    let place = with_all();
    place.ok(BUILD);
    assert!(place.ok("test --bundle b.json").out.contains("1 passed"));
    // The files say otherwise now, and the bundle does not.
    cases(&place, "DROP");
    assert_eq!(place.run("test").code, 3);
    place.ok("test --bundle b.json");
    assert_eq!(place.run("test --bundle b.json cases.yaml").code, 3);
    // Such a bundle can be made, and no gateway takes it.
    place.bundle("b.json", "", &["alice", "bob", "carol"]);
    assert_eq!(place.run("test --bundle b.json").code, 3);
    let verify = "bundle verify b.json --root root.json";
    place.refused(verify, 1, &["SELF_TEST_FAILED"]);
    // Whose failures are shown, also to those who have none of its files.
    let foreign = Place::empty();
    let bytes = std::fs::read_to_string(place.path("b.json")).unwrap();
    foreign.write("b.json", &bytes);
    let ran = foreign.run("test --bundle b.json");
    assert_eq!((ran.code, ran.err.as_str()), (3, ""));
    for told in ["known", "DROP", "ALLOW", "1 failed"] {
        assert!(ran.out.contains(told), "{told}: {}", ran.out);
    }
    let told = "error: b.json is a bundle, and no file of self-tests; name it with --bundle\n";
    for words in ["test b.json", "test cases.yaml b.json"] {
        let ran = place.run(words);
        assert_eq!(
            (ran.code, ran.err.as_str(), ran.out.as_str()),
            (78, told, "")
        );
    }
    place.write("b.json", "{}");
    place.refused("test --bundle b.json", 65, &["ENVELOPE_MALFORMED"]);
    place.refused("test --bundle nowhere.json", 1, &["nowhere.json"]);
}

#[test]
fn an_exemption_that_has_expired_is_not_built_in() {
    let place = Place::new();
    place.write(
        "contracts/v2.yaml",
        "version: 1\ncontracts:\n  - {id: v2, endpoint: 'GET /api/things', owner: api}\n",
    );
    place.write(
        "contracts/exemptions.yaml",
        "version: 1\nexemptions:\n  - {rule: api-version-in-path, contract: v2, owner: api, \
         reason: the old clients are gone in spring, expires: 2026-06-30}\n",
    );
    // 2026-06-30 and the day after.
    place.ok(&format!("{BUILD} --created-at 1782777600"));
    let late = format!("{BUILD} --created-at 1782864000");
    place.refused(&late, 78, &["C148"]);
}
