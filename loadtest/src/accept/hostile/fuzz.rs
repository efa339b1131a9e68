//! Fuzzing until each target has had its executions, in calls that add up.
//!
//! What was done is kept in the state folder for the sources that it was done with: a call goes on
//! where the last one stopped, and other sources begin again.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::super::{Context, Verdict};

/// The targets and the most bytes of an input, as fuzz/src/targets/mod.rs has them.
const TARGETS: [(&str, usize); 8] = [
    ("path", 512),
    ("differential", 256),
    ("contracts", 1024),
    ("bundle", 4096),
    ("ledger", 1024),
    ("head", 1024),
    ("chunked", 512),
    ("proxy", 512),
];
/// Executions of each.
const RUNS: u64 = 10_000_000;
/// Seconds that one call of the part may take; another one goes on.
const SECONDS: u64 = 1_200;
/// One process runs so long before what it did is kept.
const SLICE_SECONDS: u64 = 120;

/// What was done of one target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Done {
    executions: u64,
    seconds: u64,
    crashes: u64,
}

/// How targets are run.
enum Engine {
    LibFuzzer(PathBuf),
    Plain(PathBuf),
}

/// What is asked of a run.
pub struct Asked {
    /// Executions of each target.
    pub runs: u64,
    /// The longest that the call may take.
    pub time: Duration,
    /// Only this target.
    pub only: Option<String>,
}

pub(super) fn ten_million(context: &Context) -> anyhow::Result<Verdict> {
    let seconds = std::env::var("FUZZ_SECONDS").ok();
    let seconds = seconds
        .and_then(|text| text.parse().ok())
        .unwrap_or(SECONDS);
    let asked = Asked {
        runs: context.pick(RUNS / 1_000, RUNS),
        time: Duration::from_secs(seconds),
        only: None,
    };
    let rows = run(&context.folder("fuzz"), &asked)?;
    let short = rows
        .iter()
        .filter(|(_, done)| done.executions < asked.runs)
        .count();
    let crashes: u64 = rows.iter().map(|(_, done)| done.crashes).sum();
    let told: Vec<String> = rows.iter().map(|(name, done)| told(name, done)).collect();
    let go_on = if short == 0 {
        String::new()
    } else {
        format!(
            "; {short} targets are short of {}: run it again",
            asked.runs
        )
    };
    Ok(Verdict::new(
        short == 0 && crashes == 0,
        format!("{}{go_on}", told.join("; ")),
    ))
}

/// Runs targets and prints a line for each; true where all have their executions and none crashed.
///
/// # Errors
/// When no engine can be built, or the folder cannot be written.
pub fn print(folder: &Path, asked: &Asked) -> anyhow::Result<bool> {
    let rows = run(folder, asked)?;
    for (name, done) in &rows {
        println!("{}", told(name, done));
    }
    let well = |done: &Done| done.executions >= asked.runs && done.crashes == 0;
    Ok(rows.iter().all(|(_, done)| well(done)))
}

fn told(name: &str, done: &Done) -> String {
    let rate = done.executions / done.seconds.max(1);
    format!(
        "{name}: {} executions, {rate}/s, {} crashes",
        done.executions, done.crashes
    )
}

fn run(folder: &Path, asked: &Asked) -> anyhow::Result<Vec<(&'static str, Done)>> {
    let began = Instant::now();
    let engine = engine()?;
    let sources = sources();
    std::fs::create_dir_all(folder)?;
    let mut rows = Vec::new();
    let wanted =
        |target: &&(&str, usize)| asked.only.as_deref().is_none_or(|only| only == target.0);
    for target in TARGETS.iter().filter(wanted) {
        let (name, _) = target;
        let file = folder.join(format!("{name}.json"));
        let mut done = load(&file, &sources);
        while done.executions < asked.runs && done.crashes == 0 && began.elapsed() < asked.time {
            let left = asked.time.saturating_sub(began.elapsed()).as_secs().max(1);
            let slice = slice(
                &engine,
                folder,
                *target,
                asked.runs - done.executions,
                left,
                &done,
            )?;
            done.executions += slice.executions;
            done.seconds += slice.seconds;
            done.crashes += slice.crashes;
            save(&file, &sources, &done)?;
        }
        rows.push((*name, done));
    }
    let names = TARGETS.map(|(name, _)| name).join(", ");
    anyhow::ensure!(!rows.is_empty(), "the targets are {names}");
    Ok(rows)
}

fn engine() -> anyhow::Result<Engine> {
    let output = Command::new(".ci/fuzz-build")
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("run .ci/fuzz-build; call this in the root of the repository")?;
    anyhow::ensure!(output.status.success(), "the fuzz targets cannot be built");
    let text = String::from_utf8_lossy(&output.stdout);
    match text.trim().split_once(' ') {
        Some(("libfuzzer", folder)) => Ok(Engine::LibFuzzer(folder.into())),
        Some(("plain", program)) => Ok(Engine::Plain(program.into())),
        _ => anyhow::bail!(".ci/fuzz-build says {text:?}"),
    }
}

