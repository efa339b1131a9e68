//! The high-water mark of bundles, as the ledger remembers it: the greatest place that a bundle in
//! force ever had here.
//!
//! Each `bundle` record of an activation tells its place, and the `open` record of each boot that
//! takes bundles tells the mark it began with; so the search goes back to the newest such `open` and
//! no further. An activation that a later record tells as not recorded in time was none. The newest
//! root is remembered the same way. A line whose hash is wrong vouches for nothing, and is counted: a
//! mark that somebody took out of the ledger must not look like one that never was.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use super::directory::{SegmentName, list_segments};
use super::line::Record;
use super::reader::Lines;

/// What a line has to hold to be looked at in full: most are decisions.
const KINDS: [&str; 3] = [
    "\"kind\":\"bundle\"",
    "\"kind\":\"governance\"",
    "\"kind\":\"open\"",
];

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

/// The newest root that held here. Ordered by the version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RootMark {
    /// Its version, from 1.
    pub version: u64,
    /// Its digest, 64 hex digits.
    pub digest: String,
}

/// What a ledger remembers of bundles.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Remembered {
    /// Whether there is a segment at all.
    pub is_begun: bool,
    /// The greatest place that a good line names; its bundle was in force here.
    pub mark: Option<HighWater>,
    /// The newest root that a good line names.
    pub root: Option<RootMark>,
    /// Lines of the part that was searched which tell of bundles or a start, and are not as they were
    /// written.
    pub damaged: u64,
    /// The greatest place, epoch and serial, that such a line still seems to name. It may be any, so
    /// it is good for refusing and for nothing else.
    pub claimed: Option<(u64, u64)>,
}

/// What the ledger in `dir` remembers; nothing where it tells of no bundle, or there is no ledger.
///
/// # Errors
/// What the system answers.
pub fn high_water(dir: &Path) -> io::Result<Remembered> {
    let segments = match list_segments(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Remembered::default()),
        segments => segments?,
    };
    let mut all = Remembered {
        is_begun: !segments.is_empty(),
        ..Remembered::default()
    };
    let mut void = BTreeSet::new();
    for (place, segment) in segments.iter().rev().enumerate() {
        let mut found = in_segment(segment, place == 0)?;
        found.marks.retain(|mark| !void.contains(&mark.digest));
        all.mark = all.mark.max(found.marks.into_iter().max());
        all.root = all.root.max(found.root);
        all.damaged += found.damaged;
        all.claimed = all.claimed.max(found.claimed);
        void.append(&mut found.void);
        if found.is_enough {
            break;
        }
    }
    Ok(all)
}

/// What one segment says.
#[derive(Default)]
struct Said {
    marks: Vec<HighWater>,
    root: Option<RootMark>,
    damaged: u64,
    claimed: Option<(u64, u64)>,
    /// Digests of activations before those in `marks` that were none.
    void: BTreeSet<String>,
    /// Older segments can add nothing.
    is_enough: bool,
}

impl Said {
    fn take(&mut self, record: &Record<'_>) {
        match record.kind {
            "open" => {
                let members = ["high_water_epoch", "high_water_serial", "high_water_digest"];
                self.marks.extend(mark(record, members));
                self.take_root(record);
                // A boot that takes bundles tells the mark, or that there is none.
                self.is_enough |= record.text("bundle").is_some_and(|from| from != "unsigned");
            }
            "governance" => self.take_root(record),
            "bundle" if record.text("result") == Some("activated") => {
                self.marks
                    .extend(mark(record, ["epoch", "serial", "bundle_digest"]));
            }
            "bundle" if record.text("code") == Some("NOT_RECORDED") => {
                if let Some(digest) = record.text("bundle_digest") {
                    self.marks.retain(|mark| mark.digest != digest);
                    self.void.insert(digest.to_owned());
                }
            }
            _ => {}
        }
    }

    fn take_root(&mut self, record: &Record<'_>) {
        let told = record.uint("root_version").zip(record.text("root_digest"));
        let told = told.map(|(version, digest)| RootMark {
            version,
            digest: digest.to_owned(),
        });
        self.root = self.root.take().max(told);
    }

