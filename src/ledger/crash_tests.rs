//! A ledger on a disk that loses power at every operation.
//!
//! A real ledger runs a seeded workload, `Journal` writes down every file operation, and for each
//! prefix of them the states are made that a crash may leave: what was synced is there, unsynced
//! bytes are there, lost, torn at any byte, replaced by garbage or by zeros in any order, unsynced
//! names are there or not. Each state is recovered, and that recovery is crashed at each of its own
//! operations; each end goes on, closes and verifies.
//!
//! The full run: `TIDEGATE_CRASH_SEEDS=10 cargo test --lib ledger::crash_tests -- --nocapture` (minutes).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use super::directory::file_name;
use super::directory::list_segments;
use super::disk::Disk;
use super::disk::tests::Op;
use super::recovery_tests::{files, key, leaves, push, start};
use super::*;

const PATIENCE: Duration = Duration::from_secs(20);
/// Bursts of traffic in each of the three boots of a workload.
const STEPS: u64 = 4;
/// Some ten records: so that segments end and begin all the time.
const SEGMENT_BYTES: u64 = 4_000;

/// A small generator: the same numbers for the same seed, everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// What happened to a file since its last sync.
#[derive(Debug, Clone)]
enum Change {
    Write(Vec<u8>),
    Truncate(u64),
}

#[derive(Debug, Clone, Default)]
struct Inode {
    synced: Vec<u8>,
    /// Each with the number of its operation.
    changes: Vec<(usize, Change)>,
}

/// A change of names in one folder.
#[derive(Debug, Clone)]
enum Naming {
    Make(PathBuf, usize),
    Rename(PathBuf, PathBuf, usize),
    Remove(PathBuf),
    Folder(PathBuf),
}

/// A disk as far as operations have come: what is durable, and what is not yet.
#[derive(Debug, Clone, Default)]
struct Machine {
    inodes: Vec<Inode>,
    /// Names as a running process sees them.
    names: BTreeMap<PathBuf, usize>,
    open: BTreeMap<u64, usize>,
    durable: BTreeMap<PathBuf, usize>,
    folders: Vec<PathBuf>,
    pending: Vec<Naming>,
    /// Operations that were applied.
    done: usize,
}

