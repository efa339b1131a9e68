//! What a comparison found, as data and as text.

use serde::Serialize;

use super::needs::Needs;
use crate::bundle::change::{self, Class, Classified};
use crate::cli::bundle::content::Content;
use crate::cli::replay::{Counted, RerunReport};

/// Everything that is told.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) old: String,
    pub(super) new: String,
    pub(super) classes: Vec<&'static str>,
    pub(super) changes: Vec<Change>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) needs: Option<Needs>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) impact: Option<Impact>,
}

/// What the two sides are.
pub(super) struct Sides {
    old: String,
    new: String,
}

impl Sides {
    pub(super) fn of(old: &Content, new: &Content) -> Self {
        let [old, new] = [old, new].map(Content::text);
        Self { old, new }
    }
}

/// One change.
#[derive(Debug, Serialize)]
pub(super) struct Change {
    pub(super) subject: String,
    pub(super) what: String,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    pub(super) consumer: &'static str,
    pub(super) protection: &'static str,
    pub(super) classes: Vec<&'static str>,
    pub(super) owner: Option<String>,
}

/// What would have become of recorded requests.
#[derive(Debug, Serialize)]
pub(super) struct Impact {
    /// Decisions that stand in the ledger as numbers only, and were not run.
    pub(super) not_replayable: u64,
    /// Records that could not be read.
    pub(super) unreadable: u64,
    #[serde(flatten)]
    pub(super) rerun: Option<RerunReport>,
}

impl Impact {
    pub(super) fn of(counted: Counted) -> Self {
        Self {
            not_replayable: counted.not_replayable,
            unreadable: counted.unreadable,
            rerun: counted.rerun,
        }
    }
}

impl Report {
    pub(super) fn new(
        sides: Sides,
        classified: Classified,
        needs: Option<Needs>,
        impact: Option<Impact>,
    ) -> Self {
        let is_empty = classified.changes.is_empty();
        Self {
            old: sides.old,
            new: sides.new,
            classes: names(classified.classes.iter().filter(|_| !is_empty)),
            changes: classified.changes.into_iter().map(Change::of).collect(),
            needs: needs.filter(|_| !is_empty),
            impact,
        }
    }

    /// Whether both sides are the same.
    pub(super) const fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// For people.
    pub(super) fn pretty(&self) -> String {
        let mut text = format!("old: {}\nnew: {}\n", self.old, self.new);
        for change in &self.changes {
            text += &format!(
                "  {} {}: {} -> {}  [consumer {}, protection {}]\n",
                change.subject,
                change.what,
                value(change.from.as_deref()),
                value(change.to.as_deref()),
                change.consumer,
                change.protection,
            );
        }
        if self.is_empty() {
            text += "nothing changes\n";
        } else {
            text += &format!(
                "{} changes: {}\n",
                self.changes.len(),
                self.classes.join(", ")
            );
        }
        if let Some(needs) = &self.needs {
            text += &format!("signatures: {}\n", needs.text());
        }
        if let Some(impact) = &self.impact {
            text += &impact.pretty();
        }
        text
    }
}

impl Impact {
    fn pretty(&self) -> String {
        let Some(rerun) = &self.rerun else {
            return String::new();
        };
        let mut text = format!(
            "of {} recorded requests {} would fare otherwise\n",
            rerun.requests, rerun.changed
        );
        for change in &rerun.changes {
            let (contract, from, to) = (&change.contract, change.from, change.to);
            text += &format!("{:>9}  {contract}: {from} -> {to}\n", change.count);
        }
        for line in self.notes(rerun) {
            text += &line;
            text.push('\n');
        }
        text
    }

    /// What was assumed, and what was not run.
    pub(super) fn notes(&self, rerun: &RerunReport) -> Vec<String> {
        let mut notes = rerun.assumptions();
        if self.not_replayable > 0 {
            let count = self.not_replayable;
            notes.push(format!(
                "not run: {count} decisions that stand in the ledger as numbers only"
            ));
        }
        if self.unreadable > 0 {
            notes.push(format!(
                "not run: {} records that cannot be read",
                self.unreadable
            ));
        }
        notes
    }
}

impl Change {
    fn of(change: change::Change) -> Self {
        let classes = change::classes_of(std::slice::from_ref(&change));
        Self {
            consumer: change.consumer.name(),
            protection: change.protection.name(),
            classes: names(classes.iter()),
            subject: change.subject,
            what: change.what,
            from: change.from,
            to: change.to,
            owner: change.owner,
        }
    }
}

fn names<'a>(classes: impl Iterator<Item = &'a Class>) -> Vec<&'static str> {
    classes.map(|class| class.name()).collect()
}

/// A value, or that there is none.
pub(super) fn value(text: Option<&str>) -> &str {
    text.unwrap_or("none")
}
