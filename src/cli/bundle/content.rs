//! Contracts and policy from whatever holds them: a bundle, a content file, a configuration.
//!
//! Nothing is verified here, on purpose: whoever compares or tries a bundle does so before anybody
//! has signed it. So what is read here is never put in force.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::bundle::change::Side;
use crate::bundle::envelope::{BUNDLE_TYPE, Envelope};
use crate::bundle::payload::Payload;
use crate::bundle::refusal::Refused;
use crate::cli::offline::{FAILED, INTEGRITY, load_or_tell, tell};
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

/// What a bundle says of itself, and how many signatures stand under it.
#[derive(Debug, Clone, serde::Serialize)]
pub(in crate::cli) struct Facts {
    pub(in crate::cli) name: String,
    pub(in crate::cli) epoch: u64,
    pub(in crate::cli) serial: u64,
    pub(in crate::cli) digest: String,
    pub(in crate::cli) signatures: usize,
}

impl Facts {
    /// For people.
    pub(in crate::cli) fn text(&self) -> String {
        let digest = self.digest.get(..12).unwrap_or_default();
        let signed = match self.signatures {
            0 => "not signed".to_owned(),
            1 => "1 signature, not verified here".to_owned(),
            several => format!("{several} signatures, not verified here"),
        };
        format!(
            "bundle {} epoch {} serial {} ({digest}), {signed}",
            self.name, self.epoch, self.serial
        )
    }
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

    /// For people: what it is.
    pub(in crate::cli) fn text(&self) -> String {
        match &self.bundle {
            Some(facts) => facts.text(),
            None => format!(
                "content {}, no bundle",
                self.policy_hash().get(..12).unwrap_or_default()
            ),
        }
    }
}

/// Reads a file of any of the three kinds, or tells on stderr what is wrong with it.
///
/// # Errors
/// The exit code: 1, 65 where it is not what it claims to be, 78 for a configuration.
pub(in crate::cli) fn read_or_tell(path: &Path) -> Result<Content, u8> {
    let bytes = read(path)?;
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return of_configuration(path);
    }
    if has_payload_type(&bytes) {
        return of_bundle(path, &bytes);
    }
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
fn has_payload_type(bytes: &[u8]) -> bool {
    let word = b"\"payloadType\"";
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
    let manifest = payload.manifest();
    Ok(Content {
        tier: Some(manifest.tier_max),
        digest: *payload.content().digest(),
        bundle: Some(Facts {
            name: manifest.name.clone(),
            epoch: manifest.epoch,
            serial: manifest.serial,
            digest: payload.digest().to_owned(),
            signatures: envelope.signatures().len(),
        }),
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
