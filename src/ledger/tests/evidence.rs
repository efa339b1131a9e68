//! What the tests of the writer hold against the files: every note, every tree file, and the order
//! in which things reached the disk. Written apart from what it checks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::super::directory::list_segments;
use super::super::disk::tests::Op;
use super::*;

/// RFC 6962, 2.1, word for word.
fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Sha256::digest([]).into(),
        [leaf] => *leaf,
        _ => {
            let k = leaves.len().next_power_of_two() / 2;
            let (left, right) = (root(&leaves[..k]), root(&leaves[k..]));
            Sha256::digest([&[1][..], &left, &right].concat()).into()
        }
    }
}

/// The hash of each line, from its bytes.
pub(super) fn leaves(dir: &Path) -> Vec<Hash> {
    let hash = |line: &str| {
        let entry = format!("\0{}}}", &line[..line.len() - 75]);
        Sha256::digest(entry).into()
    };
    text(dir).lines().map(hash).collect()
}

/// Every signed note, oldest first.
pub(super) fn notes(dir: &Path) -> Vec<SignedNote> {
    let held = fs::read_to_string(dir.join("heads.log")).unwrap_or_default();
    let mut notes = Vec::new();
    for note in held.split_inclusive("\n\n").collect::<Vec<_>>().chunks(2) {
        let note = note.concat();
        let note = note.strip_suffix('\n').unwrap();
        notes.push(SignedNote::parse(note.as_bytes()).unwrap());
    }
    notes
}

/// Records of one kind, as JSON.
pub(super) fn records(dir: &Path, kind: &str) -> Vec<serde_json::Value> {
    let all = text(dir);
    let values = all.lines().map(|line| serde_json::from_str(line).unwrap());
    values
        .filter(|record: &serde_json::Value| record["kind"] == kind)
        .collect()
}

/// Every note verifies and its root is that of the lines; each `checkpoint` record is one of them;
/// the tree files give the tree of all closed segments. Gives the sizes that were signed.
pub(super) fn proven(dir: &Path) -> Vec<u64> {
    let (leaves, notes) = (leaves(dir), notes(dir));
    let keys = fs::read_to_string(dir.join("log.vkey")).unwrap_or_default();
    let keys: Vec<_> = keys
        .lines()
        .map(|key| VerifierKey::parse(key).unwrap())
        .collect();
    let mut sizes = Vec::new();
    for note in &notes {
        assert!(keys.iter().any(|key| note.is_signed_by(key)), "{note:?}");
        let head = Checkpoint::from_text(&note.text).unwrap();
        assert_eq!(head.root, root(&leaves[..head.size as usize]), "{head:?}");
        sizes.push(head.size);
    }
    assert!(sizes.is_sorted_by(|a, b| a < b), "{sizes:?}");
    let newest = fs::read(dir.join("checkpoint")).ok();
    let newest = newest.map(|note| SignedNote::parse(&note).unwrap());
    assert_eq!(newest.as_ref(), notes.last());
    for record in records(dir, "checkpoint") {
        let (size, seq) = (
            record["size"].as_u64().unwrap(),
            record["seq"].as_u64().unwrap(),
        );
        assert!(seq >= size, "{record}");
        // A note may be missing only where the process ended before it was kept.
        let at = sizes.binary_search(&size).unwrap();
        assert_eq!(record["signature"], notes[at].signatures[0].base64);
        let head = Checkpoint::from_text(&notes[at].text).unwrap();
        assert_eq!(record["root"], hex::encode(head.root));
        let accounted = records(dir, "decision").into_iter().filter(|decision| {
            decision["seq"].as_u64() < Some(seq)
                && decision["decision_id"].as_str().unwrap()[..8] == record["boot"]
        });
        let counted: u64 = record["accounted"]
            .as_object()
            .unwrap()
            .values()
            .map(|count| count.as_u64().unwrap())
            .sum();
        assert_eq!(counted, accounted.count() as u64, "{record}");
    }
    trees(dir, &leaves);
    sizes
}

