//! Looks through a ledger for one decision and its outcome.

use std::path::Path;

use anyhow::Result;

use crate::cli::offline::open_ledger;
use crate::ledger::{Record, as_pairs};
use crate::record::DecisionId;

/// What a ledger holds about a decision.
pub(super) enum Found {
    /// Its line, without the newline, and how it ended where that was told later.
    Line {
        line: Vec<u8>,
        outcome: Option<Outcome>,
    },
    /// It was made and its record was lost; that is recorded.
    Lost { seq: u64 },
    /// A line that names it and cannot be believed.
    Damaged { place: String, rule: String },
}

/// A record of kind `outcome`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) status: u64,
    pub(super) upstream_status: u64,
    pub(super) latency_us: u64,
    pub(super) upstream_error: Option<String>,
}

pub(super) fn find(dir: &Path, id: &str) -> Result<Option<Found>> {
    let mut lines = open_ledger(dir)?;
    let mut buffer = Vec::new();
    let mut found: Option<Vec<u8>> = None;
    while let Some((segment, line)) = lines.next()? {
        let names_it = contains(line.bytes, id.as_bytes());
        let may_account_for_it = contains(line.bytes, b"\"kind\":\"loss\"");
        if !line.complete || !(names_it || may_account_for_it) {
            continue;
        }
        let record = match Record::check(line.bytes, &mut buffer) {
            Ok(record) => record,
            Err(fault) if names_it => {
                let place = format!("{} at byte {}", segment.path.display(), line.offset);
                let rule = fault.rule();
                return Ok(Some(Found::Damaged { place, rule }));
            }
            Err(_) => continue,
        };
        match record.kind {
            "decision" if record.text("decision_id") == Some(id) => {
                let line = line.bytes.to_vec();
                if record.text("outcome") != Some("open") {
                    let outcome = None;
                    return Ok(Some(Found::Line { line, outcome }));
                }
                found = Some(line);
            }
            "outcome" if record.text("decision_id") == Some(id) => {
                let outcome = Some(outcome_of(&record));
                return Ok(found.map(|line| Found::Line { line, outcome }));
            }
            "loss" if accounts_for(&record, id) => {
                return Ok(Some(Found::Lost { seq: record.seq }));
            }
            _ => {}
        }
    }
    let outcome = None;
    Ok(found.map(|line| Found::Line { line, outcome }))
}

fn outcome_of(record: &Record<'_>) -> Outcome {
    let number = |key| record.uint(key).unwrap_or(0);
    Outcome {
        status: number("status"),
        upstream_status: number("upstream_status"),
        latency_us: number("latency_us"),
        upstream_error: record.text("upstream_error").map(str::to_owned),
    }
}

fn accounts_for(record: &Record<'_>, id: &str) -> bool {
    let Some(id) = DecisionId::from_text(id) else {
        return false;
    };
    let boot = record
        .text("boot")
        .and_then(|boot| u32::from_str_radix(boot, 16).ok());
    let of_same = boot == Some(id.boot) && record.uint("worker") == Some(u64::from(id.worker));
    let ranges = record.member("ranges").and_then(as_pairs);
    of_same
        && ranges.is_some_and(|ranges| {
            ranges
                .iter()
                .any(|(first, last)| (*first..=*last).contains(&id.n))
        })
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
