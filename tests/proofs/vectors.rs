//! The vectors in `testdata/canonical`: lines that must stay what they are byte for byte, and entries
//! that must stay refused. Whoever writes a verifier can use them.

use std::fs;
use std::path::Path;

use tidegate::ledger::{KINDS, Members, Record};

use crate::made::Made;
use crate::tools::any_kind;

fn vectors(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/canonical");
    fs::read_to_string(path.join(name)).unwrap_or_default()
}

// R081
#[test]
fn a_line_of_every_kind_is_written_as_ever() {
    let made = Made::with(KINDS.len() as u64, &[0], any_kind);
    let written = String::from_utf8(made.lines.concat()).unwrap();
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
