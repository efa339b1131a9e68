//! `contract diff` and `contract callers`: what changed, and who is still there.

use serde_json::{Value, json};

use crate::place::{Place, Ran};

const CASES: &str = include_str!("contract_diff.txt");

fn diff(place: &Place, more: &str) -> Ran {
    let words = format!("contract diff old.yaml new.yaml {more}");
    place.run(words.trim_end())
}

/// Writes the entries of a contract file.
fn entries(place: &Place, name: &str, entries: &str) {
    place.write(name, &format!("version: 1\ncontracts:\n{entries}"));
}

// R017, R022, R023, R024, R025, R112, R147
#[test]
fn changes_are_listed_and_classed_as_the_cases_say() {
    let place = Place::new();
    let mut runs = 0;
    for case in CASES.split("\n## ").skip(1) {
        let (name, body) = case.split_once('\n').unwrap();
        for section in body.split("=== ").skip(1) {
            let (head, text) = section.split_once('\n').unwrap();
            if let "old" | "new" = head {
                entries(&place, &format!("{head}.yaml"), text);
                continue;
            }
            let (code, more) = head.split_once(' ').unwrap_or((head, ""));
            let ran = diff(&place, more);
            assert_eq!(ran.err, "", "{name}");
            assert_eq!(ran.out.trim_end(), text.trim_end(), "{name} {more}");
            assert_eq!(ran.code, code.parse::<i32>().unwrap(), "{name} {more}");
            runs += 1;
        }
    }
    assert!(runs > 25, "{runs} runs");
}

/// The place, after its traffic was simulated into the ledger `l`.
fn with_ledger() -> Place {
    let place = Place::new();
    let ran = place.run("simulate traffic.jsonl --ledger l --tier observe_only");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    place
}

const GONE: &str = r#"  - id: search_get_v1
    endpoint: "GET /api/v1/search/{term}"
    owner: platform
    lifecycle: {status: sunset, deprecated_on: 2025-01-01, sunset_on: 2025-07-01}
  - {id: idle_get_v1, owner: platform, endpoint: GET /idle, lifecycle: {status: sunset, deprecated_on: 2025-01-01, sunset_on: 2025-07-01}}
"#;

// R023
#[test]
fn a_contract_with_callers_is_not_removed_without_breaking_them() {
    let place = with_ledger();
    entries(&place, "old.yaml", GONE);
    entries(&place, "new.yaml", "  []\n");
    let told = diff(&place, "--format json --ledger l");
    assert_eq!((told.code, told.err.as_str()), (3, ""));
    let report: Value = serde_json::from_str(&told.out).unwrap();
    let [idle, search] = report["changes"].as_array().unwrap().as_slice() else {
        panic!("{report}");
    };
    assert_eq!(idle["class"], "BACKWARD_COMPATIBLE");
    assert_eq!(
        (&idle["callers"], &idle["taken"]),
        (&json!([]), &json!(true))
    );
    assert_eq!(search["class"], "BREAKING_CHANGE");
    let callers = search["callers"].as_array().unwrap();
    let lines = place.ledger_lines();
    let recorded = lines
        .iter()
        .filter(|line| line.contains("\"contract_id\":\"search_get_v1\""));
    let requests: u64 = callers
        .iter()
        .map(|c| c["requests"].as_u64().unwrap())
        .sum();
    assert_eq!(requests, recorded.count() as u64);
    assert!(
        callers.len() > 1
            && callers
                .iter()
                .all(|c| c["client"].as_str().unwrap().len() == 16)
    );
    // Nobody asks without the ledger, so nobody is in the way.
    assert_eq!(diff(&place, "").code, 0);
    assert_eq!(diff(&place, "--ledger nowhere").code, 1);
}

