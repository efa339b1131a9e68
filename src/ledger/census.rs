//! Counts what is in a ledger, fast and without checking it: for `tidegate ledger stats`.
//!
//! Tolerant: a line that is no record is counted as such and passed over. Memory is bounded: at most
//! [`NAMES_MAX`] contracts are counted by name, the rest together.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::directory::list_segments;
use super::frame::KINDS;
use super::reader::Lines;
use super::scan::{Members, as_counts, as_text, as_uint};

/// Contracts counted by name; more would be somebody writing nonsense.
const NAMES_MAX: usize = 4_096;
/// What contracts beyond that are counted under.
const OTHER: &str = "_other";
/// What decisions without a contract are counted under, as in `rollup` records.
const UNMATCHED: &str = "_unmatched";

/// What was counted.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Census {
    /// Records by kind.
    pub kinds: BTreeMap<&'static str, u64>,
    /// Decisions by verdict.
    pub verdicts: BTreeMap<String, u64>,
    /// Decisions by contract.
    pub contracts: BTreeMap<String, u64>,
    /// Lines that are no record.
    pub unreadable: u64,
    /// Bytes of all lines, as plain text.
    pub bytes: u64,
    /// Earliest and latest `ts_us` of a decision or start.
    pub first_us: Option<u64>,
    /// The latest.
    pub last_us: Option<u64>,
    /// The first number in view.
    pub first_seq: Option<u64>,
    /// Segments that are plain text.
    pub plain: u64,
    /// Segments that are compressed.
    pub compressed: u64,
    /// Segments of which only the tree file is left.
    pub pruned: u64,
    /// Signed notes in `heads.log`.
    pub heads: u64,
    /// Events that `loss` records count.
    pub lost: u64,
    /// Requests that `rollup` records stand for.
    pub rolled_up: u64,
    /// Records of kind `outcome` that `rollup` records stand for.
    pub outcomes_rolled_up: u64,
    /// Numbers that ends of boots say were neither written, nor rolled up, nor lost.
    pub unaccounted: u64,
}

impl Census {
    /// All records.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.kinds.values().sum()
    }
}

/// Counts a ledger directory.
///
/// # Errors
/// What the system answers; `NotFound` for a directory without segments.
pub fn census(dir: &Path) -> io::Result<Census> {
    let segments = list_segments(dir)?;
    if segments.is_empty() {
        let text = format!("{} has no ledger segments", dir.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, text));
    }
    let mut found = Census {
        first_seq: segments.first().map(|segment| segment.first_seq),
        heads: heads(dir)?,
        pruned: pruned(dir, segments.first().map_or(0, |first| first.first_seq))?,
        ..Census::default()
    };
    for (at, segment) in segments.iter().enumerate() {
        if segment.is_compressed() {
            found.compressed += 1;
        } else {
            found.plain += 1;
        }
        let next = segments.get(at + 1).map(|next| next.first_seq);
        let mut left = next.map_or(u64::MAX, |next| next - segment.first_seq);
        let mut lines = Lines::of_segment(segment)?;
        while left > 0 {
            left -= 1;
            match lines.next() {
                Ok(Some(line)) => {
                    found.bytes += line.bytes.len() as u64 + u64::from(line.complete);
                    found.line(line.bytes);
                }
                Ok(None) => break,
                // A damaged frame: what follows in this file cannot be counted.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    found.unreadable += 1;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(found)
}

/// What is picked out of one line.
#[derive(Default)]
struct Picked<'a> {
    kind: Option<&'static str>,
    decision: Option<&'a str>,
    contract: Option<&'a str>,
    at_us: Option<u64>,
    count: u64,
    others: u64,
    outcomes: u64,
    unaccounted: u64,
}

impl Census {
    fn line(&mut self, line: &[u8]) {
        let mut picked = Picked::default();
        // The last member, the hash, is out of order: everything before it was read by then.
        for (key, raw) in Members::new(line).map_while(Result::ok) {
            match key {
                "contract_id" => picked.contract = as_text(raw),
                "count" => picked.count = as_uint(raw).unwrap_or(0),
                "decision" => picked.decision = as_text(raw),
                "kind" => picked.kind = as_text(raw).and_then(kind),
                "others" => picked.others = as_uint(raw).unwrap_or(0),
                "outcomes" => picked.outcomes = as_uint(raw).unwrap_or(0),
                "previous_unaccounted" | "unaccounted" => {
                    let counts = as_counts(raw).unwrap_or_default();
                    picked.unaccounted = counts.iter().map(|(_, n)| n).sum();
                }
                "ts_us" => picked.at_us = as_uint(raw),
                _ => {}
            }
        }
        let Some(kind) = picked.kind else {
            self.unreadable += 1;
            return;
        };
        *self.kinds.entry(kind).or_default() += 1;
        self.unaccounted += picked.unaccounted;
        if let Some(at) = picked.at_us {
            self.first_us = Some(self.first_us.map_or(at, |first| first.min(at)));
            self.last_us = Some(self.last_us.map_or(at, |last| last.max(at)));
        }
        match kind {
            "decision" => {
                count(&mut self.verdicts, picked.decision.unwrap_or(OTHER));
                count(&mut self.contracts, picked.contract.unwrap_or(UNMATCHED));
            }
            "loss" => self.lost += picked.count + picked.others,
            "rollup" => {
                self.rolled_up += picked.count;
                self.outcomes_rolled_up += picked.outcomes;
            }
            _ => {}
        }
    }
}

fn kind(text: &str) -> Option<&'static str> {
    KINDS.iter().copied().find(|kind| *kind == text)
}

fn count(names: &mut BTreeMap<String, u64>, name: &str) {
    if let Some(known) = names.get_mut(name) {
        *known += 1;
        return;
    }
    let name = if names.len() < NAMES_MAX { name } else { OTHER };
    *names.entry(name.to_owned()).or_default() += 1;
}

/// Notes in `heads.log`: each has two empty lines, one inside and one after it.
fn heads(dir: &Path) -> io::Result<u64> {
    let path = dir.join("heads.log");
    if !path.exists() {
        return Ok(0);
    }
    let (mut lines, mut empty) = (Lines::open(&path)?, 0_u64);
    while let Some(line) = lines.next()? {
        empty += u64::from(line.bytes.is_empty() && line.complete);
    }
    Ok(empty / 2)
}

/// Tree files of segments before the first that is there.
fn pruned(dir: &Path, first_seq: u64) -> io::Result<u64> {
    let mut count = 0;
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| {
            let digits = name.strip_prefix("seg-")?.strip_suffix(".tree")?;
            digits.parse::<u64>().ok()
        });
        count += u64::from(number.is_some_and(|number| number < first_seq));
    }
    Ok(count)
}
