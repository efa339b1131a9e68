//! Roots: the first one by its own signatures, each next one by those of its predecessor as well.

use std::collections::BTreeSet;

use super::signatures::Signed;
use crate::bundle::envelope::{Envelope, ROOT_TYPE};
use crate::bundle::refusal::{RefusalCode, Refused};
use crate::bundle::root::{Role, Root};

/// A verified root. Only [`verify_root`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedRoot {
    root: Root,
    signers: Box<[String]>,
    envelope: Box<[u8]>,
}

impl VerifiedRoot {
    /// What it says.
    #[must_use]
    pub const fn root(&self) -> &Root {
        &self.root
    }

    /// The names of those who signed it, sorted.
    #[must_use]
    pub const fn signers(&self) -> &[String] {
        &self.signers
    }

    /// The envelope, byte for byte as it was handed in.
    #[must_use]
    pub const fn envelope(&self) -> &[u8] {
        &self.envelope
    }

    /// Whether its time is over: it activates nothing new, and its successor is still taken.
    #[must_use]
    pub const fn is_expired(&self, now_us: u64) -> bool {
        now_us >= self.root.parts().expires_at_us
    }
}

/// Verifies a root: one that somebody vouches for by pinning its file (`None`), or the successor of
/// a verified one. A pinned one of a later version may have signatures of people who left with it;
/// they do not count.
///
/// The end of its time is not looked at: a chain may lead over roots that have ended, and the last
/// one is asked where a bundle is verified.
///
/// # Errors
/// What is wrong with its form or a signature; [`RefusalCode::RootSkipped`],
/// [`RefusalCode::AudienceMismatch`], [`RefusalCode::RollbackRejected`] for an epoch that falls,
/// [`RefusalCode::RootThreshold`].
pub fn verify_root(
    unverified: &[u8],
    previous: Option<&VerifiedRoot>,
) -> Result<VerifiedRoot, Refused> {
    let envelope = Envelope::parse(unverified, ROOT_TYPE)?;
    // Its own keys are in it, so it is read before its signatures are checked; its form is strict.
    let root = Root::read(envelope.unverified_payload())?;
    let before = previous.map(VerifiedRoot::root);
    let signed = match before {
        Some(before) => Signed::check(&envelope, &[&root, before])?,
        None if root.parts().version == 1 => Signed::check(&envelope, &[&root])?,
        // A later root, pinned by its file, also has signatures of those who left with it.
        None => Signed::check_known(&envelope, &root)?,
    };
    if let Some(before) = before {
        follows(&root, before)?;
        has_threshold(&envelope, before, "the root before it")?;
    }
    has_threshold(&envelope, &root, "the root itself")?;
    Ok(VerifiedRoot {
        root,
        signers: signed.into_names(),
        envelope: unverified.into(),
    })
}

fn follows(root: &Root, before: &Root) -> Result<(), Refused> {
    let (new, old) = (root.parts(), before.parts());
    let refused = |code, detail, remedy: &str| Err(Refused::new(code, detail, remedy));
    if new.version != old.version + 1 {
        let detail = format!("version {} after version {}", new.version, old.version);
        let remedy = "hand over every root in turn: root.2.json, root.3.json and so on";
        return refused(RefusalCode::RootSkipped, detail, remedy);
    }
    if new.audience != old.audience {
        let detail = format!(
            "it is for '{}', and this is '{}'",
            new.audience, old.audience
        );
        let remedy = "make the next root from the one before it: tidegate root rotate";
        return refused(RefusalCode::AudienceMismatch, detail, remedy);
    }
    if new.epoch < old.epoch {
        let detail = format!(
            "its epoch is {}, the one before it {}",
            new.epoch, old.epoch
        );
        let remedy = "an epoch stays or rises";
        return refused(RefusalCode::RollbackRejected, detail, remedy);
    }
    Ok(())
}

/// Counts the root principals of one root among the signatures, each once.
fn has_threshold(envelope: &Envelope, root: &Root, whose: &str) -> Result<(), Refused> {
    let signatures = envelope.signatures().iter();
    let holders = signatures.filter_map(|signature| root.holder(&signature.key_id));
    let counting = holders.filter(|(principal, _)| principal.roles.contains(&Role::Root));
    let signed: BTreeSet<&str> = counting.map(|(principal, _)| &*principal.name).collect();
    let needs = root.parts().thresholds.root;
    if signed.len() as u64 >= needs {
        return Ok(());
    }
    let may = root.parts().principals.iter();
    let may = may.filter(|p| p.roles.contains(&Role::Root) && !signed.contains(&*p.name));
    let may: Vec<&str> = may.map(|principal| &*principal.name).collect();
    let detail = format!(
        "{} of {needs} principals of {whose} signed; more can come from {}",
        signed.len(),
        may.join(", ")
    );
    let remedy = "sign it with tidegate root sign";
    Err(Refused::new(RefusalCode::RootThreshold, detail, remedy))
}
