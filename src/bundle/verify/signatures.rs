//! Whose signatures an envelope has; each of them is true, or the envelope is refused.

use std::collections::BTreeSet;

use crate::bundle::envelope::{Envelope, EnvelopeSignature};
use crate::bundle::refusal::{RefusalCode, Refused};
use crate::bundle::root::{Principal, Role, Root};

/// The principals whose signatures were found true; each stands once, whatever the number of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signed(BTreeSet<String>);

impl Signed {
    /// Checks every signature with the keys of these roots.
    ///
    /// # Errors
    /// [`RefusalCode::UnknownKey`], [`RefusalCode::SignatureInvalid`].
    pub(super) fn check(envelope: &Envelope, roots: &[&Root]) -> Result<Self, Refused> {
        Self::of(envelope, roots, Err)
    }

    /// The same, where signatures of keys that the root does not know do not count.
    pub(super) fn check_known(envelope: &Envelope, root: &Root) -> Result<Self, Refused> {
        Self::of(envelope, &[root], |_| Ok(()))
    }

    fn of(
        envelope: &Envelope,
        roots: &[&Root],
        on_unknown: impl Fn(Refused) -> Result<(), Refused>,
    ) -> Result<Self, Refused> {
        let signed = envelope.signed_bytes();
        let mut names = BTreeSet::new();
        for signature in envelope.signatures() {
            let id = &signature.key_id;
            // One key may stand in two roots; it is the same key, so once is enough.
            let holder = roots.iter().find_map(|root| root.holder(id));
            let Some((principal, key)) = holder else {
                on_unknown(unknown(signature))?;
                continue;
            };
            if !signature.is_by(key, &signed) {
                return Err(invalid(principal, id));
            }
            names.insert(principal.name.clone());
        }
        Ok(Self(names))
    }

    /// The names, sorted.
    pub(super) const fn names(&self) -> &BTreeSet<String> {
        &self.0
    }

    /// The same, to keep.
    pub(super) fn into_names(self) -> Box<[String]> {
        self.0.into_iter().collect()
    }

    /// Whether the author signed, and may author.
    ///
    /// # Errors
    /// [`RefusalCode::AuthorMissing`].
    pub(super) fn is_by_author(&self, root: &Root, author: &str) -> Result<(), Refused> {
        let may = root
            .principal(author)
            .is_some_and(|principal| principal.roles.contains(&Role::Author));
        let (detail, remedy) = match (may, self.0.contains(author)) {
            (true, true) => return Ok(()),
            (true, false) => (
                format!("the author, '{author}', has not signed"),
                "the author signs with tidegate bundle sign",
            ),
            (false, _) => (
                format!("the author, '{author}', is no principal with the role author"),
                "build it in the name of a principal who may make bundles",
            ),
        };
        Err(Refused::new(RefusalCode::AuthorMissing, detail, remedy))
    }
}

fn unknown(signature: &EnvelopeSignature) -> Refused {
    let detail = format!("key {} is in no principal's hands", signature.key_id);
    let remedy = "take it out with --remove of the verb that signs, or rotate the root first";
    Refused::new(RefusalCode::UnknownKey, detail, remedy)
}

fn invalid(principal: &Principal, id: &str) -> Refused {
    let name = &principal.name;
    let detail = format!("the signature of '{name}', key {id}, is not true");
    let remedy = "fetch the file again, or have it signed again";
    Refused::new(RefusalCode::SignatureInvalid, detail, remedy)
}
