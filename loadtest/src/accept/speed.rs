//! What single functions of the decision path cost: time, instructions, allocations.
//!
//! The tables are printed by `make figures` and `make gate`; here stand the goals once more, so
//! that a line that is gone or has lost its bound falls short instead of passing unseen.

use std::process::Command;

use anyhow::Context as _;

use super::{Context, Verdict};

/// Nanoseconds that the median may take at most.
const TIMES: &[(&str, f64)] = &[
    ("admit/observe", 250.0),
    ("admit/control", 250.0),
    ("pair/1000", 60.0),
    ("pair/100000", 200.0),
    ("ring_push", 30.0),
    ("complete", 150.0),
    ("line_and_hash", 1_200.0),
];
/// Instructions that one call may take at most.
const INSTRUCTIONS: &[(&str, f64)] = &[("admit_observe", 1_500.0), ("admit_control", 1_500.0)];

/// The median of the best of several runs, beside the fastest sample of all.
pub(super) fn times(_: &Context) -> anyhow::Result<Verdict> {
    let output = run(Command::new(".ci/figures"))?;
    let goals = TIMES.iter().map(|(name, most)| {
        let row = row(&output.text, name).unwrap_or_default();
        let [median, fastest] = [number(&row, 1), number(&row, 2)];
        let text = match (median, fastest) {
            (Some(median), Some(fastest)) => {
                format!("{name} median {median} ns, fastest {fastest} ns, at most {most}")
            }
            _ => format!("{name} not measured"),
        };
        (median.is_some_and(|ns| ns <= *most), text)
    });
    Ok(judged(output.success, goals))
}

/// Counts of `make gate`, which holds each function to a ceiling below its goal.
pub(super) fn instructions(_: &Context) -> anyhow::Result<Verdict> {
    let output = run(Command::new(".ci/gate"))?;
    let goals = INSTRUCTIONS.iter().map(|(name, most)| {
        let row = row(&output.text, name).unwrap_or_default();
        let count = number(&row, 1).filter(|count| *count > 0.0);
        let text = count.map_or_else(
            || format!("{name} not counted"),
            |count| format!("{name} {count} instructions, at most {most}"),
        );
        (count.is_some_and(|count| count <= *most), text)
    });
    Ok(judged(output.success, goals))
}

/// The same counts as they are: judged by the gate's own ceilings, reported for each function.
pub(super) fn counted(_: &Context) -> anyhow::Result<Verdict> {
    let output = run(Command::new(".ci/gate"))?;
    let rows = output.text.lines().skip(1).filter_map(|line| {
        let mut columns = line.split_whitespace();
        Some(format!("{} {}", columns.next()?, columns.next()?))
    });
    let rows: Vec<String> = rows.collect();
    Ok(Verdict::new(
        output.success && !rows.is_empty(),
        rows.join(", "),
    ))
}

/// The tests whose allocator counts; they have to have run, not only to have not failed.
pub(super) fn allocations(_: &Context) -> anyhow::Result<Verdict> {
    // Pipeline, desk with ring, a refusal with its answer: each asserts that it counted none.
    const TESTS: &str = "does_not_allocate";
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["test", "--locked", "--quiet", "-p", "tidegate"]);
    command.args(["--test", "allocations", "--", TESTS]);
    let output = run(command)?;
    let ran = output.text.contains(" 3 passed; 0 failed");
    let figure = if ran { "0 allocations" } else { "not shown" };
    let goal = (ran, format!("pipeline, desk and refusal {figure}"));
    Ok(judged(output.success, [goal]))
}

/// What a table's program printed.
pub(super) struct Printed {
    pub(super) success: bool,
    pub(super) text: String,
}

pub(super) fn run(mut command: Command) -> anyhow::Result<Printed> {
    let output = command
        .output()
        .with_context(|| format!("run {}", command.get_program().display()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    anyhow::ensure!(
        text.lines().count() > 1,
        "{}: {}\n{}",
        command.get_program().display(),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(Printed {
        success: output.status.success(),
        text,
    })
}

/// The columns of the row with exactly this name.
pub(super) fn row(table: &str, name: &str) -> Option<Vec<String>> {
    let columns =
        |line: &str| -> Vec<String> { line.split_whitespace().map(str::to_owned).collect() };
    table
        .lines()
        .map(columns)
        .find(|row| row.first().is_some_and(|first| first == name))
}

pub(super) fn number(row: &[String], column: usize) -> Option<f64> {
    row.get(column)?.parse().ok()
}

/// A verdict for each goal, and one for all of them with the program's own.
pub(super) fn judged(success: bool, goals: impl IntoIterator<Item = (bool, String)>) -> Verdict {
    let (mut pass, mut texts) = (success, Vec::new());
    for (met, text) in goals {
        pass &= met;
        texts.push(format!(
            "{text}: {}",
            if met { "pass" } else { "fall short" }
        ));
    }
    if !success {
        texts.push("the program itself reports a failure".to_owned());
    }
    Verdict::new(pass, texts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_by_their_whole_name() {
        let table = "benchmark median\npair/100000 190.5 151.0 200 pass\npair/1000 not measured\n";
        let check = |name, column, expected| {
            let found = row(table, name).and_then(|row| number(&row, column));
            assert_eq!(found, expected, "{name} {column}");
        };
        check("pair/100000", 1, Some(190.5));
        check("pair/100000", 2, Some(151.0));
        check("pair/1000", 1, None);
        check("pair/100", 1, None);
    }

    #[test]
    fn one_goal_that_is_missed_falls_short() {
        let check = |success, goals: &[bool], expected| {
            let goals = goals.iter().map(|met| (*met, "x".to_owned()));
            assert_eq!(judged(success, goals).pass, expected);
        };
        check(true, &[true, true], true);
        check(true, &[true, false], false);
        check(false, &[true], false);
    }

    #[test]
    fn every_goal_has_its_line_in_the_tables() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../benches");
        for (file, goals) in [("figures.tsv", TIMES), ("gate.tsv", INSTRUCTIONS)] {
            let table = std::fs::read_to_string(root.join(file)).unwrap();
            for (name, most) in goals {
                let row = row(&table, name).unwrap_or_else(|| panic!("{file} has no {name}"));
                let bound = number(&row, if file == "gate.tsv" { 2 } else { 1 });
                // The gate holds what there is; a goal of the list may be lower.
                let held = bound.is_some_and(|b| b <= *most || file == "gate.tsv");
                assert!(held, "{file}: {name} {bound:?}");
            }
        }
    }
}