/// What is fuzzed, by the digests of its folders: a change of docs begins nothing again.
fn sources() -> String {
    let of = |folder: &str| {
        let output = Command::new("git")
            .args(["rev-parse", &format!("HEAD:{folder}")])
            .output();
        output.map_or_else(
            |_| "unknown".to_owned(),
            |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        )
    };
    format!("{} {}", of("src"), of("fuzz/src"))
}

/// One process of at most [`SLICE_SECONDS`].
fn slice(
    engine: &Engine,
    folder: &Path,
    (name, bytes_max): (&str, usize),
    runs: u64,
    seconds: u64,
    before: &Done,
) -> anyhow::Result<Done> {
    let seconds = seconds.min(SLICE_SECONDS);
    let seed = before.executions + 1;
    let began = Instant::now();
    let mut command = Command::new("nice");
    match engine {
        Engine::LibFuzzer(binaries) => {
            let corpus = folder.join("corpus").join(name);
            std::fs::create_dir_all(&corpus)?;
            command.args(["-n", "19"]).arg(binaries.join(name));
            command.args([
                format!("-runs={runs}"),
                format!("-max_total_time={seconds}"),
                format!("-seed={}", seed % u64::from(u32::MAX)),
                format!("-artifact_prefix={}/{name}-", folder.display()),
                format!("-max_len={bytes_max}"),
                "-print_final_stats=1".to_owned(),
            ]);
            command.arg(corpus).arg(Path::new("fuzz/seeds").join(name));
        }
        Engine::Plain(program) => {
            command.args(["-n", "19"]).arg(program).arg(name);
            command.args([runs, seed, seconds].map(|n| n.to_string()));
        }
    }
    let output = command.output().context("run a fuzz target")?;
    let log = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    std::fs::write(folder.join(format!("{name}.log")), &log)?;
    let log = String::from_utf8_lossy(&log);
    let executions = executions(&log).with_context(|| format!("no count in {name}.log"))?;
    Ok(Done {
        executions,
        seconds: began.elapsed().as_secs().max(1),
        crashes: u64::from(!output.status.success()),
    })
}

/// `stat::number_of_executed_units: N` of libFuzzer, or `"executions":N` of the plain driver.
fn executions(log: &str) -> Option<u64> {
    let behind = |mark: &str| {
        let (_, rest) = log.rsplit_once(mark)?;
        let digits = rest.trim_start();
        let end = digits
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(digits.len());
        digits.get(..end)?.parse().ok()
    };
    behind("stat::number_of_executed_units:").or_else(|| behind("\"executions\":"))
}

fn load(file: &Path, sources: &str) -> Done {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let value: Value = serde_json::from_str(&text).unwrap_or_default();
    let number = |name: &str| value[name].as_u64().unwrap_or(0);
    // A crash is looked at again, not remembered: its input is a seed by then.
    if value["sources"] != sources || number("crashes") > 0 {
        return Done::default();
    }
    Done {
        executions: number("executions"),
        seconds: number("seconds"),
        crashes: 0,
    }
}

fn save(file: &Path, sources: &str, done: &Done) -> std::io::Result<()> {
    let Done {
        executions,
        seconds,
        crashes,
    } = done;
    let value = json!({"sources": sources, "executions": executions, "seconds": seconds, "crashes": crashes});
    std::fs::write(file, value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_engines_tell_their_executions() {
        let check = |log: &str, expected| assert_eq!(executions(log), expected, "{log}");
        check(
            "x\nstat::number_of_executed_units: 1234\nstat::a: 5",
            Some(1234),
        );
        check(
            "{\"target\":\"a\",\"executions\":77,\"seconds\":1.0}",
            Some(77),
        );
        check("nothing", None);
    }

    #[test]
    fn calls_add_up_for_the_same_sources_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("path.json");
        let done = Done {
            executions: 5,
            seconds: 2,
            crashes: 0,
        };
        save(&file, "a b", &done).unwrap();
        assert_eq!(load(&file, "a b"), done);
        assert_eq!(load(&file, "a c"), Done::default());
        save(&file, "a b", &Done { crashes: 1, ..done }).unwrap();
        assert_eq!(load(&file, "a b"), Done::default());
    }

    #[test]
    fn each_target_is_run() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/fuzz_targets");
        let stem = |entry: std::io::Result<std::fs::DirEntry>| {
            let path = entry.unwrap().path();
            path.file_stem().unwrap().to_string_lossy().into_owned()
        };
        let mut found: Vec<String> = std::fs::read_dir(folder).unwrap().map(stem).collect();
        found.sort();
        let mut named = TARGETS.map(|(name, _)| name);
        named.sort_unstable();
        assert_eq!(found, named);
    }
}
