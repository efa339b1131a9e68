//! What the numbers of routes are called in metrics.
//!
//! A number is remembered as long as anything was counted under it, so the counters of a contract
//! go on through every change of the rulebook, those of a removed one stay where they are, and
//! none ever lands on another contract. Bounded by the tables of the workers and the contracts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::observation::UNMATCHED;
use crate::rulebook::Rulebook;
use crate::telemetry::key::OTHER_ROUTE;
use crate::telemetry::series::OTHER;
use crate::telemetry::tally::Tally;

/// The names of all routes that have been counted.
#[derive(Debug, Default)]
pub(super) struct RouteNames {
    newest: Option<u32>,
    names: BTreeMap<u32, Name>,
}

#[derive(Debug)]
struct Name {
    contract: Box<str>,
    template: Box<str>,
}

impl RouteNames {
    /// Learns the names of a rulebook, and forgets those that nothing was counted under.
    pub(super) fn learn(&mut self, rulebook: &Rulebook, tallies: &[Arc<Tally>]) {
        // A scrape may come late with an older rulebook: its names are known already.
        if self
            .newest
            .is_some_and(|newest| newest >= rulebook.serial())
        {
            return;
        }
        self.newest = Some(rulebook.serial());
        let tallied = tallies.iter().flat_map(|tally| tally.read());
        let counted: BTreeSet<u32> = tallied.map(|(key, _)| key.route()).collect();
        self.names.retain(|number, _| counted.contains(number));
        let contracts = rulebook.catalogue().contracts().iter();
        for (number, contract) in rulebook.board().numbers().zip(contracts) {
            let name = Name {
                contract: contract.id().as_str().into(),
                template: contract.template().into(),
            };
            self.names.insert(number, name);
        }
    }

    /// The contract's id, or one of two names that no contract can have.
    pub(super) fn contract(&self, number: u32) -> &str {
        match self.names.get(&number) {
            Some(name) => &name.contract,
            None => nameless(number),
        }
    }

    /// The contract's template; it never holds anything that a client sent.
    pub(super) fn template(&self, number: u32) -> &str {
        match self.names.get(&number) {
            Some(name) => &name.template,
            None => nameless(number),
        }
    }
}

const fn nameless(number: u32) -> &'static str {
    if number == 0 { UNMATCHED } else { OTHER }
}

/// The same for a route by its place on the board, or [`OTHER_ROUTE`].
pub(super) fn contract_label(rulebook: &Rulebook, route: usize) -> &str {
    match rulebook.contract_of(route) {
        Some(contract) => contract.id().as_str(),
        None if route == OTHER_ROUTE as usize => OTHER,
        None => UNMATCHED,
    }
}
