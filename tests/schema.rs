//! JSON Schemas say what the readers take: neither more keys nor fewer, and the same values.
//!
//! Every value at its bounds and beyond goes to the reader and to the schema, so a bound that
//! changes in one place alone is found. The schemas themselves are judged by another house's
//! validator (PyPI `jsonschema`), which is skipped, loudly, where it is not installed.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

#[path = "schema/oracle.rs"]
mod oracle;
#[path = "schema/probes.rs"]
mod probes;
#[path = "schema/site.rs"]
mod site;
mod support;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use support::{files, read, relative, root};
use tidegate::bundle::public_base64;
use tidegate::bundle::root::Root;
use tidegate::schema::{DOCUMENTS, Document};
use tidegate::yaml::{Kind, Shape};

use oracle::Case;
use probes::Probe;
use site::Site;

/// Calls `see` with every kind of map below a shape, itself included.
fn each_shape(shape: &Shape, see: &mut dyn FnMut(&Shape)) {
    see(shape);
    for line in shape.lines {
        in_kind(&line.kind, see);
    }
}

fn in_kind(kind: &Kind, see: &mut dyn FnMut(&Shape)) {
    match kind {
        Kind::Map(shape) => each_shape(shape, see),
        Kind::List { of, .. } | Kind::Named { of, .. } => in_kind(of, see),
        Kind::Either(kinds) => kinds.iter().for_each(|kind| in_kind(kind, see)),
        _ => {}
    }
}

fn fail_with(problems: &[String]) {
    let count = problems.len();
    assert!(
        problems.is_empty(),
        "{count} problem(s):\n{}",
        problems.join("\n")
    );
}

// R116
#[test]
fn every_key_that_is_read_has_a_line_and_every_line_a_key() {
    let mut problems = Vec::new();
    for document in DOCUMENTS {
        each_shape(&document.shape, &mut |shape| {
            let what = shape.keys.what;
            let known: BTreeSet<&str> = shape.keys.known.iter().copied().collect();
            let lines: BTreeSet<&str> = shape.lines.iter().map(|line| line.key).collect();
            if lines.len() != shape.lines.len() {
                problems.push(format!("{what} has a line twice"));
            }
            for key in known.difference(&lines) {
                problems.push(format!(
                    "{what} reads '{key}', and its schema does not know it: add \
                     Line::new(\"{key}\", KIND, \"what it says\") to the shape of {what}"
                ));
            }
            for key in lines.difference(&known) {
                problems.push(format!(
                    "the schema of {what} has '{key}', which nobody reads: remove its line"
                ));
            }
        });
    }
    fail_with(&problems);
}

/// A kind of map that no shape describes would be in no schema.
#[test]
fn every_table_of_keys_is_in_a_schema() {
    let mut described = BTreeSet::new();
    for document in DOCUMENTS {
        each_shape(&document.shape, &mut |shape| {
            described.insert(shape.keys.what);
        });
    }
    let mut problems = Vec::new();
    let mut found = 0;
    for path in files("src", ".rs") {
        let (name, text) = (relative(&path), read(&path));
        if name == "src/yaml/sheet.rs" {
            continue;
        }
        let plain = text.split("Keys::plain(").skip(1);
        let written = text.split("Keys = Keys {").skip(1);
        for rest in plain.chain(written) {
            let what = rest.split('"').nth(1).unwrap_or_default();
            found += 1;
            if !described.contains(what) {
                problems.push(format!(
                    "{name}: the keys of \"{what}\" are in no schema: write a Shape beside them \
                     and name it in a line of its file, or in DOCUMENTS of src/schema/mod.rs"
                ));
            }
        }
    }
    assert!(
        found > 20,
        "only {found} tables found: the scan passes for the wrong reason"
    );
    fail_with(&problems);
}

// R116
#[test]
fn the_committed_schemas_are_those_of_this_program() {
    let folder = root().join("schemas");
    let expected: BTreeSet<String> = DOCUMENTS.iter().map(Document::file_name).collect();
    let found: BTreeSet<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(found, expected);
    for document in DOCUMENTS {
        let text = std::fs::read_to_string(folder.join(document.file_name())).unwrap();
        let is_current = text == document.text();
        assert!(
            is_current,
            "{}: stale; run: tidegate schema --out schemas",
            document.name
        );
    }
}

// R117
#[test]
fn schemas_are_made_in_less_than_a_second() {
    let make = || {
        let began = std::time::Instant::now();
        let bytes: usize = DOCUMENTS.iter().map(|document| document.text().len()).sum();
        (began.elapsed(), bytes)
    };
    // The fastest of five: a machine may stand still meanwhile.
    let (took, bytes) = (0..5).map(|_| make()).min().unwrap();
    println!(
        "{} schemas, {bytes} bytes, in {took:?}; goal: below 1 s",
        DOCUMENTS.len()
    );
    assert!(took.as_secs() < 1, "{took:?}");
}

