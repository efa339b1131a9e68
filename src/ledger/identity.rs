//! The accounts that a ledger must balance: for each boot and worker,
//! made = lines + losses + unaccounted.
//!
//! A boot without `close` (running, or killed) has no `made` in the ledger; what is missing below
//! its highest number is then reported as unaccounted, not as damage.

use std::collections::HashMap;

use super::line::Record;
use super::ranges::RangeSet;
use super::scan::{as_counts, as_pairs};

/// A boot's eight digits, as a number.
type Boot = u32;

/// A broken account, in words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unbalanced {
    pub(super) rule: &'static str,
    pub(super) expected: String,
    pub(super) found: String,
}

fn unbalanced(rule: &'static str, expected: impl ToString, found: impl ToString) -> Unbalanced {
    Unbalanced {
        rule,
        expected: expected.to_string(),
        found: found.to_string(),
    }
}

#[derive(Debug, Default)]
struct Account {
    /// Numbers with a line or in a loss range.
    known: RangeSet,
    lost: u64,
    unplaced: u64,
}

#[derive(Debug, Default)]
struct BootState {
    /// Its `open` was read: everything that it wrote is in view.
    opened: bool,
    closed: bool,
    /// Made but neither written nor lost, as its `close` says.
    unaccounted: u64,
}

/// The accounts of all boots and workers of the lines read so far.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    accounts: HashMap<(Boot, u8), Account>,
    boots: HashMap<Boot, BootState>,
    pub(super) decisions: u64,
    pub(super) outcomes: u64,
    pub(super) lost: u64,
}

impl Accounts {
    /// Takes one checked record into account.
    pub(super) fn note(&mut self, record: &Record<'_>) -> Result<(), Unbalanced> {
        match record.kind {
            "decision" => self.decision(record),
            "outcome" => {
                self.outcomes += 1;
                Ok(())
            }
            "loss" => self.loss(record),
            "open" => {
                let boot = boot_of(record)?;
                let state = self.boots.entry(boot).or_default();
                if state.opened {
                    return Err(unbalanced("a boot opens once", "a new boot id", boot));
                }
                state.opened = true;
                Ok(())
            }
            "close" => self.close(record),
            _ => Ok(()),
        }
    }

    /// Numbers missing in boots, closed or not, that were read from their `open` on.
    pub(super) fn unaccounted(&self) -> u64 {
        let open = |boot: &Boot| {
            self.boots
                .get(boot)
                .is_some_and(|state| state.opened && !state.closed)
        };
        let missing: u64 = self
            .accounts
            .iter()
            .filter(|((boot, _), _)| open(boot))
            .map(|(_, account)| {
                let upto = account.known.largest().map_or(0, |largest| largest + 1);
                upto.saturating_sub(account.known.count() + account.unplaced)
            })
            .sum();
        missing
            + self
                .boots
                .values()
                .map(|boot| boot.unaccounted)
                .sum::<u64>()
    }

    fn decision(&mut self, record: &Record<'_>) -> Result<(), Unbalanced> {
        const RULE: &str = "decision_id is boot, worker and n in hex";
        let (id, n, worker) = record.numbered;
        let found = || format!("worker {worker:?}, n {n:?}");
        let Some((boot, id_worker, id_n)) = id.and_then(parse_id) else {
            return Err(unbalanced(RULE, "22 hex digits", found()));
        };
        if Some(id_n) != n || Some(u64::from(id_worker)) != worker {
            let expected = format!("worker {id_worker}, n {id_n}");
            return Err(unbalanced(RULE, expected, found()));
        }
        self.decisions += 1;
        self.account(boot, id_worker, id_n, id_n)
    }

    fn account(&mut self, boot: Boot, worker: u8, first: u64, last: u64) -> Result<(), Unbalanced> {
        if self.boots.get(&boot).is_some_and(|state| state.closed) {
            let rule = "a closed boot writes no more decisions";
            return Err(unbalanced(rule, "no line", format!("n {first}")));
        }
        let account = self.accounts.entry((boot, worker)).or_default();
        if account.known.insert(first, last) {
            Ok(())
        } else {
            let rule = "each number of a worker is written or lost once";
            Err(unbalanced(rule, "a new number", format!("n {first}")))
        }
    }

