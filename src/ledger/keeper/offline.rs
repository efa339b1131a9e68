//! The same work on request, with no gateway running: `ledger prune` and `ledger redact`.
//!
//! Opens the ledger as a start would (own boot, `open` record), records, waits until that is
//! durable and signed, changes the files, closes. Everything that can be refused is refused before
//! the ledger is opened, so a refusal changes nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::entry::EntryBuilder;
use super::super::error::LedgerError;
use super::super::frame::BootId;
use super::super::handle::{Ledger, OpenFacts, Settings};
use super::super::key::LedgerKey;
use super::super::line::Record;
use super::super::ring::Source;
use super::super::rulebooks;
use super::check::check;
use super::class::{Class, is_frame};
use super::files::{Closed, Segments};
use super::give_up::{Recorded, Warrant, carry_out, keep_tree, record};
use super::notice::{Notice, Notices, What};
use super::pace::Pace;
use super::rewrite::plan;
use super::stub::StubSet;
use super::text::Text;
use super::trouble::Trouble;
use super::walk::walk;

/// The boot that stands in records made from the command line.
const COMMAND_LINE: &str = "00000000";
/// How long a record may take to become durable, and then to be signed.
const PATIENCE: Duration = Duration::from_secs(10);
/// Ranges that one record names.
const RANGES_MAX: usize = 24;

/// Why nothing, or not everything, was done.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// The ledger cannot be read or continued.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// What was asked for breaks a rule; nothing was changed.
    #[error("{code}: {rule}; {remedy}")]
    Refused {
        /// The stable code.
        code: &'static str,
        /// The rule, with the place.
        rule: String,
        /// What to do.
        remedy: &'static str,
    },
}

impl From<Trouble> for OfflineError {
    fn from(trouble: Trouble) -> Self {
        Self::Ledger(trouble.into())
    }
}

fn refused(code: &'static str, rule: String, remedy: &'static str) -> OfflineError {
    OfflineError::Refused { code, rule, remedy }
}

/// One segment of which something goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The segment's file name without suffix.
    pub segment: String,
    /// Its first number, and the number after its last.
    pub first_seq: u64,
    /// See `first_seq`.
    pub next_seq: u64,
    /// The time of its newest record, microseconds since 1970.
    pub newest_us: u64,
    /// How many records become stubs or are that already; `None` where the whole segment goes.
    pub stubs: Option<u64>,
}

/// What is to be done to one segment.
struct Plan {
    planned: Planned,
    notice: Notice,
}

/// What the newest records say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewestFacts {
    /// The number of the next record.
    pub records: u64,
    /// The largest `ts_us` of the newest segment.
    pub newest_us: u64,
    /// Whether the last record is a `close`.
    pub closed: bool,
    /// The last line is whole.
    pub whole: bool,
    /// The rulebook that was named last.
    pub policy_hash: String,
}

/// Reads the newest segment, and older ones until a rulebook is named. Takes no lock.
///
/// # Errors
/// What the system answers; a directory without segments.
pub fn newest_facts(dir: &Path) -> Result<NewestFacts, LedgerError> {
    let segments = list(dir)?;
    let Some((first_seq, newest)) = &segments.newest else {
        return Err(LedgerError::NotALedger {
            path: dir.to_path_buf(),
            rule: "a ledger has at least one segment",
            remedy: "name the directory that the gateway writes to",
        });
    };
    let mut facts = NewestFacts {
        records: *first_seq,
        whole: true,
        ..NewestFacts::default()
    };
    read_facts(newest, &mut facts)?;
    for closed in segments.closed.iter().rev() {
        if !facts.policy_hash.is_empty() {
            break;
        }
        let mut older = NewestFacts::default();
        read_facts(&closed.path(), &mut older)?;
        facts.policy_hash = older.policy_hash;
    }
    Ok(facts)
}

fn read_facts(path: &Path, facts: &mut NewestFacts) -> Result<(), LedgerError> {
    let mut pace = Pace::free();
    let mut text = Text::open(path, &mut pace)?;
    let mut scratch = Vec::new();
    while let Some(line) = text.next(facts.records)? {
        let Some(bytes) = line.bytes.strip_suffix(b"\n") else {
            facts.whole = false;
            break;
        };
        facts.records += 1;
        if let Ok(record) = Record::check(bytes, &mut scratch) {
            facts.closed = record.kind == "close";
            facts.newest_us = facts.newest_us.max(record.uint("ts_us").unwrap_or(0));
            if let Some(digest) = record.text("policy_hash") {
                digest.clone_into(&mut facts.policy_hash);
            }
        }
    }
    Ok(())
}

