//! A newest segment that was compressed already.

use super::*;

/// The newest segment as it is once it was compressed.
fn compress(case: &Case, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
    let plain = fs::read(&case.segment).unwrap();
    let mut frame = zstd::encode_all(&plain[..], 3).unwrap();
    change(&mut frame);
    let path = case.segment.with_extension("jsonl.zst");
    fs::write(&path, frame).unwrap();
    fs::remove_file(&case.segment).unwrap();
    path
}

// R198
#[test]
fn behind_a_compressed_newest_segment_a_new_one_begins() {
    for signed in [12, 6, 0] {
        let case = Case::signed(signed);
        let compressed = compress(&case, |_| {});
        let before = fs::read(&compressed).unwrap();
        let found = case.start().unwrap();
        assert_eq!((found.records, found.torn, found.damaged), (12, None, None));
        assert_eq!(fs::read(&compressed).unwrap(), before);
        assert!(tree_path(case.path(), 0).exists());
        let new = SegmentName::new(case.path(), 12).path;
        let text = fs::read_to_string(new).unwrap();
        assert!(text.starts_with(r#"{"boot":"00000002","#), "{text}");
        let again = case.start_third();
        assert_eq!((again.records, again.unclosed), (14, false));
        let report = verify(case.path()).unwrap();
        assert_eq!(report.verdict, Verdict::Intact, "{report:?}");
    }
    // Those behind it were lost, and that is accepted.
    let case = Case::signed(12).changed(|lines| lines.truncate(7));
    let compressed = compress(&case, |_| {});
    let before = fs::read(&compressed).unwrap();
    let told = case.refuses("LEDGER_ROLLBACK");
    assert!(told.contains("has 7 records"), "{told}");
    let settings = Settings::new(case.path()).signed_by(key());
    let repair = recover(&settings, "0", Some("restored")).unwrap();
    assert_eq!((repair.rolled_back, repair.records), (Some(12), 10));
    assert_eq!(fs::read(&compressed).unwrap(), before);
    assert_eq!(case.start().unwrap().records, 10);
    assert_eq!(verify(case.path()).unwrap().verdict, Verdict::Intact);
}

// R198
#[test]
fn damage_in_a_compressed_newest_segment_changes_nothing() {
    let torn = Case::signed(12);
    compress(&torn, |frame| frame.truncate(frame.len() - 9));
    torn.refuses("LEDGER_DAMAGED");
    // No head covers the bad line, but no crash tears a compressed file.
    let line = Case::signed(6).changed(|lines| flip(&mut lines[8]));
    compress(&line, |_| {});
    line.refuses("LEDGER_DAMAGED");
    // The signed root vouches for the bad line's leaf.
    let promised = Case::signed(12).changed(|lines| flip(&mut lines[4]));
    compress(&promised, |_| {});
    let found = promised.start().unwrap();
    assert_eq!((found.records, found.damaged.unwrap().seq), (12, 4));
}
