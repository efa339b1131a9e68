//! What a comparison found, as data and as text.

use serde::Serialize;

use super::needs::Needs;
use super::sides::{self, Side};
use crate::bundle::change::{self, Class, Classified};
use crate::cli::replay::{Counted, RerunReport};

/// Everything that is told.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) old: Side,
    pub(super) new: Side,
    /// Whether NEW names OLD as its parent; not said where one of them is no bundle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) follows: Option<bool>,
    /// Why a gateway refuses NEW as the emergency measure that it says it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) too_wide: Option<String>,
    pub(super) classes: Vec<&'static str>,
    pub(super) changes: Vec<Change>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) needs: Option<Needs>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) impact: Option<Impact>,
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
        [old, new]: [Side; 2],
        classified: Classified,
        too_wide: Option<String>,
        needs: Option<Needs>,
        impact: Option<Impact>,
    ) -> Self {
        let is_empty = classified.changes.is_empty();
        Self {
            follows: sides::follows(&old, &new),
            old,
            new,
            too_wide,
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

    /// What people have to know besides the changes, one sentence each.
    pub(super) fn remarks(&self) -> Vec<String> {
        sides::remarks(&self.old, &self.new, self.too_wide.as_deref())
    }

    /// For people.
    pub(super) fn pretty(&self) -> String {
        let (old, new) = (self.old.text(), self.new.text());
        let mut text = format!("old: {old}\nnew: {new}\nsignatures are not verified here\n");
        for remark in self.remarks() {
            text += &remark;
            text.push('\n');
        }
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
