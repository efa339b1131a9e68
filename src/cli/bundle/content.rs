//! Contracts and policy from whatever holds them: a bundle, a content file, a configuration.
//!
//! Nothing is verified here, on purpose: whoever compares or tries a bundle does so before anybody
//! has signed it. So what is read here is never put in force.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::facts::Facts;
use crate::bundle::change::Side;
use crate::bundle::envelope::{BUNDLE_TYPE, Envelope};
use crate::bundle::payload::Payload;
use crate::bundle::refusal::Refused;
use crate::cli::offline::{FAILED, INTEGRITY, INVALID, load_or_tell, tell};
use crate::cli::report_findings;
use crate::config::{ContractSet, load_contracts};
use crate::contract::Contract;
use crate::policy::canonical::{self, CONTENT_BYTES_MAX};
use crate::policy::charter::Charter;
use crate::policy::rules::Rules;
use crate::policy::self_tests::SelfTests;
use crate::units::Tier;

/// What was read.
#[derive(Debug)]
pub(in crate::cli) struct Content {
    pub(in crate::cli) contracts: Vec<Contract>,
    pub(in crate::cli) rules: Rules,
    pub(in crate::cli) charter: Charter,
    pub(in crate::cli) self_tests: SelfTests,
    /// `tier_max` of a bundle, `tier` of a configuration; a content file has none.
    pub(in crate::cli) tier: Option<Tier>,
    /// The content digest.
    pub(in crate::cli) digest: [u8; 32],
    /// What a bundle says of itself.
    pub(in crate::cli) bundle: Option<Facts>,
}

impl Content {
    /// One side of a comparison with another; a content file says nothing of a tier.
    pub(in crate::cli) fn side(&self, other: &Self) -> Side<'_> {
        Side {
            contracts: &self.contracts,
            rules: &self.rules,
            charter: &self.charter,
            self_tests: &self.self_tests,
            tier_max: self.tier.or(other.tier).unwrap_or_default(),
            content_digest: self.digest,
        }
    }

    /// The content digest as 64 hex digits.
    pub(in crate::cli) fn policy_hash(&self) -> String {
        hex::encode(self.digest)
    }
}

/// Reads a file of any of the three kinds, or tells on stderr what is wrong with it.
///
/// # Errors
/// The exit code: 1, 65 where it is not what it claims to be, 78 for a configuration.
pub(in crate::cli) fn read_or_tell(path: &Path) -> Result<Content, u8> {
    match of_json(path, read(path)?) {
        Some(content) => content,
        None => of_configuration(path),
    }
}

/// Reads the contracts of a file of any kind or of a folder, or tells on stderr what is wrong.
///
/// # Errors
/// As [`read_or_tell`].
pub(in crate::cli) fn contracts_or_tell(path: &Path) -> Result<ContractSet, u8> {
    // Of folders, and of what is not there, the reader of contract files knows more to say.
    let bytes = if path.is_file() {
        read(path)?
    } else {
        Vec::new()
    };
    if let Some(content) = of_json(path, bytes) {
        return content.map(|content| ContractSet {
            contracts: content.contracts,
            charter: Some(content.charter),
        });
    }
    load_contracts(path).map_err(|found| {
        report_findings(&found);
        INVALID
    })
}

/// A bundle or a content file; `None` for what is neither, and may be YAML.
fn of_json(path: &Path, bytes: Vec<u8>) -> Option<Result<Content, u8>> {
    let is_json =
        path.extension() == Some(OsStr::new("json")) || holds(&bytes, b"\"format_version\"");
    if is_envelope(&bytes) {
        return Some(of_bundle(path, &bytes));
    }
    let is_content = is_json && bytes.trim_ascii_start().first() == Some(&b'{');
    is_content.then(|| of_content(path, bytes))
}

fn of_content(path: &Path, bytes: Vec<u8>) -> Result<Content, u8> {
    let (content, said) = canonical::read_whole(bytes).map_err(|error| {
        let told = anyhow::anyhow!("{}: {error}; build it again from files", path.display());
        tell(&told, INTEGRITY)
    })?;
    Ok(Content {
        contracts: said.contracts,
        rules: said.rules,
        charter: said.charter,
        self_tests: said.self_tests,
        tier: None,
        digest: *content.digest(),
        bundle: None,
    })
}

/// Reads a bundle, or tells on stderr what is wrong with it.
///
/// # Errors
/// The exit code: 1, or 65 where it is not what it claims to be.
pub(in crate::cli) fn bundle_or_tell(path: &Path) -> Result<Content, u8> {
    of_bundle(path, &read(path)?)
}

fn read(path: &Path) -> Result<Vec<u8>, u8> {
    let mut bytes = Vec::new();
    let most = CONTENT_BYTES_MAX as u64 + 1;
    let done = File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes));
    match done {
        Ok(_) => Ok(bytes),
        Err(error) => {
            let path = path.display();
            let told = anyhow::anyhow!("{path}: {error}; name a bundle, or a tidegate.yaml");
            Err(tell(&told, FAILED))
        }
    }
}

/// Whether it looks like an envelope: JSON, but not the JSON of a content.
pub(in crate::cli) fn is_envelope(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first() == Some(&b'{') && holds(bytes, b"\"payloadType\"")
}

fn holds(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|part| part == word)
}

fn of_bundle(path: &Path, unverified: &[u8]) -> Result<Content, u8> {
    let refused = |refused: Refused| {
        let code = if refused.code.is_integrity() {
            INTEGRITY
        } else {
            FAILED
        };
        tell(&anyhow::anyhow!("{}: {refused}", path.display()), code)
    };
    let envelope = Envelope::parse(unverified, BUNDLE_TYPE).map_err(refused)?;
    let payload = Payload::read(envelope.unverified_payload()).map_err(refused)?;
    Ok(Content {
        tier: Some(payload.manifest().tier_max),
        digest: *payload.content().digest(),
        bundle: Some(Facts::of(&payload, envelope.signatures())),
        contracts: payload.contracts().to_vec(),
        rules: payload.rules().clone(),
        charter: *payload.charter(),
        self_tests: payload.self_tests().clone(),
    })
}

fn of_configuration(path: &Path) -> Result<Content, u8> {
    let loaded = load_or_tell(path)?;
    Ok(Content {
        contracts: loaded.catalogue.contracts().to_vec(),
        rules: loaded.rules,
        charter: loaded.charter,
        self_tests: loaded.self_tests,
        tier: Some(loaded.settings.tier),
        digest: *loaded.content.digest(),
        bundle: None,
    })
}
