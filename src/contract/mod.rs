//! PAIR: which contract a request falls under.
//!
//! A contract says what an API promises and what it tolerates. This module owns its terms, its
//! route template, the canonical form of a path, and the catalogue that finds a contract.
//! It knows nothing of traffic, risk or files other than its own format.

mod aliases;
mod catalogue;
mod client_name;
mod collision;
pub mod compare;
pub mod file;
mod fold;
mod id;
mod index;
mod lifecycle;
mod method;
mod pairing;
mod path;
mod path_scan;
mod segment;
mod stage;
mod template;
mod terms;
mod version;

pub use catalogue::Catalogue;
pub use client_name::{BY_CERTIFICATE, client_key_text};
pub use collision::Collision;
pub use fold::Folds;
pub use id::{ContractId, ContractIndex};
pub use lifecycle::{Lifecycle, LifecycleFault, LifecycleParts, Stability, Status};
pub use method::{Method, MethodSet};
pub use pairing::{Pairing, PathFault};
pub use path::{CanonicalPath, SEGMENTS_MAX, canonicalise, split_query};
pub use stage::Stage;
pub use template::{Segment, Template, TemplateFault};
pub use terms::{Contract, ContractParts, PathRules, Quarantine, Refusal, Terms, Throttle};
pub use version::{Bump, Version};
