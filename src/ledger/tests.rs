//! The writer against a failing disk: faults come from the plan in `segment`, so no root needed.

use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use super::fixture::{POLICY_HASH, RULEBOOK, facts};
use super::*;

mod ended;
mod evidence;
mod rotated;
mod signed;
mod taken_over;

const PATIENCE: Duration = Duration::from_secs(20);

fn source(boot: u32) -> Source {
    Source {
        boot: BootId::from_u32(boot),
        worker: 0,
    }
}

fn encode(entry: &mut EntryBuilder<'_>, source: Source, n: &u64) {
    let id = format!("{}{:02x}{n:012x}", source.boot, source.worker);
    entry.text("decision_id", &id);
    entry.text("kind", "decision");
    entry.uint("n", *n);
    entry.uint("ts_us", *n);
    entry.uint("worker", u64::from(source.worker));
}

fn push(producer: &mut Producer<u64>, count: u64) {
    for _ in 0..count {
        let n = producer.next_number();
        producer.push(Lane::Ordinary, Some(n), n);
    }
}

fn started(dir: &Path, capacity: usize) -> (Settings, Ledger, Producer<u64>) {
    started_with(Settings::new(dir), capacity)
}

fn started_with(settings: Settings, capacity: usize) -> (Settings, Ledger, Producer<u64>) {
    let (producer, consumer) = ring(source(7), capacity);
    let ledger = Ledger::start(&settings, &facts(7), RULEBOOK, vec![consumer], encode).unwrap();
    (settings, ledger, producer)
}

fn until(ledger: &Ledger, reached: impl Fn(&Snapshot) -> bool) {
    let began = Instant::now();
    while !reached(&ledger.snapshot()) {
        assert!(began.elapsed() < PATIENCE, "{:?}", ledger.snapshot());
        std::thread::yield_now();
    }
}

