//! Findings that somebody answers for until a day.

use tidegate::config::{load, load_on};
use tidegate::diagnostic::Diagnostic;
use tidegate::units::Date;

use crate::{check, site};

const CONTRACTS: &str = "version: 1
contracts:
  - { id: one, endpoint: \"GET /one\", timeout_ms: 5 }
  - { id: two, endpoint: \"GET /two\", timeout_ms: 5 }
";

fn exempt(entry: &str) -> String {
    format!("version: 1\nexemptions:\n  - {{ {entry}, owner: me, reason: because }}\n")
}

#[test]
fn an_exemption_takes_away_exactly_its_findings() {
    // R168
    let with = |entry: &str, expected: &[&str]| {
        let exemptions = exempt(entry);
        let files = [
            ("contracts/a.yaml", CONTRACTS),
            ("contracts/exemptions.yaml", &exemptions),
        ];
        check(&files, expected);
    };
    let all = [
        "a.yaml:3 C114",
        "a.yaml:3 C115",
        "a.yaml:4 C114",
        "a.yaml:4 C115",
    ];
    check(&[("contracts/a.yaml", CONTRACTS)], &all);
    let until = "expires: 9999-12-31";
    with(
        &format!("rule: C114, contract: one, {until}"),
        &["a.yaml:3 C115", "a.yaml:4 C114", "a.yaml:4 C115"],
    );
    with(
        &format!("rule: C115, file: a.yaml, {until}"),
        &["a.yaml:3 C114", "a.yaml:4 C114"],
    );
    let unused = [&all[..], &["exemptions.yaml:3 C149"]].concat();
    with(
        &format!("rule: owner-missing, contract: one, {until}"),
        &unused,
    );
    with(&format!("rule: C114, contract: none, {until}"), &unused);
    with(&format!("rule: C114, file: b.yaml, {until}"), &unused);
}

#[test]
fn an_exemption_that_has_expired_is_an_error() {
    // R168
    let exemptions = exempt("rule: C114, file: a.yaml, expires: 2026-11-20");
    let folder = site(&[
        ("contracts/a.yaml", CONTRACTS),
        ("contracts/exemptions.yaml", &exemptions),
    ]);
    let path = folder.path().join("tidegate.yaml");
    let codes =
        |found: &[Diagnostic]| -> Vec<&str> { found.iter().map(|d| d.code.as_str()).collect() };
    let on = |day: &str| load_on(&path, Date::parse(day).unwrap());
    let last = on("2026-11-20").unwrap();
    assert_eq!(codes(&last.warnings), ["C115", "C115"]);
    let found = on("2026-11-21").unwrap_err();
    assert_eq!(codes(&found), ["C114", "C115", "C114", "C115", "C148"]);
    let expired = found.last().unwrap();
    assert_eq!((expired.place.line, expired.place.column), (3, 42));
    // What runs is not ended by a day.
    assert_eq!(codes(&load(&path).unwrap().warnings), ["C115", "C115"]);
    check(
        &[
            ("contracts/a.yaml", CONTRACTS),
            (
                "contracts/exemptions.yaml",
                &exempt("rule: C114, file: a.yaml, expires: 2020-01-01"),
            ),
        ],
        &[
            "a.yaml:3 C114",
            "a.yaml:3 C115",
            "a.yaml:4 C114",
            "a.yaml:4 C115",
            "exemptions.yaml:3 C148",
        ],
    );
}

#[test]
fn an_exemption_says_who_why_and_until_when() {
    // R168
    let with = |entry: &str, expected: &[&str]| {
        let text = format!("version: 1\nexemptions:\n  - {{ {entry} }}\n");
        let fine = "version: 1\ncontracts: [{ id: a, endpoint: GET /a, owner: x }]\n";
        check(
            &[
                ("contracts/a.yaml", fine),
                ("contracts/exemptions.yaml", &text),
            ],
            expected,
        );
    };
    let line = |code: &str| format!("exemptions.yaml:3 {code}");
    let (missing, choice) = (line("C011"), line("C014"));
    let all = "rule: C114, contract: a, owner: x, reason: y, expires: 2999-01-01";
    for part in ["rule: C114, ", "contract: a, ", "owner: x, ", "reason: y, "] {
        with(&all.replace(part, ""), &[&missing]);
    }
    with(&all.replace(", expires: 2999-01-01", ""), &[&missing]);
    with(
        &all.replace("contract: a", "contract: a, file: a.yaml"),
        &[&missing],
    );
    with(&all.replace("C114", "C107"), &[&choice]);
    with(&all.replace("2999-01-01", "2999-02-30"), &[&line("C131")]);
    with(&all.replace("2999-01-01", "never"), &[&line("C131")]);
    with(&all.replace("reason: y", "reason: \"\""), &[&line("C019")]);
    with(&all.replace("contract: a", "contract: A"), &[&line("C101")]);
    with(&format!("{all}, more: 1"), &[&line("C149"), &line("C009")]);
}
