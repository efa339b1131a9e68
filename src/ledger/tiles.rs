//! Export as a C2SP `tlog-tiles` tree: `checkpoint`, `tile/<level>/<n>`, `tile/entries/<n>`.
//!
//! An entry in a bundle is our entry, so its leaf is our record hash and nothing has to be
//! translated. Invariants: a tile that an exported checkpoint covers is written again only where it
//! is missing; a checkpoint is put there last, when everything that it covers is durable; nothing is
//! written into a ledger.
//! Not here: serving. Any web server can do that.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::directory::{list_segments, temporary};
use super::disk::Disk;
use super::note::{Checkpoint, SignedNote};
use super::proof::Subtree;
use super::record_proof::{entry_of, is_stub, newest_head, signed_root};
use super::stored_tree::{LinesFrom, ProofError, Step, StoredTree, carried_hash};
use super::tree_file::GROUP;

/// What `tlog-tiles` can hold of one entry: its length is two bytes.
const ENTRY_BYTES_MAX: usize = u16::MAX as usize;
/// One hash in a tile.
const HASH_BYTES: u64 = 32;

/// What an export did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TileReport {
    /// Records that the exported checkpoint covers.
    pub size: u64,
    /// Records that the checkpoint there covered before.
    pub before: u64,
    /// Files with hashes that were written.
    pub tiles: u64,
    /// Files with entries that were written.
    pub bundles: u64,
    /// Runs of records whose hashes are gone one by one, first and last: no level 0 tile.
    pub without_leaves: Vec<(u64, u64)>,
    /// Runs of records of which not all have their content any more: no entry bundle.
    pub without_entries: Vec<(u64, u64)>,
}

/// Exports the newest signed tree of the ledger in `dir` to `out`, or what is new of it.
///
/// # Errors
/// What [`StoredTree`] answers; no signed head; `out` is something else or another log; an entry that
/// is too long.
pub fn export_tiles(dir: &Path, out: &Path) -> Result<TileReport, ProofError> {
    // Asked first: of a directory that is not there, a missing head says nothing.
    fs::read_dir(dir).map_err(|e| ProofError::io(dir, e))?;
    let head = newest_head(dir)?.ok_or_else(|| ProofError::Absent {
        what: format!("{} has no signed head", dir.join("checkpoint").display()),
        remedy: "give the gateway a key (ledger.key); a tree without a signed head proves nothing",
    })?;
    refuse_ledgers(dir, out)?;
    let size = head.checkpoint.size;
    let mut tree = StoredTree::open(dir, size)?;
    signed_root(&mut tree, size, Some(&head))?;
    let before = exported_size(out, &mut tree, &head.checkpoint)?;
    let report = TileReport {
        size,
        before,
        tiles: 0,
        bundles: 0,
        without_leaves: Vec::new(),
        without_entries: Vec::new(),
    };
    let disk = Disk::default();
    disk.make_folder(out).map_err(|e| ProofError::io(out, e))?;
    let mut export = Export {
        out,
        disk,
        tree,
        report,
    };
    export.groups()?;
    export.upper_levels()?;
    let Export { disk, report, .. } = &export;
    if size > before || report.tiles + report.bundles > 0 {
        disk.sync_file_system(out)
            .map_err(|e| ProofError::io(out, e))?;
    }
    if size > before {
        disk.put(out, "checkpoint", head.note.as_bytes())
            .map_err(|e| ProofError::Absent {
                what: e.to_string(),
                remedy: "then export again: what is there stays",
            })?;
    }
    Ok(export.report)
}

/// Refuses to write among the files of a ledger, this one or another.
fn refuse_ledgers(dir: &Path, out: &Path) -> Result<(), ProofError> {
    let real = real(out)?;
    let dir = fs::canonicalize(dir).map_err(|e| ProofError::io(dir, e))?;
    let ledger = match dir.starts_with(&real) {
        true => Some(dir.as_path()),
        false if out.join("LOCK").exists() => Some(out),
        false => real.ancestors().find(|folder| is_ledger(folder)),
    };
    let Some(ledger) = ledger else {
        return Ok(());
    };
    let (out, ledger) = (out.display(), ledger.display());
    Err(ProofError::Absent {
        what: format!("{out} is, holds or lies in a ledger, {ledger}"),
        remedy: "name a folder apart from any ledger; nothing was changed",
    })
}

/// The path without links and detours, as far as it is there.
fn real(path: &Path) -> Result<PathBuf, ProofError> {
    let absolute = std::path::absolute(path).map_err(|e| ProofError::io(path, e))?;
    let there = absolute.ancestors().find_map(|folder| {
        let rest = absolute.strip_prefix(folder).ok()?;
        Some(fs::canonicalize(folder).ok()?.join(rest))
    });
    Ok(there.unwrap_or(absolute))
}

