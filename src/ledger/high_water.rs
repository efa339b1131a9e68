//! The high-water mark of bundles, as the ledger remembers it: the greatest place that a bundle in
//! force ever had here.
//!
//! Each `bundle` record of an activation tells its place, and the `open` record of each boot that
//! takes bundles tells the mark it began with; so the search goes back to the newest such `open` and
//! no further. An activation that a later record tells as not recorded in time was none. Lines whose hash is wrong say nothing: `verify` tells of them.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use super::directory::{SegmentName, list_segments};
use super::line::Record;
use super::reader::Lines;

/// What a line has to hold to be looked at in full: most are decisions.
const KINDS: [&str; 2] = ["\"kind\":\"bundle\"", "\"kind\":\"open\""];

/// A place among all bundles of an audience, and whose it is. Ordered by the place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HighWater {
    /// The epoch.
    pub epoch: u64,
    /// The serial within it.
    pub serial: u64,
    /// The bundle digest, 64 hex digits.
    pub digest: String,
}

/// The mark of the ledger in `dir`; `None` where it tells of no bundle, or there is no ledger.
///
/// # Errors
/// What the system answers.
pub fn high_water(dir: &Path) -> io::Result<Option<HighWater>> {
    let segments = match list_segments(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        segments => segments?,
    };
    let mut highest = None;
    let mut void = BTreeSet::new();
    for segment in segments.iter().rev() {
        let mut found = in_segment(segment)?;
        found.marks.retain(|mark| !void.contains(&mark.digest));
        highest = highest.max(found.marks.into_iter().max());
        void.append(&mut found.void);
        if found.is_enough {
            break;
        }
    }
    Ok(highest)
}

/// What one segment says.
#[derive(Default)]
struct Said {
    marks: Vec<HighWater>,
    /// Digests of activations before those in `marks` that were none.
    void: BTreeSet<String>,
    /// Older segments can add nothing.
    is_enough: bool,
}

fn in_segment(segment: &SegmentName) -> io::Result<Said> {
    let mut lines = Lines::of_segment(segment)?;
    let mut scratch = Vec::new();
    let mut said = Said::default();
    while let Some(line) = lines.next()? {
        let text = std::str::from_utf8(line.bytes).unwrap_or_default();
        if !KINDS.iter().any(|kind| text.contains(kind)) {
            continue;
        }
        let Ok(record) = Record::check(line.bytes, &mut scratch) else {
            continue;
        };
        match record.kind {
            "open" => {
                let members = ["high_water_epoch", "high_water_serial", "high_water_digest"];
                said.marks.extend(mark(&record, members));
                // A boot that takes bundles tells the mark, or that there is none.
                said.is_enough |= record.text("bundle").is_some_and(|from| from != "unsigned");
            }
            "bundle" if record.text("result") == Some("activated") => {
                said.marks
                    .extend(mark(&record, ["epoch", "serial", "bundle_digest"]));
            }
            "bundle" if record.text("code") == Some("NOT_RECORDED") => {
                if let Some(digest) = record.text("bundle_digest") {
                    said.marks.retain(|mark| mark.digest != digest);
                    said.void.insert(digest.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(said)
}

fn mark(record: &Record<'_>, [epoch, serial, digest]: [&str; 3]) -> Option<HighWater> {
    Some(HighWater {
        epoch: record.uint(epoch)?,
        serial: record.uint(serial)?,
        digest: record.text(digest)?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Chain, EntryBuilder};
    use super::*;

    type Line = fn(&mut EntryBuilder<'_>);

    fn activated(entry: &mut EntryBuilder<'_>, serial: u64, result: &str) {
        entry.text("bundle_digest", &format!("{serial:064x}"));
        entry.uint("epoch", 1);
        entry.text("kind", "bundle");
        entry.text("result", result);
        entry.uint("serial", serial);
    }

    #[test]
    fn the_search_ends_at_a_start_that_knew_the_mark() {
        let check = |segments: &[&[Line]], serial: Option<u64>| {
            let dir = tempfile::tempdir().unwrap();
            let mut chain = Chain::genesis();
            for lines in segments {
                let name = SegmentName::new(dir.path(), chain.next_seq());
                let mut bytes = Vec::new();
                for line in *lines {
                    chain.append(&mut bytes, line);
                }
                std::fs::write(name.path, bytes).unwrap();
            }
            let found = high_water(dir.path()).unwrap();
            assert_eq!(found.map(|found| found.serial), serial);
        };
        let unsigned: Line = |entry| {
            entry.text("bundle", "unsigned");
            entry.text("kind", "open");
        };
        let first: Line = |entry| {
            entry.text("bundle", "none");
            entry.text("kind", "open");
        };
        let ninth: Line = |entry| {
            entry.text("bundle", &"a".repeat(64));
            entry.text("high_water_digest", &"a".repeat(64));
            entry.uint("high_water_epoch", 1);
            entry.uint("high_water_serial", 9);
            entry.text("kind", "open");
        };
        let seventh: Line = |entry| activated(entry, 7, "activated");
        let tenth: Line = |entry| activated(entry, 10, "activated");
        let refused: Line = |entry| activated(entry, 50, "rejected");
        let late: Line = |entry| {
            entry.text("bundle_digest", &format!("{:064x}", 10));
            entry.text("code", "NOT_RECORDED");
            entry.text("kind", "bundle");
            entry.text("result", "rejected");
        };
        check(&[], None);
        check(&[&[first, seventh, tenth, late]], Some(7));
        check(&[&[first, seventh, tenth], &[late]], Some(7));
        check(&[&[first, tenth], &[late, tenth]], Some(10));
        check(&[&[unsigned], &[unsigned]], None);
        check(&[&[first, seventh, refused], &[unsigned]], Some(7));
        check(&[&[first, seventh], &[ninth]], Some(9));
        check(&[&[ninth, tenth], &[unsigned, refused]], Some(10));
        // Nothing is searched beyond a start that knew.
        check(&[&[first, tenth], &[ninth]], Some(9));
        check(&[&[seventh], &[first]], None);
        assert_eq!(high_water(Path::new("/nowhere/at/all")).unwrap(), None);
    }

    #[test]
    fn a_line_that_was_changed_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut bytes = Vec::new();
        Chain::genesis().append(&mut bytes, |entry| activated(entry, 7, "activated"));
        let text = String::from_utf8(bytes).unwrap();
        let forged = text.replace("\"serial\":7", "\"serial\":9");
        assert_ne!(forged, text);
        std::fs::write(SegmentName::new(dir.path(), 0).path, forged).unwrap();
        assert_eq!(high_water(dir.path()).unwrap(), None);
    }
}
