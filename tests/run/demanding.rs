//! What is demanded of a gateway beside its files: a lower tier, another place, one policy.

use serde_json::Value;

use crate::installation::{Installation, Ran};
use crate::process::Process;
use crate::signing::{ALL, bundle, digest as bundle_digest, root};
use crate::wire::{Upstream, nobody};

/// The start with these variables, which must fail.
fn in_vain(installation: &Installation, variables: &[(&str, &str)]) -> Ran {
    let mut command = installation.command("run");
    command.envs(variables.iter().copied());
    Ran::of(command.output().unwrap())
}

/// The digest that `check` prints.
fn digest(installation: &Installation) -> String {
    let ran = Ran::of(installation.command("check").output().unwrap());
    let (_, digest) = ran.stdout.split_once("content digest ").unwrap();
    digest.trim().to_owned()
}

// R120
#[test]
fn a_tier_above_that_of_the_files_ends_the_start() {
    let installation = Installation::in_front_of(nobody()).controlling();
    installation.write();
    for tier in ["AUTONOMOUS", "autonomous"] {
        let ran = in_vain(&installation, &[("TIDEGATE_TIER", tier)]);
        assert_eq!(ran.code, Some(78), "{ran:?}");
        for part in [
            "C303",
            "TIDEGATE_TIER asks for 'autonomous'",
            "'control' at most",
        ] {
            assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
        }
    }
    let ran = in_vain(&installation, &[("TIDEGATE_TIER", "all")]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(!installation.path("state").exists(), "nothing was made");
}

// R120
#[test]
fn a_lower_tier_and_another_ledger_hold_over_reloads() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address).controlling();
    let elsewhere = installation.path("elsewhere");
    let demands = [
        ("TIDEGATE_TIER", "observe_only"),
        ("TIDEGATE_LEDGER_DIR", elsewhere.to_str().unwrap()),
    ];
    let process = Process::start_with(&installation, &demands);
    let tier = |process: &Process| process.status()["tier"].clone();
    assert_eq!(tier(&process), "OBSERVE_ONLY");
    assert_eq!(process.request("DELETE", "/api/v1/status").status(), 200);
    let installation = installation.policy("policy_version: 2.0.0");
    installation.write();
    let told: Value = serde_json::from_slice(&process.post("/v1/reload", "{}").body).unwrap();
    assert_eq!(told["result"], "activated", "{told}");
    assert_eq!(told["needs_restart"], Value::Array(vec![]), "{told}");
    assert_eq!(tier(&process), "OBSERVE_ONLY");
    process.stop();
    assert!(elsewhere.join("seg-0000000000000000.jsonl").exists());
}

// R120
#[test]
fn only_the_expected_policy_is_put_in_force() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address);
    installation.write();
    let digest = digest(&installation);
    for wanted in ["9.9.9", &digest[..11], &"0".repeat(64)] {
        let ran = in_vain(&installation, &[("TIDEGATE_EXPECT_POLICY", wanted)]);
        assert_eq!(ran.code, Some(78), "{ran:?}");
        assert!(ran.stderr.contains("C319"), "{}", ran.stderr);
        assert!(ran.stderr.contains(&digest), "{}", ran.stderr);
    }
    assert!(!installation.path("state").exists(), "nothing was made");
    Process::start_with(&installation, &[("TIDEGATE_EXPECT_POLICY", "1.0.0")]).stop();
    let expected = [("TIDEGATE_EXPECT_POLICY", &digest[..12])];
    let process = Process::start_with(&installation, &expected);
    let installation = installation.policy("weights: { latency: 0.1 }");
    installation.write();
    let answer = process.post("/v1/reload", "{}");
    let told: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        (answer.status(), &told["result"]),
        (422, &"refused".into()),
        "{told}"
    );
    assert!(told.to_string().contains("C319"), "{told}");
    assert_eq!(process.status()["policy_hash"], digest.as_str());
    process.stop();
}

/// A gateway with a root and one bundle in its folder.
fn of_bundles(upstream: &Upstream, first: &[u8]) -> Installation {
    let installation = Installation::in_front_of(upstream.address)
        .controlling()
        .with("contracts: contracts\npolicy: policy.yaml\n", "")
        .and("bundle: {root: root.json, dir: bundles}")
        .and("watch: false");
    installation.write();
    std::fs::write(installation.path("root.json"), root()).unwrap();
    std::fs::create_dir(installation.path("bundles")).unwrap();
    put(&installation, first);
    installation
}

fn put(installation: &Installation, bytes: &[u8]) {
    std::fs::write(installation.path("bundles/bundle.json"), bytes).unwrap();
}

// R120
#[test]
fn demands_hold_for_bundles_over_reloads() {
    let upstream = Upstream::ok();
    let installation = of_bundles(&upstream, &bundle(1, None, &["a"], ALL));
    let elsewhere = installation.path("elsewhere");
    let demands = [
        ("TIDEGATE_TIER", "observe_only"),
        ("TIDEGATE_LEDGER_DIR", elsewhere.to_str().unwrap()),
    ];
    let process = Process::start_with(&installation, &demands);
    for _ in 0..2 {
        assert_eq!(process.status()["tier"], "OBSERVE_ONLY");
        assert_eq!(process.get("/nowhere").status(), 200);
        let told: Value = serde_json::from_slice(&process.post("/v1/reload", "{}").body).unwrap();
        assert_eq!(told["result"], "unchanged", "{told}");
        assert_eq!(told["needs_restart"], Value::Array(vec![]), "{told}");
    }
    process.stop();
    assert!(elsewhere.join("seg-0000000000000000.jsonl").exists());
}

// R120
#[test]
fn a_bundle_of_another_policy_is_refused() {
    let upstream = Upstream::ok();
    let one = bundle(1, None, &["a"], ALL);
    let installation = of_bundles(&upstream, &one);
    let process = Process::start(&installation);
    let content = process.status()["policy_hash"].as_str().unwrap().to_owned();
    process.stop();
    let other = "0".repeat(64);
    let ran = in_vain(&installation, &[("TIDEGATE_EXPECT_POLICY", &other)]);
    assert_eq!(ran.code, Some(78), "{ran:?}");
    for part in ["POLICY_UNEXPECTED", other.as_str(), content.as_str()] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    assert_eq!(
        installation.verify(&[]).code,
        Some(0),
        "what it wrote is whole"
    );
    let expected = [("TIDEGATE_EXPECT_POLICY", &content[..12])];
    let process = Process::start_with(&installation, &expected);
    let two = bundle(2, Some(&one), &["a", "b"], ALL);
    put(&installation, &two);
    let told: Value = serde_json::from_slice(&process.post("/v1/reload", "{}").body).unwrap();
    assert!(told.to_string().contains("POLICY_UNEXPECTED"), "{told}");
    let status = process.status();
    assert_eq!(
        status["bundle"]["active"]["digest"],
        bundle_digest(&one).as_str()
    );
    assert_eq!(status["policy_hash"], content.as_str());
    process.stop();
    // The expected one lies in the folder: a start takes it.
    let process = Process::start(&installation);
    let content = process.status()["policy_hash"].as_str().unwrap().to_owned();
    process.stop();
    std::fs::remove_dir_all(installation.path("state")).unwrap();
    put(&installation, &one);
    Process::start(&installation).stop();
    put(&installation, &two);
    let expected = [("TIDEGATE_EXPECT_POLICY", content.as_str())];
    Process::start_with(&installation, &expected).stop();
}
