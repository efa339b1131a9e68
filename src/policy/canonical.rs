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

mod charter_form;
mod contract_form;
mod policy_form;

use std::sync::Arc;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::contract::{Contract, ContractId};
use crate::policy::charter::Charter;
use crate::policy::rules::Rules;
use crate::policy::self_tests::{SelfTest, SelfTestForm, SelfTests};
use charter_form::CharterForm;
use contract_form::ContractForm;
use policy_form::PolicyForm;

/// The version of this form.
pub const FORMAT_VERSION: u64 = 1;

/// The most bytes that [`read`] accepts.
pub const CONTENT_BYTES_MAX: usize = 64 << 20;

/// Canonical bytes and their digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanonicalContent {
    bytes: Arc<[u8]>,
    digest: [u8; 32],
}

impl CanonicalContent {
    fn of(bytes: Vec<u8>) -> Self {
        Self {
            digest: Sha256::digest(&bytes).into(),
            bytes: bytes.into(),
        }
    }

    /// What was taken apart by [`Self::shared`] and [`Self::digest`], put together again.
    pub(crate) const fn again(bytes: Arc<[u8]>, digest: [u8; 32]) -> Self {
        Self { bytes, digest }
    }

    /// The bytes, without a copy of them.
    pub(crate) fn shared(&self) -> Arc<[u8]> {
        Arc::clone(&self.bytes)
    }

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
    charter: CharterForm,
    contracts: Vec<ContractForm>,
    format_version: u64,
    policy: PolicyForm,
    self_tests: Vec<SelfTestForm>,
}

/// What canonical content says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The contracts, sorted by id.
    pub contracts: Vec<Contract>,
    /// How requests are judged.
    pub rules: Rules,
    /// How all of it changes.
    pub charter: Charter,
    /// What has to come of requests that it names.
    pub self_tests: SelfTests,
}

/// The canonical content of contracts, in any order, and rules, without charter and self-tests.
///
/// # Errors
/// Only when serialisation itself fails.
pub fn write<'c>(
    contracts: impl IntoIterator<Item = &'c Contract>,
    rules: &Rules,
) -> Result<CanonicalContent, serde_json::Error> {
    let bytes = encode(contracts, rules, &Charter::default(), &SelfTests::default())?;
    Ok(CanonicalContent::of(bytes))
}

/// The canonical content of contracts, in any order, rules, charter and self-tests.
///
/// # Errors
/// Only when serialisation itself fails.
pub fn write_with<'c>(
    contracts: impl IntoIterator<Item = &'c Contract>,
    rules: &Rules,
    charter: &Charter,
    self_tests: &SelfTests,
) -> Result<CanonicalContent, serde_json::Error> {
    encode(contracts, rules, charter, self_tests).map(CanonicalContent::of)
}

/// The bytes alone: whoever compares needs no digest.
fn encode<'c>(
    contracts: impl IntoIterator<Item = &'c Contract>,
    rules: &Rules,
    charter: &Charter,
    self_tests: &SelfTests,
) -> Result<Vec<u8>, serde_json::Error> {
    let mut contracts: Vec<&Contract> = contracts.into_iter().collect();
    contracts.sort_by_key(|contract| contract.id());
    let form = Form {
        charter: CharterForm::from(charter),
        contracts: contracts.into_iter().map(ContractForm::from).collect(),
        format_version: FORMAT_VERSION,
        policy: PolicyForm::from(rules),
        self_tests: self_tests
            .as_slice()
            .iter()
            .map(SelfTestForm::from)
            .collect(),
    };
    // Members stand sorted in the forms, in ASCII, and numbers are whole, so this is RFC 8785, in a
    // fraction of the time that sorting takes. Every test that writes content compares.
    let bytes = serde_json::to_vec(&form)?;
    debug_assert_eq!(
        serde_json_canonicalizer::to_vec(&form).ok().as_deref(),
        Some(&*bytes)
    );
    Ok(bytes)
}

/// Contracts and rules of canonical bytes; their self-tests are checked and left aside.
///
/// # Errors
/// When the bytes are not canonical content: every other spelling is refused.
pub fn read(bytes: &[u8]) -> Result<(Vec<Contract>, Rules), ReadError> {
    read_content(bytes).map(|content| (content.contracts, content.rules))
}

/// All that canonical bytes say.
///
/// # Errors
/// As [`read`].
pub fn read_content(bytes: &[u8]) -> Result<Content, ReadError> {
    if bytes.len() > CONTENT_BYTES_MAX {
        return Err(ReadError::TooLarge(bytes.len()));
    }
    let form: Form = serde_json::from_slice(bytes).map_err(|error| fault(bytes, error))?;
    if form.format_version != FORMAT_VERSION {
        return Err(ReadError::Version(form.format_version));
    }
    let rules = Rules::try_from(form.policy)?;
    let charter = Charter::try_from(form.charter)?;
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
    if let Some(id) = without_successor(&contracts) {
        let place = format!("contract '{}'", id.as_str());
        return Err(ReadError::value(
            place,
            "the successor is no other contract",
        ));
    }
    let self_tests = read_self_tests(form.self_tests)?;
    if encode(&contracts, &rules, &charter, &self_tests)? != bytes {
        return Err(ReadError::NotCanonical);
    }
    Ok(Content {
        contracts,
        rules,
        charter,
        self_tests,
    })
}

fn read_self_tests(forms: Vec<SelfTestForm>) -> Result<SelfTests, ReadError> {
    let tests = forms.into_iter().map(SelfTest::try_from);
    let tests = tests
        .collect::<Result<Vec<_>, _>>()
        .map_err(|(name, fault)| {
            // A name may be anything, as long as nobody has looked at it.
            let name: String = name.chars().take(40).filter(|c| !c.is_control()).collect();
            ReadError::value(format!("self-test '{name}'"), fault)
        })?;
    SelfTests::new(tests)
        .map_err(|_| ReadError::value("self_tests", "there are too many, or a name stands twice"))
}

/// The first contract whose successor is not another one of these.
fn without_successor(contracts: &[Contract]) -> Option<&ContractId> {
    let successors = contracts.iter().filter_map(|contract| {
        let successor = contract.lifecycle().parts().successor.as_ref();
        successor.map(|successor| (contract.id(), successor))
    });
    let mut successors = successors.peekable();
    successors.peek()?;
    let ids: HashSet<&ContractId> = contracts.iter().map(Contract::id).collect();
    let mut lost = successors.filter(|(id, successor)| id == successor || !ids.contains(successor));
    lost.next().map(|(id, _)| id)
}

/// Content of another version is told as that, whatever else it says that this one does not know.
fn fault(bytes: &[u8], error: serde_json::Error) -> ReadError {
    #[derive(Deserialize)]
    struct Versioned {
        format_version: u64,
    }
    match serde_json::from_slice(bytes) {
        Ok(Versioned { format_version }) if format_version != FORMAT_VERSION => {
            ReadError::Version(format_version)
        }
        _ => error.into(),
    }
}

/// The same, with the content that the bytes are.
///
/// # Errors
/// As [`read`].
pub fn read_whole(bytes: Vec<u8>) -> Result<(CanonicalContent, Content), ReadError> {
    let content = read_content(&bytes)?;
    Ok((CanonicalContent::of(bytes), content))
}

#[cfg(test)]
#[path = "canonical_tests.rs"]
mod tests;
