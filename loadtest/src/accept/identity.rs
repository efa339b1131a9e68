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
    without_upstream_status: u64,
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
    let reached = seen.requests - seen.duplicates;
    let never_sent = recorded.forwarded.checked_sub(reached);
    let checks = [
        (
            heads == recorded.decisions + refused,
            "heads = decisions + refused",
        ),
        (
            recorded.decisions == recorded.forwarded + recorded.by_us,
            "decisions = forwarded + answered by us",
        ),
        // Repeats at the upstream are our retries: the driver gives each of its own a new id.
        (
            never_sent.is_some_and(|n| n <= recorded.without_upstream_status),
            "upstream = forwarded + retries - never sent",
        ),
        (
            metrics.sum("tidegate_decisions_total") == recorded.decisions,
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
    ];
    let broken: Vec<&str> = checks
        .iter()
        .filter(|(holds, _)| !holds)
        .map(|(_, name)| *name)
        .collect();
    let figure = format!(
        "{heads} heads ({} malformed, {} aborted, {} lost), {refused} refused, {} decisions, {} forwarded, {} by us, \
         upstream {} with {} repeats, metrics {} decisions and {} records, ledger {} lines, {} losses{}",
        tally.malformed,
        tally.aborted,
        tally.lost,
        recorded.decisions,
        recorded.forwarded,
        recorded.by_us,
        seen.requests,
        seen.duplicates,
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
                if line["upstream"].is_string() {
                    recorded.forwarded += 1;
                    let status = line["upstream_status"].as_u64().unwrap_or(0);
                    recorded.without_upstream_status += u64::from(status == 0);
                } else {
                    recorded.by_us += 1;
                }
            }
            _ => {}
        }
    })?;
    Ok(recorded)
}
