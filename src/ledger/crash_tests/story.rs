//! What a ledger does and promises before its disk loses power.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use super::super::directory::list_segments;
use super::super::recovery_tests::leaves;
use super::*;

const PATIENCE: Duration = Duration::from_secs(20);
/// Bursts of traffic in each of the three boots of a workload.
const STEPS: u64 = 4;
/// Some ten records: so that segments end and begin all the time.
const SEGMENT_BYTES: u64 = 4_000;

/// A point of the workload from which on records are promised.
#[derive(Debug)]
pub(super) struct Promise {
    /// Operations done by then.
    pub(super) ops: usize,
    /// Records below this number are durable.
    pub(super) records: u64,
}

/// What a workload did and promised.
pub(super) struct Story {
    pub(super) root: tempfile::TempDir,
    pub(super) ops: Vec<Op>,
    pub(super) promises: Vec<Promise>,
    pub(super) leaves: Vec<Hash>,
}

/// Runs one ledger through boots, traffic, flushes, notes and failing disks.
pub(super) fn story(seed: u64) -> Story {
    let root = scratch();
    let dir = root.path().to_path_buf();
    let mut random = Random(seed);
    // Synced when a flush asks for it: so much is unsynced for most of the time.
    let settings = Settings::new(&dir)
        .signed_by(key())
        .sync_interval(Duration::from_secs(60))
        .segments(SEGMENT_BYTES, Duration::from_secs(3_600));
    let disk = settings.disk.clone();
    disk.journal.switch_on();
    let mut promises = Vec::new();
    for boot in 1..=3 {
        let (ledger, mut producer) = start(&settings, boot).unwrap();
        for _ in 0..STEPS {
            step(&ledger, &mut producer, &disk, &mut random);
            let records = ledger.flush(PATIENCE).unwrap();
            promises.push(Promise {
                ops: disk.journal.ops().len(),
                records,
            });
            if random.coin() {
                ledger.await_signed(records - 1, PATIENCE).unwrap();
            }
        }
        drop(producer);
        ledger.close().unwrap();
    }
    assert!(list_segments(&dir).unwrap().len() > 3);
    Story {
        ops: disk.journal.ops(),
        leaves: leaves(&dir),
        promises,
        root,
    }
}

fn step(ledger: &Ledger, producer: &mut Producer<u64>, disk: &Disk, random: &mut Random) {
    match random.below(6) {
        0 => disk.plan.failing_syncs.store(1, SeqCst),
        1 => disk.plan.failing_writes.store(1, SeqCst),
        _ => {}
    }
    for _ in 0..=random.below(3) {
        push(producer, 1 + random.below(6));
        // Written, and synced only by accident: what a crash may tear.
        let mark = ledger.mark();
        while !ledger.has_taken(&mark) {
            std::thread::yield_now();
        }
    }
}
