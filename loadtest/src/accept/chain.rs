//! The ledger of a run, judged from outside: intact, replayed, hashed by other tools, locked.
//!
//! What was changed in it is judged in `tamper`.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::Context as _;
use serde_json::Value;

use super::{Context, Verdict};
use crate::drive;
use crate::process::{Process, beside};
use crate::site::{self, PATIENCE, Setup, Site, said, segments};
use crate::upstream::Upstream;

/// Runs mixed load through a fresh gateway of two workers, and stops it in order.
pub(super) fn ledger_of_a_run(
    context: &Context,
    name: &str,
    requests: u64,
) -> anyhow::Result<Site> {
    let upstream = Upstream::start()?;
    let site = Site::prepare(&context.folder(name), &Setup::observing(upstream.address()))?;
    let mut gateway = site.start()?;
    let tally = drive::run(&drive::Options::new(site.listen, "faulty", requests))?;
    let status = gateway.stop(PATIENCE)?;
    anyhow::ensure!(
        status.success(),
        "the gateway ended with {status}: {}",
        gateway.log_end()
    );
    anyhow::ensure!(
        tally.heads == requests,
        "only {} of {requests} requests were sent",
        tally.heads
    );
    Ok(site)
}

pub(super) fn intact(context: &Context) -> anyhow::Result<Verdict> {
    let site = ledger_of_a_run(context, "verify", context.pick(2_000, 20_000))?;
    let mut lines = 0_u64;
    site::lines(&site.ledger(), |_| lines += 1)?;
    let report = verified(&site)?;
    // A verifier that says yes without having read every line has verified nothing.
    let pass = report.code == Some(0)
        && report.json["verdict"] == "intact"
        && report.json["records"] == lines;
    let figure = format!(
        "{} of {lines} lines read, {}, exit {:?}",
        report.json["records"], report.json["verdict"], report.code
    );
    Ok(Verdict::new(pass, figure))
}

/// What `ledger verify --format json` says.
pub(super) struct Verified {
    pub(super) code: Option<i32>,
    pub(super) json: Value,
}

pub(super) fn verified(site: &Site) -> anyhow::Result<Verified> {
    let ledger = site.ledger().display().to_string();
    let output = site.run(&["ledger", "verify", "--format", "json", &ledger])?;
    let json = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("the report of ledger verify: {}", said(&output)))?;
    Ok(Verified {
        code: output.status.code(),
        json,
    })
}

pub(super) fn replayed(context: &Context) -> anyhow::Result<Verdict> {
    let wanted: u64 = context.pick(5_000, 110_000);
    let site = ledger_of_a_run(context, "replay", wanted)?;
    let (mut decisions, mut workers) = (0_u64, std::collections::BTreeSet::new());
    site::lines(&site.ledger(), |line| {
        if line["kind"] == "decision" {
            decisions += 1;
            workers.insert(line["worker"].as_u64());
        }
    })?;
    let output = site.run(&[
        "replay",
        "--format",
        "json",
        &site.ledger().display().to_string(),
    ])?;
    let report: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("the report of replay: {}", said(&output)))?;
    // Each count by its own name: a number somewhere in a text would prove nothing.
    let none = |member: &str| report[member] == 0_u64;
    let pass = output.status.code() == Some(0)
        && report["decisions"] == decisions
        && none("differences")
        && none("not_replayable")
        && none("unreadable")
        && decisions >= wanted
        && workers.len() >= 2;
    let figure = format!(
        "{decisions} decisions of {} workers; {} replayed, {} differences, {} not replayable, {} unreadable",
        workers.len(),
        report["decisions"],
        report["differences"],
        report["not_replayable"],
        report["unreadable"],
    );
    Ok(Verdict::new(pass, figure))
}

pub(super) fn second_process(context: &Context) -> anyhow::Result<Verdict> {
    let upstream = Upstream::start()?;
    let site = Site::prepare(
        &context.folder("lock"),
        &Setup::observing(upstream.address()),
    )?;
    let mut first = site.start()?;
    // The second one has its own ports, so that only the directory can be the reason.
    let config = std::fs::read_to_string(site.config())?
        .replace(&site.listen.to_string(), &site::free()?.to_string())
        .replace(&site.admin.to_string(), &site::free()?.to_string());
    let second_config = site.folder().join("second.yaml");
    std::fs::write(&second_config, config)?;
    let mut command = Command::new(beside("tidegate")?);
    command.arg("run").arg("-c").arg(&second_config);
    let mut second = Process::start(command, &site.folder().join("second.log"))?;
    let status = second.wait(PATIENCE)?;
    let log = second.log_end();
    first.stop(PATIENCE)?;
    let said = log.split(" | ").find(|line| line.contains("LEDGER_LOCKED"));
    Ok(Verdict::new(
        !status.success() && said.is_some(),
        format!("{status}: {}", said.unwrap_or(&log)),
    ))
}

pub(super) fn independent_hash(context: &Context) -> anyhow::Result<Verdict> {
    let wanted = context.pick(30, 300);
    let site = ledger_of_a_run(context, "jq", 500)?;
    let mut all = Vec::new();
    for segment in segments(&site.ledger())? {
        all.extend(std::fs::read_to_string(segment)?.lines().map(str::to_owned));
    }
    // Evenly spread, first and last line included.
    let step = (all.len() / wanted).max(1);
    let mut chosen: Vec<&String> = all.iter().step_by(step).collect();
    chosen.extend(all.last());
    let mut right = 0;
    for line in &chosen {
        let value: serde_json::Value = serde_json::from_str(line)?;
        right += usize::from(value["hash"] == hash_with_tools(line)?.as_str());
    }
    Ok(Verdict::new(
        right == chosen.len(),
        format!("{right} of {} lines hash alike", chosen.len()),
    ))
}

fn hash_with_tools(line: &str) -> anyhow::Result<String> {
    let mut shell = Command::new("bash")
        .args([
            "-c",
            "set -eo pipefail; { printf '\\0'; jq -cj 'del(.hash)'; } | sha256sum",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    shell
        .stdin
        .take()
        .context("stdin")?
        .write_all(line.as_bytes())?;
    let output = shell.wait_with_output()?;
    anyhow::ensure!(
        output.status.success(),
        "jq or sha256sum failed; make tools installs jq"
    );
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.split(' ').next().unwrap_or_default().to_owned())
}
