//! A signed ledger that loses its end again and again, and whose losses are accepted.

use super::*;

/// A signed ledger that loses its end again and again.
struct Losing {
    dir: tempfile::TempDir,
    segment: PathBuf,
}

impl Losing {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let segment = SegmentName::new(dir.path(), 0).path;
        let this = Self { dir, segment };
        this.run(1, 5, 7);
        this
    }

    /// One boot, signed by the key of this seed: decisions, a note, as many decisions more.
    fn run(&self, boot: u32, count: u64, seed: u8) {
        let settings = Settings::new(self.dir.path()).signed_by(LedgerKey::from_seed([seed; 32]));
        let (ledger, mut producer) = start(&settings, boot).unwrap();
        for _ in 0..2 {
            push(&mut producer, count);
            let records = ledger.flush(PATIENCE).unwrap();
            ledger.await_signed(records - 1, PATIENCE).unwrap();
        }
        drop(producer);
        ledger.close().unwrap();
    }

    fn lines(&self) -> Vec<Vec<u8>> {
        let bytes = fs::read(&self.segment).unwrap();
        let lines = bytes.split_inclusive(|b| *b == b'\n');
        lines.map(<[u8]>::to_vec).collect()
    }

    fn keep(&self, lines: usize) {
        fs::write(&self.segment, self.lines()[..lines].concat()).unwrap();
    }

    /// A start is refused; gives up what is gone, and gives how many heads that were.
    fn accept(&self, records: u64) -> usize {
        self.accept_by(records, 7)
    }

    fn accept_by(&self, records: u64, seed: u8) -> usize {
        let settings = Settings::new(self.dir.path()).signed_by(LedgerKey::from_seed([seed; 32]));
        let refused = start(&settings, 90).unwrap_err();
        assert_eq!(refused.code(), "LEDGER_ROLLBACK", "{refused}");
        let repair = recover(&settings, "0", Some("lost")).unwrap();
        assert_eq!(repair.found.records, records);
        let told = self.intact();
        assert!(told.heads_superseded > 0, "{told:?}");
        (repair.records - records - 2) as usize
    }

    fn intact(&self) -> Report {
        let report = verify(self.dir.path()).unwrap();
        assert_eq!(report.verdict, Verdict::Intact, "{report:?}");
        report
    }
}

