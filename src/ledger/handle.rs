//! The ledger as the rest of the program holds it: records, flush, close, gauges.
//!
//! Invariant: nothing here waits longer than the patience it is given. Deliberately not here: how it
//! is begun (`starting`), and what it is kept with (`settings`).

mod counting;
mod late;
mod starting;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::disk::Disk;
use super::entry::EntryBuilder;
use super::error::LedgerError;
use super::facts::Recovered;
use super::frame::BootId;
use super::rulebooks;
use super::stats::{Kept, RingMark, Snapshot, Stats};
use super::waiting;
use super::writer::{Ack, Control};

pub use starting::Start;

/// How long `close` waits for the writer, which itself gives up after 5 s.
const CLOSE_PATIENCE: Duration = Duration::from_secs(7);

/// A running ledger.
#[derive(Debug)]
pub struct Ledger {
    boot: BootId,
    dir: PathBuf,
    disk: Disk,
    control: Sender<Control>,
    stats: Arc<Stats>,
    recovered: Arc<OnceLock<Recovered>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    waker: thread::Thread,
}

impl Ledger {
    /// What `start` found; nothing while another process still has the ledger.
    #[must_use]
    pub fn recovered(&self) -> &Recovered {
        static NOTHING: Recovered = Recovered {
            records: 0,
            torn: None,
            damaged: None,
            unclosed: false,
            unaccounted: None,
            moved: false,
            heads_missing: false,
        };
        self.recovered.get().unwrap_or(&NOTHING)
    }

    /// Whether the ledger is this process': always, but for one that takes over from another.
    #[must_use]
    pub fn is_had(&self) -> bool {
        self.recovered.get().is_some()
    }

    /// This start.
    #[must_use]
    pub const fn boot(&self) -> BootId {
        self.boot
    }

    /// The gauges; never waits for the writer.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.stats.snapshot()
    }

    /// Whether the writer's thread lives: false after a panic, and after [`Self::close`].
    #[must_use]
    pub fn is_writing(&self) -> bool {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Where it lies.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) const fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Tells what the keeper knows, for the gauges.
    pub(super) fn set_kept(&self, kept: Kept) {
        self.stats.set_kept(kept);
    }

    /// Tells whether the disk budget is exceeded; while it is, admitted requests are counted in
    /// place of their lines.
    pub fn set_over_budget(&self, is_over: bool) {
        self.stats.set_over_budget(is_over);
    }

    /// How far the rings are filled now.
    #[must_use]
    pub fn mark(&self) -> RingMark {
        self.stats.mark()
    }

    /// Whether every event that was in a ring at that moment has been encoded.
    #[must_use]
    pub fn has_taken(&self, mark: &RingMark) -> bool {
        self.stats.has_taken(mark)
    }

    /// Chains a record that is not a request's (`kind` and `ts_us` included) and waits until it
    /// is durable. Returns the number below which all records are durable.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] when that takes longer than `patience`; the record may still
    /// become durable later.
    pub fn record(
        &self,
        members: impl FnOnce(&mut EntryBuilder<'_>) + Send + 'static,
        patience: Duration,
    ) -> Result<u64, LedgerError> {
        self.ask(|ack| Control::Record(Box::new(members), ack), patience)
    }

    /// Chains such a record without waiting for it: for whoever must not stand behind a disk. It is
    /// synced as soon as the disk allows.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] when the writer has ended.
    pub fn note(
        &self,
        members: impl FnOnce(&mut EntryBuilder<'_>) + Send + 'static,
    ) -> Result<(), LedgerError> {
        let (ack, _) = mpsc::channel();
        let sent = self.control.send(Control::Record(Box::new(members), ack));
        self.waker.unpark();
        sent.map_err(|_| LedgerError::Unavailable("the ledger's writer has ended".to_owned()))
    }

    /// Waits until everything pushed before the call is durable.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] when that takes longer than `patience`.
    pub fn flush(&self, patience: Duration) -> Result<u64, LedgerError> {
        self.ask(Control::Flush, patience)
    }

    /// Waits until a signed checkpoint covers the record `seq`, and its note is durable; asks for one
    /// rather than waiting for its time. Returns the size that it covers. Where the last records up
    /// to `seq` are checkpoints, covering those before them is enough: so the number before the one
    /// that [`Self::record`] returns is always good to ask for.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] when that takes longer than `patience`, and for a ledger
    /// without a key.
    pub fn await_signed(&self, seq: u64, patience: Duration) -> Result<u64, LedgerError> {
        self.ask(|ack| Control::AwaitSigned(seq, ack), patience)
    }

    /// Keeps another rulebook, which records to come will name by `digest` (64 hex digits), beside
    /// them; durable on return. On the caller's thread, so the writer goes on meanwhile.
    ///
    /// # Errors
    /// What the system answers; [`LedgerError::NotALedger`] for a digest that is not that of
    /// `bytes`, and for a file of that name that holds something else.
    pub fn persist_rulebook(&self, digest: &str, bytes: &[u8]) -> Result<(), LedgerError> {
        rulebooks::keep(&self.disk, &self.dir, digest, bytes)
    }

    /// Drains the rings, writes `close`, makes it durable and, with a key, signed, and ends the threads. To be called when
    /// the workers have dropped their producers. Later calls do nothing.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] with the number of records that could not be made durable.
    pub fn close(&self) -> Result<(), LedgerError> {
        let writer = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(writer) = writer else {
            return Ok(());
        };
        self.stats.set_closing();
        let more = if self.is_had() {
            Duration::ZERO
        } else {
            waiting::PATIENCE
        };
        let closed = self.ask(Control::Close, CLOSE_PATIENCE + more);
        if !self.is_had() && self.snapshot().ok {
            // It never was this process', and nothing was to be written into it.
            return Ok(());
        }
        if closed.is_ok() && writer.join().is_err() {
            return Err(LedgerError::Unavailable("the writer panicked".to_owned()));
        }
        closed.map(|_| ())
    }

    fn ask(
        &self,
        question: impl FnOnce(Ack) -> Control,
        patience: Duration,
    ) -> Result<u64, LedgerError> {
        let (ack, answer) = mpsc::channel();
        let gone = || LedgerError::Unavailable("the ledger's writer has ended".to_owned());
        self.control.send(question(ack)).map_err(|_| gone())?;
        self.waker.unpark();
        match answer.recv_timeout(patience) {
            Ok(answer) => answer.map_err(LedgerError::Unavailable),
            Err(RecvTimeoutError::Disconnected) => Err(gone()),
            Err(RecvTimeoutError::Timeout) => Err(LedgerError::Unavailable(format!(
                "not durable after {} ms; {}",
                patience.as_millis(),
                self.snapshot().error
            ))),
        }
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        // Whoever wants to know how it ended calls `close`; here the gauges and the next start do.
        let _ = self.close();
    }
}
