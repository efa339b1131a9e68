//! Damage that a start has told of and gone on behind.
//!
//! Such a start begins a segment, and the `open` record that tells is its first line: so the first
//! lines of all segments know it. A segment that was brought back whole is damaged no more, which is
//! why the one that is named is read. Changes nothing, and takes no lock.

use std::io::ErrorKind;
use std::path::Path;

use super::super::error::LedgerError;
use super::super::line::Record;
use super::super::reader::Lines;
use super::super::recovery::DamagedRecords;
use super::check::check;
use super::files::Segments;
use super::pace::Pace;
use super::trouble::Trouble;

/// The oldest damage that an `open` record tells of and that is still there; segments that are gone
/// are passed over.
///
/// # Errors
/// What the system answers.
pub fn known_damage(dir: &Path) -> Result<Option<DamagedRecords>, LedgerError> {
    let io = |error| LedgerError::io("listing", dir, error);
    let segments = Segments::list(dir).map_err(io)?;
    for teller in &segments.closed {
        let Some(told) = told_by(&teller.next_path)? else {
            continue;
        };
        let plain = told.segment.trim_end_matches(".zst");
        let named = segments.closed.iter().find(|c| c.plain_name() == plain);
        let Some(closed) = named else { continue };
        match check(closed, &mut Pace::free()) {
            Ok(_) | Err(Trouble::Stopped) => {}
            Err(Trouble::Damaged(_)) => return Ok(Some(told)),
            Err(Trouble::Ledger(error)) => return Err(error),
        }
    }
    Ok(None)
}

/// What the first line of a segment tells; nothing where it is damaged itself.
fn told_by(path: &Path) -> Result<Option<DamagedRecords>, LedgerError> {
    let io = |error| LedgerError::io("reading", path, error);
    let mut lines = Lines::open(path).map_err(io)?;
    let line = match lines.next() {
        Err(error) if error.kind() == ErrorKind::InvalidData => None,
        line => line.map_err(io)?,
    };
    let mut scratch = Vec::new();
    let record = line.and_then(|line| Record::check(line.bytes, &mut scratch).ok());
    Ok(record
        .filter(|record| record.kind == "open")
        .and_then(|record| {
            Some(DamagedRecords {
                segment: record.text("damaged_segment")?.to_owned(),
                offset: record.uint("damaged_offset")?,
                seq: record.uint("damaged_seq")?,
                rule: record.text("damaged_rule")?.to_owned(),
            })
        }))
}
