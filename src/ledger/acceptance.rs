//! An operator's recorded acceptance that signed records are gone, and the signature under it.
//!
//! Invariant: what a record claims is nothing until its signature verifies under a key that may sign
//! here: whoever may write to the directory can write any record, but has no private key.
//! Not here: which key that is (`heads` for a start, `verify`).

use super::key::LedgerKey;
use super::line::Record;
use super::merkle::Hash;
use super::note::{NoteSignature, SignedNote};

/// The code of the `fault` record.
pub(super) const ROLLBACK_ACCEPTED: &str = "LEDGER_ROLLBACK_ACCEPTED";

/// What such a record says; not checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    /// The number of the record.
    pub(super) seq: u64,
    /// Records that were still there.
    pub(super) kept: u64,
    /// The head that was given up.
    pub(super) size: u64,
    pub(super) root: Hash,
    /// The operator's words.
    pub(super) reason: String,
    /// Key id and signature, in base64.
    pub(super) acceptance: String,
}

impl Claim {
    /// Reads one; `None` where a member is missing, or where more is kept than lies before it.
    pub(super) fn of(record: &Record<'_>) -> Option<Self> {
        if record.kind != "fault" || record.text("code") != Some(ROLLBACK_ACCEPTED) {
            return None;
        }
        let mut root = Hash::default();
        hex::decode_to_slice(record.text("signed_root")?, &mut root).ok()?;
        Some(Self {
            seq: record.seq,
            kept: record.uint("kept").filter(|kept| *kept <= record.seq)?,
            size: record.uint("signed_size")?,
            root,
            reason: serde_json::from_slice(record.member("reason")?).ok()?,
            acceptance: record.text("acceptance")?.to_owned(),
        })
    }

    /// The text that is signed for the log of this name.
    fn text(&self, origin: &str) -> String {
        let (kept, size, root) = (self.kept, self.size, hex::encode(self.root));
        let reason = &self.reason;
        format!("tidegate-rollback-accepted\n{origin}\n{kept}\n{size}\n{root}\n{reason}\n")
    }

    /// Text and signature as a note, whose signature can be checked.
    pub(super) fn signed(&self, origin: &str) -> SignedNote {
        SignedNote {
            text: self.text(origin),
            signatures: vec![NoteSignature {
                name: origin.to_owned(),
                base64: self.acceptance.clone(),
            }],
        }
    }

    /// Signs it.
    pub(super) fn sign(&mut self, key: &LedgerKey, origin: &str) -> Result<(), &'static str> {
        let signed = key.sign_text(origin, self.text(origin))?;
        self.acceptance = signed
            .signatures
            .into_iter()
            .next()
            .map(|line| line.base64)
            .unwrap_or_default();
        Ok(())
    }
}
