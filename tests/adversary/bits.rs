//! Every bit of a small ledger, and every place where it may be cut.
//!
//! What is promised: a change of one bit in a segment's text, a tree file, `origin`, `log.vkey`,
//! `heads.log`, `checkpoint` or a rulebook is damage. Outside of it: `LOCK` and `made`, which are about
//! a running process. A cut is promised to be seen unless it leaves whole lines of which none was
//! signed.

use std::fs;

use tidegate::ledger::Verdict;

use super::site::Site;
use super::{check, damage};

/// All eight bits of each byte instead of one of them.
const ALL_BITS: &str = "TIDEGATE_TEST_ALL_BITS";

fn small() -> Site {
    let mut site = Site::new(3, 1);
    site.decisions(2);
    site.checkpoint();
    site.rotate();
    site.rollup(2);
    site.checkpoint();
    site.close();
    site
}

// R080, R084
#[test]
fn every_flipped_bit_is_found() {
    let site = small();
    let dir = site.write();
    assert_eq!(check(dir.path()).verdict, Verdict::Intact);
    let all = std::env::var_os(ALL_BITS).is_some();
    let (mut flipped, mut found) = (0, 0);
    for (name, bytes) in site.files() {
        let path = dir.path().join(&name);
        for at in 0..bytes.len() {
            let bits = if all { 0..8 } else { at % 8..at % 8 + 1 };
            for bit in bits {
                let mut bad = bytes.clone();
                bad[at] ^= 1 << bit;
                fs::write(&path, &bad).unwrap();
                let report = check(dir.path());
                flipped += 1;
                found += u64::from(damage(&report).is_some());
                assert!(
                    damage(&report).is_some(),
                    "{name} byte {at} bit {bit}: {report:?}"
                );
            }
        }
        fs::write(&path, &bytes).unwrap();
    }
    println!("detected {found} / expected {flipped}");
    assert_eq!(check(dir.path()).verdict, Verdict::Intact);
}

// R085
#[test]
fn a_cut_at_every_byte_has_the_right_verdict() {
    let mut site = small();
    site.open(true);
    site.decisions(3);
    let dir = site.write();
    let name = format!("seg-{:016}.jsonl", site.segments[1].0);
    let path = dir.path().join(&name);
    let bytes = site.files()[&name].clone();
    let lines: Vec<usize> = (0..bytes.len())
        .filter(|at| bytes[*at] == b'\n')
        .map(|at| at + 1)
        .collect();
    let signed = 6 - site.segments[1].0 as usize;
    let (mut cuts, mut right) = (0, 0);
    for cut in 0..bytes.len() {
        fs::write(&path, &bytes[..cut]).unwrap();
        let verdict = check(dir.path()).verdict;
        let whole = lines.iter().filter(|end| **end <= cut).count();
        let at_line = cut > 0 && lines.contains(&cut);
        let fits = match &verdict {
            // Fewer records than were signed, or nothing of a segment that was born with a line.
            Verdict::Damaged(_) => whole < signed,
            Verdict::TornTail(_) => whole >= signed && !at_line,
            Verdict::Intact => whole >= signed && at_line,
            Verdict::NothingChecked => false,
        };
        cuts += 1;
        right += u64::from(fits);
        assert!(
            fits,
            "cut at {cut}, {whole} lines, {signed} signed: {verdict:?}"
        );
    }
    println!("right verdicts {right} / expected {cuts}");
    // The notes, cut anywhere: never intact unless at the end of a note.
    fs::write(&path, &bytes).unwrap();
    let notes = site.files()["heads.log"].clone();
    let path = dir.path().join("heads.log");
    for cut in 1..notes.len() {
        fs::write(&path, &notes[..cut]).unwrap();
        let whole = cut == site.notes[0].len() + 1;
        assert_eq!(
            check(dir.path()).verdict == Verdict::Intact,
            whole,
            "cut at {cut}"
        );
    }
}
