//! Who was seen to call contracts: decisions of a ledger, counted by contract and client.
//!
//! A request with a method that the contract does not allow is no call of it. Requests that the
//! ledger only counted have no client; they still say that somebody calls.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::cli::offline::{DAMAGED, open_ledger};
use crate::cli::period::newest_decision_us;
use crate::ledger::Record;
use crate::units::Date;

/// The clients of one contract that are told apart.
const CLIENTS_MAX: usize = 100_000;
const NOT_ALLOWED: &[u8] = b"\"CONTRACT_METHOD_DISALLOWED\"";
const MICROS: u64 = 1_000_000;

/// The callers of some contracts in a period.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) contracts: BTreeMap<String, Callers>,
    /// Those of the contracts asked for that any decision names, also before the period.
    pub(super) named: BTreeSet<String>,
    /// Decisions of the period of which no record says more than that there were so many.
    pub(super) lost: u64,
    /// Lines that cannot be read, the first of them in words.
    pub(super) unreadable: u64,
    pub(super) fault: Option<String>,
}

/// The callers of one contract.
#[derive(Debug, Default)]
pub(super) struct Callers {
    clients: BTreeMap<String, Caller>,
    /// Requests whose client is not known, or beyond those that are told apart.
    others: u64,
}

/// One client.
#[derive(Debug, Default, Clone, Copy)]
struct Caller {
    requests: u64,
    last_us: u64,
}

impl Callers {
    /// Whether anybody called.
    pub(super) fn is_any(&self) -> bool {
        self.others > 0 || !self.clients.is_empty()
    }

    /// How many clients, and how many requests.
    pub(super) fn counts(&self) -> (usize, u64) {
        let requests: u64 = self.clients.values().map(|caller| caller.requests).sum();
        (self.clients.len(), requests + self.others)
    }

    /// Clients, requests and the last of them, in words; the busiest first.
    pub(super) fn rows(&self) -> Vec<(&str, u64, String)> {
        let mut rows: Vec<_> = self.clients.iter().collect();
        rows.sort_by_key(|(_, caller)| std::cmp::Reverse((caller.requests, caller.last_us)));
        let rows = rows.into_iter();
        let mut rows: Vec<_> = rows
            .map(|(client, caller)| (client.as_str(), caller.requests, moment(caller.last_us)))
            .collect();
        if self.others > 0 {
            rows.push(("_other", self.others, String::new()));
        }
        rows
    }

    pub(super) fn json(&self) -> Value {
        let rows = self.rows().into_iter().map(|(client, requests, last)| {
            json!({
                "client": client,
                "requests": requests,
                "last_seen": (!last.is_empty()).then_some(last),
            })
        });
        rows.collect()
    }

    fn add(&mut self, client: Option<&str>, requests: u64, at_us: u64) {
        let client = client.filter(|client| {
            self.clients.len() < CLIENTS_MAX || self.clients.contains_key(*client)
        });
        let Some(client) = client else {
            self.others += requests;
            return;
        };
        let caller = self.clients.entry(client.to_owned()).or_default();
        caller.requests += requests;
        caller.last_us = caller.last_us.max(at_us);
    }
}

/// A second of UTC: `2026-01-31T09:05:00Z`.
fn moment(us: u64) -> String {
    let seconds = us / MICROS;
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    let day = Date::of_unix_seconds(seconds);
    format!("{day}T{hour:02}:{minute:02}:{second:02}Z")
}

impl Seen {
    /// Who called one of `ids` in the last `since_us` before the newest decision of a ledger.
    pub(super) fn gather(ledger: &Path, since_us: u64, ids: &BTreeSet<&str>) -> Result<Self> {
        let earliest_us = newest_decision_us(ledger)?.saturating_sub(since_us);
        let mut seen = Self::default();
        let mut lines = open_ledger(ledger)?;
        let mut buffer = Vec::new();
        let mut any = false;
        while let Some((segment, line)) = lines.next()? {
            any = true;
            if !line.complete {
                continue;
            }
            match Record::check(line.bytes, &mut buffer) {
                Ok(record) => seen.take(&record, earliest_us, ids),
                Err(fault) => {
                    seen.unreadable += 1;
                    let (path, offset) = (segment.path.display(), line.offset);
                    let fault = || format!("{path} at byte {offset}: {}; {DAMAGED}", fault.rule());
                    seen.fault.get_or_insert_with(fault);
                }
            }
        }
        if !any {
            let path = ledger.display();
            bail!("{path} holds no ledger record; name the folder where 'seg-*.jsonl' lies");
        }
        Ok(seen)
    }

    fn take(&mut self, record: &Record<'_>, earliest_us: u64, ids: &BTreeSet<&str>) {
        if record.kind == "decision"
            && let Some(id) = record.text("contract_id").filter(|id| ids.contains(id))
            && !self.named.contains(id)
        {
            self.named.insert(id.to_owned());
        }
        let at_us = record.uint("ts_us").unwrap_or(0);
        if at_us < earliest_us {
            return;
        }
        match record.kind {
            "decision" => {
                let contract = record.text("contract_id").filter(|id| ids.contains(id));
                let reasons = record.member("reason_codes").unwrap_or_default();
                let mut parts = reasons.windows(NOT_ALLOWED.len());
                if let Some(contract) = contract
                    && !parts.any(|part| part == NOT_ALLOWED)
                {
                    self.callers(contract).add(record.text("client"), 1, at_us);
                }
            }
            "rollup" => self.take_counts(record, ids),
            "loss" => self.lost += record.uint("count").unwrap_or(0),
            "stub" => self.lost += 1,
            _ => {}
        }
    }

    /// Requests that were counted by contract and class of status, without their clients.
    fn take_counts(&mut self, record: &Record<'_>, ids: &BTreeSet<&str>) {
        let counts = record.member("allowed").unwrap_or_default();
        let counts: BTreeMap<String, u64> = serde_json::from_slice(counts).unwrap_or_default();
        for (name, count) in counts {
            let contract = name.rsplit_once(':').map_or(name.as_str(), |(id, _)| id);
            if ids.contains(contract) {
                self.callers(contract).add(None, count, 0);
            }
        }
    }

    fn callers(&mut self, contract: &str) -> &mut Callers {
        self.contracts.entry(contract.to_owned()).or_default()
    }
}