    fn take_damaged(&mut self, line: &str) {
        self.damaged += 1;
        let of_open =
            claimed_uint(line, "high_water_epoch").zip(claimed_uint(line, "high_water_serial"));
        // Of what was refused anybody could have made a place up.
        let is_refusal = line.contains("\"result\":\"rejected\"");
        let of_bundle = claimed_uint(line, "epoch").zip(claimed_uint(line, "serial"));
        let of_bundle = of_bundle.filter(|_| !is_refusal);
        self.claimed = self.claimed.max(of_open).max(of_bundle);
    }
}

/// `is_newest`: a last line without its end is a write that a crash cut, and promises nothing.
fn in_segment(segment: &SegmentName, is_newest: bool) -> io::Result<Said> {
    let mut lines = Lines::of_segment(segment)?;
    let mut scratch = Vec::new();
    let mut said = Said::default();
    while let Some(line) = lines.next()? {
        if is_newest && !line.complete {
            break;
        }
        // Damage may have made it something else than text.
        let text = String::from_utf8_lossy(line.bytes);
        if !KINDS.iter().any(|kind| text.contains(kind)) {
            continue;
        }
        match Record::check(line.bytes, &mut scratch) {
            Ok(record) => said.take(&record),
            Err(_) => said.take_damaged(&text),
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

/// The number behind a key of a line that cannot be trusted to be JSON.
fn claimed_uint(line: &str, key: &str) -> Option<u64> {
    let (_, rest) = line.split_once(&format!("\"{key}\":"))?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
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
            assert_eq!(found.mark.map(|found| found.serial), serial);
            assert_eq!((found.damaged, found.claimed), (0, None));
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
        let nowhere = high_water(Path::new("/nowhere/at/all")).unwrap();
        assert_eq!(nowhere, Remembered::default());
    }

    #[test]
    fn a_line_that_was_changed_vouches_for_nothing_and_is_counted() {
        let check = |from: &str, to: &str, claimed: Option<(u64, u64)>| {
            let dir = tempfile::tempdir().unwrap();
            let mut bytes = Vec::new();
            let mut chain = Chain::genesis();
            chain.append(&mut bytes, |entry| activated(entry, 2, "activated"));
            chain.append(&mut bytes, |entry| activated(entry, 7, "activated"));
            let text = String::from_utf8(bytes).unwrap();
            let forged = text.replace(from, to);
            assert_ne!(forged, text);
            std::fs::write(SegmentName::new(dir.path(), 0).path, forged).unwrap();
            let found = high_water(dir.path()).unwrap();
            assert_eq!(found.mark.map(|mark| mark.serial), Some(2), "{to}");
            assert_eq!((found.damaged, found.claimed), (1, claimed), "{to}");
        };
        check("\"serial\":7", "\"serial\":9", Some((1, 9)));
        check("\"serial\":7", "\"serial\":x", None);
        let refused = "\"result\":\"rejected\",\"seq\":1,\"serial\":7";
        let was = "\"result\":\"activated\",\"seq\":1,\"serial\":7";
        check(was, refused, None);
    }

    #[test]
    fn the_newest_root_is_remembered_and_a_torn_line_is_no_damage() {
        let dir = tempfile::tempdir().unwrap();
        let mut bytes = Vec::new();
        let mut chain = Chain::genesis();
        for (kind, version) in [("open", 1), ("governance", 3), ("governance", 2)] {
            chain.append(&mut bytes, |entry| {
                entry.text("kind", kind);
                entry.text("root_digest", &format!("{version:064x}"));
                entry.uint("root_version", version);
            });
        }
        let whole = bytes.len();
        chain.append(&mut bytes, |entry| activated(entry, 7, "activated"));
        let path = SegmentName::new(dir.path(), 0).path;
        std::fs::write(path, &bytes[..bytes.len() - 20]).unwrap();
        assert!(whole < bytes.len() - 20);
        let found = high_water(dir.path()).unwrap();
        let root = RootMark {
            version: 3,
            digest: format!("{:064x}", 3),
        };
        let wanted = Remembered {
            is_begun: true,
            root: Some(root),
            ..Remembered::default()
        };
        assert_eq!(found, wanted);
    }
}
