//! What was made is recorded, or told as lost.

use super::*;

#[test]
fn two_workers_and_two_boots_balance() {
    let dir = tempfile::tempdir().unwrap();
    for boot in [1, 2] {
        let (mut one, first) = ring(source(boot, 0), 64);
        let (mut two, second) = ring(source(boot, 1), 64);
        let settings = Settings::new(dir.path());
        let ledger = Ledger::start(
            &settings,
            &facts(boot),
            RULEBOOK,
            vec![first, second],
            encode,
        )
        .unwrap();
        let other = std::thread::spawn(move || push(&mut two, 20_000));
        push(&mut one, 20_000);
        other.join().unwrap();
        drop(one);
        ledger.close().unwrap();
    }
    let report = check(dir.path());
    assert_eq!(report.verdict, Verdict::Intact);
    assert_eq!(report.decisions + report.lost, 80_000);
    assert_eq!(report.unaccounted, 0);
    assert_eq!(report.records, report.last_seq.unwrap() + 1);
}

#[test]
fn a_close_while_a_worker_still_pushes_balances() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    let dir = tempfile::tempdir().unwrap();
    let (mut producer, consumer) = ring(source(1, 0), 32);
    let settings = Settings::new(dir.path());
    let ledger = Ledger::start(&settings, &facts(1), RULEBOOK, vec![consumer], encode).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&stop);
    let worker = std::thread::spawn(move || {
        while !seen.load(SeqCst) {
            push(&mut producer, 100);
        }
        producer.made()
    });
    ledger.flush(PATIENCE).unwrap();
    ledger.close().unwrap();
    stop.store(true, SeqCst);
    let made = worker.join().unwrap();
    let report = check(dir.path());
    assert_eq!(report.verdict, Verdict::Intact);
    assert!(report.decisions + report.lost + report.unaccounted <= made);
}

#[test]
fn a_full_ring_becomes_an_exact_loss_record() {
    let dir = tempfile::tempdir().unwrap();
    let (mut producer, consumer) = ring(source(1, 0), 8);
    // Pushed before the writer exists: nothing is taken out meanwhile.
    push(&mut producer, 20);
    assert!(!producer.push(Lane::Ordinary, None, 0));
    drop(producer);
    let settings = Settings::new(dir.path());
    let ledger = Ledger::start(&settings, &facts(1), RULEBOOK, vec![consumer], encode).unwrap();
    ledger.close().unwrap();
    let text = fs::read_to_string(dir.path().join("seg-0000000000000000.jsonl")).unwrap();
    let loss = text
        .lines()
        .find(|line| line.contains("\"kind\":\"loss\""))
        .unwrap();
    assert!(loss.starts_with(r#"{"boot":"00000001","count":12,"kind":"loss","others":1,"#));
    assert!(loss.contains(r#""ranges":[[8,19]]"#), "{loss}");
    assert!(loss.contains(r#""unplaced":0"#), "{loss}");
    let report = check(dir.path());
    assert_eq!(report.verdict, Verdict::Intact);
    assert_eq!((report.decisions, report.lost), (8, 13));
}

#[test]
fn a_number_that_is_made_but_never_pushed_is_unaccounted() {
    let dir = tempfile::tempdir().unwrap();
    let (mut producer, consumer) = ring(source(1, 3), 8);
    push(&mut producer, 2);
    producer.next_number();
    drop(producer);
    let settings = Settings::new(dir.path());
    let ledger = Ledger::start(&settings, &facts(1), RULEBOOK, vec![consumer], encode).unwrap();
    ledger.close().unwrap();
    let report = check(dir.path());
    assert_eq!(report.verdict, Verdict::Intact);
    assert_eq!((report.decisions, report.unaccounted), (2, 1));
}
