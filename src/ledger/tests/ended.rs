//! A stop while the disk is in trouble: the `close` is the last record, and the next start and
//! `verify` take it for one.

use std::fmt::Write as _;

use super::super::directory::SegmentName;
use super::*;

/// The kinds in order, a fault by its code.
fn kinds(dir: &Path) -> Vec<String> {
    let told = |line: &str| {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        let name = record["code"].as_str().or(record["kind"].as_str());
        name.unwrap().to_owned()
    };
    text(dir).lines().map(told).collect()
}

/// Starts once more and ends: the boot before was closed.
fn goes_on(dir: &Path) {
    let before = text(dir).lines().count();
    let ledger =
        Ledger::start(&Settings::new(dir), &facts(8), RULEBOOK, Vec::new(), encode).unwrap();
    ledger.close().unwrap();
    let text = text(dir);
    let open = text.lines().nth(before).unwrap();
    assert!(open.contains(r#""previous_closed":true"#), "{open}");
    assert!(!open.contains("previous_made"), "{open}");
    intact(dir);
}

#[test]
fn a_stop_on_a_full_disk_that_is_freed_in_time_ends_with_its_close() {
    let dir = tempfile::tempdir().unwrap();
    let (settings, ledger, mut producer) = started(dir.path(), 16);
    ledger.flush(PATIENCE).unwrap();
    settings.disk.plan.space.store(100, SeqCst);
    push(&mut producer, 3);
    until(&ledger, |now| now.pressure == Pressure::Rollup);
    drop(producer);
    std::thread::scope(|scope| {
        let closed = scope.spawn(|| ledger.close());
        // The end of the process ends the period; the `close` is chained then.
        until(&ledger, |now| now.pressure == Pressure::Full);
        assert!(!ledger.snapshot().ok);
        settings.disk.plan.space.store(u64::MAX, SeqCst);
        closed.join().unwrap().unwrap();
    });
    let kinds = kinds(dir.path());
    assert_eq!(kinds[4..], ["LEDGER_DISK_FULL", "close"], "{kinds:?}");
    goes_on(dir.path());
}

#[test]
fn a_disk_that_is_full_for_the_close_alone_leaves_no_fault_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = Settings::new(dir.path());
    settings.sync = SyncMode::Interval(Duration::from_secs(3_600));
    let (settings, ledger, mut producer) = started_with(settings, 16);
    push(&mut producer, 3);
    drop(producer);
    ledger.flush(PATIENCE).unwrap();
    settings.disk.plan.space.store(100, SeqCst);
    std::thread::scope(|scope| {
        let closed = scope.spawn(|| ledger.close());
        until(&ledger, |now| now.error.contains("LEDGER_DISK_FULL"));
        settings.disk.plan.space.store(u64::MAX, SeqCst);
        closed.join().unwrap().unwrap();
    });
    assert_eq!(kinds(dir.path()).last().unwrap(), "close");
    goes_on(dir.path());
}

#[test]
fn a_sync_that_fails_at_the_close_is_told_of_before_it() {
    // The segment, and then as many attempts at its successor.
    for failures in 1..=3 {
        for keyed in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let mut settings = Settings::new(dir.path());
            settings.sync = SyncMode::Interval(Duration::from_secs(3_600));
            settings.key = keyed.then(|| LedgerKey::from_seed([7; 32]));
            let (settings, ledger, mut producer) = started_with(settings, 16);
            ledger.flush(PATIENCE).unwrap();
            // A note that is still to be kept would take the failure.
            until(&ledger, |now| !keyed || now.signed > 0);
            push(&mut producer, 3);
            drop(producer);
            settings.disk.plan.failing_syncs.store(failures, SeqCst);
            ledger.close().unwrap();
            let kinds = kinds(dir.path());
            let end = &kinds[kinds.len() - 2..];
            assert_eq!(end, ["LEDGER_SYNC_FAILED", "close"], "{kinds:?}");
            assert_eq!(kinds.iter().filter(|kind| *kind == "close").count(), 1);
            assert_eq!(intact(dir.path()).decisions, 3);
            if !keyed {
                goes_on(dir.path());
            }
        }
    }
}

/// Puts lines behind the newest one, as an earlier version did.
fn append(dir: &Path, entries: &[&dyn Fn(&mut EntryBuilder<'_>)]) {
    let all = text(dir);
    let last = all.lines().last().unwrap();
    let head = &last.as_bytes()[last.len() - 66..last.len() - 2];
    let mut chain = Chain::resume(all.lines().count() as u64, head.try_into().unwrap());
    let mut lines = Vec::new();
    for entry in entries {
        chain.append(&mut lines, entry);
    }
    let path = SegmentName::new(dir, 0).path;
    let mut whole = std::fs::read_to_string(&path).unwrap();
    write!(whole, "{}", String::from_utf8(lines).unwrap()).unwrap();
    std::fs::write(path, whole).unwrap();
}

fn closed_with_a_fault_behind() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (_, ledger, mut producer) = started(dir.path(), 16);
    push(&mut producer, 3);
    drop(producer);
    ledger.close().unwrap();
    append(
        dir.path(),
        &[&|entry| {
            entry.uint("began_us", 1);
            entry.text("code", "LEDGER_DISK_FULL");
            entry.text("error", "no space");
            entry.text("kind", "fault");
            entry.text("segment", "seg-0000000000000000.jsonl");
            entry.uint("ts_us", 1);
        }],
    );
    intact(dir.path());
    dir
}

#[test]
fn a_fault_behind_a_close_leaves_the_boot_closed() {
    goes_on(closed_with_a_fault_behind().path());
}

#[test]
fn what_a_closed_boot_made_may_be_told_again_but_not_less_of_it() {
    for (made, opens, whole) in [(3, 1, true), (2, 1, false), (4, 1, false), (3, 2, false)] {
        let dir = closed_with_a_fault_behind();
        for boot in 8..8 + opens {
            let open = move |entry: &mut EntryBuilder<'_>| {
                entry.text("boot", &BootId::from_u32(boot).to_string());
                entry.text("instance", "test");
                entry.text("kind", "open");
                entry.text("policy_hash", POLICY_HASH);
                entry.text("previous_boot", &BootId::from_u32(7).to_string());
                entry.flag("previous_closed", false);
                entry.counts("previous_made", [("00", made)]);
                entry.counts("previous_unaccounted", []);
                entry.uint("ts_us", 1);
                entry.text("version", "0");
            };
            append(dir.path(), &[&open]);
        }
        let report = verify(dir.path()).unwrap();
        let found = report.verdict == Verdict::Intact;
        assert_eq!(found, whole, "{made} {opens}: {report:?}");
    }
}
