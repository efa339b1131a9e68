//! The end of a ledger, case by case: what a start and `recover` make of it, with signed heads
//! beside the records.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::directory::SegmentName;
use super::disk::Disk;
use super::fixture::{RULEBOOK, facts};
use super::history::tree_path;
use super::survey::leaf;
use super::*;

mod accounts;
mod compressed;
mod damage;
mod losing;
mod rollbacks;

const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn key() -> LedgerKey {
    LedgerKey::from_seed([7; 32])
}

pub(super) fn encode(entry: &mut EntryBuilder<'_>, source: Source, n: &u64) {
    let id = format!("{}{:02x}{n:012x}", source.boot, source.worker);
    entry.text("decision_id", &id);
    entry.text("kind", "decision");
    entry.uint("n", *n);
    entry.uint("ts_us", *n);
    entry.uint("worker", u64::from(source.worker));
}

pub(super) fn start(
    settings: &Settings,
    boot: u32,
) -> Result<(Ledger, Producer<u64>), LedgerError> {
    let source = Source {
        boot: BootId::from_u32(boot),
        worker: 0,
    };
    let (producer, consumer) = ring(source, 1_024);
    let ledger = Ledger::start(settings, &facts(boot), RULEBOOK, vec![consumer], encode)?;
    Ok((ledger, producer))
}

pub(super) fn push(producer: &mut Producer<u64>, count: u64) {
    for _ in 0..count {
        let n = producer.next_number();
        producer.push(Lane::Ordinary, Some(n), n);
    }
}

/// One boot with `count` decisions.
fn write(dir: &Path, boot: u32, count: u64) -> Ledger {
    let (ledger, mut producer) = start(&Settings::new(dir), boot).unwrap();
    push(&mut producer, count);
    drop(producer);
    ledger.flush(PATIENCE).unwrap();
    ledger
}

/// Hashes of all lines, by number.
pub(super) fn leaves(dir: &Path) -> Vec<Hash> {
    let mut lines = DirectoryLines::open(dir).unwrap();
    let (mut leaves, mut scratch) = (Vec::new(), Vec::new());
    while let Some((_, line)) = lines.next().unwrap() {
        let record = Record::check(line.bytes, &mut scratch).unwrap();
        assert_eq!(record.seq, leaves.len() as u64);
        leaves.push(leaf(&record.hash));
    }
    leaves
}

/// Signs the first `size` records and publishes the note as the writer does.
pub(super) fn publish(disk: &Disk, dir: &Path, size: u64) {
    let mut tree = Frontier::new();
    let leaves = leaves(dir);
    assert!(size <= leaves.len() as u64);
    for leaf in leaves.into_iter().take(size as usize) {
        tree.push(leaf);
    }
    let origin = fs::read_to_string(dir.join("origin")).unwrap();
    let checkpoint = Checkpoint {
        origin: origin.trim().to_owned(),
        size,
        root: tree.root(),
    };
    let note = key().sign(&checkpoint).unwrap().to_text();
    let vkey = key().verifier(&checkpoint.origin).unwrap().to_text() + "\n";
    if !dir.join("log.vkey").exists() {
        disk.put(dir, "log.vkey", vkey.as_bytes()).unwrap();
    }
    let log = disk.append_to(&dir.join("heads.log")).unwrap();
    log.write_all(format!("{note}\n").as_bytes()).unwrap();
    log.sync().unwrap();
    disk.sync_folder(dir).unwrap();
    disk.put(dir, "checkpoint", note.as_bytes()).unwrap();
}

/// Records 0 to 11 (`open`, ten decisions, `close`), the first `signed` of them under a note.
struct Case {
    dir: tempfile::TempDir,
    segment: PathBuf,
    lines: Vec<Vec<u8>>,
}

impl Case {
    fn signed(signed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), 1, 10).close().unwrap();
        if signed > 0 {
            publish(&Disk::default(), dir.path(), signed);
        }
        let segment = SegmentName::new(dir.path(), 0).path;
        let bytes = fs::read(&segment).unwrap();
        let lines = bytes.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec);
        let lines = lines.collect();
        Self {
            dir,
            segment,
            lines,
        }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes the lines as `change` leaves them.
    fn changed(self, change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Self {
        let mut lines = self.lines.clone();
        change(&mut lines);
        fs::write(&self.segment, lines.concat()).unwrap();
        self
    }

    fn start(&self) -> Result<Recovered, LedgerError> {
        let (ledger, _) = start(&Settings::new(self.path()), 2)?;
        let recovered = ledger.recovered().clone();
        ledger.close().unwrap();
        Ok(recovered)
    }

    fn start_third(&self) -> Recovered {
        let settings = Settings::new(self.path()).signed_by(key());
        let (ledger, _) = start(&settings, 3).unwrap();
        let recovered = ledger.recovered().clone();
        ledger.close().unwrap();
        recovered
    }

    /// A start is refused with this code, and changes nothing.
    fn refuses(&self, code: &str) -> String {
        let before = files(self.path());
        let refused = self.start().unwrap_err();
        assert_eq!(refused.code(), code, "{refused}");
        assert_eq!(files(self.path()), before);
        let repair = recover(&Settings::new(self.path()), "0", None).unwrap_err();
        assert!(repair.is_about_evidence(), "{repair}");
        assert!(repair.to_string().starts_with("REPAIR_ERROR: "), "{repair}");
        assert_eq!(files(self.path()), before);
        refused.to_string()
    }
}

/// Everything in a directory but `LOCK`.
pub(super) fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if !path.ends_with("LOCK") {
            let bytes = fs::read(&path).unwrap();
            found.push((path, bytes));
        }
    }
    found.sort();
    found
}

fn flip(line: &mut [u8]) {
    line[20] ^= 1;
}
