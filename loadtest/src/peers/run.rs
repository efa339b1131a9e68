//! A run: scenarios one after the other, each kept as soon as it is done, and the machine it was on.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::outcome::{CPU, Outcome};
use super::rounds::{self, Ground};
use super::scenario::{Drive, Scenario};
use super::stats::Spread;
use super::upstream::Answers;
use super::{Rounds, starts};
use crate::process::installed;

/// Programs that would be compared, but for which nothing here writes a configuration.
const OTHERS: [&str; 4] = ["envoy", "pingap", "zentinel", "caddy"];
/// Connections that ended are gone from the tables of the kernel before the next scenario.
const BETWEEN: Duration = Duration::from_secs(1);

/// All figures of a run, or of several joined ones.
pub(crate) struct Run {
    /// Commit, machine, versions, options: for readers, not for machines.
    pub(super) about: Value,
    pub(super) outcomes: Vec<Outcome>,
    /// How many runs these are.
    pub(super) runs: usize,
    /// Scenarios that ended early, and why.
    pub(super) failed: Vec<String>,
}

impl Run {
    pub(super) fn outcome(&self, name: &str) -> Option<&Outcome> {
        self.outcomes.iter().find(|o| o.name == name)
    }

    /// What failed, to stand behind figures; empty where nothing did.
    pub(crate) fn failures(&self) -> String {
        let each = self.failed.iter().map(|why| format!("; FAILED {why}"));
        each.collect()
    }

    /// CPU per request of a subject by that of each other one, in a scenario: medians of rounds.
    pub(crate) fn cpu_ratios(&self, scenario: &str, of: &str) -> Vec<(String, f64)> {
        let Some(outcome) = self.outcome(scenario) else {
            return Vec::new();
        };
        let others = outcome.subjects.iter().filter(|s| s.label != of);
        others
            .filter_map(|other| {
                let ratio = Spread::of(&outcome.ratio(of, &other.label, CPU))?;
                Some((other.label.clone(), ratio.median))
            })
            .collect()
    }

    pub(super) fn to_json(&self) -> Value {
        let outcomes: Vec<Value> = self.outcomes.iter().map(Outcome::to_json).collect();
        json!({"about": self.about, "runs": self.runs, "scenarios": outcomes})
    }

    /// Reads what a run wrote.
    ///
    /// # Errors
    /// When the file is of something else.
    pub(super) fn read(file: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
        let value: Value = serde_json::from_str(&text)?;
        let outcomes = value["scenarios"].as_array();
        let outcomes = outcomes.with_context(|| format!("no scenarios in {}", file.display()))?;
        Ok(Self {
            about: value["about"].clone(),
            outcomes: outcomes
                .iter()
                .map(Outcome::from_json)
                .collect::<Result<_, _>>()?,
            runs: 1,
            failed: Vec::new(),
        })
    }
}

pub(super) fn scenarios(
    wanted: &[&Scenario],
    asked: Rounds,
    state: &Path,
    again: bool,
) -> anyhow::Result<Run> {
    fs::create_dir_all(state)?;
    let state = state.canonicalize()?;
    let (mut outcomes, mut failed) = (Vec::new(), Vec::new());
    for scenario in wanted {
        match kept_or_run(scenario, asked, &state, again) {
            Ok(outcome) => outcomes.push(outcome),
            // The others still tell something, and the next call runs this one alone.
            Err(e) => {
                eprintln!("{}: FAILED: {e:#}", scenario.name);
                failed.push(format!("{}: {e:#}", scenario.name));
            }
        }
    }
    Ok(Run {
        about: about(asked),
        outcomes,
        runs: 1,
        failed,
    })
}

fn kept_or_run(
    scenario: &Scenario,
    asked: Rounds,
    state: &Path,
    again: bool,
) -> anyhow::Result<Outcome> {
    let kept = state.join(format!("{}.json", scenario.name));
    if let (Some(outcome), false) = (Outcome::load(&kept)?, again) {
        eprintln!("{}: kept from before", scenario.name);
        return Ok(outcome);
    }
    eprintln!("{}: {}", scenario.name, scenario.title);
    let outcome = one(scenario, asked, state)?;
    fs::write(&kept, outcome.to_json().to_string())?;
    std::thread::sleep(BETWEEN);
    Ok(outcome)
}

fn one(scenario: &Scenario, asked: Rounds, state: &Path) -> anyhow::Result<Outcome> {
    let began = now();
    let folder = state.join("run");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let upstream = Answers::start(&folder.join("upstream"))?;
    let (cert, key) = (folder.join("own.pem"), folder.join("own.key"));
    if scenario.speaks.tls {
        make_certificate(&cert, &key)?;
    }
    let ground = Ground {
        folder: &folder,
        upstream: &upstream,
        certificate: scenario.speaks.tls.then_some((&cert, &key)),
    };
    let measured = match scenario.drive {
        Drive::Starts => starts::run(scenario, &ground, asked)?,
        Drive::Closed { .. } | Drive::Open { .. } => rounds::run(scenario, &ground, asked)?,
    };
    drop(upstream);
    fs::remove_dir_all(&folder)?;
    Ok(Outcome {
        name: scenario.name.to_owned(),
        title: scenario.title.to_owned(),
        began,
        ..measured
    })
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |d| d.as_secs())
}

/// A key and a certificate signed with it, made by openssl.
fn make_certificate(cert: &Path, key: &Path) -> anyhow::Result<()> {
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-nodes", "-days", "30", "-newkey", "ec"]);
    command.args(["-pkeyopt", "ec_paramgen_curve:prime256v1"]);
    command.args([
        "-subj",
        "/CN=gateway.test",
        "-addext",
        "subjectAltName=DNS:gateway.test",
    ]);
    let ran = command
        .arg("-keyout")
        .arg(key)
        .arg("-out")
        .arg(cert)
        .output();
    let ran = ran.context("openssl is needed for certificates")?;
    ensure!(
        ran.status.success(),
        "openssl: {}",
        String::from_utf8_lossy(&ran.stderr)
    );
    Ok(())
}

fn about(asked: Rounds) -> Value {
    let model = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| Some(line.split_once(": ")?.1.to_owned()));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let others: Vec<String> = OTHERS
        .iter()
        .map(|name| match installed(name) {
            Some(_) => format!("{name}: installed, but nothing here writes its configuration"),
            None => format!("{name}: not installed"),
        })
        .collect();
    json!({
        "commit": said("git", &["rev-parse", "--short=12", "HEAD"]),
        "cores": std::thread::available_parallelism().map_or(1, usize::from),
        "processor": model,
        "kernel": kernel.trim(),
        "nginx": said("nginx", &["-v"]),
        "haproxy": said("haproxy", &["-v"]),
        "others": others,
        "rounds": asked.rounds,
        "seconds": asked.seconds,
    })
}

/// The first line that a program says.
fn said(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(installed(program)?).args(args).output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    Some(text.lines().next()?.to_owned())
}
