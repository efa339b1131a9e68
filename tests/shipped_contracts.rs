//! The shipped contracts, policy and configuration: they load together, without a finding, and
//! say what the documentation says.

use std::fs;
use std::path::PathBuf;

use tidegate::cli::match_route::{MatchArgs, match_route};
use tidegate::config::{Limits, Timeouts, load};
use tidegate::diagnostic::Code;
use tidegate::policy::canonical;
use tidegate::policy::rules::{Rules, Severity};
use tidegate::selftest::{Subject, run_all};
use tidegate::units::{BasisPoints, Factor};

#[test]
fn the_example_loads_without_a_finding() {
    let loaded = load("tidegate.yaml".as_ref()).unwrap();
    assert_eq!(loaded.warnings, []);
    assert!(loaded.catalogue.len() >= 12);
    assert_eq!(loaded.settings.timeouts, Timeouts::default());
    assert_eq!(loaded.settings.limits, Limits::default());
}

#[test]
fn the_shipped_policy_is_the_default_policy() {
    let loaded = load("tidegate.yaml".as_ref()).unwrap();
    assert_eq!(loaded.rules, Rules::default());
}

#[test]
fn a_rulebook_reads_back_from_its_canonical_bytes() {
    let loaded = load("tidegate.yaml".as_ref()).unwrap();
    let (contracts, rules) = canonical::read(loaded.content.bytes()).unwrap();
    assert_eq!(contracts, loaded.catalogue.contracts());
    assert_eq!(rules, loaded.rules);
}

#[test]
fn match_names_the_contract_and_its_parameters() {
    // R006
    let check = |method: &str, path: &str, expected: &str, code: u8| {
        let outcome = match_route(&MatchArgs {
            method: method.to_owned(),
            path: path.to_owned(),
            config: PathBuf::from("tidegate.yaml"),
        });
        assert_eq!(outcome.stdout.trim_end(), expected, "{method} {path}");
        assert_eq!(outcome.code, code, "{method} {path}");
    };
    let deployment = "/api/v1/deployments/abc123";
    check("GET", deployment, "deploy_get_v1 {id=abc123}", 0);
    check("DELETE", deployment, "deploy_change_v1 {id=abc123}", 0);
    check("GET", "/api/v1/orders/export", "order_export_v1 {}", 0);
    check(
        "GET",
        "/api/v1/orders/%61?x=1",
        "order_get_v1 {order_id=a}",
        0,
    );
    check("GET", "/assets//css/a.css", "assets_v1 {path=css/a.css}", 0);
    check("GET", "/nowhere", "NO_CONTRACT_MATCH", 1);
    let refused =
        "CONTRACT_METHOD_DISALLOWED deploy_change_v1 allows GET, HEAD, PUT, PATCH, DELETE";
    check("POST", deployment, refused, 1);
    let ambiguous = "AMBIGUOUS_TARGET the path has a dot segment";
    check("GET", "/nobody/../nowhere", ambiguous, 1);
    let alias = "CONTRACT_ALIAS status_v1 when folded: dot segments";
    let both = format!("{ambiguous}\n{alias}");
    check("GET", "/api/v1/../v1/status", &both, 1);
}

