//! PAIR: which contract a request falls under.
//!
//! A contract says what an API promises and what it tolerates. This module owns its terms, its
//! route template, the canonical form of a path, and the catalogue that finds a contract.
//! It knows nothing of traffic, risk or files other than its own format.

mod id;
mod method;
mod pairing;
mod terms;

pub use id::{ContractId, ContractIndex};
pub use method::{Method, MethodSet};
pub use pairing::{Pairing, PathFault};
pub use terms::{Contract, PathRules, Terms};
