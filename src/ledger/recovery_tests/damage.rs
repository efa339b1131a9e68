//! What a start and `recover` make of records that are torn, damaged or damaged beyond repair.

use super::*;

// R198, R282
#[test]
fn what_no_head_covers_is_a_torn_tail() {
    // Complete lines behind the bad one: without heads this would be damage.
    let case = Case::signed(6).changed(|lines| flip(&mut lines[7]));
    let found = case.start().unwrap();
    let torn = found.torn.unwrap();
    assert_eq!(found.records, 7);
    let kept = fs::read(case.path().join(&torn.file)).unwrap();
    let mut expected = case.lines[7..].concat();
    expected[20] ^= 1;
    assert_eq!(kept, expected);
    assert_eq!(verify(case.path()).unwrap().verdict, Verdict::Intact);
    Case::signed(0)
        .changed(|lines| flip(&mut lines[7]))
        .refuses("LEDGER_DAMAGED");
}

// R198
#[test]
fn damage_to_promised_records_stays_and_a_new_segment_begins() {
    for at in [1, 4, 5] {
        let case = Case::signed(12).changed(|lines| flip(&mut lines[at]));
        let before = fs::read(&case.segment).unwrap();
        let refused = recover(&Settings::new(case.path()), "0", Some("why")).unwrap_err();
        let text = refused.to_string();
        assert!(
            text.starts_with("REPAIR_ERROR: seg-0000000000000000.jsonl"),
            "{text}"
        );
        assert!(text.contains(&format!("record {at}:")), "{text}");
        let found = case.start().unwrap();
        let damaged = found.damaged.unwrap();
        assert_eq!(
            (damaged.seq, found.records, found.torn),
            (at as u64, 12, None)
        );
        assert_eq!(damaged.offset, case.lines[..at].concat().len() as u64);
        assert_eq!(fs::read(&case.segment).unwrap(), before);
        let new = SegmentName::new(case.path(), 12);
        let text = fs::read_to_string(&new.path).unwrap();
        assert!(text.contains(&format!(r#""damaged_seq":{at}"#)), "{text}");
        assert!(
            text.contains(r#""damaged_segment":"seg-0000000000000000.jsonl""#),
            "{text}"
        );
        // The chain and the tree go on: a later start finds the same leaves in the tree file.
        assert!(tree_path(case.path(), 0).exists());
        assert!(matches!(
            verify(case.path()).unwrap().verdict,
            Verdict::Damaged(_)
        ));
        let again = case.start_third();
        assert_eq!((again.records, again.damaged), (14, None));
    }
}

#[test]
fn damage_that_no_root_vouches_for_is_refused() {
    // No good line after it.
    let last = Case::signed(12).changed(|lines| flip(&mut lines[11]));
    last.refuses("LEDGER_DAMAGED");
    // Two lines whose own hashes are gone as well.
    let blank = |line: &mut Vec<u8>| {
        let len = line.len();
        line[..len - 1].fill(0);
    };
    let two = Case::signed(12).changed(|lines| {
        blank(&mut lines[4]);
        blank(&mut lines[5]);
    });
    two.refuses("LEDGER_DAMAGED");
    let first = Case::signed(12).changed(|lines| flip(&mut lines[0]));
    first.refuses("LEDGER_DAMAGED");
    // One blank line is known from the line behind it.
    let one = Case::signed(12).changed(|lines| blank(&mut lines[4]));
    assert_eq!(one.start().unwrap().damaged.unwrap().seq, 4);
}

// R282
#[test]
fn recover_does_what_a_start_does_and_tells() {
    let case = Case::signed(6).changed(|lines| {
        lines[10].truncate(9);
        lines.truncate(11);
    });
    let settings = Settings::new(case.path());
    let repair = recover(&settings, "1.2", None).unwrap();
    assert_eq!((repair.found.records, repair.records), (10, 12));
    assert_eq!(repair.found.torn.map(|torn| torn.bytes), Some(9));
    assert!(repair.changed && repair.found.unclosed);
    let text = fs::read_to_string(&case.segment).unwrap();
    assert!(text.contains(r#""torn_bytes":9"#), "{text}");
    assert!(text.contains(r#""version":"1.2""#), "{text}");
    assert_eq!(verify(case.path()).unwrap().verdict, Verdict::Intact);
    let again = recover(&settings, "1.2", None).unwrap();
    assert!(!again.changed && again.records == 12);
    let nothing = tempfile::tempdir().unwrap();
    let refused = recover(&Settings::new(nothing.path()), "0", None).unwrap_err();
    assert!(
        refused.to_string().contains("at least one segment"),
        "{refused}"
    );
    let nowhere = recover(&Settings::new("/nowhere"), "0", None).unwrap_err();
    assert!(
        nowhere.to_string().contains("no such directory"),
        "{nowhere}"
    );
}
