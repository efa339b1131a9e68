//! A part of a ledger, a compressed one, and its tree: each is checked as far as it goes.

use std::fs;
use std::path::{Path, PathBuf};

use tidegate::ledger::{Frontier, Verdict, VerifyOptions};

use super::attacks::files::{FIRST, second};
use super::attacks::{options_with_head, ordinary};
use super::site::{Site, put_all};
use super::{check, check_with, damage, said};

fn lone(dir: &Path, site: &Site) -> (PathBuf, tempfile::TempDir) {
    let alone = tempfile::tempdir().unwrap();
    let file = alone.path().join(second(site));
    fs::copy(dir.join(second(site)), &file).unwrap();
    (file, alone)
}

#[test]
fn a_part_is_checked_as_far_as_it_goes_and_says_how_far() {
    let site = ordinary();
    let dir = site.write();
    let part = |from, to| {
        let options = VerifyOptions {
            from,
            to,
            ..VerifyOptions::default()
        };
        check_with(dir.path(), &options)
    };
    let whole = check(dir.path());
    let last = whole.last_seq.unwrap();
    for from in 0..=last {
        let report = part(Some(from), None);
        assert_eq!(report.verdict, Verdict::Intact, "from {from}: {report:?}");
        assert_eq!(
            (report.first_seq, report.last_seq),
            (Some(from), Some(last))
        );
        assert!(said(&report, "outside the range of --from"));
        let report = part(None, Some(from));
        assert_eq!(report.verdict, Verdict::Intact, "to {from}: {report:?}");
        assert_eq!((report.first_seq, report.last_seq), (Some(0), Some(from)));
    }
    let (file, _alone) = lone(dir.path(), &site);
    let report = check_with(&file, &options_with_head(&site.notes[2]));
    assert_eq!(report.verdict, Verdict::Intact, "{report:?}");
    assert!(
        said(&report, "roots of signed heads") && said(&report, "files beside"),
        "{report:?}"
    );
    // With the tree files beside it, the root as well.
    let report = check_with(
        &dir.path().join(second(&site)),
        &options_with_head(&site.notes[2]),
    );
    assert_eq!(report.verdict, Verdict::Intact, "{report:?}");
    assert!(!said(&report, "roots of signed heads"), "{report:?}");
    let mut fork = ordinary();
    fork.rollup(2);
    let forked = fork.checkpoint();
    let mut here = ordinary();
    here.decisions(2);
    let there = here.write();
    let report = check_with(
        &there.path().join(second(&here)),
        &options_with_head(&forked),
    );
    assert!(damage(&report).is_some(), "{report:?}");
}

#[test]
fn a_compressed_segment_counts_as_its_text_and_a_bad_frame_is_damage() {
    let site = ordinary();
    let compressed = |change: fn(&mut Vec<u8>)| {
        let mut files = site.files();
        let plain = files.remove(FIRST).unwrap();
        let mut frame = zstd::encode_all(&plain[..], 3).unwrap();
        change(&mut frame);
        files.insert(format!("{FIRST}.zst"), frame);
        let dir = tempfile::tempdir().unwrap();
        put_all(dir.path(), &files);
        check(dir.path())
    };
    let report = compressed(|_| {});
    assert_eq!(report, check(site.write().path()));
    for change in [
        |frame: &mut Vec<u8>| frame.truncate(frame.len() - 1),
        |frame: &mut Vec<u8>| frame[60] ^= 1,
        |frame: &mut Vec<u8>| frame[0] ^= 1,
        |frame: &mut Vec<u8>| frame.extend(b"more"),
        |frame: &mut Vec<u8>| frame.clear(),
    ] {
        let report = compressed(change);
        assert!(matches!(report.verdict, Verdict::Damaged(_)), "{report:?}");
    }
}

// The verifier's roots are those of another tree: the writer's.
#[test]
fn the_roots_are_those_of_the_writers_tree() {
    let mut site = Site::new(1, 1);
    let mut tree = Frontier::new();
    for round in 0..40 {
        site.decisions(round * 7 % 13);
        site.checkpoint();
        if round % 9 == 8 {
            site.rotate();
            site.decisions(1);
        }
    }
    tree.push([0; 32]);
    let report = check(site.write().path());
    assert_eq!(report.verdict, Verdict::Intact, "{report:?}");
    assert_eq!((report.checkpoints, report.heads), (40, 40));
    // Without heads.log the sizes are known only from the records.
    let dir = site.write();
    fs::remove_file(dir.path().join("heads.log")).unwrap();
    let report = check(dir.path());
    assert_eq!(report.verdict, Verdict::Intact, "{report:?}");
    assert!(said(&report, "heads.log is not there"), "{report:?}");
}
