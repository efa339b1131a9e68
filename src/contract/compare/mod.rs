//! What differs between two sets of contracts, change by change, and whether callers can stay.
//!
//! Invariants: every member of a contract is compared (the pieces are taken apart without `..`, so
//! a new member does not compile until it has its line); equal sets have no changes; the order of
//! the contracts does not matter. The view is that of a caller who kept to the old contract: could
//! it be refused, or answered otherwise, under the new one?
//!
//! Deliberately not here: today's date, ledgers and what a change does to the protection of the
//! platform. A removal is therefore breaking until [`excuse_removals`] is told otherwise.

mod lifetimes;
mod member;
mod pair;
mod verdict;

use std::collections::BTreeMap;

use crate::contract::{Contract, ContractId};
use crate::units::Date;

pub use member::Member;
pub use verdict::{BumpFault, Mode, bump_faults, offends};

/// Whether callers of the old contract can stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Whoever kept to the old contract keeps to the new one.
    BackwardCompatible,
    /// Whoever kept to the old contract may be refused or answered otherwise.
    BreakingChange,
}

impl Class {
    /// The name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BackwardCompatible => "BACKWARD_COMPATIBLE",
            Self::BreakingChange => "BREAKING_CHANGE",
        }
    }
}

/// In which direction a change goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// A contract or a method is new.
    Added,
    /// A contract or a method is gone.
    Removed,
    /// Less is let through than before; also a limit where there was none.
    Tightened,
    /// More is let through than before; also where a limit is gone.
    Loosened,
    /// Neither more nor less.
    Changed,
}

impl Effect {
    /// The name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Tightened => "tightened",
            Self::Loosened => "loosened",
            Self::Changed => "changed",
        }
    }
}

/// One difference of one contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractChange {
    contract: ContractId,
    member: Member,
    effect: Effect,
    from: Option<Box<str>>,
    to: Option<Box<str>>,
    class: Class,
}

impl ContractChange {
    /// Whose.
    #[must_use]
    pub const fn contract(&self) -> &ContractId {
        &self.contract
    }

    /// What.
    #[must_use]
    pub const fn member(&self) -> Member {
        self.member
    }

    /// In which direction.
    #[must_use]
    pub const fn effect(&self) -> Effect {
        self.effect
    }

    /// The old value as a contract file writes it; `None` where nothing was said.
    #[must_use]
    pub fn from(&self) -> Option<&str> {
        self.from.as_deref()
    }

    /// The new value as a contract file writes it; `None` where nothing is said.
    #[must_use]
    pub fn to(&self) -> Option<&str> {
        self.to.as_deref()
    }

    /// Whether callers can stay as they are.
    #[must_use]
    pub const fn class(&self) -> Class {
        self.class
    }
}

/// Every change from the old contracts to the new ones, sorted by id and then by [`Member`].
///
/// Of several contracts with one id only the last counts; files and canonical content have none.
#[must_use]
pub fn compare(old: &[Contract], new: &[Contract]) -> Vec<ContractChange> {
    let old = by_id(old);
    let new = by_id(new);
    let mut changes = Vec::new();
    let mut ids: Vec<&ContractId> = old.keys().chain(new.keys()).copied().collect();
    ids.sort_unstable();
    ids.dedup();
    for id in ids {
        match (old.get(id), new.get(id)) {
            (Some(old), Some(new)) if old == new => {}
            (Some(old), Some(new)) => changes.extend(pair::compare_pair(old, new)),
            (old, new) => changes.push(whole(id, old.copied(), new.copied())),
        }
    }
    changes
}

fn by_id(contracts: &[Contract]) -> BTreeMap<&ContractId, &Contract> {
    let named = contracts.iter().map(|contract| (contract.id(), contract));
    named.collect()
}

/// A contract that only one side has.
fn whole(id: &ContractId, old: Option<&Contract>, new: Option<&Contract>) -> ContractChange {
    let endpoint = |contract: &Contract| contract.endpoint_key().into();
    let (effect, class) = match new {
        Some(_) => (Effect::Added, Class::BackwardCompatible),
        None => (Effect::Removed, Class::BreakingChange),
    };
    ContractChange {
        contract: id.clone(),
        member: Member::Contract,
        effect,
        from: old.map(endpoint),
        to: new.map(endpoint),
        class,
    }
}

/// Removals that callers were told of are compatible: those on or after the day of their sunset
/// of which nobody was seen to call any more.
pub fn excuse_removals(
    changes: &mut [ContractChange],
    old: &[Contract],
    today: Date,
    has_callers: impl Fn(&ContractId) -> bool,
) {
    let old = by_id(old);
    for change in changes {
        let is_removal = change.member == Member::Contract && change.effect == Effect::Removed;
        let contract = old.get(&change.contract).filter(|_| is_removal);
        if contract.is_some_and(|contract| contract.lifecycle().is_over(today))
            && !has_callers(&change.contract)
        {
            change.class = Class::BackwardCompatible;
        }
    }
}

/// The worst class of all changes: one breaking change among compatible ones is breaking.
#[must_use]
pub fn worst_class(changes: &[ContractChange]) -> Class {
    let classes = changes.iter().map(ContractChange::class);
    classes.max().unwrap_or(Class::BackwardCompatible)
}

#[cfg(test)]
mod tests;
