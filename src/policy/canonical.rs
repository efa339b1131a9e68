//! The canonical form of contracts and rules: what a record's `policy_hash` names.
//!
//! RFC 8785 JSON of `{charter, contracts, format_version, policy, self_tests}` in exact
//! integers (basis points, parts per million, milliseconds), contracts sorted by id, every
//! default of a contract and of the policy written out, down to the burst of a rate limit. The
//! same content gives the same bytes, whatever the files looked like; `content_digest` is their
//! SHA-256. Reading refuses bytes that are not in this form, so that a digest has exactly one
//! meaning.
//!
//! Deliberately not here, because it belongs to one gateway and not to what was agreed:
//! `default_upstream`, the tiers of process and listeners, all other settings. So a contract
//! without `upstream` and one that names the default upstream are different content, although
//! this gateway treats them alike: another one may have another default.

mod contract_form;
mod policy_form;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::contract::Contract;
use crate::policy::rules::Rules;
use contract_form::ContractForm;
use policy_form::PolicyForm;

/// The version of this form.
pub const FORMAT_VERSION: u64 = 1;

/// The most bytes that [`read`] accepts.
pub const CONTENT_BYTES_MAX: usize = 64 << 20;

/// Canonical bytes and their digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanonicalContent {
    bytes: Box<[u8]>,
    digest: [u8; 32],
}

impl CanonicalContent {
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256 of the bytes: the content digest.
    #[must_use]
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The content digest as 64 hex digits.
    #[must_use]
    pub fn digest_hex(&self) -> String {
        hex::encode(self.digest)
    }
}

/// Why bytes are not canonical content.
#[derive(Debug, Error)]
pub enum ReadError {
    /// Too many bytes.
    #[error("the content has {0} bytes, more than {CONTENT_BYTES_MAX}")]
    TooLarge(usize),
    /// Not JSON, or not of this structure.
    #[error("the content has not the structure of a rulebook: {0}")]
    Structure(#[from] serde_json::Error),
    /// Another version of the form.
    #[error("format_version {0} is not supported; supported: {FORMAT_VERSION}")]
    Version(u64),
    /// A value that no file could have given.
    #[error("{place}: {reason}")]
    Value {
        /// Where.
        place: String,
        /// What.
        reason: &'static str,
    },
    /// The same values in another spelling.
    #[error("the content is not in canonical form")]
    NotCanonical,
}

impl ReadError {
    fn value(place: impl Into<String>, reason: &'static str) -> Self {
        let place = place.into();
        Self::Value { place, reason }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    charter: Nothing,
    contracts: Vec<ContractForm>,
    format_version: u64,
    policy: PolicyForm,
    self_tests: [(); 0],
}

/// An object that has no members yet.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// The canonical content of contracts, in any order, and rules.
///
/// # Errors
/// Only when serialisation itself fails.
pub fn write<'c>(
    contracts: impl IntoIterator<Item = &'c Contract>,
    rules: &Rules,
) -> Result<CanonicalContent, serde_json::Error> {
    let mut contracts: Vec<&Contract> = contracts.into_iter().collect();
    contracts.sort_by_key(|contract| contract.id());
    let form = Form {
        charter: Nothing {},
        contracts: contracts.into_iter().map(ContractForm::from).collect(),
        format_version: FORMAT_VERSION,
        policy: PolicyForm::from(rules),
        self_tests: [],
    };
    // Members stand sorted in the forms, in ASCII, and numbers are whole, so this is RFC 8785, in a
    // fraction of the time that sorting takes. Every test that writes content compares.
    let bytes = serde_json::to_vec(&form)?;
    debug_assert_eq!(
        serde_json_canonicalizer::to_vec(&form).ok().as_deref(),
        Some(&*bytes)
    );
    Ok(CanonicalContent {
        digest: Sha256::digest(&bytes).into(),
        bytes: bytes.into(),
    })
}

/// Contracts and rules of canonical bytes.
///
/// # Errors
/// When the bytes are not canonical content: every other spelling is refused.
pub fn read(bytes: &[u8]) -> Result<(Vec<Contract>, Rules), ReadError> {
    if bytes.len() > CONTENT_BYTES_MAX {
        return Err(ReadError::TooLarge(bytes.len()));
    }
    let form: Form = serde_json::from_slice(bytes)?;
    if form.format_version != FORMAT_VERSION {
        return Err(ReadError::Version(form.format_version));
    }
    let rules = Rules::try_from(form.policy)?;
    let contracts = form.contracts.into_iter().map(Contract::try_from);
    let contracts = contracts.collect::<Result<Vec<_>, _>>()?;
    let twice = contracts.windows(2).find_map(|pair| match pair {
        [one, two] if one.id() == two.id() => Some(two.id()),
        _ => None,
    });
    if let Some(id) = twice {
        let place = format!("contract '{}'", id.as_str());
        return Err(ReadError::value(place, "the id stands twice"));
    }
    let again = write(&contracts, &rules)?;
    if again.bytes() != bytes {
        return Err(ReadError::NotCanonical);
    }
    Ok((contracts, rules))
}

/// The same, with the content that the bytes are.
///
/// # Errors
/// As [`read`].
pub fn read_whole(bytes: Vec<u8>) -> Result<(CanonicalContent, Vec<Contract>, Rules), ReadError> {
    let (contracts, rules) = read(&bytes)?;
    let content = CanonicalContent {
        digest: Sha256::digest(&bytes).into(),
        bytes: bytes.into(),
    };
    Ok((content, contracts, rules))
}

#[cfg(test)]
#[path = "canonical_tests.rs"]
mod tests;
