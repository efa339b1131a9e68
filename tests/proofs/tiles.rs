//! An exported tile tree before tlog_tiles, which authenticates every tile against the root.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tidegate::ledger::{TileReport, export_tiles};
use tlog_tiles::{
    Error, Hash, HashReader, Tile, TileHashReader, TileReader, check_record, check_tree,
    prove_record, prove_tree, record_hash, stored_hash_index,
};

use crate::made::{Made, Numbers};

/// Reads tiles where the specification says that they are.
struct Served(PathBuf);

impl TileReader for Served {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, Error> {
        let read = |tile: &Tile| {
            // Their paths name the height of a tile, which C2SP leaves out because it is always 8.
            let path = tile.path().replacen("tile/8/", "tile/", 1);
            fs::read(self.0.join(path)).map_err(|_| Error::InvalidTile)
        };
        tiles.iter().map(read).collect()
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

fn bundle(out: &Path, n: u64, width: u64) -> Vec<Vec<u8>> {
    let partial = if width < 256 {
        format!(".p/{width}")
    } else {
        String::new()
    };
    let path = out.join(format!("tile/entries/{n:03}{partial}"));
    let bytes = fs::read(path).unwrap();
    let (mut rest, mut entries) = (&bytes[..], Vec::new());
    while !rest.is_empty() {
        let length = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
        entries.push(rest[2..2 + length].to_vec());
        rest = &rest[2 + length..];
    }
    entries
}

/// What a client can ask of a tree of this size: all entries, one of 97 leaves, some proofs.
fn check(made: &Made, out: &Path, size: u64) {
    let note = fs::read(out.join("checkpoint")).unwrap();
    let note = signed_note::Note::from_bytes(&note).unwrap();
    let checkpoint = tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap();
    assert_eq!(checkpoint.size(), size);
    let served = Served(out.to_path_buf());
    let reader = TileHashReader::new(size, *checkpoint.hash(), &served);
    let asked: Vec<u64> = (0..size).step_by(97).chain([size - 1]).collect();
    let indexes: Vec<u64> = asked.iter().map(|seq| stored_hash_index(0, *seq)).collect();
    let leaves = reader.read_hashes(&indexes).unwrap();
    for (seq, leaf) in asked.iter().zip(leaves) {
        assert_eq!(record_hash(&made.entries[*seq as usize]), leaf, "{seq}");
    }
    for n in 0..size.div_ceil(256) {
        let width = (size - n * 256).min(256);
        let entries = bundle(out, n, width);
        assert_eq!(entries.len() as u64, width);
        for (entry, seq) in entries.iter().zip(n * 256..) {
            assert_eq!(*entry, made.entries[seq as usize], "{seq}");
        }
    }
    let mut numbers = Numbers(size);
    for _ in 0..3 {
        let (seq, old) = (numbers.below(size), 1 + numbers.below(size));
        let root = *checkpoint.hash();
        let proof = prove_record(size, seq, &reader).unwrap();
        check_record(&proof, size, root, seq, Hash(made.leaves[seq as usize])).unwrap();
        let proof = prove_tree(size, old, &reader).unwrap();
        check_tree(&proof, size, root, old, Hash(made.root(old))).unwrap();
    }
}

type Files = BTreeMap<PathBuf, (Vec<u8>, std::time::SystemTime)>;

fn files(dir: &Path) -> Files {
    let (mut open, mut found) = (vec![dir.to_path_buf()], Files::new());
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let written = fs::metadata(&path).unwrap().modified().unwrap();
                found.insert(path.clone(), (fs::read(&path).unwrap(), written));
            }
        }
    }
    found
}

// R102
#[test]
fn a_tree_grows_and_what_is_there_stays() {
    let made = Made::new(70_000, &[0, 20_000, 65_536]);
    let out = tempfile::tempdir().unwrap();
    let mut before: Files = BTreeMap::new();
    for size in [1, 255, 256, 257, 1_000, 65_536, 70_000] {
        made.sign(size);
        let report = export_tiles(made.dir(), out.path()).unwrap();
        assert_eq!(report.size, size);
        check(&made, out.path(), size);
        let now = files(out.path());
        for (path, was) in &before {
            assert!(
                path.ends_with("checkpoint") || now[path] == *was,
                "{} was written again at {size}",
                path.display()
            );
        }
        before = now;
        let again = export_tiles(made.dir(), out.path()).unwrap();
        assert_eq!((again.tiles, again.bundles), (0, 0), "{again:?}");
    }
    // The specification's own example of 70,000 entries.
    for (path, bytes) in [
        ("tile/0/272", 8_192),
        ("tile/0/273.p/112", 112 * 32),
        ("tile/1/000", 8_192),
        ("tile/1/001.p/17", 17 * 32),
        ("tile/2/000.p/1", 32),
    ] {
        let found = fs::metadata(out.path().join(path)).unwrap().len();
        assert_eq!(found, bytes, "{path}");
    }
}

