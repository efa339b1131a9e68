//! Damage that the ledger itself tells of: the `open` of the start that went on behind it.
//!
//! Such a start begins a segment, so only first lines are looked at. It changes no verdict: damage
//! that is known is damage.

use std::io;

use super::super::directory::SegmentName;
use super::super::line::Record;
use super::lines::RawLines;
use super::report::Damage;

/// The number of the `open` record that names the damaged line, in a segment after it.
pub(super) fn told_by(segments: &[SegmentName], damage: &Damage) -> io::Result<Option<u64>> {
    let plain = |name: &str| name.strip_suffix(".zst").unwrap_or(name).to_owned();
    let damaged = damage.file.file_name().unwrap_or_default();
    let damaged = plain(&damaged.to_string_lossy());
    let mut scratch = Vec::new();
    for segment in segments.iter().filter(|own| own.first_seq > damage.seq) {
        let mut lines = RawLines::open(segment)?;
        // A frame that is damaged as well tells nothing.
        let Ok(Some(line)) = lines.next_line() else {
            continue;
        };
        let Ok(record) = Record::check(line.bytes, &mut scratch) else {
            continue;
        };
        let names_it = record.kind == "open"
            && record.uint("damaged_seq") == Some(damage.seq)
            && record.uint("damaged_offset") == Some(damage.offset)
            && record.text("damaged_segment").map(plain) == Some(damaged.clone());
        if names_it {
            return Ok(Some(record.seq));
        }
    }
    Ok(None)
}