/// Before a lock is taken, which would leave a file behind where no ledger is.
fn require_segments(dir: &Path) -> Result<(), OfflineError> {
    if list(dir)?.newest.is_some() {
        return Ok(());
    }
    let rule = format!("{} has no segment of a ledger", dir.display());
    let remedy = "name the directory in ledger.dir; nothing was changed";
    Err(refused("LEDGER_NOT_A_LEDGER", rule, remedy))
}

fn list(dir: &Path) -> Result<Segments, LedgerError> {
    Segments::list(dir).map_err(|error| LedgerError::io("listing", dir, error))
}

/// What a `prune` would give up: whole segments from the oldest on whose newest record is older
/// than `before_us`, or with a class the records of that class in every such segment.
///
/// # Errors
/// What the system answers; a damaged segment.
pub fn plan_prune(
    dir: &Path,
    before_us: u64,
    class: Option<Class>,
) -> Result<Vec<Planned>, OfflineError> {
    let plans = plans_to_prune(dir, before_us, class)?;
    Ok(plans.into_iter().map(|plan| plan.planned).collect())
}

fn plans_to_prune(
    dir: &Path,
    before_us: u64,
    class: Option<Class>,
) -> Result<Vec<Plan>, OfflineError> {
    require_segments(dir)?;
    let mut pace = Pace::free();
    let mut plans = Vec::new();
    for closed in &list(dir)?.closed {
        let checked = check(closed, &mut pace)?;
        let old = checked.newest_us < before_us;
        match class {
            None if !old => break,
            Some(class) if !old || checked.of(class) == 0 => continue,
            _ => {}
        }
        let what = class.map_or(What::Whole, What::Class);
        let stubs = match what {
            What::Whole => None,
            _ => Some(plan(closed, &what, &mut pace)?),
        };
        plans.push(planned(
            closed,
            what,
            stubs,
            checked.head,
            checked.newest_us,
        ));
    }
    // Of a segment that holds nothing but stubs the age is not known: it goes with a later one.
    while class.is_none() && plans.last().is_some_and(|plan| plan.planned.newest_us == 0) {
        plans.pop();
    }
    Ok(plans)
}

fn planned(
    closed: &Closed,
    what: What,
    stubs: Option<StubSet>,
    head: [u8; 64],
    newest_us: u64,
) -> Plan {
    Plan {
        planned: Planned {
            segment: closed.name(),
            first_seq: closed.first_seq,
            next_seq: closed.next_seq,
            newest_us,
            stubs: stubs.as_ref().map(|stubs| stubs.count),
        },
        notice: Notice {
            first_seq: closed.first_seq,
            next_seq: closed.next_seq,
            head,
            what,
            stubs,
        },
    }
}

/// Whether these records (both ends included) can be redacted; changes nothing.
///
/// # Errors
/// The first rule that the request breaks.
pub fn check_redactable(dir: &Path, ranges: &[(u64, u64)]) -> Result<(), OfflineError> {
    plans_to_redact(dir, ranges).map(drop)
}

fn plans_to_redact(dir: &Path, ranges: &[(u64, u64)]) -> Result<Vec<Plan>, OfflineError> {
    require_segments(dir)?;
    let segments = list(dir)?;
    let (oldest, newest) = (
        segments.closed.first().map_or(0, |closed| closed.first_seq),
        segments.newest.as_ref().map_or(0, |newest| newest.0),
    );
    for (first, last) in ranges {
        if first > last {
            let rule =
                format!("a range goes from its smaller number to its larger: {first}-{last}");
            return Err(refused("LEDGER_RANGE", rule, "write --seq FIRST-LAST"));
        }
        if *last >= newest {
            let records = newest_facts(dir)?.records;
            if *last >= records {
                let rule = format!(
                    "there is no record {last}: {} holds {records}",
                    dir.display()
                );
                return Err(refused("LEDGER_RANGE", rule, "name records that are here"));
            }
            let rule = format!("record {last} is not in a closed segment (those end at {newest})");
            let remedy = "wait until its segment is closed (ledger.segment_hours)";
            return Err(refused("LEDGER_NOT_CLOSED", rule, remedy));
        }
        if *first < oldest {
            let rule = format!("record {first} is gone: the oldest one here is {oldest}");
            return Err(refused("LEDGER_RANGE", rule, "name records that are here"));
        }
    }
    let mut plans = Vec::new();
    for closed in &segments.closed {
        plans.extend(plan_to_redact(closed, ranges)?);
    }
    Ok(plans)
}

