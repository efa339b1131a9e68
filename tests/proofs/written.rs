//! Proofs of what the writer itself wrote: many segments with their tree files, notes of its own.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidegate::ledger::{
    BootId, EntryBuilder, Lane, Ledger, LedgerKey, OpenFacts, Settings, Source, StoredTree,
    export_tiles, prove, ring,
};

use crate::made::{Made, Numbers};

const PATIENCE: Duration = Duration::from_secs(20);
const POLICY_HASH: &str = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

/// A signed ledger of two thousand numbers in several segments; how many records are signed.
fn written(dir: &Path) -> u64 {
    let source = Source {
        boot: BootId::from_u32(1),
        worker: 0,
    };
    let facts = OpenFacts {
        boot: source.boot,
        instance: "gateway-1".to_owned(),
        version: "0".to_owned(),
        policy_hash: POLICY_HASH.to_owned(),
        client_key_id: None,
        bundle: None,
    };
    let (mut producer, consumer) = ring(source, 1 << 12);
    let settings = Settings::new(dir)
        .segments(100_000, Duration::from_secs(3_600))
        .signed_by(LedgerKey::from_seed([7; 32]));
    let encode = |entry: &mut EntryBuilder<'_>, _: Source, n: &u64| {
        entry.text("kind", "decision");
        entry.uint("n", *n);
        entry.uint("ts_us", *n);
    };
    let ledger = Ledger::start(&settings, &facts, b"{}", vec![consumer], encode).unwrap();
    for _ in 0..20 {
        for _ in 0..100 {
            let n = producer.next_number();
            assert!(producer.push(Lane::Ordinary, Some(n), n));
        }
        ledger.flush(PATIENCE).unwrap();
    }
    drop(producer);
    ledger.close().unwrap();
    let files = fs::read_dir(dir).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let trees = names.filter(|name| name.ends_with(".tree")).count();
    assert!(trees >= 2, "{trees} closed segments only");
    ledger.snapshot().signed
}

#[test]
fn every_record_of_a_rotated_ledger_is_under_its_newest_head() {
    let dir = tempfile::tempdir().unwrap();
    let size = written(dir.path());
    let mut numbers = Numbers(4);
    let seqs = (0..60).map(|_| numbers.below(size)).chain([0, size - 1]);
    for seq in seqs.collect::<Vec<_>>() {
        let proof = prove(dir.path(), seq, None, Some(1 + seq)).unwrap();
        assert_eq!((proof.seq, proof.size), (seq, size));
        assert!(proof.head.unwrap().vkey.is_some());
    }
}

#[test]
fn a_segment_that_is_compressed_meanwhile_gives_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let size = written(dir.path());
    let before = prove(dir.path(), 100, Some(size), None).unwrap();
    let mut tree = StoredTree::open(dir.path(), size).unwrap();
    let plain = dir.path().join("seg-0000000000000000.jsonl");
    let packed = zstd::encode_all(&fs::read(&plain).unwrap()[..], 3).unwrap();
    fs::write(plain.with_extension("jsonl.zst"), packed).unwrap();
    fs::remove_file(&plain).unwrap();
    assert_eq!(tree.line(100).unwrap(), before.line);
    assert_eq!(tree.inclusion(100, size).unwrap(), before.path);
    let after = prove(dir.path(), 100, Some(size), None).unwrap();
    assert_eq!((after.line, after.path), (before.line, before.path));
}

#[test]
fn tiles_are_exported_whole_while_segments_are_compressed() {
    let made = Made::new(2_000, &[0, 300, 700, 1_100, 1_500]);
    made.sign(2_000);
    let plain = [0, 300, 700, 1_100].map(|first| made.segment(first));
    let texts = plain.each_ref().map(|path| fs::read(path).unwrap());
    let expected = {
        let out = tempfile::tempdir().unwrap();
        export_tiles(made.dir(), out.path()).unwrap()
    };
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // In the keeper's order, and back again.
            while !over.load(Ordering::Relaxed) {
                for (path, text) in plain.iter().zip(&texts) {
                    let packed = path.with_extension("jsonl.zst");
                    let under_way = path.with_extension("tmp");
                    fs::write(&under_way, zstd::encode_all(&text[..], 3).unwrap()).unwrap();
                    fs::rename(&under_way, &packed).unwrap();
                    fs::remove_file(path).unwrap();
                }
                for (path, text) in plain.iter().zip(&texts) {
                    let under_way = path.with_extension("tmp");
                    fs::write(&under_way, text).unwrap();
                    fs::rename(&under_way, path).unwrap();
                    // The compressed one stays, as after a crash; both hold the same lines.
                }
            }
        });
        let exported: Vec<_> = (0..40)
            .map(|_| {
                let out = tempfile::tempdir().unwrap();
                export_tiles(made.dir(), out.path())
            })
            .collect();
        over.store(true, Ordering::Relaxed);
        for report in exported {
            assert_eq!(report.unwrap(), expected);
        }
    });
}
