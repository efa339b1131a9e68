//! The ledger's own account of a run, counted line by line.

use std::collections::BTreeMap;

use crate::site::{self, Line, Site};

/// What the ledger says.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    pub(super) lines: u64,
    pub(super) closes: u64,
    pub(super) decisions: u64,
    pub(super) forwarded: u64,
    /// Refusals of heads that could be read, by status.
    pub(super) by_us: BTreeMap<u16, u64>,
    pub(super) contracted: u64,
    /// Heads that were refused in parsing and have a line all the same.
    pub(super) refused: u64,
    pub(super) losses: u64,
    /// A decision whose phase is not the last stage that its request completed.
    pub(super) phase_astray: Option<String>,
}

impl Recorded {
    /// Counts a whole ledger.
    pub(super) fn read(site: &Site) -> anyhow::Result<Self> {
        let mut recorded = Self::default();
        site::lines(&site.ledger(), |line| recorded.count(line))?;
        Ok(recorded)
    }

    fn count(&mut self, line: &Line) {
        self.lines += 1;
        match line["kind"].as_str() {
            Some("close") => self.closes += 1,
            Some("loss") => self.losses += 1,
            Some("decision") => self.decision(line),
            _ => {}
        }
    }

    fn decision(&mut self, line: &Line) {
        self.decisions += 1;
        let malformed = line["reason_codes"]
            .as_array()
            .is_some_and(|codes| codes.iter().any(|code| code == "MALFORMED_REQUEST"));
        if line["phase"].as_u64() != last_phase(line, malformed) {
            let fields = ["decision_id", "outcome", "phase"].map(|name| line[name].to_string());
            self.phase_astray.get_or_insert(fields.join(" "));
        }
        self.refused += u64::from(malformed);
        self.contracted += u64::from(line["contract_id"].is_string());
        if line["upstream"].is_string() {
            self.forwarded += 1;
        } else if !malformed {
            let status = line["status"].as_u64().and_then(|s| u16::try_from(s).ok());
            *self.by_us.entry(status.unwrap_or(0)).or_default() += 1;
        }
    }
}

/// 1: its head was seen and could not be read; 5: it was answered by the gateway or still runs;
/// 6: its outcome was counted.
fn last_phase(line: &Line, malformed: bool) -> Option<u64> {
    match line["outcome"].as_str() {
        Some("refused") if malformed => Some(1),
        Some("refused" | "open") => Some(5),
        Some("done") => Some(6),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn recorded(lines: &[Line]) -> Recorded {
        let mut recorded = Recorded::default();
        lines.iter().for_each(|line| recorded.count(line));
        recorded
    }

    #[test]
    fn refusals_are_counted_by_status_and_malformed_heads_apart() {
        let found = recorded(&[
            json!({"kind": "open"}),
            json!({"kind": "decision", "outcome": "done", "phase": 6, "upstream": "u", "contract_id": "c"}),
            json!({"kind": "decision", "outcome": "refused", "phase": 5, "status": 404}),
            json!({"kind": "decision", "outcome": "refused", "phase": 1, "status": 400,
                   "reason_codes": ["MALFORMED_REQUEST"]}),
            json!({"kind": "close"}),
        ]);
        assert_eq!((found.lines, found.closes, found.decisions), (5, 1, 3));
        assert_eq!(
            (found.forwarded, found.contracted, found.refused),
            (1, 1, 1)
        );
        assert_eq!(found.by_us, BTreeMap::from([(404, 1)]));
        assert_eq!(found.phase_astray, None);
    }

    #[test]
    fn a_phase_that_does_not_follow_is_found() {
        let check = |outcome: &str, phase: u64, malformed: bool, right: bool| {
            let codes: &[&str] = if malformed {
                &["MALFORMED_REQUEST"]
            } else {
                &[]
            };
            let line = json!({"kind": "decision", "outcome": outcome, "phase": phase, "reason_codes": codes});
            let found = recorded(&[line]);
            assert_eq!(found.phase_astray.is_none(), right, "{outcome} {phase}");
        };
        check("done", 6, false, true);
        check("done", 5, false, false);
        check("open", 5, false, true);
        check("open", 6, false, false);
        check("refused", 5, false, true);
        check("refused", 1, true, true);
        check("refused", 5, true, false);
    }
}
