//! All contracts of a rulebook, and the one that a request falls under.
//!
//! The path is matched first, the method second: one path may have several methods in several
//! contracts, and a known path with a foreign method is not an unknown path. Contracts are kept
//! sorted by id, so the order of the files never matters.
//!
//! Invariants: no two contracts claim the same method of the same path shape; a path that is
//! ambiguous belongs to a contract only where that contract allows the ambiguity. The folded view
//! is looked at where that gives no contract, or one that others could be mistaken for; see `aliases`.

use std::borrow::Cow;
use std::sync::Arc;

use crate::contract::aliases::{Aliases, NO_RIVALS};
use crate::contract::collision::{Collision, same_ids, shapes, shared_methods};
use crate::contract::index::RouteIndex;
use crate::contract::path::CanonicalPath;
use crate::contract::template::Template;
use crate::contract::terms::Alike;
use crate::contract::{Contract, ContractIndex, Method, MethodSet, Pairing, PathFault, PathRules};

/// In place of a folded shape: no contract has the path.
const MISSED: u32 = NO_RIVALS - 1;

/// The contracts, matched by path and method. Copies share what they hold: the bundle in force and
/// every rulebook made of it have one.
#[derive(Debug, Clone)]
pub struct Catalogue {
    /// Sorted by id.
    contracts: Arc<[Contract]>,
    /// The contracts of each path shape, one run per shape, each run sorted by id.
    claims: Arc<[Claim]>,
    /// Per contract, where its run begins.
    runs: Arc<[u32]>,
    index: Arc<RouteIndex>,
    aliases: Arc<Aliases>,
    any_merges_slashes: bool,
}

/// What one contract claims of a path shape.
#[derive(Debug, Clone, Copy)]
struct Claim {
    contract: ContractIndex,
    /// The folded shape of the path where another one could be mistaken for it, else `NO_RIVALS`.
    folded_shape: u32,
    methods: MethodSet,
    path_rules: PathRules,
    is_last_of_run: bool,
}

impl Catalogue {
    /// The catalogue of these contracts, in any order.
    ///
    /// # Errors
    /// All collisions, in the order of the list.
    pub fn build(mut contracts: Vec<Contract>) -> Result<Self, Vec<Collision>> {
        let mut order: Vec<usize> = (0..contracts.len()).collect();
        let id_at = |position: usize| contracts.get(position).map(Contract::id);
        order.sort_by(|a, b| id_at(*a).cmp(&id_at(*b)).then(a.cmp(b)));
        let mut collisions = same_ids(&contracts, &order);
        let mut index = RouteIndex::new();
        let shapes = shapes(&contracts, &order, &mut index, &mut collisions);
        for (_, shape) in &shapes {
            shared_methods(&contracts, &order, shape, &mut collisions);
        }
        if !collisions.is_empty() {
            collisions.sort_by_key(Collision::position);
            return Err(collisions);
        }
        let mut rank = vec![0; contracts.len()];
        for (number, position) in order.iter().enumerate() {
            if let Some(rank) = rank.get_mut(*position) {
                *rank = number;
            }
        }
        // Where they are: a second list of them would be as large as all of them.
        for position in 0..contracts.len() {
            while let Some(&number) = rank.get(position)
                && number != position
            {
                contracts.swap(position, number);
                rank.swap(position, number);
            }
        }
        let mut alike = Alike::default();
        contracts.iter_mut().for_each(|one| alike.share(one));
        Ok(Self::assemble(contracts, shapes, index))
    }

