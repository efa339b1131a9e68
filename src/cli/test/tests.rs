//! The verb: where self-tests come from, what is told, and the exit codes.

use std::fs;

use tempfile::TempDir;

use super::{FormatArg, TestArgs, test};
use crate::cli::offline::ConfigArg;

const MAIN: &str = "version: 1\nlisteners: [{bind: \"127.0.0.1:0\"}]\nupstreams:\n  main: {servers: [\"127.0.0.1:9000\"]}\ncontracts: contracts\n";
const CONTRACTS: &str =
    "version: 1\ncontracts:\n  - {id: fine, owner: me, endpoint: \"GET /fine\"}\n";
const GOOD: &str =
    "version: 1\ntests:\n  - {name: good, request: {url: /fine}, expect: {decision: ALLOW}}\n";
const BAD: &str =
    "version: 1\ntests:\n  - {name: bad, request: {url: /fine}, expect: {decision: DROP}}\n";

fn site(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("contracts")).expect("a folder");
    let plain = [("tidegate.yaml", MAIN), ("contracts/a.yaml", CONTRACTS)];
    for (name, text) in plain.iter().chain(files) {
        fs::write(folder.path().join(name), text).expect("written");
    }
    folder
}

fn args(folder: &TempDir, cases: &[&str]) -> TestArgs {
    TestArgs {
        cases: cases.iter().map(|case| folder.path().join(case)).collect(),
        config: ConfigArg {
            config: folder.path().join("tidegate.yaml"),
        },
        bundle: None,
        format: FormatArg::Pretty,
        list: false,
    }
}

#[test]
fn exit_codes_tell_what_came_of_it() {
    let named = format!("{MAIN}self_tests: cases.yaml\n");
    let folder = site(&[
        ("good.yaml", GOOD),
        ("bad.yaml", BAD),
        ("broken.yaml", "version: 1\ntests: 7\n"),
    ]);
    let with = site(&[
        ("tidegate.yaml", &named),
        ("cases.yaml", BAD),
        ("good.yaml", GOOD),
    ]);
    let none: &[&str] = &[];
    for (folder, cases, code) in [
        (&folder, ["good.yaml"].as_slice(), 0),
        (&folder, &["bad.yaml"], 3),
        (&folder, &["good.yaml", "bad.yaml"], 3),
        (&folder, &["broken.yaml"], 78),
        (&folder, &["nowhere.yaml"], 78),
        (&folder, &["good.yaml", "good.yaml"], 78),
        (&folder, none, 1),
        (&with, none, 3),
        // Files that are named are run instead of those of the configuration.
        (&with, &["good.yaml"], 0),
    ] {
        let outcome = test(&args(folder, cases));
        assert_eq!(outcome.code, code, "{cases:?}: {outcome:?}");
    }
}

#[test]
fn that_there_is_no_self_test_is_said() {
    let outcome = test(&args(&site(&[]), &[]));
    let said = "error: there is no self-test; name files of them, or add 'self_tests' to the \
                configuration\n";
    assert_eq!((outcome.stderr.as_str(), outcome.code), (said, 1));
}

#[test]
fn a_failure_explains_itself() {
    let folder = site(&[("bad.yaml", BAD), ("good.yaml", GOOD)]);
    let outcome = test(&args(&folder, &["bad.yaml", "good.yaml"]));
    let expected = "FAIL bad\n     decision: expected DROP, was ALLOW\n     found: ALLOW because of \
                    LOW_RISK_SCORE [LOW_RISK_SCORE], contract fine, tier control, way forward\n     \
                    risk: 0.00 % = the larger of distress 0.00 % and abuse 0.00 %; band low\n\
                    ok   good\n\n1 passed, 1 failed; policy 'default' 1.0.0, content digest ";
    assert!(outcome.stdout.starts_with(expected), "{}", outcome.stdout);
}

#[test]
fn machines_get_every_result() {
    let folder = site(&[("bad.yaml", BAD), ("good.yaml", GOOD)]);
    let of = |format| {
        let cases = ["bad.yaml", "good.yaml"];
        let args = args(&folder, &cases);
        test(&TestArgs { format, ..args }).stdout
    };
    let json: serde_json::Value = serde_json::from_str(&of(FormatArg::Json)).expect("JSON");
    assert_eq!((&json["passed"], &json["failed"]), (&1.into(), &1.into()));
    assert_eq!(json["tests"][0]["mismatches"][0]["expected"], "DROP");
    assert_eq!(json["tests"][0]["found"]["reasons"][0], "LOW_RISK_SCORE");
    assert_eq!(json["tests"][1]["passed"], true);
    let junit = of(FormatArg::Junit);
    for part in [
        "<testsuites tests=\"2\" failures=\"1\">",
        "<testcase classname=\"fine\" name=\"good\"/>",
        "<failure message=\"decision expected DROP, was ALLOW\">",
    ] {
        assert!(junit.contains(part), "{part}: {junit}");
    }
}

#[test]
fn a_list_runs_nothing() {
    let folder = site(&[("bad.yaml", BAD), ("good.yaml", GOOD)]);
    let listed = test(&TestArgs {
        list: true,
        ..args(&folder, &["good.yaml", "bad.yaml"])
    });
    assert_eq!((listed.stdout.as_str(), listed.code), ("bad\ngood\n", 0));
}
