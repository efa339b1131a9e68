//! The demo's check of itself: everything it promised must have happened, and all counts agree.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use super::clients::Sent;
use crate::cli::stdio::print;
use crate::ledger::{DirectoryLines, LedgerKey, Record, SignedNote, Verdict, prove, verify};
use crate::replay::Replay;

/// What was seen from all sides.
pub(super) struct Seen<'a> {
    pub(super) sent: &'a Sent,
    pub(super) at_upstream: u64,
    pub(super) metrics: &'a str,
    pub(super) ledger: PathBuf,
    pub(super) key: PathBuf,
}

/// The text of a scrape.
pub(super) fn scrape(admin: SocketAddr) -> Result<String> {
    let mut stream = TcpStream::connect(admin).context("the admin listener")?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n"
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    anyhow::ensure!(text.starts_with("HTTP/1.1 200"), "the scrape was refused");
    Ok(text)
}

/// How many requests the upstream must have got, as far as the metrics can know it.
struct Reached {
    sent: u64,
    // Of a kept connection that closed before a byte came back nobody here knows.
    unanswered: u64,
}

impl Reached {
    fn of(metrics: &str) -> Self {
        let sum = |name| sum_of(metrics, name);
        let attempts = sum("tidegate_forwarded_total") + sum("tidegate_upstream_retries_total");
        Self {
            sent: attempts.saturating_sub(sum("tidegate_upstream_never_sent_total")),
            unanswered: sum("tidegate_upstream_unanswered_total"),
        }
    }

    fn allows(&self, at_upstream: u64) -> bool {
        at_upstream <= self.sent && self.sent - at_upstream <= self.unanswered
    }
}

/// What the ledger says after it was closed.
#[derive(Default)]
struct Recorded {
    decisions: BTreeMap<String, u64>,
    reasons: BTreeMap<String, u64>,
    circuits: BTreeMap<String, Vec<String>>,
    total: u64,
    newest: u64,
    replayed_differently: u64,
    not_replayable: u64,
}

/// What was checked, line by line.
struct Checks {
    all_hold: bool,
    text: String,
}

impl Checks {
    fn line(&mut self, holds: bool, text: &str) {
        let mark = if holds { "ok  " } else { "FAIL" };
        self.text += &format!("{mark} {text}\n");
        self.all_hold &= holds;
    }

    fn end(&self) -> Result<bool> {
        let word = if self.all_hold { "passed" } else { "failed" };
        print(&format!("\n{}\nself-check {word}\n", self.text)).context("stdout")?;
        Ok(self.all_hold)
    }
}

/// Prints every check and whether it holds; true where all do.
pub(super) fn check(seen: &Seen<'_>) -> Result<bool> {
    let report = verify(&seen.ledger).context("the ledger")?;
    let recorded = read(&seen.ledger)?;
    let mut checks = Checks {
        all_hold: true,
        text: String::new(),
    };
    everything_happened(&mut checks, seen, &recorded);
    counts_agree(&mut checks, seen, &recorded);
    checks.line(
        report.verdict == Verdict::Intact,
        &format!("ledger verified: {} records", report.records),
    );
    let signed = signed_head(seen, &recorded);
    let text = match &signed {
        Ok(size) => {
            format!("the newest signed head covers {size} records, all decisions among them")
        }
        Err(error) => format!("the newest decision is under no signed head: {error:#}"),
    };
    checks.line(signed.is_ok(), &text);
    checks.line(
        recorded.replayed_differently == 0 && recorded.not_replayable == 0,
        &format!(
            "replayed: {} differences, {} not replayable",
            recorded.replayed_differently, recorded.not_replayable
        ),
    );
    checks.end()
}

/// How many records the newest head covers: it must prove the newest decision, and be signed by the
/// key that the gateway made.
fn signed_head(seen: &Seen<'_>, recorded: &Recorded) -> Result<u64> {
    let proof = prove(&seen.ledger, recorded.newest, None, None)?;
    let head = proof.head.context("there is none")?;
    let key = LedgerKey::read(&seen.key)?;
    let verifier = key.verifier(&head.checkpoint.origin);
    let verifier = verifier.map_err(|rule| anyhow::anyhow!("{rule}"))?;
    let note = SignedNote::parse(head.note.as_bytes());
    let signed = note.is_ok_and(|note| note.is_signed_by(&verifier));
    anyhow::ensure!(
        signed,
        "its signature is not that of {}",
        seen.key.display()
    );
    Ok(head.checkpoint.size)
}

/// Each decision, cause and answer that the demo is there to show has been seen.
fn everything_happened(checks: &mut Checks, seen: &Seen<'_>, recorded: &Recorded) {
    for decision in ["ALLOW", "THROTTLE", "QUARANTINE", "DROP"] {
        let count = recorded.decisions.get(decision).copied().unwrap_or(0);
        checks.line(count > 0, &format!("{count} decisions {decision}"));
    }
    for reason in [
        "RATE_LIMIT_EXCEEDED",
        "RETRY_STORM_DETECTED",
        "CIRCUIT_OPEN",
    ] {
        let count = recorded.reasons.get(reason).copied().unwrap_or(0);
        checks.line(count > 0, &format!("{count} decisions because of {reason}"));
    }
    let whole = recorded.circuits.iter().find(|(_, life)| is_whole(life));
    let text = match whole {
        Some((contract, life)) => format!("circuit of {contract}: {}", life.join(", ")),
        None => "no circuit opened, let probes pass and closed again".to_owned(),
    };
    checks.line(whole.is_some(), &text);
    for status in [200, 400, 404, 405, 429, 500, 502, 503] {
        let count = seen.sent.statuses.get(&status).copied().unwrap_or(0);
        checks.line(count > 0, &format!("{count} answers with status {status}"));
    }
}

