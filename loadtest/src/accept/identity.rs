//! The identities of counts: what was sent, decided, forwarded, recorded and counted agree.
//!
//! Four parties count on their own: the load driver, the upstream, the ledger, the metrics.

use std::time::{Duration, Instant};

use super::{Context, Verdict};
use crate::drive;
use crate::site::{self, Metrics, PATIENCE, Setup, Site};
use crate::upstream::Upstream;

/// What the ledger says.
#[derive(Debug, Default)]
struct Recorded {
    lines: u64,
    closes: u64,
    decisions: u64,
    forwarded: u64,
    by_us: u64,
    contracted: u64,
    // Heads that were refused in parsing and have a line all the same.
    refused: u64,
    losses: u64,
}

pub(super) fn hold(context: &Context) -> anyhow::Result<Verdict> {
    let requests = context.pick(10_000, 200_000);
    let upstream = Upstream::start()?;
    let site = Site::prepare(
        &context.folder("identities"),
        &Setup::observing(upstream.address()),
    )?;
    let mut gateway = site.start()?;
    let mut load = drive::Options::new(site.listen, "mixed", requests);
    load.abort_share = 0.01;
    load.malformed_share = 0.01;
    load.retry = true;
    let tally = drive::run(&load)?;
    let metrics = settled(&site)?;
    gateway.stop(PATIENCE)?;
    let seen = upstream.seen();
    let recorded = read(&site)?;

    let refused = metrics.sum("tidegate_refused_in_parsing_total");
    let heads = tally.heads + tally.malformed;
    let sent = recorded.forwarded + metrics.sum("tidegate_upstream_retries_total");
    let never_sent = metrics.sum("tidegate_upstream_never_sent_total");
    // Of a kept connection that closed before a byte came back nobody here knows.
    let unanswered = metrics.sum("tidegate_upstream_unanswered_total");
    let reached = sent.saturating_sub(never_sent);
    let decided = recorded.decisions - recorded.refused;
    let by_us = recorded.by_us - recorded.refused;
    let covered = recorded.contracted as f64 / decided as f64;
    let checks = [
        (heads == decided + refused, "heads = decisions + refused"),
        (
            decided == recorded.forwarded + by_us,
            "decisions = forwarded + answered by us",
        ),
        (
            reached - unanswered <= seen.requests && seen.requests <= reached,
            "upstream = forwarded + retries - never sent, less at most the unanswered",
        ),
        // The driver gives each of its own repeats a new id, so a repeated id is a retry of ours.
        (
            seen.duplicates <= metrics.sum("tidegate_upstream_retries_total"),
            "repeats at the upstream are counted retries",
        ),
        (
            metrics.sum("tidegate_forwarded_total") == recorded.forwarded,
            "forwarded: ledger = metrics",
        ),
        (
            metrics.sum("tidegate_answered_total") == by_us,
            "answered by us: ledger = metrics",
        ),
        (
            metrics.sum("tidegate_decisions_total") == decided,
            "decisions: ledger = metrics",
        ),
        (
            metrics.sum("tidegate_ledger_records_total") == recorded.lines - recorded.closes,
            "records: ledger = metrics",
        ),
        (
            recorded.losses == 0 && metrics.sum("tidegate_ledger_lost_records_total") == 0,
            "nothing lost",
        ),
        (tally.repeated_decision_ids == 0, "decision ids are unique"),
        (
            tally.without_decision_id == 0,
            "every answer has a decision id",
        ),
        // R237
        (
            (metrics.value("tidegate_contract_coverage_ratio") - covered).abs() < 0.001,
            "coverage: ledger = metrics",
        ),
        // R060: this tier withholds what decisions ask for, and says so.
        (
            metrics.sum("tidegate_actions_suppressed_total") > 0,
            "withheld actions are counted",
        ),
    ];
    let broken: Vec<&str> = checks
        .iter()
        .filter(|(holds, _)| !holds)
        .map(|(_, name)| *name)
        .collect();
    let figure = format!(
        "{heads} heads ({} malformed, {} aborted, {} lost), {refused} refused, {} decisions, {} forwarded, {} by us, \
         upstream {} with {} repeats, {never_sent} never sent, {unanswered} unanswered and {} retries, metrics {} decisions and {} records, ledger {} lines, {} losses{}",
        tally.malformed,
        tally.aborted,
        tally.lost,
        recorded.decisions,
        recorded.forwarded,
        recorded.by_us,
        seen.requests,
        seen.duplicates,
        metrics.sum("tidegate_upstream_retries_total"),
        metrics.sum("tidegate_decisions_total"),
        metrics.sum("tidegate_ledger_records_total"),
        recorded.lines,
        recorded.losses,
        if broken.is_empty() {
            String::new()
        } else {
            format!("; BROKEN: {}", broken.join(", "))
        },
    );
    Ok(Verdict::new(broken.is_empty(), figure))
}

/// The metrics once nothing moves any more: exchanges end and records are written after answers.
fn settled(site: &Site) -> anyhow::Result<Metrics> {
    let began = Instant::now();
    let mut last = site.metrics()?;
    loop {
        std::thread::sleep(Duration::from_millis(1_500));
        let now = site.metrics()?;
        let same = |name| now.sum(name) == last.sum(name);
        let still = same("tidegate_decisions_total") && same("tidegate_ledger_records_total");
        if still && now.sum("tidegate_inflight_requests") == 0 {
            return Ok(now);
        }
        anyhow::ensure!(
            began.elapsed() < Duration::from_secs(60),
            "the metrics do not come to rest"
        );
        last = now;
    }
}

fn read(site: &Site) -> anyhow::Result<Recorded> {
    let mut recorded = Recorded::default();
    site::lines(&site.ledger(), |line| {
        recorded.lines += 1;
        match line["kind"].as_str() {
            Some("close") => recorded.closes += 1,
            Some("loss") => recorded.losses += 1,
            Some("decision") => {
                recorded.decisions += 1;
                let malformed = line["reason_codes"]
                    .as_array()
                    .is_some_and(|c| c.iter().any(|c| c == "MALFORMED_REQUEST"));
                recorded.refused += u64::from(malformed);
                recorded.contracted += u64::from(line["contract_id"].is_string());
                if line["upstream"].is_string() {
                    recorded.forwarded += 1;
                } else {
                    recorded.by_us += 1;
                }
            }
            _ => {}
        }
    })?;
    Ok(recorded)
}
