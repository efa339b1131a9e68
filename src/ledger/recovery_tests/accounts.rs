//! What was made and what is told of it, over boots and segments.

use super::super::directory::list_segments;
use super::super::recovery::Found;
use super::*;

#[test]
fn older_segments_count_by_their_tree_files_or_their_lines() {
    let case = Case::signed(0);
    let cut = case.lines[..5].concat();
    let rest = case.lines[5..].concat();
    fs::write(&case.segment, &cut).unwrap();
    fs::write(SegmentName::new(case.path(), 5).path, &rest).unwrap();
    publish(&Disk::default(), case.path(), 12);
    let settings = Settings::new(case.path()).signed_by(key());
    let found = || {
        let dir = super::super::directory::Directory::lock(case.path()).unwrap();
        super::super::recovery::find(&settings, &dir)
    };
    let whole = |found: Result<Option<Found>, LedgerError>| {
        let mut tree = Frontier::new();
        let leaves = leaves(case.path());
        for leaf in leaves {
            tree.push(leaf);
        }
        let found = found.unwrap().unwrap();
        assert_eq!(found.frontier, tree);
        let file = found.builder.finish(found.chain.head());
        assert_eq!((file.first_seq, file.next_seq), (5, 12));
        assert_eq!(found.note.map(|note| note.size), Some(12));
    };
    whole(found());
    // A tree file that fits and is wrong: the signed root shows it, and the lines are read.
    let mut builder = TreeBuilder::new(0);
    (0..5).for_each(|n| builder.push([n; 32]));
    let mut scratch = Vec::new();
    let last = case.lines[4].strip_suffix(b"\n").unwrap();
    let head = Record::check(last, &mut scratch).unwrap().hash;
    let wrong = builder.finish(&head).to_text();
    fs::write(tree_path(case.path(), 0), wrong).unwrap();
    whole(found());
    // The lines are gone, and the tree file is wrong.
    let aside = case.path().join("aside");
    fs::rename(&case.segment, &aside).unwrap();
    assert_eq!(found().unwrap_err().code(), "LEDGER_DAMAGED");
    fs::remove_file(tree_path(case.path(), 0)).unwrap();
    let nothing = found().unwrap_err();
    assert_eq!(nothing.code(), "LEDGER_NOT_A_LEDGER", "{nothing}");
    assert_eq!(list_segments(case.path()).unwrap().len(), 1);
}

// R083
#[test]
fn what_a_killed_boot_made_is_told_exactly() {
    let check = |counts: &[u64], boot: u32, moved: bool, expected: &str, left: Option<u64>| {
        // Without its `close`.
        let case = Case::signed(0).changed(|lines| {
            lines.pop();
        });
        let mut made = made::sample(case.path(), boot, counts);
        // A digit of the inode.
        made[32] ^= u8::from(moved);
        fs::write(case.path().join("made"), made).unwrap();
        let found = case.start().unwrap();
        assert_eq!((found.unaccounted, found.moved), (left, moved && boot == 1));
        let text = fs::read_to_string(&case.segment).unwrap();
        let open = text.lines().nth(11).unwrap();
        assert!(open.contains(expected), "{open}");
        assert_eq!(
            open.contains("previous_made"),
            expected.contains("previous_made"),
            "{open}"
        );
    };
    let told = r#""previous_made":{"00":13},"previous_unaccounted":{"00":3}"#;
    check(&[13], 1, false, told, Some(3));
    let told = r#""previous_made":{"00":10,"02":4},"previous_unaccounted":{"02":4}"#;
    check(&[10, 0, 4], 1, false, told, Some(4));
    // After a power loss the counters may be older than the lines.
    let told = r#""previous_made":{"00":10},"previous_unaccounted":{}"#;
    check(&[2], 1, false, told, Some(0));
    // The records were there before that boot, and it is not among them.
    let told = r#""missing_boot":"00000009","missing_made":{"00":13}"#;
    check(&[13], 9, false, told, None);
    check(&[13], 9, true, r#""previous_closed":false"#, None);
    check(&[13], 1, true, r#""moved":true"#, None);
}

/// A boot over several segments: the newest checkpoint has the sum of what is older.
#[test]
fn accounts_go_back_to_a_checkpoint_or_an_open() {
    let decision = |chain: &mut Chain, out: &mut Vec<u8>, n: u64| {
        let source = Source {
            boot: BootId::from_u32(1),
            worker: 0,
        };
        chain.append(out, |entry| encode(entry, source, &n));
    };
    for (checkpoint, expected) in [(None, 9), (Some(4), 10)] {
        let case = Case::signed(0);
        let mut chain = {
            let mut scratch = Vec::new();
            let line = case.lines[0].strip_suffix(b"\n").unwrap();
            Chain::resume(1, Record::check(line, &mut scratch).unwrap().hash)
        };
        fs::write(&case.segment, &case.lines[0]).unwrap();
        let mut n = 0;
        for first in [1, 4, 8] {
            let mut out = Vec::new();
            if first == 4 {
                chain.append(&mut out, |entry| {
                    entry.counts("accounted", checkpoint.map(|sum| ("00", sum)));
                    entry.text("boot", "00000001");
                    entry.text(
                        "kind",
                        if checkpoint.is_some() {
                            "checkpoint"
                        } else {
                            "governance"
                        },
                    );
                });
            }
            for _ in 0..3 {
                decision(&mut chain, &mut out, n);
                n += 1;
            }
            fs::write(SegmentName::new(case.path(), first).path, out).unwrap();
        }
        let made = made::sample(case.path(), 1, &[16]);
        fs::write(case.path().join("made"), made).unwrap();
        // 9 lines, or 4 by the checkpoint and 6 after it.
        assert_eq!(case.start().unwrap().unaccounted, Some(16 - expected));
    }
}
