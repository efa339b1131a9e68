//! The accounts that a ledger must balance: for each boot and worker,
//! made = lines + rollups + losses + unaccounted.
//!
//! A boot without `close` (running, or killed) is settled by the next `open` where its counters
//! survived; otherwise what is missing below its highest number is reported as unaccounted, not as
//! damage. Stubs keep no number, so a boot with stubs need only not exceed what it made.

use std::collections::HashMap;

use super::numbers::Numbers;
use super::report::{Broken, broken};
use super::steps::{Counts, Instead, Open, Signed};

/// A boot's eight digits, as a number.
type Boot = u32;

#[derive(Debug, Clone, Default)]
struct Account {
    /// Numbers with a line, rolled up, or in a loss range.
    known: Numbers,
    unplaced: u64,
}

impl Account {
    fn count(&self) -> u64 {
        self.known.count().saturating_add(self.unplaced)
    }
}

#[derive(Debug, Clone, Default)]
struct BootState {
    /// Its `open` was read: everything that it wrote is in view.
    opened: bool,
    /// Its account is settled: no decision may follow.
    ended: bool,
    /// What its `close` says that it made, until an `open` tells it again.
    closed: Option<Counts>,
    /// Another process goes on reading its rings.
    handed_over: bool,
    /// Records of its time of which only the hash is left.
    stubs: u64,
    /// Made but neither written nor lost, as its end says.
    unaccounted: u64,
}

/// The accounts of all boots and workers of the records read so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Accounts {
    accounts: HashMap<(Boot, u8), Account>,
    boots: HashMap<Boot, BootState>,
    /// Boots that never had the ledger, and what they made.
    lost_boots: HashMap<Boot, u64>,
    pub(super) lost: u64,
    pub(super) rolled_up: u64,
    /// Outcomes that rollups left out.
    pub(super) outcomes_rolled_up: u64,
}

const BALANCE: &str = "made = lines + rollups + losses + unaccounted, for each worker of a boot";

impl Accounts {
    /// Numbers missing in boots without an end that were read from their `open` on, and what the
    /// ends of the others say.
    pub(super) fn unaccounted(&self) -> u64 {
        let running = |boot: &Boot| {
            let state = self.boots.get(boot);
            state.is_some_and(|state| state.opened && !state.ended && state.stubs == 0)
        };
        let missing = self
            .accounts
            .iter()
            .filter(|((boot, _), _)| running(boot))
            .map(|(_, account)| {
                let upto = account.known.largest().map_or(0, |largest| largest + 1);
                upto.saturating_sub(account.count())
            });
        let told = self.boots.values().map(|boot| boot.unaccounted);
        let lost = self.lost_boots.values().copied();
        sum(missing.chain(told).chain(lost))
    }

    /// Lines of decisions.
    pub(super) fn lines(
        &mut self,
        boot: Boot,
        worker: u8,
        first: u64,
        last: u64,
    ) -> Result<(), Broken> {
        if self.boots.get(&boot).is_some_and(|state| state.ended) {
            let rule = "a closed boot writes no more decisions";
            return Err(broken(rule, "no line", format!("n {first}")));
        }
        let account = self.accounts.entry((boot, worker)).or_default();
        account.known.add(first, last).map_err(|n| {
            let rule = "each number of a worker is written, rolled up or lost once";
            broken(rule, "a new number", format!("n {n}"))
        })
    }

    /// A `loss` or `rollup`.
    pub(super) fn instead(&mut self, record: &Instead) -> Result<(), Broken> {
        for (first, last) in &record.ranges {
            self.lines(record.boot, record.worker, *first, *last)?;
        }
        let ranges = record.ranges.iter();
        let placed = sum(ranges.map(|(first, last)| last - first + 1));
        let account = self
            .accounts
            .entry((record.boot, record.worker))
            .or_default();
        account.unplaced = account.unplaced.saturating_add(record.unplaced);
        if record.rolled_up {
            self.rolled_up = sum([self.rolled_up, placed]);
            self.outcomes_rolled_up = sum([self.outcomes_rolled_up, record.others]);
        } else {
            self.lost = sum([self.lost, placed, record.unplaced, record.others]);
        }
        Ok(())
    }

    /// Stubs stand for records of the boots that are under way.
    pub(super) fn stubs(&mut self, count: u64) {
        for state in self.boots.values_mut().filter(|state| !state.ended) {
            state.stubs += count;
        }
    }

    pub(super) fn open(&mut self, record: &Open) -> Result<(), Broken> {
        if let Some((boot, made, unaccounted)) = &record.previous {
            self.told_again(*boot, made)?;
            self.settle(*boot, made, unaccounted)?;
        }
        let state = self.boots.entry(record.boot).or_default();
        if state.opened {
            return Err(broken(
                "a boot opens once",
                "a new boot id",
                format!("{:08x}", record.boot),
            ));
        }
        // A boot that is not in view and has lines before this one would open too late.
        state.opened = true;
        Ok(())
    }