impl Machine {
    /// A disk with these files, all of them durable.
    fn with(root: &Path, image: &Image) -> Self {
        let mut this = Self::default();
        for folder in &image.folders {
            this.folders.push(root.join(folder));
        }
        for (name, bytes) in &image.files {
            this.inodes.push(Inode {
                synced: bytes.clone(),
                changes: Vec::new(),
            });
            this.names.insert(root.join(name), this.inodes.len() - 1);
        }
        this.durable = this.names.clone();
        this
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Open(id, path, emptied) => self.opened(*id, path, *emptied),
            Op::Write(id, bytes) => {
                let at = self.open[id];
                self.changed(at, Change::Write(bytes.clone()));
            }
            Op::Sync(id, begun) => self.inodes[self.open[id]].sync(*begun),
            Op::Truncate(path, len) => {
                let at = self.names[path];
                self.changed(at, Change::Truncate(*len));
            }
            Op::SyncPath(path) => self.inodes[self.names[path]].sync(usize::MAX),
            Op::Rename(from, to) => {
                let at = self.names.remove(from).unwrap();
                self.names.insert(to.clone(), at);
                self.pending
                    .push(Naming::Rename(from.clone(), to.clone(), at));
            }
            Op::Remove(path) => {
                self.names.remove(path);
                self.pending.push(Naming::Remove(path.clone()));
            }
            Op::Folder(path) => {
                let known = self.folders.contains(path)
                    || self
                        .pending
                        .iter()
                        .any(|naming| matches!(naming, Naming::Folder(known) if known == path));
                if !known {
                    self.pending.push(Naming::Folder(path.clone()));
                }
            }
            Op::SyncFolder(folder) => self.sync_folder(folder),
        }
        self.done += 1;
    }

    fn changed(&mut self, at: usize, change: Change) {
        self.inodes[at].changes.push((self.done, change));
    }

    fn opened(&mut self, id: u64, path: &Path, emptied: bool) {
        let at = match self.names.get(path) {
            Some(at) => {
                let at = *at;
                if emptied {
                    self.changed(at, Change::Truncate(0));
                }
                at
            }
            None => {
                self.inodes.push(Inode::default());
                let at = self.inodes.len() - 1;
                self.names.insert(path.to_path_buf(), at);
                self.pending.push(Naming::Make(path.to_path_buf(), at));
                at
            }
        };
        self.open.insert(id, at);
    }

    fn sync_folder(&mut self, folder: &Path) {
        let (synced, left) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|naming| naming.folder() == Some(folder));
        self.pending = left;
        let all: Vec<Naming> = synced;
        for naming in all {
            naming.apply(&mut self.durable, &mut self.folders);
        }
    }

    fn has_unsynced_bytes(&self) -> bool {
        let write = |(_, change): &(usize, Change)| matches!(change, Change::Write(_));
        let mut changes = self.inodes.iter().flat_map(|inode| &inode.changes);
        changes.any(write)
    }

    /// A state that a crash now may leave.
    fn crashed(&self, root: &Path, mode: Mode, random: &mut Random) -> Image {
        let (mut names, mut folders) = (self.durable.clone(), self.folders.clone());
        for naming in &self.pending {
            if mode.keeps(random) {
                naming.clone().apply(&mut names, &mut folders);
            }
        }
        let relative = |path: &Path| path.strip_prefix(root).unwrap().to_path_buf();
        // A file is only there if its folder is.
        names.retain(|path, _| {
            let folder = path.parent().unwrap();
            folder == root || folders.iter().any(|known| known == folder)
        });
        let files = names
            .iter()
            .map(|(path, at)| (relative(path), self.inodes[*at].crashed(mode, random)))
            .collect();
        Image {
            folders: folders.iter().map(|folder| relative(folder)).collect(),
            files,
        }
    }
}

impl Naming {
    fn folder(&self) -> Option<&Path> {
        match self {
            Self::Make(path, _) | Self::Rename(_, path, _) | Self::Remove(path) => path.parent(),
            Self::Folder(path) => path.parent(),
        }
    }

    fn apply(self, names: &mut BTreeMap<PathBuf, usize>, folders: &mut Vec<PathBuf>) {
        match self {
            Self::Make(path, at) => {
                names.insert(path, at);
            }
            Self::Rename(from, to, at) => {
                if names.get(&from) == Some(&at) {
                    names.remove(&from);
                }
                names.insert(to, at);
            }
            Self::Remove(path) => {
                names.remove(&path);
            }
            Self::Folder(path) => folders.push(path),
        }
    }
}

impl Inode {
    /// What was done to it before operation `begun` is durable.
    fn sync(&mut self, begun: usize) {
        let before = self.changes.partition_point(|(at, _)| *at < begun);
        for (_, change) in self.changes.drain(..before) {
            match change {
                Change::Write(bytes) => self.synced.extend_from_slice(&bytes),
                Change::Truncate(len) => self.synced.truncate(len as usize),
            }
        }
    }

    /// The bytes after a crash: each unsynced change by itself, whatever came before it.
    fn crashed(&self, mode: Mode, random: &mut Random) -> Vec<u8> {
        let mut bytes = self.synced.clone();
        let mut end = bytes.len();
        for (_, change) in &self.changes {
            match change {
                Change::Truncate(len) => {
                    if mode.keeps(random) {
                        bytes.truncate(*len as usize);
                        end = *len as usize;
                    }
                }
                Change::Write(written) => {
                    let at = end;
                    end += written.len();
                    if !mode.keeps(random) {
                        continue;
                    }
                    let kept = mode.torn(written.len(), random);
                    bytes.resize(bytes.len().max(at), 0);
                    bytes.truncate(at);
                    bytes.extend_from_slice(&written[..kept]);
                    mode.spoil(&mut bytes[at..], random);
                }
            }
        }
        bytes
    }
}

