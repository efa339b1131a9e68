//! How far a contract has been rolled out.
//!
//! Deliberately not here: who falls on a canary. That takes a hash, which `pipeline` asks for.

use crate::units::BasisPoints;

/// How far a contract has been rolled out: whom it may be enforced upon. The tier comes first; a
/// stage only ever lowers what it allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Stage {
    /// Upon everybody.
    #[default]
    Enforced,
    /// Upon the clients whose draw is below this; all others are observed.
    Canary(BasisPoints),
    /// Upon nobody: judged and recorded.
    Shadow,
    /// Upon nobody, and its route is not judged any more: matched and recorded.
    Retired,
}

impl Stage {
    /// The names, from the first stage of a contract to its last.
    pub const NAMES: [&str; 4] = ["shadow", "canary", "enforced", "retired"];

    /// The name in metrics, without the share of a canary.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enforced => "enforced",
            Self::Canary(_) => "canary",
            Self::Shadow => "shadow",
            Self::Retired => "retired",
        }
    }
}
