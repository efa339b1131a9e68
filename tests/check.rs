//! `check` on bad files: each case of tests/bad_files is a small set of files and the findings
//! that are expected, as `file:line:column code`.
//!
//! A case begins with `## name`. `=== path` begins a file; `=== path = text` is one whose
//! content is described (see `special`); `=== expect` begins the findings. Files that a case
//! does not have are those of a good installation. `\t` and the like are not interpreted.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test or a benchmark may fail"
)]

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use tidegate::cli::check::{CheckArgs, FormatArg, check};
use tidegate::config::load;
use tidegate::diagnostic::error_count;
use tidegate::policy::canonical;

const MAIN: &str = "version: 1\nlisteners: [{bind: \"127.0.0.1:0\"}]\nupstreams:\n  main: {servers: [\"127.0.0.1:9000\"]}\ncontracts: contracts\npolicy: policy.yaml\n";
const CONTRACTS: &str =
    "version: 1\ncontracts:\n  - {id: fine, owner: me, endpoint: \"GET /fine\"}\n";
const POLICY: &str = "version: 1\nname: test\n";

struct Case<'t> {
    name: &'t str,
    files: Vec<(&'t str, Vec<u8>)>,
    expected: Vec<&'t str>,
}

/// Contents that cannot stand in a text file, or would be too long.
fn special(name: &str) -> Vec<u8> {
    match name {
        "nothing" => Vec::new(),
        "latin1" => b"version: 1\nname: caf\xe9\n".to_vec(),
        "huge" => vec![b'#'; (1 << 20) + 1],
        "deep" => [b"version: 1\nname: ".as_slice(), &[b'['; 40]].concat(),
        "nul" => b"version: 1\nname: a\0b\n".to_vec(),
        "many" => (0..250).fold(
            b"version: 1\ncontracts: []\n".to_vec(),
            |mut text, number| {
                text.extend_from_slice(format!("unknown{number}: 1\n").as_bytes());
                text
            },
        ),
        other => panic!("no special content '{other}'"),
    }
}

fn parse(text: &str) -> Vec<Case<'_>> {
    let mut cases = Vec::new();
    for part in text.split("\n## ").skip(1) {
        let (name, body) = part.split_once('\n').unwrap();
        let mut case = Case {
            name,
            files: Vec::new(),
            expected: Vec::new(),
        };
        for section in body.split("=== ").skip(1) {
            let (head, content) = section.split_once('\n').unwrap_or((section, ""));
            match head.split_once(" = ") {
                None if head == "expect" => {
                    case.expected = content.lines().filter(|l| !l.is_empty()).collect();
                }
                None => case.files.push((head, content.as_bytes().to_vec())),
                Some((path, what)) => case.files.push((path, special(what))),
            }
        }
        cases.push(case);
    }
    cases
}

/// Writes the files of a case over a good installation, and gives the findings.
fn findings(case: &Case<'_>) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, content: &[u8]| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    let has = |path: &str| case.files.iter().any(|(file, _)| file.starts_with(path));
    for (path, content) in [("tidegate.yaml", MAIN), ("policy.yaml", POLICY)] {
        if !has(path) {
            write(path, content.as_bytes());
        }
    }
    if !has("contracts/") {
        write("contracts/fine.yaml", CONTRACTS.as_bytes());
    }
    for (path, content) in &case.files {
        write(path, content);
    }
    let before = listing(folder.path());
    let result = load(&folder.path().join("tidegate.yaml"));
    assert_eq!(
        listing(folder.path()),
        before,
        "{}: side effects",
        case.name
    );
    let found = match result {
        Ok(loaded) => loaded.warnings,
        Err(found) => found,
    };
    let prefix = format!("{}/", folder.path().display());
    let shown = found.iter().map(|diagnostic| {
        assert!(!diagnostic.remedy.is_empty(), "{}", case.name);
        let file = diagnostic.file.replace(&prefix, "");
        let message = diagnostic.message.replace(&prefix, "");
        let place = diagnostic.place;
        let code = diagnostic.code.as_str();
        format!(
            "{file}:{}:{} {code} {message} | {}",
            place.line, place.column, diagnostic.remedy
        )
    });
    shown.collect()
}

fn listing(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            names.extend(listing(&path));
        }
        names.push(path.display().to_string());
    }
    names.sort();
    names
}