/// How a crash treats what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// All of it is gone.
    Lost,
    /// All of it is there, as after a kill.
    Kept,
    /// Each change by itself, torn and spoiled.
    Mixed,
}

impl Mode {
    fn keeps(self, random: &mut Random) -> bool {
        match self {
            Self::Lost => false,
            Self::Kept => true,
            Self::Mixed => random.coin(),
        }
    }

    fn torn(self, len: usize, random: &mut Random) -> usize {
        if self == Self::Mixed && random.coin() {
            random.below(len as u64 + 1) as usize
        } else {
            len
        }
    }

    /// Some bytes of a write never came, and others stand there.
    fn spoil(self, bytes: &mut [u8], random: &mut Random) {
        if self != Self::Mixed || bytes.is_empty() || random.below(3) > 0 {
            return;
        }
        let from = random.below(bytes.len() as u64) as usize;
        let len = random.below((bytes.len() - from) as u64 + 1) as usize;
        let zeros = random.coin();
        for byte in &mut bytes[from..from + len] {
            *byte = if zeros { 0 } else { random.below(256) as u8 };
        }
    }
}

/// The files of a ledger directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Image {
    folders: Vec<PathBuf>,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Image {
    fn put(&self, root: &Path) {
        fs::create_dir_all(root).unwrap();
        for folder in &self.folders {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        for (name, bytes) in &self.files {
            fs::write(root.join(name), bytes).unwrap();
        }
    }
}

/// Where images are put: in memory if there is such a place, because they are synced again.
fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    tempfile::tempdir_in(memory).unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// A point of the workload from which on records are promised.
#[derive(Debug)]
struct Promise {
    /// Operations done by then.
    ops: usize,
    /// Records below this number are durable.
    records: u64,
}

/// What a workload did and promised.
struct Story {
    root: tempfile::TempDir,
    ops: Vec<Op>,
    promises: Vec<Promise>,
    leaves: Vec<Hash>,
}

/// Runs one ledger through boots, traffic, flushes, notes and failing disks.
fn story(seed: u64) -> Story {
    let root = scratch();
    let dir = root.path().to_path_buf();
    let mut random = Random(seed);
    // Synced when a flush asks for it: so much is unsynced for most of the time.
    let settings = Settings::new(&dir)
        .signed_by(key())
        .sync_interval(Duration::from_secs(60))
        .segments(SEGMENT_BYTES, Duration::from_secs(3_600));
    let disk = settings.disk.clone();
    disk.journal.switch_on();
    let mut promises = Vec::new();
    for boot in 1..=3 {
        let (ledger, mut producer) = start(&settings, boot).unwrap();
        for _ in 0..STEPS {
            step(&ledger, &mut producer, &disk, &mut random);
            let records = ledger.flush(PATIENCE).unwrap();
            promises.push(Promise {
                ops: disk.journal.ops().len(),
                records,
            });
            if random.coin() {
                ledger.await_signed(records - 1, PATIENCE).unwrap();
            }
        }
        drop(producer);
        ledger.close().unwrap();
    }
    assert!(list_segments(&dir).unwrap().len() > 3);
    Story {
        ops: disk.journal.ops(),
        leaves: leaves(&dir),
        promises,
        root,
    }
}

fn step(ledger: &Ledger, producer: &mut Producer<u64>, disk: &Disk, random: &mut Random) {
    match random.below(6) {
        0 => disk.plan.failing_syncs.store(1, SeqCst),
        1 => disk.plan.failing_writes.store(1, SeqCst),
        _ => {}
    }
    for _ in 0..=random.below(3) {
        push(producer, 1 + random.below(6));
        // Written, and synced only by accident: what a crash may tear.
        let mark = ledger.mark();
        while !ledger.has_taken(&mark) {
            std::thread::yield_now();
        }
    }
}

/// How often each outcome was met.
#[derive(Debug, Default)]
struct Tally {
    points: u64,
    images: u64,
    recovered: u64,
    torn: u64,
    unsigned_damage: u64,
    again: u64,
}

impl std::fmt::Display for Tally {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            out,
            "crash points {}, images {}, crashes during recovery {}, recovered {} (torn tails {}), \
             refused before the first head {}",
            self.points, self.images, self.again, self.recovered, self.torn, self.unsigned_damage
        )
    }
}

