//! What the rest of the program may know about the ledger while it runs. Never waits.

use std::path::PathBuf;
use std::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::clock::{elapsed, wall_us};
use super::intake::Intake;
use super::keeper::Space;
use super::pressure::Pressure;
use super::ring::{Counts, Lane};

/// Nothing is waiting to become durable.
const NONE: u64 = u64::MAX;
/// A writer that has not been heard of for so long hangs in the system: as good as none.
const WRITER_PATIENCE: Duration = Duration::from_secs(10);

/// One reading of the ledger's gauges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Records in the ledger, all kinds, all boots: the number of the next line.
    pub records: u64,
    /// Events of this process that were lost before they were written.
    pub lost: u64,
    /// Events in the rings.
    pub queued: u64,
    /// Records below this number are durable.
    pub durable: u64,
    /// Age of the oldest record that is written or waiting to be, but not durable.
    pub durable_lag: Duration,
    /// False while the writer cannot write, or when it has ended without being asked.
    pub ok: bool,
    /// The hash of the newest line, 64 hex digits.
    pub head: String,
    /// The newest trouble in words; empty without any. With `ok` it is trouble beside the lines: a
    /// note or a tree file that cannot be kept, a next segment that cannot be made.
    pub error: String,
    /// How much detail is kept.
    pub pressure: Pressure,
    /// Decisions of this process that were counted in `rollup` records in place of their lines.
    pub rolled_up: u64,
    /// Records below this number are covered by a signed checkpoint; 0 without any.
    pub signed: u64,
    /// The newest signed note of this process; empty before the first.
    pub note: String,
    /// When that note was kept, in microseconds since 1970; 0 before the first.
    pub signed_us: u64,
    /// What is known of the closed segments and of the disk.
    pub kept: Kept,
}

impl Snapshot {
    /// Whether the ledger can be written and none of its closed segments is known to be damaged.
    #[must_use]
    pub const fn is_ok(&self) -> bool {
        self.ok && self.kept.damage.is_none()
    }
}

/// The first bad record that the start or the background verifier found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptDamage {
    /// The number that the record there should carry.
    pub seq: u64,
    /// The file.
    pub file: PathBuf,
    /// Byte offset of the line in the uncompressed file; 0 where the file as a whole is meant.
    pub offset: u64,
    /// The rule that it breaks.
    pub rule: String,
}

/// What the keeper of the closed segments says; all zeros before its first round, but for damage
/// that the start found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kept {
    /// The damage with the smallest number, until a later look finds the segment whole again.
    pub damage: Option<KeptDamage>,
    /// Segments that are not the newest.
    pub closed: u64,
    /// Of these, how many were verified by this process and found good.
    pub verified: u64,
    /// What the directory takes, and what is left for it on its file system, in bytes.
    pub space: Space,
    /// The disk budget in bytes.
    pub budget: Option<u64>,
}

/// How far the workers had filled their rings at some moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RingMark(Box<[[u64; 2]]>);

/// The rings of each worker.
const LANES: [Lane; 2] = [Lane::Ordinary, Lane::Refusal];

fn micros(at: Duration) -> u64 {
    u64::try_from(at.as_micros()).unwrap_or(NONE)
}

/// Shared between the writer thread and everyone who asks.
#[derive(Debug)]
pub(super) struct Stats {
    records: AtomicU64,
    durable: AtomicU64,
    oldest_undurable_us: AtomicU64,
    ok: AtomicBool,
    noticed: AtomicBool,
    pressure: AtomicU8,
    rolled_up: AtomicU64,
    over_budget: AtomicBool,
    /// The process ends: whoever waits for the ledger waits no longer than a bound.
    closing: AtomicBool,
    /// When the writer last ended a round.
    heard_us: AtomicU64,
    text: Mutex<(String, String)>,
    signed: Mutex<(u64, String, u64)>,
    kept: Mutex<Kept>,
    rings: Vec<Arc<Counts>>,
}

impl Stats {
    pub(super) fn new(rings: Vec<Arc<Counts>>) -> Self {
        Self {
            records: AtomicU64::new(0),
            durable: AtomicU64::new(0),
            oldest_undurable_us: AtomicU64::new(NONE),
            ok: AtomicBool::new(true),
            noticed: AtomicBool::new(false),
            pressure: AtomicU8::new(Pressure::Full as u8),
            rolled_up: AtomicU64::new(0),
            over_budget: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            heard_us: AtomicU64::new(micros(elapsed())),
            text: Mutex::default(),
            signed: Mutex::default(),
            kept: Mutex::default(),
            rings,
        }
    }

    /// For a writer of these rings.
    pub(super) fn of<E>(intakes: &[Intake<E>]) -> Self {
        Self::new(intakes.iter().map(Intake::shared_counts).collect())
    }

