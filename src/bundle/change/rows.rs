//! Collects the changes of one subject, each under its row of the table.

use super::Change;
use super::table::{Ordered, Row};

/// The changes of a contract, of the policy or of the bundle.
pub(super) struct Rows<'a> {
    pub(super) subject: &'a str,
    /// Whose signature a breaking change takes: who answered for it before.
    pub(super) owner: Option<&'a str>,
    pub(super) found: &'a mut Vec<Change>,
}

impl Rows<'_> {
    /// One change.
    pub(super) fn push(&mut self, row: Row, what: &str, from: Option<String>, to: Option<String>) {
        self.found.push(Change {
            subject: self.subject.to_owned(),
            what: what.to_owned(),
            from,
            to,
            consumer: row.consumer,
            protection: row.protection,
            owner: self.owner.map(str::to_owned),
        });
    }

    /// A member of which the row is the same whatever it was.
    pub(super) fn text(&mut self, row: Row, what: &str, from: Option<&str>, to: Option<&str>) {
        if from != to {
            self.push(row, what, from.map(str::to_owned), to.map(str::to_owned));
        }
    }

    /// A number of which less is tighter, and none lets everything through.
    pub(super) fn number(&mut self, rows: Ordered, what: &str, from: Option<u64>, to: Option<u64>) {
        let [old, new] = [from, to].map(|number| number.unwrap_or(u64::MAX));
        let row = match to {
            _ if old == new => return,
            None => rows.removed,
            Some(_) if new < old => rows.tighter,
            Some(_) => rows.looser,
        };
        let text = |number: u64| number.to_string();
        self.push(row, what, from.map(text), to.map(text));
    }

    /// A number of which more is tighter.
    pub(super) fn rising(&mut self, rows: Ordered, what: &str, from: u64, to: u64) {
        let row = if to > from { rows.tighter } else { rows.looser };
        if from != to {
            self.push(row, what, Some(from.to_string()), Some(to.to_string()));
        }
    }

    /// A choice whose values stand in an order, the mildest first.
    pub(super) fn choice<T: Ord>(
        &mut self,
        rows: Ordered,
        what: &str,
        from: (T, &str),
        to: (T, &str),
    ) {
        let row = if to.0 > from.0 {
            rows.tighter
        } else {
            rows.looser
        };
        if from.0 != to.0 {
            self.push(row, what, Some(from.1.to_owned()), Some(to.1.to_owned()));
        }
    }

    /// A switch: what it means to turn it on, and off.
    pub(super) fn switch(&mut self, on: Row, off: Row, what: &str, from: bool, to: bool) {
        let row = if to { on } else { off };
        if from != to {
            self.push(row, what, Some(from.to_string()), Some(to.to_string()));
        }
    }
}
