//! What a bundle does to those it governs, and which classes of change that makes it.
//!
//! Two verdicts for each single change: could a caller that met the old contract now be refused
//! (*consumer*), and is the platform less protected (*protection*)? The classes follow from the
//! verdicts, never from the author's word. The table stands in docs/bundle-format.md, and in
//! `table`; the other files say which row a change falls under. Each member of the canonical form
//! has one: a test asks the form. The day is that of whoever compares, never one that a bundle
//! names. Nothing is copied but what is reported, and contracts that differ.

mod charter;
mod contracts;
mod exposure;
mod lifecycle;
mod overlap;
mod policy;
mod rows;
mod self_tests;
mod table;

use std::collections::BTreeSet;

use crate::contract::Contract;
use crate::policy::charter::Charter;
use crate::policy::rules::Rules;
use crate::policy::self_tests::SelfTests;
use crate::units::{Date, Tier};
use rows::Rows;

pub use overlap::losing_paths;
pub use table::{ROWS, Row};

/// The name of the bundle among the subjects of changes.
const BUNDLE: &str = "bundle";

/// How much a change means to one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Nothing.
    None,
    /// Worth a look.
    Warn,
    /// Something that held does not hold any more.
    Breaking,
    /// The gateway itself may do more than before; of protection only.
    Authority,
}

impl Verdict {
    /// The name in reports and in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Warn => "warn",
            Self::Breaking => "breaking",
            Self::Authority => "authority",
        }
    }
}

/// What kind of signatures a bundle needs. A bundle can be of several classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// None of the others.
    Tighten,
    /// Callers that met the old contracts may now be refused.
    Breaking,
    /// The platform is less protected.
    Loosen,
    /// The gateway may do more.
    Authority,
    /// An emergency measure that only protects.
    Breakglass,
}

impl Class {
    /// All classes.
    pub const ALL: [Self; 5] = [
        Self::Tighten,
        Self::Breaking,
        Self::Loosen,
        Self::Authority,
        Self::Breakglass,
    ];

    /// The name in output, status and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tighten => "TIGHTEN",
            Self::Breaking => "BREAKING",
            Self::Loosen => "LOOSEN",
            Self::Authority => "AUTHORITY",
            Self::Breakglass => "BREAKGLASS",
        }
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// The id of the contract, `policy`, `charter`, `self_tests`, or `bundle`.
    pub subject: String,
    /// What changed: the key in the files, or the name of the self-test.
    pub what: String,
    /// What it was; `None` where it was not there.
    pub from: Option<String>,
    /// What it is; `None` where it is gone.
    pub to: Option<String>,
    /// What it means to callers.
    pub consumer: Verdict,
    /// What it means to the platform.
    pub protection: Verdict,
    /// Who answers for the contract, where it is one with an owner.
    pub owner: Option<String>,
}

/// One side of a comparison.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// The contracts.
    pub contracts: &'a [Contract],
    /// The rules.
    pub rules: &'a Rules,
    /// How all of it changes.
    pub charter: &'a Charter,
    /// What is expected of it.
    pub self_tests: &'a SelfTests,
    /// The most that a gateway may do under it.
    pub tier_max: Tier,
    /// SHA-256 of the canonical content: what differs there is a change, whether a row tells or not.
    pub content_digest: [u8; 32],
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classified {
    /// Every single change, sorted by subject and key.
    pub changes: Vec<Change>,
    /// The classes; never empty.
    pub classes: BTreeSet<Class>,
}

/// The classes of a change from one side to another. `None` is the first bundle under a root:
/// there is nothing that it could tighten. `today` is the day of the clock of whoever asks: an
/// author's day could be any.
#[must_use]
pub fn classify(before: Option<Side<'_>>, after: Side<'_>, today: Date) -> Classified {
    let Some(before) = before else {
        let class = if after.tier_max > Tier::ObserveOnly {
            Class::Authority
        } else {
            Class::Loosen
        };
        return Classified {
            changes: Vec::new(),
            classes: BTreeSet::from([class]),
        };
    };
    let changes = changes(before, after, today);
    let classes = classes_of(&changes);
    Classified { changes, classes }
}

