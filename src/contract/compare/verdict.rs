//! What changes ask for: a step of the version, and what a mode of compatibility forbids.

use super::{Class, ContractChange, Effect, Member, by_id, worst_class};
use crate::contract::{Bump, Contract, ContractId, Status, Version};

/// Which changes an installation takes without asking further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// Nothing breaks, and no kind of statement is made that the old contracts do not make: what
    /// reads the one format reads the other.
    Strict,
    /// Callers of the old contracts keep working.
    #[default]
    Backward,
    /// Gateways with the old contracts keep working too: only statements that they may ignore.
    Forward,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Strict, Self::Backward, Self::Forward];

    /// The name in files.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Backward => "backward",
            Self::Forward => "forward",
        }
    }

    /// The mode of a file key.
    #[must_use]
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.key() == key)
    }
}

/// Whether a mode forbids a change.
#[must_use]
pub fn offends(change: &ContractChange, mode: Mode) -> bool {
    let is_breaking = change.class() == Class::BreakingChange;
    match mode {
        Mode::Backward => is_breaking,
        Mode::Strict => is_breaking || is_other_format(change),
        Mode::Forward => is_breaking || !is_ignorable(change),
    }
}

/// Whether one side says something of a kind that the other leaves out. A contract or a method
/// more is of a kind that is there already.
const fn is_other_format(change: &ContractChange) -> bool {
    let is_whole = matches!(change.effect(), Effect::Added | Effect::Removed);
    !is_whole && change.from.is_some() != change.to.is_some()
}

/// Whether it is told in addition, and a gateway that never heard of it treats every request as
/// one that did.
fn is_ignorable(change: &ContractChange) -> bool {
    let is_told = match change.member() {
        // Leaving or entering a draft changes what is enforced.
        Member::Status => ![change.from(), change.to()].contains(&Some(Status::Draft.key())),
        member => member.is_descriptive(),
    };
    is_told && change.to().is_some()
}

/// A contract whose version did not rise as far as its changes ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BumpFault {
    /// Whose.
    pub contract: ContractId,
    /// The version before.
    pub from: Version,
    /// The version now.
    pub to: Version,
    /// The step between them.
    pub found: Bump,
    /// The least step that the changes ask for.
    pub needed: Bump,
}

/// All contracts of both sides whose version rose too little, or fell. A contract without changes
/// needs no step, and a breaking one needs a major one, also before 1.0.0.
///
/// `changes` are those of [`compare`](super::compare) of the same contracts.
#[must_use]
pub fn bump_faults(
    old: &[Contract],
    new: &[Contract],
    changes: &[ContractChange],
) -> Vec<BumpFault> {
    let (old, new) = (by_id(old), by_id(new));
    let of_one = changes.chunk_by(|a, b| a.contract() == b.contract());
    of_one
        .filter_map(|changes| {
            let id = changes.first()?.contract();
            let (from, to) = (old.get(id)?.version(), new.get(id)?.version());
            let needed = needed(changes);
            let found = to.bump_since(from);
            (found < needed || to < from).then(|| BumpFault {
                contract: id.clone(),
                from,
                to,
                found,
                needed,
            })
        })
        .collect()
}

/// The step that the changes of one contract ask for.
fn needed(changes: &[ContractChange]) -> Bump {
    let mut others = changes
        .iter()
        .filter(|change| change.member() != Member::Version);
    match (others.next().is_some(), worst_class(changes)) {
        (false, _) => Bump::None,
        (true, Class::BackwardCompatible) => Bump::Minor,
        (true, Class::BreakingChange) => Bump::Major,
    }
}
