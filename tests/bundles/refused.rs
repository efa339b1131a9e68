//! What is refused, with which exit code and which words.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::place::Place;

const VERIFY: &str = "bundle verify b.json --root root.json";

fn code_of(place: &Place, words: &str) -> (i32, String) {
    let ran = place.run(&format!("{words} --format json"));
    let code = ran.json()["refusal"]["code"]
        .as_str()
        .unwrap_or("")
        .to_owned();
    (ran.code, code)
}

// R106
#[test]
fn each_reason_has_its_code_and_its_exit_code() {
    let place = Place::new();
    let check = |words: &str, expected: (i32, &str)| {
        let found = code_of(&place, words);
        assert_eq!((found.0, found.1.as_str()), expected, "{words}");
    };
    place.bundle("b.json", "", &["alice", "bob", "carol"]);
    check(VERIFY, (0, ""));
    let digest = place.ok(&format!("{VERIFY} --format json")).json();
    for name in ["digest", "content_digest"] {
        let expected = digest[name].as_str().unwrap();
        check(&format!("{VERIFY} --expect {expected}"), (0, ""));
    }
    let whole = digest["digest"].as_str().unwrap();
    check(&format!("{VERIFY} --expect {}", &whole[..12]), (0, ""));
    let other = format!("{VERIFY} --expect {}", "0".repeat(64));
    check(&other, (65, "DIGEST_UNEXPECTED"));
    place.refused(&other, 65, &["error: DIGEST_UNEXPECTED: "]);
    for none in ["abc", &whole[..11], "v1"] {
        place.refused(&format!("{VERIFY} --expect {none}"), 2, &["64 hex digits"]);
    }

    place.bundle("b.json", "", &["alice"]);
    check(VERIFY, (1, "THRESHOLD_NOT_MET"));
    place.bundle("b.json", "", &[]);
    place.ok("bundle sign --root root.json --key bob.key --key carol.key b.json");
    check(VERIFY, (1, "AUTHOR_MISSING"));
    place.bundle(
        "b.json",
        "--created-at 1000000000",
        &["alice", "bob", "carol"],
    );
    check(VERIFY, (1, "EXPIRED"));
    place.bundle(
        "b.json",
        "--created-at 4000000000",
        &["alice", "bob", "carol"],
    );
    check(VERIFY, (1, "NOT_YET_VALID"));

    place.bundle("new.json", "--serial 2", &["alice", "bob", "carol"]);
    place.bundle("b.json", "--serial 1", &["alice", "bob", "carol"]);
    check(
        &format!("{VERIFY} --active new.json"),
        (1, "ROLLBACK_REJECTED"),
    );
    place.bundle(
        "b.json",
        "--serial 2 --name other",
        &["alice", "bob", "carol"],
    );
    check(&format!("{VERIFY} --active new.json"), (1, "SERIAL_REUSED"));
    place.bundle("b.json", "--serial 3", &["alice", "bob", "carol"]);
    check(
        &format!("{VERIFY} --active new.json"),
        (1, "PARENT_UNKNOWN"),
    );
    place.bundle("b.json", "--parent new.json", &["alice", "bob", "carol"]);
    check(&format!("{VERIFY} --active new.json"), (0, ""));

    check(
        "bundle verify root.json --root root.json",
        (65, "PAYLOAD_TYPE"),
    );
    place.write("b.json", "{}");
    check(VERIFY, (65, "ENVELOPE_MALFORMED"));
    place.refused("bundle verify b.json --root nowhere", 1, &["nowhere"]);
    place.refused("bundle verify b.json", 2, &["--root"]);
}

// R106
#[test]
fn a_flipped_bit_is_another_exit_code_than_a_missing_signature() {
    let place = Place::new();
    place.bundle("b.json", "", &["alice", "bob", "carol"]);
    let good = fs::read(place.path("b.json")).unwrap();
    // Every bit is flipped where no process has to be started for each: src/bundle/verify/tests.
    for at in [0, 20, good.len() / 2, good.len() - 100, good.len() - 4] {
        let mut flipped = good.clone();
        flipped[at] ^= 4;
        fs::write(place.path("b.json"), &flipped).unwrap();
        place.refused(VERIFY, 65, &["error: bundle b.json: ", "; "]);
    }
    fs::write(place.path("b.json"), &good).unwrap();
    place.ok(VERIFY);
}

