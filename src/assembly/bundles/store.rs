//! What a gateway keeps of bundles: files in `state_dir/bundle`, each whole or not at all.
//!
//! `current.json` is the bundle at the high-water mark, `previous.json` the one that was in force
//! before, `high_water.json` the mark, `root.N.json` the roots after the pinned one. The order of the
//! writes is what makes a crash harmless: the bundle first, the mark last, and the files before
//! it under names of their own until all is done. So what stands at the mark is always here.
//! Files are read once, from one descriptor, through no link; nothing here is believed unverified.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use crate::bundle::envelope::ENVELOPE_BYTES_MAX;
use crate::ledger::{HighWater, RootMark};

const CURRENT: &str = "current.json";
const PREVIOUS: &str = "previous.json";
const MARK: &str = "high_water.json";
/// What `current.json` and `previous.json` were, while a bundle is being put in force.
const CURRENT_BEFORE: &str = "current.before.json";
const PREVIOUS_BEFORE: &str = "previous.before.json";

/// The form of the mark.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MarkForm {
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    root_digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    root_version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<u64>,
}

/// What `high_water.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Marks {
    pub(super) bundle: Option<HighWater>,
    pub(super) root: Option<RootMark>,
}

/// The files of one gateway.
#[derive(Debug)]
pub(super) struct Store {
    dir: PathBuf,
    /// The newest root that held, which stands beside every mark.
    root: Option<RootMark>,
}

