//! The live table: what the ledger says, as it is written.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context, Result};

use crate::assembly::Parts;
use crate::cli::stdio::print;
use crate::ledger::Tail;
use crate::observation::UNMATCHED;

/// Counts of one contract.
#[derive(Debug, Default, Clone)]
struct Row {
    decisions: [u64; 4],
    last_reason: String,
    /// The states of its circuit, one after the other.
    circuit: Vec<String>,
}

impl Row {
    /// The state, and how often it opened.
    fn circuit(&self) -> String {
        let opened = self.circuit.iter().filter(|state| *state == "open").count();
        match self.circuit.last() {
            Some(state) if opened > 0 => format!("{state} ({opened}x)"),
            Some(state) => state.clone(),
            None => "-".to_owned(),
        }
    }
}

const DECISIONS: [&str; 4] = ["ALLOW", "THROTTLE", "QUARANTINE", "DROP"];

/// Reads on in the ledger and shows what it counted.
pub(super) struct Table {
    tail: Tail,
    parts: Parts,
    rows: BTreeMap<String, Row>,
    drawn: usize,
    seen: u64,
    /// What happened to circuits, not told yet.
    news: Vec<String>,
}

impl Table {
    pub(super) fn new(tail: Tail, parts: &Parts) -> Self {
        Self {
            tail,
            parts: parts.clone(),
            rows: BTreeMap::new(),
            drawn: 0,
            seen: 0,
            news: Vec::new(),
        }
    }

    /// Reads what is new and shows it.
    pub(super) fn show(&mut self, terminal: bool) -> Result<()> {
        let before = self.seen;
        self.read_on()?;
        if terminal {
            self.draw()
        } else {
            self.print(self.seen - before)
        }
    }

    /// Shows the last state where no more lines will come.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.read_on()?;
        print(&format!("{}\n", self.text())).context("stdout")
    }

    fn read_on(&mut self) -> Result<()> {
        while let Some(line) = self.tail.next_line()? {
            let record: serde_json::Value = serde_json::from_slice(&line)?;
            let text = |key: &str| record.get(key).and_then(serde_json::Value::as_str);
            if text("kind") != Some("decision") {
                continue;
            }
            self.seen += 1;
            let contract = text("contract_id").unwrap_or(UNMATCHED).to_owned();
            let row = self.rows.entry(contract.clone()).or_default();
            if let Some(state) = text("circuit").filter(|_| contract != UNMATCHED)
                && row.circuit.last().map(String::as_str) != Some(state)
            {
                if !row.circuit.is_empty() {
                    self.news.push(format!("{contract}: circuit {state}"));
                }
                row.circuit.push(state.to_owned());
            }
            let decision = DECISIONS
                .iter()
                .position(|name| text("decision") == Some(*name));
            if let Some(count) = decision.and_then(|place| row.decisions.get_mut(place)) {
                *count += 1;
            }
            let reasons = record
                .get("reason_codes")
                .and_then(|codes| codes.as_array());
            let codes = reasons
                .into_iter()
                .flatten()
                .filter_map(|code| code.as_str());
            let codes: Vec<&str> = codes.filter(|code| *code != "LOW_RISK_SCORE").collect();
            if !codes.is_empty() {
                row.last_reason = codes.join(" ");
            }
        }
        Ok(())
    }

    fn print(&mut self, new: u64) -> Result<()> {
        let mut text = String::new();
        for line in self.news.drain(..) {
            text += &format!("  {line}\n");
        }
        let mut total = [0; 4];
        for row in self.rows.values() {
            for (sum, count) in total.iter_mut().zip(row.decisions) {
                *sum += count;
            }
        }
        let counts: Vec<String> = DECISIONS
            .iter()
            .zip(total)
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        let counts = counts.join("   ");
        text += &format!("{} decisions (+{new})   {counts}\n", self.seen);
        print(&text).context("stdout")
    }

    fn draw(&mut self) -> Result<()> {
        self.news.clear();
        let text = self.text();
        let back = match self.drawn {
            0 => String::new(),
            // Back to the first line of the last drawing, and clear what is below.
            lines => format!("\x1b[{lines}A\x1b[J"),
        };
        self.drawn = text.lines().count();
        print(&format!("{back}{text}\n")).context("stdout")
    }

    fn text(&self) -> String {
        let mut text = format!(
            "{:<20} {:>8} {:>9} {:>11} {:>6} {:>9} {:>9} {:>15}  last reason\n",
            "contract", "allow", "throttle", "quarantine", "drop", "p95 ms", "distress", "circuit"
        );
        for (contract, row) in &self.rows {
            let [allow, throttle, quarantine, drop] = row.decisions;
            let (p95, distress) = self.route(contract);
            let _ = writeln!(
                text,
                "{contract:<20} {allow:>8} {throttle:>9} {quarantine:>11} {drop:>6} {p95:>9} {distress:>9} {:>15}  {}",
                row.circuit(),
                row.last_reason
            );
        }
        text.trim_end().to_owned()
    }

    /// p95 since the start and the distress of a contract's route.
    fn route(&self, contract: &str) -> (String, String) {
        let rulebook = self.parts.registry.active().load_full();
        let board = rulebook.board();
        let Some(route) = rulebook.catalogue().find(contract) else {
            return ("-".to_owned(), "-".to_owned());
        };
        let (latencies, _) = board.latencies(route.get());
        let p95_us = latencies.quantile_us(9_500);
        let distress = board
            .published(route.get())
            .map_or(0, |shared| shared.distress().get());
        (
            format!("{}.{}", p95_us / 1_000, p95_us % 1_000 / 100),
            format!("{}.{:02}", distress / 10_000, distress % 10_000 / 100),
        )
    }
}
