//! What a kill under load leaves is a ledger that goes on.

use std::process::{Command, Stdio};

use super::*;

#[test]
fn what_a_kill_under_load_leaves_is_continued() {
    let dir = tempfile::tempdir().unwrap();
    let (mut producer, consumer) = ring(source(1, 0), 64);
    let settings = Settings::new(dir.path());
    let ledger = Ledger::start(&settings, &facts(1), RULEBOOK, vec![consumer], encode).unwrap();
    let segment = "seg-0000000000000000.jsonl";
    for _ in 0..30 {
        push(&mut producer, 500);
        // What other processes see of the file now is what would be left of a killed one.
        let left = tempfile::tempdir().unwrap();
        copy_around(dir.path(), left.path());
        fs::copy(dir.path().join(segment), left.path().join(segment)).unwrap();
        let verdict = check(left.path()).verdict;
        assert!(!matches!(verdict, Verdict::Damaged(_)), "{verdict:?}");
        let next = start(left.path()).unwrap();
        assert!(next.recovered().unclosed);
        next.close().unwrap();
        let text = fs::read_to_string(left.path().join(segment)).unwrap();
        assert!(text.contains(r#""previous_boot":"00000001","previous_closed":false"#));
        assert_eq!(check(left.path()).verdict, Verdict::Intact);
    }
    drop(producer);
    ledger.close().unwrap();
    assert_eq!(check(dir.path()).verdict, Verdict::Intact);
}

/// The variable that makes a second copy of this program write until it is killed.
const WRITE_FOR_EVER: &str = "TIDEGATE_TEST_WRITE_FOR_EVER";

// R282
#[test]
fn a_killed_writer_leaves_a_ledger_that_goes_on() {
    if let Some(dir) = std::env::var_os(WRITE_FOR_EVER) {
        let (mut producer, consumer) = ring(source(1, 0), 1 << 12);
        let settings = Settings::new(dir);
        let _ledger =
            Ledger::start(&settings, &facts(1), RULEBOOK, vec![consumer], encode).unwrap();
        // It ends by itself should the parent be gone.
        let began = std::time::Instant::now();
        while began.elapsed() < PATIENCE {
            push(&mut producer, 1);
        }
        return;
    }
    for round in 1..=5_u64 {
        let dir = tempfile::tempdir().unwrap();
        let segment = dir.path().join("seg-0000000000000000.jsonl");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "killed::a_killed_writer_leaves_a_ledger_that_goes_on",
            ])
            .env(WRITE_FOR_EVER, dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        while fs::metadata(&segment).map_or(0, |file| file.len()) < round * 300_000 {
            assert!(
                child.try_wait().unwrap().is_none(),
                "the writer ended by itself"
            );
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let before = check(dir.path());
        assert!(!matches!(before.verdict, Verdict::Damaged(_)), "{before:?}");
        let torn = matches!(before.verdict, Verdict::TornTail(_));
        let next = start(dir.path()).unwrap();
        assert_eq!(next.recovered().torn.is_some(), torn);
        assert_eq!(next.recovered().records, before.records);
        assert!(next.recovered().unclosed);
        next.close().unwrap();
        assert_eq!(check(dir.path()).verdict, Verdict::Intact);
    }
}
