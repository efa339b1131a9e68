//! What a bundle says of itself, for the reports of verbs that verify nothing.
//!
//! So `signed_by` names the keys that signatures claim, and no principal.

use serde::Serialize;

use crate::bundle::envelope::EnvelopeSignature;
use crate::bundle::payload::Payload;

/// What a bundle says of itself, and which keys are said to have signed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::cli) struct Facts {
    pub(in crate::cli) name: String,
    pub(in crate::cli) epoch: u64,
    pub(in crate::cli) serial: u64,
    pub(in crate::cli) digest: String,
    pub(in crate::cli) content_digest: String,
    pub(in crate::cli) author: String,
    /// The ids of the keys, in the order of the file.
    pub(in crate::cli) signed_by: Vec<String>,
    pub(in crate::cli) tier_max: &'static str,
    pub(in crate::cli) parent: Option<String>,
    pub(in crate::cli) revert_of: Option<String>,
    pub(in crate::cli) change_request: Option<String>,
    pub(in crate::cli) breakglass: Option<Emergency>,
}

/// Why fewer may sign it, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::cli) struct Emergency {
    pub(in crate::cli) reason: String,
    pub(in crate::cli) until_us: u64,
}

impl Facts {
    pub(super) fn of(payload: &Payload, signatures: &[EnvelopeSignature]) -> Self {
        let manifest = payload.manifest();
        let keys = signatures.iter();
        Self {
            name: manifest.name.clone(),
            epoch: manifest.epoch,
            serial: manifest.serial,
            digest: payload.digest().to_owned(),
            content_digest: payload.content().digest_hex(),
            author: manifest.author.clone(),
            signed_by: keys.map(|signature| signature.key_id.clone()).collect(),
            tier_max: manifest.tier_max.key(),
            parent: manifest.parent.clone(),
            revert_of: manifest.revert_of.clone(),
            change_request: manifest.change_request.clone(),
            breakglass: manifest.breakglass.as_ref().map(|glass| Emergency {
                reason: glass.reason.clone(),
                until_us: glass.until_us,
            }),
        }
    }

    /// For people: the digest whole, because that is what they sign.
    pub(in crate::cli) fn text(&self) -> String {
        let signed = match self.signed_by.len() {
            0 => "not signed".to_owned(),
            1 => "1 signature".to_owned(),
            several => format!("{several} signatures"),
        };
        let Self {
            name,
            epoch,
            serial,
            digest,
            author,
            ..
        } = self;
        format!(
            "bundle {name} epoch {epoch} serial {serial}, digest {digest}, by {author}, {signed}"
        )
    }
}