    fn assemble(
        contracts: Vec<Contract>,
        shapes: Vec<(Template, Vec<u32>)>,
        mut index: RouteIndex,
    ) -> Self {
        let mut claims: Vec<Claim> = Vec::with_capacity(contracts.len());
        let mut runs = vec![0; contracts.len()];
        let mut starts = Vec::with_capacity(shapes.len());
        for (_, shape) in &shapes {
            let start = claims.len() as u32;
            starts.push(start);
            for number in shape {
                let Some(contract) = contracts.get(*number as usize) else {
                    continue;
                };
                if let Some(run) = runs.get_mut(*number as usize) {
                    *run = start;
                }
                claims.push(Claim {
                    contract: ContractIndex(*number),
                    folded_shape: NO_RIVALS,
                    methods: contract.methods(),
                    path_rules: contract.terms().path_rules,
                    is_last_of_run: false,
                });
            }
            if let Some(last) = claims.last_mut() {
                last.is_last_of_run = true;
            }
        }
        index.shrink();
        index.renumber(|shape| starts.get(shape as usize).copied().unwrap_or(shape));
        let templates = shapes.into_iter().map(|(template, _)| template);
        let (aliases, folded_shapes) =
            Aliases::of(&index, starts.into_iter().zip(templates).collect());
        let mut folded_shapes = folded_shapes.into_iter();
        let mut shape = NO_RIVALS;
        let mut is_first = true;
        for claim in &mut claims {
            if is_first {
                shape = folded_shapes.next().unwrap_or(NO_RIVALS);
            }
            claim.folded_shape = shape;
            is_first = claim.is_last_of_run;
        }
        let any_merges_slashes = claims.iter().any(|claim| claim.path_rules.merge_slashes);
        Self {
            contracts: contracts.into(),
            claims: claims.into(),
            runs: runs.into(),
            index: Arc::new(index),
            aliases: Arc::new(aliases),
            any_merges_slashes,
        }
    }

    /// Under which contract a request falls. `path` is the canonical form of `raw_path`.
    ///
    /// Allocates only where a path has `//` and a contract merges slashes, and where the folded
    /// view is looked at.
    #[must_use]
    #[inline]
    pub fn pair(
        &self,
        method: Method,
        raw_path: &[u8],
        path: Result<&CanonicalPath<'_>, PathFault>,
    ) -> Pairing {
        let (pairing, folded_shape) = self.look_up(method, path);
        if folded_shape == NO_RIVALS {
            return pairing;
        }
        self.read_loosely(method, raw_path, pairing, folded_shape)
    }

    /// The same by the strict view alone.
    #[must_use]
    pub fn pair_strictly(
        &self,
        method: Method,
        path: Result<&CanonicalPath<'_>, PathFault>,
    ) -> Pairing {
        self.look_up(method, path).0
    }

    /// The pairing by the strict view, and the folded shape that a looser view has to agree with:
    /// `NO_RIVALS` where none can disagree, `MISSED` where no contract has the path.
    #[inline]
    fn look_up(
        &self,
        method: Method,
        path: Result<&CanonicalPath<'_>, PathFault>,
    ) -> (Pairing, u32) {
        let path = match path {
            Ok(path) => path,
            Err(fault) => return (Pairing::Ambiguous(fault), MISSED),
        };
        if path.has_empty_segment() {
            return self.look_up_merged(method, path);
        }
        let found = self.index.find(path.as_bytes());
        match found.and_then(|start| self.choose(start, method)) {
            None if path.has_encoded_slash() => {
                (Pairing::Ambiguous(PathFault::EncodedSlash), MISSED)
            }
            None => (Pairing::Unknown, MISSED),
            Some((claim, _))
                if path.has_encoded_slash() && !claim.path_rules.allow_encoded_slash =>
            {
                (Pairing::Ambiguous(PathFault::EncodedSlash), MISSED)
            }
            Some((claim, pairing)) => (pairing, claim.folded_shape),
        }
    }

    #[cold]
    fn look_up_merged(&self, method: Method, path: &CanonicalPath<'_>) -> (Pairing, u32) {
        let ambiguous = (Pairing::Ambiguous(PathFault::EmptySegment), MISSED);
        if !self.any_merges_slashes {
            return ambiguous;
        }
        let merged = path.merged();
        let found = self.index.find(merged.as_bytes());
        match found.and_then(|start| self.choose(start, method)) {
            Some((claim, _)) if !claim.path_rules.merge_slashes => ambiguous,
            Some((claim, _))
                if path.has_encoded_slash() && !claim.path_rules.allow_encoded_slash =>
            {
                (Pairing::Ambiguous(PathFault::EncodedSlash), MISSED)
            }
            Some((claim, pairing)) => (pairing, claim.folded_shape),
            None => ambiguous,
        }
    }