// R116, R110: the readers take what the schemas say, and nothing else.
#[test]
fn readers_take_what_the_schemas_say() {
    let site = Site::new();
    assert_eq!(
        site.findings(),
        Vec::<(String, String)>::new(),
        "the full files pass"
    );
    let mut problems = Vec::new();
    let mut cases = Vec::new();
    let mut count = 0;
    for document in site::DOCUMENTS {
        let shape = oracle::document(document.name).shape;
        let full = (document.full)();
        for Probe { at, value, verdict } in probes::of(&shape, &full) {
            count += 1;
            let changed = probes::changed(&full, &at, value.clone());
            let found = site.findings_of(document.file, &changed);
            let shown: String = json!(value).to_string().chars().take(60).collect();
            let about = format!("{}{at} = {shown}", document.name);
            if let Some(problem) = verdict.contradicts(&found) {
                problems.push(format!("{about}: {problem}"));
            }
            if let Some(valid) = verdict.is_valid() {
                cases.push(Case {
                    schema: document.name,
                    instance: changed,
                    valid,
                    about,
                });
            }
        }
    }
    println!("{count} values probed");
    assert!(count > 300, "only {count} values probed");
    fail_with(&problems);
    oracle::judge(&cases);
}

/// A root whose one principal may do everything.
fn root_of_one() -> Value {
    let key = ed25519_dalek::SigningKey::from_bytes(&[1; 32]).verifying_key();
    json!({
        "audience": "edge",
        "epoch": 1,
        "expires_at_us": 1,
        "format_version": 1,
        "groups": { "team": ["me"] },
        "principals": [{
            "keys": [public_base64(&key)], "name": "me",
            "roles": ["approver", "author", "root", "security"],
        }],
        "production": true,
        "thresholds": { "authority": 1, "breaking": 1, "breakglass": 1, "loosen": 1, "root": 1,
                        "tighten": 1 },
        "version": 1,
    })
}

/// Its reader has one code for all faults, so a value that is refused for what stands beside it looks
/// like one that is none: what the schema takes is compared only where the reader takes it too.
#[test]
fn a_root_that_its_schema_refuses_is_refused() {
    let read = |value: &Value| Root::read(&serde_json_canonicalizer::to_vec(value).unwrap());
    let full = root_of_one();
    let case = |instance, valid, about| Case {
        schema: "root",
        instance,
        valid,
        about,
    };
    assert!(read(&full).is_ok(), "{:?}", read(&full));
    let mut cases = vec![case(full.clone(), true, "a root".to_owned())];
    for Probe { at, value, verdict } in probes::of(&oracle::document("root").shape, &full) {
        let changed = probes::changed(&full, &at, value);
        match verdict.is_valid() {
            Some(false) => assert!(read(&changed).is_err(), "{at}: {changed}"),
            _ if read(&changed).is_ok() => {}
            _ => continue,
        }
        let valid = verdict.is_valid() == Some(true);
        cases.push(case(changed, valid, at));
    }
    assert!(cases.len() > 100, "only {} roots", cases.len());
    oracle::judge(&cases);
}

/// Forms cannot be probed at their bounds: here are values on both sides.
#[test]
fn forms_say_what_the_readers_say() {
    let site = Site::new();
    let stage = "/contracts/0/stage";
    let mode = "/stages/latency/mode";
    let table = [
        ("contract", stage, "shadow", true),
        ("contract", stage, "retired", true),
        ("contract", stage, "canary 10%", true),
        ("contract", stage, "canary 0.25%", true),
        ("contract", stage, "canary 100.00%", true),
        ("contract", stage, "canary 100.01%", false),
        ("contract", stage, "canary 0.255%", false),
        ("contract", stage, "canary 10", false),
        ("contract", stage, "canary", false),
        (
            "contract",
            "/contracts/0/stage/remove_by",
            "2026-1-1",
            false,
        ),
        ("contract", "/contracts/0/id", "A", false),
        ("contract", "/contracts/0/endpoint", "/a", false),
        ("contract", "/contracts/0/per_client/key", "peer", true),
        (
            "contract",
            "/contracts/0/per_client/key",
            "header:X-Api-Key",
            true,
        ),
        ("contract", "/contracts/0/per_client/key", "cookie", false),
        ("policy", mode, "canary 50%", true),
        ("policy", mode, "retired", false),
        ("policy", "/policy_version", "2.0.0-rc.1+a_b", true),
        ("policy", "/policy_version", "2 0", false),
        ("configuration", "/trusted_proxies/0", "2001:db8::/32", true),
        (
            "configuration",
            "/trusted_proxies/0",
            "proxy.example",
            false,
        ),
        ("configuration", "/listeners/0/bind", "[::1]:0", true),
        ("configuration", "/listeners/0/bind", "localhost", false),
    ];
    let mut cases = Vec::new();
    for (name, at, value, holds) in table {
        let document = site::document(name);
        let changed = probes::changed(&(document.full)(), at, json!(value));
        let found = site.findings_of(document.file, &changed);
        assert_eq!(found.is_empty(), holds, "{name}{at} = {value}: {found:?}");
        cases.push(Case {
            schema: name,
            instance: changed,
            valid: holds,
            about: format!("{name}{at} = {value}"),
        });
    }
    oracle::judge(&cases);
}