fn plan_to_redact(closed: &Closed, ranges: &[(u64, u64)]) -> Result<Option<Plan>, OfflineError> {
    let last_here = closed.next_seq - 1;
    let clip = |(first, last): &(u64, u64)| {
        let clipped = ((*first).max(closed.first_seq), (*last).min(last_here));
        (clipped.0 <= clipped.1).then_some(clipped)
    };
    let mut here: Vec<(u64, u64)> = ranges.iter().filter_map(clip).collect();
    if here.is_empty() {
        return Ok(None);
    }
    here.sort_unstable();
    let here = merged(&here);
    if here.len() > RANGES_MAX {
        let rule = format!(
            "a redact record names at most {RANGES_MAX} ranges of {}",
            closed.name()
        );
        return Err(refused("LEDGER_RANGE", rule, "ask in several steps"));
    }
    let mut pace = Pace::free();
    let mut frame = None;
    walk(&closed.path(), closed, &mut pace, |step| {
        let asked = here.iter().any(|(a, b)| (*a..=*b).contains(&step.seq));
        if let Some(record) = step.record.filter(|record| asked && is_frame(record.kind)) {
            frame.get_or_insert((record.seq, record.kind.to_owned()));
        }
        Ok(())
    })?;
    if let Some((seq, kind)) = frame {
        let rule = format!("record {seq} is of kind {kind}, which holds the accounts together");
        let remedy = "leave it out of the ranges; it holds nothing about requests";
        return Err(refused("LEDGER_FRAME_RECORD", rule, remedy));
    }
    let checked = check(closed, &mut pace)?;
    let what = What::Ranges(here);
    let stubs = plan(closed, &what, &mut pace)?;
    if stubs == checked.stubs {
        return Ok(None);
    }
    let (head, newest_us) = (checked.head, checked.newest_us);
    Ok(Some(planned(closed, what, Some(stubs), head, newest_us)))
}

/// Ascending ranges without those that overlap or touch.
fn merged(ranges: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut merged: Vec<(u64, u64)> = Vec::new();
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(before) if *first <= before.1.saturating_add(1) => {
                before.1 = before.1.max(*last);
            }
            _ => merged.push((*first, *last)),
        }
    }
    merged
}

/// A ledger that was opened for upkeep.
#[derive(Debug)]
pub struct Offline {
    ledger: Ledger,
    signed: bool,
}

impl Offline {
    /// Opens a ledger that is there, as a start would. A ledger that was ever signed needs the key
    /// that signed it last.
    ///
    /// # Errors
    /// Every reason why a ledger cannot be continued; a missing key, or another one.
    pub fn open(dir: &Path, key: Option<LedgerKey>, version: &str) -> Result<Self, OfflineError> {
        let facts = newest_facts(dir)?;
        if key.is_none() && dir.join("log.vkey").exists() {
            let rule = format!("{} is a signed ledger", dir.display());
            let remedy = "give the gateway's key: nothing goes before a checkpoint covers the record that says so";
            return Err(refused("LEDGER_KEY", rule, remedy));
        }
        if let Some(key) = &key {
            check_key(dir, key)?;
        }
        let instance = instance(dir)?;
        let book = dir.join(rulebooks::relative(&facts.policy_hash));
        let rulebook =
            std::fs::read(&book).map_err(|error| LedgerError::io("reading", &book, error))?;
        let boot = BootId::random()
            .map_err(|e| LedgerError::Unavailable(format!("no random numbers: {e}")))?;
        let facts = OpenFacts {
            boot,
            instance,
            version: version.to_owned(),
            policy_hash: facts.policy_hash,
            client_key_id: None,
            bundle: None,
        };
        let signed = key.is_some();
        // It adds a few records: a segment that ended here, however old, would change what was
        // planned before.
        let mut settings = Settings::new(dir).segments(u64::MAX, Duration::MAX);
        if let Some(key) = key {
            settings = settings.signed_by(key);
        }
        let ledger = Ledger::start::<(), _>(
            &settings,
            &facts,
            &rulebook,
            vec![],
            |_: &mut EntryBuilder<'_>, _: Source, (): &()| {},
        )?;
        let offline = Self { ledger, signed };
        offline.finish_what_was_begun()?;
        Ok(offline)
    }

    /// Gives up what [`plan_prune`] names.
    ///
    /// # Errors
    /// What is done by then stays done, and the rest is done by a later call or by the gateway.
    pub fn prune(
        &self,
        before_us: u64,
        class: Option<Class>,
        reason: &str,
    ) -> Result<Vec<Planned>, OfflineError> {
        let plans = plans_to_prune(self.ledger.dir(), before_us, class)?;
        let warrant = Warrant {
            boot: COMMAND_LINE.to_owned(),
            class: class.unwrap_or(Class::Security),
            actor: String::new(),
            reason: reason.to_owned(),
        };
        self.carry_out(plans, &warrant)
    }

