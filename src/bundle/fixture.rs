//! What the tests of bundles share: keys of people, envelopes that they sign, a manifest.

use ed25519_dalek::SigningKey;

use super::envelope::Envelope;
use super::manifest::Manifest;
use crate::units::Tier;

/// Noon of some day, before any record that a ledger of today has.
pub(crate) const NOW: u64 = 1_700_000_000_000_000;
pub(crate) const HOUR: u64 = 3_600_000_000;

/// The key of a person: another for each name.
pub(crate) fn key(name: &str) -> SigningKey {
    let mut seed = [7; 32];
    for (to, from) in seed.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    SigningKey::from_bytes(&seed)
}

pub(crate) fn sign(kind: &str, payload: Vec<u8>, signers: &[&str]) -> Vec<u8> {
    let mut envelope = Envelope::unsigned(kind, payload);
    for signer in signers {
        envelope.sign(&key(signer)).unwrap();
    }
    envelope.to_bytes()
}

/// Alice's, of a line's first epoch, for a day and for whoever observes.
pub(crate) fn manifest(serial: u64) -> Manifest {
    Manifest {
        name: "line".to_owned(),
        epoch: 1,
        serial,
        parent: None,
        author: "alice".to_owned(),
        audience: "edge".to_owned(),
        created_at_us: NOW,
        not_before_us: NOW,
        expires_at_us: NOW + 24 * HOUR,
        engine_min: "0.1.0".to_owned(),
        tier_max: Tier::ObserveOnly,
        revert_of: None,
        change_request: None,
        breakglass: None,
    }
}
