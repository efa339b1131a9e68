//! What checking, verifying and comparing cost.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::super::{Context, Verdict};
use crate::site::{Setup, Site, said};
use crate::upstream::Upstream;

/// How long `tidegate check` may take for a thousand contract files, the start of the process
/// included.
const CHECK_MAX: Duration = Duration::from_millis(100);

pub(super) fn check_of_files(context: &Context) -> anyhow::Result<Verdict> {
    let upstream = Upstream::start()?;
    let setup = Setup {
        contracts: 0,
        ..Setup::observing(upstream.address())
    };
    let site = Site::prepare(&context.folder("check"), &setup)?;
    for n in 0..1_000 {
        let contract = format!(
            "version: 1\ncontracts:\n  - id: c{n}\n    owner: me\n    endpoint: \"GET /api/v1/c{n}/{{id}}\"\n    rate_limit_rpm: 600\n"
        );
        site.write(&format!("contracts/c{n}.yaml"), &contract)?;
    }
    let mut times = Vec::new();
    for _ in 0..context.pick(5, 21) {
        let began = Instant::now();
        let output = site.run(&["check", "-c", "tidegate.yaml"])?;
        times.push(began.elapsed());
        anyhow::ensure!(output.status.success(), "check: {}", said(&output));
    }
    times.sort_unstable();
    let (best, median) = (times.first(), times.get(times.len() / 2));
    let (best, median) = (best.context("a time")?, median.context("a time")?);
    let figure = format!(
        "median {} ms, fastest {} ms, at most {} ms",
        median.as_millis(),
        best.as_millis(),
        CHECK_MAX.as_millis()
    );
    // Beside other tests the median is the machine's; the full run is judged.
    Ok(Verdict::new(
        context.pick(*best, *median) < CHECK_MAX,
        figure,
    ))
}

/// The benchmarks of bundles; each line carries its own verdict.
pub(super) fn of_bundles(_: &Context) -> anyhow::Result<Verdict> {
    let output = Command::new(".ci/bundle-figures")
        .output()
        .context("run .ci/bundle-figures")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|l| l.contains("at most"))
        .collect();
    let missed = lines.iter().any(|line| line.contains("FALLS SHORT"));
    anyhow::ensure!(
        lines.len() >= 5,
        "too few figures: {text} {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(Verdict::new(
        output.status.success() && !missed,
        lines.join("; "),
    ))
}
