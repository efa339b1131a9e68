//! How counts are shown: a line for each target, and a table for a page.

use std::fmt::Write as _;
use std::process::Command;

use super::Row;
use super::counts::Span;

/// One line for a terminal.
pub(super) fn line(row: &Row) -> String {
    let (target, counts) = row;
    format!(
        "{}: {} executions, {}/s, {} crashes ({})",
        target.name,
        counts.executions(),
        counts.rate(),
        counts.crashes,
        spans(row)
    )
}

/// The page of all targets.
pub(super) fn of(rows: &[Row]) -> String {
    let mut page = "# Acceptance: fuzz targets\n\n\
        `make fuzz` writes this page: at least 10,000,000 executions of each target, 0 crashes. \
        Calls add up; each figure names the commits and the engines that it was made with, and \
        says where what the target reads has changed since.\n\n\
        | target | executions | per second | crashes | at commit |\n|---|---|---|---|---|\n"
        .to_owned();
    for row in rows {
        let (target, counts) = row;
        // Writing to a string cannot fail.
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} |",
            target.name,
            counts.executions(),
            counts.rate(),
            counts.crashes,
            spans(row)
        );
    }
    page
}

fn spans((target, counts): &Row) -> String {
    let one = |span: &Span| {
        let since = since(&span.commit, target.sources);
        format!(
            "{} at {} by {}{since}",
            span.executions, span.commit, span.engine
        )
    };
    let spans: Vec<String> = counts.spans.iter().map(one).collect();
    spans.join(", ")
}

/// Whether the sources are still those of the commit.
fn since(commit: &str, sources: &[&str]) -> &'static str {
    if commit.ends_with("-changed") {
        return ", not committed";
    }
    let status = Command::new("git")
        .args(["diff", "--quiet", commit, "--"])
        .args(sources)
        .status();
    match status.ok().and_then(|status| status.code()) {
        Some(0) => "",
        Some(1) => ", sources changed since",
        _ => ", commit unknown here",
    }
}
