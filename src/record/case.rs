//! The name of a quarantine case: the same for one client, contract, cause and UTC day.

use sha2::{Digest, Sha256};

use crate::contract::ContractId;
use crate::observation::{ClientKey, UNMATCHED};
use crate::record::DecisionEvent;

const MICROS_PER_DAY: u64 = 86_400_000_000;

/// The case that a request under this contract (`None` = under none) opens or joins.
#[must_use]
pub fn case_of(event: &DecisionEvent, contract: Option<&ContractId>) -> String {
    let contract = contract.map_or(UNMATCHED, ContractId::as_str);
    let cause = event.judgement.decision.deciding().code();
    case_id(event.client, contract, cause, event.wall_us)
}

/// `q-` and the first 16 hex digits of SHA-256 over client, contract, cause and day.
///
/// Lengths are part of what is hashed, so that no two different cases share their bytes.
#[must_use]
pub fn case_id(client: ClientKey, contract: &str, cause: &str, wall_us: u64) -> String {
    let mut hash = Sha256::new();
    hash.update(client.0.to_be_bytes());
    for part in [contract, cause] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.update((wall_us / MICROS_PER_DAY).to_be_bytes());
    let digest = hash.finalize();
    let head = digest.get(..8).unwrap_or_default();
    format!("q-{}", hex::encode(head))
}

#[cfg(test)]
mod tests {
    use super::{MICROS_PER_DAY, case_id};
    use crate::observation::ClientKey;

    #[test]
    fn one_client_has_one_case_a_day() {
        // R051
        let case = |client, contract, day: u64| {
            case_id(
                ClientKey(client),
                contract,
                "NO_CONTRACT_MATCH",
                day * MICROS_PER_DAY + 5,
            )
        };
        assert_eq!(case(1, "a", 1), case(1, "a", 1));
        assert_ne!(case(1, "a", 1), case(1, "a", 2));
        assert_ne!(case(1, "a", 1), case(2, "a", 1));
        assert_ne!(case(1, "a", 1), case(1, "b", 1));
        assert_eq!(case(1, "a", 1).len(), 18);
    }
}
