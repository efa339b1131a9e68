//! The disk budget: beyond it requests are counted, and nothing is removed.

use super::*;

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

/// A ledger of several segments, of which one was given up.
pub(super) fn given_up_on_the_way(dir: &Path) {
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
