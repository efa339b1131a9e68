//! Giving records up: first a record says so, then a file goes.
//!
//! Invariant: no byte goes before the record that says so is durable and, where checkpoints are
//! signed, covered by one. Both halves stand alone: what a crash left undone is found by its record
//! and carried out at the next start; doing it twice does nothing.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use super::super::clock::wall_us;
use super::super::disk::Disk;
use super::super::entry::EntryBuilder;
use super::super::error::LedgerError;
use super::super::handle::Ledger;
use super::super::tree_file::TreeFile;
use super::check::{Checked, check};
use super::class::Class;
use super::files::{Closed, Segments, name_of};
use super::notice::{Notice, What};
use super::pace::Pace;
use super::rewrite::swap;
use super::trouble::Trouble;

/// Not written yet.
const NONE: u64 = u64::MAX;

/// Who gives records up, and why.
#[derive(Debug, Clone)]
pub(super) struct Warrant {
    /// Eight hex digits.
    pub(super) boot: String,
    /// The class whose time is over; `prune` only.
    pub(super) class: Class,
    /// Who asked; `redact` only.
    pub(super) actor: String,
    /// The operator's words, or `retention`.
    pub(super) reason: String,
}

/// A record on its way into the ledger, by the number that it gets.
#[derive(Debug, Clone)]
pub(super) struct Recorded {
    pub(super) notice: Notice,
    seq: Arc<AtomicU64>,
}

impl Recorded {
    /// A record that was found in the ledger.
    pub(super) fn found(seq: u64, notice: Notice) -> Self {
        let seq = Arc::new(AtomicU64::new(seq));
        Self { notice, seq }
    }

    /// The record's number, once the writer has given it one.
    pub(super) fn seq(&self) -> Option<u64> {
        Some(self.seq.load(SeqCst)).filter(|seq| *seq != NONE)
    }

    /// Whether the records below `covered` are enough to go on.
    pub(super) fn is_covered(&self, covered: u64) -> bool {
        self.seq().is_some_and(|seq| seq < covered)
    }
}

/// Hands a `prune` or `redact` record to the writer and waits until it is durable. The first value
/// is there in any case: a record that was late is still written.
pub(super) fn record(
    ledger: &Ledger,
    notice: Notice,
    warrant: Warrant,
    patience: Duration,
) -> (Recorded, Result<(), LedgerError>) {
    let seq = Arc::new(AtomicU64::new(NONE));
    let (told, noticed) = (Arc::clone(&seq), notice.clone());
    let members = move |entry: &mut EntryBuilder<'_>| {
        told.store(entry.seq(), SeqCst);
        match &noticed.what {
            What::Ranges(ranges) => redact(entry, &noticed, ranges, &warrant),
            _ => prune(entry, &noticed, &warrant),
        }
    };
    let done = ledger.record(members, patience).map(|_| ());
    (Recorded { notice, seq }, done)
}

fn prune(entry: &mut EntryBuilder<'_>, notice: &Notice, warrant: &Warrant) {
    entry.text("boot", &warrant.boot);
    entry.text("class", warrant.class.key());
    entry.uint("first_seq", notice.first_seq);
    entry.bytes("head", &notice.head);
    entry.text("kind", "prune");
    let mode = if notice.stubs.is_some() {
        "stubs"
    } else {
        "segment"
    };
    entry.text("mode", mode);
    entry.uint("next_seq", notice.next_seq);
    entry.text("reason", &warrant.reason);
    entry.text("segment", &name_of(notice.first_seq));
    stubs(entry, notice);
    entry.uint("ts_us", wall_us());
}

fn redact(entry: &mut EntryBuilder<'_>, notice: &Notice, ranges: &[(u64, u64)], warrant: &Warrant) {
    entry.text("actor", &warrant.actor);
    entry.text("boot", &warrant.boot);
    entry.text("kind", "redact");
    entry.pairs("ranges", ranges.iter().copied());
    entry.text("reason", &warrant.reason);
    entry.text("segment", &name_of(notice.first_seq));
    stubs(entry, notice);
    entry.uint("ts_us", wall_us());
}

fn stubs(entry: &mut EntryBuilder<'_>, notice: &Notice) {
    if let Some(stubs) = &notice.stubs {
        entry.uint("stubs", stubs.count);
        entry.bytes("stubs_sha256", &stubs.sha256);
    }
}

