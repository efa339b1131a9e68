//! The payload of a bundle: manifest and content in one canonical JSON object.
//!
//! RFC 8785: members sorted, integers only, one spelling of each string. The content's members
//! stand in it exactly as in a content file, so the content digest is computed from the very bytes
//! that were signed. Reading refuses every other spelling.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::manifest::{Breakglass, Manifest};
use super::refusal::{RefusalCode, Refused};
use super::text::digest_hex;
use crate::contract::Contract;
use crate::policy::canonical::{self, CanonicalContent, Content, FORMAT_VERSION, ReadError};
use crate::policy::charter::Charter;
use crate::policy::rules::Rules;
use crate::policy::self_tests::SelfTests;
use crate::units::Tier;

/// A payload that was read and is canonical; who signed it is not said here.
#[derive(Debug, Clone)]
pub struct Payload {
    manifest: Manifest,
    content: CanonicalContent,
    said: Content,
    digest: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PayloadForm<'a> {
    audience: String,
    author: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    breakglass: Option<BreakglassForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    change_request: Option<String>,
    #[serde(borrow)]
    charter: &'a RawValue,
    #[serde(borrow)]
    contracts: &'a RawValue,
    created_at_us: u64,
    engine_min: String,
    epoch: u64,
    expires_at_us: u64,
    format_version: u64,
    name: String,
    not_before_us: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    #[serde(borrow)]
    policy: &'a RawValue,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revert_of: Option<String>,
    #[serde(borrow)]
    self_tests: &'a RawValue,
    serial: u64,
    tier_max: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BreakglassForm {
    reason: String,
    until_us: u64,
}

/// The members of a content file, as they stand.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ContentForm<'a> {
    #[serde(borrow)]
    charter: &'a RawValue,
    #[serde(borrow)]
    contracts: &'a RawValue,
    format_version: u64,
    #[serde(borrow)]
    policy: &'a RawValue,
    #[serde(borrow)]
    self_tests: &'a RawValue,
}

impl Payload {
    /// What the bundle says about itself.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Contracts, policy, charter and self-tests in canonical form.
    #[must_use]
    pub const fn content(&self) -> &CanonicalContent {
        &self.content
    }

    /// The contracts, sorted by id.
    #[must_use]
    pub fn contracts(&self) -> &[Contract] {
        &self.said.contracts
    }

    /// The rules.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.said.rules
    }

    /// How all of it changes.
    #[must_use]
    pub const fn charter(&self) -> &Charter {
        &self.said.charter
    }

    /// What its authors expect of it.
    #[must_use]
    pub const fn self_tests(&self) -> &SelfTests {
        &self.said.self_tests
    }

    /// The bundle digest: SHA-256 of the payload, 64 hex digits.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`RefusalCode::PayloadMalformed`], [`RefusalCode::NotCanonical`],
    /// [`RefusalCode::FormatUnsupported`], [`RefusalCode::ContentInvalid`].
    pub fn read(unverified: &[u8]) -> Result<Self, Refused> {
        let unread = Unread::parse(unverified)?;
        let manifest = unread.manifest()?;
        unread.is_of_this_format()?;
        unread.content()?.with(manifest, digest_hex(unverified))
    }

    /// What it is made of.
    pub(super) fn into_parts(self) -> (Manifest, CanonicalContent, Content, String) {
        let Self {
            manifest,
            content,
            said,
            digest,
        } = self;
        (manifest, content, said, digest)
    }
}

/// The structure of a payload, read from bytes of which nothing else is known.
///
/// The verifier asks it for one thing after the other, in the order of its checks.
#[derive(Debug)]
pub(super) struct Unread<'a> {
    form: PayloadForm<'a>,
    unverified: &'a [u8],
}

/// What signatures have to be compared with before the rest is looked at.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    /// The principal who says to have made it.
    pub(super) author: String,
    /// Whether it claims to be an emergency measure.
    #[serde(default, rename = "breakglass", deserialize_with = "is_there")]
    pub(super) is_breakglass: bool,
}

/// A content that was read; whether its values are in their bounds is told when they are taken.
#[derive(Debug)]
pub(super) struct ReadContent(Result<(CanonicalContent, Content), Refused>);

impl<'a> Unread<'a> {
    /// Reads the structure.
    pub(super) fn parse(unverified: &'a [u8]) -> Result<Self, Refused> {
        let form = serde_json::from_slice(unverified).map_err(malformed)?;
        Ok(Self { form, unverified })
    }

    /// Author and kind.
    pub(super) fn claims(&self) -> Claims {
        Claims {
            author: self.form.author.clone(),
            is_breakglass: self.form.breakglass.is_some(),
        }
    }

