//! A process that takes over waits for the ledger, and what it decided meanwhile is in its accounts.

use super::*;

/// Everything may be counted in place of its line.
struct Counting;

impl Encode<u64> for Counting {
    fn line(&mut self, entry: &mut EntryBuilder<'_>, source: Source, n: &u64) {
        encode(entry, source, n);
    }

    fn summary<'a>(&'a mut self, _: Source, n: &'a u64) -> Option<Summary<'a>> {
        Some(Summary::Admitted {
            n: *n,
            contract: "one",
            status: 200,
            second: 1_700_000_000,
        })
    }
}

fn taking_over(settings: &Settings, capacity: usize) -> (Ledger, Producer<u64>) {
    let (producer, consumer) = ring(source(8), capacity);
    let start = Start {
        settings,
        facts: &facts(8),
        rulebook: RULEBOOK,
    };
    let ledger = Ledger::start_when_free(start, vec![consumer], Counting);
    (ledger.unwrap(), producer)
}

#[test]
fn events_are_held_then_counted_then_lost_and_the_accounts_are_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (_, old, mut before) = started(dir.path(), 1_000);
    let mut settings = Settings::new(dir.path());
    (settings.bounds.held_max, settings.bounds.pending_max) = (30, 20);
    let (new, mut producer) = taking_over(&settings, 64);
    let waits = |ledger: &Ledger| ledger.snapshot().queued;
    push(&mut producer, 50);
    eventually("counts", || waits(&new) == 30);
    // Now the ring alone has room, and then nothing has.
    push(&mut producer, 64);
    assert_eq!((waits(&new), producer.lost()), (94, 0));
    push(&mut producer, 5);
    assert_eq!((waits(&new), producer.lost()), (94, 5));
    push(&mut before, 7);
    assert!(!new.is_had() && new.snapshot().ok, "{:?}", new.snapshot());
    drop(before);
    old.close().unwrap();
    eventually("the ledger", || new.is_had());
    assert!(!new.recovered().unclosed);
    drop(producer);
    new.close().unwrap();
    let report = intact(dir.path());
    assert_eq!(
        (report.decisions, report.rolled_up, report.lost),
        (101, 20, 5)
    );
    let text = text(dir.path());
    assert!(text.contains(r#""code":"LEDGER_ROLLUP""#), "{text}");
    let close = text
        .lines()
        .rfind(|line| line.contains(r#""kind":"close""#));
    assert!(close.unwrap().contains(r#""made":{"00":119}"#), "{close:?}");
}

#[test]
fn a_process_that_ends_before_it_had_the_ledger_leaves_nothing_there() {
    let dir = tempfile::tempdir().unwrap();
    let (_, old, before) = started(dir.path(), 10);
    let (new, producer) = taking_over(&Settings::new(dir.path()), 10);
    drop(producer);
    new.close().unwrap();
    drop(before);
    old.close().unwrap();
    assert_eq!(intact(dir.path()).records, 2);
}