#[test]
fn what_was_pruned_or_redacted_is_named_and_the_rest_exported() {
    let made = Made::new(3_000, &[0, 700, 1_400, 2_500]);
    fs::remove_file(made.segment(0)).unwrap();
    let line = String::from_utf8(made.lines[1_600].clone()).unwrap();
    let member = |key: &str| {
        let at = line.find(&format!("\"{key}\":\"")).unwrap() + key.len() + 4;
        line[at..at + 64].to_owned()
    };
    let stub = format!(
        "{{\"kind\":\"stub\",\"prev\":\"{}\",\"seq\":1600,\"v\":1,\"hash\":\"{}\"}}\n",
        member("prev"),
        member("hash")
    );
    let mut lines = made.lines[1_400..2_500].to_vec();
    lines[200] = stub.into_bytes();
    fs::write(made.segment(1_400), lines.concat()).unwrap();
    made.sign(3_000);
    let out = tempfile::tempdir().unwrap();
    let report = export_tiles(made.dir(), out.path()).unwrap();
    let expected = TileReport {
        size: 3_000,
        before: 0,
        // Of twelve groups two are gone and one has single leaves in its tree file; a level above.
        tiles: 10 + 1,
        bundles: 12 - 3 - 1,
        without_leaves: vec![(0, 511)],
        without_entries: vec![(0, 767), (1_536, 1_791)],
    };
    assert_eq!(report, expected);
    let served = Served(out.path().to_path_buf());
    let reader = TileHashReader::new(3_000, Hash(made.root(3_000)), &served);
    for seq in (512..3_000).step_by(61) {
        let proof = prove_record(3_000, seq, &reader).unwrap();
        let leaf = Hash(made.leaves[seq as usize]);
        check_record(&proof, 3_000, Hash(made.root(3_000)), seq, leaf).unwrap();
    }
}

#[test]
fn what_cannot_be_exported_is_refused_and_changes_nothing() {
    let made = Made::new(300, &[0]);
    let out = tempfile::tempdir().unwrap();
    let refused = export_tiles(made.dir(), out.path()).unwrap_err();
    assert!(refused.to_string().contains("no signed head"), "{refused}");
    made.sign(300);
    // Not a tile tree.
    fs::write(out.path().join("mine"), "x").unwrap();
    let refused = export_tiles(made.dir(), out.path()).unwrap_err();
    assert!(refused.to_string().contains("mine"), "{refused}");
    assert_eq!(files(out.path()).len(), 1);
    // Another log's tree.
    let other = Made::with(300, &[0], |entry, seq| {
        entry.text("kind", "open");
        entry.uint("other", seq);
    });
    other.sign(300);
    let theirs = tempfile::tempdir().unwrap();
    export_tiles(other.dir(), theirs.path()).unwrap();
    let before = files(theirs.path());
    let refused = export_tiles(made.dir(), theirs.path()).unwrap_err();
    assert!(refused.to_string().contains(&other.origin), "{refused}");
    assert_eq!(files(theirs.path()), before);
    // An entry that is too long for two bytes.
    let long = "x".repeat(65_500);
    let made = Made::with(3, &[0], |entry, seq| {
        entry.text("error", if seq == 1 { &long } else { "" });
        entry.text("kind", "fault");
    });
    made.sign(3);
    let out = tempfile::tempdir().unwrap();
    let refused = export_tiles(made.dir(), out.path()).unwrap_err();
    let text = refused.to_string();
    assert!(
        text.contains("record 1") && text.contains("65535"),
        "{text}"
    );
    assert!(!out.path().join("checkpoint").exists());
}

#[test]
fn what_an_earlier_export_lacks_is_written_again() {
    let made = Made::new(70_000, &[0, 20_000, 65_536]);
    made.sign(70_000);
    let out = tempfile::tempdir().unwrap();
    export_tiles(made.dir(), out.path()).unwrap();
    let bytes = |files: Files| files.into_iter().map(|(path, file)| (path, file.0));
    let whole: Vec<_> = bytes(files(out.path())).collect();
    for (lost, tiles, bundles) in [
        (&["tile/0/000"][..], 1, 0),
        (&["tile/entries/100"], 0, 1),
        (&["tile/1/000", "tile/2/000.p/1", "tile/1/001.p/17"], 3, 0),
        (&["tile/0/273.p/112", "tile/entries/273.p/112"], 1, 1),
        (&["tile/0/007", "tile/entries/007", "tile/0/260"], 2, 1),
    ] {
        for file in lost {
            fs::remove_file(out.path().join(file)).unwrap();
        }
        let report = export_tiles(made.dir(), out.path()).unwrap();
        assert_eq!((report.tiles, report.bundles), (tiles, bundles), "{lost:?}");
        assert!(bytes(files(out.path())).eq(whole.clone()), "{lost:?}");
    }
    // A file that was cut off.
    fs::write(out.path().join("tile/0/003"), "").unwrap();
    assert_eq!(export_tiles(made.dir(), out.path()).unwrap().tiles, 1);
    assert!(bytes(files(out.path())).eq(whole));
}

#[test]
fn nothing_is_exported_into_a_ledger() {
    let root = tempfile::tempdir().unwrap();
    let made = Made::new(300, &[0, 200]);
    made.sign(300);
    let other = Made::new(10, &[0]);
    let link = root.path().join("link");
    std::os::unix::fs::symlink(made.dir(), &link).unwrap();
    let (before, theirs) = (files(made.dir()), files(other.dir()));
    for out in [
        made.dir().to_path_buf(),
        made.dir().join("tiles/deep"),
        made.dir().join("../").join(made.dir()),
        made.dir().parent().unwrap().to_path_buf(),
        link.clone(),
        link.join("tiles"),
        other.dir().to_path_buf(),
        other.dir().join("tiles"),
    ] {
        let refused = export_tiles(made.dir(), &out).unwrap_err();
        let text = refused.to_string();
        assert!(text.contains("a ledger"), "{}: {text}", out.display());
        assert!(!refused.is_about_evidence());
    }
    assert_eq!(files(made.dir()), before);
    assert_eq!(files(other.dir()), theirs);
}
