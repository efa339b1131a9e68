//! RFC 6962 proofs before ct-merkle, which hashes the entries and walks the tree by itself.

use ct_merkle::{ConsistencyProof, InclusionProof, RootHash, mem_backed_tree::MemoryBackedTree};
use sha2::Sha256;
use sha2::digest::Output;
use tidegate::ledger::{Hash, StoredTree, prove};

use crate::made::{Made, Numbers};

type Root = RootHash<Sha256>;

fn root(hash: Hash, size: u64) -> Root {
    Root::new(Output::<Sha256>::from(hash), size)
}

fn included(root: &Root, entry: &Vec<u8>, index: u64, path: &[Hash]) -> bool {
    let proof = InclusionProof::<Sha256>::from_bytes(path.concat());
    root.verify_inclusion(entry, index, &proof).is_ok()
}

fn grown(new: &Root, old: &Root, path: &[Hash]) -> bool {
    let proof = ConsistencyProof::<Sha256>::try_from_bytes(path.concat()).unwrap();
    new.verify_consistency(old, &proof).is_ok()
}

/// Every way to alter one hash, and one hash more or less.
fn altered(path: &[Hash], numbers: &mut Numbers) -> Vec<Vec<Hash>> {
    let mut all = vec![[path, &[[0; 32]]].concat()];
    if !path.is_empty() {
        let at = numbers.below(path.len() as u64) as usize;
        let mut flipped = path.to_vec();
        flipped[at][numbers.below(32) as usize] ^= 1 << numbers.below(8);
        let mut shorter = path.to_vec();
        shorter.remove(at);
        all.extend([flipped, shorter]);
    }
    all
}

/// Asks for one proof of each kind and has it judged, as it is and altered.
fn check(made: &Made, tree: &mut StoredTree, (index, old, new): (u64, u64, u64), n: &mut Numbers) {
    let case = format!("record {index}, sizes {old} and {new}");
    let judge = root(tree.root(new).unwrap(), new);
    let path = tree.inclusion(index, new).unwrap();
    let entry = &made.entries[index as usize];
    assert!(included(&judge, entry, index, &path), "{case}");
    for bad in altered(&path, n) {
        assert!(!included(&judge, entry, index, &bad), "{case}: altered");
    }
    if new > 1 {
        let other = &made.entries[(index as usize + 1) % new as usize];
        assert!(
            !included(&judge, other, index, &path),
            "{case}: other entry"
        );
    }
    let before = root(tree.root(old).unwrap(), old);
    let path = tree.consistency(old, new).unwrap();
    assert!(grown(&judge, &before, &path), "{case}: grown");
    for bad in altered(&path, n) {
        assert!(!grown(&judge, &before, &bad), "{case}: grown, altered");
    }
    if old < new {
        let other = root([9; 32], old);
        assert!(!grown(&judge, &other, &path), "{case}: other old root");
    }
}

// R102
#[test]
fn every_record_of_every_small_tree() {
    let made = Made::new(70, &[0, 3, 33, 64]);
    let mut tree = StoredTree::open(made.dir(), u64::MAX).unwrap();
    let mut numbers = Numbers(1);
    for new in 1..=70 {
        for index in 0..new {
            let old = 1 + index;
            check(&made, &mut tree, (index, old, new), &mut numbers);
        }
    }
}

#[test]
fn random_records_of_large_trees_also_when_lines_are_gone() {
    let borders = [0, 700, 1_024, 1_100, 2_500, 4_096];
    let made = Made::new(5_000, &borders);
    let mut numbers = Numbers(2);
    let mut tree = StoredTree::open(made.dir(), u64::MAX).unwrap();
    for _ in 0..400 {
        let new = 1 + numbers.below(5_000);
        let case = (numbers.below(new), 1 + numbers.below(new), new);
        check(&made, &mut tree, case, &mut numbers);
    }
    // What retention leaves: the tree files of all, the lines of the newest.
    for first in &borders[..3] {
        std::fs::remove_file(made.segment(*first)).unwrap();
    }
    let mut tree = StoredTree::open(made.dir(), u64::MAX).unwrap();
    for _ in 0..200 {
        let new = 1_536 + numbers.below(3_000);
        let index = 1_280 + numbers.below(new - 1_280);
        let old = 1_280 + numbers.below(new - 1_280) / 256 * 256;
        check(&made, &mut tree, (index, old, new), &mut numbers);
    }
    let gone = tree.inclusion(300, 5_000).unwrap_err();
    assert!(!gone.is_about_evidence(), "{gone}");
}

#[test]
fn the_root_is_that_of_another_implementation() {
    let made = Made::new(600, &[0, 255, 257]);
    let mut tree = StoredTree::open(made.dir(), u64::MAX).unwrap();
    let mut other = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    for (entry, size) in made.entries.iter().zip(1..) {
        other.push(entry.clone());
        let root: Hash = (*other.root().as_bytes()).into();
        assert_eq!(tree.root(size).unwrap(), root, "{size}");
    }
}

// R085
#[test]
fn a_ledger_that_is_not_what_was_signed_proves_nothing() {
    let made = Made::new(900, &[0, 300, 600]);
    made.sign(800);
    assert!(prove(made.dir(), 799, None, None).is_ok());
    // Cut off: fewer records than were signed.
    let cut = made.lines[600..790].concat();
    std::fs::write(made.segment(600), cut).unwrap();
    let refused = prove(made.dir(), 10, None, None).unwrap_err();
    assert!(refused.is_about_evidence(), "{refused}");
    // Another line in the middle.
    let mut other = made.lines[600..].to_vec();
    other[5] = made.lines[10].clone();
    std::fs::write(made.segment(600), other.concat()).unwrap();
    let refused = prove(made.dir(), 10, None, None).unwrap_err();
    assert!(refused.is_about_evidence(), "{refused}");
    // A tree file that lies.
    let made = Made::new(900, &[0, 300, 600]);
    made.sign(800);
    let file = std::fs::read_to_string(made.tree_file(300)).unwrap();
    let digit = file.rfind('\n').unwrap() - 1;
    let lie = if file.as_bytes()[digit] == b'0' {
        "1"
    } else {
        "0"
    };
    let mut file = file;
    file.replace_range(digit..=digit, lie);
    std::fs::write(made.tree_file(300), file).unwrap();
    let refused = prove(made.dir(), 10, None, None).unwrap_err();
    assert!(refused.is_about_evidence(), "{refused}");
}
