//! What the numbers of routes are called in metrics.
//!
//! A number is remembered as long as anything was counted under it, so the counters of a contract
//! go on through every change of the rulebook, those of a removed one stay where they are, and
//! none ever lands on another contract. Bounded by the tables of the workers and the contracts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::contract::{Catalogue, Contract};
use crate::observation::UNMATCHED;
use crate::rulebook::Rulebook;
use crate::telemetry::key::OTHER_ROUTE;
use crate::telemetry::series::OTHER;
use crate::telemetry::tally::Tally;

/// The names of all routes that have been counted.
#[derive(Debug, Clone, Default)]
pub(super) struct RouteNames {
    newest: Option<u32>,
    /// The contracts of the newest rulebook, and where each number stands among them, by number.
    contracts: Option<Catalogue>,
    places: Vec<(u32, u32)>,
    /// Those of removed contracts.
    removed: BTreeMap<u32, Name>,
}

#[derive(Debug, Clone)]
struct Name {
    contract: Box<str>,
    template: Box<str>,
}

impl RouteNames {
    /// Whether it has not learned from this rulebook. A scrape may come late with an older one: its
    /// names are known already.
    pub(super) fn lacks(&self, rulebook: &Rulebook) -> bool {
        self.newest.is_none_or(|newest| newest < rulebook.serial())
    }

    /// Learns the names of a rulebook, and forgets those that nothing was counted under.
    pub(super) fn learn(&mut self, rulebook: &Rulebook, tallies: &[Arc<Tally>]) {
        self.newest = Some(rulebook.serial());
        let tallied = tallies.iter().flat_map(|tally| tally.read());
        let counted: BTreeSet<u32> = tallied.map(|(key, _)| key.route()).collect();
        let mut places: Vec<(u32, u32)> = rulebook
            .board()
            .numbers()
            .zip(0..)
            .take(rulebook.catalogue().len())
            .collect();
        places.sort_unstable();
        self.removed.retain(|number, _| counted.contains(number));
        for number in &counted {
            if place_of(&places, *number).is_none()
                && let Some(contract) = self.named(*number)
            {
                let name = Name {
                    contract: contract.id().as_str().into(),
                    template: contract.template().into(),
                };
                self.removed.insert(*number, name);
            }
        }
        self.contracts = Some(rulebook.catalogue().clone());
        self.places = places;
    }

    /// The contract's id, or one of two names that no contract can have.
    pub(super) fn contract(&self, number: u32) -> &str {
        match (self.named(number), self.removed.get(&number)) {
            (Some(contract), _) => contract.id().as_str(),
            (None, Some(name)) => &name.contract,
            (None, None) => nameless(number),
        }
    }

    /// The contract's template; it never holds anything that a client sent.
    pub(super) fn template(&self, number: u32) -> &str {
        match (self.named(number), self.removed.get(&number)) {
            (Some(contract), _) => contract.template(),
            (None, Some(name)) => &name.template,
            (None, None) => nameless(number),
        }
    }

    /// The contract of the newest rulebook that has this number.
    fn named(&self, number: u32) -> Option<&Contract> {
        let place = place_of(&self.places, number)?;
        self.contracts.as_ref()?.contracts().get(place)
    }
}

fn place_of(places: &[(u32, u32)], number: u32) -> Option<usize> {
    let found = places.binary_search_by_key(&number, |(number, _)| *number);
    let (_, place) = places.get(found.ok()?)?;
    Some(*place as usize)
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
