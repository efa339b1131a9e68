//! What a contract may not hold, and what its path may not say.

use crate::{check, findings, site, text, tidegate};

/// Put together here, so that no scanner takes this file for one that holds a secret.
fn secret() -> String {
    format!("AKIA{}", "ABCDEFGH23456789")
}

#[test]
fn the_version_in_a_path_is_that_of_the_contract() {
    // R021
    let contract = |path: &str, more: &str| {
        format!(
            "version: 1\ncontracts:\n  - {{ id: a, owner: x, endpoint: \"GET {path}\"{more} }}\n"
        )
    };
    let of = |path: &str, more: &str| {
        let folder = site(&[("contracts/a.yaml", &contract(path, more))]);
        let (found, code) = findings(folder.path(), &["check"]);
        (found.contains(&"a.yaml:3 C140".to_owned()), code)
    };
    assert_eq!(of("/api/v2/x", ", version: 1.4.0"), (true, Some(78)));
    assert!(!of("/api/v2/x", ", version: 2.4.0").0);
    // A contract without a version is older than versions are: nothing that runs may break.
    assert_eq!(of("/api/v2/x", ""), (true, Some(0)));
    assert_eq!(of("/api/v1/x", ""), (false, Some(0)));
    let exemption = "version: 1\nexemptions:\n  - { rule: api-version-in-path, contract: a, owner: x, reason: old clients, expires: 9999-12-31 }\n";
    check(
        &[
            ("contracts/a.yaml", &contract("/api/v2/x", "")),
            ("contracts/exemptions.yaml", exemption),
        ],
        &[],
    );
}

#[test]
fn a_secret_is_refused_in_every_file_and_never_shown() {
    // R033, R303
    let secret = secret();
    let contracts = format!(
        "version: 1\ncontracts:\n  - {{ id: a, owner: x, endpoint: \"GET /a\" }} # {secret}\n"
    );
    let fine = "version: 1\ncontracts: [{ id: a, endpoint: GET /a, owner: x, backup_owner: y }]\n";
    let owner = format!("version: 1\nowners:\n  - {{ contract: a, owner: {secret} }}\n");
    let policy = format!("version: 1\nname: {secret}\n");
    let misread = format!(
        "version: 1\ncontracts:\n  - {{ id: {secret}, upstream: {secret}, {secret}: 1, endpoint: {secret} }}\n"
    );
    let main = format!("{}state_dir: \"{secret}\"\n", crate::CONFIG);
    for (file, content, place) in [
        ("contracts/a.yaml", &contracts, "a.yaml:3 C141"),
        ("contracts/a.yaml", &misread, "a.yaml:3 C141"),
        ("contracts/OWNERS.yaml", &owner, "OWNERS.yaml:3 C141"),
        ("policy.yaml", &policy, "policy.yaml:2 C141"),
        ("tidegate.yaml", &main, "tidegate.yaml:9 C141"),
    ] {
        let folder = site(&[("contracts/a.yaml", fine), (file, content)]);
        let (found, code) = findings(folder.path(), &["check"]);
        assert!(found.contains(&place.to_owned()), "{file}: {found:?}");
        assert_eq!(code, Some(78), "{file}");
        for format in ["pretty", "json", "sarif", "github"] {
            let output = tidegate(folder.path(), &["check", "--format", format]);
            let shown = text(&output.stdout) + &text(&output.stderr);
            assert!(!shown.contains(&secret[..8]), "{file}: {shown}");
            assert!(shown.contains("C141"), "{file}: {shown}");
        }
    }
    let folder = site(&[("contracts/a.yaml", &contracts)]);
    let shown = text(&tidegate(folder.path(), &["check"]).stdout);
    assert!(
        shown.starts_with("error[C141 secret-in-contract]: "),
        "{shown}"
    );
}

#[test]
fn what_a_contract_may_not_hold_has_its_code() {
    // R033
    let contract = |rest: &str| format!("version: 1\ncontracts:\n  - {{ id: a, {rest} }}\n");
    let with = |rest: &str, expected: &str| {
        check(
            &[("contracts/a.yaml", &contract(rest))],
            &[&format!("a.yaml:3 {expected}")],
        );
    };
    let long = "x".repeat(129);
    with(&format!("endpoint: GET /a, owner: {long}"), "C019");
    with(
        &format!("endpoint: GET /a, owner: x, backup_owner: {long}"),
        "C019",
    );
    with("endpoint: GET /a, owner: \"a\\u0007b\"", "C019");
    with(
        "endpoint: GET /a, owner: x, upstream: \"http://10.0.0.1:80\"",
        "C108",
    );
    with("endpoint: \"GET /{*rest}\", owner: x", "C106");
    with(
        &format!("endpoint: \"GET /{}\", owner: x", "a".repeat(3_000)),
        "C019",
    );
    let folder = site(&[]);
    let path = folder.path().join("contracts/a.yaml");
    std::fs::write(path, b"version: 1\ncontracts: [] # \xff\n").unwrap();
    assert_eq!(findings(folder.path(), &["check"]).0, ["a.yaml:2 C003"]);
}

#[test]
fn contract_lint_needs_no_configuration() {
    let alone =
        "version: 1\ncontracts:\n  - { id: a, endpoint: GET /a, owner: x, upstream: anywhere }\n";
    let address = alone.replace("anywhere", "\"http://10.0.0.1\"");
    let twice = format!("{alone}  - {{ id: b, endpoint: GET /a }}\n");
    let lint = |text: &str, args: &[&str], expected: &[&str], code: i32| {
        let folder = site(&[("contracts/a.yaml", text)]);
        std::fs::remove_file(folder.path().join("tidegate.yaml")).unwrap();
        for path in ["contracts", "contracts/a.yaml"] {
            let args = [&["contract", "lint", path], args].concat();
            let (found, ended) = findings(folder.path(), &args);
            assert_eq!(
                (found.as_slice(), ended),
                (
                    &expected.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()[..],
                    Some(code)
                )
            );
        }
    };
    lint(alone, &[], &[], 0);
    lint(&address, &[], &["a.yaml:3 C108"], 3);
    lint(&twice, &[], &["a.yaml:4 C114", "a.yaml:4 C107"], 3);
    let unowned = alone.replace("owner: x, ", "");
    lint(&unowned, &[], &["a.yaml:3 C114"], 0);
    lint(&unowned, &["--deny-warnings"], &["a.yaml:3 C114"], 3);
    let folder = site(&[]);
    let missing = tidegate(folder.path(), &["contract", "lint", "nowhere"]);
    assert_eq!(missing.status.code(), Some(3));
    assert!(text(&missing.stdout).contains("C001"));
}
