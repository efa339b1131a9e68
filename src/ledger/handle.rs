//! The ledger as the rest of the program holds it: start, flush, close, gauges.
//!
//! Invariant: `start` returns only when the rulebook and the `open` record that names it are durable
//! and both threads run, so a ledger that cannot be written is an error at start and never a surprise
//! at the first request.

use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::chain::Chain;
use super::clock::wall_us;
use super::directory::Directory;
use super::disk::Disk;
use super::entry::EntryBuilder;
use super::error::LedgerError;
use super::frame::BootId;
use super::output::Output;
use super::recovery::{Found, TornTail, find};
use super::ring::{Consumer, Source};
use super::rulebooks;
use super::segment::Segment;
use super::stats::{RingMark, Snapshot, Stats};
use super::sync::Syncer;
use super::writer::{Ack, Control, Writer};

/// How long `close` waits for the writer, which itself gives up after 5 s.
const CLOSE_PATIENCE: Duration = Duration::from_secs(7);

/// Where the ledger lies and how it is kept.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(super) dir: PathBuf,
    pub(super) sync_every: Duration,
    pub(super) disk: Disk,
}

impl Settings {
    /// A ledger in `dir`, made durable every 100 ms.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            sync_every: Duration::from_millis(100),
            disk: Disk::default(),
        }
    }

    /// The longest a written record waits for its sync (while the disk answers).
    #[must_use]
    pub const fn sync_interval(mut self, interval: Duration) -> Self {
        self.sync_every = interval;
        self
    }
}

/// What the `open` record says about this start.
#[derive(Debug, Clone)]
pub struct OpenFacts {
    /// This start; the same id stands in the decision ids.
    pub boot: BootId,
    /// The name of this instance; also the name in the ledger's `origin`.
    pub instance: String,
    /// The version of the program.
    pub version: String,
    /// The content digest of the rulebook in force: SHA-256 of its bytes, 64 hex digits.
    pub policy_hash: String,
    /// The id of the client key, where there is one.
    pub client_key_id: Option<String>,
}

/// What `start` found in the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// Records that the chain had before, those of older segments that are gone included.
    pub records: u64,
    /// The torn tail that was cut off and kept.
    pub torn: Option<TornTail>,
    /// True when records were there and the last of them was not a `close`.
    pub unclosed: bool,
}

/// A running ledger.
#[derive(Debug)]
pub struct Ledger {
    dir: PathBuf,
    disk: Disk,
    control: Sender<Control>,
    stats: Arc<Stats>,
    recovered: Recovered,
    writer: Mutex<Option<JoinHandle<()>>>,
    waker: thread::Thread,
}

