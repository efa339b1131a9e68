//! The keeper over real directories: segments written by hand with the chain, time as a parameter.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use super::super::directory::SegmentName;
use super::super::disk::Disk;
use super::super::handle::{OpenFacts, Settings};
use super::super::key::LedgerKey;
use super::super::line::Record;
use super::super::stats::KeptDamage;
use super::super::tree_file::TreeFile;
use super::super::verify::{Verdict, verify};
use super::super::{
    Chain, Encode, EntryBuilder, Lane, Pressure, Producer, Snapshot, Source, Summary, ring,
};
use super::files::Segments;
use super::stub::Stub;
use super::text::Text;
use super::*;

pub(super) const DAY_US: u64 = 24 * 3_600 * 1_000_000;
/// When the records of the first segment were made.
pub(super) const BEGAN_US: u64 = 1_700_000_000_000_000;
const RULEBOOK: &[u8] = b"{}";
const POLICY_HASH: &str = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
pub(super) const BOOT: BootId = BootId::from_u32(9);

fn facts(boot: u32) -> OpenFacts {
    OpenFacts {
        boot: BootId::from_u32(boot),
        instance: "test".to_owned(),
        version: "0".to_owned(),
        policy_hash: POLICY_HASH.to_owned(),
        client_key_id: None,
        bundle: None,
    }
}

fn decision(entry: &mut EntryBuilder<'_>, n: u64, decision: &str, ts_us: u64) {
    entry.text("client", "who called");
    entry.text("decision", decision);
    entry.text("decision_id", &format!("0000000700{n:012x}"));
    entry.text("kind", "decision");
    entry.uint("n", n);
    entry.uint("ts_us", ts_us);
    entry.uint("worker", 0);
}

/// Three closed segments of ten decisions (each fifth a DROP), a day apart, and the newest one.
/// Numbers 0 to 10, 11 to 20, 21 to 30, and from 31 on.
pub(super) fn ledger_of_three(dir: &Path) {
    let mut chain = Chain::genesis();
    let mut n = 0;
    for day in 0..4 {
        let (first, mut bytes) = (chain.next_seq(), Vec::new());
        let ts_us = BEGAN_US + day * DAY_US;
        if day == 0 {
            chain.append(&mut bytes, |e| {
                e.text("boot", "00000007");
                e.text("instance", "test");
                e.text("kind", "open");
                e.text("nonce", "0");
                e.text("policy_hash", POLICY_HASH);
                e.uint("ts_us", ts_us);
            });
            let hash = String::from_utf8_lossy(&chain.head()[..16]).into_owned();
            fs::write(dir.join("origin"), format!("test/{hash}\n")).unwrap();
        }
        for _ in 0..10 {
            let word = if n % 5 == 4 { "DROP" } else { "ALLOW" };
            chain.append(&mut bytes, |e| decision(e, n, word, ts_us + n));
            n += 1;
        }
        fs::write(SegmentName::new(dir, first).path, bytes).unwrap();
    }
    fs::create_dir(dir.join("rulebooks")).unwrap();
    let rulebook = format!("rulebooks/{POLICY_HASH}.json");
    fs::write(dir.join(rulebook), RULEBOOK).unwrap();
}

pub(super) fn opened(dir: &Path, boot: u32, disk: &Disk) -> Arc<Ledger> {
    opened_with(dir, boot, disk, None)
}

pub(super) fn opened_with(
    dir: &Path,
    boot: u32,
    disk: &Disk,
    key: Option<LedgerKey>,
) -> Arc<Ledger> {
    // The newest segment is years old, and the writer leaves it alone all the same.
    let mut settings = Settings::new(dir).segments(u64::MAX, Duration::MAX);
    settings.disk = disk.clone();
    settings.key = key;
    let ledger = Ledger::start::<(), _>(
        &settings,
        &facts(boot),
        RULEBOOK,
        vec![],
        |_: &mut EntryBuilder<'_>, _: Source, (): &()| {},
    );
    Arc::new(ledger.unwrap())
}

pub(super) fn keep(ledger: &Arc<Ledger>, settings: &KeeperSettings) -> Keep {
    Keep::new(Arc::clone(ledger), settings.clone(), Pace::free())
}

/// Everything that is to be done at that time.
pub(super) fn work(keep: &mut Keep, now_us: u64) {
    let mut steps = 0;
    while keep.step(now_us) {
        steps += 1;
        assert!(steps < 1_000, "the keeper finds no end");
    }
}

