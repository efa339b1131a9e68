//! What a policy may say, wherever it is read from: a file or canonical content.
//!
//! Both readers ask here, so that neither accepts what the other refuses.

use crate::policy::rules::Bands;
use crate::units::{Action, BasisPoints, Tier};

/// The most characters of a policy's name.
pub(super) const NAME_CHARS_MAX: usize = 64;
/// The most characters of a policy's version.
pub(super) const VERSION_CHARS_MAX: usize = 32;

/// `Some` where the bounds rise and begin above 0: a band from 0 on would watch everything.
pub(super) fn bands(
    low: BasisPoints,
    medium: BasisPoints,
    high: BasisPoints,
    critical: BasisPoints,
) -> Option<Bands> {
    Bands::new(low, medium, high, critical).filter(|bands| bands.low() > BasisPoints::ZERO)
}

/// Whether a text may stand in every record as the version of a policy.
pub(super) fn is_version(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-+_".contains(&byte);
    (1..=VERSION_CHARS_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

/// Whether a tier may ever have an action: a policy cannot make observing mean refusing.
pub(super) fn may_have(tier: Tier, action: Action) -> bool {
    let weakest = match action {
        Action::Log | Action::Report | Action::Propose => Tier::ObserveOnly,
        Action::Throttle | Action::Quarantine | Action::Drop | Action::CircuitOpen => Tier::Control,
        Action::PolicyUpdate => Tier::Autonomous,
    };
    tier >= weakest
}

#[cfg(test)]
mod tests {
    use super::may_have;
    use crate::enforcement::within_ceiling;
    use crate::units::{Action, ActionSet, Tier};

    /// Enforcement holds its ceiling without asking the policy, so there are two tables.
    #[test]
    fn a_policy_may_say_exactly_what_enforcement_could_do() {
        for tier in Tier::ALL {
            for action in Action::ALL {
                let is_possible = within_ceiling(tier, ActionSet::of(&[action]));
                assert_eq!(may_have(tier, action), is_possible, "{tier:?} {action:?}");
            }
        }
    }
}