#[test]
fn the_callers_of_a_contract_are_told() {
    let place = with_ledger();
    let ran = place.run("contract callers search_get_v1 --ledger l --format json");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    let callers = report["callers"].as_array().unwrap();
    assert_eq!(report["clients"], callers.len());
    let counts: Vec<_> = callers
        .iter()
        .map(|c| c["requests"].as_u64().unwrap())
        .collect();
    assert!(
        counts.windows(2).all(|pair| pair[0] >= pair[1]),
        "{counts:?}"
    );
    assert_eq!(report["requests"], counts.iter().sum::<u64>());
    let last = callers[0]["last_seen"].as_str().unwrap();
    assert!(last.len() == 20 && last.ends_with('Z'), "{last}");
    let text = place.run("contract callers search_get_v1 --ledger l");
    assert_eq!(text.out.lines().count(), callers.len() + 2, "{}", text.out);
    // A contract that was is known from the rules that were in force.
    let contracts = std::fs::read_to_string(place.path("contracts/contracts.yaml")).unwrap();
    place.write("contracts/contracts.yaml", "version: 1\ncontracts: []\n");
    let gone = place.run("contract callers search_get_v1 --ledger l --since 1s");
    assert_eq!(gone.code, 0, "{}", gone.err);
    let typo = place.run("contract callers serch_get_v1 --ledger l");
    assert_eq!((typo.code, typo.out.as_str()), (1, ""));
    let said = "error: no contract 'serch_get_v1' in tidegate.yaml and none in the ledger l; \
                'tidegate catalog' lists ids\n";
    assert_eq!(typo.err, said);
    let idle = format!("{contracts}  - {{id: idle_get_v1, owner: me, endpoint: GET /idle}}\n");
    place.write("contracts/contracts.yaml", &idle);
    let nobody = place.run("contract callers idle_get_v1 --ledger l");
    assert_eq!(nobody.out, "idle_get_v1: 0 requests of 0 clients\n");
    let second = place.run("contract callers search_get_v1 --ledger l --since 1s --format json");
    let second: Value = serde_json::from_str(&second.out).unwrap();
    assert!(
        second["requests"].as_u64() < report["requests"].as_u64(),
        "{second}"
    );
}

// R112
#[test]
fn the_mode_is_that_of_the_new_charter() {
    let place = Place::new();
    entries(&place, "old.yaml", "  - {id: a, endpoint: GET /a}\n");
    let old = place.path("old.yaml");
    place.write(
        "contracts/contracts.yaml",
        "version: 1\ncontracts:\n  - {id: a, owner: me, endpoint: GET /a, version: 1.1.0}\n",
    );
    let main = std::fs::read_to_string(place.path("tidegate.yaml")).unwrap();
    let run = |charter: &str, more: &str| {
        place.write("charter.yaml", &format!("version: 1\n{charter}"));
        place.write("tidegate.yaml", &format!("{main}\ncharter: charter.yaml\n"));
        let words = format!("contract diff {} tidegate.yaml{more}", old.display());
        place.run(&words).code
    };
    assert_eq!(run("", ""), 0);
    let strict = "compatibility_mode: strict\ndeployment: atomic\n";
    assert_eq!(run(strict, ""), 3);
    assert_eq!(run(strict, " --mode backward"), 0);
    // R113
    let rolling = "compatibility_mode: strict\ndeployment: rolling\n";
    assert_eq!(run(rolling, ""), 78);
    assert_eq!(place.run("check").code, 78);
}

#[test]
fn contracts_are_read_from_wherever_they_are() {
    let place = with_ledger();
    let content = std::fs::read_dir(place.path("l/rulebooks")).unwrap().next();
    let content = content.unwrap().unwrap().path();
    let content = content.display();
    for other in [
        "tidegate.yaml",
        ".",
        "contracts",
        "contracts/contracts.yaml",
    ] {
        let ran = place.run(&format!("contract diff {content} {other}"));
        assert_eq!(
            (ran.out.as_str(), ran.code),
            ("no changes\n", 0),
            "{other}: {}",
            ran.err
        );
    }
    place.write("bad.json", "{}");
    for (bad, code) in [("bad.json", 65), ("nowhere", 78), ("traffic.jsonl", 78)] {
        let ran = place.run(&format!("contract diff {bad} {bad}"));
        assert_eq!(ran.code, code, "{bad}");
        assert_eq!(
            ran.err.matches("missing field").count(),
            usize::from(code == 65)
        );
        let errors: Vec<&str> = ran
            .err
            .lines()
            .filter(|line| line.starts_with("error"))
            .collect();
        assert_eq!(errors.len(), 1, "{}", ran.err);
        assert!(
            ran.out.is_empty() && ran.err.contains(bad),
            "{bad}: {}",
            ran.err
        );
    }
}
