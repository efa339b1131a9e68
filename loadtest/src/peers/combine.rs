//! Several runs as one: their rounds together, the table of goals, the plot.

use std::path::Path;

use anyhow::{Context, ensure};
use serde_json::json;

use super::Options;
use super::run::Run;
use super::{table, write};

/// Seconds between the starts of two runs that count as apart.
const APART: u64 = 30 * 60;

pub(super) fn print(options: &Options) -> anyhow::Result<()> {
    let runs: Vec<Run> = options
        .combine
        .iter()
        .map(|file| Run::read(file))
        .collect::<Result<_, _>>()?;
    let count = runs.len();
    for warning in too_close(&runs) {
        eprintln!("note: {warning}");
    }
    let joined = joined(runs)?;
    ensure!(
        joined.runs == count,
        "{} of {count} runs joined",
        joined.runs
    );
    write(&joined, options, Path::new("."))?;
    println!("{}", table::of_a_run(&joined));
    Ok(())
}

/// All rounds of all runs; a scenario that one of them lacks is left out.
fn joined(runs: Vec<Run>) -> anyhow::Result<Run> {
    let mut runs = runs.into_iter();
    let mut all = runs.next().context("at least one file")?;
    let mut abouts = vec![all.about.clone()];
    for run in runs {
        all.outcomes.retain(|o| run.outcome(&o.name).is_some());
        for outcome in &mut all.outcomes {
            if let Some(more) = run.outcome(&outcome.name) {
                outcome.join(more);
            }
        }
        abouts.push(run.about);
        all.runs += 1;
    }
    let mut about = abouts.last().cloned().unwrap_or_default();
    if let Some(about) = about.as_object_mut() {
        let commits: Vec<_> = abouts.iter().map(|a| a["commit"].clone()).collect();
        about.insert("commits".to_owned(), json!(commits));
    }
    all.about = about;
    Ok(all)
}

/// Scenarios of two runs that were measured too soon after each other.
fn too_close(runs: &[Run]) -> Vec<String> {
    let mut found = Vec::new();
    for (one, other) in runs.iter().zip(runs.iter().skip(1)) {
        for outcome in &one.outcomes {
            let Some(next) = other.outcome(&outcome.name) else {
                continue;
            };
            let apart = next.began.abs_diff(outcome.began);
            if apart < APART {
                let minutes = apart / 60;
                found.push(format!(
                    "{}: two runs only {minutes} minutes apart",
                    outcome.name
                ));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::outcome::{CPU, Outcome, Subject};
    use super::*;

    fn run(began: u64, figure: f64, scenarios: &[&str]) -> Run {
        let outcome = |name: &&str| {
            let mut subject = Subject::of("tidegate".to_owned());
            subject.add(CPU, figure);
            Outcome {
                name: (*name).to_owned(),
                began,
                subjects: vec![subject],
                ..Outcome::default()
            }
        };
        Run {
            about: Value::Null,
            outcomes: scenarios.iter().map(outcome).collect(),
            runs: 1,
            failed: vec![],
        }
    }

    #[test]
    fn rounds_of_all_runs_stand_together() {
        let all = joined(vec![
            run(0, 1.0, &["n10", "new"]),
            run(1_800, 2.0, &["n10"]),
            run(3_600, 3.0, &["n10", "new"]),
        ])
        .unwrap();
        assert_eq!(all.runs, 3);
        assert_eq!(all.outcomes.len(), 1);
        let figures = all.outcome("n10").unwrap().subject("tidegate").unwrap();
        assert_eq!(figures.all(CPU), [1.0, 2.0, 3.0]);
    }

    #[test]
    fn runs_within_half_an_hour_are_named() {
        let check = |second, expected: usize| {
            let runs = [run(0, 1.0, &["n10"]), run(second, 1.0, &["n10"])];
            assert_eq!(too_close(&runs).len(), expected, "{second}");
        };
        check(1_799, 1);
        check(1_800, 0);
    }
}
