//! A crash after every single operation of the keeper and the writer, with and without what was not
//! synced: the ledger is readable as it lies there, and the next start comes to the same end.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::super::disk::Disk;
use super::super::disk::tests::Op;
use super::super::key::LedgerKey;
use super::super::stats::Kept;
use super::super::verify::{Verdict, verify};
use super::tests::{BEGAN_US, BOOT, DAY_US, chain, keep, ledger_of_three, opened_with, with, work};
use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// Copies the files of a ledger, folders below it included.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// The state in `into` after the operations that were done in `of`. Without `kept`, no write
/// survives that was not synced.
fn replay(ops: &[Op], of: &Path, into: &Path, kept: bool) {
    let moved = |path: &Path| into.join(path.strip_prefix(of).unwrap());
    let synced = |id: u64, at: usize| {
        let mut later = ops[at..].iter();
        later.any(|op| matches!(op, Op::Sync(synced, _) if *synced == id))
    };
    // By id: where the file lies now.
    let mut files: BTreeMap<u64, PathBuf> = BTreeMap::new();
    for (at, op) in ops.iter().enumerate() {
        match op {
            Op::Open(id, path, emptied) => {
                let path = moved(path);
                if *emptied || !path.exists() {
                    fs::write(&path, b"").unwrap();
                }
                files.insert(*id, path);
            }
            Op::Write(id, bytes) if kept || synced(*id, at) => {
                let mut whole = fs::read(&files[id]).unwrap();
                whole.extend_from_slice(bytes);
                fs::write(&files[id], whole).unwrap();
            }
            Op::Rename(from, to) => {
                fs::rename(moved(from), moved(to)).unwrap();
                files
                    .values_mut()
                    .filter(|path| **path == moved(from))
                    .for_each(|path| *path = moved(to));
            }
            Op::Remove(path) => fs::remove_file(moved(path)).unwrap(),
            Op::Folder(path) => fs::create_dir_all(moved(path)).unwrap(),
            Op::Truncate(path, len) => {
                let file = fs::OpenOptions::new().write(true).open(moved(path));
                file.unwrap().set_len(*len).unwrap();
            }
            Op::Write(..) | Op::Sync(..) | Op::SyncPath(_) | Op::SyncFolder(_) => {}
        }
    }
}

/// What must hold of every state, whatever was under way.
fn is_whole(dir: &Path, before: &[(u64, String)]) {
    let left = chain(dir);
    let first = left[0].0 as usize;
    let known = before.len().min(first + left.len());
    assert_eq!(left[..known - first], before[first..known]);
    if first > 0 {
        let prune = format!(r#""next_seq":{first},"#);
        let named = with(dir, r#""mode":"segment""#);
        assert!(named.iter().any(|line| line.contains(&prune)), "{named:?}");
        let trees = fs::read_dir(dir).unwrap().filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().ends_with(".tree")
        });
        assert!(trees.count() >= first.div_ceil(10) - 1);
    }
}

/// One life: opened, everything done that is to be done at that time, closed.
fn life(dir: &Path, boot: u32, disk: &Disk, signed: bool) -> Kept {
    // The first segment goes, the second one is left with stubs, the third one is compressed.
    let settings = KeeperSettings::new(BOOT, 10, 11).signed(signed);
    let now_us = BEGAN_US + 11 * DAY_US + DAY_US / 2;
    let key = signed.then(|| LedgerKey::from_seed([1; 32]));
    let ledger = opened_with(dir, boot, disk, key);
    let mut keep = keep(&ledger, &settings);
    work(&mut keep, now_us);
    if signed {
        // Then the records that say so are covered.
        let newest = ledger.flush(PATIENCE).unwrap() - 1;
        ledger.await_signed(newest, PATIENCE).unwrap();
        work(&mut keep, now_us);
    }
    let kept = ledger.snapshot().kept;
    ledger.close().unwrap();
    kept
}

#[test]
fn a_crash_after_every_operation() {
    crashes(false);
}

#[test]
fn a_crash_after_every_operation_on_a_signed_ledger() {
    crashes(true);
}

fn crashes(signed: bool) {
    let base = tempfile::tempdir().unwrap();
    let (start, run) = (base.path().join("start"), base.path().join("run"));
    fs::create_dir(&start).unwrap();
    ledger_of_three(&start);
    copy(&start, &run);
    let disk = Disk::default();
    disk.journal.switch_on();
    life(&run, 9, &disk, signed);
    let before = {
        let mut all = chain(&start);
        all.extend(chain(&run).into_iter().skip_while(|(seq, _)| *seq <= 40));
        all
    };
    let ops = disk.journal.ops();
    assert!(ops.len() > 30, "{ops:?}");
    for count in 0..=ops.len() {
        for kept in [true, false] {
            let state = tempfile::tempdir().unwrap();
            let dir = state.path().join("ledger");
            copy(&start, &dir);
            replay(&ops[..count], &run, &dir, kept);
            is_whole(&dir, &before);
            // Where records are gone, a signed head covers the record that says so.
            let verdict = verify(&dir).unwrap().verdict;
            assert!(
                !matches!(verdict, Verdict::Damaged(_)),
                "after {count} of {ops:?}: {verdict:?}"
            );
            let kept_now = life(&dir, 10, &Disk::default(), signed);
            assert_eq!(kept_now.damage, None, "after {count} of {ops:?}");
            assert_eq!((kept_now.closed, kept_now.verified), (2, 2));
            let stubs = with(&dir, r#""kind":"stub""#);
            assert_eq!(stubs.len(), 8, "after {count}");
            assert_eq!(with(&dir, r#""kind":"prune""#).len(), 2, "after {count}");
            let names: Vec<_> = fs::read_dir(&dir)
                .unwrap()
                .map(|e| e.unwrap().file_name())
                .collect();
            let left = |end: &str| {
                names
                    .iter()
                    .filter(|n| n.to_string_lossy().ends_with(end))
                    .count()
            };
            assert_eq!((left(".zst"), left(".jsonl")), (2, 1), "{names:?}");
            if signed {
                let report = verify(&dir).unwrap();
                assert_eq!(report.verdict, Verdict::Intact, "after {count} of {ops:?}");
                assert_eq!((report.stubs, report.pruned), (8, 11), "after {count}");
                assert_eq!(report.signed_size, report.last_seq.unwrap() + 1);
            }
        }
    }
}