    /// Ledgers of earlier versions may have a `fault` behind a `close`, and then a next `open` that tells
    /// once more what the boot made: it may have made more meanwhile, never less. It still has to
    /// balance, and it is told again once.
    fn told_again(&mut self, boot: Boot, made: &Counts) -> Result<(), Broken> {
        let Some(state) = self.boots.get_mut(&boot) else {
            return Ok(());
        };
        if let Some(closed) = state.closed.take() {
            for (worker, count) in closed {
                let again = of(made, worker);
                if again < count {
                    let rule = "an open tells no less of a boot than its close did";
                    let expected = format!("{count} for worker {worker:02x}");
                    return Err(broken(rule, expected, again));
                }
            }
            state.ended = false;
        }
        Ok(())
    }

    /// The `close` of a boot.
    pub(super) fn close(
        &mut self,
        boot: Boot,
        made: &Counts,
        unaccounted: &Counts,
    ) -> Result<(), Broken> {
        self.settle(boot, made, unaccounted)?;
        self.boots.entry(boot).or_default().closed = Some(made.clone());
        Ok(())
    }

    /// A boot that never had the ledger; told twice where a start was killed meanwhile.
    pub(super) fn lost_boot(&mut self, boot: Boot, made: u64) {
        self.lost_boots.insert(boot, made);
    }

    pub(super) fn handover(&mut self, boot: Boot) {
        self.boots.entry(boot).or_default().handed_over = true;
    }

    /// The end of a boot: what it made is what is known of it and what is not.
    fn settle(&mut self, boot: Boot, made: &Counts, unaccounted: &Counts) -> Result<(), Broken> {
        let state = self.boots.entry(boot).or_default();
        if state.ended && state.opened {
            let rule = "a boot ends once";
            return Err(broken(rule, "no second end", format!("{boot:08x}")));
        }
        state.ended = true;
        if !state.opened {
            // Its earlier lines are in a segment that is not in view: nothing to compare with.
            return Ok(());
        }
        state.unaccounted = sum(unaccounted.iter().map(|(_, count)| *count));
        let stubs = state.stubs;
        let mut workers: Vec<u8> = made.iter().map(|(worker, _)| *worker).collect();
        workers.extend(
            self.accounts
                .keys()
                .filter(|(b, _)| *b == boot)
                .map(|(_, w)| *w),
        );
        workers.sort_unstable();
        workers.dedup();
        let mut hidden = 0_u64;
        for worker in workers {
            let known = self.accounts.get(&(boot, worker)).map_or(0, Account::count);
            let known = known.saturating_add(of(unaccounted, worker));
            let made = of(made, worker);
            hidden = hidden.saturating_add(made.saturating_sub(known));
            if made < known || hidden > stubs {
                return Err(broken(
                    BALANCE,
                    format!("{made} for worker {worker:02x}"),
                    known,
                ));
            }
        }
        Ok(())
    }

    /// What a checkpoint says is accounted for.
    pub(super) fn checkpoint(&self, record: &Signed) -> Result<(), Broken> {
        let Some(state) = self.boots.get(&record.boot).filter(|state| state.opened) else {
            return Ok(());
        };
        let mut hidden = 0_u64;
        let own = self
            .accounts
            .iter()
            .filter(|((boot, _), _)| *boot == record.boot);
        let workers = own.map(|((_, worker), _)| *worker);
        for worker in workers.chain(record.accounted.iter().map(|(worker, _)| *worker)) {
            let known = self
                .accounts
                .get(&(record.boot, worker))
                .map_or(0, Account::count);
            let said = of(&record.accounted, worker);
            hidden = hidden.max(said.saturating_sub(known));
            if said < known || hidden > state.stubs {
                let rule = "a checkpoint says how many numbers the records before it account for";
                return Err(broken(
                    rule,
                    format!("{known} for worker {worker:02x}"),
                    said,
                ));
            }
        }
        Ok(())
    }
}

/// What a ledger says is not to be trusted: a sum beyond all bounds stays at the largest value, which
/// balances with nothing, since no count is larger than 2^53.
fn sum(counts: impl IntoIterator<Item = u64>) -> u64 {
    counts.into_iter().fold(0, u64::saturating_add)
}

fn of(counts: &Counts, worker: u8) -> u64 {
    let found = counts.iter().find(|(name, _)| *name == worker);
    found.map_or(0, |(_, count)| *count)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest value that a member may have.
    const LARGEST: u64 = 1 << 53;

    #[test]
    fn the_largest_counts_add_up_to_no_balance() {
        let mut accounts = Accounts::default();
        for boot in 0..10 {
            let previous = None;
            accounts.open(&Open { boot, previous }).unwrap();
        }
        for rolled_up in [false, true] {
            for _ in 0..2_100 {
                let record = Instead {
                    boot: 0,
                    worker: 0,
                    ranges: Vec::new(),
                    unplaced: LARGEST,
                    others: LARGEST,
                    rolled_up,
                };
                accounts.instead(&record).unwrap();
            }
        }
        let sums = [accounts.lost, accounts.outcomes_rolled_up];
        assert_eq!(sums, [u64::MAX; 2]);
        let made = vec![(0, LARGEST)];
        let broken = accounts.close(0, &made, &made).unwrap_err();
        assert_eq!(broken.rule, BALANCE);
        let all: Counts = (0..=255).map(|worker| (worker, LARGEST)).collect();
        for boot in 1..10 {
            accounts.close(boot, &all, &all).unwrap();
        }
        assert_eq!(accounts.unaccounted(), u64::MAX);
    }
}
