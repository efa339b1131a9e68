//! When the next checkpoint is due, its signature, and the `key` record.
//!
//! Invariants: only a size whose records are durable is signed; none where only checkpoints came
//! since the last one; the next is not signed before the note of the last one is kept.
//! Not here: the tree, and the files of the notes.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::clock::{elapsed, wall_us};
use super::disk::Disk;
use super::entry::EntryBuilder;
use super::error::LedgerError;
use super::frame::BootId;
use super::jobs::Job;
use super::key::LedgerKey;
use super::merkle::Hash;
use super::note::{Checkpoint, SignedNote, VerifierKey};
use super::note_store::NoteStore;

/// The longest that durable records wait for their signature.
const INTERVAL: Duration = Duration::from_secs(1);
/// So many records more are signed before that.
const RECORDS: u64 = 65_536;
/// Between two attempts to keep a note.
const RETRY: Duration = Duration::from_millis(200);

/// A state of the log that may be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signable {
    /// All records below it are durable.
    pub(super) size: u64,
    /// The root over them.
    pub(super) root: Hash,
    /// The number after the newest of them that is not a `checkpoint`.
    pub(super) news: u64,
}

/// The key at work on one ledger.
#[derive(Debug)]
pub(super) struct Signer {
    key: LedgerKey,
    verifier: VerifierKey,
    boot: BootId,
    /// The newest size that was signed by this process.
    signed: u64,
    signed_at: Option<Duration>,
    /// A checkpoint of at least this size is due as soon as it can be.
    forced: u64,
    /// `None` while the sync thread has it.
    store: Option<NoteStore>,
    /// Signed and not kept yet.
    note: Option<(u64, String)>,
    retry_at: Duration,
    trouble: Option<String>,
}

impl Signer {
    /// A signer for the log in `dir`, whose `origin` is there.
    pub(super) fn open(
        disk: &Disk,
        dir: &Path,
        key: &LedgerKey,
        boot: BootId,
    ) -> Result<Self, LedgerError> {
        let path = dir.join("origin");
        let origin =
            fs::read_to_string(&path).map_err(|error| LedgerError::io("reading", &path, error))?;
        let verifier =
            key.verifier(origin.trim_end())
                .map_err(|rule| LedgerError::NotALedger {
                    path,
                    rule,
                    remedy: "the origin names the key that signs: set a plain instance name, and begin a new ledger",
                })?;
        Ok(Self {
            key: key.clone(),
            verifier,
            boot,
            signed: 0,
            signed_at: None,
            forced: 0,
            store: Some(NoteStore::open(disk, dir)?),
            note: None,
            retry_at: Duration::ZERO,
            trouble: None,
        })
    }

    /// Makes the public half known to verifiers. True where a `key` record has to say so: the key
    /// is new here, or a crash may have come between the two.
    pub(super) fn announce(&self, disk: &Disk, dir: &Path) -> Result<bool, LedgerError> {
        let path = dir.join("log.vkey");
        let mut known = read_or_empty(&path)?;
        let vkey = self.verifier.to_text();
        if known.lines().next_back() != Some(vkey.as_str()) {
            if !known.is_empty() && !known.ends_with('\n') {
                known.push('\n');
            }
            known.push_str(&vkey);
            known.push('\n');
            disk.put(dir, "log.vkey", known.as_bytes())?;
            return Ok(true);
        }
        let newest = read_or_empty(&dir.join("checkpoint"))?;
        let has_signed = SignedNote::parse(newest.as_bytes())
            .is_ok_and(|note| note.is_signed_by(&self.verifier));
        Ok(!has_signed)
    }

    /// The members of the `key` record.
    pub(super) fn key_members(&self, entry: &mut EntryBuilder<'_>) {
        entry.text("boot", &self.boot.to_string());
        entry.text("kind", "key");
        entry.uint("ts_us", wall_us());
        entry.text("vkey", &self.verifier.to_text());
    }

    /// Asks for a checkpoint of at least `size`, without waiting for its time.
    pub(super) fn force(&mut self, size: u64) {
        self.forced = self.forced.max(size);
    }

    /// Whether `state` is to be signed at `at`.
    pub(super) fn is_due(&self, state: &Signable, at: Duration) -> bool {
        let forced = self.forced > self.signed && state.size >= self.forced;
        let timely = self
            .signed_at
            .is_none_or(|then| at.saturating_sub(then) >= INTERVAL);
        let many = state.size.saturating_sub(self.signed) >= RECORDS;
        self.note.is_none() && state.news > self.signed && (forced || timely || many)
    }

    /// Signs `state`, whose records must be durable; the note waits for [`Self::job`].
    pub(super) fn sign(&mut self, state: &Signable) -> Option<SignedNote> {
        let checkpoint = Checkpoint {
            origin: self.verifier.name().to_owned(),
            size: state.size,
            root: state.root,
        };
        // The name was accepted when the signer was opened.
        let note = self.key.sign(&checkpoint).ok()?;
        self.signed = state.size;
        self.signed_at = Some(elapsed());
        self.note = Some((state.size, note.to_text()));
        Some(note)
    }

    /// The members of the `checkpoint` record of `note` over `state`; `accounted` is the number of
    /// values of `n` accounted for so far, by worker.
    pub(super) fn checkpoint_members(
        &self,
        entry: &mut EntryBuilder<'_>,
        state: &Signable,
        note: &SignedNote,
        accounted: &[(String, u64)],
    ) {
        let signature = note.signatures.first().map(|one| one.base64.as_str());
        entry.counts(
            "accounted",
            accounted
                .iter()
                .map(|(worker, count)| (worker.as_str(), *count)),
        );
        entry.text("boot", &self.boot.to_string());
        entry.hex("key_id", &self.verifier.id());
        entry.text("kind", "checkpoint");
        entry.hex("root", &state.root);
        entry.text("signature", signature.unwrap_or_default());
        entry.uint("size", state.size);
        entry.uint("ts_us", wall_us());
    }

    /// What the sync thread has to do for a signed note, if it is time.
    pub(super) fn job(&mut self, at: Duration) -> Option<Job> {
        let (_, note) = self.note.as_ref().filter(|_| at >= self.retry_at)?;
        let (store, note) = (self.store.take()?, note.clone());
        Some(Job::Note { store, note })
    }

    /// Takes the answer; gives size and text of the note that is kept now.
    pub(super) fn note_answered(
        &mut self,
        store: NoteStore,
        kept: Result<(), LedgerError>,
    ) -> Option<(u64, String)> {
        self.store = Some(store);
        match kept {
            Ok(()) => {
                self.trouble = None;
                self.note.take()
            }
            Err(error) => {
                self.trouble = Some(error.to_string());
                self.retry_at = elapsed() + RETRY;
                None
            }
        }
    }

    /// True while a signed note is not kept.
    pub(super) const fn is_busy(&self) -> bool {
        self.note.is_some()
    }

    /// Why the newest note cannot be kept.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }
}

fn read_or_empty(path: &Path) -> Result<String, LedgerError> {
    match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(LedgerError::io("reading", path, error)),
    }
}
