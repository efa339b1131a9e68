//! The ledger as the rest of the program holds it: start, flush, close, gauges.
//!
//! Invariant: `start` returns only when the rulebook and the `open` record that names it are durable
//! and both threads run, so a ledger that cannot be written is an error at start and never a surprise
//! at the first request.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::boot::begin;
use super::clock::elapsed;
use super::counters::Counters;
use super::directory::Directory;
use super::disk::Disk;
use super::entry::EntryBuilder;
use super::error::LedgerError;
use super::frame::BootId;
use super::high_water::{HighWater, RootMark};
use super::intake::Intake;
use super::key::LedgerKey;
use super::missing;
use super::output::{Begun, Output};
use super::pressure::{Bounds, Valve};
use super::previous::Previous;
use super::quarantine::TornTail;
use super::recovery::{DamagedRecords, Found, find};
use super::ring::{Consumer, Counts, Source};
use super::rollup::Encode;
use super::rulebooks;
use super::stats::{Kept, KeptDamage, RingMark, Snapshot, Stats};
use super::sync::Syncer;
use super::unopened::{Mark, lost_boots};
use super::waiting::{self, Waited};
use super::writer::{Ack, Control, EndGuard, Writer};

/// How long `close` waits for the writer, which itself gives up after 5 s.
const CLOSE_PATIENCE: Duration = Duration::from_secs(7);

/// When records are made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncMode {
    /// All that was written, once in this time.
    Interval(Duration),
    /// All that was written, as soon as the sync before it is done.
    Group,
    /// Each event by itself, before the next one is taken.
    Each,
}

/// Where the ledger lies and how it is kept.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(super) dir: PathBuf,
    pub(super) sync: SyncMode,
    pub(super) segment_bytes: u64,
    pub(super) segment_age: Duration,
    pub(super) key: Option<LedgerKey>,
    pub(super) disk: Disk,
    pub(super) bounds: Bounds,
}

impl Settings {
    /// A ledger in `dir`: made durable every 100 ms, in segments of 256 MiB or a day, unsigned.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            sync: SyncMode::Interval(Duration::from_millis(100)),
            segment_bytes: 256 << 20,
            segment_age: Duration::from_secs(24 * 3_600),
            key: None,
            disk: Disk::default(),
            bounds: Bounds::default(),
        }
    }

    /// Signs checkpoints with this key; without one there are none.
    #[must_use]
    pub fn signed_by(mut self, key: LedgerKey) -> Self {
        self.key = Some(key);
        self
    }

    /// The longest a written record waits for its sync (while the disk answers).
    #[must_use]
    pub const fn sync_interval(self, interval: Duration) -> Self {
        self.sync(SyncMode::Interval(interval))
    }

    /// When records are made durable.
    #[must_use]
    pub const fn sync(mut self, mode: SyncMode) -> Self {
        self.sync = mode;
        self
    }

    /// A segment that has grown to `bytes` (at least 1), or is as old as `age`, is closed; it may
    /// exceed both by what is written until the next one is ready.
    #[must_use]
    pub const fn segments(mut self, bytes: u64, age: Duration) -> Self {
        self.segment_bytes = bytes;
        self.segment_age = age;
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
    /// Where the rulebook comes from, where that is told.
    pub bundle: Option<OpenBundle>,
}

/// Where the rulebook of a start comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenBundle {
    /// Plain files that nobody signed.
    Unsigned,
    /// Bundles: the digest of the one in force, if there is one yet, and the high-water mark.
    Bundles {
        /// The one in force.
        in_force: Option<String>,
        /// The greatest place that one in force ever had here.
        high_water: Option<HighWater>,
        /// The newest root that held here.
        root: Option<RootMark>,
    },
}

/// What `start` found in the directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovered {
    /// Records that the chain had before, those of older segments that are gone included.
    pub records: u64,
    /// The torn tail that was cut off and kept.
    pub torn: Option<TornTail>,
    /// Damage to promised records; they were left as they are, and a new segment began.
    pub damaged: Option<DamagedRecords>,
    /// True when records were there and the last of them was not a `close`.
    pub unclosed: bool,
    /// Numbers that the boot before made and that left no trace: exact after a kill. `None` where its
    /// counters are gone or do not fit, and for a boot that closed.
    pub unaccounted: Option<u64>,
    /// True when the directory is not the one that the boot before wrote to.
    pub moved: bool,
    /// True when keys or `checkpoint` records say that the ledger is signed, and neither
    /// `heads.log` nor `checkpoint` has a note of it.
    pub heads_missing: bool,
}

impl Recovered {
    pub(super) fn of(found: &Found) -> Self {
        let previous = found.previous.as_ref();
        Self {
            records: found.chain.next_seq(),
            torn: found.torn.clone(),
            damaged: found.damaged.clone(),
            unclosed: !found.closed,
            unaccounted: previous.map(Previous::total_unaccounted),
            moved: found.moved,
            heads_missing: found.heads_missing,
        }
    }

