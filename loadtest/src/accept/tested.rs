//! What tests show that are too long, or too much about the inside, for a run from outside.
//!
//! They have to have run, not only to have not failed: the runner's own count is read.

use std::process::Command;

use anyhow::Context as _;

use super::{Context, Verdict};

const LAW_CASES: &str = "10000000";

/// Runs tests of the gateway, optimised; passes when at least `least` of them ran and none failed.
pub(super) fn run(
    args: &[&str],
    variables: &[(&str, &str)],
    least: u64,
) -> anyhow::Result<Verdict> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args([
        "nextest",
        "run",
        "--locked",
        "-p",
        "tidegate",
        "--cargo-profile",
        "fast",
    ]);
    // Its own time limit is for the ordinary number of cases.
    command.args([
        "--config-file",
        "loadtest/nextest-long.toml",
        "--color",
        "never",
        "--no-capture",
    ]);
    command.args(args).envs(variables.iter().copied());
    let output = command.output().context("run cargo nextest")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let summary = said
        .lines()
        .rev()
        .find(|line| line.contains("Summary"))
        .map(str::trim);
    let summary = summary.with_context(|| format!("cargo nextest: {}", tail(&said)))?;
    let passed = passed(summary).unwrap_or(0);
    let failed: Vec<&str> = said
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("FAIL "))
        .collect();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let counted = printed.lines().map(str::trim).filter(|line| is_count(line));
    let parts = std::iter::once(summary).chain(failed).chain(counted);
    let told = parts.collect::<Vec<_>>().join("; ");
    Ok(Verdict::new(
        output.status.success() && passed >= least,
        told,
    ))
}

/// What a test counted itself: `detected 42 / expected 42`, or the tally of a seed.
fn is_count(line: &str) -> bool {
    line.contains(" / expected ") || line.starts_with("seed ")
}

/// `Summary [ 1.2s] 25 tests run: 25 passed, 0 skipped`
fn passed(summary: &str) -> Option<u64> {
    let before = summary.split(" passed").next()?;
    before.rsplit(' ').next()?.parse().ok()
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().rev().take(5).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}

pub(super) fn simulation(context: &Context) -> anyhow::Result<Verdict> {
    let seeds = context.pick("2", "16");
    run(&["--test", "simulation"], &[("SIMULATION_SEEDS", seeds)], 8)
}

// R045
pub(super) fn laws(context: &Context) -> anyhow::Result<Verdict> {
    let cases = context.pick("100000", LAW_CASES);
    let verdict = run(&["--test", "properties"], &[("LAW_CASES", cases)], 1)?;
    Ok(Verdict::new(
        verdict.pass,
        format!("{cases} cases; {}", verdict.figure),
    ))
}

// R295, R308
pub(super) fn behaviours(_: &Context) -> anyhow::Result<Verdict> {
    run(&["--test", "seed_acceptance"], &[], 25)
}

pub(super) fn rows(_: &Context) -> anyhow::Result<Verdict> {
    run(&["--test", "shipped_files", "requirement"], &[], 2)
}

#[cfg(test)]
mod tests {
    use super::passed;

    #[test]
    fn the_count_of_passed_tests_is_read() {
        let check = |line, expected| assert_eq!(passed(line), expected, "{line}");
        check(
            "Summary [   2.244s] 25 tests run: 25 passed, 0 skipped",
            Some(25),
        );
        check(
            "Summary [   2.2s] 23 tests run: 22 passed, 1 failed, 0 skipped",
            Some(22),
        );
        check(
            "Summary [   2.2s] 3 tests run: 3 passed (1 slow), 0 skipped",
            Some(3),
        );
        check("nothing", None);
    }
}