/// Recovers an image, goes on, closes and verifies. Gives the operations of the recovery alone.
fn recovered(image: &Image, promised: &[Hash], boot: u32, tally: &mut Tally) -> Option<Vec<Op>> {
    let root = scratch();
    image.put(root.path());
    let settings = Settings::new(root.path()).signed_by(key());
    settings.disk.journal.switch_on();
    let (ledger, mut producer) = match start(&settings, boot) {
        Ok(started) => started,
        Err(refused) => {
            // Before the first signed head nothing tells a crash's hole from an edit.
            let signed = image.files.contains_key(Path::new("checkpoint"));
            assert!(!signed && refused.code() == "LEDGER_DAMAGED", "{refused}");
            assert_eq!(unchanged(root.path(), image), Ok(()));
            tally.unsigned_damage += 1;
            return None;
        }
    };
    let ops = rebased(settings.disk.journal.ops(), root.path());
    let found = ledger.recovered().clone();
    assert!(found.damaged.is_none(), "{found:?}");
    tally.recovered += 1;
    tally.torn += u64::from(found.torn.is_some());
    push(&mut producer, 3);
    drop(producer);
    ledger.close().unwrap();
    let report = verify(root.path()).unwrap();
    assert_eq!(report.verdict, Verdict::Intact, "{report:?}");
    let now = leaves(root.path());
    assert!(now.len() > promised.len());
    assert_eq!(
        &now[..promised.len()],
        promised,
        "a promised record is gone"
    );
    nothing_lost_in_silence(root.path());
    Some(ops)
}

/// Every tail that was cut off is named by a record.
fn nothing_lost_in_silence(root: &Path) {
    let folder = root.join("quarantine");
    if !folder.exists() {
        return;
    }
    let mut lines = DirectoryLines::open(root).unwrap();
    let (mut named, mut scratch) = (Vec::new(), Vec::new());
    while let Some((_, line)) = lines.next().unwrap() {
        let record = Record::check(line.bytes, &mut scratch).unwrap();
        named.extend(record.text("torn_file").map(str::to_owned));
    }
    let reported: Vec<Vec<u8>> = named
        .iter()
        .map(|name| fs::read(root.join(name)).unwrap())
        .collect();
    for (path, bytes) in files(&folder) {
        // What stood behind the last good head is kept as well, and in no record: no record is in it.
        let of_heads = file_name(&path).starts_with("heads-");
        if path.extension().is_some_and(|end| end == "bin") && !of_heads {
            // As it is, or as the beginning of a later one that took it in.
            let known = reported.iter().any(|kept| kept.starts_with(&bytes));
            assert!(known, "{} is in no record", path.display());
        }
    }
}

fn unchanged(root: &Path, image: &Image) -> Result<(), String> {
    let now: BTreeMap<PathBuf, Vec<u8>> = files(root)
        .into_iter()
        .map(|(path, bytes)| (path.strip_prefix(root).unwrap().to_path_buf(), bytes))
        .collect();
    let changed = now
        .iter()
        .find(|(name, bytes)| image.files.get(*name) != Some(*bytes));
    match changed {
        Some((name, _)) => Err(format!("{} was changed", name.display())),
        None if now.len() == image.files.len() => Ok(()),
        None => Err("a file is gone".to_owned()),
    }
}

