//! Fuzzing until each target has had its executions, in calls that add up.
//!
//! What was done is kept in the state folder, by target, with the commit and the engine that it was
//! done with. Counts are of a target, not of a commit: most commits do not touch what one target
//! reads, and ten million executions take longer than the time between two commits. So each figure
//! names its commits, and says where what the target reads has changed since.

mod counts;
mod engine;
mod page;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use self::counts::Counts;
use self::engine::Engine;
use super::super::{Context, Verdict, state};

/// A target.
struct Target {
    name: &'static str,
    /// The most bytes of an input, as fuzz/src/targets/mod.rs has it.
    bytes_max: usize,
    /// Whose change makes older executions say less.
    sources: &'static [&'static str],
}

const fn target(name: &'static str, bytes_max: usize, sources: &'static [&'static str]) -> Target {
    Target {
        name,
        bytes_max,
        sources,
    }
}

/// The fast ones first.
static TARGETS: [Target; 8] = [
    target("path", 256, &["src/contract"]),
    target("head", 512, &["src/gateway/edge"]),
    target("chunked", 256, &["src/gateway/edge"]),
    target("proxy", 320, &["src/gateway/edge"]),
    target("differential", 160, &["src/contract"]),
    target("ledger", 512, &["src/ledger"]),
    target("bundle", 3200, &["src/bundle", "src/policy"]),
    target(
        "contracts",
        512,
        &["src/contract", "src/policy", "src/yaml", "src/diagnostic"],
    ),
];
/// Executions of each.
const RUNS: u64 = 10_000_000;
/// Seconds that one call of the part may take; another one goes on.
const SECONDS: u64 = 1_200;

/// What is asked of a run.
pub struct Asked {
    /// Executions of each target.
    pub runs: u64,
    /// The longest that the call may take.
    pub time: Duration,
    /// Only this target.
    pub only: Option<String>,
    /// Where the table goes.
    pub page: Option<PathBuf>,
}

type Row = (&'static Target, Counts);

pub(super) fn ten_million(context: &Context) -> anyhow::Result<Verdict> {
    let seconds = std::env::var("FUZZ_SECONDS").ok();
    let seconds = seconds
        .and_then(|text| text.parse().ok())
        .unwrap_or(SECONDS);
    let asked = Asked {
        runs: context.pick(RUNS / 1_000, RUNS),
        time: Duration::from_secs(seconds),
        only: None,
        page: None,
    };
    let rows = run(&context.folder("fuzz"), &asked)?;
    let short = rows.iter().filter(|(_, c)| c.executions() < asked.runs);
    let short: Vec<&str> = short.map(|(target, _)| target.name).collect();
    let crashes: u64 = rows.iter().map(|(_, counts)| counts.crashes).sum();
    let told: Vec<String> = rows.iter().map(page::line).collect();
    let go_on = match &*short {
        [] => String::new(),
        short => format!(
            "; short of {}: {}; run it again",
            asked.runs,
            short.join(", ")
        ),
    };
    Ok(Verdict::new(
        short.is_empty() && crashes == 0,
        format!("{}{go_on}", told.join("; ")),
    ))
}

/// Runs targets and prints a line for each; true where all have their executions and none crashed.
///
/// # Errors
/// When no engine can be built, or the folder cannot be written.
pub fn print(folder: &Path, asked: &Asked) -> anyhow::Result<bool> {
    let rows = run(folder, asked)?;
    for row in &rows {
        println!("{}", page::line(row));
    }
    if let Some(file) = &asked.page {
        std::fs::write(file, page::of(&rows))?;
    }
    let well = |counts: &Counts| counts.executions() >= asked.runs && counts.crashes == 0;
    Ok(rows.iter().all(|(_, counts)| well(counts)))
}

fn run(folder: &Path, asked: &Asked) -> anyhow::Result<Vec<Row>> {
    let began = Instant::now();
    std::fs::create_dir_all(folder)?;
    let commit = state::commit();
    // Built when there is something left to do.
    let mut engine: Option<Engine> = None;
    let mut rows = Vec::new();
    let wanted = |target: &&Target| asked.only.as_deref().is_none_or(|only| only == target.name);
    for target in TARGETS.iter().filter(wanted) {
        let file = folder.join(format!("{}.json", target.name));
        let mut counts = Counts::load(&file);
        while counts.executions() < asked.runs
            && counts.crashes == 0
            && began.elapsed() < asked.time
        {
            let with = match &mut engine {
                Some(built) => built,
                none => none.insert(Engine::build()?),
            };
            let left = engine::Left {
                runs: asked.runs - counts.executions(),
                time: asked.time.saturating_sub(began.elapsed()),
                seed: counts.executions() + 1,
            };
            let slice = with.slice(folder, target, &left)?;
            counts.add(&commit, with.name(), &slice);
            counts.save(&file)?;
        }
        rows.push((target, counts));
    }
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    anyhow::ensure!(!rows.is_empty(), "the targets are {}", names.join(", "));
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_is_run_as_it_is_written() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let text = std::fs::read_to_string(root.join("fuzz/src/targets/mod.rs")).unwrap();
        let written = |line: &str| line.trim_start().starts_with("target(\"");
        let mut found: Vec<&str> = text.lines().filter(|l| written(l)).map(str::trim).collect();
        found.sort_unstable();
        let named = |t: &Target| format!("target(\"{0}\", {0}::run, {1}),", t.name, t.bytes_max);
        let mut named: Vec<String> = TARGETS.iter().map(named).collect();
        named.sort_unstable();
        assert_eq!(found, named);
        for source in TARGETS.iter().flat_map(|target| target.sources) {
            assert!(root.join(source).is_dir(), "{source}");
        }
    }
}