    fn loss(&mut self, record: &Record<'_>) -> Result<(), Unbalanced> {
        const RULE: &str = "a loss counts its ranges and the numbers without place";
        let boot = boot_of(record)?;
        let worker = record.uint("worker").and_then(|w| u8::try_from(w).ok());
        let ranges = record.member("ranges").and_then(as_pairs);
        let (Some(worker), Some(ranges)) = (worker, ranges) else {
            return Err(unbalanced(RULE, "worker and ranges", "none"));
        };
        let unplaced = record.uint("unplaced").unwrap_or(0);
        let mut placed = 0_u64;
        for (first, last) in ranges {
            if first > last {
                return Err(unbalanced(
                    RULE,
                    "first <= last",
                    format!("{first}, {last}"),
                ));
            }
            placed += last - first + 1;
            self.account(boot, worker, first, last)?;
        }
        let count = record.uint("count").unwrap_or(0);
        if count != placed + unplaced {
            return Err(unbalanced(RULE, placed + unplaced, count));
        }
        let account = self.accounts.entry((boot, worker)).or_default();
        account.lost += count;
        account.unplaced += unplaced;
        self.lost += count + record.uint("others").unwrap_or(0);
        Ok(())
    }

    fn close(&mut self, record: &Record<'_>) -> Result<(), Unbalanced> {
        const RULE: &str = "made = lines + losses + unaccounted, for each worker of a boot";
        let boot = boot_of(record)?;
        let (Some(made), Some(open)) = (
            record.member("made").and_then(as_counts),
            record.member("unaccounted").and_then(as_counts),
        ) else {
            return Err(unbalanced(RULE, "made and unaccounted", "none"));
        };
        let state = self.boots.entry(boot).or_default();
        state.closed = true;
        if !state.opened {
            // Its earlier lines are in a segment that is not in view: nothing to compare with.
            return Ok(());
        }
        state.unaccounted = open.iter().map(|(_, count)| count).sum();
        for ((_, worker), account) in self.accounts.iter().filter(|((b, _), _)| *b == boot) {
            let name = format!("{worker:02x}");
            let of = |list: &[(&str, u64)]| {
                list.iter()
                    .find_map(|(key, count)| (*key == name).then_some(*count))
            };
            let known = account.known.count() + account.unplaced + of(&open).unwrap_or(0);
            let made = of(&made).unwrap_or(0);
            if made != known {
                return Err(unbalanced(RULE, format!("{made} for worker {name}"), known));
            }
        }
        for (name, made) in &made {
            let worker = u8::from_str_radix(name, 16).unwrap_or_default();
            let open = open.iter().find_map(|(key, n)| (key == name).then_some(*n));
            if !self.accounts.contains_key(&(boot, worker)) && *made != open.unwrap_or(0) {
                return Err(unbalanced(RULE, format!("{made} for worker {name}"), 0));
            }
        }
        Ok(())
    }
}

fn boot_of(record: &Record<'_>) -> Result<Boot, Unbalanced> {
    record
        .text("boot")
        .filter(|text| text.len() == 8)
        .and_then(|text| u32::from_str_radix(text, 16).ok())
        .ok_or_else(|| unbalanced("boot is 8 hex digits", "8 hex digits", "none"))
}

/// Boot, worker and number of a decision id.
fn parse_id(id: &str) -> Option<(Boot, u8, u64)> {
    if id.len() != 22 {
        return None;
    }
    Some((
        u32::from_str_radix(id.get(..8)?, 16).ok()?,
        u8::from_str_radix(id.get(8..10)?, 16).ok()?,
        u64::from_str_radix(id.get(10..)?, 16).ok()?,
    ))
}