fn forever() -> KeeperSettings {
    KeeperSettings::new(BOOT, 36_500, 36_500).compressing(false)
}

fn segment(dir: &Path, first_seq: u64) -> std::path::PathBuf {
    SegmentName::new(dir, first_seq).path
}

/// All lines that are there, in order, whatever the form of their segment.
fn lines(dir: &Path) -> Vec<String> {
    let segments = Segments::list(dir).unwrap();
    let mut pace = Pace::free();
    let mut all = Vec::new();
    let closed = segments.closed.iter().map(files::Closed::path);
    for path in closed.chain(segments.newest.map(|newest| newest.1)) {
        let mut text = Text::open(&path, &mut pace).unwrap();
        while let Some(line) = text.next(0).unwrap() {
            all.push(String::from_utf8(line.bytes.to_vec()).unwrap());
        }
    }
    all
}

/// Every line's number, `prev` and hash, stubs included; the chain must hold.
pub(super) fn chain(dir: &Path) -> Vec<(u64, String)> {
    let mut scratch = Vec::new();
    let mut found: Vec<(u64, String)> = Vec::new();
    for line in lines(dir) {
        let line = line.trim_end().as_bytes();
        let (seq, prev, hash) = match Stub::parse(line) {
            Some(stub) => (stub.seq, stub.prev.to_vec(), stub.hash),
            None => {
                let record = Record::check(line, &mut scratch).unwrap();
                (record.seq, record.prev.as_bytes().to_vec(), record.hash)
            }
        };
        if let Some((before, head)) = found.last() {
            assert_eq!((seq, prev.as_slice()), (before + 1, head.as_bytes()));
        }
        found.push((seq, String::from_utf8(hash.to_vec()).unwrap()));
    }
    found
}

pub(super) fn with(dir: &Path, part: &str) -> Vec<String> {
    let mut found = lines(dir);
    found.retain(|line| line.contains(part));
    found
}

fn state(ledger: &Ledger) -> (Snapshot, Option<KeptDamage>) {
    let now = ledger.snapshot();
    let damage = now.kept.damage.clone();
    (now, damage)
}

// R091
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

#[test]
fn beyond_the_budget_nothing_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    ledger_of_three(dir.path());
    let before = lines(dir.path());
    let ledger = opened(dir.path(), 9, &Disk::default());
    let mut keeper = keep(&ledger, &forever().within(Some(1)));
    work(&mut keeper, BEGAN_US);
    let kept = ledger.snapshot().kept;
    assert_eq!((kept.budget, kept.closed, kept.verified), (Some(1), 3, 3));
    assert!(kept.space.used > 1 && kept.space.free > 0, "{kept:?}");
    assert_eq!(lines(dir.path())[..before.len()], before);
}

/// Events that are nothing but their number, and may be counted.
struct Admitted;

impl Encode<u64> for Admitted {
    fn line(&mut self, entry: &mut EntryBuilder<'_>, source: Source, n: &u64) {
        let id = format!("{}{:02x}{n:012x}", source.boot, source.worker);
        entry.text("decision", "ALLOW");
        entry.text("decision_id", &id);
        entry.text("kind", "decision");
        entry.uint("n", *n);
        entry.uint("ts_us", 0);
        entry.uint("worker", u64::from(source.worker));
    }

    fn summary<'a>(&'a mut self, _: Source, n: &'a u64) -> Option<Summary<'a>> {
        Some(Summary::Admitted {
            n: *n,
            contract: "a",
            status: 200,
            second: 1_000,
        })
    }
}

/// A ledger that takes numbers.
fn taking_in(settings: &Settings) -> (Arc<Ledger>, Producer<u64>) {
    let source = Source {
        boot: BOOT,
        worker: 0,
    };
    let (producer, consumer) = ring(source, 1 << 12);
    let ledger = Ledger::start(settings, &facts(9), RULEBOOK, vec![consumer], Admitted);
    (Arc::new(ledger.unwrap()), producer)
}

fn push(producer: &mut Producer<u64>, count: u64) {
    for _ in 0..count {
        let n = producer.next_number();
        assert!(producer.push(Lane::Ordinary, Some(n), n));
    }
}

