//! What a run found, for people and for a verdict.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::records::Count;

/// So much may be unsteady on a busy machine, and one more for each so many requests.
const UNSTEADY: u64 = 5;
const UNSTEADY_EACH: u64 = 2_000;
/// Of differences, so many are shown in full.
const SHOWN: usize = 5;

/// What a run found.
#[derive(Debug, Default)]
pub struct Report {
    /// Which two were compared.
    pub names: String,
    /// Requests and connections that were compared.
    pub requests: u64,
    /// Connections.
    pub exchanges: u64,
    /// Exchanges by what they are about.
    pub classes: BTreeMap<String, u64>,
    /// What differed each time that it was tried, in full.
    pub differences: Vec<String>,
    /// Exchanges and counts that differed once and did not when repeated.
    pub unsteady: Vec<String>,
    /// Exchanges in which fields of different names stood in another order: client, upstream.
    pub other_order: [u64; 2],
    /// One of these, in full.
    pub order_example: Option<String>,
    /// A request on such an upstream connection, by the reason and the gateway.
    pub misused_examples: BTreeMap<String, String>,
    /// Requests in chunks that were cut off on their way to an upstream, of each gateway.
    pub cut: [u64; 2],
    /// Requests on upstream connections that were not to be used again, by the reason, of each
    /// gateway.
    pub misused: [BTreeMap<&'static str, u64>; 2],
    /// Records that were compared, of each gateway.
    pub records: [usize; 2],
    /// Counts that differ each time.
    pub counts: Vec<Count>,
    /// Which of the two gateways carry some requests by another way than the full proxy, as their
    /// upstream connections show.
    pub two_ways: [bool; 2],
}

impl Report {
    /// Whether one took the lane and the other did not, and both did the same but for a few times.
    #[must_use]
    pub fn passes(&self) -> bool {
        let few = UNSTEADY + self.requests / UNSTEADY_EACH;
        let is_steady = self.unsteady.len() as u64 <= few;
        self.is_same() && is_steady && self.two_ways == [true, false]
    }

    /// Whether the two did the same.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.differences.is_empty() && self.counts.is_empty()
    }

    /// Leaves what differs in another run of the same phase as well: the same count, or something of
    /// the same exchange, which the first line of a difference names.
    pub(super) fn keep_what_lasts(&mut self, again: &Self) {
        let about = |told: &str| told.lines().next().unwrap_or_default().to_owned();
        let differences = std::mem::take(&mut self.differences);
        let (same, gone): (Vec<_>, Vec<_>) = differences.into_iter().partition(|one| {
            again
                .differences
                .iter()
                .any(|other| about(other) == about(one))
        });
        self.differences = same;
        self.unsteady.extend(gone);
        let counts = std::mem::take(&mut self.counts);
        let (same, gone): (Vec<_>, Vec<_>) = counts
            .into_iter()
            .partition(|one| again.counts.iter().any(|other| other.series == one.series));
        self.counts = same;
        self.unsteady.extend(gone.iter().map(ToString::to_string));
    }

    /// Adds another phase.
    pub(super) fn add(&mut self, other: Self) {
        self.names = other.names;
        self.requests += other.requests;
        self.exchanges += other.exchanges;
        for (class, count) in other.classes {
            *self.classes.entry(class).or_default() += count;
        }
        self.differences.extend(other.differences);
        self.unsteady.extend(other.unsteady);
        self.counts.extend(other.counts);
        self.misused_examples.extend(other.misused_examples);
        self.order_example = self.order_example.take().or(other.order_example);
        for n in 0..2 {
            self.other_order[n] += other.other_order[n];
            for (why, count) in &other.misused[n] {
                *self.misused[n].entry(why).or_default() += count;
            }
            self.records[n] += other.records[n];
            self.cut[n] += other.cut[n];
        }
        self.two_ways = other.two_ways;
    }

    /// In one line.
    #[must_use]
    pub fn figure(&self) -> String {
        let counts: Vec<String> = self.counts.iter().map(ToString::to_string).collect();
        format!(
            "{}: {} requests in {} connections, {} differences, {} counts differ {counts:?}, {} unsteady; \
             order of fields of different names differs in {} answers and {} requests; \
             misused connections {:?} / {:?}; cut in chunks {} / {}; records {} / {}; takes a lane: {} / {}",
            self.names,
            self.requests,
            self.exchanges,
            self.differences.len(),
            self.counts.len(),
            self.unsteady.len(),
            self.other_order[0],
            self.other_order[1],
            self.misused[0],
            self.misused[1],
            self.cut[0],
            self.cut[1],
            self.records[0],
            self.records[1],
            self.two_ways[0],
            self.two_ways[1],
        )
    }

    /// In full, but for many differences.
    #[must_use]
    pub fn told(&self) -> String {
        self.text(SHOWN)
    }

    /// In full.
    #[must_use]
    pub fn whole(&self) -> String {
        self.text(usize::MAX)
    }

    fn text(&self, shown: usize) -> String {
        let mut text = String::new();
        for difference in self.differences.iter().take(shown) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "DIFFERENCE\n{difference}");
        }
        for unsteady in self.unsteady.iter().take(shown) {
            let _ = writeln!(text, "unsteady\n{unsteady}");
        }
        if let Some(example) = &self.order_example {
            let _ = writeln!(text, "another order\n{example}");
        }
        for (what, example) in &self.misused_examples {
            let _ = writeln!(text, "used again: {what}\n{example}");
        }
        for count in self.counts.iter().take(shown.saturating_mul(4)) {
            let _ = writeln!(text, "count {count}");
        }
        for (class, count) in self
            .classes
            .iter()
            .filter(|(class, _)| !class.contains(' '))
        {
            let _ = writeln!(text, "{class}: {count} connections");
        }
        text + &self.figure()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(differences: &[&str], counts: &[&str]) -> Report {
        let count = |series: &&str| Count {
            series: (*series).to_owned(),
            values: ["1".to_owned(), "2".to_owned()],
        };
        Report {
            differences: differences.iter().map(ToString::to_string).collect(),
            counts: counts.iter().map(count).collect(),
            ..Report::default()
        }
    }

    #[test]
    fn what_differs_in_every_run_is_kept_and_the_rest_is_told_as_unsteady() {
        let mut first = report(&["exchange 1\n a", "exchange 2\n b"], &["x", "y"]);
        first.keep_what_lasts(&report(&["exchange 2\n c"], &["y", "z"]));
        assert_eq!(first.differences, ["exchange 2\n b"]);
        assert_eq!(first.unsteady, ["exchange 1\n a", "x: 1 / 2"]);
        assert_eq!(first.counts.len(), 1);
        assert!(!first.is_same() && first.figure().contains("y: 1 / 2"));
        first.keep_what_lasts(&report(&[], &[]));
        assert!(first.is_same() && first.unsteady.len() == 4);
    }
}