// R105
#[test]
fn a_key_that_the_root_does_not_know_does_not_sign() {
    let place = Place::new();
    place.ok("bundle keygen --out mallory.key");
    let build = "bundle build -o b.json --root root.json --author alice";
    place.refused(&format!("{build} --key mallory.key"), 2, &["no principal"]);
    assert!(!place.path("b.json").exists(), "nothing was written");
    place.bundle("b.json", "", &["alice", "bob", "carol"]);
    let before = fs::read(place.path("b.json")).unwrap();
    place.refused(
        "bundle sign --root root.json --key mallory.key b.json",
        1,
        &["error: UNKNOWN_KEY: mallory.key"],
    );
    place.refused(
        "bundle sign --root root.json --key bob.key b.json",
        1,
        &["SIGNATURE_TWICE"],
    );
    assert_eq!(fs::read(place.path("b.json")).unwrap(), before);
    let warned = place.ok("bundle sign --key mallory.key b.json").err;
    assert!(warned.contains("nobody checked the key"), "{warned}");
    let found = code_of(&place, VERIFY);
    assert_eq!(found, (65, "UNKNOWN_KEY".to_owned()));
    let told = place.run(VERIFY).err;
    let id = told.split("key ").nth(1).unwrap();
    let id = id.split(' ').next().unwrap();
    place.refused("bundle sign b.json", 2, &["--key"]);
    place.refused("bundle sign --remove abc b.json", 2, &["12"]);
    let none = format!("bundle sign --remove {} b.json", "0".repeat(12));
    place.refused(&none, 1, &["0 signatures"]);
    place.ok(&format!("bundle sign --remove {id} b.json"));
    assert_eq!(fs::read(place.path("b.json")).unwrap(), before);
    place.ok(VERIFY);
    place.refused(
        "bundle sign --key alice.key root.json",
        65,
        &["PAYLOAD_TYPE"],
    );
}

#[test]
fn a_private_key_is_its_owners_alone() {
    let place = Place::new();
    let path = place.path("alice.key");
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    let before = fs::read(&path).unwrap();
    place.refused(
        "bundle keygen --out alice.key",
        1,
        &[
            "error: BUNDLE_KEY: alice.key: it is there already",
            "name another file",
        ],
    );
    assert!(
        !place
            .run("bundle keygen --out no/a.key")
            .err
            .contains("(os error 2): ")
    );
    assert_eq!(fs::read(&path).unwrap(), before);
    place.bundle("b.json", "", &[]);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    place.refused(
        "bundle sign --key alice.key b.json",
        1,
        &["0644", "tidegate bundle keygen"],
    );
    for verb in [
        "bundle sign --key none.key b.json",
        "root sign --key none.key root.json",
    ] {
        let told = ["error: BUNDLE_KEY: none.key", "tidegate bundle keygen"];
        place.refused(verb, 1, &told);
    }
}

#[test]
fn what_could_not_come_into_force_is_not_built() {
    let place = Place::new();
    let build = "bundle build -o b.json --root root.json --author";
    place.refused(
        &format!("{build} mallory"),
        2,
        &["may not author", "alice, bob, carol"],
    );
    place.refused("bundle build -o b.json --author alice", 2, &["--root"]);
    place.refused(
        &format!("{build} alice --key bob.key"),
        2,
        &["--key is of bob", "the author is 'alice'"],
    );
    place.refused(
        &format!("{build} alice --tier-max high"),
        2,
        &["observe_only"],
    );
    place.refused(
        &format!("{build} alice --name Edge"),
        2,
        &["name is 1 to 64"],
    );
    place.refused(&format!("{build} alice --breakglass fire"), 2, &["--for"]);
    place.bundle("p.json", "", &[]);
    let emergency = format!("{build} alice --parent p.json --breakglass fire --for");
    place.refused(&format!("{emergency} 5h"), 2, &["at most 4h"]);
    place.ok(&format!("{emergency} 4h"));
    fs::remove_file(place.path("b.json")).unwrap();
    place.write("contracts/a.yaml", "version: 1\ncontracts: [{ id: 7 }]\n");
    place.refused(&format!("{build} alice"), 78, &["contracts/a.yaml"]);
    assert!(!place.path("b.json").exists());
}