    /// An alias where a looser reading gives the path to another contract than `strict` does.
    #[cold]
    fn read_loosely(
        &self,
        method: Method,
        raw_path: &[u8],
        strict: Pairing,
        own_shape: u32,
    ) -> Pairing {
        let (fault, keeps_slashes) = match strict {
            Pairing::Unknown => (None, false),
            Pairing::Ambiguous(fault) => (Some(fault), false),
            Pairing::Contracted(index) | Pairing::MethodNotAllowed(index) => {
                let rules = self.get(index).terms().path_rules;
                (Some(PathFault::TwoReadings), rules.allow_encoded_slash)
            }
            Pairing::Alias { .. } => return strict,
        };
        let found = self
            .aliases
            .find(&self.index, raw_path, own_shape, keeps_slashes);
        let claim = found.and_then(|(start, folds)| Some((self.choose(start, method)?.0, folds)));
        match claim {
            Some((claim, folds)) => Pairing::Alias {
                contract: claim.contract,
                folds,
                fault,
            },
            None => strict,
        }
    }

    /// The claim for a method in the run at `start`, else the first of the run.
    #[inline]
    fn choose(&self, start: u32, method: Method) -> Option<(Claim, Pairing)> {
        let run = self.claims.get(start as usize..)?;
        let first = *run.first()?;
        for claim in run {
            if claim.methods.contains(method) {
                return Some((*claim, Pairing::Contracted(claim.contract)));
            }
            if claim.is_last_of_run {
                break;
            }
        }
        Some((first, Pairing::MethodNotAllowed(first.contract)))
    }

    /// The path to forward for a pairing: the canonical one, with merged slashes where its
    /// contract says so.
    #[must_use]
    pub fn forward<'p>(&self, pairing: Pairing, path: &'p CanonicalPath<'_>) -> Cow<'p, str> {
        let contract = match pairing {
            Pairing::Contracted(contract) | Pairing::MethodNotAllowed(contract) => {
                Some(self.get(contract))
            }
            Pairing::Unknown | Pairing::Ambiguous(_) | Pairing::Alias { .. } => None,
        };
        match contract {
            Some(contract) if contract.terms().path_rules.merge_slashes => path.merged(),
            _ => Cow::Borrowed(path.as_str()),
        }
    }

    /// A contract.
    ///
    /// # Panics
    /// On an index of another catalogue, which no request ever holds.
    #[must_use]
    #[allow(
        clippy::indexing_slicing,
        reason = "an index is made by this catalogue and kept with its rulebook"
    )]
    pub fn get(&self, contract: ContractIndex) -> &Contract {
        &self.contracts[contract.get()]
    }

    /// The contract of that name.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<ContractIndex> {
        let found = self
            .contracts
            .binary_search_by(|contract| contract.id().as_str().cmp(id));
        found.ok().map(|position| ContractIndex(position as u32))
    }

    /// How many contracts there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.contracts.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.contracts.is_empty()
    }

    /// All contracts, sorted by id.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (ContractIndex, &Contract)> {
        let indexed = self.contracts.iter().enumerate();
        indexed.map(|(position, contract)| (ContractIndex(position as u32), contract))
    }

    /// All contracts, sorted by id.
    #[must_use]
    pub fn contracts(&self) -> &[Contract] {
        &self.contracts
    }

    /// The methods of all contracts of the same path shape, for the `Allow` header.
    #[must_use]
    pub fn allowed_methods(&self, contract: ContractIndex) -> MethodSet {
        let start = self.runs.get(contract.get()).copied().unwrap_or(u32::MAX);
        let mut all = MethodSet::EMPTY;
        for claim in self.claims.iter().skip(start as usize) {
            all = all.union(claim.methods);
            if claim.is_last_of_run {
                break;
            }
        }
        all
    }

    /// The parameters of a path that was paired with this contract, as (name, value).
    #[must_use]
    pub fn parameters(
        &self,
        contract: ContractIndex,
        path: &CanonicalPath<'_>,
    ) -> Vec<(String, String)> {
        let Ok(template) = Template::parse(self.get(contract).template()) else {
            return Vec::new();
        };
        let merged = self.forward(Pairing::Contracted(contract), path);
        let parameters = template.parameters(&merged).into_iter();
        parameters
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// The most steps one lookup can take, over all paths; large only for sets of templates
    /// made to force backtracking.
    #[must_use]
    pub fn lookup_steps_max(&self) -> u64 {
        self.index.steps_max()
    }
}

#[cfg(test)]
#[path = "catalogue_tests.rs"]
mod tests;
