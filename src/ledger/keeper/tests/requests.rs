//! Prunes and redactions on request, with no gateway running.

use super::room::given_up_on_the_way;
use super::*;

fn offline(dir: &Path) -> Offline {
    Offline::open(dir, None, "0").unwrap()
}

#[test]
fn redaction_takes_the_content_and_keeps_the_hashes() {
    for packed in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        ledger_of_three(dir.path());
        if packed {
            let ledger = opened(dir.path(), 9, &Disk::default());
            work(&mut keep(&ledger, &forever().compressing(true)), BEGAN_US);
        }
        let before = chain(dir.path());
        let ranges = [(15, 15), (10, 12), (9, 10)];
        let opened_now = offline(dir.path());
        let done = opened_now.redact(&ranges, "dpo", "art. 17").unwrap();
        assert_eq!(done.len(), 2);
        let again = opened_now.redact(&ranges, "dpo", "art. 17").unwrap();
        assert_eq!(again, [], "what is a stub stays one");
        opened_now.close().unwrap();
        assert_eq!(chain(dir.path())[..before.len()], before);
        let stubs = with(dir.path(), r#""kind":"stub""#);
        assert_eq!(stubs.len(), 5);
        assert!(stubs.iter().all(|stub| !stub.contains("client")));
        let records = with(dir.path(), r#""kind":"redact""#);
        let part = r#"{"actor":"dpo","boot":"00000000","kind":"redact","#;
        assert!(
            records.len() == 2 && records[0].starts_with(part),
            "{records:?}"
        );
        let part =
            r#""ranges":[[11,12],[15,15]],"reason":"art. 17","segment":"seg-0000000000000011","#;
        assert!(records[1].contains(part), "{records:?}");
        // A gateway that starts afterwards finds all of it explained.
        let ledger = opened(dir.path(), 10, &Disk::default());
        work(&mut keep(&ledger, &forever()), BEGAN_US);
        assert_eq!(state(&ledger).1, None);
        assert_eq!(ledger.snapshot().kept.verified, 3);
        // Retention goes on where redaction was before.
        work(
            &mut keep(&ledger, &KeeperSettings::new(BOOT, 1, 1_000)),
            BEGAN_US + 100 * DAY_US,
        );
        assert_eq!(state(&ledger).1, None);
        assert_eq!(
            with(dir.path(), r#""decision":"ALLOW""#).len(),
            8,
            "those of the newest"
        );
    }
}

#[test]
fn what_cannot_be_redacted_is_refused_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    ledger_of_three(dir.path());
    let before = lines(dir.path());
    let crowd: Vec<(u64, u64)> = vec![(12, 13); 25];
    for (ranges, code) in [
        (
            vec![(0, 3)],
            "LEDGER_FRAME_RECORD: record 0 is of kind open",
        ),
        (vec![(3, 2)], "LEDGER_RANGE"),
        (vec![(30, 31)], "LEDGER_NOT_CLOSED"),
    ] {
        let error = check_redactable(dir.path(), &ranges)
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(code), "{error}");
    }
    check_redactable(dir.path(), &[(1, 30)]).unwrap();
    check_redactable(dir.path(), &crowd).unwrap();
    assert_eq!(lines(dir.path()), before);
    assert!(!dir.path().join("LOCK").exists());
    fs::write(dir.path().join("log.vkey"), "x").unwrap();
    for key in [None, Some(LedgerKey::from_seed([2; 32]))] {
        let error = Offline::open(dir.path(), key, "0").unwrap_err().to_string();
        assert!(error.starts_with("LEDGER_KEY"), "{error}");
    }
    assert_eq!(lines(dir.path()), before);
}

#[test]
fn a_prune_on_request_does_what_was_planned() {
    let dir = tempfile::tempdir().unwrap();
    ledger_of_three(dir.path());
    let before_us = BEGAN_US + DAY_US + DAY_US / 2;
    let planned = plan_prune(dir.path(), before_us, None).unwrap();
    let firsts: Vec<u64> = planned.iter().map(|planned| planned.first_seq).collect();
    assert_eq!(firsts, [0, 11]);
    assert!(plan_prune(dir.path(), BEGAN_US, None).unwrap().is_empty());
    let access = Some(Class::Access);
    let stubs = plan_prune(dir.path(), before_us, access).unwrap();
    assert_eq!(stubs[1].stubs, Some(8));
    let ledger = offline(dir.path());
    assert_eq!(ledger.prune(before_us, access, "space").unwrap(), stubs);
    assert!(ledger.prune(before_us, access, "space").unwrap().is_empty());
    assert_eq!(ledger.prune(before_us, None, "space").unwrap().len(), 2);
    ledger.close().unwrap();
    assert_eq!(chain(dir.path())[0].0, 21);
    assert_eq!(with(dir.path(), r#""reason":"space""#).len(), 4);
}

#[test]
fn what_is_redacted_goes_from_a_given_up_segment_as_well() {
    let dir = tempfile::tempdir().unwrap();
    given_up_on_the_way(dir.path());
    let closed = Segments::list(dir.path()).unwrap().closed;
    let repeated = closed.iter().find_map(|closed| {
        let text = fs::read_to_string(closed.path()).unwrap();
        let own = (closed.next_seq - closed.first_seq) as usize;
        let line = text.lines().nth(own)?.to_owned();
        Some((closed.clone(), line))
    });
    let (given_up, line) = repeated.expect("lines that the next segment has again");
    let copies = || {
        let paths = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path());
        let texts = paths.filter_map(|path| fs::read_to_string(path).ok());
        texts.filter(|text| text.contains(&line)).count()
    };
    assert_eq!(copies(), 2, "{line}");
    let before = verify(dir.path()).unwrap().records;
    let seq = given_up.next_seq;
    let ledger = offline(dir.path());
    ledger.redact(&[(seq, seq)], "dpo", "art. 17").unwrap();
    ledger.close().unwrap();
    assert_eq!(copies(), 0);
    let report = verify(dir.path()).unwrap();
    assert!(report.records > before, "{report:?}");
    assert_eq!((report.verdict, report.stubs), (Verdict::Intact, 1));
}
