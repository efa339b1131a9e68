//! A ledger's account of its boots, made line by line and apart from the gateway's own verifier.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use crate::site::{self, Site};

/// What one boot left behind.
#[derive(Debug, Default, Clone)]
pub(in crate::accept) struct Boot {
    pub(in crate::accept) lines: u64,
    pub(in crate::accept) rolled_up: u64,
    pub(in crate::accept) lost: u64,
    /// What its `close`, or the next `open`, says that it made; `None` where nobody could tell.
    pub(in crate::accept) made: Option<u64>,
    /// What the same record says to be neither written nor counted.
    pub(in crate::accept) unaccounted: u64,
    pub(in crate::accept) closed: bool,
}

impl Boot {
    /// Whether every decision that was made is a line, in a rollup, in a loss, or told as missing. A
    /// boot that died before it had counters has made none.
    pub(in crate::accept) fn balances(&self) -> bool {
        let known = self.lines + self.rolled_up + self.lost + self.unaccounted;
        self.made.unwrap_or(0) == known
    }
}

/// A whole ledger.
#[derive(Debug, Default)]
pub(in crate::accept) struct Account {
    pub(in crate::accept) boots: BTreeMap<String, Boot>,
    pub(in crate::accept) decision_ids: HashSet<String>,
    pub(in crate::accept) kinds: BTreeMap<String, u64>,
    /// `code` of `fault` records.
    pub(in crate::accept) faults: BTreeMap<String, u64>,
}

impl Account {
    pub(in crate::accept) fn of(site: &Site) -> anyhow::Result<Self> {
        let mut account = Self::default();
        site::lines(&site.ledger(), |line| account.take(line))?;
        Ok(account)
    }

    fn take(&mut self, line: &Value) {
        let kind = line["kind"].as_str().unwrap_or_default();
        *self.kinds.entry(kind.to_owned()).or_default() += 1;
        let count = line["count"].as_u64().unwrap_or(0);
        let boot = || line["boot"].as_str().unwrap_or_default().to_owned();
        match kind {
            "decision" => {
                let id = line["decision_id"].as_str().unwrap_or_default();
                let boot = id.get(..8).unwrap_or_default().to_owned();
                self.boots.entry(boot).or_default().lines += 1;
                self.decision_ids.insert(id.to_owned());
            }
            "rollup" => self.boots.entry(boot()).or_default().rolled_up += count,
            "loss" => self.boots.entry(boot()).or_default().lost += count,
            "fault" => {
                let code = line["code"].as_str().unwrap_or_default().to_owned();
                *self.faults.entry(code).or_default() += 1;
            }
            "open" => {
                self.boots.entry(boot()).or_default();
                if let (Some(previous), Some(_)) = (
                    line["previous_boot"].as_str(),
                    line["previous_made"].as_object(),
                ) {
                    let previous = self.boots.entry(previous.to_owned()).or_default();
                    previous.made = Some(sum(&line["previous_made"]));
                    previous.unaccounted = sum(&line["previous_unaccounted"]);
                }
            }
            "close" => {
                let closed = self.boots.entry(boot()).or_default();
                closed.closed = true;
                closed.made = Some(sum(&line["made"]));
                closed.unaccounted = sum(&line["unaccounted"]);
            }
            _ => {}
        }
    }

    pub(in crate::accept) fn unaccounted(&self) -> u64 {
        self.boots.values().map(|boot| boot.unaccounted).sum()
    }

    pub(in crate::accept) fn made(&self) -> u64 {
        self.boots.values().filter_map(|boot| boot.made).sum()
    }

    pub(in crate::accept) fn of_kind(&self, kind: &str) -> u64 {
        self.kinds.get(kind).copied().unwrap_or(0)
    }
}

fn sum(counts: &Value) -> u64 {
    let counts = counts.as_object().into_iter().flatten();
    counts.filter_map(|(_, count)| count.as_u64()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_killed_boot_is_balanced_by_the_open_after_it() {
        let mut account = Account::default();
        let decision =
            |n: u32| json!({"kind": "decision", "decision_id": format!("0000000a00{n:012x}")});
        for line in [
            json!({"kind": "open", "boot": "0000000a"}),
            decision(0),
            decision(1),
            json!({"kind": "rollup", "boot": "0000000a", "count": 3}),
            json!({"kind": "loss", "boot": "0000000a", "count": 2}),
            json!({"kind": "open", "boot": "0000000b", "previous_boot": "0000000a",
                   "previous_made": {"00": 9}, "previous_unaccounted": {"00": 2}}),
            json!({"kind": "close", "boot": "0000000b", "made": {"00": 1}, "unaccounted": {}}),
        ] {
            account.take(&line);
        }
        assert!(account.boots["0000000a"].balances());
        // One was made of which nothing is told.
        assert!(!account.boots["0000000b"].balances());
        assert_eq!((account.made(), account.unaccounted()), (10, 2));
    }
}
