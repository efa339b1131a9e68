//! How a ledger is begun: at once, or as soon as the process before has closed it.
//!
//! Invariant: [`Ledger::start`] returns only when the rulebook and the `open` record that names it are
//! durable and both threads run, so a ledger that cannot be written is an error at start and never a
//! surprise at the first request.

use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle};

use super::super::boot::begin;
use super::super::clock::elapsed;
use super::super::directory::Directory;
use super::super::error::LedgerError;
use super::super::facts::{OpenFacts, Recovered};
use super::super::intake::Intake;
use super::super::missing;
use super::super::output::{Begun, Output};
use super::super::pressure::Valve;
use super::super::recovery::find;
use super::super::ring::Consumer;
use super::super::rollup::Encode;
use super::super::rulebooks;
use super::super::settings::Settings;
use super::super::stats::{Kept, Stats};
use super::super::sync::Syncer;
use super::super::unopened::lost_boots;
use super::super::writer::{Control, Writer};
use super::Ledger;
use super::counting::{marked, survive};
use super::late::Late;

/// What a ledger is begun with: where and how it is kept, and what its first record names.
#[derive(Debug, Clone, Copy)]
pub struct Start<'a> {
    /// Where and how it is kept.
    pub settings: &'a Settings,
    /// What the `open` record says.
    pub facts: &'a OpenFacts,
    /// The bytes whose digest is [`OpenFacts::policy_hash`].
    pub rulebook: &'a [u8],
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
        let start = Start {
            settings,
            facts,
            rulebook,
        };
        let (begun, syncer, recovered) = enter(start, &directory)?;
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
        start: Start<'_>,
        rings: Vec<Consumer<E>>,
        encode: F,
    ) -> Result<Self, LedgerError>
    where
        E: Send + 'static,
        F: Encode<E> + Send + 'static,
    {
        let Start {
            settings,
            facts,
            rulebook,
        } = start;
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
            let start = Start {
                settings: &owned,
                facts: &opening,
                rulebook: &content,
            };
            let late = Late {
                start,
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
}

/// Checks what is there, and makes the rulebook and then the `open` record durable.
pub(super) fn enter(
    start: Start<'_>,
    directory: &Directory,
) -> Result<(Begun, Syncer, Recovered), LedgerError> {
    let Start {
        settings,
        facts,
        rulebook,
    } = start;
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
pub(super) fn tell(settings: &Settings, stats: &Stats, begun: &Begun, recovered: &Recovered) {
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

fn no_thread(name: &str, error: &std::io::Error) -> LedgerError {
    LedgerError::Unavailable(format!(
        "cannot start thread {name}: {error}; raise the limit of processes of this user"
    ))
}
