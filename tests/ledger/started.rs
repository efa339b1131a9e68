//! What a start continues, and what it refuses without a change.

use super::*;

// R198, R282
#[test]
fn a_tail_torn_at_any_byte_is_kept_reported_and_continued() {
    let origin = tempfile::tempdir().unwrap();
    let (_, bytes) = small(origin.path());
    let whole = lines(&bytes);
    let genesis = whole[0].len();
    let last_two: usize = whole[..whole.len() - 2].iter().map(Vec::len).sum();
    for cut in last_two..bytes.len() {
        let dir = tempfile::tempdir().unwrap();
        let segment = dir.path().join("seg-0000000000000000.jsonl");
        copy_around(origin.path(), dir.path());
        fs::write(&segment, &bytes[..cut]).unwrap();
        let good = bytes[..cut].iter().rposition(|b| *b == b'\n').unwrap() + 1;
        assert!(good > genesis);
        let torn = cut > good;
        let verdict = check(dir.path()).verdict;
        assert_eq!(
            matches!(verdict, Verdict::TornTail(_)),
            torn,
            "cut at {cut}: {verdict:?}"
        );
        let ledger = write(dir.path(), 2, 1);
        assert!(ledger.recovered().unclosed);
        let tail = ledger.recovered().torn.clone();
        assert_eq!(tail.as_ref().map_or(0, |t| t.bytes), (cut - good) as u64);
        if let Some(tail) = tail {
            assert_eq!(
                fs::read(dir.path().join(&tail.file)).unwrap(),
                &bytes[good..cut]
            );
            let after = fs::read_to_string(&segment).unwrap();
            assert!(after.contains(&format!("\"torn_sha256\":\"{}\"", tail.sha256)));
        }
        ledger.close().unwrap();
        assert_eq!(check(dir.path()).verdict, Verdict::Intact, "cut at {cut}");
    }
}

#[test]
fn damage_before_the_tail_refuses_the_start_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (segment, bytes) = small(dir.path());
    for (seq, at) in [(0, 10), (2, lines(&bytes)[..2].concat().len() + 10)] {
        let mut bad = bytes.clone();
        bad[at] ^= 1;
        fs::write(&segment, &bad).unwrap();
        let refused = start(dir.path()).unwrap_err();
        assert_eq!(refused.code(), "LEDGER_DAMAGED", "{refused}");
        assert!(
            refused.to_string().contains(&format!("record {seq}")),
            "{refused}"
        );
        assert_eq!(fs::read(&segment).unwrap(), bad);
        assert!(!dir.path().join("quarantine").exists());
    }
}

// R087
#[test]
fn a_second_writer_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = write(dir.path(), 1, 1);
    let refused = start(dir.path()).unwrap_err();
    assert_eq!(refused.code(), "LEDGER_LOCKED");
    assert!(
        refused
            .to_string()
            .contains(&std::process::id().to_string())
    );
    ledger.close().unwrap();
    start(dir.path()).unwrap().close().unwrap();
    assert_eq!(check(dir.path()).verdict, Verdict::Intact);
}

#[test]
fn what_is_not_a_ledger_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let segment = dir.path().join("seg-0000000000000000.jsonl");
    fs::write(&segment, "").unwrap();
    let refused = start(dir.path()).unwrap_err();
    assert_eq!(refused.code(), "LEDGER_NOT_A_LEDGER", "{refused}");
    assert!(
        refused.to_string().contains("empty file is not a ledger"),
        "{refused}"
    );
    assert_eq!(fs::read(&segment).unwrap(), b"");
    assert!(matches!(check(dir.path()).verdict, Verdict::Damaged(_)));

    fs::write(&segment, "not a ledger\n").unwrap();
    assert_eq!(start(dir.path()).unwrap_err().code(), "LEDGER_DAMAGED");

    fs::remove_file(&segment).unwrap();
    fs::write(dir.path().join("origin"), "a/0123456789abcdef\n").unwrap();
    let refused = start(dir.path()).unwrap_err();
    assert!(
        refused.to_string().contains("none of its segments"),
        "{refused}"
    );
    fs::write(dir.path().join("origin"), "").unwrap();

    let other = tempfile::tempdir().unwrap();
    let (_, bytes) = small(other.path());
    fs::write(&segment, bytes).unwrap();
    let refused = start(dir.path()).unwrap_err();
    assert!(refused.to_string().contains("origin ends in"), "{refused}");
}

#[test]
fn every_byte_of_the_origin_is_checked() {
    let dir = tempfile::tempdir().unwrap();
    small(dir.path());
    let file = dir.path().join("origin");
    let origin = fs::read(&file).unwrap();
    for place in 0..origin.len() {
        let mut changed = origin.clone();
        changed[place] ^= 1;
        fs::write(&file, changed).unwrap();
        let report = verify(dir.path()).unwrap();
        assert!(
            matches!(report.verdict, Verdict::Damaged(_)),
            "byte {place}"
        );
    }
    fs::write(&file, origin).unwrap();
    assert_eq!(verify(dir.path()).unwrap().verdict, Verdict::Intact);
}

#[test]
fn a_directory_that_cannot_be_written_is_a_clear_error() {
    // No user, not even root, creates files there.
    let refused = start(Path::new("/sys/tidegate-test")).unwrap_err();
    assert_eq!(refused.code(), "LEDGER_NOT_WRITABLE", "{refused}");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let refused = start(&file).unwrap_err();
    assert_eq!(refused.code(), "LEDGER_NOT_A_LEDGER", "{refused}");
    let refused = start(Path::new("/proc/tidegate-test")).unwrap_err();
    assert!(refused.to_string().contains("ledger.dir"), "{refused}");
}
