//! The goals that this command can judge, and where the others are measured.

use super::outcome::{CPU, P99, RSS, START};
use super::run::Run;
use super::stats::Spread;

/// What a figure of the gateway is held against.
enum Against {
    /// At most so many times that of another subject, in the same rounds.
    Other(&'static str),
    /// At most so much.
    Bound,
}

struct Goal {
    row: &'static str,
    asks: &'static str,
    scenario: &'static str,
    subject: &'static str,
    figure: &'static str,
    against: Against,
    most: f64,
    /// Whether it has to stay below.
    below: bool,
}

const BASE: Goal = Goal {
    row: "",
    asks: "",
    scenario: "",
    subject: "tidegate",
    figure: CPU,
    against: Against::Bound,
    most: 1.0,
    below: false,
};

const GOALS: &[Goal] = &[
    Goal {
        row: "CPU/request, N = 10, 64 kept connections",
        asks: "<= 1.0 x nginx governed",
        scenario: "n10",
        against: Against::Other("nginx governed"),
        ..BASE
    },
    Goal {
        row: "CPU/request, N = 10, 64 kept connections",
        asks: "< 0.75 x bare Pingora",
        scenario: "n10",
        against: Against::Other("bare Pingora"),
        most: 0.75,
        below: true,
        ..BASE
    },
    Goal {
        row: "N = 10,000",
        asks: "growth from N = 10 <= 1.03",
        scenario: "n10000",
        against: Against::Other("tidegate, N = 10"),
        most: 1.03,
        ..BASE
    },
    Goal {
        row: "N = 10,000",
        asks: "<= 0.75 x nginx by hand",
        scenario: "n10000",
        against: Against::Other("nginx by hand"),
        most: 0.75,
        ..BASE
    },
    Goal {
        row: "512 connections",
        asks: "<= 1.0 x HAProxy by hand",
        scenario: "connections512",
        against: Against::Other("HAProxy by hand"),
        ..BASE
    },
    Goal {
        row: "new connection per request",
        asks: "<= 1.0 x nginx by hand",
        scenario: "new",
        against: Against::Other("nginx by hand"),
        ..BASE
    },
    Goal {
        row: "64 KiB body",
        asks: "<= 1.0 x HAProxy (plain)",
        scenario: "body64k",
        against: Against::Other("HAProxy plain"),
        ..BASE
    },
    Goal {
        row: "2,000/s open loop, p99",
        asks: "<= HAProxy by hand's",
        scenario: "open",
        figure: P99,
        against: Against::Other("HAProxy by hand"),
        ..BASE
    },
    Goal {
        row: "refusals (429)",
        asks: "<= 0.5 x an allowed request",
        scenario: "refusals",
        subject: "tidegate, refusing",
        against: Against::Other("tidegate"),
        most: 0.5,
        ..BASE
    },
    Goal {
        row: "memory, N = 10,000, under load",
        asks: "<= 64 MiB",
        scenario: "n10000",
        figure: RSS,
        most: 64.0,
        ..BASE
    },
    Goal {
        row: "start-up, N = 10,000, compiled bundle",
        asks: "<= 150 ms",
        scenario: "start",
        figure: START,
        most: 150.0,
        ..BASE
    },
];

/// Goals of the same table that other commands measure.
pub(super) const ELSEWHERE: &[(&str, &str, &str)] = &[
    (
        "decision, admit + complete",
        "<= 250 ns median, <= 1,500 instructions, 0 allocations",
        "`make figures`, `make gate`",
    ),
    (
        "match",
        "<= 60 ns at 1,000, <= 200 ns at 100,000 contracts",
        "`make figures`",
    ),
    (
        "ledger",
        ">= 700,000 records/s/thread without sync",
        "`.ci/ledger-figures`",
    ),
    (
        "memory per idle connection",
        "<= 4 KiB beyond its socket buffers",
        "`make accept-performance`",
    ),
];

/// A goal with its figure.
pub(crate) struct Judged {
    pub(super) row: &'static str,
    pub(super) asks: &'static str,
    /// Median, least and most; the gateway's own and the peer's figures with them.
    pub(super) figure: String,
    /// `None` where it was not measured.
    pub(super) met: Option<bool>,
}

impl Judged {
    pub(super) fn verdict(&self) -> &'static str {
        match self.met {
            Some(true) => "pass",
            Some(false) => "fall short",
            None => "not measured",
        }
    }

