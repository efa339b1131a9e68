//! The counts of a run.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use serde_json::{Value, json};

/// What was sent and what came back.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    /// Complete well-formed heads sent, retries included.
    pub heads: u64,
    /// Complete malformed heads sent.
    pub malformed: u64,
    /// Answers to malformed heads by status; 0 = closed without an answer.
    pub malformed_answers: BTreeMap<u16, u64>,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Of these, answers with a problem document, by status: made by the gateway itself.
    pub problems: BTreeMap<u16, u64>,
    /// Requests whose connection this side closed before the answer.
    pub aborted: u64,
    /// Requests without a complete answer, for which this side waited.
    pub lost: u64,
    /// Requests that could not be sent because no connection could be made.
    pub not_sent: u64,
    /// Repeats after a failure.
    pub retries: u64,
    /// Connections opened.
    pub connections: u64,
    /// Answers without a decision id.
    pub without_decision_id: u64,
    /// Answers with a decision id that another answer had.
    pub repeated_decision_ids: u64,
    /// Wall time of the run.
    pub elapsed: Duration,
    ids: HashSet<u128>,
    latencies_us: Vec<u32>,
}

impl Tally {
    /// Counts one answer.
    pub(super) fn note(&mut self, status: u16, decision_id: Option<&str>, latency: Duration) {
        *self.statuses.entry(status).or_default() += 1;
        self.latencies_us
            .push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
        match decision_id.map(parse_id) {
            None => self.without_decision_id += 1,
            Some(None) => self.without_decision_id += 1,
            Some(Some(id)) => self.repeated_decision_ids += u64::from(!self.ids.insert(id)),
        }
    }

    /// Counts an answer as one of the gateway's own.
    pub(super) fn note_problem(&mut self, status: u16) {
        *self.problems.entry(status).or_default() += 1;
    }

    /// Answers of any status.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.statuses.values().sum()
    }

    /// The latency below which `share` of the answers came, in microseconds.
    #[must_use]
    pub fn latency_us(&self, share: f64) -> u32 {
        let mut sorted = self.latencies_us.clone();
        sorted.sort_unstable();
        let at = (sorted.len() as f64 * share) as usize;
        sorted
            .get(at.min(sorted.len().saturating_sub(1)))
            .copied()
            .unwrap_or(0)
    }

    /// As `drive` prints it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let by_status = |map: &BTreeMap<u16, u64>| -> Value {
            map.iter()
                .map(|(status, n)| (status.to_string(), json!(n)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        json!({
            "heads": self.heads,
            "malformed": self.malformed,
            "malformed_answers": by_status(&self.malformed_answers),
            "statuses": by_status(&self.statuses),
            "problems": by_status(&self.problems),
            "answers": self.answers(),
            "aborted": self.aborted,
            "lost": self.lost,
            "not_sent": self.not_sent,
            "retries": self.retries,
            "connections": self.connections,
            "without_decision_id": self.without_decision_id,
            "repeated_decision_ids": self.repeated_decision_ids,
            "elapsed_ms": u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX),
            "latency_us_p50": self.latency_us(0.5),
            "latency_us_p99": self.latency_us(0.99),
        })
    }
}

/// 22 hexadecimal digits: boot 8, worker 2, number 12.
fn parse_id(id: &str) -> Option<u128> {
    (id.len() == 22)
        .then(|| u128::from_str_radix(id, 16).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_status_and_id() {
        let mut tally = Tally::default();
        let ms = Duration::from_millis(1);
        tally.note(200, Some("0123456789abcdef012345"), ms);
        tally.note(200, Some("0123456789abcdef012345"), ms);
        tally.note(404, None, ms);
        tally.note(502, Some("not an id"), ms);
        assert_eq!(
            (
                tally.answers(),
                tally.without_decision_id,
                tally.repeated_decision_ids
            ),
            (4, 2, 1)
        );
        assert_eq!(tally.statuses.get(&200), Some(&2));
        assert_eq!(tally.latency_us(0.99), 1000);
    }
}