fn until(ledger: &Ledger, reached: impl Fn(&Snapshot) -> bool) {
    let began = std::time::Instant::now();
    while !reached(&ledger.snapshot()) {
        let waited = began.elapsed();
        assert!(waited < Duration::from_secs(20), "{:?}", ledger.snapshot());
        thread::yield_now();
    }
}

#[test]
fn beyond_the_budget_admitted_requests_are_counted_until_there_is_room_again() {
    const MIB: u64 = 1 << 20;
    const PATIENCE: Duration = Duration::from_secs(20);
    let dir = tempfile::tempdir().unwrap();
    let mut settings = Settings::new(dir.path());
    settings.bounds.rollup_min = Duration::ZERO;
    let (ledger, mut producer) = taking_in(&settings);
    let mut keeper = keep(&ledger, &forever().within(Some(64 * MIB)));
    work(&mut keeper, BEGAN_US);
    push(&mut producer, 3);
    ledger.flush(PATIENCE).unwrap();
    let ballast = dir.path().join("ballast");
    fs::write(&ballast, vec![1; 80 * MIB as usize]).unwrap();
    work(&mut keeper, BEGAN_US);
    until(&ledger, |now| now.pressure == Pressure::Rollup);
    push(&mut producer, 100);
    ledger.flush(PATIENCE).unwrap();
    assert!(ballast.exists());
    fs::remove_file(&ballast).unwrap();
    work(&mut keeper, BEGAN_US);
    until(&ledger, |now| now.pressure == Pressure::Full);
    push(&mut producer, 5);
    drop(producer);
    ledger.close().unwrap();
    assert_eq!(ledger.snapshot().rolled_up, 100);
    assert_eq!(with(dir.path(), r#""kind":"decision""#).len(), 8);
    let told = with(dir.path(), r#""code":"LEDGER_ROLLUP""#);
    assert!(
        told.len() == 1 && told[0].contains("disk budget"),
        "{told:?}"
    );
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

/// A ledger of several segments, of which one was given up.
fn given_up_on_the_way(dir: &Path) {
    let mut settings = Settings::new(dir).segments(20_000, Duration::MAX);
    settings.bounds.rollup_min = Duration::ZERO;
    let (ledger, mut producer) = taking_in(&settings);
    for round in 0..12 {
        // One segment is given up on the way, and keeps lines that its successor has again. A tree
        // file may take one of the two.
        let failing = 2 * i32::from(round == 5);
        settings.disk.plan.failing_syncs.store(failing, SeqCst);
        push(&mut producer, 50);
        ledger.flush(Duration::from_secs(20)).unwrap();
        until(&ledger, |now| now.pressure == Pressure::Full);
    }
    drop(producer);
    ledger.close().unwrap();
    assert_eq!(with(dir, r#""code":"LEDGER_SYNC_FAILED""#).len(), 1);
}

#[test]
fn what_is_redacted_goes_from_a_given_up_segment_as_well() {
    let dir = tempfile::tempdir().unwrap();
    given_up_on_the_way(dir.path());
    let closed = Segments::list(dir.path()).unwrap().closed;
    let repeated = closed.iter().find_map(|closed| {
        let text = fs::read_to_string(closed.path()).unwrap();
        let own = (closed.next_seq - closed.first_seq) as usize;
        let line = text.lines().nth(own)?.to_owned();
        Some((closed.clone(), line))
    });
    let (given_up, line) = repeated.expect("lines that the next segment has again");
    let copies = || {
        let paths = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path());
        let texts = paths.filter_map(|path| fs::read_to_string(path).ok());
        texts.filter(|text| text.contains(&line)).count()
    };
    assert_eq!(copies(), 2, "{line}");
    let before = verify(dir.path()).unwrap().records;
    let seq = given_up.next_seq;
    let ledger = offline(dir.path());
    ledger.redact(&[(seq, seq)], "dpo", "art. 17").unwrap();
    ledger.close().unwrap();
    assert_eq!(copies(), 0);
    let report = verify(dir.path()).unwrap();
    assert!(report.records > before, "{report:?}");
    assert_eq!((report.verdict, report.stubs), (Verdict::Intact, 1));
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

fn offline(dir: &Path) -> Offline {
    Offline::open(dir, None, "0").unwrap()
}

#[test]
fn redaction_takes_the_content_and_keeps_the_hashes() {
    for packed in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        ledger_of_three(dir.path());
        if packed {
            let ledger = opened(dir.path(), 9, &Disk::default());
            work(&mut keep(&ledger, &forever().compressing(true)), BEGAN_US);
        }
        let before = chain(dir.path());
        let ranges = [(15, 15), (10, 12), (9, 10)];
        let opened_now = offline(dir.path());
        let done = opened_now.redact(&ranges, "dpo", "art. 17").unwrap();
        assert_eq!(done.len(), 2);
        let again = opened_now.redact(&ranges, "dpo", "art. 17").unwrap();
        assert_eq!(again, [], "what is a stub stays one");
        opened_now.close().unwrap();
        assert_eq!(chain(dir.path())[..before.len()], before);
        let stubs = with(dir.path(), r#""kind":"stub""#);
        assert_eq!(stubs.len(), 5);
        assert!(stubs.iter().all(|stub| !stub.contains("client")));
        let records = with(dir.path(), r#""kind":"redact""#);
        let part = r#"{"actor":"dpo","boot":"00000000","kind":"redact","#;
        assert!(
            records.len() == 2 && records[0].starts_with(part),
            "{records:?}"
        );
        let part =
            r#""ranges":[[11,12],[15,15]],"reason":"art. 17","segment":"seg-0000000000000011","#;
        assert!(records[1].contains(part), "{records:?}");
        // A gateway that starts afterwards finds all of it explained.
        let ledger = opened(dir.path(), 10, &Disk::default());
        work(&mut keep(&ledger, &forever()), BEGAN_US);
        assert_eq!(state(&ledger).1, None);
        assert_eq!(ledger.snapshot().kept.verified, 3);
        // Retention goes on where redaction was before.
        work(
            &mut keep(&ledger, &KeeperSettings::new(BOOT, 1, 1_000)),
            BEGAN_US + 100 * DAY_US,
        );
        assert_eq!(state(&ledger).1, None);
        assert_eq!(
            with(dir.path(), r#""decision":"ALLOW""#).len(),
            8,
            "those of the newest"
        );
    }
}

#[test]
fn what_cannot_be_redacted_is_refused_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    ledger_of_three(dir.path());
    let before = lines(dir.path());
    let crowd: Vec<(u64, u64)> = vec![(12, 13); 25];
    for (ranges, code) in [
        (
            vec![(0, 3)],
            "LEDGER_FRAME_RECORD: record 0 is of kind open",
        ),
        (vec![(3, 2)], "LEDGER_RANGE"),
        (vec![(30, 31)], "LEDGER_NOT_CLOSED"),
    ] {
        let error = check_redactable(dir.path(), &ranges)
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(code), "{error}");
    }
    check_redactable(dir.path(), &[(1, 30)]).unwrap();
    check_redactable(dir.path(), &crowd).unwrap();
    assert_eq!(lines(dir.path()), before);
    assert!(!dir.path().join("LOCK").exists());
    fs::write(dir.path().join("log.vkey"), "x").unwrap();
    for key in [None, Some(LedgerKey::from_seed([2; 32]))] {
        let error = Offline::open(dir.path(), key, "0").unwrap_err().to_string();
        assert!(error.starts_with("LEDGER_KEY"), "{error}");
    }
    assert_eq!(lines(dir.path()), before);
}

#[test]
fn a_prune_on_request_does_what_was_planned() {
    let dir = tempfile::tempdir().unwrap();
    ledger_of_three(dir.path());
    let before_us = BEGAN_US + DAY_US + DAY_US / 2;
    let planned = plan_prune(dir.path(), before_us, None).unwrap();
    let firsts: Vec<u64> = planned.iter().map(|planned| planned.first_seq).collect();
    assert_eq!(firsts, [0, 11]);
    assert!(plan_prune(dir.path(), BEGAN_US, None).unwrap().is_empty());
    let access = Some(Class::Access);
    let stubs = plan_prune(dir.path(), before_us, access).unwrap();
    assert_eq!(stubs[1].stubs, Some(8));
    let ledger = offline(dir.path());
    assert_eq!(ledger.prune(before_us, access, "space").unwrap(), stubs);
    assert!(ledger.prune(before_us, access, "space").unwrap().is_empty());
    assert_eq!(ledger.prune(before_us, None, "space").unwrap().len(), 2);
    ledger.close().unwrap();
    assert_eq!(chain(dir.path())[0].0, 21);
    assert_eq!(with(dir.path(), r#""reason":"space""#).len(), 4);
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