    /// Whether it was measured and kept.
    pub(crate) fn is_met(&self) -> bool {
        self.met == Some(true)
    }

    /// One line.
    pub(crate) fn line(&self) -> String {
        format!(
            "{}: {}: {}: {}",
            self.row,
            self.asks,
            self.figure,
            self.verdict()
        )
    }
}

/// Each goal of a run.
pub(crate) fn judge(run: &Run) -> Vec<Judged> {
    GOALS.iter().map(|goal| goal.judged(run)).collect()
}

impl Goal {
    fn judged(&self, run: &Run) -> Judged {
        let found = self.found(run);
        let keeps = |spread: Spread| match self.below {
            true => spread.median < self.most,
            false => spread.median <= self.most,
        };
        Judged {
            row: self.row,
            asks: self.asks,
            met: found.as_ref().map(|(spread, _)| keeps(*spread)),
            figure: found.map_or_else(|| "-".to_owned(), |(_, text)| text),
        }
    }

    fn found(&self, run: &Run) -> Option<(Spread, String)> {
        let outcome = run.outcome(self.scenario)?;
        let own = outcome.subject(self.subject)?.spread(self.figure)?;
        let unit = self.figure.rsplit('_').next().unwrap_or("");
        let unit = if unit == "mib" { "MiB" } else { unit };
        match self.against {
            Against::Bound => Some((own, format!("{} {unit}", own.text(1)))),
            Against::Other(label) => {
                let other = outcome.subject(label)?.spread(self.figure)?;
                let ratio = Spread::of(&outcome.ratio(self.subject, label, self.figure))?;
                let text = format!(
                    "{}: {:.1} against {:.1} {unit}",
                    ratio.text(2),
                    own.median,
                    other.median
                );
                Some((ratio, text))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::outcome::{Outcome, Subject};
    use super::super::scenario::ALL;
    use super::*;

    #[test]
    fn each_goal_is_of_a_scenario_that_runs_by_default_and_of_its_subjects() {
        for goal in GOALS {
            let scenario = ALL.iter().find(|s| s.name == goal.scenario).unwrap();
            assert!(scenario.by_default, "{}", goal.row);
            let has = |label: &str| scenario.subjects.iter().any(|e| e.label() == label);
            assert!(has(goal.subject), "{}: {}", goal.row, goal.subject);
            if let Against::Other(label) = goal.against {
                assert!(has(label), "{}: {label}", goal.row);
            }
        }
    }

    #[test]
    fn a_goal_is_judged_by_the_median_of_the_ratios() {
        let check = |own: [f64; 3], expected: &str| {
            let mut subjects = vec![
                Subject::of("tidegate".to_owned()),
                Subject::of("nginx governed".to_owned()),
            ];
            for figure in own {
                subjects[0].add(CPU, figure);
                subjects[1].add(CPU, 10.0);
            }
            let run = Run {
                about: Value::Null,
                outcomes: vec![Outcome {
                    name: "n10".to_owned(),
                    subjects,
                    ..Outcome::default()
                }],
                runs: 1,
                failed: vec![],
            };
            let judged = judge(&run);
            assert_eq!(judged[0].verdict(), expected, "{}", judged[0].line());
            assert_eq!(judged[1].verdict(), "not measured");
        };
        check([9.0, 10.0, 30.0], "pass");
        check([9.0, 10.1, 10.2], "fall short");
    }
}
