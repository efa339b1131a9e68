//! A bundle that every check found right.

use std::sync::Arc;

use super::fitting::Fitted;
use super::signatures::Signed;
use crate::bundle::change::{Classified, Side};
use crate::bundle::manifest::{Manifest, Position};
use crate::bundle::shelf::Shelf;
use crate::contract::Catalogue;
use crate::policy::canonical::CanonicalContent;
use crate::policy::rules::Rules;

/// A verified bundle. Only [`verify`](super::verify) and [`verify_again`](super::verify_again)
/// make one, so whatever asks for this type asks for all the checks.
#[derive(Clone)]
pub struct VerifiedBundle {
    fitted: Fitted,
    signers: Box<[String]>,
    classified: Option<Classified>,
    envelope: Shelf,
}

impl std::fmt::Debug for VerifiedBundle {
    /// Its name; the rest is megabytes.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            out,
            "VerifiedBundle({}, {})",
            self.position(),
            self.digest()
        )
    }
}

impl VerifiedBundle {
    pub(super) fn new(
        fitted: Fitted,
        signed: Signed,
        classified: Option<Classified>,
        envelope: &[u8],
    ) -> Self {
        Self {
            fitted,
            signers: signed.into_names(),
            classified,
            envelope: Shelf::new(envelope.into()),
        }
    }

    /// What it says about itself.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.fitted.manifest
    }

    /// Its place among all bundles of the audience.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.fitted.manifest.position()
    }

    /// The bundle digest, 64 hex digits: what was signed.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.fitted.digest
    }

    /// Contracts, policy, charter and self-tests in canonical form; its digest is the policy hash.
    #[must_use]
    pub fn content(&self) -> CanonicalContent {
        CanonicalContent::again(self.fitted.content.bytes(), self.fitted.content_digest)
    }

    /// The digest of that content, 64 hex digits.
    #[must_use]
    pub fn content_digest_hex(&self) -> String {
        hex::encode(self.fitted.content_digest)
    }

    /// The contracts, ready to match.
    #[must_use]
    pub const fn catalogue(&self) -> &Catalogue {
        &self.fitted.catalogue
    }

    /// The rules.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.fitted.rules
    }

    /// What a successor is compared with.
    #[must_use]
    pub fn side(&self) -> Side<'_> {
        self.fitted.side()
    }

    /// The names of the principals whose signatures count as theirs, sorted; the author among them.
    #[must_use]
    pub const fn signers(&self) -> &[String] {
        &self.signers
    }

    /// What it changes; `None` where it was verified again for a start.
    #[must_use]
    pub const fn classified(&self) -> Option<&Classified> {
        self.classified.as_ref()
    }

    /// The envelope, byte for byte as it was handed in.
    #[must_use]
    pub fn envelope(&self) -> Arc<[u8]> {
        self.envelope.bytes()
    }

    /// Whether these bytes are its envelope.
    #[must_use]
    pub fn is(&self, envelope: &[u8]) -> bool {
        self.envelope.holds(envelope)
    }

    /// Makes it take less memory, for a time in which nobody asks for its envelope or its content.
    pub fn rest(&self) {
        self.envelope.pack();
        self.fitted.content.pack();
    }

    /// Whether it may not be activated any more; in force it stays in force, with an alarm.
    #[must_use]
    pub const fn is_expired(&self, now_us: u64) -> bool {
        now_us >= self.fitted.manifest.expires_at_us
    }
}
