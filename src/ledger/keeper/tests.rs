//! The keeper over real directories: segments written by hand with the chain, time as a parameter.

mod requests;
mod room;
mod site;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use super::super::disk::Disk;
use super::super::fixture::{RULEBOOK, facts};
use super::super::key::LedgerKey;
use super::super::line::Record;
use super::super::settings::Settings;
use super::super::tree_file::TreeFile;
use super::super::verify::{Verdict, verify};
use super::super::{
    Encode, EntryBuilder, Lane, Pressure, Producer, Snapshot, Source, Summary, ring,
};
use super::files::Segments;
use super::stub::Stub;
use super::*;

use room::given_up_on_the_way;
use site::{forever, lines, segment, state};

pub(super) use site::{
    BEGAN_US, BOOT, DAY_US, chain, keep, ledger_of_three, opened, opened_with, with, work,
};

#[test]
fn a_segment_goes_when_its_time_is_over_and_leaves_its_tree_and_a_record() {
    let dir = tempfile::tempdir().unwrap();
    ledger_of_three(dir.path());
    let before = chain(dir.path());
    let ledger = opened(dir.path(), 9, &Disk::default());
    let mut keep = keep(&ledger, &KeeperSettings::new(BOOT, 10, 10));
    work(&mut keep, BEGAN_US + 10 * DAY_US);
    assert_eq!(
        chain(dir.path())[..before.len()],
        before,
        "nothing is old enough"
    );
    // The newest record of the second segment is then ten days and a bit old.
    work(&mut keep, BEGAN_US + 11 * DAY_US + DAY_US / 2);
    let left = chain(dir.path());
    assert_eq!(left[0], before[21]);
    let prunes = with(dir.path(), r#""kind":"prune""#);
    assert_eq!(prunes.len(), 2, "{prunes:?}");
    for part in [
        r#""boot":"00000009","class":"security","first_seq":0,"#,
        &format!(
            r#""head":"{}","kind":"prune","mode":"segment","next_seq":11,"#,
            before[10].1
        ),
        r#""reason":"retention","segment":"seg-0000000000000000","#,
    ] {
        assert!(prunes[0].contains(part), "{part} in {}", prunes[0]);
    }
    let tree = fs::read_to_string(dir.path().join("seg-0000000000000011.tree")).unwrap();
    let tree = TreeFile::parse(&tree).unwrap();
    assert_eq!((tree.first_seq, tree.next_seq), (11, 21));
    assert_eq!(tree.head, before[20].1);
    assert_eq!(state(&ledger).1, None);
}

// R091
#[test]
fn the_security_class_outlives_access_and_the_rest_become_stubs() {
    let dir = tempfile::tempdir().unwrap();
    ledger_of_three(dir.path());
    let before = chain(dir.path());
    let ledger = opened(dir.path(), 9, &Disk::default());
    let mut keep = keep(&ledger, &KeeperSettings::new(BOOT, 10, 30));
    work(&mut keep, BEGAN_US + 10 * DAY_US + DAY_US / 2);
    assert_eq!(chain(dir.path())[..before.len()], before, "all hashes stay");
    let stubs = with(dir.path(), r#""kind":"stub""#);
    assert_eq!(stubs.len(), 8, "{stubs:?}");
    assert_eq!(with(dir.path(), r#""decision":"DROP""#).len(), 8);
    let prunes = with(dir.path(), r#""kind":"prune""#);
    // printf '%s\n' 1 2 3 4 6 7 8 9 | sha256sum
    let sha256 = "18141096de2a76fe8eb7209177e51f78b44b07b1c33bf6bdf576d24568b97179";
    for part in [
        r#""class":"access","first_seq":0,"#,
        r#""mode":"stubs","#,
        &format!(r#""stubs":8,"stubs_sha256":"{sha256}""#),
    ] {
        assert!(
            prunes.len() == 1 && prunes[0].contains(part),
            "{part} in {prunes:?}"
        );
    }
    // The next round finds them explained; at the end of their time all of it goes.
    work(&mut keep, BEGAN_US + 13 * DAY_US);
    assert_eq!(state(&ledger).1, None);
    work(&mut keep, BEGAN_US + 33 * DAY_US);
    assert_eq!(chain(dir.path())[0].0, 31);
}

#[test]
fn nothing_goes_before_a_checkpoint_covers_the_record() {
    let dir = tempfile::tempdir().unwrap();
    ledger_of_three(dir.path());
    let before = chain(dir.path());
    let ledger = opened(dir.path(), 9, &Disk::default());
    let settings = KeeperSettings::new(BOOT, 1, 1).signed(true);
    let mut keeper = keep(&ledger, &settings);
    for _ in 0..50 {
        keeper.step(BEGAN_US + 100 * DAY_US);
    }
    let prunes = with(dir.path(), r#""kind":"prune""#);
    assert_eq!(prunes.len(), 3, "each is asked for once: {prunes:?}");
    assert_eq!(chain(dir.path())[..before.len()], before);
    ledger.close().unwrap();
    drop(keeper);
    // A crash here: the next start finds the records and carries them out.
    let ledger = opened(dir.path(), 10, &Disk::default());
    work(&mut keep(&ledger, &settings.signed(false)), BEGAN_US);
    assert_eq!(chain(dir.path())[0].0, 31);
    assert_eq!(with(dir.path(), r#""kind":"prune""#).len(), 3);
    assert!(dir.path().join("seg-0000000000000021.tree").exists());
}

// R277
#[test]
fn a_changed_segment_is_told_by_number_and_left_as_it_is() {
    let check = |change: &dyn Fn(&str) -> String, seq: u64, rule: &str| {
        let dir = tempfile::tempdir().unwrap();
        ledger_of_three(dir.path());
        let path = segment(dir.path(), 11);
        let changed = change(&fs::read_to_string(&path).unwrap());
        fs::write(&path, &changed).unwrap();
        let ledger = opened(dir.path(), 9, &Disk::default());
        // Also not where it could be compressed, or has had its time.
        let settings = KeeperSettings::new(BOOT, 1, 1);
        work(&mut keep(&ledger, &settings), BEGAN_US + 100 * DAY_US);
        let damage = state(&ledger).1.unwrap_or_else(|| panic!("{rule}"));
        assert_eq!((damage.seq, &damage.file), (seq, &path), "{damage:?}");
        assert!(damage.rule.contains(rule), "{damage:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), changed);
        assert!(
            !segment(dir.path(), 0).exists(),
            "the one before had its time"
        );
        assert!(segment(dir.path(), 11).exists());
        (damage, changed)
    };
    let (damage, text) = check(
        &|text| text.replacen("n\":13,", "n\":14,", 1),
        14,
        "SHA-256",
    );
    let line = text.lines().nth(3).unwrap();
    assert_eq!(damage.offset as usize, text.find(line).unwrap());
    let without = |text: &str, at: usize| {
        let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
        lines.remove(at);
        lines.concat()
    };
    check(&|text| without(text, 4), 15, "without gaps");
    check(&|text| without(text, 9), 20, "every number");
    check(&|text| format!("{text}more\n"), 21, "fault record");
    check(
        &|text| {
            let prev = text.split_once("\"prev\":\"").unwrap().1;
            let stub = Stub {
                seq: 11,
                prev: prev.as_bytes()[..64].try_into().unwrap(),
                hash: [b'1'; 64],
            };
            let mut line = Vec::new();
            stub.write(&mut line);
            String::from_utf8(line).unwrap() + &without(text, 0)
        },
        12,
        "prev is the hash",
    );
}

#[test]
fn a_stub_that_no_record_names_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    ledger_of_three(dir.path());
    let path = segment(dir.path(), 11);
    let text = fs::read_to_string(&path).unwrap();
    let mut scratch = Vec::new();
    let mut line = Vec::new();
    let first = text.lines().next().unwrap();
    let record = Record::check(first.as_bytes(), &mut scratch).unwrap();
    let prev = record.prev.as_bytes().try_into().unwrap();
    let (seq, hash) = (record.seq, record.hash);
    Stub { seq, prev, hash }.write(&mut line);
    let stubbed = String::from_utf8(line).unwrap();
    fs::write(&path, text.replacen(&format!("{first}\n"), &stubbed, 1)).unwrap();
    let ledger = opened(dir.path(), 9, &Disk::default());
    let mut keeper = keep(&ledger, &forever());
    work(&mut keeper, BEGAN_US);
    let damage = state(&ledger).1.unwrap();
    assert!(damage.rule.contains("prune or redact"), "{damage:?}");
    // Put right again, the next round says so; and no sooner, whatever the clock does.
    fs::write(&path, text).unwrap();
    work(&mut keeper, BEGAN_US - DAY_US);
    work(&mut keeper, BEGAN_US + DAY_US / 2);
    assert!(state(&ledger).1.is_some());
    work(&mut keeper, BEGAN_US + DAY_US);
    assert_eq!(state(&ledger).1, None);
}

#[test]
fn closed_segments_are_compressed_and_hold_the_same() {
    let dir = tempfile::tempdir().unwrap();
    ledger_of_three(dir.path());
    let before = lines(dir.path());
    let ledger = opened(dir.path(), 9, &Disk::default());
    let mut keeper = keep(&ledger, &forever().compressing(true));
    work(&mut keeper, BEGAN_US);
    assert_eq!(lines(dir.path())[..before.len()], before);
    for first in [0, 11, 21] {
        assert!(!segment(dir.path(), first).exists());
    }
    assert!(
        segment(dir.path(), 31).exists(),
        "the newest one is the writer's"
    );
    // What is compressed is verified as well, and stubs are left in it.
    let packed = files::packed_path(&segment(dir.path(), 11));
    let whole = fs::read(&packed).unwrap();
    let mut bytes = whole.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&packed, bytes).unwrap();
    work(&mut keeper, BEGAN_US + 2 * DAY_US);
    let damage = state(&ledger).1.unwrap();
    assert_eq!(damage.file, packed);
    fs::write(&packed, whole).unwrap();
    let settings = KeeperSettings::new(BOOT, 30, 300);
    let mut keeper = keep(&ledger, &settings);
    work(&mut keeper, BEGAN_US + 31 * DAY_US + DAY_US / 2);
    assert_eq!(with(dir.path(), r#""kind":"stub""#).len(), 16);
    assert_eq!(chain(dir.path()).len(), ledger.snapshot().records as usize);
    assert_eq!(state(&ledger).1, None);
}

#[test]
fn a_crash_between_any_two_steps_is_gone_on_from() {
    // Each state that a crash may leave, made by hand from a finished run.
    let (plain, packed, tmp) = (true, true, true);
    for (plain, packed, tmp) in [
        (plain, !packed, tmp),
        (plain, packed, !tmp),
        (!plain, packed, !tmp),
        (plain, packed, tmp),
    ] {
        let dir = tempfile::tempdir().unwrap();
        ledger_of_three(dir.path());
        let before = lines(dir.path());
        let path = segment(dir.path(), 11);
        let to = files::packed_path(&path);
        let bytes = fs::read(&path).unwrap();
        if packed {
            fs::write(&to, zstd::encode_all(&bytes[..], compress::LEVEL).unwrap()).unwrap();
        }
        if tmp {
            fs::write(super::super::directory::temporary(&to), "half of it").unwrap();
        }
        if !plain {
            fs::remove_file(&path).unwrap();
        }
        assert_eq!(lines(dir.path()), before, "readable as it is");
        let ledger = opened(dir.path(), 9, &Disk::default());
        work(&mut keep(&ledger, &forever().compressing(true)), BEGAN_US);
        assert_eq!(lines(dir.path())[..before.len()], before);
        assert!(to.exists() && !path.exists());
        assert!(!super::super::directory::temporary(&to).exists());
        assert_eq!(state(&ledger).1, None);
    }
}

#[test]
fn a_disk_that_fails_at_any_operation_leaves_every_hash() {
    for fault in 0..6 {
        let dir = tempfile::tempdir().unwrap();
        ledger_of_three(dir.path());
        let before = chain(dir.path());
        let disk = Disk::default();
        let ledger = opened(dir.path(), 9, &disk);
        let mut keeper = keep(&ledger, &KeeperSettings::new(BOOT, 10, 30));
        let now_us = BEGAN_US + 11 * DAY_US + DAY_US / 2;
        for step in 0..40 {
            if step % 6 == fault {
                disk.plan.failing_syncs.store(1, SeqCst);
                disk.plan
                    .failing_writes
                    .store(i32::from(step % 4 == 0), SeqCst);
            }
            keeper.step(now_us);
            // A given-up segment of the writer repeats lines, so only the closed ones count.
            let closed = Segments::list(dir.path()).unwrap().closed;
            assert!(closed.len() >= 3, "nothing goes for a fault");
        }
        // The next day all of it is tried again.
        work(&mut keeper, now_us + DAY_US);
        let (_, damage) = state(&ledger);
        assert_eq!(damage, None);
        ledger.close().unwrap();
        let segments = Segments::list(dir.path()).unwrap();
        let mut pace = Pace::free();
        let mut seen = Vec::new();
        for closed in segments.closed.iter().filter(|c| c.first_seq < 31) {
            let checked = check::check(closed, &mut pace).unwrap();
            seen.push((
                closed.next_seq - 1,
                String::from_utf8(checked.head.to_vec()).unwrap(),
            ));
        }
        let expected = [10, 20, 30].map(|at: usize| before[at].clone());
        assert_eq!(seen, expected);
    }
}

/// The names and bytes of all tree files.
fn trees(dir: &Path) -> Vec<(std::path::PathBuf, String)> {
    let mut trees: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension() == Some("tree".as_ref()))
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
        .collect();
    trees.sort();
    trees
}

#[test]
fn a_missing_tree_file_is_made_as_the_writer_makes_it() {
    let dir = tempfile::tempdir().unwrap();
    given_up_on_the_way(dir.path());
    let written = trees(dir.path());
    assert!(written.len() >= 4, "{written:?}");
    for (path, _) in &written {
        fs::remove_file(path).unwrap();
    }
    // What a crash leaves of one that was under way goes.
    let under_way = written[0].0.with_extension("tree.kept.tmp");
    fs::write(&under_way, "tidegate-tree 1 0").unwrap();
    let ledger = opened(dir.path(), 10, &Disk::default());
    work(&mut keep(&ledger, &forever()), BEGAN_US);
    assert_eq!(state(&ledger).1, None);
    assert_eq!(trees(dir.path()), written);
    assert!(!under_way.exists());
}

#[test]
fn the_thread_ends_when_it_is_asked_to() {
    let dir = tempfile::tempdir().unwrap();
    ledger_of_three(dir.path());
    let ledger = opened(dir.path(), 9, &Disk::default());
    let keeper = Keeper::start_at(Arc::clone(&ledger), forever(), || BEGAN_US).unwrap();
    let began = std::time::Instant::now();
    while ledger.snapshot().kept.verified < 3 {
        assert!(began.elapsed() < Duration::from_secs(20));
        thread::yield_now();
    }
    drop(keeper);
    ledger.close().unwrap();
    assert_eq!(Arc::strong_count(&ledger), 1);
}

#[test]
fn a_keeper_that_reads_ends_at_once() {
    let dir = tempfile::tempdir().unwrap();
    ledger_of_three(dir.path());
    // A closed segment that takes half a second at the keeper's rate.
    let path = segment(dir.path(), 11);
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend(std::iter::repeat_n(b'x', 16 << 20));
    fs::write(&path, bytes).unwrap();
    let ledger = opened(dir.path(), 9, &Disk::default());
    for tenths in 0..10 {
        let keeper = Keeper::start_at(Arc::clone(&ledger), forever(), || BEGAN_US).unwrap();
        let began = std::time::Instant::now();
        while began.elapsed() < Duration::from_millis(20 * tenths) {
            std::thread::yield_now();
        }
        let asked = std::time::Instant::now();
        drop(keeper);
        assert!(
            asked.elapsed() < WAKE / 2,
            "after {tenths}: {:?}",
            asked.elapsed()
        );
    }
}
