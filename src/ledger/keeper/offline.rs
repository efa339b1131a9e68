//! The same work on request, with no gateway running: `ledger prune` and `ledger redact`.
//!
//! Opens the ledger as a start would (own boot, `open` record), records, waits until that is
//! durable and signed, changes the files, closes. Everything that can be refused is refused before
//! the ledger is opened (`planning`), so a refusal changes nothing.

mod newest;
mod planning;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::entry::EntryBuilder;
use super::super::error::LedgerError;
use super::super::facts::OpenFacts;
use super::super::frame::BootId;
use super::super::handle::Ledger;
use super::super::key::LedgerKey;
use super::super::ring::Source;
use super::super::rulebooks;
use super::super::settings::Settings;
use super::class::Class;
use super::files::Closed;
use super::give_up::{Recorded, Warrant, carry_out, keep_tree, record};
use super::notice::{Notices, What};
use super::pace::Pace;
use super::trouble::Trouble;
use newest::list;
use planning::{Plan, plans_to_prune, plans_to_redact};

pub use newest::{NewestFacts, newest_facts};
pub use planning::{Planned, check_redactable, plan_prune};

/// The boot that stands in records made from the command line.
const COMMAND_LINE: &str = "00000000";
/// How long a record may take to become durable, and then to be signed.
const PATIENCE: Duration = Duration::from_secs(10);
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
