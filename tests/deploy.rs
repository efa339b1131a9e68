//! Shipped alert rules and the dashboard say only what the program says, and Prometheus reads it.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "tests stop at the first surprise"
)]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tidegate::telemetry::names;

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")
}

fn read(path: &str) -> String {
    let path = deploy().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn promtool(arguments: &[&str], directory: &Path) {
    let output = Command::new("promtool")
        .args(arguments)
        .current_dir(directory)
        .output()
        .expect("promtool must be installed for this test (package prometheus)");
    let said = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "promtool {arguments:?}\n{said}\n{wrong}"
    );
}

/// Words that are names of our metrics or look like it.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let part = |character: char| character.is_ascii_alphanumeric() || character == '_';
    text.split(|character| !part(character))
        .filter(|word| {
            ["tidegate_", "process_", "http_server_"]
                .iter()
                .any(|prefix| word.starts_with(prefix))
        })
        .map(str::to_owned)
        .collect()
}

fn known() -> BTreeSet<String> {
    names::ALL.iter().flat_map(names::series_names).collect()
}

fn check_names(path: &str) {
    let used = metrics_in(&read(path));
    assert!(used.len() > 10, "{path} names only {used:?}");
    let known = known();
    let unknown: Vec<_> = used.difference(&known).collect();
    assert!(
        unknown.is_empty(),
        "{path} names what does not exist: {unknown:?}"
    );
}

/// Every expression of the dashboard.
fn expressions(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().expect("panels");
    panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array())
        .flatten()
        .map(|target| target["expr"].as_str().expect("an expression").to_owned())
        .collect()
}

#[test]
fn rules_and_dashboard_name_existing_metrics() {
    for path in [
        "prometheus/tidegate-rules.yaml",
        "prometheus/tidegate-rules.test.yaml",
    ] {
        check_names(path);
    }
    check_names("grafana/tidegate.json");
}

#[test]
fn alerts_fire_when_they_should_and_only_then() {
    let folder = deploy().join("prometheus");
    promtool(&["check", "rules", "tidegate-rules.yaml"], &folder);
    promtool(&["test", "rules", "tidegate-rules.test.yaml"], &folder);
    let rules = read("prometheus/tidegate-rules.yaml");
    let tests = read("prometheus/tidegate-rules.test.yaml");
    let alerts: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(!alerts.is_empty());
    for alert in alerts {
        for case in ["fires", "stays quiet"] {
            let name = format!("- name: {alert} {case}\n");
            assert!(tests.contains(&name), "no test that {alert} {case}");
        }
    }
}

// R277
#[test]
fn damage_to_the_ledger_is_an_alert_that_names_the_record() {
    let rules = read("prometheus/tidegate-rules.yaml");
    let rule = rules.split_once("- alert: TidegateLedgerDamaged\n");
    let rule = rule.and_then(|(_, rest)| rest.split("- alert:").next());
    assert!(rule.is_some_and(|rule| rule.contains("tidegate_ledger_damaged_seq >= 0")));
}

// R108
#[test]
fn instances_under_different_rules_are_an_alert_after_five_minutes() {
    let rules = read("prometheus/tidegate-rules.yaml");
    let rule = rules.split_once("- alert: TidegateBundlesDiffer\n");
    let rule = rule.and_then(|(_, rest)| rest.split("- alert:").next());
    let rule = rule.expect("the alert");
    assert!(rule.contains("tidegate_bundle_info") && rule.contains("for: 5m"));
}

// R077, R276
#[test]
fn open_circuits_and_spent_budgets_are_alerts() {
    let rules = read("prometheus/tidegate-rules.yaml");
    for (alert, metric) in [
        ("TidegateCircuitOpen", "tidegate_circuit_state"),
        (
            "TidegateErrorBudgetLow",
            "tidegate_error_budget_remaining_ratio",
        ),
        (
            "TidegateErrorBudgetBurnsFast",
            "tidegate_error_budget_burn_rate",
        ),
    ] {
        let begin = format!("- alert: {alert}\n");
        let rule = rules.split_once(&begin).map(|(_, rest)| rest);
        let rule = rule.and_then(|rest| rest.split("- alert:").next());
        assert!(rule.is_some_and(|rule| rule.contains(metric)), "{alert}");
    }
}

#[test]
fn the_dashboard_can_be_read_and_asks_what_prometheus_understands() {
    // R273
    let dashboard: Value = serde_json::from_str(&read("grafana/tidegate.json")).expect("JSON");
    let expressions = expressions(&dashboard);
    for needed in [
        "tidegate_decisions_total",
        "tidegate_risk_ratio",
        "tidegate_contract_latency_limit_seconds",
        "status_class=\"5xx\"",
        "tidegate_contract_coverage_ratio",
        "tidegate_ledger_durable_lag_seconds",
        "tidegate_ledger_lost_records_total",
        "tidegate_ledger_damaged_seq",
        "tidegate_ledger_disk_bytes",
        "tidegate_actions_suppressed_total",
        "tidegate_start_time_seconds",
        "http_server_request_duration_seconds_bucket",
    ] {
        let shown = expressions
            .iter()
            .any(|expression| expression.contains(needed));
        assert!(shown, "no panel shows {needed}");
    }
    let folder = tempfile::tempdir().expect("a directory");
    let mut rules = "groups:\n  - name: dashboard\n    rules:\n".to_owned();
    for (number, expression) in expressions.iter().enumerate() {
        let expression = expression
            .replace("$__rate_interval", "5m")
            .replace("$instance", ".*")
            .replace("$contract", ".*");
        let quoted = Value::from(expression);
        writeln!(
            rules,
            "      - record: panel:{number}\n        expr: {quoted}"
        )
        .expect("writing to a string");
    }
    std::fs::write(folder.path().join("dashboard.yaml"), rules).expect("writable");
    promtool(&["check", "rules", "dashboard.yaml"], folder.path());
}
