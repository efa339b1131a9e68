//! How long a path takes to find its contract: the benchmark, every path different and shuffled.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use super::super::super::{Context, Verdict};
use crate::site::said;

/// Contracts, and the goal of the median in nanoseconds where there is one.
const SIZES: [(u32, Option<f64>); 4] = [
    (10, None),
    (1_000, Some(60.0)),
    (10_000, None),
    (100_000, Some(200.0)),
];
/// A neighbour empties the caches in one run, and luck with pages fills them in another: the middle
/// one is judged.
const RUNS: usize = 3;

pub(in super::super) fn of_paths(_: &Context) -> anyhow::Result<Verdict> {
    let mut all = vec![Vec::new(); SIZES.len()];
    for _ in 0..RUNS {
        bench()?;
        for ((size, _), runs) in SIZES.iter().zip(&mut all) {
            runs.push(median_of(*size)?);
        }
    }
    let mut pass = true;
    let mut lines = Vec::new();
    for ((size, goal), runs) in SIZES.iter().zip(&mut all) {
        runs.sort_by(f64::total_cmp);
        let middle = runs.get(RUNS / 2).copied().unwrap_or(f64::INFINITY);
        pass &= goal.is_none_or(|goal| middle <= goal);
        let shown: Vec<_> = runs.iter().map(|run| format!("{run:.0}")).collect();
        let goal = goal.map_or(String::new(), |goal| {
            format!(", goal {goal} ns for the middle one")
        });
        lines.push(format!(
            "{size} contracts: medians {} ns{goal}",
            shown.join(", ")
        ));
    }
    Ok(Verdict::new(pass, lines.join("; ")))
}

fn bench() -> anyhow::Result<()> {
    let mut command = Command::new("cargo");
    command
        .args("bench --locked --quiet --profile fast -p tidegate --bench matching --".split(' '));
    command.args(
        "--noplot --quiet --warm-up-time 0.5 --measurement-time 2 --sample-size 50".split(' '),
    );
    command.arg("^pair/[0-9]+$");
    let output = command.output().context("run cargo bench")?;
    anyhow::ensure!(output.status.success(), "cargo bench: {}", said(&output));
    Ok(())
}

fn median_of(size: u32) -> anyhow::Result<f64> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or("target".into(), PathBuf::from);
    let file = target.join(format!("criterion/pair/{size}/new/estimates.json"));
    let text = std::fs::read(&file).with_context(|| format!("read {}", file.display()))?;
    let told: serde_json::Value = serde_json::from_slice(&text)?;
    told["median"]["point_estimate"]
        .as_f64()
        .context("a median")
}
