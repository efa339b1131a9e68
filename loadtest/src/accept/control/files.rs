//! Limits that contradict themselves or can never be reached, each refused by `tidegate check`.

use serde_json::Value;

use super::super::{Context, Verdict};
use crate::site::{Site, said};

/// Exit code of files that are not valid.
const INVALID: i32 = 78;

/// The further keys of a contract, and the rule that they break.
const CONTRACTS: &[(&str, &str)] = &[
    ("rate_limit_rpm: 0", "C013"),
    ("rate_limit_rpm: -5", "C013"),
    ("burst: 5", "C112"),
    (
        "rate_limit_rpm: 10, per_client: {rate_limit_rpm: 100}",
        "C118",
    ),
    ("throttle: delay", "C119"),
    (
        "rate_limit_rpm: 10, throttle: {mode: reject, wait_max_ms: 5}",
        "C121",
    ),
    ("quarantine: divert", "C120"),
    ("quarantine: {mode: divert, upstream: nowhere}", "C108"),
    (
        "per_client: {key: \"header:x-forwarded-for\", rate_limit_rpm: 10}",
        "C117",
    ),
    ("error_budget: 0", "C013"),
    ("error_budget: 1.5", "C013"),
    ("error_budget: 0.5, circuit_threshold: 0.3", "C123"),
    ("circuit_threshold: 0", "C013"),
    ("max_latency_ms: 0", "C013"),
    ("max_latency_ms: 5000, timeout_ms: 1000", "C115"),
    ("max_in_flight: 0", "C013"),
    ("max_in_flight: 999999999", "C122"),
    (
        "rate_limit_rpm: 100, burst: 4, per_client: {rate_limit_rpm: 50, burst: 9}",
        "C122",
    ),
    ("tier: autonomous", "C303"),
];
/// Lines of a policy, and the rule that they break.
const POLICIES: &[(&str, &str)] = &[
    (
        "bands: {low: 0.2, medium: 0.7, high: 0.7, critical: 0.9}",
        "C201",
    ),
    ("bands: {low: 0.5, medium: 0.4}", "C201"),
    ("weights: {latency: 1.1}", "C013"),
    ("circuit: {open_ms: 5000, open_ms_max: 1000}", "C205"),
    ("retry: {headers: [connection]}", "C206"),
    ("retry: {budget: 1.5}", "C013"),
    ("tiers: {observe_only: [log, drop]}", "C203"),
];

// R031
pub(super) fn refused(context: &Context) -> anyhow::Result<Verdict> {
    let nowhere = ([127, 0, 0, 1], 9).into();
    let contract = |keys: &str| {
        let comma = if keys.is_empty() { "" } else { ", " };
        format!(
            "version: 1\ncontracts:\n  - {{id: a_v1, owner: me, endpoint: \"GET /a\"{comma}{keys}}}\n"
        )
    };
    let site = Site::controlling(&context.folder("files"), nowhere, &contract(""))?;
    let policy = std::fs::read_to_string(site.folder().join("policy.yaml"))?;
    let mut wrong = Vec::new();
    if let Err(why) = checked(&site, None)? {
        wrong.push(format!("sound files: {why}"));
    }
    for (keys, code) in CONTRACTS {
        site.write("contracts/own.yaml", &contract(keys))?;
        if let Err(why) = checked(&site, Some(("own.yaml", code)))? {
            wrong.push(format!("{keys}: {why}"));
        }
    }
    site.write("contracts/own.yaml", &contract(""))?;
    for (line, code) in POLICIES {
        site.write("policy.yaml", &format!("version: 1\nname: x\n{line}\n"))?;
        if let Err(why) = checked(&site, Some(("policy.yaml", code)))? {
            wrong.push(format!("{line}: {why}"));
        }
    }
    site.write("policy.yaml", &policy)?;
    let tried = CONTRACTS.len() + POLICIES.len();
    let figure = format!(
        "{tried} faults, {} not refused as they should be {wrong:?}",
        wrong.len()
    );
    Ok(Verdict::new(wrong.is_empty(), figure))
}

/// Whether `check` finds the one fault that there is, with its place and a remedy.
fn checked(site: &Site, fault: Option<(&str, &str)>) -> anyhow::Result<Result<(), String>> {
    let output = site.run(&[
        "check",
        "-c",
        "tidegate.yaml",
        "--format",
        "json",
        "--deny-warnings",
    ])?;
    let code = output.status.code();
    let Some((file, rule)) = fault else {
        return Ok(if code == Some(0) {
            Ok(())
        } else {
            Err(said(&output))
        });
    };
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let empty = Vec::new();
    let findings = report["diagnostics"].as_array().unwrap_or(&empty);
    let told = findings.iter().any(|finding| {
        let text = |member: &str| finding[member].as_str().unwrap_or_default();
        text("code") == rule
            && text("file").ends_with(file)
            && finding["line"].as_u64().is_some_and(|line| line > 0)
            && !text("remedy").is_empty()
    });
    Ok(if code == Some(INVALID) && told {
        Ok(())
    } else {
        Err(format!("exit {code:?}, {}", said(&output)))
    })
}
