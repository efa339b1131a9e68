//! What a policy may say, wherever it is read from: a file or canonical content.
//!
//! Both readers ask here, so that neither accepts what the other refuses.

use crate::contract::file::bounds::field_fault;
use crate::policy::rules::{Bands, CircuitRules, RetryRules, Severity};
use crate::units::{Action, BasisPoints, Tier};

/// The most characters of a policy's name.
pub(super) const NAME_CHARS_MAX: usize = 64;
/// The most characters of a policy's version.
pub(super) const VERSION_CHARS_MAX: usize = 32;
/// The most exchanges in a row, and requests of a sample, that a circuit may ask for.
pub(super) const SAMPLES_MAX: u32 = 1_000_000;
/// The shortest time that a circuit is open, in milliseconds: it counts hundredths of a second.
pub(super) const OPEN_MILLIS_MIN: u32 = 10;
/// The longest time that a circuit is open or starts slowly, in milliseconds: ten minutes.
pub(super) const CIRCUIT_MILLIS_MAX: u32 = 600_000;
/// The most fields that declare retries: each is looked for in every request.
pub(super) const RETRY_FIELDS_MAX: usize = 8;

/// What may follow for a caller that a contract does not name. To come again later would not help, so
/// it is never throttled.
pub(super) const CONSUMER_ACTIONS: [Severity; 3] =
    [Severity::Allow, Severity::Quarantine, Severity::Drop];

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

/// Whether every number of a circuit is in range, and its times rise.
pub(super) fn is_circuit(rules: &CircuitRules) -> bool {
    let is_count = |count: u32| (1..=SAMPLES_MAX).contains(&count);
    let is_open = |millis: u32| (OPEN_MILLIS_MIN..=CIRCUIT_MILLIS_MAX).contains(&millis);
    is_count(rules.broken_in_a_row.get())
        && is_count(rules.samples_min.get())
        && rules.slow_share > BasisPoints::ZERO
        && is_open(rules.open.get())
        && is_open(rules.open_max.get())
        && rules.open <= rules.open_max
        && (1..=CIRCUIT_MILLIS_MAX).contains(&rules.slow_start.get())
}

/// Whether the fields that declare retries are few, valid, and each named once.
pub(super) fn is_retry(rules: &RetryRules) -> bool {
    let names = &rules.headers;
    let is_new = |(position, name)| !names.iter().take(position).any(|other| other == name);
    names.len() <= RETRY_FIELDS_MAX
        && names.iter().all(|name| field_fault(name).is_none())
        && names.iter().enumerate().all(is_new)
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
