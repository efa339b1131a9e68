//! What ledgers of tests have in common: the smallest rulebook, and what an `open` record says of it.

use super::facts::OpenFacts;
use super::frame::BootId;

/// The rulebook in force.
pub(crate) const RULEBOOK: &[u8] = b"{}";
/// Its SHA-256.
pub(crate) const POLICY_HASH: &str =
    "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

/// A start of that number under that rulebook.
pub(crate) fn facts(boot: u32) -> OpenFacts {
    facts_of(BootId::from_u32(boot), POLICY_HASH)
}

/// A start under a rulebook of that digest.
pub(crate) fn facts_of(boot: BootId, policy_hash: &str) -> OpenFacts {
    OpenFacts {
        boot,
        instance: "test".to_owned(),
        version: "0".to_owned(),
        policy_hash: policy_hash.to_owned(),
        client_key_id: None,
        bundle: None,
    }
}
