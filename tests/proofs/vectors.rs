//! The vectors in `testdata/canonical`: lines that must stay what they are byte for byte, and entries
//! that must stay refused. Whoever writes a verifier can use them.

use std::fs;
use std::path::Path;

use tidegate::ledger::{Members, Record};

use crate::made::Made;
use crate::tools::{any_kind, own_kinds};

fn vectors(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/canonical");
    fs::read_to_string(path.join(name)).unwrap_or_default()
}

// R081
#[test]
fn a_line_of_every_kind_is_written_as_ever() {
    let made = Made::with(own_kinds().len() as u64, &[0], any_kind);
    let mut written = String::from_utf8(made.lines.concat()).unwrap();
    written += &stub_of(&made, 3);
    assert_eq!(written, vectors("lines.jsonl"));
    for (entry, line) in made.entries.iter().zip(&made.lines) {
        let text = std::str::from_utf8(entry).unwrap();
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        let other = serde_json_canonicalizer::to_string(&value).unwrap();
        assert_eq!(text, other, "another implementation of RFC 8785");
        let mut scratch = Vec::new();
        let record = Record::check(line.trim_ascii_end(), &mut scratch).unwrap();
        assert_eq!(record.entry(), entry);
    }
}

/// What is left of a record: its place in the chain and its hash, which is not that of the stub.
fn stub_of(made: &Made, seq: usize) -> String {
    let (prev, hash) = (&made.leaves[seq - 1], &made.leaves[seq]);
    let (prev, hash) = (hex::encode(prev), hex::encode(hash));
    format!(r#"{{"kind":"stub","prev":"{prev}","seq":{seq},"v":1,"hash":"{hash}"}}"#) + "\n"
}

// R081
#[test]
fn a_stub_stands_for_the_record_whose_hash_it_keeps() {
    let made = Made::with(own_kinds().len() as u64, &[0], any_kind);
    let stub = stub_of(&made, 3);
    let (mut scratch, mut other) = (Vec::new(), Vec::new());
    let record = Record::check(stub.trim_end().as_bytes(), &mut scratch).unwrap();
    let whole = Record::check(made.lines[3].trim_ascii_end(), &mut other).unwrap();
    assert_eq!((record.kind, record.seq), ("stub", 3));
    assert_eq!((record.prev, record.hash), (whole.prev, whole.hash));
    // Nothing of the record is left beside the frame, and no other kind keeps a foreign hash.
    let more = stub.replace(r#""prev""#, r#""n":3,"prev""#);
    assert!(Record::check(more.trim_end().as_bytes(), &mut scratch).is_err());
    let decision = stub.replace("stub", "decision");
    assert!(Record::check(decision.trim_end().as_bytes(), &mut scratch).is_err());
}

// R081
#[test]
fn what_is_not_canonical_stays_refused() {
    let refused = vectors("refused.txt");
    let entries = refused.lines().filter(|line| !line.starts_with('#'));
    let mut count = 0;
    for entry in entries {
        let fault = Members::new(entry.as_bytes()).find_map(Result::err);
        assert!(fault.is_some(), "{entry}");
        count += 1;
    }
    assert_eq!(count, 23);
}
