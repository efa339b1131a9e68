//! The private key that signs checkpoints.
//!
//! How it lies on disk is [`crate::key_file`]'s.

use std::path::Path;

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::pkcs8::EncodePublicKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha256};

use super::note::{Checkpoint, NoteSignature, SignedNote, VerifierKey};
use crate::key_file::Purpose;

pub use crate::key_file::KeyError;

/// The words of its errors.
const PURPOSE: Purpose = Purpose {
    code: "LEDGER_KEY",
    keygen: "tidegate ledger keygen",
    user: "the user that runs the gateway",
};

/// A private key, not yet bound to a log.
#[derive(Clone)]
pub struct LedgerKey(SigningKey);

impl std::fmt::Debug for LedgerKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("LedgerKey")
    }
}

impl LedgerKey {
    /// A key of 32 given bytes: simulation and tests.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&seed))
    }

    /// Makes a new key in a new file: [`Purpose::create`].
    ///
    /// # Errors
    /// Also where the file exists: a key is never written over.
    pub fn create(path: &Path) -> Result<Self, KeyError> {
        PURPOSE.create(path).map(Self)
    }

    /// Reads a key file: [`Purpose::read`].
    ///
    /// # Errors
    /// The rule that the file breaks, or the system's answer.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        PURPOSE.read(path).map(Self)
    }

    /// The public half as PEM, as openssl reads it.
    #[must_use]
    pub fn public_pem(&self) -> String {
        let pem = self.0.verifying_key().to_public_key_pem(LineEnding::LF);
        // Of 32 bytes there is always a PEM.
        pem.unwrap_or_default()
    }

    /// Names the key whatever log it signs: the first 16 hex digits of SHA-256 over its public half.
    #[must_use]
    pub fn public_id(&self) -> String {
        let digest = Sha256::digest(self.0.verifying_key().as_bytes());
        hex::encode(digest.get(..8).unwrap_or_default())
    }

    /// The public half under the name of a log.
    ///
    /// # Errors
    /// The rule that the name breaks.
    pub fn verifier(&self, origin: &str) -> Result<VerifierKey, &'static str> {
        VerifierKey::new(origin, self.0.verifying_key())
    }

    /// Signs a checkpoint under its origin, as C2SP asks: the key's name is the origin.
    ///
    /// # Errors
    /// The rule that the origin breaks as a name.
    pub fn sign(&self, checkpoint: &Checkpoint) -> Result<SignedNote, &'static str> {
        self.sign_text(&checkpoint.origin, checkpoint.text())
    }

    /// Signs any text under the name of a log.
    ///
    /// # Errors
    /// The rule that the name breaks.
    pub fn sign_text(&self, origin: &str, text: String) -> Result<SignedNote, &'static str> {
        let verifier = self.verifier(origin)?;
        let mut bytes = verifier.id().to_vec();
        bytes.extend_from_slice(&self.0.sign(text.as_bytes()).to_bytes());
        let signature = NoteSignature {
            name: origin.to_owned(),
            base64: STANDARD.encode(bytes),
        };
        Ok(SignedNote {
            text,
            signatures: vec![signature],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(size: u64) -> Checkpoint {
        Checkpoint {
            origin: "gate/0123456789abcdef".to_owned(),
            size,
            root: [7; 32],
        }
    }

    #[test]
    fn a_note_reads_back_and_only_its_key_vouches_for_it() {
        let key = LedgerKey::from_seed([1; 32]);
        let note = key.sign(&checkpoint(42)).unwrap();
        let read = SignedNote::parse(note.to_text().as_bytes()).unwrap();
        assert_eq!(read, note);
        assert_eq!(Checkpoint::from_text(&read.text), Ok(checkpoint(42)));
        let verifier = key.verifier("gate/0123456789abcdef").unwrap();
        assert!(read.is_signed_by(&verifier));
        let text = verifier.to_text();
        assert_eq!(VerifierKey::parse(&text), Ok(verifier));
        let other = LedgerKey::from_seed([2; 32]);
        assert!(!read.is_signed_by(&other.verifier("gate/0123456789abcdef").unwrap()));
        assert!(!read.is_signed_by(&key.verifier("other").unwrap()));
        let mut forged = read;
        forged.text = checkpoint(43).text();
        assert!(!forged.is_signed_by(&VerifierKey::parse(&text).unwrap()));
    }

    #[test]
    fn a_key_is_read_as_it_was_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.key");
        let made = LedgerKey::create(&path).unwrap();
        let read = LedgerKey::read(&path).unwrap();
        assert_eq!(read.sign(&checkpoint(1)), made.sign(&checkpoint(1)));
    }
}