/// What a call of [`carry_out`] came to.
#[derive(Debug)]
pub(super) enum Done {
    /// The segment went.
    Removed,
    /// The segment was rewritten, and now holds this.
    Rewritten(Box<Checked>),
    /// It was so already.
    Before,
}

/// Does what a durable and covered record says.
pub(super) fn carry_out(
    disk: &Disk,
    dir: &Path,
    notice: &Notice,
    pace: &mut Pace,
) -> Result<Done, Trouble> {
    let io = |error| Trouble::io("listing", dir, error);
    let segments = Segments::list(dir).map_err(io)?;
    let found = segments
        .closed
        .iter()
        .find(|closed| closed.first_seq == notice.first_seq);
    let Some(closed) = found else {
        return Ok(Done::Before);
    };
    match &notice.stubs {
        None => remove(disk, closed, notice, pace).map(|()| Done::Removed),
        Some(expected) => {
            let now = check(closed, pace)?;
            if now.stubs == *expected {
                return Ok(Done::Before);
            }
            let mut all = segments.closed.iter();
            if let Some(before) = all.find(|before| before.next_seq == closed.first_seq)
                && now.notices.gives_up(&before.plain_name())
            {
                trim(disk, before, pace)?;
            }
            one_form(disk, closed)?;
            let written = swap(disk, closed, &notice.what, expected, pace)?;
            Ok(Done::Rewritten(Box::new(written)))
        }
    }
}

/// A file goes only where it is the one that the record means, and its tree is kept.
fn remove(disk: &Disk, closed: &Closed, notice: &Notice, pace: &mut Pace) -> Result<(), Trouble> {
    keep_tree(disk, closed, pace)?;
    if notice.next_seq != closed.next_seq {
        let rule = "a prune record names the segment's numbers";
        let damage = super::walk::damage(&closed.path(), closed.first_seq, 0, rule.to_owned());
        return Err(damage);
    }
    for (there, path) in [
        // The plain form counts where both are there, so it goes last.
        (closed.packed, closed.packed_path()),
        (closed.plain, closed.plain_path()),
    ] {
        if there {
            disk.remove(&path)
                .map_err(|error| Trouble::io("removing", &path, error))?;
        }
    }
    let io = |error| Trouble::io("removing", closed.dir(), error);
    disk.sync_folder(closed.dir()).map_err(io)
}

/// Writes the segment's tree file if there is none.
pub(super) fn keep_tree(disk: &Disk, closed: &Closed, pace: &mut Pace) -> Result<(), Trouble> {
    if closed.tree_path().exists() {
        return Ok(());
    }
    put_tree(disk, closed, &check(closed, pace)?.tree)
}

/// Puts the segment's tree file, unless there is one. Under a temporary name of its own: the
/// writer may still be about to put the same file.
pub(super) fn put_tree(disk: &Disk, closed: &Closed, tree: &TreeFile) -> Result<(), Trouble> {
    let path = closed.tree_path();
    if path.exists() {
        return Ok(());
    }
    let under_way = closed.tree_under_way();
    let io = |error| Trouble::io("writing", &path, error);
    let file = disk.create(&under_way).map_err(io)?;
    file.write_all(tree.to_text().as_bytes()).map_err(io)?;
    file.sync().map_err(io)?;
    disk.rename(&under_way, &path).map_err(io)?;
    disk.sync_folder(closed.dir()).map_err(io)
}

/// A segment that was given up still holds lines that the next one has again, and the `fault` that
/// says so. Those lines go with the next one's, and before them, so that a crash in between is gone
/// on from.
fn trim(disk: &Disk, before: &Closed, pace: &mut Pace) -> Result<(), Trouble> {
    let now = match check(before, pace) {
        // Evidence, left as it is.
        Err(Trouble::Damaged(_)) => return Ok(()),
        checked => checked?,
    };
    if now.more {
        one_form(disk, before)?;
        swap(disk, before, &What::Ranges(Vec::new()), &now.stubs, pace)?;
    }
    Ok(())
}

/// A leftover of a compression would keep what is to go.
fn one_form(disk: &Disk, closed: &Closed) -> Result<(), Trouble> {
    if !(closed.plain && closed.packed) {
        return Ok(());
    }
    let path = closed.packed_path();
    let io = |error| Trouble::io("removing", &path, error);
    disk.remove(&path).map_err(io)?;
    disk.sync_folder(closed.dir()).map_err(io)
}