fn eventually(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

fn intact(dir: &Path) -> Report {
    let report = verify(dir).unwrap();
    assert_eq!(report.verdict, Verdict::Intact, "{report:?}");
    report
}

fn text(dir: &Path) -> String {
    let mut lines = DirectoryLines::open(dir).unwrap();
    let mut all = String::new();
    while let Some((_, line)) = lines.next().unwrap() {
        all += std::str::from_utf8(line.bytes).unwrap();
        all.push('\n');
    }
    all
}

#[test]
fn a_failed_sync_moves_what_is_not_durable_to_a_new_segment() {
    let dir = tempfile::tempdir().unwrap();
    let (settings, ledger, mut producer) = started(dir.path(), 1_000);
    push(&mut producer, 10);
    ledger.flush(PATIENCE).unwrap();
    settings.disk.plan.failing_syncs.store(1, SeqCst);
    push(&mut producer, 10);
    ledger.flush(PATIENCE).unwrap();
    push(&mut producer, 10);
    drop(producer);
    ledger.close().unwrap();
    let report = intact(dir.path());
    assert_eq!((report.decisions, report.segments), (30, 2));
    let text = text(dir.path());
    assert!(text.contains(r#""code":"LEDGER_SYNC_FAILED""#), "{text}");
}

#[test]
fn failures_may_follow_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let (settings, ledger, mut producer) = started(dir.path(), 1_000);
    // Twice in a row: the first attempt at a new segment fails as well.
    settings.disk.plan.failing_syncs.store(2, SeqCst);
    push(&mut producer, 10);
    ledger.flush(PATIENCE).unwrap();
    settings.disk.plan.failing_writes.store(1, SeqCst);
    push(&mut producer, 10);
    drop(producer);
    ledger.close().unwrap();
    assert_eq!(intact(dir.path()).decisions, 20);
}

#[test]
fn the_same_boundary_can_fail_again() {
    let dir = tempfile::tempdir().unwrap();
    let (settings, ledger, mut producer) = started(dir.path(), 1_000);
    push(&mut producer, 1);
    ledger.flush(PATIENCE).unwrap();
    settings.disk.plan.failing_writes.store(1, SeqCst);
    push(&mut producer, 1);
    ledger.flush(PATIENCE).unwrap();
    // The tree file of the first one would take the next failure.
    let tree = dir.path().join("seg-0000000000000000.tree");
    until(&ledger, |_| tree.exists());
    settings.disk.plan.failing_writes.store(1, SeqCst);
    push(&mut producer, 1);
    drop(producer);
    ledger.close().unwrap();
    let report = intact(dir.path());
    assert_eq!((report.decisions, report.segments), (3, 3));
}

#[test]
fn lines_repeated_without_a_fault_are_damage() {
    let dir = tempfile::tempdir().unwrap();
    let (_, ledger, mut producer) = started(dir.path(), 1_000);
    push(&mut producer, 3);
    drop(producer);
    ledger.close().unwrap();
    let all = text(dir.path());
    let tail: Vec<&str> = all.lines().skip(3).collect();
    let second = super::directory::SegmentName::new(dir.path(), 3);
    std::fs::write(second.path, tail.join("\n") + "\n").unwrap();
    let report = verify(dir.path()).unwrap();
    let Verdict::Damaged(damage) = report.verdict else {
        panic!("{report:?}");
    };
    assert!(damage.rule.contains("fault record"), "{damage:?}");
}

#[test]
fn a_full_disk_is_waited_out_and_every_loss_is_chained() {
    let dir = tempfile::tempdir().unwrap();
    // Memory for a handful of lines.
    let mut settings = Settings::new(dir.path());
    settings.bounds.ordinary_bytes = 3_000;
    let (settings, ledger, mut producer) = started_with(settings, 16);
    ledger.flush(PATIENCE).unwrap();
    // Room for half a line: the write stops in the middle of one.
    settings.disk.plan.space.store(100, SeqCst);
    push(&mut producer, 1);
    until(&ledger, |now| !now.ok);
    assert!(ledger.snapshot().error.contains("LEDGER_DISK_FULL"));
    push(&mut producer, 1_000);
    let lost = producer.lost();
    assert!(lost >= 900, "{lost}");
    assert_eq!(ledger.snapshot().lost, lost);
    settings.disk.plan.space.store(u64::MAX, SeqCst);
    until(&ledger, |now| now.ok);
    producer.settle();
    push(&mut producer, 1);
    let lost = producer.lost();
    drop(producer);
    ledger.close().unwrap();
    let report = intact(dir.path());
    assert_eq!(report.lost, lost);
    assert_eq!(report.decisions + report.lost, 1_002);
    assert_eq!(report.unaccounted, 0);
    assert!(text(dir.path()).contains(r#""code":"LEDGER_DISK_FULL""#));
}

#[test]
fn a_close_on_a_full_disk_says_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let (settings, ledger, mut producer) = started(dir.path(), 16);
    settings.disk.plan.space.store(0, SeqCst);
    push(&mut producer, 3);
    drop(producer);
    let refused = ledger.close().unwrap_err();
    assert_eq!(refused.code(), "LEDGER_UNAVAILABLE");
    assert!(
        refused
            .to_string()
            .contains("records could not be made durable")
    );
    assert!(!ledger.snapshot().ok);
}

#[test]
fn a_full_disk_at_start_is_a_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings::new(dir.path());
    settings.disk.plan.space.store(10, SeqCst);
    let refused = Ledger::start(&settings, &facts(1), RULEBOOK, Vec::new(), encode).unwrap_err();
    assert_eq!(refused.code(), "LEDGER_DISK_FULL");
    // The record failed, and what it would have named is there: this order, whatever fails.
    let rulebook = dir.path().join(format!("rulebooks/{POLICY_HASH}.json"));
    assert_eq!(std::fs::read(rulebook).unwrap(), RULEBOOK);
    settings.disk.plan.space.store(u64::MAX, SeqCst);
    let ledger = Ledger::start(&settings, &facts(1), RULEBOOK, Vec::new(), encode).unwrap();
    ledger.close().unwrap();
    assert_eq!(intact(dir.path()).records, 2);
}

#[test]
fn a_sync_thread_that_cannot_be_started_is_an_error_at_start() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings::new(dir.path());
    settings.disk.plan.failing_threads.store(1, SeqCst);
    let refused = Ledger::start(&settings, &facts(1), RULEBOOK, Vec::new(), encode).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("cannot start thread ledger-sync"),
        "{refused}"
    );
    assert!(!dir.path().join("origin").exists(), "no record was written");
    let ledger = Ledger::start(&settings, &facts(1), RULEBOOK, Vec::new(), encode).unwrap();
    ledger.close().unwrap();
    assert_eq!(intact(dir.path()).records, 2);
}

#[test]
fn a_panic_of_the_writer_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut producer, consumer) = ring(source(1), 4);
    let ledger = Ledger::start(
        &Settings::new(dir.path()),
        &facts(1),
        RULEBOOK,
        vec![consumer],
        |_: &mut EntryBuilder<'_>, _, _: &u64| panic!("in the encoder"),
    )
    .unwrap();
    push(&mut producer, 1);
    // The reason is told right after the fact.
    until(&ledger, |now| !now.ok && now.error.contains("panicked"));
    // The writer's thread may still be on its way out; from then on nothing is taken.
    while producer.lost() == 0 {
        push(&mut producer, 1);
    }
    push(&mut producer, 3);
    let now = ledger.snapshot();
    assert_eq!((now.lost, now.queued), (producer.made(), 0));
    assert_eq!(ledger.close().unwrap_err().code(), "LEDGER_UNAVAILABLE");
}