fn trees(dir: &Path, leaves: &[Hash]) {
    let segments = list_segments(dir).unwrap();
    let mut log = Frontier::new();
    for pair in segments.windows(2) {
        let path = pair[0].path.with_extension("tree");
        let file = TreeFile::parse(&fs::read_to_string(&path).unwrap()).unwrap();
        let borders = (pair[0].first_seq, pair[1].first_seq);
        assert_eq!((file.first_seq, file.next_seq), borders);
        assert_eq!(file.head, hex::encode(leaves[borders.1 as usize - 1]));
        assert!(file.append_to(&mut log));
        assert_eq!(log.root(), root(&leaves[..borders.1 as usize]));
    }
}

/// A file as the operations have left it.
#[derive(Default)]
struct Written {
    path: PathBuf,
    bytes: Vec<u8>,
    /// Where the file ended after an operation.
    ends: Vec<(usize, usize)>,
    synced: usize,
    /// Its name is durable.
    named: bool,
}

/// No note reached the disk before the records that it covers were durable, under a durable name;
/// no byte of a segment was written over or cut off. Gives how many notes were looked at.
pub(super) fn in_order(ops: &[Op]) -> usize {
    let mut files: BTreeMap<u64, Written> = BTreeMap::new();
    let mut looked_at = 0;
    for (at, op) in ops.iter().enumerate() {
        match op {
            Op::Open(id, path, emptied) => {
                let name = path.to_string_lossy();
                // R079
                assert!(!emptied || name.ends_with(".tmp"), "{name} was emptied");
                let path = path.clone();
                files.insert(
                    *id,
                    Written {
                        path,
                        named: !emptied,
                        ..Written::default()
                    },
                );
            }
            Op::Write(id, bytes) => {
                let file = files.get_mut(id).unwrap();
                file.bytes.extend_from_slice(bytes);
                file.ends.push((at, file.bytes.len()));
                let name = file
                    .path
                    .file_name()
                    .unwrap()
                    .to_string_lossy()
                    .into_owned();
                if name == "heads.log" || name == "checkpoint.tmp" {
                    let text = String::from_utf8(bytes.clone()).unwrap();
                    let size: u64 = text.lines().nth(1).unwrap().parse().unwrap();
                    let durable = durable(&files);
                    let missing = (0..size).find(|seq| !durable.contains(seq));
                    assert_eq!(missing, None, "signed {size} too early: {text}");
                    looked_at += 1;
                }
            }
            Op::Sync(id, begun) => {
                let file = files.get_mut(id).unwrap();
                let before = file.ends.iter().rfind(|(at, _)| at < begun);
                file.synced = file.synced.max(before.map_or(0, |(_, end)| *end));
            }
            Op::Rename(from, to) => {
                let file = files.values_mut().rfind(|file| file.path == *from).unwrap();
                // A segment is named by its first durable record, while the writer goes on.
                let durable = file.bytes.get(..file.synced).unwrap();
                let ready = match is_segment(to) {
                    true => durable.contains(&b'\n'),
                    false => durable.len() == file.bytes.len(),
                };
                assert!(ready, "{to:?} named before it was synced");
                file.path.clone_from(to);
            }
            Op::SyncFolder(folder) => files
                .values_mut()
                .filter(|file| file.path.parent() == Some(folder))
                .for_each(|file| file.named = file.path.extension() != Some("tmp".as_ref())),
            // R079
            Op::Truncate(path, _) => assert!(!is_segment(path), "{path:?} was cut"),
            Op::SyncPath(_) | Op::Remove(_) | Op::Folder(_) => {}
        }
    }
    looked_at
}

fn is_segment(path: &Path) -> bool {
    path.extension() == Some("jsonl".as_ref())
}

/// The numbers of all records that a power failure would leave.
fn durable(files: &BTreeMap<u64, Written>) -> BTreeSet<u64> {
    let held = files
        .values()
        .filter(|file| file.named && is_segment(&file.path));
    let lines = held.flat_map(|file| file.bytes[..file.synced].split_inclusive(|b| *b == b'\n'));
    lines
        .filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok())
        .map(|record| record["seq"].as_u64().unwrap())
        .collect()
}
