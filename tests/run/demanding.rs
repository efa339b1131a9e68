//! What is demanded of a gateway beside its files: a lower tier, another place, one policy.

use serde_json::Value;

use crate::installation::{Installation, Ran};
use crate::process::Process;
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
