//! The private key that signs checkpoints: a PKCS#8 PEM file for the owner's eyes only.
//!
//! The format is openssl's (`openssl genpkey -algorithm ed25519`), so keys need no tool of ours.
//! Invariants: a file that others may read is refused, not repaired: its key may be known already.
//! The key is wiped from memory when it is dropped.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey, KeypairBytes};
use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha256};

use super::note::{Checkpoint, NoteSignature, SignedNote, VerifierKey};

/// A key file is a few hundred bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024;

/// Why a key cannot be used or made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file breaks a rule.
    #[error("LEDGER_KEY: {}: {rule}; {remedy}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// The rule.
        rule: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The system's answer.
    #[error("LEDGER_KEY: {action} {} failed: {source}; check the path and its permissions", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

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

    /// Makes a new key and puts it into a new file, mode 0600, durable on return: whole or not at all.
    ///
    /// # Errors
    /// [`KeyError::Io`], also where the file exists: a key is never written over.
    pub fn create(path: &Path) -> Result<Self, KeyError> {
        let io = |source| KeyError::Io {
            action: "creating",
            path: path.to_path_buf(),
            source,
        };
        let mut seed = [0_u8; 32];
        getrandom::fill(&mut seed).map_err(|error| io(io::Error::other(error.to_string())))?;
        let key = Self::from_seed(seed);
        // Without the public half, because openssl before 3.1 cannot read a file that holds both.
        let private = KeypairBytes {
            secret_key: seed,
            public_key: None,
        };
        let pem = private
            .to_pkcs8_pem(LineEnding::LF)
            .map_err(|error| io(io::Error::other(error.to_string())))?;
        put_new(path, pem.as_bytes()).map_err(io)?;
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        super::directory::sync_folder(folder.unwrap_or(Path::new("."))).map_err(io)?;
        Ok(key)
    }

    /// Reads a key file: PKCS#8 PEM, of this user or root, for nobody else to read.
    ///
    /// # Errors
    /// The rule that the file breaks, or the system's answer.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let io = |source| KeyError::Io {
            action: "reading",
            path: path.to_path_buf(),
            source,
        };
        let unusable = |rule: String, remedy| KeyError::Unusable {
            path: path.to_path_buf(),
            rule,
            remedy,
        };
        let facts = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(unusable(
                    "there is no such file".to_owned(),
                    "make it with tidegate ledger keygen, or name the right one",
                ));
            }
            facts => facts.map_err(io)?,
        };
        let mode = facts.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(unusable(
                format!("a private key is for its owner alone, and the mode is {mode:04o}"),
                "if nobody else can have read it: chmod 600; otherwise make a new one with tidegate ledger keygen",
            ));
        }
        let user = rustix::process::geteuid().as_raw();
        if facts.uid() != user && facts.uid() != 0 {
            return Err(unusable(
                format!(
                    "it belongs to user {}, and this process is user {user}",
                    facts.uid()
                ),
                "give it to the user that runs the gateway (chown)",
            ));
        }
        if !facts.is_file() || facts.len() > FILE_BYTES_MAX {
            return Err(unusable(
                "a key file is a regular file of at most 16,384 bytes".to_owned(),
                "name the file that tidegate ledger keygen made",
            ));
        }
        let pem = fs::read_to_string(path).map_err(io)?;
        SigningKey::from_pkcs8_pem(&pem).map(Self).map_err(|error| {
            unusable(
                format!("it is not an Ed25519 key in PKCS#8 PEM ({error})"),
                "make one with tidegate ledger keygen or openssl genpkey -algorithm ed25519",
            )
        })
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

/// A new file for the owner alone, durable but for its name. A link refuses to replace what is
/// there, which a rename would not; and a crash leaves no half of a key under the name.
fn put_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut under_way = path.as_os_str().to_owned();
    under_way.push(format!(".{}.tmp", std::process::id()));
    let under_way = PathBuf::from(under_way);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&under_way)?;
    let put = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::hard_link(&under_way, path));
    let removed = fs::remove_file(&under_way);
    put.and(removed)
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
    fn a_key_file_is_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.key");
        let made = LedgerKey::create(&path).unwrap();
        let read = LedgerKey::read(&path).unwrap();
        assert_eq!(read.sign(&checkpoint(1)), made.sign(&checkpoint(1)));
        assert!(LedgerKey::create(&path).is_err(), "never written over");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let refused = LedgerKey::read(&path).unwrap_err().to_string();
        assert!(
            refused.contains("0640") && refused.contains("chmod 600"),
            "{refused}"
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "no key").unwrap();
        let refused = LedgerKey::read(&path).unwrap_err().to_string();
        assert!(refused.contains("PKCS#8"), "{refused}");
    }
}