fn is_ledger(folder: &Path) -> bool {
    folder.join("heads.log").exists() || list_segments(folder).is_ok_and(|found| !found.is_empty())
}

/// How far an earlier export came; it must be of this very log.
fn exported_size(out: &Path, tree: &mut StoredTree, new: &Checkpoint) -> Result<u64, ProofError> {
    let other = |what: String| ProofError::Absent {
        what,
        remedy: "name a new folder; nothing was changed",
    };
    let path = out.join("checkpoint");
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let strange = fs::read_dir(out).into_iter().flatten().flatten();
            let strange = strange
                .map(|entry| entry.file_name())
                .find(|name| name != "tile" && name != "checkpoint.tmp");
            return match strange {
                Some(name) => Err(other(format!(
                    "{} is no tile tree: it holds {}",
                    out.display(),
                    name.to_string_lossy()
                ))),
                None => Ok(0),
            };
        }
        Err(error) => return Err(ProofError::io(&path, error)),
    };
    let damaged = |rule| ProofError::damaged(&path, rule);
    let note = SignedNote::parse(&bytes).map_err(damaged)?;
    let old = Checkpoint::from_text(&note.text).map_err(damaged)?;
    if old.origin != new.origin {
        let (old, new) = (&old.origin, &new.origin);
        return Err(other(format!(
            "{} is of the log {old}, not {new}",
            path.display()
        )));
    }
    if old.size > new.size {
        return Err(damaged(
            "more records were exported than the newest signed head covers",
        ));
    }
    let root = tree.root(old.size)?;
    if root != old.root {
        return Err(ProofError::OtherRoot {
            size: old.size,
            computed: hex::encode(root),
            signed: hex::encode(old.root),
        });
    }
    Ok(old.size)
}

/// An export under way.
struct Export<'a> {
    out: &'a Path,
    disk: Disk,
    tree: StoredTree,
    report: TileReport,
}

/// What the lines of a group give.
#[derive(Default)]
struct Group {
    leaves: Vec<u8>,
    leaves_whole: bool,
    bundle: Vec<u8>,
    entries_whole: bool,
}

impl Export<'_> {
    /// Level 0 and the entries, group by group.
    fn groups(&mut self) -> Result<(), ProofError> {
        let (before, size) = (self.report.before, self.report.size);
        let mut reading = None;
        for begin in (0..size).step_by(GROUP as usize) {
            let end = size.min(begin + GROUP);
            let (n, width) = (begin / GROUP, end - begin);
            let leaves = tile_path("0", n, width);
            let entries = tile_path("entries", n, width);
            let leaves_stand = end <= before && self.stands(&leaves, width * HASH_BYTES, true);
            let entries_stand = end <= before && self.stands(&entries, width * 2, false);
            if leaves_stand && entries_stand {
                reading = None;
                continue;
            }
            let lines = reading.get_or_insert_with(|| Ahead {
                lines: self.tree.lines_from(begin),
                buffer: Vec::new(),
                step: None,
            });
            let group = self.read_group(lines, begin, end)?;
            match (leaves_stand, group.leaves_whole) {
                (true, _) => {}
                (false, true) => self.report.tiles += self.put(&leaves, &group.leaves)?,
                (false, false) => join(&mut self.report.without_leaves, begin, end - 1),
            }
            match (entries_stand, group.entries_whole) {
                (true, _) => {}
                (false, true) => self.report.bundles += self.put(&entries, &group.bundle)?,
                (false, false) => join(&mut self.report.without_entries, begin, end - 1),
            }
        }
        Ok(())
    }

    fn read_group(&self, lines: &mut Ahead, begin: u64, end: u64) -> Result<Group, ProofError> {
        let mut group = Group {
            leaves_whole: true,
            entries_whole: true,
            ..Group::default()
        };
        for seq in begin..end {
            let leaf = match lines.line(seq)? {
                None => {
                    group.entries_whole = false;
                    self.tree.known_leaf(seq)
                }
                Some(line) if is_stub(line) => {
                    group.entries_whole = false;
                    carried_hash(line)
                }
                Some(line) => {
                    let (entry, hash) = entry_of(line).ok_or_else(|| lines.lines.damaged(seq))?;
                    let length = u16::try_from(entry.len()).map_err(|_| too_long(seq, &entry))?;
                    group.bundle.extend_from_slice(&length.to_be_bytes());
                    group.bundle.extend_from_slice(&entry);
                    Some(hash)
                }
            };
            match leaf {
                Some(hash) => group.leaves.extend_from_slice(&hash),
                None => group.leaves_whole = false,
            }
        }
        Ok(group)
    }

    /// Level 1 and above: 256 full tiles of the level below are one hash.
    fn upper_levels(&mut self) -> Result<(), ProofError> {
        let (before, size) = (self.report.before, self.report.size);
        for level in 1_u32.. {
            let bits = 8 * level;
            let (old, new) = (before >> bits, size >> bits);
            if new == 0 {
                break;
            }
            for begin in (0..new).step_by(GROUP as usize) {
                let end = new.min(begin + GROUP);
                let width = end - begin;
                let path = tile_path(&level.to_string(), begin / GROUP, width);
                if end <= old && self.stands(&path, width * HASH_BYTES, true) {
                    continue;
                }
                let mut tile = Vec::new();
                for index in begin..end {
                    let hash = self.tree.subtree(Subtree { level: bits, index })?;
                    tile.extend_from_slice(&hash);
                }
                self.report.tiles += self.put(&path, &tile)?;
            }
        }
        Ok(())
    }

    /// Whether a file of an earlier export stands there with so many bytes, or at least so many.
    fn stands(&self, relative: &str, bytes: u64, exactly: bool) -> bool {
        fs::metadata(self.out.join(relative)).is_ok_and(|file| {
            let long = file.len() == bytes || (!exactly && file.len() > bytes);
            file.is_file() && long
        })
    }

    /// Puts a file there unless it stands there already; gives how many were written.
    fn put(&self, relative: &str, bytes: &[u8]) -> Result<u64, ProofError> {
        let target = self.out.join(relative);
        if fs::read(&target).is_ok_and(|there| there == bytes) {
            return Ok(0);
        }
        let put = || {
            self.disk.make_folder(target.parent().unwrap_or(self.out))?;
            let under_way = temporary(&target);
            self.disk.create(&under_way)?.write_all(bytes)?;
            // Durable with all others, before the checkpoint.
            self.disk.rename(&under_way, &target)
        };
        put().map_err(|e| ProofError::io(&target, e))?;
        Ok(1)
    }
}

