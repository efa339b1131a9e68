//! Templates that take paths from others: a new `/a/special` takes one from `/a/{id}`.
//!
//! At every level a literal beats a parameter, and a parameter beats `{*name}`. So a template takes
//! paths from another one where both have a path in common and, at the first level where they are
//! of different kinds, its own is the stronger. Templates are valid here, so their text is enough.
//! Looked at are only templates whose shape is new or gone, against those that stay. Thousands may
//! take from thousands, of as many owners: then not each pair is told, but each owner.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::Change;
use super::rows::Rows;
use super::table;
use crate::contract::Contract;

/// So many changes tell who takes from which owner; beyond, only owners that none names yet.
const TOLD_MAX: usize = 10_000;

/// What one segment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Part<'a> {
    Literal(&'a str),
    Parameter,
    CatchAll,
}

/// What paths a template has, whatever its parameters are called.
pub(super) fn shape(template: &str) -> Vec<Part<'_>> {
    let parts = template.split('/').skip(1);
    parts
        .map(|part| match part.as_bytes() {
            [b'{', b'*', ..] => Part::CatchAll,
            [b'{', ..] => Part::Parameter,
            _ => Part::Literal(part),
        })
        .collect()
}

/// Every overlap that comes and goes.
pub(super) fn compare(before: &[Contract], after: &[Contract], found: &mut Vec<Change>) {
    let moved = Moved::between(before.iter().collect(), after.iter().collect());
    let mut told = Told::default();
    for taker in &moved.added {
        created(taker, &moved.staying.losers(taker), &mut told, found);
    }
    for giver in &moved.gone {
        removed(giver, &moved.staying.losers(giver), found);
    }
}

/// The ids of the contracts that lose paths to templates that were not there before.
#[must_use]
pub fn losing_paths<'a>(
    before: impl IntoIterator<Item = &'a Contract>,
    after: impl IntoIterator<Item = &'a Contract>,
) -> BTreeSet<&'a str> {
    let moved = Moved::between(before.into_iter().collect(), after.into_iter().collect());
    let losers = moved
        .added
        .iter()
        .flat_map(|taker| moved.staying.losers(taker));
    losers.map(|loser| loser.id().as_str()).collect()
}

/// The contracts whose shape is new or gone, and the templates of the others.
struct Moved<'a> {
    added: Vec<&'a Contract>,
    gone: Vec<&'a Contract>,
    staying: Tree<'a>,
}

impl<'a> Moved<'a> {
    fn between(before: Vec<&'a Contract>, after: Vec<&'a Contract>) -> Self {
        let (old, new) = (shapes(&before), shapes(&after));
        let is_in = |shapes: &HashSet<Vec<Part<'_>>>, contract: &Contract| {
            shapes.contains(&shape(contract.template()))
        };
        let added: Vec<_> = after.into_iter().filter(|c| !is_in(&old, c)).collect();
        let (stays, gone): (Vec<_>, Vec<_>) = before.into_iter().partition(|c| is_in(&new, c));
        let mut staying = Tree::default();
        if !(added.is_empty() && gone.is_empty()) {
            stays
                .into_iter()
                .for_each(|contract| staying.place(contract));
        }
        Self {
            added,
            gone,
            staying,
        }
    }
}

fn shapes<'a>(contracts: &[&'a Contract]) -> HashSet<Vec<Part<'a>>> {
    let templates = contracts.iter().map(|contract| contract.template());
    templates.map(shape).collect()
}

/// Which owners were told, and by how many changes.
#[derive(Default)]
struct Told<'a> {
    owners: BTreeSet<Option<&'a str>>,
    changes: usize,
}

/// One change for each owner whose API loses paths: each of them has to sign.
fn created<'a>(
    taker: &Contract,
    losers: &[&'a Contract],
    told: &mut Told<'a>,
    found: &mut Vec<Change>,
) {
    let mut by_owner: BTreeMap<Option<&str>, Several<'a>> = BTreeMap::new();
    for loser in losers {
        let several = by_owner.entry(loser.owner());
        several.or_insert_with(|| Several::none(loser)).add(loser);
    }
    for (owner, losers) in by_owner {
        if !told.owners.insert(owner) && told.changes >= TOLD_MAX {
            continue;
        }
        told.changes += 1;
        let rows = &mut Rows {
            subject: taker.id().as_str(),
            owner,
            found: &mut *found,
        };
        let to = Some(taker.endpoint_key().to_owned());
        rows.push(table::OVERLAP_CREATED, "overlap", Some(losers.text()), to);
    }
}

fn removed(giver: &Contract, losers: &[&Contract], found: &mut Vec<Change>) {
    let Some(first) = losers.first() else {
        return;
    };
    let mut several = Several::none(first);
    losers.iter().for_each(|loser| several.add(loser));
    let rows = &mut Rows {
        subject: giver.id().as_str(),
        owner: giver.owner(),
        found,
    };
    let from = Some(giver.endpoint_key().to_owned());
    rows.push(
        table::OVERLAP_REMOVED,
        "overlap",
        from,
        Some(several.text()),
    );
}