/// The classes of these changes; never empty.
#[must_use]
pub fn classes_of(changes: &[Change]) -> BTreeSet<Class> {
    let mut classes = BTreeSet::new();
    for change in changes {
        if change.consumer == Verdict::Breaking {
            classes.insert(Class::Breaking);
        }
        match change.protection {
            Verdict::None => false,
            Verdict::Warn | Verdict::Breaking => classes.insert(Class::Loosen),
            Verdict::Authority => classes.insert(Class::Authority),
        };
    }
    if classes.is_empty() {
        classes.insert(Class::Tighten);
    }
    classes
}

/// The classes of a change from something that is not known: it could be any change, so of every
/// class but an emergency's, and all owners on both sides that are known have to agree.
#[must_use]
pub fn classify_unknown(before: Option<Side<'_>>, after: Side<'_>) -> Classified {
    let contracts = before.iter().flat_map(|side| side.contracts);
    let contracts = contracts.chain(after.contracts);
    let owners: BTreeSet<Option<&str>> = contracts.map(Contract::owner).collect();
    let mut changes = Vec::new();
    for owner in owners
        .into_iter()
        .chain(after.contracts.is_empty().then_some(None))
    {
        let rows = &mut Rows {
            subject: BUNDLE,
            owner,
            found: &mut changes,
        };
        rows.push(table::NOT_KNOWN, "parent", None, None);
    }
    let classes = [Class::Breaking, Class::Loosen, Class::Authority];
    Classified {
        changes,
        classes: classes.into(),
    }
}

impl Classified {
    /// Both together: every change of either, each once.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.changes.extend(other.changes);
        self.changes.sort();
        self.changes.dedup();
        let classes = classes_of(&self.changes);
        Self { classes, ..self }
    }
}

/// Every single change, sorted by subject, key and values.
fn changes(before: Side<'_>, after: Side<'_>, today: Date) -> Vec<Change> {
    let mut found = Vec::new();
    contracts::compare(before.contracts, after.contracts, today, &mut found);
    exposure::weigh(after.rules, &mut found);
    overlap::compare(before.contracts, after.contracts, &mut found);
    policy::compare(before.rules, after.rules, &mut found);
    charter::compare(before.charter, after.charter, &mut found);
    self_tests::compare(before.self_tests, after.self_tests, &mut found);
    let is_silent = found.is_empty();
    let (from, to) = (before.tier_max, after.tier_max);
    let row = if to > from {
        table::TIER_RAISED
    } else {
        table::TIER_LOWERED
    };
    let rows = &mut Rows {
        subject: BUNDLE,
        owner: None,
        found: &mut found,
    };
    rows.text(row, "tier_max", Some(from.key()), Some(to.key()));
    // The net under the rows: no content comes into force as if nothing had changed.
    if is_silent {
        let [from, to] = [before, after].map(|side| hex::encode(side.content_digest));
        rows.text(table::UNTOLD, "content", Some(&from), Some(&to));
    }
    found.sort();
    found
}

/// Why a bundle with these changes is more than an emergency measure; `None` where it is one.
///
/// Break-glass lowers `tier_max` and nothing else, or makes one contract stricter.
#[must_use]
pub fn breakglass_fault(changes: &[Change]) -> Option<String> {
    let Some(first) = changes.first() else {
        return Some("it changes nothing".to_owned());
    };
    let told = |change: &Change| format!("{} of {}", change.what, change.subject);
    if let Some(other) = changes.iter().find(|other| other.subject != first.subject) {
        return Some(format!("it changes {} and {}", told(first), told(other)));
    }
    let is_lowering = first.subject == BUNDLE && first.protection == Verdict::Warn;
    if changes.len() == 1 && first.what == "tier_max" && is_lowering {
        return None;
    }
    if [policy::SUBJECT, charter::SUBJECT, self_tests::SUBJECT].contains(&&*first.subject) {
        return Some(format!("it changes {}", told(first)));
    }
    if let Some(looser) = changes.iter().find(|c| c.protection > Verdict::None) {
        return Some(format!("it loosens {}", told(looser)));
    }
    let is_stricter = changes.iter().any(|c| c.consumer > Verdict::None);
    (!is_stricter).then(|| format!("it changes {} and makes nothing stricter", told(first)))
}

#[cfg(test)]
mod tests;