// R085
#[test]
fn without_its_notes_a_signed_ledger_is_still_a_signed_one() {
    let ledger = Losing::new();
    let settings = Settings::new(ledger.dir.path());
    let lines = ledger.lines();
    let newest = lines.iter().rposition(|line| {
        let line = String::from_utf8_lossy(line);
        line.contains(r#""kind":"checkpoint""#)
    });
    let signed = newest.unwrap();
    let again = || {
        let (ledger, producer) = start(&settings, 9).unwrap();
        let found = ledger.recovered().clone();
        drop(producer);
        ledger.close().unwrap();
        found
    };
    assert!(!again().heads_missing);
    for file in ["heads.log", "checkpoint"] {
        fs::remove_file(ledger.dir.path().join(file)).unwrap();
    }
    assert!(again().heads_missing);
    // Other records below one that was signed, well chained.
    let mut chain = super::super::chain::Chain::genesis();
    let mut forged = Vec::new();
    for (at, line) in lines.iter().enumerate().take(signed + 1) {
        if at < 3 {
            forged.extend_from_slice(line);
            let mut scratch = Vec::new();
            let record = Record::check(&line[..line.len() - 1], &mut scratch).unwrap();
            chain = super::super::chain::Chain::resume(record.seq + 1, record.hash);
        } else if at < signed {
            chain.append(&mut forged, |e| e.text("kind", "governance"));
        } else {
            let value: serde_json::Value = serde_json::from_slice(line).unwrap();
            let text = |key: &str| {
                value["entry"][key]
                    .as_str()
                    .or(value[key].as_str())
                    .unwrap()
            };
            chain.append(&mut forged, |e| {
                e.text("kind", "checkpoint");
                e.text("root", text("root"));
                e.text("signature", text("signature"));
                e.uint(
                    "size",
                    value["size"]
                        .as_u64()
                        .or(value["entry"]["size"].as_u64())
                        .unwrap(),
                );
            });
        }
    }
    fs::write(&ledger.segment, forged).unwrap();
    let refused = start(&settings, 9).unwrap_err();
    assert!(
        refused.to_string().contains("not the one that was signed"),
        "{refused}"
    );
}

// R085, R198
#[test]
fn rollbacks_follow_each_other() {
    let ledger = Losing::new();
    let whole = ledger.lines().len();
    ledger.keep(6);
    assert_eq!(ledger.accept(6), 1);
    ledger.run(2, 30, 7);
    let first = ledger.intact();
    assert!(first.records > whole as u64 && first.heads > 1, "{first:?}");
    // Behind the acceptance: it goes on to count.
    ledger.keep(20);
    assert_eq!(ledger.accept(20), 1);
    ledger.run(3, 1, 7);
    let second = ledger.intact();
    assert!(second.heads_superseded > first.heads_superseded);
    // Before both: the notes of three histories count again, and are given up together.
    ledger.keep(4);
    assert_eq!(ledger.accept(4), 2);
    ledger.run(4, 1, 7);
    ledger.run(5, 50, 7);
    let third = ledger.intact();
    assert!(third.heads_superseded > second.heads_superseded);
    assert!(third.signed_size > 100, "{third:?}");
}

// R198
#[test]
fn a_rollback_that_was_interrupted_is_accepted_again() {
    let ledger = Losing::new();
    ledger.keep(4);
    ledger.accept(4);
    // Its `open` is durable, the rest is not.
    ledger.keep(5);
    assert_eq!(ledger.accept(5), 1);
    ledger.run(2, 3, 7);
    ledger.intact();
}

// R198
#[test]
fn a_key_that_came_into_force_in_what_is_gone_does_so_again() {
    let ledger = Losing::new();
    let before = ledger.lines().len();
    ledger.run(2, 3, 8);
    ledger.keep(before);
    assert_eq!(ledger.accept_by(before as u64, 8), 1);
    ledger.run(3, 3, 8);
    ledger.intact();
}

// R198
#[test]
fn damage_in_signed_records_is_told_and_stays_damage() {
    let ledger = Losing::new();
    let lines = ledger.lines();
    let mut bytes = lines.concat();
    let offset = lines[..4].concat().len();
    flip(&mut bytes[offset..]);
    fs::write(&ledger.segment, &bytes).unwrap();
    let settings = Settings::new(ledger.dir.path()).signed_by(key());
    let (started, mut producer) = start(&settings, 2).unwrap();
    let damaged = started.recovered().damaged.clone().unwrap();
    assert_eq!((damaged.seq, damaged.offset), (4, offset as u64));
    // The gauges know from the first moment, and the writer is well.
    let gauges = started.snapshot();
    let kept = gauges.kept.damage.clone().unwrap();
    assert_eq!((kept.seq, kept.file), (4, ledger.segment.clone()));
    assert!(gauges.ok && !gauges.is_ok());
    push(&mut producer, 5);
    drop(producer);
    started.close().unwrap();
    // What was there is as it was, and the chain goes on behind it under a new note.
    assert_eq!(fs::read(&ledger.segment).unwrap(), bytes);
    let report = verify(ledger.dir.path()).unwrap();
    let Verdict::Damaged(found) = &report.verdict else {
        panic!("{report:?}");
    };
    assert_eq!((found.seq, found.offset, found.line), (4, offset as u64, 5));
    let open = lines.len() as u64;
    assert_eq!(report.told_by, Some(open), "{report:?}");
    // Further damage is told by nobody.
    flip(&mut bytes[lines[..2].concat().len()..]);
    fs::write(&ledger.segment, &bytes).unwrap();
    let report = verify(ledger.dir.path()).unwrap();
    assert!(matches!(&report.verdict, Verdict::Damaged(found) if found.seq == 2));
    assert_eq!(report.told_by, None, "{report:?}");
}
