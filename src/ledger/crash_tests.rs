//! A ledger on a disk that loses power at every operation.
//!
//! A real ledger runs a seeded workload, `Journal` writes down every file operation, and for each
//! prefix of them the states are made that a crash may leave: what was synced is there, unsynced
//! bytes are there, lost, torn at any byte, replaced by garbage or by zeros in any order, unsynced
//! names are there or not. Each state is recovered, and that recovery is crashed at each of its own
//! operations; each end goes on, closes and verifies.
//!
//! The full run: `TIDEGATE_CRASH_SEEDS=10 cargo test --lib ledger::crash_tests -- --nocapture` (minutes).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::directory::file_name;
use super::disk::Disk;
use super::disk::tests::Op;
use super::recovery_tests::{files, key, leaves, push, start};
use super::*;

mod machine;
mod story;

use machine::{Machine, Mode};
use story::story;

/// A small generator: the same numbers for the same seed, everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// The files of a ledger directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Image {
    folders: Vec<PathBuf>,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Image {
    fn put(&self, root: &Path) {
        fs::create_dir_all(root).unwrap();
        for folder in &self.folders {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        for (name, bytes) in &self.files {
            fs::write(root.join(name), bytes).unwrap();
        }
    }
}

/// Where images are put: in memory if there is such a place, because they are synced again.
fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    tempfile::tempdir_in(memory).unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// How often each outcome was met.
#[derive(Debug, Default)]
struct Tally {
    points: u64,
    images: u64,
    recovered: u64,
    torn: u64,
    unsigned_damage: u64,
    again: u64,
}

impl std::fmt::Display for Tally {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            out,
            "crash points {}, images {}, crashes during recovery {}, recovered {} (torn tails {}), \
             refused before the first head {}",
            self.points, self.images, self.again, self.recovered, self.torn, self.unsigned_damage
        )
    }
}

/// Recovers an image, goes on, closes and verifies. Gives the operations of the recovery alone.
fn recovered(image: &Image, promised: &[Hash], boot: u32, tally: &mut Tally) -> Option<Vec<Op>> {
    let root = scratch();
    image.put(root.path());
    let settings = Settings::new(root.path()).signed_by(key());
    settings.disk.journal.switch_on();
    let (ledger, mut producer) = match start(&settings, boot) {
        Ok(started) => started,
        Err(refused) => {
            // Before the first signed head nothing tells a crash's hole from an edit.
            let signed = image.files.contains_key(Path::new("checkpoint"));
            assert!(!signed && refused.code() == "LEDGER_DAMAGED", "{refused}");
            assert_eq!(unchanged(root.path(), image), Ok(()));
            tally.unsigned_damage += 1;
            return None;
        }
    };
    let ops = rebased(settings.disk.journal.ops(), root.path());
    let found = ledger.recovered().clone();
    assert!(found.damaged.is_none(), "{found:?}");
    tally.recovered += 1;
    tally.torn += u64::from(found.torn.is_some());
    push(&mut producer, 3);
    drop(producer);
    ledger.close().unwrap();
    let report = verify(root.path()).unwrap();
    assert_eq!(report.verdict, Verdict::Intact, "{report:?}");
    let now = leaves(root.path());
    assert!(now.len() > promised.len());
    assert_eq!(
        &now[..promised.len()],
        promised,
        "a promised record is gone"
    );
    nothing_lost_in_silence(root.path());
    Some(ops)
}

/// Every tail that was cut off is named by a record.
fn nothing_lost_in_silence(root: &Path) {
    let folder = root.join("quarantine");
    if !folder.exists() {
        return;
    }
    let mut lines = DirectoryLines::open(root).unwrap();
    let (mut named, mut scratch) = (Vec::new(), Vec::new());
    while let Some((_, line)) = lines.next().unwrap() {
        let record = Record::check(line.bytes, &mut scratch).unwrap();
        named.extend(record.text("torn_file").map(str::to_owned));
    }
    let reported: Vec<Vec<u8>> = named
        .iter()
        .map(|name| fs::read(root.join(name)).unwrap())
        .collect();
    for (path, bytes) in files(&folder) {
        // What stood behind the last good head is kept as well, and in no record: no record is in it.
        let of_heads = file_name(&path).starts_with("heads-");
        if path.extension().is_some_and(|end| end == "bin") && !of_heads {
            // As it is, or as the beginning of a later one that took it in.
            let known = reported.iter().any(|kept| kept.starts_with(&bytes));
            assert!(known, "{} is in no record", path.display());
        }
    }
}

