//! The background verifier: one closed segment from its first byte to its last.
//!
//! Changes nothing, whatever it finds. The accounts of boots and workers, signed heads and
//! rulebooks are not here: `tidegate ledger verify` reads them all.

use std::fs;
use std::io;
use std::path::Path;

use super::super::tree_file::{TreeBuilder, TreeFile};
use super::class::{Class, is_frame};
use super::files::Closed;
use super::notice::Notices;
use super::pace::Pace;
use super::stub::{StubCounter, StubSet};
use super::trouble::Trouble;
use super::walk::{damage, first_prev, walk};

/// What a good segment holds.
#[derive(Debug)]
pub(super) struct Checked {
    /// `prev` of its first line.
    pub(super) first_prev: [u8; 64],
    /// Hash of its last one.
    pub(super) head: [u8; 64],
    /// The largest `ts_us`; of stubs nothing is known.
    pub(super) newest_us: u64,
    /// Records that could become stubs, by class.
    access: u64,
    security: u64,
    /// The stubs that it has.
    pub(super) stubs: StubSet,
    /// More bytes follow than the next segment leaves to it.
    pub(super) more: bool,
    /// Its upper Merkle levels.
    pub(super) tree: TreeFile,
    /// What its records give up elsewhere.
    pub(super) notices: Notices,
}

impl Checked {
    /// How many of its records would become stubs at the end of a class's time.
    pub(super) const fn of(&self, class: Class) -> u64 {
        match class {
            Class::Access => self.access,
            Class::Security => self.security,
        }
    }
}

/// Reads the segment from the file that counts, and holds it against its neighbour and its tree
/// file.
pub(super) fn check(closed: &Closed, pace: &mut Pace) -> Result<Checked, Trouble> {
    let path = closed.path();
    let checked = read(&path, closed, pace)?;
    if let Some(prev) = first_prev(&closed.next_path, closed.next_seq, pace)
        && prev != checked.head
    {
        let rule = "the next segment's first record carries the hash of this one's last";
        return Err(damage(&path, closed.next_seq - 1, 0, rule.to_owned()));
    }
    check_tree(closed, &checked.tree)?;
    Ok(checked)
}

/// Reads the segment from a file that may not have its name yet.
pub(super) fn read(path: &Path, closed: &Closed, pace: &mut Pace) -> Result<Checked, Trouble> {
    let mut tree = TreeBuilder::new(closed.first_seq);
    let mut stubs = StubCounter::default();
    let mut notices = Notices::default();
    let (mut newest_us, mut access, mut security) = (0, 0, 0);
    let end = walk(path, closed, pace, |step| {
        let mut leaf = [0; 32];
        // Hex digits, as the walk has seen.
        let _ = hex::decode_to_slice(step.hash, &mut leaf);
        tree.push(leaf);
        let Some(record) = step.record else {
            stubs.push(step.seq);
            return Ok(());
        };
        newest_us = newest_us.max(record.uint("ts_us").unwrap_or(0));
        notices.note(record);
        match Class::of(record) {
            _ if is_frame(record.kind) => {}
            Class::Access => access += 1,
            Class::Security => security += 1,
        }
        Ok(())
    })?;
    Ok(Checked {
        first_prev: end.first_prev,
        head: end.head,
        newest_us,
        access,
        security,
        stubs: stubs.finish(),
        more: end.more,
        tree: tree.finish(&end.head),
        notices,
    })
}

/// The tree file, where there is one, is that of these lines.
fn check_tree(closed: &Closed, tree: &TreeFile) -> Result<(), Trouble> {
    let path = closed.tree_path();
    match fs::read(&path) {
        Ok(bytes) if bytes == tree.to_text().as_bytes() => Ok(()),
        Ok(_) => {
            let rule = "a tree file holds the hashes of its segment's records";
            Err(damage(&path, closed.first_seq, 0, rule.to_owned()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Trouble::io("reading", &path, error)),
    }
}

/// What the segment's stubs, its superfluous lines and its beginning need another record for.
pub(super) fn check_explained(
    closed: &Closed,
    checked: &Checked,
    notices: &Notices,
    oldest: bool,
) -> Result<(), Trouble> {
    let bad = |seq: u64, rule: &str| Err(damage(&closed.path(), seq, 0, rule.to_owned()));
    if checked.stubs.count > 0 && !notices.explain(closed.first_seq, &checked.stubs) {
        let rule = "a stub stands only where a prune or redact record names it";
        return bad(closed.first_seq, rule);
    }
    if checked.more && !notices.gives_up(&closed.plain_name()) {
        let rule = "lines repeated by the next segment are explained by a fault record";
        return bad(closed.next_seq, rule);
    }
    let first = closed.first_seq;
    if oldest && first > 0 && !notices.lead_to(first, &checked.first_prev) {
        let rule = "the segments before the oldest one went with a prune record";
        return bad(first, rule);
    }
    Ok(())
}