impl Ledger {
    /// Locks and checks the directory, makes the rulebook and then the `open` record that names it
    /// durable, and starts the writer. `rulebook` are the bytes whose digest is
    /// [`OpenFacts::policy_hash`]; `encode` pushes the members of one event's record, `kind` and
    /// `ts_us` among them.
    ///
    /// # Errors
    /// Every reason why a ledger cannot be continued there. No record was changed then; a torn tail
    /// may have been moved to `quarantine/`, and where the system gives no thread for the writer
    /// the `open` record stands.
    pub fn start<E, F>(
        settings: &Settings,
        facts: &OpenFacts,
        rulebook: &[u8],
        rings: Vec<Consumer<E>>,
        encode: F,
    ) -> Result<Self, LedgerError>
    where
        E: Send + 'static,
        F: FnMut(&mut EntryBuilder<'_>, Source, &E) + Send + 'static,
    {
        let directory = Directory::lock(&settings.dir)?;
        let found = find(&settings.disk, &directory)?;
        let recovered = Recovered {
            records: found.as_ref().map_or(0, |found| found.chain.next_seq()),
            torn: found.as_ref().and_then(|found| found.torn.clone()),
            unclosed: found.as_ref().is_some_and(|found| !found.closed),
        };
        let syncer = Syncer::start(&settings.disk).map_err(|e| no_thread("ledger-sync", &e))?;
        // Before the record, so that no crash leaves a record without the rulebook that it names.
        rulebooks::keep(&settings.disk, &settings.dir, &facts.policy_hash, rulebook)?;
        let (chain, segment) = match found {
            None => genesis(settings, &directory, facts)?,
            Some(found) => resume(settings, &directory, facts, found)?,
        };
        let counts = rings.iter().map(|ring| Arc::clone(&ring.counts)).collect();
        let stats = Arc::new(Stats::new(counts));
        stats.publish(chain.next_seq(), chain.next_seq(), None);
        stats.set_head(chain.head());
        let (control, inbox) = mpsc::channel();
        let (owned, shared, boot) = (settings.clone(), Arc::clone(&stats), facts.boot);
        let writer = thread::Builder::new()
            .name("ledger-writer".to_owned())
            .spawn(move || {
                let output = Output::new(&owned, chain, segment, syncer);
                Writer::new(boot, rings, encode, output, inbox, shared).run();
                // The lock is held until the last byte is written.
                drop(directory);
            })
            .map_err(|e| no_thread("ledger-writer", &e))?;
        Ok(Self {
            dir: settings.dir.clone(),
            disk: settings.disk.clone(),
            control,
            stats,
            recovered,
            waker: writer.thread().clone(),
            writer: Mutex::new(Some(writer)),
        })
    }

    /// What `start` found.
    #[must_use]
    pub const fn recovered(&self) -> &Recovered {
        &self.recovered
    }

    /// The gauges; never waits for the writer.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.stats.snapshot()
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

    /// Waits until everything pushed before the call is durable.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] when that takes longer than `patience`.
    pub fn flush(&self, patience: Duration) -> Result<u64, LedgerError> {
        self.ask(Control::Flush, patience)
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

    /// Drains the rings, writes `close`, makes it durable and ends the threads. To be called when
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
        let closed = self.ask(Control::Close, CLOSE_PATIENCE);
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

fn no_thread(name: &str, error: &std::io::Error) -> LedgerError {
    LedgerError::Unavailable(format!(
        "cannot start thread {name}: {error}; raise the limit of processes of this user"
    ))
}

/// Starts a chain: first segment with the genesis in it, then the origin.
fn genesis(
    settings: &Settings,
    directory: &Directory,
    facts: &OpenFacts,
) -> Result<(Chain, Segment), LedgerError> {
    let mut nonce = [0_u8; 16];
    getrandom::fill(&mut nonce)
        .map_err(|e| LedgerError::Unavailable(format!("no random numbers: {e}")))?;
    let mut chain = Chain::genesis();
    let mut line = Vec::new();
    chain.append(&mut line, |e| {
        open_members(e, facts, Opening::Genesis(nonce))
    });
    let segment = Segment::create(&settings.disk, directory.path(), 0, &line, true)
        .map_err(|e| LedgerError::io("creating the first segment in", &settings.dir, e))?;
    put_origin(&settings.disk, directory, facts, chain.head())?;
    Ok((chain, segment))
}

/// Continues a chain: the start is recorded before anything else.
fn resume(
    settings: &Settings,
    directory: &Directory,
    facts: &OpenFacts,
    found: Found,
) -> Result<(Chain, Segment), LedgerError> {
    if let Some(genesis) = &found.genesis {
        check_origin(&settings.disk, directory, facts, genesis)?;
    }
    let mut chain = found.chain.clone();
    let path = found.segment.path.clone();
    let segment = Segment::resume(&settings.disk, found.segment.clone(), found.len)
        .map_err(|e| LedgerError::io("opening", &path, e))?;
    let mut line = Vec::new();
    chain.append(&mut line, |e| {
        open_members(e, facts, Opening::Resumed(&found))
    });
    segment
        .append_durably(&line)
        .map_err(|e| LedgerError::io("writing", &path, e))?;
    Ok((chain, segment))
}

fn put_origin(
    disk: &Disk,
    directory: &Directory,
    facts: &OpenFacts,
    genesis: &[u8],
) -> Result<(), LedgerError> {
    let id = String::from_utf8_lossy(genesis.get(..16).unwrap_or_default()).into_owned();
    let text = format!(
        "{}/{id}
",
        facts.instance
    );
    disk.put(directory.path(), "origin", text.as_bytes())
}

/// The origin names this very chain; a crash right after the genesis may have kept it from being
/// written, so a missing one is made up for.
fn check_origin(
    disk: &Disk,
    directory: &Directory,
    facts: &OpenFacts,
    genesis: &str,
) -> Result<(), LedgerError> {
    let path = directory.path().join("origin");
    match std::fs::read_to_string(&path) {
        Ok(text) if origin_matches(&text, genesis) => Ok(()),
        Ok(_) => Err(LedgerError::NotALedger {
            path,
            rule: "origin ends in the first 16 digits of the genesis hash",
            remedy: "bring the right origin or the right segments back, or move the directory aside as evidence and start again",
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            put_origin(disk, directory, facts, genesis.as_bytes())
        }
        Err(error) => Err(LedgerError::io("reading", &path, error)),
    }
}

/// `<name>/<first 16 hex of the genesis hash>` and a newline.
pub(super) fn origin_matches(text: &str, genesis: &str) -> bool {
    text.strip_suffix('\n')
        .and_then(|origin| origin.rsplit_once('/'))
        .is_some_and(|(name, id)| !name.is_empty() && genesis.get(..16) == Some(id))
}

/// Where in its life the ledger is opened.
enum Opening<'a> {
    Genesis([u8; 16]),
    Resumed(&'a Found),
}

fn open_members(entry: &mut EntryBuilder<'_>, facts: &OpenFacts, opening: Opening<'_>) {
    entry.text("boot", &facts.boot.to_string());
    if let Some(id) = &facts.client_key_id {
        entry.text("client_key_id", id);
    }
    entry.text("instance", &facts.instance);
    entry.text("kind", "open");
    if let Opening::Genesis(nonce) = &opening {
        entry.hex("nonce", nonce);
    }
    entry.text("policy_hash", &facts.policy_hash);
    if let Opening::Resumed(found) = opening {
        if let Some(boot) = &found.boot {
            entry.text("previous_boot", boot);
        }
        entry.flag("previous_closed", found.closed);
        if let Some(torn) = &found.torn {
            entry.uint("torn_bytes", torn.bytes);
            entry.text("torn_file", &torn.file);
            entry.text("torn_sha256", &torn.sha256);
        }
    }
    entry.uint("ts_us", wall_us());
    entry.text("version", &facts.version);
}