/// The ledger of the shipped traffic.
fn simulated() -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("l");
    let ran = std::process::Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args([
            "simulate",
            "examples/traffic.jsonl",
            "-c",
            "tidegate.yaml",
            "--ledger",
        ])
        .arg(&ledger)
        .current_dir(root())
        .output()
        .unwrap();
    assert!(ran.status.success(), "{ran:?}");
    let text = read(&ledger.join("seg-0000000000000000.jsonl"));
    let records = text.lines().map(|line| serde_json::from_str(line).unwrap());
    records.collect()
}

/// What is shipped passes, and so do records.
#[test]
fn shipped_files_and_records_are_valid() {
    let mut cases = Vec::new();
    let mut add = |schema, about: String, instance| {
        cases.push(Case {
            schema,
            instance,
            valid: true,
            about,
        });
    };
    for (schema, folder, ends) in [
        ("contract", "contracts", ".yaml"),
        ("policy", "policies", ".yaml"),
        ("self-tests", "self-tests", ".yaml"),
        ("contract", "examples", "contracts.yaml"),
    ] {
        for path in files(folder, ends) {
            let name = relative(&path);
            let schema = beside_contracts(&name).unwrap_or(schema);
            add(schema, name, oracle::yaml(&read(&path)).unwrap());
        }
    }
    let main = root().join("tidegate.yaml");
    add(
        "configuration",
        "tidegate.yaml".to_owned(),
        oracle::yaml(&read(&main)).unwrap(),
    );
    for (number, record) in simulated().into_iter().enumerate() {
        if record["kind"] == "decision" {
            add("decision-record", format!("record {number}"), record);
        }
    }
    assert!(cases.len() > 100, "only {} files and records", cases.len());
    oracle::judge(&cases);
}

/// The faults that a schema can know of.
const STRUCTURAL: [&str; 9] = [
    "C009", "C010", "C011", "C012", "C013", "C014", "C015", "C109", "C202",
];

/// Every file of `tests/bad_files`: those with a structural fault are not valid, those without any
/// finding are.
#[test]
fn files_with_structural_faults_are_not_valid() {
    let mut cases = Vec::new();
    for path in files("tests/bad_files", ".txt") {
        let text = read(&path);
        for case in text.split("\n## ").skip(1) {
            let (title, _) = case.split_once('\n').unwrap();
            let (given, expected) = case.split_once("\n=== expect\n").unwrap_or((case, ""));
            for file in given.split("\n=== ").skip(1) {
                let (name, content) = file.split_once('\n').unwrap_or((file, ""));
                let Some(schema) = schema_of(name) else {
                    continue;
                };
                let Some(instance) = oracle::yaml(content) else {
                    continue;
                };
                let found: Vec<&str> = expected
                    .lines()
                    .filter(|line| line.starts_with(name))
                    .collect();
                // To a schema 1.0 is 1, and nothing is said of a policy that is not named.
                let is_named = schema != "policy" || given.contains("policy: policy.yaml");
                if content.starts_with("version: 1.0\n") || !is_named {
                    continue;
                }
                let is_structural = found.iter().any(|line| {
                    line.split(' ')
                        .nth(1)
                        .is_some_and(|code| STRUCTURAL.contains(&code))
                });
                if is_structural || found.is_empty() && expected.contains(" C") {
                    cases.push(Case {
                        schema,
                        instance,
                        valid: !is_structural,
                        about: format!("{}: {title}: {name}", relative(&path)),
                    });
                }
            }
        }
    }
    let bad = cases.iter().filter(|case| !case.valid).count();
    println!(
        "{bad} files with structural faults, {} without a finding",
        cases.len() - bad
    );
    assert!(bad > 30, "only {bad}");
    oracle::judge(&cases);
}

fn schema_of(name: &str) -> Option<&'static str> {
    match name {
        "tidegate.yaml" => Some("configuration"),
        "policy.yaml" => Some("policy"),
        "charter.yaml" => Some("charter"),
        "cases.yaml" => Some("self-tests"),
        _ if name.starts_with("cases/") => Some("self-tests"),
        _ if beside_contracts(name).is_some() => beside_contracts(name),
        _ => (name.starts_with("contracts/") && name.ends_with(".yaml")).then_some("contract"),
    }
}

/// The files of a contracts folder that are none of contracts.
fn beside_contracts(name: &str) -> Option<&'static str> {
    match name {
        "contracts/OWNERS.yaml" => Some("owners"),
        "contracts/exemptions.yaml" => Some("exemptions"),
        _ => None,
    }
}
