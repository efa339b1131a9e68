//! The newest signed head: that it is there, whose it is, how old, and what it covers.

use std::fs;
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::Checked;
use super::keys::known;
use super::ledger::Facts;
use crate::ledger::{Checkpoint, SignedNote};

/// A running gateway signs every second; its own checkpoint lines stay uncovered.
const UNCOVERED_MAX: u64 = 2;
const AGE_SECONDS_MAX: u64 = 60;

pub(super) fn check(dir: &Path, facts: &Facts, now_us: u64) -> Checked {
    let path = dir.join("checkpoint");
    let check = Checked::new("signed head", path.display());
    let Ok(Some(facts)) = facts else {
        return check.skipped("there is no ledger that could be read");
    };
    let Ok(bytes) = fs::read(&path) else {
        let found = format!("none, for {} records", facts.records);
        let remedy = "start the gateway with its key: it signs every second";
        return check.finding("DOCTOR_HEAD_MISSING", found, remedy);
    };
    let keep = "keep the directory as evidence and run tidegate ledger verify";
    let note = SignedNote::parse(&bytes);
    let Ok((note, head)) = note.and_then(|note| {
        let head = Checkpoint::from_text(&note.text)?;
        Ok((note, head))
    }) else {
        return check.finding("DOCTOR_HEAD_UNREADABLE", "it is no signed note", keep);
    };
    if !known(dir).iter().any(|key| note.is_signed_by(key)) {
        let found = "no key of log.vkey has signed it";
        return check.finding("DOCTOR_HEAD_FORGED", found, keep);
    }
    if head.size > facts.records {
        let found = format!(
            "it covers {} records, and {} are here",
            head.size, facts.records
        );
        return check.finding("DOCTOR_ROLLBACK", found, keep);
    }
    let uncovered = facts.records - head.size;
    let age = age_seconds(&path, now_us);
    let found = format!(
        "{} records, {uncovered} not covered, {age} s old",
        head.size
    );
    if uncovered > UNCOVERED_MAX && age > AGE_SECONDS_MAX {
        let remedy =
            "the newest records can be changed unseen: start the gateway, or look at its log";
        return check.finding("DOCTOR_HEAD_OLD", found, remedy);
    }
    check.fine(found)
}

fn age_seconds(path: &Path, now_us: u64) -> u64 {
    let written = fs::metadata(path).and_then(|facts| facts.modified()).ok();
    let since = written.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    (now_us / 1_000_000).saturating_sub(since.map_or(0, |since| since.as_secs()))
}
