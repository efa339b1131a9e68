//! Contracts of many files become one catalogue, or findings with their places.
//!
//! Invariant: ids and successors are compared over all drafts, also those that have other faults. Not
//! here: which files there are (`folder`), and what one contract may say.

use std::collections::{HashMap, HashSet};

use super::drafts::{Drafts, Filed};
use super::references::Descriptions;
use super::{CONTRACTS_MAX, LOOKUP_STEPS_MAX};
use crate::contract::file::{OwnersFile, Surroundings, read_contracts};
use crate::contract::{Catalogue, Collision, Contract, ContractId};
use crate::diagnostic::{Code, Place};
use crate::yaml::{self, Sheet};

/// The contracts of all files, and where they stand. `owners` gives what is said of a file;
/// `descriptions` is `None` where references to them are not judged, and a successor need not be there
/// where the files are not all.
pub(super) fn load_catalogue<'a>(
    around: Surroundings<'a>,
    owners: &impl Fn(usize) -> OwnersFile<'a>,
    mut descriptions: Option<Descriptions<'_>>,
    is_whole: bool,
    sheets: &mut [Sheet<'_>],
) -> (Option<Catalogue>, Drafts) {
    let mut drafts: Vec<Filed> = Vec::new();
    for (number, sheet) in sheets.iter_mut().enumerate() {
        if let Some(root) = yaml::read(sheet) {
            let owners = owners(number);
            let read = read_contracts(sheet, &root, Surroundings { owners, ..around });
            if let Some(descriptions) = &mut descriptions {
                read.iter()
                    .for_each(|draft| descriptions.judge(sheet, draft));
            }
            drafts.extend(read.into_iter().map(|draft| (number, draft)));
        }
    }
    let places = Drafts::of(&drafts);
    if let Some((number, draft)) = drafts.get(CONTRACTS_MAX) {
        let message = format!("there are more than {CONTRACTS_MAX} contracts");
        if let Some(sheet) = sheets.get_mut(*number) {
            sheet.error(draft.id_place, Code::TooMany, message);
        }
        return (None, places);
    }
    report_same_ids(&drafts, sheets);
    if is_whole {
        report_successors(&drafts, sheets);
    }
    (build(drafts, sheets), places)
}

/// Ids are compared over all drafts, also those that have other faults.
fn report_same_ids(drafts: &[Filed], sheets: &mut [Sheet<'_>]) {
    let mut seen: HashMap<&ContractId, &Filed> = HashMap::with_capacity(drafts.len());
    for filed in drafts {
        let (number, draft) = filed;
        let Some(id) = &draft.id else { continue };
        match seen.get(id) {
            None => {
                seen.insert(id, filed);
            }
            Some((other, first)) => {
                let first = place_name(sheets, *other, first.id_place);
                let message = format!("the id '{}' is taken by {first}", id.as_str());
                if let Some(sheet) = sheets.get_mut(*number) {
                    sheet.error(draft.id_place, Code::SameId, message);
                }
            }
        }
    }
}

/// A successor is another contract of the files, also where that one has faults.
fn report_successors(drafts: &[Filed], sheets: &mut [Sheet<'_>]) {
    let ids = drafts.iter().filter_map(|(_, draft)| draft.id.as_ref());
    let ids: HashSet<&ContractId> = ids.collect();
    for (number, draft) in drafts {
        let Some(contract) = &draft.contract else {
            continue;
        };
        let Some(successor) = &contract.lifecycle().parts().successor else {
            continue;
        };
        let message = if successor == contract.id() {
            "a contract cannot be its own successor".to_owned()
        } else if ids.contains(successor) {
            continue;
        } else {
            format!("there is no contract '{}'", successor.as_str())
        };
        if let Some(sheet) = sheets.get_mut(*number) {
            sheet.error(draft.successor_place, Code::Successor, message);
        }
    }
}

pub(super) fn place_name(sheets: &[Sheet<'_>], number: usize, place: Place) -> String {
    let file = sheets.get(number).map_or("", Sheet::file);
    format!("{file}:{}:{}", place.line, place.column)
}

fn build(drafts: Vec<Filed>, sheets: &mut [Sheet<'_>]) -> Option<Catalogue> {
    let mut places: Vec<(usize, Place)> = Vec::with_capacity(drafts.len());
    let mut contracts: Vec<Contract> = Vec::with_capacity(drafts.len());
    for (number, draft) in drafts {
        if let Some(contract) = draft.contract {
            places.push((number, draft.endpoint_place));
            contracts.push(contract);
        }
    }
    let names: Vec<ContractId> = contracts.iter().map(|c| c.id().clone()).collect();
    match Catalogue::build(contracts) {
        Ok(catalogue) => {
            let steps = catalogue.lookup_steps_max();
            if steps > LOOKUP_STEPS_MAX
                && let Some(sheet) = sheets.first_mut()
            {
                let message = format!("one path could take {steps} steps to look up");
                sheet.error(Place::default(), Code::Backtracking, message);
                return None;
            }
            Some(catalogue)
        }
        Err(collisions) => {
            for collision in &collisions {
                report_collision(collision, &places, &names, sheets);
            }
            None
        }
    }
}

fn report_collision(
    collision: &Collision,
    places: &[(usize, Place)],
    names: &[ContractId],
    sheets: &mut [Sheet<'_>],
) {
    let Some((number, place)) = places.get(collision.position()).copied() else {
        return;
    };
    let (code, message) = match collision {
        // Reported with the place of the id, by `report_same_ids`.
        Collision::SameId { .. } => return,
        Collision::Template { fault, .. } => (Code::Template, fault.to_string()),
        Collision::SameRoute { first, methods, .. } => {
            let methods: Vec<&str> = methods.iter().map(|method| method.as_str()).collect();
            let name = names.get(*first).map_or("", ContractId::as_str);
            let (other, at) = places.get(*first).copied().unwrap_or_default();
            let first = place_name(sheets, other, at);
            let methods = methods.join(", ");
            let message = format!("{methods} of this path is claimed by '{name}' at {first}");
            (Code::SameRoute, message)
        }
    };
    if let Some(sheet) = sheets.get_mut(number) {
        sheet.error(place, code, message);
    }
}
