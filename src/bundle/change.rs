//! What a bundle does to those it governs, and which classes of change that makes it.
//!
//! Two verdicts for each single change: could a caller that met the old contract now be refused
//! (*consumer*), and is the platform less protected (*protection*)? The classes follow from the
//! verdicts, never from the author's word. The table stands in docs/bundle-format.md.

use std::collections::{BTreeMap, BTreeSet};

use crate::contract::Contract;
use crate::policy::rules::Rules;
use crate::units::Tier;

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
    /// The id of the contract, `policy`, or `bundle`.
    pub subject: String,
    /// What changed: the key in the files.
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
    /// The most that a gateway may do under it.
    pub tier_max: Tier,
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
/// there is nothing that it could tighten.
#[must_use]
pub fn classify(before: Option<Side<'_>>, after: Side<'_>) -> Classified {
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
    let changes = changes(before, after);
    let mut classes = BTreeSet::new();
    for change in &changes {
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
    Classified { changes, classes }
}

/// Every single change.
fn changes(before: Side<'_>, after: Side<'_>) -> Vec<Change> {
    let by_id = |side: &[Contract]| -> BTreeMap<String, Contract> {
        let named = |contract: &Contract| (contract.id().as_str().to_owned(), contract.clone());
        side.iter().map(named).collect()
    };
    let (old, new) = (by_id(before.contracts), by_id(after.contracts));
    let mut found = Vec::new();
    for (id, contract) in &old {
        if !new.contains_key(id) {
            found.push(route(id, contract, true));
        }
    }
    for (id, contract) in &new {
        if !old.contains_key(id) {
            found.push(route(id, contract, false));
        }
    }
    found.sort();
    found
}

fn route(id: &str, contract: &Contract, is_removed: bool) -> Change {
    let endpoint = Some(contract.endpoint_key().to_owned());
    let (from, to, consumer, protection) = if is_removed {
        (endpoint, None, Verdict::Breaking, Verdict::None)
    } else {
        (None, endpoint, Verdict::None, Verdict::Warn)
    };
    Change {
        subject: id.to_owned(),
        what: "endpoint".to_owned(),
        from,
        to,
        consumer,
        protection,
        owner: contract.owner().map(str::to_owned),
    }
}