/// Lines with one step of looking ahead, because a gap is met before it is asked for.
struct Ahead {
    lines: LinesFrom,
    buffer: Vec<u8>,
    step: Option<Step>,
}

impl Ahead {
    /// The line of a record; `None` where it is gone. To be asked in rising order.
    fn line(&mut self, seq: u64) -> Result<Option<&[u8]>, ProofError> {
        loop {
            match self.step {
                Some(Step::Line(at)) if at == seq => return Ok(Some(&self.buffer)),
                Some(Step::Gone(next)) if seq < next => return Ok(None),
                _ => {}
            }
            self.step = self.lines.next(&mut self.buffer)?;
            if self.step.is_none() {
                return Ok(None);
            }
        }
    }
}

fn too_long(seq: u64, entry: &[u8]) -> ProofError {
    ProofError::Absent {
        what: format!(
            "record {seq} has {} bytes, and an entry of tlog-tiles has at most {ENTRY_BYTES_MAX}",
            entry.len()
        ),
        remedy: "this ledger cannot be exported; tidegate ledger prove works for each of its records",
    }
}

/// `tile/<level>/<n>[.p/<width>]`, the index in groups of three digits.
fn tile_path(level: &str, n: u64, width: u64) -> String {
    let mut index = format!("{:03}", n % 1_000);
    let mut rest = n / 1_000;
    while rest > 0 {
        index = format!("x{:03}/{index}", rest % 1_000);
        rest /= 1_000;
    }
    let partial = if width < GROUP {
        format!(".p/{width}")
    } else {
        String::new()
    };
    format!("tile/{level}/{index}{partial}")
}

/// Adds a run that may continue the last one.
fn join(runs: &mut Vec<(u64, u64)>, first: u64, last: u64) {
    match runs.last_mut() {
        Some(run) if run.1 + 1 == first => run.1 = last,
        _ => runs.push((first, last)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_that_of_the_specification() {
        for (level, n, width, expected) in [
            ("0", 0, 256, "tile/0/000"),
            ("0", 1_234_067, 256, "tile/0/x001/x234/067"),
            ("entries", 273, 112, "tile/entries/273.p/112"),
            ("2", 1_000, 1, "tile/2/x001/000.p/1"),
        ] {
            assert_eq!(tile_path(level, n, width), expected);
        }
    }

    #[test]
    fn runs_that_touch_are_one() {
        let mut runs = Vec::new();
        join(&mut runs, 0, 255);
        join(&mut runs, 256, 511);
        join(&mut runs, 1_024, 1_100);
        assert_eq!(runs, [(0, 511), (1_024, 1_100)]);
    }
}
