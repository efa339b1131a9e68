//! Checkpoints: what is signed, when, and what is durable by then.

use std::fs;

use super::evidence::{in_order, leaves, notes, proven, records};
use super::*;

pub(super) fn key(seed: u8) -> LedgerKey {
    LedgerKey::from_seed([seed; 32])
}

pub(super) fn start(settings: &Settings, boot: u32) -> (Ledger, Producer<u64>) {
    let (producer, consumer) = ring(source(boot), 1 << 14);
    let ledger = Ledger::start(settings, &facts(boot), RULEBOOK, vec![consumer], encode).unwrap();
    (ledger, producer)
}

#[test]
fn nothing_is_signed_before_it_is_synced_and_every_note_is_that_of_the_lines() {
    for mode in [
        SyncMode::Interval(Duration::from_millis(1)),
        SyncMode::Group,
        SyncMode::Each,
    ] {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings::new(dir.path())
            .signed_by(key(1))
            .sync(mode)
            .segments(4_000, Duration::from_secs(3_600));
        settings.disk.journal.switch_on();
        for boot in 1..=2 {
            let (ledger, mut producer) = start(&settings, boot);
            for _ in 0..12 {
                push(&mut producer, 7);
                let durable = ledger.flush(PATIENCE).unwrap();
                let signed = ledger.await_signed(durable - 1, PATIENCE).unwrap();
                // Behind the events there is at most the record of a checkpoint.
                assert!(signed + 1 >= durable, "{signed} of {durable}");
                assert!(ledger.snapshot().signed >= signed);
                let again = ledger.await_signed(0, PATIENCE).unwrap();
                assert!(again >= signed, "what is covered is told at once");
            }
            drop(producer);
            ledger.close().unwrap();
            let now = ledger.snapshot();
            assert_eq!(now.signed, now.records, "the close is covered");
            let newest = fs::read_to_string(dir.path().join("checkpoint")).unwrap();
            assert_eq!(now.note, newest);
        }
        let report = intact(dir.path());
        assert_eq!(report.decisions, 168, "{mode:?}");
        // R089
        assert!(report.segments >= 3, "{mode:?}: {report:?}");
        assert!(proven(dir.path()).len() >= 24, "{mode:?}");
        assert!(in_order(&settings.disk.journal.ops()) >= 48, "{mode:?}");
        let last = text(dir.path());
        assert!(last.lines().last().unwrap().contains(r#""kind":"close""#));
    }
}

#[test]
fn a_key_is_told_once_and_another_one_again() {
    let dir = tempfile::tempdir().unwrap();
    let settings = |seed| Settings::new(dir.path()).signed_by(key(seed));
    for (boot, seed, keys) in [(1, 1, 1), (2, 1, 1), (3, 2, 2), (4, 1, 3)] {
        start(&settings(seed), boot).0.close().unwrap();
        let told = records(dir.path(), "key");
        assert_eq!(told.len(), keys, "boot {boot}");
        let vkeys = fs::read_to_string(dir.path().join("log.vkey")).unwrap();
        let vkeys: Vec<_> = vkeys.lines().collect();
        assert_eq!(vkeys.len(), keys);
        assert_eq!(told[keys - 1]["vkey"], vkeys[keys - 1]);
    }
    // A crash between the file and the record: the next boot makes up for the record.
    let told = records(dir.path(), "key").len();
    fs::remove_file(dir.path().join("checkpoint")).unwrap();
    start(&settings(1), 5).0.close().unwrap();
    assert_eq!(records(dir.path(), "key").len(), told + 1);
    assert_eq!(proven(dir.path()).len(), notes(dir.path()).len());
}

#[test]
fn no_checkpoint_follows_where_only_checkpoints_came() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings::new(dir.path())
        .signed_by(key(1))
        .sync(SyncMode::Group);
    let (ledger, mut producer) = start(&settings, 1);
    until(&ledger, |now| now.signed == 2 && now.durable == 3);
    // Its own record is not news: nothing is written for it, whoever asks.
    assert_eq!(ledger.await_signed(2, PATIENCE).unwrap(), 2);
    let soon = Duration::from_millis(50);
    let refused = ledger.await_signed(3, soon).unwrap_err();
    assert_eq!(refused.code(), "LEDGER_UNAVAILABLE");
    assert_eq!(ledger.snapshot().records, 3);
    push(&mut producer, 1);
    assert!(ledger.await_signed(3, PATIENCE).unwrap() >= 4);
    drop(producer);
    ledger.close().unwrap();
    proven(dir.path());
}

#[test]
fn without_a_key_nothing_is_signed() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings::new(dir.path()).segments(1, Duration::from_secs(3_600));
    let (ledger, mut producer) = start(&settings, 1);
    push(&mut producer, 3);
    ledger.flush(PATIENCE).unwrap();
    assert_eq!(
        ledger.await_signed(0, PATIENCE).unwrap_err().code(),
        "LEDGER_UNAVAILABLE"
    );
    drop(producer);
    ledger.close().unwrap();
    for name in ["heads.log", "checkpoint", "log.vkey"] {
        assert!(!dir.path().join(name).exists(), "{name}");
    }
    assert!(proven(dir.path()).is_empty());
}

#[test]
fn a_note_that_cannot_be_kept_is_told_and_kept_later() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings::new(dir.path()).signed_by(key(1));
    let (ledger, mut producer) = start(&settings, 1);
    until(&ledger, |now| now.signed == 2);
    // The first write is that of the line, the next ones are those of the note.
    settings.disk.plan.healthy_writes.store(1, SeqCst);
    settings.disk.plan.failing_writes.store(1, SeqCst);
    push(&mut producer, 1);
    until(&ledger, |now| now.signed > 2);
    drop(producer);
    ledger.close().unwrap();
    let sizes = proven(dir.path());
    assert_eq!(sizes.last(), Some(&(leaves(dir.path()).len() as u64)));
}

#[test]
fn each_event_is_synced_before_the_next_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings::new(dir.path()).sync(SyncMode::Each);
    settings.disk.journal.switch_on();
    let (ledger, mut producer) = start(&settings, 1);
    push(&mut producer, 50);
    ledger.flush(PATIENCE).unwrap();
    let (mut unsynced, mut lines) = (0, 0);
    for op in settings.disk.journal.ops() {
        match op {
            super::super::disk::tests::Op::Write(_, bytes) => {
                let events = bytes
                    .split(|b| *b == b'\n')
                    .filter(|line| line.windows(16).any(|w| w == b"\"kind\":\"decision"));
                unsynced += events.count();
                assert!(unsynced <= 1);
            }
            super::super::disk::tests::Op::Sync(..) => {
                lines += unsynced;
                unsynced = 0;
            }
            _ => {}
        }
    }
    assert_eq!(lines, 50);
    drop(producer);
    ledger.close().unwrap();
    intact(dir.path());
}

#[test]
fn a_group_becomes_durable_without_being_asked_to() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings::new(dir.path()).sync(SyncMode::Group);
    let (ledger, mut producer) = start(&settings, 1);
    for _ in 0..20 {
        push(&mut producer, 3);
        let made = producer.made();
        until(&ledger, |now| now.durable == made + 1);
    }
    drop(producer);
    ledger.close().unwrap();
}