    /// The damage as the gauges tell it, in a ledger that lies in `dir`.
    pub(super) fn kept_damage(&self, dir: &Path) -> Option<KeptDamage> {
        self.damaged.as_ref().map(|damaged| KeptDamage {
            seq: damaged.seq,
            file: dir.join(&damaged.segment),
            offset: damaged.offset,
            rule: damaged.rule.clone(),
        })
    }
}

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
    /// Locks and checks the directory, makes the rulebook and then the `open` record that names it
    /// durable, and starts the writer. `rulebook` are the bytes whose digest is
    /// [`OpenFacts::policy_hash`]; `encode` pushes the members of one event's record, and says what may
    /// be counted in place of its line. The producers take no numbers before this has returned.
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
        F: Encode<E> + Send + 'static,
    {
        let directory = Directory::lock(&settings.dir)?;
        let (begun, syncer, recovered) = enter(settings, facts, rulebook, &directory)?;
        let intakes: Vec<_> = rings.into_iter().map(Intake::new).collect();
        survive(settings, facts.boot, intakes.iter().map(Intake::counts));
        let stats = Arc::new(Stats::of(&intakes));
        tell(settings, &stats, &begun, &recovered);
        let (control, inbox) = mpsc::channel();
        let (owned, shared, boot) = (settings.clone(), Arc::clone(&stats), facts.boot);
        let writer = spawn(move || {
            let output = Output::new(&owned, begun, syncer);
            let valve = Valve::new(owned.bounds, elapsed());
            Writer::new(boot, intakes, encode, output, valve, inbox, shared).run(None);
            // The lock is held until the last byte is written.
            drop(directory);
        })?;
        let ledger = Self::running(settings, facts, control, stats, writer);
        _ = ledger.recovered.set(recovered);
        Ok(ledger)
    }

    /// Like [`Self::start`] for a process that takes over from one that still has the ledger, and
    /// returns at once: events are held in memory until the other one has closed it, the newest as
    /// counts where they are too many, and are all in the accounts then. Trouble with opening it
    /// shows in the gauges, like trouble later.
    ///
    /// # Errors
    /// A rulebook that cannot be kept, and a system that gives no thread.
    pub fn start_when_free<E, F>(
        settings: &Settings,
        facts: &OpenFacts,
        rulebook: &[u8],
        rings: Vec<Consumer<E>>,
        encode: F,
    ) -> Result<Self, LedgerError>
    where
        E: Send + 'static,
        F: Encode<E> + Send + 'static,
    {
        rulebooks::keep(&settings.disk, &settings.dir, &facts.policy_hash, rulebook)?;
        let intakes: Vec<_> = rings.into_iter().map(Intake::new).collect();
        // Before anything is decided: should this process be killed, the next start tells of it.
        let mark = marked(settings, facts.boot, intakes.iter().map(Intake::counts));
        let stats = Arc::new(Stats::of(&intakes));
        let (control, inbox) = mpsc::channel();
        let recovered = Arc::new(OnceLock::new());
        let (owned, shared, found) = (settings.clone(), Arc::clone(&stats), Arc::clone(&recovered));
        let (opening, content) = (facts.clone(), rulebook.to_vec());
        let writer = spawn(move || {
            let late = Late {
                settings: &owned,
                facts: &opening,
                rulebook: &content,
                stats: &shared,
                recovered: &found,
            };
            late.run(mark, intakes, encode, inbox);
        })?;
        let mut ledger = Self::running(settings, facts, control, stats, writer);
        ledger.recovered = recovered;
        Ok(ledger)
    }

    fn running(
        settings: &Settings,
        facts: &OpenFacts,
        control: Sender<Control>,
        stats: Arc<Stats>,
        writer: JoinHandle<()>,
    ) -> Self {
        Self {
            boot: facts.boot,
            dir: settings.dir.clone(),
            disk: settings.disk.clone(),
            control,
            stats,
            recovered: Arc::default(),
            waker: writer.thread().clone(),
            writer: Mutex::new(Some(writer)),
        }
    }

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

/// Checks what is there, and makes the rulebook and then the `open` record durable.
fn enter(
    settings: &Settings,
    facts: &OpenFacts,
    rulebook: &[u8],
    directory: &Directory,
) -> Result<(Begun, Syncer, Recovered), LedgerError> {
    let found = find(settings, directory)?;
    // Before any of it is put back.
    if let Some(found) = &found {
        missing::tell(&settings.dir, found);
    }
    let recovered = found.as_ref().map(Recovered::of).unwrap_or_default();
    let syncer = Syncer::start(&settings.disk).map_err(|e| no_thread("ledger-sync", &e))?;
    // Before the record, so that no crash leaves a record without the rulebook that it names.
    rulebooks::keep(&settings.disk, &settings.dir, &facts.policy_hash, rulebook)?;
    let lost = lost_boots(directory.path());
    let lost = lost.map_err(|e| LedgerError::io("listing", directory.path(), e))?;
    let begun = begin(settings, directory, facts, found, &lost)?;
    for lost in lost {
        lost.is_told(&settings.disk);
    }
    Ok((begun, syncer, recovered))
}