    /// Everything but the content, if all of that is in canonical form and in its bounds.
    pub(super) fn manifest(&self) -> Result<Manifest, Refused> {
        // Raw parts keep their spelling, so this compares all that is not content.
        if serde_json::to_vec(&self.form).ok().as_deref() != Some(self.unverified) {
            return Err(not_canonical());
        }
        Manifest::try_from(&self.form)
    }

    /// Whether this program knows the format.
    pub(super) fn is_of_this_format(&self) -> Result<(), Refused> {
        let version = self.form.format_version;
        if version == FORMAT_VERSION {
            return Ok(());
        }
        let detail = format!("format_version {version}; supported: {FORMAT_VERSION}");
        let remedy = "build it with a program of this gateway's version";
        Err(Refused::new(RefusalCode::FormatUnsupported, detail, remedy))
    }

    /// The content, if it has the structure of one and is in canonical form. A value out of its
    /// bounds is no matter of form: [`ReadContent::with`] tells it.
    pub(super) fn content(&self) -> Result<ReadContent, Refused> {
        let read = canonical::read_whole(content_of(&self.form)?).map_err(content_refused);
        match read {
            Err(refused) if refused.code != RefusalCode::ContentInvalid => Err(refused),
            read => Ok(ReadContent(read)),
        }
    }
}

impl ReadContent {
    /// The payload of this content; [`RefusalCode::ContentInvalid`] where a value is out of bounds.
    pub(super) fn with(self, manifest: Manifest, digest: String) -> Result<Payload, Refused> {
        let (content, said) = self.0?;
        Ok(Payload {
            manifest,
            content,
            said,
            digest,
        })
    }
}

/// Author and kind of a payload whose structure is none: who signed it is told before that.
pub(super) fn claims(unverified: &[u8]) -> Option<Claims> {
    serde_json::from_slice(unverified).ok()
}

/// Whether a member is there, whatever it holds.
fn is_there<'de, D: serde::Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    serde::de::IgnoredAny::deserialize(from).map(|_| true)
}

/// The bytes of a payload that holds this content.
///
/// # Errors
/// [`RefusalCode::PayloadMalformed`] where the manifest is out of its bounds, or the content is no
/// canonical content.
pub fn write(manifest: &Manifest, content: &CanonicalContent) -> Result<Vec<u8>, Refused> {
    if let Some(rule) = manifest.fault() {
        return Err(malformed(rule));
    }
    let parts: ContentForm<'_> = serde_json::from_slice(content.bytes()).map_err(malformed)?;
    let glass = manifest.breakglass.as_ref();
    let form = PayloadForm {
        audience: manifest.audience.clone(),
        author: manifest.author.clone(),
        breakglass: glass.map(|glass| BreakglassForm {
            reason: glass.reason.clone(),
            until_us: glass.until_us,
        }),
        change_request: manifest.change_request.clone(),
        charter: parts.charter,
        contracts: parts.contracts,
        created_at_us: manifest.created_at_us,
        engine_min: manifest.engine_min.clone(),
        epoch: manifest.epoch,
        expires_at_us: manifest.expires_at_us,
        format_version: parts.format_version,
        name: manifest.name.clone(),
        not_before_us: manifest.not_before_us,
        parent: manifest.parent.clone(),
        policy: parts.policy,
        revert_of: manifest.revert_of.clone(),
        self_tests: parts.self_tests,
        serial: manifest.serial,
        tier_max: manifest.tier_max.key().to_owned(),
    };
    serde_json::to_vec(&form).map_err(malformed)
}

fn content_of(form: &PayloadForm<'_>) -> Result<Vec<u8>, Refused> {
    let content = ContentForm {
        charter: form.charter,
        contracts: form.contracts,
        format_version: form.format_version,
        policy: form.policy,
        self_tests: form.self_tests,
    };
    serde_json::to_vec(&content).map_err(malformed)
}

impl TryFrom<&PayloadForm<'_>> for Manifest {
    type Error = Refused;

    fn try_from(form: &PayloadForm<'_>) -> Result<Self, Refused> {
        let tier_max = Tier::from_key(&form.tier_max)
            .ok_or_else(|| malformed("tier_max is observe_only, control or autonomous"))?;
        let manifest = Self {
            name: form.name.clone(),
            epoch: form.epoch,
            serial: form.serial,
            parent: form.parent.clone(),
            author: form.author.clone(),
            audience: form.audience.clone(),
            created_at_us: form.created_at_us,
            not_before_us: form.not_before_us,
            expires_at_us: form.expires_at_us,
            engine_min: form.engine_min.clone(),
            tier_max,
            revert_of: form.revert_of.clone(),
            change_request: form.change_request.clone(),
            breakglass: form.breakglass.as_ref().map(|glass| Breakglass {
                reason: glass.reason.clone(),
                until_us: glass.until_us,
            }),
        };
        match manifest.fault() {
            None => Ok(manifest),
            Some(rule) => Err(malformed(rule)),
        }
    }
}

