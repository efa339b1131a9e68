//! A comparison as text for people, for machines and for a pull request.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Comparison, ReportFormat, is_removal};
use crate::contract::Contract;
use crate::contract::compare::{BumpFault, Class, ContractChange, worst_class};

/// How many callers of a removed contract a report for people shows.
const CALLERS_SHOWN: usize = 10;

/// Ends with a line break.
pub(super) fn render(comparison: &Comparison, format: ReportFormat) -> String {
    match format {
        ReportFormat::Pretty => pretty(comparison),
        ReportFormat::Json => format!("{:#}\n", as_json(comparison)),
        ReportFormat::Markdown => markdown(comparison),
    }
}

/// What there is to say in one sentence each, the most important last.
fn sentences(comparison: &Comparison) -> Vec<String> {
    let changes = &comparison.changes;
    if changes.is_empty() {
        return vec!["no changes".to_owned()];
    }
    let breaking = changes
        .iter()
        .filter(|change| change.class() == Class::BreakingChange);
    let (all, breaking) = (changes.len(), breaking.count());
    let class = worst_class(changes).name();
    let mut told = vec![format!(
        "{all} changes, {breaking} of them breaking: {class}"
    )];
    let against = changes.iter().filter(|change| comparison.offends(change));
    let mode = comparison.mode.key();
    told.push(match against.count() {
        0 => format!("mode {mode} takes them"),
        count => format!("mode {mode} does not take {count} of them"),
    });
    told.extend(comparison.bumps.iter().map(bump));
    told
}

fn bump(fault: &BumpFault) -> String {
    let id = fault.contract.as_str();
    let (from, to, needed) = (fault.from, fault.to, fault.needed.name());
    if to < from {
        return format!("version of {id}: fell from {from} to {to}");
    }
    let least = from.bumped(fault.needed);
    format!(
        "version of {id}: {from} to {to} is too little; these changes take a {needed} step, {least}"
    )
}

/// Why a removal is of its class, and who still calls.
fn remark(comparison: &Comparison, change: &ContractChange) -> Option<String> {
    if !is_removal(change) {
        return None;
    }
    let mut old = comparison.old.iter();
    let old = old.find(|contract| contract.id() == change.contract())?;
    let mut remark = when(comparison, old);
    if let Some(seen) = &comparison.seen {
        let callers = seen.contracts.get(change.contract().as_str());
        let (clients, requests) = callers.map_or((0, 0), super::super::seen::Callers::counts);
        let _ = write!(remark, "; {requests} requests of {clients} clients seen");
        let rows = callers.map(super::super::seen::Callers::rows);
        let rows = rows.unwrap_or_default();
        let mut shown: Vec<String> = rows
            .iter()
            .take(CALLERS_SHOWN)
            .map(|(client, requests, _)| format!("{client} ({requests})"))
            .collect();
        if rows.len() > CALLERS_SHOWN {
            shown.push(format!("{} more", rows.len() - CALLERS_SHOWN));
        }
        if !shown.is_empty() {
            let _ = write!(remark, ": {}", shown.join(", "));
        }
    } else if old.lifecycle().is_over(comparison.today) {
        remark += "; callers were not looked for: name a ledger with --ledger";
    }
    Some(remark)
}

fn when(comparison: &Comparison, old: &Contract) -> String {
    match old.lifecycle().parts().sunset_on {
        None => "no sunset was named".to_owned(),
        Some(day) if day <= comparison.today => format!("after its sunset on {day}"),
        Some(day) => format!("before its sunset on {day}"),
    }
}

/// A value, or that there is none.
fn shown(value: Option<&str>) -> &str {
    value.unwrap_or("none")
}

fn pretty(comparison: &Comparison) -> String {
    let mut text = String::new();
    let of_one = comparison
        .changes
        .chunk_by(|a, b| a.contract() == b.contract());
    for changes in of_one {
        for (number, change) in changes.iter().enumerate() {
            if number == 0 {
                let _ = writeln!(text, "{}", change.contract().as_str());
            }
            let (from, to) = (shown(change.from()), shown(change.to()));
            let against = if comparison.offends(change) { "!" } else { " " };
            let (class, member) = (change.class().name(), change.member().key());
            let effect = change.effect().name();
            let _ = writeln!(
                text,
                "{against} {class:19} {member} {effect}: {from} -> {to}"
            );
            if let Some(remark) = remark(comparison, change) {
                let _ = writeln!(text, "  {:19} {remark}", "");
            }
        }
    }
    for sentence in sentences(comparison) {
        let _ = writeln!(text, "{sentence}");
    }
    text
}

fn markdown(comparison: &Comparison) -> String {
    let mut text = String::new();
    let mut told = sentences(comparison).into_iter();
    let _ = writeln!(text, "**Contracts: {}**\n", told.next().unwrap_or_default());
    for sentence in told {
        let _ = writeln!(text, "- {}", plain(&sentence));
    }
    if comparison.changes.is_empty() {
        return text.trim_end().to_owned() + "\n";
    }
    text += "\n| contract | what | from | to | class | taken |\n|---|---|---|---|---|---|\n";
    for change in &comparison.changes {
        let taken = if comparison.offends(change) {
            "no"
        } else {
            "yes"
        };
        let cells = [
            plain(change.contract().as_str()),
            format!("{} {}", change.member().key(), change.effect().name()),
            plain(shown(change.from())),
            plain(shown(change.to())),
            change.class().name().to_owned(),
            taken.to_owned(),
        ];
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    for change in &comparison.changes {
        if let Some(remark) = remark(comparison, change) {
            let _ = writeln!(
                text,
                "\n{}: {}",
                plain(change.contract().as_str()),
                plain(&remark)
            );
        }
    }
    text
}

/// What a file says, so that Markdown shows it as it stands and mentions nobody.
fn plain(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '@' => escaped.push_str("&#64;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '#' | '|' | '!' | '~' => {
                escaped.push('\\');
                escaped.push(letter);
            }
            _ => escaped.push(letter),
        }
    }
    escaped
}

fn as_json(comparison: &Comparison) -> Value {
    let changes: Vec<Value> = comparison
        .changes
        .iter()
        .map(|change| change_json(comparison, change))
        .collect();
    let bumps: Vec<Value> = comparison.bumps.iter().map(bump_json).collect();
    json!({
        "class": worst_class(&comparison.changes).name(),
        "mode": comparison.mode.key(),
        "today": comparison.today.to_string(),
        "changes": changes,
        "versions": bumps,
        "exit_code": comparison.code(),
    })
}

fn change_json(comparison: &Comparison, change: &ContractChange) -> Value {
    let callers = comparison.seen.as_ref().filter(|_| is_removal(change));
    let callers = callers.map(|seen| {
        let callers = seen.contracts.get(change.contract().as_str());
        callers.map_or_else(|| json!([]), super::super::seen::Callers::json)
    });
    json!({
        "contract": change.contract().as_str(),
        "what": change.member().key(),
        "effect": change.effect().name(),
        "from": change.from(),
        "to": change.to(),
        "class": change.class().name(),
        "taken": !comparison.offends(change),
        "remark": remark(comparison, change),
        "callers": callers,
    })
}

fn bump_json(fault: &BumpFault) -> Value {
    json!({
        "contract": fault.contract.as_str(),
        "from": fault.from.to_string(),
        "to": fault.to.to_string(),
        "found": fault.found.name(),
        "needed": fault.needed.name(),
        "least": fault.from.bumped(fault.needed).to_string(),
    })
}
