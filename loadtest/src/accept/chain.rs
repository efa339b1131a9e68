//! The ledger of a run, judged from outside: intact, tampered with, hashed by other tools.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;

use super::{Context, Verdict};
use crate::drive;
use crate::process::{Process, beside};
use crate::random::Random;
use crate::site::{self, PATIENCE, Setup, Site, said, segments};
use crate::upstream::Upstream;

/// Exit code of an integrity failure.
const INTEGRITY: i32 = 65;

/// Runs mixed load through a fresh gateway of two workers, and stops it in order.
fn ledger_of_a_run(context: &Context, name: &str, requests: u64) -> anyhow::Result<Site> {
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
    let output = site.verify(&site.ledger())?;
    let mut lines = 0_usize;
    site::lines(&site.ledger(), |_| lines += 1)?;
    // A verifier that says yes without having read every line has verified nothing.
    let pass = output.status.code() == Some(0) && mentions(&said(&output), &[lines]);
    let figure = format!("{lines} lines; {}: {}", output.status, said(&output));
    Ok(Verdict::new(pass, figure))
}

pub(super) fn tampered(context: &Context) -> anyhow::Result<Verdict> {
    let changes = context.pick(20, 300);
    let site = ledger_of_a_run(context, "tamper", 500)?;
    let segment = segments(&site.ledger())?.pop().context("a segment")?;
    let original = std::fs::read(&segment)?;
    let mut random = Random::new(42);
    let mut found = 0;
    let mut missed = String::new();
    for _ in 0..changes {
        let at = usize::try_from(random.below(original.len() as u64))?;
        let mut changed = original.clone();
        let byte = changed.get_mut(at).context("a byte")?;
        *byte ^= 1;
        std::fs::write(&segment, &changed)?;
        let output = site.verify(&site.ledger())?;
        // A changed line break shows at the next record.
        let sequence = original
            .get(..at)
            .unwrap_or_default()
            .iter()
            .filter(|b| **b == b'\n')
            .count();
        if output.status.code() == Some(INTEGRITY)
            && mentions(&said(&output), &[sequence, sequence + 1])
        {
            found += 1;
        } else {
            missed = format!(
                "; byte {at} of record {sequence}: {}: {}",
                output.status,
                said(&output)
            );
        }
    }
    std::fs::write(&segment, &original)?;
    Ok(Verdict::new(
        found == changes,
        format!("{found} of {changes} changes found and named{missed}"),
    ))
}

/// Whether a message contains one of the numbers, as a whole number.
fn mentions(message: &str, numbers: &[usize]) -> bool {
    message
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .any(|number: usize| numbers.contains(&number))
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
    let said = second.log_end();
    first.stop(PATIENCE)?;
    let named = said.to_lowercase().contains("lock");
    Ok(Verdict::new(
        !status.success() && named,
        format!("{status}: {said}"),
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
    let ledger: PathBuf = site.ledger();
    let output = replay(&site, &ledger)?;
    let counted = mentions(&said(&output), &[usize::try_from(decisions)?]);
    let pass =
        output.status.code() == Some(0) && counted && decisions >= wanted && workers.len() >= 2;
    let figure = format!(
        "{decisions} decisions of {} workers; {}: {}",
        workers.len(),
        output.status,
        said(&output)
    );
    Ok(Verdict::new(pass, figure))
}

fn replay(site: &Site, ledger: &Path) -> anyhow::Result<std::process::Output> {
    site.run(&["replay", &ledger.display().to_string()])
}
