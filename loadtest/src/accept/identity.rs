//! The identities of counts: what was sent, decided, forwarded, recorded and counted agree.
//!
//! Four parties count on their own: the load driver, the upstream, the ledger, the metrics.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::recorded::Recorded;
use super::{Context, Verdict};
use crate::drive::{self, Tally};
use crate::site::{Metrics, PATIENCE, Setup, Site};
use crate::upstream::{Seen, Upstream};

/// Statuses of answers of ours about a request that was forwarded.
const UPSTREAM_FAILED: [u16; 3] = [500, 502, 504];

/// What all four parties counted of one run.
struct Books {
    tally: Tally,
    seen: Seen,
    metrics: Metrics,
    recorded: Recorded,
}

/// Under OBSERVE_ONLY everything is forwarded, clients leave and some heads are malformed.
pub(super) fn hold(context: &Context) -> anyhow::Result<Verdict> {
    hold_over(context, "mixed", context.pick(10_000, 200_000))
}

/// The same over another number of requests, of another mix.
pub(super) fn hold_over(context: &Context, mix: &str, requests: u64) -> anyhow::Result<Verdict> {
    let books = books(context, "identities", "observe_only", mix, 0.01, requests)?;
    let withheld = books.metrics.sum("tidegate_actions_suppressed_total");
    Ok(books.verdict(&[
        (books.forwarded_alone(), "this tier answers nothing itself"),
        // R060: this tier withholds what decisions ask for, and says so.
        (withheld > 0, "withheld actions are counted"),
    ]))
}

/// Under CONTROL unknown paths and wrong methods are answered by the gateway. No client leaves,
/// so that the driver knows the status of every answer.
pub(super) fn hold_under_control(context: &Context) -> anyhow::Result<Verdict> {
    let books = books(
        context,
        "control",
        "control",
        "mixed",
        0.0,
        context.pick(10_000, 200_000),
    )?;
    let refused = |status: u16| books.recorded.by_us.get(&status).copied().unwrap_or(0);
    Ok(books.verdict(&[
        (refused(404) > 0, "unknown paths are refused"),
        (refused(405) > 0, "wrong methods are refused"),
        (books.tally.lost == 0, "every request has an answer"),
    ]))
}

/// Runs mixed load through a gateway and asks everyone for their counts.
fn books(
    context: &Context,
    name: &str,
    tier: &'static str,
    mix: &str,
    abort_share: f64,
    requests: u64,
) -> anyhow::Result<Books> {
    let upstream = Upstream::start()?;
    let setup = Setup {
        tier,
        ..Setup::observing(upstream.address())
    };
    let site = Site::prepare(&context.folder(name), &setup)?;
    let mut gateway = site.start()?;
    let mut load = drive::Options::new(site.listen, mix, requests);
    load.abort_share = abort_share;
    load.malformed_share = 0.01;
    load.retry = true;
    let tally = drive::run(&load)?;
    let metrics = settled(&site)?;
    gateway.stop(PATIENCE)?;
    Ok(Books {
        tally,
        seen: upstream.seen(),
        metrics,
        recorded: Recorded::read(&site)?,
    })
}