    pub(super) fn set_closing(&self) {
        self.closing.store(true, Release);
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Acquire)
    }

    /// The writer lives, and has nothing to write yet.
    pub(super) fn hear(&self) {
        self.heard_us.store(micros(elapsed()), Relaxed);
    }

    /// The writer's view, after each round.
    pub(super) fn publish(&self, records: u64, durable: u64, oldest: Option<Duration>) {
        self.records.store(records, Relaxed);
        self.durable.store(durable, Relaxed);
        let oldest = oldest.map_or(NONE, micros);
        self.oldest_undurable_us.store(oldest, Relaxed);
        self.hear();
    }

    /// How much detail is kept from now on; the workers hear of it where it concerns them.
    pub(super) fn set_pressure(&self, pressure: Pressure, rolled_up: u64) {
        self.rolled_up.store(rolled_up, Relaxed);
        // The workers first: whoever reads the state may rely on what it means for them.
        if self.pressure.load(Relaxed) != pressure as u8 {
            for ring in &self.rings {
                ring.set_unavailable(pressure == Pressure::Unavailable);
            }
            self.pressure.store(pressure as u8, Release);
        }
    }

    /// The writer is gone: from here on nothing is kept.
    pub(super) fn end(&self) {
        self.set_pressure(Pressure::Unavailable, self.rolled_up.load(Relaxed));
    }

    /// Whether the disk budget is exceeded.
    pub(super) fn is_over_budget(&self) -> bool {
        self.over_budget.load(Relaxed)
    }

    pub(super) fn set_over_budget(&self, is_over: bool) {
        self.over_budget.store(is_over, Relaxed);
    }

    /// Events that found no room in a ring.
    pub(super) fn overflowed(&self) -> u64 {
        self.rings.iter().map(|ring| ring.overflowed()).sum()
    }

    /// A writer that hangs in the system cannot say so itself: whoever looks says it.
    fn watch_writer(&self) {
        let heard = Duration::from_micros(self.heard_us.load(Relaxed));
        if elapsed().saturating_sub(heard) >= WRITER_PATIENCE {
            self.end();
        }
    }

    pub(super) fn set_head(&self, head: &[u8; 64]) {
        let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        text.0.clear();
        text.0
            .push_str(std::str::from_utf8(head).unwrap_or_default());
    }

    /// The newest note that is kept, and the records that it covers.
    pub(super) fn set_signed(&self, size: u64, note: String) {
        *self.signed.lock().unwrap_or_else(PoisonError::into_inner) = (size, note, wall_us());
    }

    pub(super) fn set_trouble(&self, trouble: Option<&str>) {
        let ok = trouble.is_none();
        if self.ok.swap(ok, Relaxed) == ok && ok {
            return;
        }
        let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        text.1.clear();
        text.1.push_str(trouble.unwrap_or_default());
    }

    /// Trouble beside the lines, in words: it shows while there is none with them.
    pub(super) fn set_notice(&self, notice: Option<&str>) {
        let noticed = self.noticed.swap(notice.is_some(), Relaxed);
        if !self.ok.load(Relaxed) || (!noticed && notice.is_none()) {
            return;
        }
        let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        text.1.clear();
        text.1.push_str(notice.unwrap_or_default());
    }

    pub(super) fn set_kept(&self, kept: Kept) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = kept;
    }

    fn kept(&self) -> Kept {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clone()
    }

    pub(super) fn mark(&self) -> RingMark {
        let pushed = |ring: &Arc<Counts>| LANES.map(|class| ring.lane(class).pushed());
        RingMark(self.rings.iter().map(pushed).collect())
    }

    pub(super) fn has_taken(&self, mark: &RingMark) -> bool {
        let mut rings = self.rings.iter().zip(&mark.0);
        rings.all(|(ring, pushed)| {
            let mut lanes = LANES.iter().zip(pushed);
            lanes.all(|(class, pushed)| ring.lane(*class).gone() >= *pushed)
        })
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        self.watch_writer();
        let oldest = self.oldest_undurable_us.load(Relaxed);
        let durable_lag = if oldest == NONE {
            Duration::ZERO
        } else {
            elapsed().saturating_sub(Duration::from_micros(oldest))
        };
        let (head, error) = self
            .text
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let (signed, note, signed_us) = self
            .signed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        Snapshot {
            records: self.records.load(Relaxed),
            lost: self.rings.iter().map(|ring| ring.lost()).sum(),
            queued: self.rings.iter().map(|ring| ring.queued()).sum(),
            durable: self.durable.load(Relaxed),
            durable_lag,
            ok: self.ok.load(Relaxed),
            head,
            error,
            pressure: Pressure::from_number(self.pressure.load(Acquire)),
            rolled_up: self.rolled_up.load(Relaxed),
            signed,
            note,
            signed_us,
            kept: self.kept(),
        }
    }
}
