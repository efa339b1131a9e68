//! A disk that remembers what was synced, and what a crash may leave of the rest.

use super::*;

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
pub(super) struct Machine {
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
    pub(super) fn with(root: &Path, image: &Image) -> Self {
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

    pub(super) fn apply(&mut self, op: &Op) {
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

    pub(super) fn has_unsynced_bytes(&self) -> bool {
        let write = |(_, change): &(usize, Change)| matches!(change, Change::Write(_));
        let mut changes = self.inodes.iter().flat_map(|inode| &inode.changes);
        changes.any(write)
    }

    /// A state that a crash now may leave.
    pub(super) fn crashed(&self, root: &Path, mode: Mode, random: &mut Random) -> Image {
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
pub(super) enum Mode {
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