type Check = (bool, &'static str);

impl Books {
    fn sum(&self, name: &str) -> u64 {
        self.metrics.sum(name)
    }

    fn heads(&self) -> u64 {
        self.tally.heads + self.tally.malformed
    }

    fn decided(&self) -> u64 {
        self.recorded.decisions - self.recorded.refused
    }

    fn by_us(&self) -> u64 {
        self.recorded.by_us.values().sum()
    }

    fn forwarded_alone(&self) -> bool {
        self.by_us() == 0
    }

    /// Refusals by status as the driver saw them: problem documents that are not about a
    /// failure of the upstream.
    fn refusals_at_driver(&self) -> BTreeMap<u16, u64> {
        let mut refusals = self.tally.problems.clone();
        refusals.retain(|status, _| !UPSTREAM_FAILED.contains(status));
        refusals
    }

    /// Who got what: each check compares counts of two different parties.
    fn of_parties(&self) -> Vec<Check> {
        let retries = self.sum("tidegate_upstream_retries_total");
        let sent = self.recorded.forwarded + retries;
        let reached = sent.saturating_sub(self.sum("tidegate_upstream_never_sent_total"));
        // Of a kept connection that closed before a byte came back nobody here knows.
        let unanswered = self.sum("tidegate_upstream_unanswered_total");
        let refused = self.sum("tidegate_refused_in_parsing_total");
        // Status 0 is a connection that ended without an answer.
        let answered = self.tally.malformed_answers.iter().filter(|a| *a.0 != 0);
        let refused_at_driver: u64 = answered.map(|a| a.1).sum();
        vec![
            (
                self.heads() == self.decided() + refused,
                "heads = decisions + refused",
            ),
            (
                refused == self.tally.malformed && refused_at_driver == refused,
                "refused in parsing: metrics = driver",
            ),
            (
                self.refusals_at_driver() == self.recorded.by_us,
                "answered by us, by status: driver = ledger",
            ),
            (
                reached <= self.seen.requests + unanswered && self.seen.requests <= reached,
                "upstream = forwarded + retries - never sent, less at most the unanswered",
            ),
            // The driver gives each of its own repeats a new id, so a repeated id is a retry of ours.
            (
                self.seen.duplicates <= retries,
                "repeats at the upstream are counted retries",
            ),
            (
                self.tally.repeated_decision_ids == 0,
                "decision ids are unique",
            ),
            (
                self.tally.without_decision_id == 0,
                "every answer has a decision id",
            ),
        ]
    }

    /// Ledger and metrics are written by different code, from different events.
    fn of_ledger_and_metrics(&self) -> Vec<Check> {
        let recorded = &self.recorded;
        let forwarded = self.sum("tidegate_forwarded_total");
        let answered = self.sum("tidegate_answered_total");
        let covered = recorded.contracted as f64 / self.decided() as f64;
        let coverage = self.metrics.value("tidegate_contract_coverage_ratio");
        vec![
            (
                forwarded == recorded.forwarded,
                "forwarded: ledger = metrics",
            ),
            (answered == self.by_us(), "answered by us: ledger = metrics"),
            (
                forwarded + answered == self.decided(),
                "decisions = forwarded + answered by us",
            ),
            (
                self.sum("tidegate_decisions_total") == self.decided(),
                "decisions: ledger = metrics",
            ),
            (
                self.sum("tidegate_ledger_records_total") == recorded.lines - recorded.closes,
                "records: ledger = metrics",
            ),
            (
                recorded.losses == 0 && self.sum("tidegate_ledger_lost_records_total") == 0,
                "nothing lost",
            ),
            // R071
            (
                recorded.phase_astray.is_none(),
                "phase is the last stage that each request completed",
            ),
            // R237
            (
                (coverage - covered).abs() < 0.001,
                "coverage: ledger = metrics",
            ),
        ]
    }

    fn verdict(&self, more: &[Check]) -> Verdict {
        let mut checks = self.of_parties();
        checks.extend(self.of_ledger_and_metrics());
        checks.extend(more);
        let broken: Vec<&str> = checks.iter().filter(|c| !c.0).map(|c| c.1).collect();
        let mut figure = self.figure();
        if let Some(astray) = &self.recorded.phase_astray {
            figure += &format!("; phase of {astray}");
        }
        if !broken.is_empty() {
            figure += &format!("; BROKEN: {}", broken.join(", "));
        }
        Verdict::new(broken.is_empty(), figure)
    }

    fn figure(&self) -> String {
        let sum = |name| self.sum(name);
        format!(
            "{} heads ({} malformed, {} aborted, {} lost), {} refused in parsing, {} decisions, \
             {} forwarded, by us {:?} and at the driver {:?}, upstream {} with {} repeats, \
             {} never sent, {} unanswered, {} retries, metrics {} decisions and {} records, \
             ledger {} lines, {} losses",
            self.heads(),
            self.tally.malformed,
            self.tally.aborted,
            self.tally.lost,
            sum("tidegate_refused_in_parsing_total"),
            self.decided(),
            self.recorded.forwarded,
            self.recorded.by_us,
            self.refusals_at_driver(),
            self.seen.requests,
            self.seen.duplicates,
            sum("tidegate_upstream_never_sent_total"),
            sum("tidegate_upstream_unanswered_total"),
            sum("tidegate_upstream_retries_total"),
            sum("tidegate_decisions_total"),
            sum("tidegate_ledger_records_total"),
            self.recorded.lines,
            self.recorded.losses,
        )
    }
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