fn malformed(reason: impl std::fmt::Display) -> Refused {
    let remedy = "build it again with tidegate bundle build";
    Refused::new(RefusalCode::PayloadMalformed, reason.to_string(), remedy)
}

fn not_canonical() -> Refused {
    let detail = "the payload is not in canonical form (RFC 8785)";
    let remedy = "build it again with tidegate bundle build";
    Refused::new(RefusalCode::NotCanonical, detail, remedy)
}

fn content_refused(error: ReadError) -> Refused {
    match error {
        ReadError::NotCanonical => not_canonical(),
        ReadError::Version(_) | ReadError::Value { .. } | ReadError::TooLarge(_) => {
            let remedy = "build it again from files that tidegate check accepts";
            Refused::new(RefusalCode::ContentInvalid, error.to_string(), remedy)
        }
        ReadError::Structure(error) => malformed(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{ContractId, ContractParts, MethodSet, Terms};

    pub(crate) fn manifest() -> Manifest {
        Manifest {
            name: "edge".to_owned(),
            epoch: 1,
            serial: 1,
            parent: None,
            author: "alice".to_owned(),
            audience: "edge-eu".to_owned(),
            created_at_us: 1,
            not_before_us: 1,
            expires_at_us: 2,
            engine_min: "0.1.0".to_owned(),
            tier_max: Tier::Control,
            revert_of: None,
            change_request: None,
            breakglass: None,
        }
    }

    fn content() -> CanonicalContent {
        let methods = MethodSet::EMPTY.with(crate::contract::Method::Get);
        let id = ContractId::new("a").unwrap();
        let parts = ContractParts::new(id, "GET /a", methods, Terms::default());
        canonical::write(&[Contract::new(parts)], &Rules::default()).unwrap()
    }

    #[test]
    fn a_payload_reads_back_and_its_content_has_the_digest_of_the_files() {
        let manifest = Manifest {
            parent: Some("a".repeat(64)),
            breakglass: Some(Breakglass {
                reason: "fire \"\\\u{fc}".to_owned(),
                until_us: 2,
            }),
            ..manifest()
        };
        let bytes = write(&manifest, &content()).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let oracle = serde_json_canonicalizer::to_vec(&value).unwrap();
        assert_eq!(bytes, oracle, "canonical by another's reading");
        let read = Payload::read(&bytes).unwrap();
        assert_eq!(read.manifest(), &manifest);
        assert_eq!(read.content(), &content());
        assert_eq!(read.digest(), digest_hex(&bytes));
    }

    proptest::proptest! {
        /// The oracle sorts and escapes by itself.
        #[test]
        fn every_text_is_spelled_as_rfc_8785_asks(text in "\\PC{1,40}", serial in 1_u64..1 << 53) {
            let manifest = Manifest {
                change_request: Some(text.clone()),
                revert_of: Some("b".repeat(64)),
                serial,
                breakglass: Some(Breakglass { reason: text, until_us: 2 }),
                ..manifest()
            };
            let bytes = write(&manifest, &content()).unwrap();
            let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            proptest::prop_assert_eq!(&bytes, &serde_json_canonicalizer::to_vec(&value).unwrap());
            let read = Payload::read(&bytes).unwrap();
            proptest::prop_assert_eq!(read.manifest(), &manifest);
        }
    }

    #[test]
    fn one_spelling_is_read() {
        let bytes = write(&manifest(), &content()).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let check = |from: &str, to: &str, code| {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text, "{from}");
            let refused = Payload::read(changed.as_bytes()).unwrap_err();
            assert_eq!(refused.code, code, "{refused}");
        };
        use RefusalCode::{ContentInvalid, FormatUnsupported, NotCanonical, PayloadMalformed};
        check("\"epoch\":1", "\"epoch\":1.0", PayloadMalformed);
        check("\"epoch\":1", "\"epoch\": 1", NotCanonical);
        check("\"epoch\":1", "\"epoch\":1,\"epoch\":1", PayloadMalformed);
        check("\"epoch\":1", "\"epoch\":0", PayloadMalformed);
        check("\"epoch\":1,", "\"epoch\":1,\"extra\":1,", PayloadMalformed);
        check("alice", "\\u0061lice", NotCanonical);
        check("alice", "Alice", PayloadMalformed);
        check("\"stream\":false", "\"stream\": false", NotCanonical);
        check(
            "\"format_version\":1",
            "\"format_version\":2",
            FormatUnsupported,
        );
        check(
            "\"max_latency_ms\":1000",
            "\"max_latency_ms\":0",
            ContentInvalid,
        );
    }
}