/// The first of some contracts by id, and how many they are: one template can take from thousands.
struct Several<'a> {
    first: &'a Contract,
    count: usize,
}

impl<'a> Several<'a> {
    const fn none(first: &'a Contract) -> Self {
        Self { first, count: 0 }
    }

    fn add(&mut self, contract: &'a Contract) {
        self.count += 1;
        if contract.id() < self.first.id() {
            self.first = contract;
        }
    }

    fn text(&self) -> String {
        let (endpoint, id) = (self.first.endpoint_key(), self.first.id().as_str());
        match self.count {
            0 | 1 => format!("{endpoint} ({id})"),
            several => format!("{endpoint} ({id}) and {} more", several - 1),
        }
    }
}

/// The templates that stay, by segment.
#[derive(Default)]
struct Tree<'a> {
    root: Node<'a>,
}

#[derive(Default)]
struct Node<'a> {
    literals: BTreeMap<&'a str, Node<'a>>,
    parameter: Option<Box<Node<'a>>>,
    catch_all: Vec<&'a Contract>,
    here: Vec<&'a Contract>,
}

impl<'a> Tree<'a> {
    fn place(&mut self, contract: &'a Contract) {
        let mut node = &mut self.root;
        for part in shape(contract.template()) {
            node = match part {
                Part::Literal(literal) => node.literals.entry(literal).or_default(),
                Part::Parameter => node.parameter.get_or_insert_default(),
                Part::CatchAll => {
                    node.catch_all.push(contract);
                    return;
                }
            };
        }
        node.here.push(contract);
    }

    /// Those from which a template takes paths, each once, in no order.
    fn losers(&self, taker: &Contract) -> Vec<&'a Contract> {
        let mut found = Vec::new();
        self.root
            .losers(&shape(taker.template()), false, &mut found);
        found
    }
}

