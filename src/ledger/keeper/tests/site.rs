//! Ledgers of closed segments, written by hand with the chain, and what is looked at in them.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::super::super::directory::SegmentName;
use super::super::super::disk::Disk;
use super::super::super::fixture::{POLICY_HASH, RULEBOOK, facts};
use super::super::super::key::LedgerKey;
use super::super::super::line::Record;
use super::super::super::settings::Settings;
use super::super::super::stats::KeptDamage;
use super::super::super::{Chain, EntryBuilder, Snapshot, Source};
use super::super::files::Segments;
use super::super::stub::Stub;
use super::super::text::Text;
use super::super::*;

pub(in crate::ledger::keeper) const DAY_US: u64 = 24 * 3_600 * 1_000_000;
/// When the records of the first segment were made.
pub(in crate::ledger::keeper) const BEGAN_US: u64 = 1_700_000_000_000_000;
pub(in crate::ledger::keeper) const BOOT: BootId = BootId::from_u32(9);

pub(super) fn decision(entry: &mut EntryBuilder<'_>, n: u64, decision: &str, ts_us: u64) {
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
pub(in crate::ledger::keeper) fn ledger_of_three(dir: &Path) {
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

pub(in crate::ledger::keeper) fn opened(dir: &Path, boot: u32, disk: &Disk) -> Arc<Ledger> {
    opened_with(dir, boot, disk, None)
}

pub(in crate::ledger::keeper) fn opened_with(
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

pub(in crate::ledger::keeper) fn keep(ledger: &Arc<Ledger>, settings: &KeeperSettings) -> Keep {
    Keep::new(Arc::clone(ledger), settings.clone(), Pace::free())
}

/// Everything that is to be done at that time.
pub(in crate::ledger::keeper) fn work(keep: &mut Keep, now_us: u64) {
    let mut steps = 0;
    while keep.step(now_us) {
        steps += 1;
        assert!(steps < 1_000, "the keeper finds no end");
    }
}

pub(super) fn forever() -> KeeperSettings {
    KeeperSettings::new(BOOT, 36_500, 36_500).compressing(false)
}

pub(super) fn segment(dir: &Path, first_seq: u64) -> std::path::PathBuf {
    SegmentName::new(dir, first_seq).path
}

/// All lines that are there, in order, whatever the form of their segment.
pub(super) fn lines(dir: &Path) -> Vec<String> {
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
pub(in crate::ledger::keeper) fn chain(dir: &Path) -> Vec<(u64, String)> {
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

pub(in crate::ledger::keeper) fn with(dir: &Path, part: &str) -> Vec<String> {
    let mut found = lines(dir);
    found.retain(|line| line.contains(part));
    found
}

pub(super) fn state(ledger: &Ledger) -> (Snapshot, Option<KeptDamage>) {
    let now = ledger.snapshot();
    let damage = now.kept.damage.clone();
    (now, damage)
}

// R091