/// The first gauges.
fn tell(settings: &Settings, stats: &Stats, begun: &Begun, recovered: &Recovered) {
    stats.publish(begun.chain.next_seq(), begun.chain.next_seq(), None);
    stats.set_head(begun.chain.head());
    // Nobody has to wait for the keeper to hear of what is known already.
    stats.set_kept(Kept {
        damage: recovered.kept_damage(&settings.dir),
        ..Kept::default()
    });
}

fn spawn(run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, LedgerError> {
    thread::Builder::new()
        .name("ledger-writer".to_owned())
        .spawn(run)
        .map_err(|e| no_thread("ledger-writer", &e))
}

/// A writer that has to wait for its ledger.
struct Late<'a> {
    settings: &'a Settings,
    facts: &'a OpenFacts,
    rulebook: &'a [u8],
    stats: &'a Arc<Stats>,
    recovered: &'a OnceLock<Recovered>,
}

impl Late<'_> {
    /// The thread's life.
    fn run<E, F: Encode<E>>(
        &self,
        mark: Option<Mark>,
        mut intakes: Vec<Intake<E>>,
        mut encode: F,
        inbox: Receiver<Control>,
    ) {
        let guard = EndGuard(Arc::clone(self.stats));
        let had = waiting::wait(self.settings, &mut intakes, &mut encode, self.stats);
        let (directory, period) = match had {
            Ok(Waited::Had(directory, period)) => (directory, period),
            Ok(Waited::Ended(unwritten)) => return self.ended(mark, unwritten),
            Err(error) => return self.failed(&error),
        };
        let entered = enter(self.settings, self.facts, self.rulebook, &directory);
        let (begun, syncer, recovered) = match entered {
            Ok(entered) => entered,
            Err(error) => return self.failed(&error),
        };
        if let Some(mark) = mark {
            let kept = mark.becomes_the_ledgers(&self.settings.disk, directory.path());
            kept.unwrap_or_else(|error| told_in_memory(&error));
        }
        tell(self.settings, self.stats, &begun, &recovered);
        tracing::info!(
            event = "ledger_taken_over",
            records = recovered.records,
            unclosed = recovered.unclosed,
        );
        _ = self.recovered.set(recovered);
        let output = Output::new(self.settings, begun, syncer);
        let valve = Valve::new(self.settings.bounds, elapsed());
        let stats = Arc::clone(self.stats);
        let boot = self.facts.boot;
        Writer::new(boot, intakes, encode, output, valve, inbox, stats).run(period);
        drop(guard);
        drop(directory);
    }

    fn ended(&self, mark: Option<Mark>, unwritten: u64) {
        if unwritten == 0
            && let Some(mark) = mark
        {
            mark.remove(&self.settings.disk);
        }
        if unwritten > 0 {
            tracing::error!(event = "ledger_never_had", unwritten);
            let text = format!("{unwritten} decisions of this process are in no ledger");
            self.stats.set_trouble(Some(&text));
        }
    }

    /// The gateway goes on as `ledger.on_unavailable` says.
    fn failed(&self, error: &LedgerError) {
        tracing::error!(event = "ledger_not_opened", %error);
        self.stats.set_trouble(Some(&error.to_string()));
    }
}

/// From here on the workers also count in the file that survives the process. By now recovery has read
/// the one of the boot before.
fn survive<'r>(
    settings: &Settings,
    boot: BootId,
    rings: impl Iterator<Item = (Source, &'r Counts)>,
) {
    match Counters::create(&settings.disk, &settings.dir, boot) {
        Ok(survivors) => count_in(&survivors, boot, rings),
        Err(error) => told_in_memory(&error),
    }
}

fn count_in<'r>(
    survivors: &Counters,
    boot: BootId,
    rings: impl Iterator<Item = (Source, &'r Counts)>,
) {
    for (source, counts) in rings.filter(|(source, _)| source.boot == boot) {
        counts.survive_in(survivors.slot(source.worker));
    }
}

/// What a crash then leaves unaccounted is found by the gaps in the numbers, all but the last.
fn told_in_memory(error: &std::io::Error) {
    tracing::warn!(event = "ledger_counters_in_memory", %error);
}

/// The mark of a boot that decides before it has the ledger, with its counters in it. Without one a
/// crash until then is told by nobody but the log.
fn marked<'r>(
    settings: &Settings,
    boot: BootId,
    rings: impl Iterator<Item = (Source, &'r Counts)>,
) -> Option<Mark> {
    let put = Mark::put(&settings.disk, &settings.dir, boot);
    let failed = |error: &_| tracing::warn!(event = "ledger_not_marked", %error);
    let mark = put.inspect_err(failed).ok()?;
    match mark.counters() {
        Ok(survivors) => count_in(&survivors, boot, rings),
        Err(error) => told_in_memory(&error),
    }
    Some(mark)
}

fn no_thread(name: &str, error: &std::io::Error) -> LedgerError {
    LedgerError::Unavailable(format!(
        "cannot start thread {name}: {error}; raise the limit of processes of this user"
    ))
}
