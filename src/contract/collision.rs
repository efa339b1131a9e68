//! Contracts that cannot stand together, found all at once.

use crate::contract::index::RouteIndex;
use crate::contract::template::{Template, TemplateFault};
use crate::contract::{Contract, Method, MethodSet};

/// Why contracts do not stand together. Positions are those in the list given to
/// [`Catalogue::build`](crate::contract::Catalogue::build).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Collision {
    /// Two contracts of one id.
    SameId {
        /// The earlier one.
        first: usize,
        /// The later one.
        second: usize,
    },
    /// Two contracts of one path shape share methods.
    SameRoute {
        /// The earlier one.
        first: usize,
        /// The later one.
        second: usize,
        /// What they share.
        methods: MethodSet,
    },
    /// A template that is not valid.
    Template {
        /// Whose.
        contract: usize,
        /// Why.
        fault: TemplateFault,
    },
}

impl Collision {
    /// The place of the contract that is to be changed.
    #[must_use]
    pub const fn position(&self) -> usize {
        match self {
            Self::SameId { second, .. } | Self::SameRoute { second, .. } => *second,
            Self::Template { contract, .. } => *contract,
        }
    }
}

pub(super) fn same_ids(contracts: &[Contract], order: &[usize]) -> Vec<Collision> {
    let mut collisions = Vec::new();
    let mut first_of_id: Option<usize> = None;
    for position in order {
        let id = |position: usize| contracts.get(position).map(Contract::id);
        match first_of_id {
            Some(first) if id(first) == id(*position) => collisions.push(Collision::SameId {
                first,
                second: *position,
            }),
            _ => first_of_id = Some(*position),
        }
    }
    collisions
}

/// The path shapes, each with the ranks of its contracts, rising, and with a template that has it:
/// parsing is most of the work with many contracts, so it is done once.
pub(super) fn shapes(
    contracts: &[Contract],
    order: &[usize],
    index: &mut RouteIndex,
    collisions: &mut Vec<Collision>,
) -> Vec<(Template, Vec<u32>)> {
    let mut shapes: Vec<(Template, Vec<u32>)> = Vec::new();
    for (rank, position) in order.iter().enumerate() {
        let Some(contract) = contracts.get(*position) else {
            continue;
        };
        let template = match Template::parse(contract.template()) {
            Ok(template) => template,
            Err(fault) => {
                let contract = *position;
                collisions.push(Collision::Template { contract, fault });
                continue;
            }
        };
        let Some(word) = index.place(&template) else {
            continue;
        };
        if RouteIndex::is_unset(*word) {
            *word = shapes.len() as u32;
            shapes.push((template, vec![rank as u32]));
        } else if let Some((_, ranks)) = shapes.get_mut(*word as usize) {
            ranks.push(rank as u32);
        }
    }
    shapes
}

/// Reports each contract of a shape that shares methods with one before it in the list.
pub(super) fn shared_methods(
    contracts: &[Contract],
    order: &[usize],
    shape: &[u32],
    collisions: &mut Vec<Collision>,
) {
    if shape.len() < 2 {
        return;
    }
    let mut positions: Vec<usize> = shape
        .iter()
        .filter_map(|rank| order.get(*rank as usize).copied())
        .collect();
    positions.sort_unstable();
    // At most one holder per method is needed, so this stays linear in the contracts.
    let mut holders: Vec<(Method, usize)> = Vec::new();
    for second in positions {
        let Some(contract) = contracts.get(second) else {
            continue;
        };
        let mut shared: Vec<(usize, MethodSet)> = Vec::new();
        for method in contract.methods().iter() {
            match holders.iter().find(|(held, _)| *held == method) {
                None => holders.push((method, second)),
                Some((_, first)) => match shared.iter_mut().find(|(f, _)| f == first) {
                    Some((_, methods)) => *methods = methods.with(method),
                    None => shared.push((*first, MethodSet::EMPTY.with(method))),
                },
            }
        }
        for (first, methods) in shared {
            let same_id = contracts.get(first).map(Contract::id) == Some(contract.id());
            if !same_id {
                collisions.push(Collision::SameRoute {
                    first,
                    second,
                    methods,
                });
            }
        }
    }
}