/// Clients, ledger, metrics and upstream tell of the same requests.
fn counts_agree(checks: &mut Checks, seen: &Seen<'_>, recorded: &Recorded) {
    let sum = |name: &str| sum_of(seen.metrics, name);
    let (sent, total) = (seen.sent, recorded.total);
    checks.line(
        sent.requests == total && sent.broken == 0,
        &format!(
            "{} requests sent, {} broken, {total} decisions recorded",
            sent.requests, sent.broken
        ),
    );
    checks.line(
        sent.without_id == 0,
        &format!("{} answers without a decision id", sent.without_id),
    );
    let decided = sum("tidegate_decisions_total") + sum("tidegate_refused_in_parsing_total");
    checks.line(
        decided == total,
        &format!("{decided} decisions and refusals in the metrics"),
    );
    let reached = Reached::of(seen.metrics);
    checks.line(
        reached.allows(seen.at_upstream),
        &format!(
            "{} requests at the upstream, {} sent, of which {} may not have arrived",
            seen.at_upstream, reached.sent, reached.unanswered
        ),
    );
}

/// A circuit that was closed, opened, was half open, and closed again.
fn is_whole(life: &[String]) -> bool {
    let mut states = life.iter().map(String::as_str);
    ["closed", "open", "half_open", "closed"]
        .into_iter()
        .all(|wanted| states.any(|state| state == wanted))
}

fn read(ledger: &std::path::Path) -> Result<Recorded> {
    let mut recorded = Recorded::default();
    let mut lines = DirectoryLines::open(ledger)?;
    let mut replay = Replay::of(ledger);
    let mut buffer = Vec::new();
    while let Some((_, line)) = lines.next()? {
        let record = Record::check(line.bytes, &mut buffer)
            .map_err(|fault| anyhow::anyhow!("{}", fault.rule()))?;
        if record.kind != "decision" {
            continue;
        }
        recorded.total += 1;
        recorded.newest = record.seq;
        let decision = record.text("decision").unwrap_or_default().to_owned();
        *recorded.decisions.entry(decision).or_default() += 1;
        let members: serde_json::Value = serde_json::from_slice(line.bytes)?;
        let codes = members
            .get("reason_codes")
            .and_then(|codes| codes.as_array());
        for code in codes.into_iter().flatten().filter_map(|code| code.as_str()) {
            *recorded.reasons.entry(code.to_owned()).or_default() += 1;
        }
        if let (Some(contract), Some(state)) = (record.text("contract_id"), record.text("circuit"))
        {
            let life = recorded.circuits.entry(contract.to_owned()).or_default();
            if life.last().map(String::as_str) != Some(state) {
                life.push(state.to_owned());
            }
        }
        match replay.check(&record) {
            Ok(None) => {}
            Ok(Some(_)) => recorded.replayed_differently += 1,
            Err(_) => recorded.not_replayable += 1,
        }
    }
    Ok(recorded)
}

/// The sum of all series of one metric.
fn sum_of(metrics: &str, name: &str) -> u64 {
    metrics
        .lines()
        .filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let value = match rest.strip_prefix('{') {
                Some(labels) => labels.rsplit_once("} ")?.1,
                None => rest.strip_prefix(' ')?,
            };
            value.parse::<f64>().ok()
        })
        .sum::<f64>() as u64
}

#[cfg(test)]
mod tests {
    use super::{Reached, is_whole, sum_of};

    #[test]
    fn a_whole_life_ends_closed() {
        let check = |life: &str, expected| {
            let life: Vec<String> = life.split(' ').map(str::to_owned).collect();
            assert_eq!(is_whole(&life), expected, "{life:?}");
        };
        check("closed open half_open closed", true);
        check("closed open half_open open half_open closed open", true);
        check("closed open half_open", false);
        check("open closed half_open", false);
        check("closed", false);
    }

    #[test]
    fn all_series_of_a_metric_are_added() {
        let text = "# TYPE a_total counter\na_total{x=\"1} 9\"} 2\na_total{x=\"2\"} 3\na_total_more 7\nb 4\n";
        assert_eq!(sum_of(text, "a_total"), 5);
        assert_eq!(sum_of(text, "b"), 4);
        assert_eq!(sum_of(text, "c"), 0);
    }

    #[test]
    fn the_upstream_may_lack_what_was_unanswered_and_no_more() {
        let metrics = "tidegate_forwarded_total 10\ntidegate_upstream_retries_total 3\n\
                       tidegate_upstream_never_sent_total 2\ntidegate_upstream_unanswered_total 1\n";
        let check = |at_upstream, expected| {
            assert_eq!(
                Reached::of(metrics).allows(at_upstream),
                expected,
                "{at_upstream}"
            );
        };
        check(9, false);
        check(10, true);
        check(11, true);
        check(12, false);
    }
}
