//! What the program shows of a ledger, also where there is none.

use std::process::Command;

use super::*;

#[test]
fn a_path_without_a_ledger_is_told_and_ends_with_1() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("nowhere");
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let both = "name the directory in ledger.dir, or one of its segments";
    let folder = "name the directory in ledger.dir\n";
    for (verb, path, told) in [
        ("verify", missing.as_path(), [both, "No such file"]),
        ("tail", &missing, [folder, "No such file"]),
        ("tail", &file, [folder, "Not a directory"]),
        ("tail", dir.path(), [folder, "has no ledger segments"]),
    ] {
        let ran = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(["ledger", verb])
            .arg(path)
            .output()
            .unwrap();
        let text = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(1), "{verb}: {text}");
        assert_eq!(ran.stdout, b"", "{verb}");
        for part in told.iter().chain([&path.to_str().unwrap()]) {
            assert!(text.contains(part), "{verb}: '{part}' is not in: {text}");
        }
    }
    assert!(!missing.exists(), "looking makes nothing");
}

#[test]
fn tail_gives_the_last_lines_and_those_that_follow() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = write(dir.path(), 1, 10);
    let mut tail = tidegate::ledger::Tail::open(dir.path(), 2).unwrap();
    let mut seqs = Vec::new();
    let take = |tail: &mut tidegate::ledger::Tail, seqs: &mut Vec<u64>| {
        while let Some(line) = tail.next_line().unwrap() {
            seqs.push(Record::check(&line, &mut Vec::new()).unwrap().seq);
        }
    };
    take(&mut tail, &mut seqs);
    assert_eq!(seqs, [9, 10]);
    ledger.close().unwrap();
    take(&mut tail, &mut seqs);
    assert_eq!(seqs, [9, 10, 11]);
}