    /// Takes records out, their hashes kept. Ranges hold both their ends.
    ///
    /// # Errors
    /// As [`check_redactable`]; then as [`Offline::prune`].
    pub fn redact(
        &self,
        ranges: &[(u64, u64)],
        actor: &str,
        reason: &str,
    ) -> Result<Vec<Planned>, OfflineError> {
        let plans = plans_to_redact(self.ledger.dir(), ranges)?;
        let warrant = Warrant {
            boot: COMMAND_LINE.to_owned(),
            class: Class::Security,
            actor: actor.to_owned(),
            reason: reason.to_owned(),
        };
        self.carry_out(plans, &warrant)
    }

    /// Writes `close`; the lock is free on return.
    ///
    /// # Errors
    /// Records that could not be made durable.
    pub fn close(&self) -> Result<(), LedgerError> {
        self.ledger.close()
    }

    fn carry_out(&self, plans: Vec<Plan>, warrant: &Warrant) -> Result<Vec<Planned>, OfflineError> {
        let mut pace = Pace::free();
        let mut done = Vec::new();
        for plan in plans {
            if plan.notice.what == What::Whole {
                let segments = list(self.ledger.dir())?;
                let mut closed = segments.closed.iter();
                if let Some(closed) = closed.find(|c| c.first_seq == plan.notice.first_seq) {
                    keep_tree(self.ledger.disk(), closed, &mut pace)?;
                }
            }
            let (recorded, durable) = record(&self.ledger, plan.notice, warrant.clone(), PATIENCE);
            durable?;
            self.wait_until_covered(&recorded)?;
            let (disk, dir) = (self.ledger.disk(), self.ledger.dir());
            carry_out(disk, dir, &recorded.notice, &mut pace)?;
            done.push(plan.planned);
        }
        Ok(done)
    }

    /// The record stands if this fails, and the next start carries it out.
    fn wait_until_covered(&self, recorded: &Recorded) -> Result<(), LedgerError> {
        match recorded.seq().filter(|_| self.signed) {
            Some(seq) => self.ledger.await_signed(seq, PATIENCE).map(drop),
            // Durable is enough, and that it is.
            None => Ok(()),
        }
    }

    /// A record of an earlier run whose files were not changed any more comes first: the plans
    /// that follow count on it.
    fn finish_what_was_begun(&self) -> Result<(), OfflineError> {
        let mut pace = Pace::free();
        let mut notices = Notices::default();
        let dir = self.ledger.dir();
        let segments = list(dir)?;
        let closed = segments.closed.last().map(Closed::path);
        let newest = segments.newest.map(|newest| newest.1);
        for path in closed.into_iter().chain(newest) {
            if path.extension().is_some_and(|suffix| suffix == "jsonl") {
                notices.catch_up(&path, &mut pace)?;
            }
        }
        for closed in &segments.closed {
            let whole = notices.whole(closed.first_seq);
            let stubs = notices.newest_stubs(closed.first_seq);
            if let Some((seq, notice)) = whole.or(stubs) {
                self.wait_until_covered(&Recorded::found(seq, notice.clone()))?;
                carry_out(self.ledger.disk(), dir, notice, &mut pace)?;
            }
        }
        Ok(())
    }
}

/// A key that does not sign here would become the ledger's key from now on.
fn check_key(dir: &Path, key: &LedgerKey) -> Result<(), OfflineError> {
    let read = |name| std::fs::read_to_string(dir.join(name)).unwrap_or_default();
    let (origin, keys) = (read("origin"), read("log.vkey"));
    let own = key.verifier(origin.trim_end()).ok();
    let newest = keys.lines().last();
    if newest.is_none_or(|line| own.is_some_and(|own| own.to_text() == line)) {
        return Ok(());
    }
    let rule = format!(
        "the key is not the one that signs {}, the last of log.vkey",
        dir.display()
    );
    Err(refused("LEDGER_KEY", rule, "give the gateway's key"))
}

/// The name of the instance that the origin gives.
fn instance(dir: &Path) -> Result<String, LedgerError> {
    let path: PathBuf = dir.join("origin");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(LedgerError::io("reading", &path, error)),
    };
    let name = text.rsplit_once('/').map(|(name, _)| name);
    Ok(name.unwrap_or("tidegate").to_owned())
}
