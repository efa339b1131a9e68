//! Every change of a line is found and named, with the program or with other people's tools.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::*;

fn sh(script: &str, stdin: &[u8]) -> String {
    let mut child = Command::new("sh")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "{script}");
    String::from_utf8(out.stdout).unwrap()
}

// R080
#[test]
fn jq_and_sha256sum_verify_any_line() {
    let jq = Command::new("jq").arg("--version").output();
    assert!(
        jq.is_ok(),
        "this test needs jq: install it (for example: apt-get install jq)"
    );
    let dir = tempfile::tempdir().unwrap();
    let (_, bytes) = small(dir.path());
    let mut head = "0".repeat(64);
    for line in lines(&bytes) {
        let own = sh(
            "(printf '\\0'; jq -cj 'del(.hash)') | sha256sum | cut -d' ' -f1",
            &line,
        );
        let carried = sh("jq -r .hash", &line);
        let prev = sh("jq -r .prev", &line);
        assert_eq!(own, carried, "{}", String::from_utf8_lossy(&line));
        assert_eq!(prev.trim(), head);
        head = own.trim().to_owned();
    }
    assert_eq!(check(dir.path()).head, head);
}

// R080, R084
#[test]
fn every_flipped_byte_is_found_and_its_record_named() {
    let dir = tempfile::tempdir().unwrap();
    let (segment, bytes) = small(dir.path());
    let mut seq = 0;
    for at in 0..bytes.len() {
        for bit in [0x01_u8, 0x80] {
            let mut bad = bytes.clone();
            bad[at] ^= bit;
            fs::write(&segment, &bad).unwrap();
            assert_eq!(damage_at(dir.path()), Some(seq), "byte {at} ^ {bit:#x}");
        }
        if bytes[at] == b'\n' {
            seq += 1;
        }
    }
    fs::write(&segment, &bytes).unwrap();
    assert_eq!(damage_at(dir.path()), None);
    let origin = fs::read(dir.path().join("origin")).unwrap();
    let id = origin.iter().position(|b| *b == b'/').unwrap();
    for at in id..origin.len() {
        let mut bad = origin.clone();
        bad[at] ^= 1;
        fs::write(dir.path().join("origin"), &bad).unwrap();
        assert_eq!(damage_at(dir.path()), Some(0), "origin byte {at}");
    }
}

#[test]
fn lines_removed_swapped_doubled_or_inserted_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let (segment, bytes) = small(dir.path());
    let whole = lines(&bytes);
    for at in 0..whole.len() {
        let mut removed = whole.clone();
        removed.remove(at);
        let mut doubled = whole.clone();
        doubled.insert(at, whole[at].clone());
        let mut swapped = whole.clone();
        swapped.swap(at, (at + 1) % whole.len());
        let last = at + 1 == whole.len();
        for (change, lines, expected) in [
            // Only a head kept elsewhere shows that the end was cut off at a line.
            ("removed", removed, (!last).then_some(at as u64)),
            ("doubled", doubled, Some(at as u64 + 1)),
            ("swapped", swapped, Some(if last { 0 } else { at as u64 })),
        ] {
            fs::write(&segment, lines.concat()).unwrap();
            assert_eq!(damage_at(dir.path()), expected, "{change} at {at}");
        }
    }
}

#[test]
fn an_edited_line_with_its_hash_recomputed_breaks_the_chain() {
    let dir = tempfile::tempdir().unwrap();
    let (segment, bytes) = small(dir.path());
    let mut whole = lines(&bytes);
    let entry = String::from_utf8(whole[2].clone()).unwrap();
    let (entry, _) = entry.rsplit_once(",\"hash\"").unwrap();
    let entry = entry.replace("\"latency\":1", "\"latency\":2") + "}";
    let hash = tidegate::ledger::hex64(&tidegate::ledger::entry_hash(entry.as_bytes()));
    let hash = std::str::from_utf8(&hash).unwrap();
    let line = format!("{},\"hash\":\"{hash}\"}}\n", &entry[..entry.len() - 1]);
    whole[2] = line.into_bytes();
    fs::write(&segment, whole.concat()).unwrap();
    assert_eq!(damage_at(dir.path()), Some(3));
}
