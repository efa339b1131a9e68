//! A writer that has to wait for its ledger, because another process still has it.
//!
//! Invariant: what was decided meanwhile is in the accounts as soon as the ledger is had, and is told
//! where it never is. Not here: how it waits (`waiting`).

use std::sync::mpsc::Receiver;
use std::sync::{Arc, OnceLock};

use super::super::clock::elapsed;
use super::super::error::LedgerError;
use super::super::facts::Recovered;
use super::super::intake::Intake;
use super::super::output::Output;
use super::super::pressure::Valve;
use super::super::rollup::Encode;
use super::super::stats::Stats;
use super::super::unopened::Mark;
use super::super::waiting::{self, Waited};
use super::super::writer::{Control, EndGuard, Writer};
use super::counting::told_in_memory;
use super::starting::{Start, enter, tell};

/// A writer that has to wait for its ledger.
pub(super) struct Late<'a> {
    pub(super) start: Start<'a>,
    pub(super) stats: &'a Arc<Stats>,
    pub(super) recovered: &'a OnceLock<Recovered>,
}

impl Late<'_> {
    /// The thread's life.
    pub(super) fn run<E, F: Encode<E>>(
        &self,
        mark: Option<Mark>,
        mut intakes: Vec<Intake<E>>,
        mut encode: F,
        inbox: Receiver<Control>,
    ) {
        let guard = EndGuard(Arc::clone(self.stats));
        let had = waiting::wait(self.start.settings, &mut intakes, &mut encode, self.stats);
        let (directory, period) = match had {
            Ok(Waited::Had(directory, period)) => (directory, period),
            Ok(Waited::Ended(unwritten)) => return self.ended(mark, unwritten),
            Err(error) => return self.failed(&error),
        };
        let entered = enter(self.start, &directory);
        let (begun, syncer, recovered) = match entered {
            Ok(entered) => entered,
            Err(error) => return self.failed(&error),
        };
        if let Some(mark) = mark {
            let kept = mark.becomes_the_ledgers(&self.start.settings.disk, directory.path());
            kept.unwrap_or_else(|error| told_in_memory(&error));
        }
        tell(self.start.settings, self.stats, &begun, &recovered);
        tracing::info!(
            event = "ledger_taken_over",
            records = recovered.records,
            unclosed = recovered.unclosed,
        );
        _ = self.recovered.set(recovered);
        let output = Output::new(self.start.settings, begun, syncer);
        let valve = Valve::new(self.start.settings.bounds, elapsed());
        let stats = Arc::clone(self.stats);
        let boot = self.start.facts.boot;
        Writer::new(boot, intakes, encode, output, valve, inbox, stats).run(period);
        drop(guard);
        drop(directory);
    }

    fn ended(&self, mark: Option<Mark>, unwritten: u64) {
        if unwritten == 0
            && let Some(mark) = mark
        {
            mark.remove(&self.start.settings.disk);
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