impl<'a> Node<'a> {
    /// `is_stronger`: at some level before this one the taker was of the stronger kind; from there
    /// on every path in common is taken.
    fn losers(&self, rest: &[Part<'_>], is_stronger: bool, found: &mut Vec<&'a Contract>) {
        let Some((part, rest)) = rest.split_first() else {
            if is_stronger {
                found.extend(&self.here);
            }
            return;
        };
        // `{*name}` is not empty, and a literal is so only behind the last slash.
        let is_catching = is_stronger || *part != Part::CatchAll;
        if is_catching && *part != Part::Literal("") {
            found.extend(&self.catch_all);
        }
        match part {
            Part::Literal(literal) => {
                if let Some(child) = self.literals.get(literal) {
                    child.losers(rest, is_stronger, found);
                }
                // A parameter is never empty either.
                if let Some(child) = self.parameter.as_ref().filter(|_| !literal.is_empty()) {
                    child.losers(rest, true, found);
                }
            }
            Part::Parameter => {
                if let Some(child) = &self.parameter {
                    child.losers(rest, is_stronger, found);
                }
                for child in self.others().filter(|_| is_stronger) {
                    child.losers(rest, is_stronger, found);
                }
            }
            Part::CatchAll if is_stronger => {
                let children = self.others().chain(self.parameter.as_deref());
                children.for_each(|child| child.all(found));
            }
            Part::CatchAll => {}
        }
    }

    /// What comes after a literal that a parameter could be: one that is not empty.
    fn others(&self) -> impl Iterator<Item = &Self> {
        let named = self.literals.iter().filter(|(name, _)| !name.is_empty());
        named.map(|(_, child)| child)
    }

    /// Everything from here on: the taker has every path of it.
    fn all(&self, found: &mut Vec<&'a Contract>) {
        found.extend(&self.here);
        found.extend(&self.catch_all);
        let children = self.literals.values().chain(self.parameter.as_deref());
        children.for_each(|child| child.all(found));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{ContractId, ContractParts, Method, MethodSet, Terms};

    fn contract(id: &str, template: &str) -> Contract {
        let methods = MethodSet::EMPTY.with(Method::Get);
        let id = ContractId::new(id).unwrap();
        let endpoint = format!("GET {template}");
        Contract::new(ContractParts::new(id, &endpoint, methods, Terms::default()))
    }

    #[test]
    fn a_template_takes_paths_from_weaker_ones_that_it_meets() {
        let check = |old: &str, new: &str, takes: bool| {
            let stays = contract("stays", old);
            let both = [stays.clone(), contract("taker", new)];
            let mut found = Vec::new();
            compare(std::slice::from_ref(&stays), &both, &mut found);
            let created: Vec<_> = found.iter().map(|c| (c.what.as_str(), &c.from)).collect();
            let expected = Some(format!("GET {old} (stays)"));
            let expected = vec![("overlap", &expected); usize::from(takes)];
            assert_eq!(created, expected, "{new} from {old}");
            // Its paths come back when it goes.
            let mut found = Vec::new();
            compare(&both, &[stays], &mut found);
            assert_eq!(found.len(), usize::from(takes), "{new} gone from {old}");
        };
        check("/a/{id}", "/a/special", true);
        check("/a/special", "/a/{id}", false);
        check("/a/{id}", "/a/{other}", false);
        check("/a/{id}", "/b/special", false);
        check("/a/{id}", "/a/special/x", false);
        check("/a/{id}/x", "/a/special/{y}", true);
        check("/a/{id}/x", "/a/special/{*y}", true);
        check("/a/{id}/x", "/a/special/y", false);
        check("/{*all}", "/a", true);
        check("/{*all}", "/{a}/b", true);
        check("/{a}/b", "/{*all}", false);
        check("/a/{*rest}", "/a/", false);
        check("/a/{id}", "/a/", false);
        check("/{x}/b/{*y}", "/a/{z}", false);
        check("/{x}/b/{*y}", "/a/{z}/c", true);
        check("/{x}/b", "/{y}/{z}", false);
        check("/a/{x}/{y}", "/a/{x}/lit", true);
    }

    #[test]
    fn thousands_that_take_from_thousands_name_each_owner() {
        let one = |id: String, template: String, owner: String| {
            let parts = contract(&id, &template).parts();
            let owner = Some(owner.into());
            Contract::new(ContractParts { owner, ..parts })
        };
        let stays: Vec<Contract> = (0..300)
            .map(|n| one(format!("s{n:03}"), format!("/{{x}}/s{n}"), format!("o{n}")))
            .collect();
        let takers = (0..300).map(|n| one(format!("t{n}"), format!("/t{n}/{{*y}}"), "o".into()));
        let all: Vec<Contract> = stays.iter().cloned().chain(takers).collect();
        let mut found = Vec::new();
        compare(&stays, &all, &mut found);
        let owners: BTreeSet<_> = found.iter().map(|change| &change.owner).collect();
        assert_eq!((found.len(), owners.len()), (TOLD_MAX, 300));
        // From one owner all is one change of each template.
        let same: Vec<Contract> = (0..300)
            .map(|n| contract(&format!("s{n:03}"), &format!("/{{x}}/s{n}")))
            .collect();
        let mut found = Vec::new();
        let taker = contract("taker", "/t/{*y}");
        let with: Vec<Contract> = same.iter().cloned().chain([taker]).collect();
        compare(&same, &with, &mut found);
        let told: Vec<_> = found.iter().map(|change| change.from.as_deref()).collect();
        assert_eq!(told, [Some("GET /{x}/s0 (s000) and 299 more")]);
    }

    /// What the matcher does is the truth.
    #[test]
    fn the_matcher_agrees() {
        use crate::contract::{Catalogue, Pairing, canonicalise};
        let segments = ["a", "b", "{p}"];
        let mut templates: Vec<String> = Vec::new();
        for one in segments {
            templates.push(format!("/{one}"));
            for two in ["a", "b", "{q}", "{*r}", ""] {
                templates.push(format!("/{one}/{two}"));
                templates.extend(["a", "{s}", "{*t}"].map(|three| format!("/{one}/{two}/{three}")));
            }
        }
        templates.retain(|template| crate::contract::Template::parse(template).is_ok());
        let mut paths: Vec<String> = Vec::new();
        for one in ["a", "b", "c"] {
            paths.push(format!("/{one}"));
            for two in ["a", "b", "c", ""] {
                paths.push(format!("/{one}/{two}"));
                if !two.is_empty() {
                    paths.extend(["a", "c", "a/a"].map(|rest| format!("/{one}/{two}/{rest}")));
                }
            }
        }
        let matches = |contracts: Vec<Contract>, path: &str| {
            let catalogue = Catalogue::build(contracts).unwrap();
            let path = canonicalise(path.as_bytes()).unwrap();
            match catalogue.pair_strictly(Method::Get, Ok(&path)) {
                Pairing::Contracted(index) => catalogue.get(index).id().as_str().to_owned(),
                _ => String::new(),
            }
        };
        for old in &templates {
            for new in templates.iter().filter(|new| shape(new) != shape(old)) {
                let (stays, taker) = (contract("stays", old), contract("taker", new));
                let both = vec![stays.clone(), taker];
                let takes = paths.iter().any(|path| {
                    matches(vec![stays.clone()], path) == "stays"
                        && matches(both.clone(), path) == "taker"
                });
                let mut found = Vec::new();
                compare(&[stays], &both, &mut found);
                assert_eq!(found.len(), usize::from(takes), "{new} from {old}");
            }
        }
    }
}
