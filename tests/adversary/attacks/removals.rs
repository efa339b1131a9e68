//! Records and segments that are gone, and what must be written down for them to be.

use tidegate::ledger::Verdict;

use super::super::check;
use super::super::site::{Site, put_all};
use super::files::{FIRST, changed};
use super::{Attacks, PRUNE, STUBS, ordinary};

/// A ledger whose first segment lost two records by a prune.
fn pruned() -> Site {
    let mut site = ordinary();
    let bounds = site.bounds(0);
    site.prune(&bounds, Some(&[2, 3]));
    site.checkpoint();
    site.decisions(1);
    site.stub(2);
    site.stub(3);
    site
}

pub(super) fn removals_attacked(attacks: &mut Attacks) {
    assert_eq!(check(pruned().write().path()).verdict, Verdict::Intact);
    let mut none = ordinary();
    none.stub(4);
    attacks.on("a stub that no record names", STUBS, none.files());
    let mut more = pruned();
    more.stub(4);
    attacks.on("a stub more than the record names", STUBS, more.files());
    let mut other = ordinary();
    let bounds = other.bounds(0);
    other.prune(&bounds, Some(&[2, 3]));
    other.checkpoint();
    other.stub(3);
    other.stub(4);
    attacks.on("other stubs than the record names", STUBS, other.files());
    let mut unsigned = ordinary();
    let bounds = unsigned.bounds(0);
    unsigned.prune(&bounds, Some(&[2]));
    unsigned.stub(2);
    attacks.on("a prune that no signature covers", STUBS, unsigned.files());
    let mut wide = ordinary();
    let (first, next, head) = wide.bounds(0);
    wide.prune(&(first, next + 2, head), Some(&[2]));
    wide.checkpoint();
    attacks.on(
        "a prune that names more than the segment",
        PRUNE,
        wide.files(),
    );
    let mut many = ordinary();
    let bounds = many.bounds(0);
    let seqs: Vec<u64> = (0..40).collect();
    many.prune(&bounds, Some(&seqs));
    attacks.on(
        "a prune with more stubs than records",
        "a prune or redact names",
        many.files(),
    );
    let mut gone = ordinary();
    let bounds = gone.bounds(0);
    gone.prune(&bounds, None);
    gone.checkpoint();
    let without = changed(&gone, |files| drop(files.remove(FIRST)));
    let dir = tempfile::tempdir().unwrap();
    put_all(dir.path(), &without);
    let report = check(dir.path());
    assert_eq!(report.verdict, Verdict::Intact, "{report:?}");
    assert_eq!(report.pruned, bounds.1);
    let tree = "seg-0000000000000000.tree";
    attacks.on("the tree file of a removed segment edited", "root of a", {
        let mut files = without.clone();
        let text = String::from_utf8(files[tree].clone()).unwrap();
        let digits = text
            .lines()
            .nth(5)
            .unwrap()
            .split(' ')
            .nth(2)
            .unwrap()
            .to_owned();
        files.insert(
            tree.to_owned(),
            text.replace(&digits, &"ab".repeat(32)).into_bytes(),
        );
        files
    });
}
