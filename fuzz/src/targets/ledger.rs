//! Lines, notes and segments of a ledger: what is accepted is canonical, and a changed segment is
//! never intact.
//!
//! The first byte says how the rest is read. Verifying takes a file, so one input of sixteen that
//! ask for it gets one.

use std::cell::RefCell;
use std::path::PathBuf;

use serde_json::Value;
use tidegate::ledger::{
    Checkpoint, KnownHead, Members, Record, SignedNote, TrustedKey, Verdict, VerifierKey,
    VerifyOptions, as_counts, as_pairs, as_text, as_uint, entry_hash, hex64, verify_with,
};

use super::changes::changed;

/// The last segment of the golden ledger.
const SEGMENT: &str = "seg-0000000000000331.jsonl";
static GOOD: &[u8] = include_bytes!("../../../tests/golden/v1/seg-0000000000000331.jsonl");

/// The laws of one input.
pub fn run(bytes: &[u8]) {
    let Some((way, rest)) = bytes.split_first() else {
        return;
    };
    match way % 8 {
        0 => line(rest),
        1 | 2 => line(&hashed(rest)),
        3 => note(rest),
        4 => values(rest),
        5 => lines_of_a_segment(rest),
        _ if way / 8 % 16 == 0 => segment(rest),
        _ => line_of_the_good(rest),
    }
}

/// A line that is accepted is what canonical JSON of it gives.
fn line(line: &[u8]) {
    let mut buffer = Vec::new();
    let Ok(record) = Record::check(line, &mut buffer) else {
        return;
    };
    assert_eq!(record.line_len(), line.len());
    let value: Value = serde_json::from_slice(record.entry()).expect("an entry is JSON");
    let again = serde_json_canonicalizer::to_vec(&value).expect("it has a canonical form");
    assert_eq!(again, record.entry(), "accepted, and not canonical");
    let members = value.as_object().map_or(0, serde_json::Map::len);
    assert_eq!(record.members().count(), members);
    assert_eq!(record.uint("seq"), Some(record.seq));
}

/// An entry with the hash that it should have: so that what is behind the hash is met.
fn hashed(entry: &[u8]) -> Vec<u8> {
    let digits = hex64(&entry_hash(entry));
    let mut line = entry.to_vec();
    line.pop();
    line.extend_from_slice(b",\"hash\":\"");
    line.extend_from_slice(&digits);
    line.extend_from_slice(b"\"}");
    line
}

/// One line of a good segment, changed: it is that line, or it is refused, or it is a stub, which
/// vouches for nothing but the hash that it keeps.
fn line_of_the_good(edits: &[u8]) {
    let Some((which, edits)) = edits.split_first() else {
        return;
    };
    let lines: Vec<&[u8]> = GOOD.trim_ascii_end().split(|byte| *byte == b'\n').collect();
    let good = lines[usize::from(*which) % lines.len()];
    let other = changed(good, edits);
    let mut buffer = Vec::new();
    if let Ok(record) = Record::check(&other, &mut buffer) {
        assert!(
            other == good || record.kind == "stub",
            "a changed line is accepted"
        );
    }
}

/// Notes and keys are read and written in one spelling.
fn note(bytes: &[u8]) {
    if let Ok(note) = SignedNote::parse(bytes) {
        assert_eq!(note.to_text().as_bytes(), bytes);
        if let Ok(checkpoint) = Checkpoint::from_text(&note.text) {
            assert!(note.text.starts_with(&checkpoint.text()));
        }
    }
    let _ = KnownHead::parse(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok(key) = VerifierKey::parse(text) {
            assert_eq!(key.to_text(), text);
        }
        let _ = TrustedKey::parse(text);
    }
}

/// A member's value: accepted as canonical it is canonical JSON, and lists read as JSON reads them.
fn values(bytes: &[u8]) {
    let entry = [b"{\"a\":", bytes, b"}"].concat();
    let mut members = Members::new(&entry);
    let alone = matches!(members.next(), Some(Ok((_, raw))) if raw == bytes);
    if !alone || members.next().is_some() {
        // What is no value, or brings another member along, is asked for nothing but an answer.
        let _ = (
            as_pairs(bytes),
            as_counts(bytes),
            as_uint(bytes),
            as_text(bytes),
        );
        return;
    }
    let whole: Value = serde_json::from_slice(&entry).expect("an entry is JSON");
    let again = serde_json_canonicalizer::to_vec(&whole).expect("it has a canonical form");
    assert_eq!(again, entry, "accepted, and not canonical");
    let json = whole.get("a");
    assert_eq!(as_uint(bytes), json.and_then(Value::as_u64));
    if let Some(pairs) = as_pairs(bytes) {
        let read = json.and_then(Value::as_array).map(Vec::len);
        assert_eq!(read, Some(pairs.len()));
    }
    if let Some(counts) = as_counts(bytes) {
        let read = json.and_then(Value::as_object).map(serde_json::Map::len);
        assert_eq!(read, Some(counts.len()));
    }
}

/// Many lines: the hash chain by hand, as a third party would.
fn lines_of_a_segment(edits: &[u8]) {
    let other = changed(GOOD, edits);
    let mut buffer = Vec::new();
    let mut prev: Option<[u8; 64]> = None;
    for line in other.split(|byte| *byte == b'\n') {
        let Ok(record) = Record::check(line, &mut buffer) else {
            return;
        };
        let chained = prev.is_none_or(|prev| prev == record.prev.as_bytes());
        if !chained {
            return;
        }
        prev = Some(record.hash);
    }
    // All lines hold, in one chain: they are a part of the good ones, cut at its front or its end.
    let is_part = GOOD.windows(other.len()).any(|part| part == other);
    assert!(is_part, "a changed chain holds");
}

thread_local! {
    /// A folder with the good segment; its file is written again for each input.
    static FOLDER: RefCell<Option<tempfile::TempDir>> = const { RefCell::new(None) };
}

/// The verifier on a file: a changed segment is damaged or torn, never intact.
fn segment(edits: &[u8]) {
    let other = changed(GOOD, edits);
    let Some(file) = file() else { return };
    if std::fs::write(&file, &other).is_err() {
        return;
    }
    let options = VerifyOptions {
        threads: 1,
        ..VerifyOptions::default()
    };
    let Ok(report) = verify_with(&file, &options) else {
        return;
    };
    if report.verdict == Verdict::Intact {
        // A log that ends earlier is a log; only what is signed elsewhere tells that it was cut.
        assert!(GOOD.starts_with(&other), "a changed segment is intact");
    }
}

/// In memory where the system has such a folder: the disk is not what is asked about.
fn file() -> Option<PathBuf> {
    FOLDER.with_borrow_mut(|folder| {
        if folder.is_none() {
            let memory = tempfile::tempdir_in("/dev/shm");
            *folder = memory.or_else(|_| tempfile::tempdir()).ok();
        }
        folder.as_ref().map(|folder| folder.path().join(SEGMENT))
    })
}