impl Store {
    /// The folder, made where it is not there.
    pub(super) fn open(state_dir: &Path) -> io::Result<Self> {
        let dir = state_dir.join("bundle");
        match DirBuilder::new().mode(0o750).create(&dir) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                if !fs::symlink_metadata(&dir)?.is_dir() {
                    return Err(io::Error::other("'bundle' in it is not a folder"));
                }
            }
            made => made?,
        }
        Ok(Self { dir, root: None })
    }

    /// What may be the bundle at the mark, the likeliest first.
    pub(super) fn candidates(&self) -> Vec<(&'static str, io::Result<Vec<u8>>)> {
        self.all_of(&[CURRENT, CURRENT_BEFORE, PREVIOUS])
    }

    /// What may be the bundle before the one in force.
    pub(super) fn befores(&self) -> Vec<(&'static str, io::Result<Vec<u8>>)> {
        self.all_of(&[PREVIOUS, PREVIOUS_BEFORE])
    }

    fn all_of(&self, names: &[&'static str]) -> Vec<(&'static str, io::Result<Vec<u8>>)> {
        let found = names.iter().map(|name| (*name, self.read(name)));
        let there = found.filter_map(|(name, read)| Some((name, read.transpose()?)));
        there.collect()
    }

    /// The marks; nothing where there are none.
    pub(super) fn marks(&self) -> io::Result<Marks> {
        let Some(bytes) = self.read(MARK)? else {
            return Ok(Marks::default());
        };
        let form: MarkForm = serde_json::from_slice(&bytes)
            .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        let bundle = match (form.epoch, form.serial, form.digest) {
            (None, None, None) => None,
            (Some(epoch), Some(serial), Some(digest)) => Some(HighWater {
                epoch,
                serial,
                digest,
            }),
            _ => return Err(incomplete()),
        };
        let root = match (form.root_version, form.root_digest) {
            (None, None) => None,
            (Some(version), Some(digest)) => Some(RootMark { version, digest }),
            _ => return Err(incomplete()),
        };
        Ok(Marks { bundle, root })
    }

    /// Writes that root beside the mark, here and from here on.
    pub(super) fn remember_root(
        &mut self,
        root: Option<RootMark>,
        mark: Option<&HighWater>,
    ) -> io::Result<()> {
        self.root = root;
        self.write_marks(mark)
    }

    /// Takes a root away that was kept and cannot hold.
    pub(super) fn drop_root(&self, version: u64) -> io::Result<()> {
        remove(&self.path(&root_name(version)))?;
        self.sync()
    }

    /// The root of that version, where it came after the pinned one.
    pub(super) fn root(&self, version: u64) -> io::Result<Option<Vec<u8>>> {
        self.read(&root_name(version))
    }

    /// Keeps a root.
    pub(super) fn keep_root(&self, version: u64, bytes: &[u8]) -> io::Result<()> {
        self.write(&root_name(version), bytes)
    }

    /// Keeps a bundle that is about to come into force, and the one before it; durable on return.
    /// To be followed by [`Store::settle`] or [`Store::undo`]; after an error all is as it was, as far
    /// as the disk allows.
    pub(super) fn keep(
        &self,
        in_force: Option<&[u8]>,
        new: &[u8],
        mark: &HighWater,
        mark_before: Option<&HighWater>,
    ) -> io::Result<()> {
        self.set_aside(CURRENT, CURRENT_BEFORE)?;
        self.set_aside(PREVIOUS, PREVIOUS_BEFORE)?;
        self.sync()?;
        let kept = self.replace(in_force, new, mark);
        if kept.is_err() {
            self.undo(mark_before)?;
        }
        kept
    }

    fn replace(&self, in_force: Option<&[u8]>, new: &[u8], mark: &HighWater) -> io::Result<()> {
        if let Some(in_force) = in_force {
            self.write(PREVIOUS, in_force)?;
        }
        self.write(CURRENT, new)?;
        self.write_marks(Some(mark))
    }

    /// Puts in order what a crash within [`Store::keep`] left, once it is known which of the
    /// candidates stands at the mark.
    pub(super) fn recover(&self, at_mark: &str, mark: Option<&HighWater>) -> io::Result<()> {
        if at_mark == CURRENT_BEFORE {
            return self.undo(mark);
        }
        let is_between = self.path(PREVIOUS_BEFORE).exists()
            && at_mark == CURRENT
            && self.read(PREVIOUS)? == self.read(CURRENT)?;
        if is_between {
            self.bring_back(PREVIOUS_BEFORE, PREVIOUS)?;
        }
        if at_mark == PREVIOUS
            && let Some(bytes) = self.read(PREVIOUS)?
        {
            // What stands in its place is not the bundle at the mark.
            self.write(CURRENT, &bytes)?;
        }
        self.settle();
        Ok(())
    }

    /// All is as it was before a [`Store::keep`] that succeeded, with the mark as it was.
    pub(super) fn undo(&self, mark: Option<&HighWater>) -> io::Result<()> {
        self.write_marks(mark)?;
        self.bring_back(CURRENT_BEFORE, CURRENT)?;
        self.bring_back(PREVIOUS_BEFORE, PREVIOUS)?;
        self.sync()
    }

    /// What was before is not needed any more. A failure leaves files that the next one removes.
    pub(super) fn settle(&self) {
        let removed = [CURRENT_BEFORE, PREVIOUS_BEFORE].map(|name| remove(&self.path(name)));
        for error in removed.into_iter().filter_map(Result::err) {
            tracing::warn!(event = "bundle_not_settled", %error);
        }
    }

    /// Puts the bundle before the one at the mark back where somebody took it away.
    pub(super) fn keep_before(&self, bytes: &[u8]) -> io::Result<()> {
        let kept = self.befores();
        let is_here =
            |(_, read): &(_, io::Result<Vec<u8>>)| read.as_ref().is_ok_and(|k| k == bytes);
        if kept.iter().any(is_here) {
            return Ok(());
        }
        self.write(PREVIOUS, bytes)
    }

    /// Writes the marks alone: the ledger may know higher ones.
    pub(super) fn write_marks(&self, mark: Option<&HighWater>) -> io::Result<()> {
        if mark.is_none() && self.root.is_none() {
            return remove(&self.path(MARK));
        }
        let root = self.root.as_ref();
        let form = MarkForm {
            digest: mark.map(|mark| mark.digest.clone()),
            epoch: mark.map(|mark| mark.epoch),
            root_digest: root.map(|root| root.digest.clone()),
            root_version: root.map(|root| root.version),
            serial: mark.map(|mark| mark.serial),
        };
        let bytes = serde_json::to_vec(&form).map_err(io::Error::other)?;
        self.write(MARK, &bytes)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The same file under another name, so that what it held is there whatever comes next.
    fn set_aside(&self, name: &str, aside: &str) -> io::Result<()> {
        remove(&self.path(aside))?;
        match fs::hard_link(self.path(name), self.path(aside)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            // Some file systems know one name for each file.
            Err(_) => self.copy_aside(name, aside),
            Ok(()) => Ok(()),
        }
    }

    fn copy_aside(&self, name: &str, aside: &str) -> io::Result<()> {
        match self.read(name)? {
            Some(bytes) => self.write(aside, &bytes),
            None => Ok(()),
        }
    }

    fn bring_back(&self, aside: &str, name: &str) -> io::Result<()> {
        match fs::rename(self.path(aside), self.path(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => remove(&self.path(name)),
            // Two names of one file stay two names.
            renamed => renamed.and_then(|()| remove(&self.path(aside))),
        }
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match read_regular(&self.path(name), OFlags::NOFOLLOW) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let unfinished = self.path(&format!("{name}.tmp"));
        // What a crash left there, or a link that somebody put there, is not written through.
        remove(&unfinished)?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o640)
            .open(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, self.path(name))?;
        self.sync()
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }
}

/// Reads a regular file of at most one byte more than a bundle may have; once, from one descriptor.
pub(super) fn read_regular(path: &Path, flags: OFlags) -> io::Result<Vec<u8>> {
    // Opening a named pipe would wait for a writer.
    let flags = (flags | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("this is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(ENVELOPE_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn incomplete() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "a member is missing")
}

fn root_name(version: u64) -> String {
    format!("root.{version}.json")
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(serial: u64) -> HighWater {
        HighWater {
            epoch: 1,
            serial,
            digest: format!("{serial:064x}"),
        }
    }

    fn texts(found: Vec<(&'static str, io::Result<Vec<u8>>)>) -> Vec<String> {
        let text = |read: io::Result<Vec<u8>>| String::from_utf8(read.unwrap()).unwrap();
        found.into_iter().map(|(_, read)| text(read)).collect()
    }

    fn open() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        (folder, store)
    }

    #[test]
    fn what_is_undone_is_as_it_was() {
        let (_folder, store) = open();
        store.keep(None, b"one", &mark(1), None).unwrap();
        store.undo(None).unwrap();
        assert!(store.candidates().is_empty() && store.marks().unwrap() == Marks::default());
        store.keep(None, b"one", &mark(1), None).unwrap();
        store.settle();
        store.keep(Some(b"one"), b"two", &mark(2), None).unwrap();
        store.settle();
        for _ in 0..2 {
            store.keep(Some(b"two"), b"three", &mark(3), None).unwrap();
            store.undo(Some(&mark(2))).unwrap();
            assert_eq!(texts(store.candidates()), ["two", "one"]);
            assert_eq!(texts(store.befores()), ["one"]);
            assert_eq!(store.marks().unwrap().bundle, Some(mark(2)));
        }
        // The one in force came back: it is not what stands at the mark.
        store.keep(Some(b"one"), b"three", &mark(3), None).unwrap();
        store.settle();
        assert_eq!(texts(store.candidates()), ["three", "one"]);
    }

    #[test]
    fn what_stands_at_the_mark_survives_a_crash_at_any_write() {
        // Each step leaves the folder as a crash right after it would.
        let steps: [fn(&Store) -> io::Result<()>; 6] = [
            |_| Ok(()),
            |store| store.set_aside(CURRENT, CURRENT_BEFORE),
            |store| store.set_aside(PREVIOUS, PREVIOUS_BEFORE),
            |store| store.write(PREVIOUS, b"two"),
            |store| fs::write(store.path("current.json.tmp"), b"thr"),
            |store| store.write(CURRENT, b"three"),
        ];
        for crashed in 1..=steps.len() {
            let (_folder, store) = open();
            store.keep(None, b"one", &mark(1), None).unwrap();
            store.keep(Some(b"one"), b"two", &mark(2), None).unwrap();
            store.settle();
            for step in &steps[..crashed] {
                step(&store).unwrap();
            }
            assert_eq!(store.marks().unwrap().bundle, Some(mark(2)));
            let kept = texts(store.candidates());
            assert!(kept.contains(&"two".to_owned()), "{crashed}: {kept:?}");
            let befores = texts(store.befores());
            assert!(befores.contains(&"one".to_owned()), "{crashed}");
            let is_at_mark = |(_, read): &(_, io::Result<Vec<u8>>)| {
                read.as_ref().is_ok_and(|bytes| bytes == b"two")
            };
            let found = store.candidates().into_iter().find(is_at_mark).unwrap();
            store.recover(found.0, Some(&mark(2))).unwrap();
            assert_eq!(texts(store.candidates()), ["two", "one"], "{crashed}");
            assert_eq!(texts(store.befores()), ["one"], "{crashed}");
        }
    }

    #[test]
    fn a_copy_serves_where_a_file_has_one_name() {
        let (_folder, store) = open();
        store.keep(None, b"one", &mark(1), None).unwrap();
        store.settle();
        store.copy_aside(CURRENT, CURRENT_BEFORE).unwrap();
        store.copy_aside(PREVIOUS, PREVIOUS_BEFORE).unwrap();
        store.replace(Some(b"one"), b"two", &mark(2)).unwrap();
        assert_eq!(texts(store.candidates()), ["two", "one", "one"]);
        store.undo(Some(&mark(1))).unwrap();
        assert_eq!(texts(store.candidates()), ["one"]);
        assert_eq!(store.marks().unwrap().bundle, Some(mark(1)));
        // No link can be made to a folder: whatever the reason, what follows is the copy.
        fs::create_dir(store.path("folder")).unwrap();
        assert!(store.set_aside("folder", "aside").is_err());
        store.keep_before(b"zero").unwrap();
        store.keep_before(b"zero").unwrap();
        assert_eq!(texts(store.befores()), ["zero"]);
    }

    #[test]
    fn no_link_and_no_pipe_is_read_or_written_through() {
        let (folder, store) = open();
        let victim = folder.path().join("victim");
        fs::write(&victim, "mine").unwrap();
        std::os::unix::fs::symlink(&victim, store.path(CURRENT)).unwrap();
        assert!(store.candidates().iter().all(|(_, read)| read.is_err()));
        std::os::unix::fs::symlink(&victim, store.path("current.json.tmp")).unwrap();
        store.write(CURRENT, b"one").unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"mine");
        assert_eq!(texts(store.candidates()), ["one"]);
        fs::write(
            store.path(MARK),
            r#"{"digest":"a","epoch":1,"serial":1,"x":1}"#,
        )
        .unwrap();
        assert!(store.marks().is_err());
        let elsewhere = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(folder.path(), elsewhere.path().join("bundle")).unwrap();
        assert!(Store::open(elsewhere.path()).is_err());
    }

    #[test]
    fn the_newest_root_stands_beside_every_mark() {
        let (_folder, mut store) = open();
        let root = RootMark {
            version: 2,
            digest: "r".to_owned(),
        };
        let check = |store: &Store, bundle: Option<HighWater>| {
            let root = Some(root.clone());
            assert_eq!(store.marks().unwrap(), Marks { bundle, root });
        };
        store.remember_root(Some(root.clone()), None).unwrap();
        check(&store, None);
        store.keep(None, b"one", &mark(1), None).unwrap();
        check(&store, Some(mark(1)));
        store.undo(None).unwrap();
        check(&store, None);
        for half in [r#"{"epoch":1,"serial":1}"#, r#"{"root_version":1}"#] {
            fs::write(store.path(MARK), half).unwrap();
            assert!(store.marks().is_err(), "{half}");
        }
    }
}
