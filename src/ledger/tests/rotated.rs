//! Segments that follow one another, on a disk that fails on the way.

use super::super::disk::tests::Plan;
use super::evidence::{in_order, proven, records};
use super::signed::{key, start};
use super::*;

const HOUR: Duration = Duration::from_secs(3_600);

/// One boot of `rounds` times five events in segments of a few lines, with a fault on the way.
fn life(settings: &Settings, rounds: u64, fault: impl Fn(u64)) -> Snapshot {
    settings.disk.journal.switch_on();
    let (ledger, mut producer) = start(settings, 1);
    for round in 0..rounds {
        fault(round);
        push(&mut producer, 5);
        ledger.flush(PATIENCE).unwrap();
    }
    drop(producer);
    ledger.close().unwrap();
    ledger.snapshot()
}

fn small_segments(dir: &Path) -> Settings {
    Settings::new(dir).signed_by(key(1)).segments(2_500, HOUR)
}

/// A life of eight rounds, in the second of which the disk fails as `fail` plans it: no record is
/// lost, and the notes and the order of what was done are as they should be.
fn outlives(healthy: i32, fail: impl Fn(&Plan)) -> Report {
    let dir = tempfile::tempdir().unwrap();
    let settings = small_segments(dir.path());
    life(&settings, 8, |round| {
        if round == 1 {
            fail(&settings.disk.plan);
        }
    });
    let report = intact(dir.path());
    assert_eq!((report.decisions, report.lost), (40, 0), "{healthy}");
    proven(dir.path());
    in_order(&settings.disk.journal.ops());
    report
}

#[test]
fn any_sync_may_fail() {
    for healthy in 0..24 {
        let report = outlives(healthy, |plan| {
            plan.healthy_syncs.store(healthy, SeqCst);
            plan.failing_syncs.store(1 + healthy % 2, SeqCst);
        });
        assert!(report.segments >= 3, "{healthy}: {report:?}");
    }
}

#[test]
fn any_write_may_fail() {
    for healthy in 0..24 {
        outlives(healthy, |plan| {
            plan.healthy_writes.store(healthy, SeqCst);
            plan.failing_writes.store(1 + healthy % 2, SeqCst);
        });
    }
}

#[test]
fn a_segment_ends_by_its_age() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings::new(dir.path())
        .signed_by(key(1))
        .segments(1 << 30, Duration::ZERO);
    let now = life(&settings, 6, |_| {});
    let report = intact(dir.path());
    // R089
    assert!(report.segments >= 3, "{report:?}");
    assert_eq!(report.records, now.records);
    proven(dir.path());
    let left = std::fs::read_dir(dir.path()).unwrap();
    let left = left.filter(|entry| {
        let path = entry.as_ref().unwrap().path();
        path.extension() == Some("tmp".as_ref())
    });
    assert_eq!(
        left.count(),
        0,
        "a next segment that never began is removed"
    );
}

#[test]
fn a_full_disk_at_a_boundary_is_waited_out() {
    let dir = tempfile::tempdir().unwrap();
    let settings = small_segments(dir.path());
    let (ledger, mut producer) = start(&settings, 1);
    settings.disk.plan.failing_reserves.store(i32::MAX, SeqCst);
    while ledger.snapshot().ok {
        push(&mut producer, 1);
        let _ = ledger.flush(Duration::from_millis(20));
    }
    until(&ledger, |now| now.error.starts_with("LEDGER_DISK_FULL"));
    // What was taken in before is durable all the same.
    until(&ledger, |now| now.durable == now.records);
    push(&mut producer, 100);
    settings.disk.plan.failing_reserves.store(0, SeqCst);
    ledger.flush(PATIENCE).unwrap();
    assert!(ledger.snapshot().ok);
    let made = producer.made();
    drop(producer);
    ledger.close().unwrap();
    let report = intact(dir.path());
    assert_eq!((report.decisions, report.lost), (made, 0));
    let faults = records(dir.path(), "fault");
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0]["code"], "LEDGER_DISK_FULL");
    proven(dir.path());
}

#[test]
fn a_start_goes_on_in_the_newest_segment() {
    let dir = tempfile::tempdir().unwrap();
    for boot in 1..=4 {
        let settings = small_segments(dir.path());
        let (ledger, mut producer) = start(&settings, boot);
        for _ in 0..3 {
            push(&mut producer, 5);
            ledger.flush(PATIENCE).unwrap();
        }
        drop(producer);
        ledger.close().unwrap();
    }
    assert_eq!(intact(dir.path()).decisions, 60);
    proven(dir.path());
}
