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
/// A neighbour empties the caches: the best run says what the code costs.
const RUNS: usize = 3;

pub(in super::super) fn of_paths(_: &Context) -> anyhow::Result<Verdict> {
    let mut best = [f64::INFINITY; SIZES.len()];
    let mut all = vec![Vec::new(); SIZES.len()];
    for _ in 0..RUNS {
        bench()?;
        for (((size, _), best), all) in SIZES.iter().zip(&mut best).zip(&mut all) {
            let median = median_of(*size)?;
            *best = best.min(median);
            all.push(format!("{median:.0}"));
        }
    }
    let pairs = || SIZES.iter().zip(best);
    let pass = pairs().all(|((_, goal), best)| goal.is_none_or(|goal| best <= goal));
    let lines = pairs().zip(&all).map(|(((size, goal), _), all)| {
        let goal = goal.map_or(String::new(), |goal| format!(", goal {goal} ns"));
        format!("{size} contracts: medians {} ns{goal}", all.join(", "))
    });
    Ok(Verdict::new(pass, lines.collect::<Vec<_>>().join("; ")))
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
