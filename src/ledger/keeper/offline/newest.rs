//! What the newest records say: where a ledger ends, and which rulebook it named last.
//!
//! Invariant: reads, takes no lock, changes nothing.

use std::path::Path;

use super::super::super::error::LedgerError;
use super::super::super::line::Record;
use super::super::files::Segments;
use super::super::pace::Pace;
use super::super::text::Text;

/// What the newest records say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewestFacts {
    /// The number of the next record.
    pub records: u64,
    /// The largest `ts_us` of the newest segment.
    pub newest_us: u64,
    /// Whether the last record is a `close`.
    pub closed: bool,
    /// The last line is whole.
    pub whole: bool,
    /// The rulebook that was named last.
    pub policy_hash: String,
}

/// Reads the newest segment, and older ones until a rulebook is named. Takes no lock.
///
/// # Errors
/// What the system answers; a directory without segments.
pub fn newest_facts(dir: &Path) -> Result<NewestFacts, LedgerError> {
    let segments = list(dir)?;
    let Some((first_seq, newest)) = &segments.newest else {
        return Err(LedgerError::NotALedger {
            path: dir.to_path_buf(),
            rule: "a ledger has at least one segment",
            remedy: "name the directory that the gateway writes to",
        });
    };
    let mut facts = NewestFacts {
        records: *first_seq,
        whole: true,
        ..NewestFacts::default()
    };
    read_facts(newest, &mut facts)?;
    for closed in segments.closed.iter().rev() {
        if !facts.policy_hash.is_empty() {
            break;
        }
        let mut older = NewestFacts::default();
        read_facts(&closed.path(), &mut older)?;
        facts.policy_hash = older.policy_hash;
    }
    Ok(facts)
}

fn read_facts(path: &Path, facts: &mut NewestFacts) -> Result<(), LedgerError> {
    let mut pace = Pace::free();
    let mut text = Text::open(path, &mut pace)?;
    let mut scratch = Vec::new();
    while let Some(line) = text.next(facts.records)? {
        let Some(bytes) = line.bytes.strip_suffix(b"\n") else {
            facts.whole = false;
            break;
        };
        facts.records += 1;
        if let Ok(record) = Record::check(bytes, &mut scratch) {
            facts.closed = record.kind == "close";
            facts.newest_us = facts.newest_us.max(record.uint("ts_us").unwrap_or(0));
            if let Some(digest) = record.text("policy_hash") {
                digest.clone_into(&mut facts.policy_hash);
            }
        }
    }
    Ok(())
}

pub(super) fn list(dir: &Path) -> Result<Segments, LedgerError> {
    Segments::list(dir).map_err(|error| LedgerError::io("listing", dir, error))
}