/// Operations with their paths below `/`, whatever folder they were done in.
fn rebased(ops: Vec<Op>, root: &Path) -> Vec<Op> {
    let to = |path: PathBuf| Path::new("/").join(path.strip_prefix(root).unwrap());
    let rebase = |op| match op {
        Op::Open(id, path, emptied) => Op::Open(id, to(path), emptied),
        Op::Truncate(path, len) => Op::Truncate(to(path), len),
        Op::SyncPath(path) => Op::SyncPath(to(path)),
        Op::Rename(from, into) => Op::Rename(to(from), to(into)),
        Op::Remove(path) => Op::Remove(to(path)),
        Op::Folder(path) => Op::Folder(to(path)),
        Op::SyncFolder(path) => Op::SyncFolder(to(path)),
        other => other,
    };
    ops.into_iter().map(rebase).collect()
}

/// Crashes a recovery at each of its operations.
fn crash_again(image: &Image, ops: &[Op], promised: &[Hash], seed: u64, tally: &mut Tally) {
    let mut random = Random(seed);
    let root = Path::new("/");
    let mut machine = Machine::with(root, image);
    for (at, op) in ops.iter().enumerate() {
        machine.apply(op);
        let mode = [Mode::Mixed, Mode::Lost, Mode::Kept][at % 3];
        let left = machine.crashed(root, mode, &mut random);
        tally.again += 1;
        recovered(&left, promised, 101, tally);
    }
}

/// `full` takes every point, else some: more of those with unsynced bytes.
fn crash_everywhere(seed: u64, full: bool, tally: &mut Tally) {
    let story = story(seed);
    let root = story.root.path();
    let mut random = Random(!seed);
    let mut machine = Machine::default();
    for (at, op) in story.ops.iter().enumerate() {
        machine.apply(op);
        tally.points += 1;
        let every = if machine.has_unsynced_bytes() { 16 } else { 64 };
        if !full && at % every != 0 {
            continue;
        }
        let kept = story.promises.iter().rev().find(|p| p.ops <= at + 1);
        let promised = &story.leaves[..kept.map_or(0, |kept| kept.records as usize)];
        for mode in [Mode::Lost, Mode::Kept, Mode::Mixed, Mode::Mixed] {
            let image = machine.crashed(root, mode, &mut random);
            tally.images += 1;
            let ops = recovered(&image, promised, 100, tally);
            if mode == Mode::Mixed
                && let Some(ops) = ops
            {
                crash_again(&image, &ops, promised, random.next(), tally);
            }
        }
    }
}

// R198, R282
#[test]
fn a_crash_at_any_operation_loses_nothing_that_was_promised() {
    let seeds = std::env::var("TIDEGATE_CRASH_SEEDS").ok();
    let full = seeds.as_ref().and_then(|seeds| seeds.parse().ok());
    let mut tally = Tally::default();
    for seed in 0..full.unwrap_or(1) {
        crash_everywhere(seed, full.is_some(), &mut tally);
        println!("seed {seed}: {tally}");
    }
    assert!(tally.recovered > 0 && tally.torn > 0, "{tally:?}");
}

#[test]
fn the_machine_forgets_only_what_was_not_synced() {
    let dir = scratch();
    let disk = Disk::default();
    disk.journal.switch_on();
    let name = dir.path().join("a");
    let file = disk.create(&name).unwrap();
    file.write_all(b"one").unwrap();
    file.sync().unwrap();
    disk.sync_folder(dir.path()).unwrap();
    file.write_all(b"two").unwrap();
    disk.rename(&name, &dir.path().join("b")).unwrap();
    let mut machine = Machine::default();
    disk.journal.ops().iter().for_each(|op| machine.apply(op));
    let left = |mode| machine.crashed(dir.path(), mode, &mut Random(1)).files;
    let file = |name: &str, bytes: &[u8]| BTreeMap::from([(PathBuf::from(name), bytes.to_vec())]);
    assert_eq!(left(Mode::Lost), file("a", b"one"));
    assert_eq!(left(Mode::Kept), file("b", b"onetwo"));
    for seed in 0..200 {
        let image = machine.crashed(dir.path(), Mode::Mixed, &mut Random(seed));
        let (name, bytes) = image.files.first_key_value().unwrap();
        assert!(name == Path::new("a") || name == Path::new("b"));
        assert!(bytes.starts_with(b"one") && bytes.len() <= 6);
    }
}