fn unchanged(root: &Path, image: &Image) -> Result<(), String> {
    let now: BTreeMap<PathBuf, Vec<u8>> = files(root)
        .into_iter()
        .map(|(path, bytes)| (path.strip_prefix(root).unwrap().to_path_buf(), bytes))
        .collect();
    let changed = now
        .iter()
        .find(|(name, bytes)| image.files.get(*name) != Some(*bytes));
    match changed {
        Some((name, _)) => Err(format!("{} was changed", name.display())),
        None if now.len() == image.files.len() => Ok(()),
        None => Err("a file is gone".to_owned()),
    }
}

/// Operations with their paths below `/`, whatever folder they were done in.
fn rebased(ops: Vec<Op>, root: &Path) -> Vec<Op> {
    let to = |path: PathBuf| Path::new("/").join(path.strip_prefix(root).unwrap());
    let rebase = |op| match op {
        Op::Open(id, path, emptied) => Op::Open(id, to(path), emptied),
        Op::Truncate(path, len) => Op::Truncate(to(path), len),
        Op::SyncPath(path) => Op::SyncPath(to(path)),
        Op::Rename(from, into) => Op::Rename(to(from), to(into)),
        Op::Remove(path) => Op::Remove(to(path)),
        Op::Folder(path) => Op::Folder(to(path)),
        Op::SyncFolder(path) => Op::SyncFolder(to(path)),
        other => other,
    };
    ops.into_iter().map(rebase).collect()
}

/// Crashes a recovery at each of its operations.
fn crash_again(image: &Image, ops: &[Op], promised: &[Hash], seed: u64, tally: &mut Tally) {
    let mut random = Random(seed);
    let root = Path::new("/");
    let mut machine = Machine::with(root, image);
    for (at, op) in ops.iter().enumerate() {
        machine.apply(op);
        let mode = [Mode::Mixed, Mode::Lost, Mode::Kept][at % 3];
        let left = machine.crashed(root, mode, &mut random);
        tally.again += 1;
        recovered(&left, promised, 101, tally);
    }
}

/// `full` takes every point, else some: more of those with unsynced bytes.
fn crash_everywhere(seed: u64, full: bool, tally: &mut Tally) {
    let story = story(seed);
    let root = story.root.path();
    let mut random = Random(!seed);
    let mut machine = Machine::default();
    for (at, op) in story.ops.iter().enumerate() {
        machine.apply(op);
        tally.points += 1;
        let every = if machine.has_unsynced_bytes() { 16 } else { 64 };
        if !full && at % every != 0 {
            continue;
        }
        let kept = story.promises.iter().rev().find(|p| p.ops <= at + 1);
        let promised = &story.leaves[..kept.map_or(0, |kept| kept.records as usize)];
        for mode in [Mode::Lost, Mode::Kept, Mode::Mixed, Mode::Mixed] {
            let image = machine.crashed(root, mode, &mut random);
            tally.images += 1;
            let ops = recovered(&image, promised, 100, tally);
            if mode == Mode::Mixed
                && let Some(ops) = ops
            {
                crash_again(&image, &ops, promised, random.next(), tally);
            }
        }
    }
}

// R198, R282
#[test]
fn a_crash_at_any_operation_loses_nothing_that_was_promised() {
    let seeds = std::env::var("TIDEGATE_CRASH_SEEDS").ok();
    let full = seeds.as_ref().and_then(|seeds| seeds.parse().ok());
    let mut tally = Tally::default();
    for seed in 0..full.unwrap_or(1) {
        crash_everywhere(seed, full.is_some(), &mut tally);
        println!("seed {seed}: {tally}");
    }
    assert!(tally.recovered > 0 && tally.torn > 0, "{tally:?}");
}
