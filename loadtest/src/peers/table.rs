//! Figures as Markdown.

use std::fmt::Write as _;

use super::goals::{ELSEWHERE, judge};
use super::outcome::{
    CPU, LATE, LEDGER, Outcome, P50, P99, P999, RATE, RSS, START, SYSTEM, Subject, USER,
};
use super::run::Run;
use super::stats::Spread;

/// Columns: what is measured, as its heading says it, with its decimals.
const COLUMNS: &[(&str, &str, usize)] = &[
    (CPU, "CPU us/request", 1),
    (USER, "user", 1),
    (SYSTEM, "system", 1),
    (RATE, "requests/s", 0),
    (P50, "p50 us", 0),
    (P99, "p99 us", 0),
    (P999, "p99.9 us", 0),
    (LATE, "client late p99 us", 0),
    (START, "start ms", 0),
    (RSS, "RSS MiB", 1),
    (LEDGER, "ledger bytes/request", 0),
];

/// The figures that ratios are taken of: the first that a scenario has.
const COMPARED: [&str; 3] = [P99, CPU, START];

/// The goals, all scenarios, and what they were measured on.
pub(super) fn of_a_run(run: &Run) -> String {
    let mut text = of_the_goals(run);
    for outcome in &run.outcomes {
        text += &of_a_scenario(outcome);
    }
    text + &about(run)
}

/// Goal, figure and verdict of each row.
fn of_the_goals(run: &Run) -> String {
    let mut text = "## Goals\n\n| | goal | figure: median (least-most) of rounds | verdict |\n|---|---|---|---|\n".to_owned();
    // Writing to a string cannot fail.
    for goal in judge(run) {
        let verdict = goal.verdict();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {verdict} |",
            goal.row, goal.asks, goal.figure
        );
    }
    for (row, asks, command) in ELSEWHERE {
        let _ = writeln!(text, "| {row} | {asks} | measured by {command} | - |");
    }
    text + "\n"
}

fn of_a_scenario(outcome: &Outcome) -> String {
    let has = |name: &str| outcome.subjects.iter().any(|s| !s.all(name).is_empty());
    let columns: Vec<_> = COLUMNS.iter().filter(|(name, ..)| has(name)).collect();
    let compared = COMPARED.into_iter().find(|name| has(name)).unwrap_or(CPU);
    let what = columns.iter().find(|(name, ..)| *name == compared);
    let what = what.map_or("", |(_, heading, _)| heading);
    let headings: Vec<&str> = columns.iter().map(|(_, heading, _)| *heading).collect();
    let mut text = format!(
        "## {}\n\n| | {} | tidegate / it, {what} |\n|---|{}---|\n",
        outcome.title,
        headings.join(" | "),
        "---|".repeat(headings.len()),
    );
    for subject in &outcome.subjects {
        let cells: Vec<String> = columns
            .iter()
            .map(|(name, _, decimals)| cell(subject, name, *decimals))
            .collect();
        let ratio = Spread::of(&outcome.ratio("tidegate", &subject.label, compared));
        let ratio = match ratio {
            Some(ratio) if subject.label != "tidegate" => ratio.text(2),
            _ => "-".to_owned(),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {ratio} |",
            subject.label,
            cells.join(" | ")
        );
    }
    for missing in &outcome.missing {
        let _ = writeln!(text, "\nNot measured: {missing}.");
    }
    text + "\n"
}

fn cell(subject: &Subject, name: &str, decimals: usize) -> String {
    let spread = subject.spread(name);
    // Where the whole has a spread, its parts are told by their medians.
    let alone = matches!(name, USER | SYSTEM | LEDGER);
    match spread {
        Some(spread) if alone => format!("{:.decimals$}", spread.median),
        Some(spread) => spread.text(decimals),
        None => "-".to_owned(),
    }
}

fn about(run: &Run) -> String {
    let said = |name: &str| match &run.about[name] {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let commits = match run.about["commits"].as_array() {
        Some(all) => all
            .iter()
            .filter_map(|c| c.as_str())
            .collect::<Vec<_>>()
            .join(", "),
        None => said("commit"),
    };
    let others = run.about["others"].as_array().into_iter().flatten();
    let others: Vec<&str> = others.filter_map(|other| other.as_str()).collect();
    format!(
        "Median (least-most) of rounds; ratios within rounds. One worker thread each; tidegate in CONTROL with \
         ledger and metrics on, which have no switch; closed segments not compressed, as no peer's log is. \
         {} run(s) of {} rounds of {} s at commit {}; {} cores, {}, kernel {}; {}; {}. Not compared: {}.\n",
        run.runs,
        said("rounds"),
        said("seconds"),
        commits,
        said("cores"),
        said("processor"),
        said("kernel"),
        said("nginx"),
        said("haproxy"),
        others.join(", "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_is_a_table_with_ratios_to_the_gateway() {
        let subject = |label: &str, figures: [f64; 3]| {
            let mut subject = Subject::of(label.to_owned());
            for figure in figures {
                subject.add(CPU, figure);
            }
            subject
        };
        let outcome = Outcome {
            title: "ten".to_owned(),
            subjects: vec![
                subject("tidegate", [10.0, 12.0, 11.0]),
                subject("nginx plain", [20.0, 12.0, 22.0]),
            ],
            missing: vec!["HAProxy plain: haproxy is not installed".to_owned()],
            ..Outcome::default()
        };
        let expected = "## ten\n\n| | CPU us/request | tidegate / it, CPU us/request |\n|---|---|---|\n\
            | tidegate | 11.0 (10.0-12.0) | - |\n\
            | nginx plain | 20.0 (12.0-22.0) | 0.50 (0.50-1.00) |\n\n\
            Not measured: HAProxy plain: haproxy is not installed.\n\n";
        assert_eq!(of_a_scenario(&outcome), expected);
    }
}