#[test]
fn contracts_compile_together() {
    // R032
    let folder = tempfile::tempdir().unwrap();
    let main = fs::read_to_string("tidegate.yaml").unwrap();
    let main = main.replace("contracts: contracts/ ", "contracts: c ");
    let main = main.replace("self_tests:", "# self_tests:");
    fs::write(folder.path().join("tidegate.yaml"), main).unwrap();
    fs::create_dir_all(folder.path().join("policies")).unwrap();
    fs::copy(
        "policies/default.yaml",
        folder.path().join("policies/default.yaml"),
    )
    .unwrap();
    let contracts = folder.path().join("c");
    fs::create_dir_all(&contracts).unwrap();
    for file in [
        "deployments.yaml",
        "status.yaml",
        "commerce/orders.yaml",
        "commerce/payments.yaml",
    ] {
        let name = file.replace('/', "_");
        fs::copy(format!("contracts/{file}"), contracts.join(name)).unwrap();
    }
    for file in 0..10 {
        let mut text = String::from("version: 1\ncontracts:\n");
        for number in 0..100 {
            text += &format!(
                "  - id: g{file}_{number}\n    owner: me\n    endpoint: \"GET /g{file}/{{x}}/r{number}/{{y}}\"\n"
            );
        }
        fs::write(contracts.join(format!("generated_{file}.yaml")), text).unwrap();
    }
    let shipped = load("tidegate.yaml".as_ref()).unwrap().catalogue;
    let loaded = load(&folder.path().join("tidegate.yaml")).unwrap();
    let all = shipped.len() + 1_000;
    assert_eq!(loaded.catalogue.len(), all);
    let (again, _) = canonical::read(loaded.content.bytes()).unwrap();
    assert_eq!(again.len(), all);
}

#[test]
fn the_shipped_self_tests_pass_and_say_something() {
    let loaded = load("tidegate.yaml".as_ref()).unwrap();
    let run = |rules: &Rules| {
        let subject = Subject {
            catalogue: &loaded.catalogue,
            rules,
        };
        run_all(subject, &loaded.self_tests)
    };
    let report = run(&loaded.rules);
    let failures: Vec<String> = report
        .failures()
        .map(|failed| format!("{}: {}", failed.name, failed.summary()))
        .collect();
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(loaded.self_tests.len() >= 12);
    // A policy that lets wrong methods and unknown paths through is another one.
    let mut lenient = loaded.rules.clone();
    lenient.method_disallowed = Severity::Allow;
    lenient.unknown_endpoint.action = Severity::Allow;
    let zero = |rules: &mut Rules, factor| {
        rules.weights = rules.weights.with(factor, BasisPoints::ZERO);
    };
    zero(&mut lenient, Factor::MethodDisallowed);
    zero(&mut lenient, Factor::UnknownEndpoint);
    let failed = run(&lenient).failures().count();
    assert_eq!(failed, 4, "of {}", loaded.self_tests.len());
}

#[test]
fn self_tests_are_part_of_the_content() {
    let loaded = load("tidegate.yaml".as_ref()).unwrap();
    let again = canonical::read_content(loaded.content.bytes()).unwrap();
    assert_eq!(again.self_tests, loaded.self_tests);
    let without = canonical::write(loaded.catalogue.contracts(), &loaded.rules).unwrap();
    assert_ne!(without.digest(), loaded.content.digest());
}

#[test]
fn every_diagnostic_is_documented_with_its_remedy() {
    let text = fs::read_to_string("docs/diagnostics.md").unwrap();
    for code in Code::ALL {
        let (name, title, remedy) = (code.as_str(), code.title(), code.remedy());
        let row = format!("| {name} | {title} | {remedy} |");
        assert!(text.contains(&row), "docs/diagnostics.md lacks:\n{row}");
    }
    let rows = text.lines().filter(|line| line.starts_with("| C")).count();
    assert_eq!(rows, Code::ALL.len(), "a documented code does not exist");
}

#[test]
fn every_key_of_the_files_is_documented() {
    for (example, page) in [
        ("tidegate.yaml", "docs/configuration.md"),
        ("policies/default.yaml", "docs/policy-format.md"),
        ("contracts/status.yaml", "docs/contract-format.md"),
        ("contracts/deployments.yaml", "docs/contract-format.md"),
    ] {
        let page_text = fs::read_to_string(page).unwrap();
        for line in fs::read_to_string(example).unwrap().lines() {
            let line = line.trim_start_matches([' ', '-']);
            let Some((key, _)) = line.split_once(':') else {
                continue;
            };
            if key.starts_with('#') || key.contains(' ') {
                continue;
            }
            // Names of upstreams are free.
            if !["platform", "commerce"].contains(&key) {
                assert!(
                    page_text.contains(&format!("`{key}`")),
                    "{page} lacks `{key}`"
                );
            }
        }
    }
}