// R106
#[test]
fn what_too_few_have_signed_is_told_with_what_is_missing() {
    let place = Place::new();
    place.bundle("b.json", "", &["alice", "bob", "carol"]);
    place.contract("a", 600);
    place.bundle("next.json", "--parent b.json", &["alice"]);
    let verify = "bundle verify next.json --root root.json --active b.json";
    let check = |code: &str, expected: serde_json::Value| {
        let ran = place.run(&format!("{verify} --format json"));
        let told = ran.json();
        assert_eq!((ran.code, &told["refusal"]["code"]), (1, &code.into()));
        assert_eq!(told["classes"], serde_json::json!(["LOOSEN"]), "{told}");
        let missing = &told["missing"];
        let found = ["author", "count", "security", "owners", "candidates"];
        let found = found.map(|name| missing[name].clone());
        assert_eq!(serde_json::json!([told["signers"], found]), expected);
    };
    use serde_json::json;
    check(
        "THRESHOLD_NOT_MET",
        json!([["alice"], [null, 2, true, [], ["bob", "carol"]]]),
    );
    let told = place.run(verify);
    for line in [
        "signed    by alice",
        "classes   LOOSEN",
        "missing   2 more approvers, one with the role security; could come from bob, carol",
    ] {
        assert!(told.out.contains(line), "{told:?}");
    }
    assert!(told.err.contains("THRESHOLD_NOT_MET"), "{told:?}");
    place.bundle("next.json", "--parent b.json", &["alice", "carol"]);
    check(
        "THRESHOLD_NOT_MET",
        json!([["alice", "carol"], [null, 1, false, [], ["bob"]]]),
    );
    place.bundle("next.json", "--parent b.json", &[]);
    place.ok("bundle sign --root root.json --key bob.key --key carol.key next.json");
    check(
        "AUTHOR_MISSING",
        json!([["bob", "carol"], ["alice", 0, false, [], []]]),
    );
}

#[test]
fn who_builds_is_told_what_it_takes() {
    let place = Place::new();
    place.bundle("b.json", "", &["alice"]);
    place.contract("a", 600);
    let build = "bundle build --root root.json --author alice --parent b.json -o";
    let ran = place.ok(&format!("{build} next.json --key alice.key"));
    for line in ["classes   LOOSEN\n", "missing   2 more approvers"] {
        assert!(ran.out.contains(line), "{ran:?}");
    }
    let ran = place.ok(&format!("{build} c.json --tier-max autonomous"));
    assert!(
        ran.err.contains("no gateway of this version runs"),
        "{ran:?}"
    );
    let ran = place.ok(&format!("{build} d.json --serial 1"));
    assert!(ran.err.contains("SERIAL_REUSED"), "{ran:?}");
}

#[test]
fn who_applies_names_a_whole_digest() {
    let place = Place::new();
    for none in ["abc", "0123456789ab", ""] {
        let words = format!("bundle apply b.json --if-match={none}");
        place.refused(&words, 2, &["--if-match", "'none'"]);
    }
}

#[test]
fn a_revert_brings_back_the_content_under_a_new_serial() {
    let place = Place::new();
    place.bundle("b.json", "", &[]);
    place.contract("a", 30);
    place.bundle("next.json", "--parent b.json", &[]);
    place.bundle("back.json", "--parent next.json --revert-of b.json", &[]);
    let read = |file: &str| {
        place
            .ok(&format!(
                "bundle verify {file} --allow-unsigned --format json"
            ))
            .json()
    };
    let (first, next, back) = (read("b.json"), read("next.json"), read("back.json"));
    assert_eq!(back["content_digest"], first["content_digest"]);
    assert_ne!(back["content_digest"], next["content_digest"]);
    assert_eq!(
        (&back["serial"], &back["parent"]),
        (&3.into(), &next["digest"])
    );
}