#[test]
fn bad_files_give_exactly_the_findings_of_their_cases() {
    let mut count = 0;
    let mut files: Vec<_> = fs::read_dir("tests/bad_files")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let mut failures = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for case in parse(&text) {
            count += 1;
            let found = findings(&case);
            // An expectation is the beginning of a finding, and after ` ~ ` a part of it.
            let fits = found.len() == case.expected.len()
                && found.iter().zip(&case.expected).all(|(found, expected)| {
                    let (start, part) = expected.split_once(" ~ ").unwrap_or((expected, ""));
                    found.starts_with(start) && found.contains(part)
                });
            if !fits {
                let expected = case.expected.join("\n  ");
                let found = found.join("\n  ");
                failures.push(format!(
                    "{}: {}\n expected\n  {expected}\n found\n  {found}",
                    file.display(),
                    case.name
                ));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert!(count >= 60, "{count} cases");
}

#[test]
fn check_says_what_it_found_and_exits_with_78() {
    // R031
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("contracts")).unwrap();
    let main = folder.path().join("tidegate.yaml");
    fs::write(&main, MAIN).unwrap();
    fs::write(folder.path().join("policy.yaml"), POLICY).unwrap();
    let contracts = folder.path().join("contracts/a.yaml");
    fs::write(&contracts, CONTRACTS).unwrap();
    let args = |format, deny_warnings| CheckArgs {
        config: main.clone(),
        format,
        deny_warnings,
    };
    let outcome = check(&args(FormatArg::Pretty, true));
    assert_eq!(outcome.code, 0, "{}", outcome.stdout);
    assert!(
        outcome
            .stdout
            .starts_with("ok: 1 contract in 1 file, policy 'test' 1.0.0")
    );
    let digest = outcome.stdout.lines().last().unwrap();
    assert_eq!(digest.len(), "content digest ".len() + 64);

    fs::write(&contracts, CONTRACTS.replace("owner: me, ", "")).unwrap();
    assert_eq!(check(&args(FormatArg::Pretty, false)).code, 0);
    let denied = check(&args(FormatArg::Pretty, true));
    assert_eq!(denied.code, 78);
    let said = "1 contract in 1 file, policy 'test' 1.0.0";
    let end = ", 1 warning, denied by --deny-warnings\ncontent digest ";
    assert!(
        denied.stdout.contains(&format!("\n{said}")) && denied.stdout.contains(end),
        "{}",
        denied.stdout
    );

    fs::write(&contracts, CONTRACTS.replace("GET ", "get ")).unwrap();
    let outcome = check(&args(FormatArg::Json, false));
    assert_eq!(outcome.code, 78);
    let json: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(json["diagnostics"][0]["code"], "C105");
    assert_eq!(json["diagnostics"][0]["line"], 3);
    assert_eq!(outcome.stderr, "1 error, 0 warnings\n");
}

/// The content digest of an installation with these contract files.
fn digest(files: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in [("tidegate.yaml", MAIN), ("policy.yaml", POLICY)] {
        fs::write(folder.path().join(path), text).unwrap();
    }
    fs::create_dir(folder.path().join("contracts")).unwrap();
    for (path, text) in files {
        fs::write(folder.path().join("contracts").join(path), text).unwrap();
    }
    let loaded = load(&folder.path().join("tidegate.yaml")).unwrap();
    let (contracts, rules) = canonical::read(loaded.content.bytes()).unwrap();
    assert_eq!(contracts, loaded.catalogue.contracts());
    assert_eq!(rules, loaded.rules);
    loaded.content.digest_hex()
}

#[test]
fn a_default_written_out_is_no_change() {
    let contract = |terms: &str| {
        let text = format!("{{id: a, owner: me, endpoint: GET /a{terms}}}");
        digest(&[("x.yaml", &format!("version: 1\ncontracts: [{text}]"))])
    };
    let check = |left_out: &str, written: &str, is_same: bool| {
        let same = contract(left_out) == contract(&format!("{left_out}{written}"));
        assert_eq!(same, is_same, "{left_out}{written}");
    };
    check(", rate_limit_rpm: 100", ", burst: 10", true);
    check(", rate_limit_rpm: 9", ", burst: 1", true);
    check(", rate_limit_rpm: 100", ", burst: 11", false);
    check("", ", allowed_methods: [GET], timeout_ms: 30000", true);
    check("", ", stream: false, circuit_threshold: 0.5", true);
    let client = ", per_client: {rate_limit_rpm: 30}";
    let spelled = ", per_client: {key: peer, rate_limit_rpm: 30, burst: 3}";
    assert_eq!(contract(client), contract(spelled));
    let named = |key| {
        contract(&format!(
            ", per_client: {{rate_limit_rpm: 30, key: \"{key}\"}}"
        ))
    };
    assert_eq!(named("header:X-Key"), named("header:x-key"));
    assert_ne!(named("header:x-key"), named("peer"));
    let limit = ", rate_limit_rpm: 60, throttle: delay";
    let spelled = ", rate_limit_rpm: 60, throttle: {mode: delay, wait_max_ms: 1000, held_max: 100}";
    assert_eq!(contract(limit), contract(spelled));
    let modes = ", quarantine: reject, throttle: {mode: reject}, drop: respond";
    check("", modes, true);
    check(
        "",
        ", quarantine: {mode: reject}, drop: {mode: respond}",
        true,
    );
    check("", ", quarantine: shadow", false);
    check("", ", quarantine: {mode: divert, upstream: main}", false);
    check("", ", drop: close", false);
    // What the configuration fills in stays open in the content.
    check("", ", upstream: main", false);
    check("", ", tier: observe_only", false);
}

#[test]
fn a_digest_depends_on_content_alone() {
    let a = "{id: a, owner: me, endpoint: GET /a, error_budget: 0.01}";
    let b = "{id: b, endpoint: GET /b, owner: me, max_latency_ms: 1000}";
    let one = digest(&[("x.yaml", &format!("version: 1\ncontracts: [{a}, {b}]"))]);
    let two = digest(&[
        ("1.yaml", &format!("# b\ncontracts:\n  - {b}\nversion: 1\n")),
        (
            "2.yaml",
            &format!("version: 1\ncontracts:\n  # a\n  - {a}\n"),
        ),
    ]);
    assert_eq!(one, two);
    let spelled = "{id: a, owner: me, endpoint: GET /a, error_budget: 0.010}";
    let same = digest(&[(
        "x.yaml",
        &format!("version: 1\ncontracts: [{spelled}, {b}]"),
    )]);
    assert_eq!(one, same);
    let changed = "{id: a, owner: me, endpoint: GET /a, error_budget: 0.011}";
    let other = digest(&[(
        "x.yaml",
        &format!("version: 1\ncontracts: [{changed}, {b}]"),
    )]);
    assert_ne!(one, other);
}

/// A good file with a piece cut out and another put in.
fn mutated(file: &'static str) -> impl Strategy<Value = String> {
    let text = fs::read_to_string(file).unwrap();
    let piece = prop_oneof![
        "[ -~\n\t]{0,6}",
        "\\PC{0,3}",
        Just("\n  - id: ".to_owned()),
        Just(": {".to_owned()),
        Just("&a *a".to_owned()),
        Just("---\n".to_owned()),
        Just("99999999999999999999".to_owned()),
    ];
    (any::<prop::sample::Index>(), 0..12_usize, piece).prop_map(move |(at, cut, piece)| {
        let mut chars: Vec<char> = text.chars().collect();
        let start = at.index(chars.len());
        let end = (start + cut).min(chars.len());
        chars.splice(start..end, piece.chars());
        chars.into_iter().collect()
    })
}

proptest! {
    /// Whatever a file holds, reading ends in contracts or in findings that have a place.
    #[test]
    fn no_file_makes_a_reader_panic(
        contracts in mutated("contracts/deployments.yaml"),
        policy in mutated("policies/default.yaml"),
        self_tests in mutated("self-tests/deployments.yaml"),
        main in mutated("tidegate.yaml"),
    ) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("contracts")).unwrap();
        fs::create_dir(folder.path().join("policies")).unwrap();
        fs::write(folder.path().join("contracts/a.yaml"), contracts).unwrap();
        fs::write(folder.path().join("policies/default.yaml"), policy).unwrap();
        fs::create_dir(folder.path().join("self-tests")).unwrap();
        fs::write(folder.path().join("self-tests/a.yaml"), self_tests).unwrap();
        let path = folder.path().join("tidegate.yaml");
        fs::write(&path, main).unwrap();
        match load(&path) {
            Ok(loaded) => {
                let again = canonical::read_content(loaded.content.bytes()).unwrap();
                prop_assert_eq!(again.contracts, loaded.catalogue.contracts());
                prop_assert_eq!(again.rules, loaded.rules);
                prop_assert_eq!(again.self_tests, loaded.self_tests);
            }
            Err(found) => prop_assert!(error_count(&found) > 0),
        }
    }
}
