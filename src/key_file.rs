//! Private keys in files: PKCS#8 PEM of Ed25519, for the owner's eyes only.
//!
//! The format is openssl's (`openssl genpkey -algorithm ed25519`), so keys need no tool of ours.
//! Invariants: a file that others may read is refused, not repaired: its key may be known already.
//! A key is never written over, and wiped from memory when it is dropped.
//! Not here: what is signed with a key.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes};

/// A key file is a few hundred bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024;

/// What a key is for: the words of its errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purpose {
    /// What every message begins with.
    pub code: &'static str,
    /// The command that makes one.
    pub keygen: &'static str,
    /// Who has to own the file.
    pub user: &'static str,
}

/// Why a key cannot be used or made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file breaks a rule.
    #[error("{code}: {}: {rule}; {remedy}", path.display())]
    Unusable {
        /// What every message begins with.
        code: &'static str,
        /// The file.
        path: PathBuf,
        /// The rule.
        rule: String,
        /// What to do.
        remedy: String,
    },
    /// The system's answer.
    #[error("{code}: {action} {} failed: {error}; check the path and its permissions", path.display())]
    Io {
        /// What every message begins with.
        code: &'static str,
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's answer; told in the message, so no source of it.
        error: io::Error,
    },
}

impl Purpose {
    /// Makes a new key and puts it into a new file, mode 0600, durable on return: whole or not at
    /// all.
    ///
    /// # Errors
    /// [`KeyError::Unusable`] where the file exists: a key is never written over; else the system's
    /// answer.
    pub fn create(&self, path: &Path) -> Result<SigningKey, KeyError> {
        let io = |error| KeyError::Io {
            code: self.code,
            action: "creating",
            path: path.to_path_buf(),
            error,
        };
        let other = |error: &dyn std::fmt::Display| io(io::Error::other(error.to_string()));
        let mut seed = [0_u8; 32];
        getrandom::fill(&mut seed).map_err(|error| other(&error))?;
        // Without the public half, because openssl before 3.1 cannot read a file that holds both.
        let private = KeypairBytes {
            secret_key: seed,
            public_key: None,
        };
        let pem = private
            .to_pkcs8_pem(LineEnding::LF)
            .map_err(|error| other(&error))?;
        put_new(path, pem.as_bytes()).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => KeyError::Unusable {
                code: self.code,
                path: path.to_path_buf(),
                rule: "it is there already, and a key is never written over".to_owned(),
                remedy: "name another file".to_owned(),
            },
            _ => io(error),
        })?;
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let folder = File::open(folder.unwrap_or(Path::new(".")));
        folder.and_then(|folder| folder.sync_all()).map_err(io)?;
        Ok(SigningKey::from_bytes(&seed))
    }

    /// Reads a key file: PKCS#8 PEM, of this user or root, for nobody else to read.
    ///
    /// # Errors
    /// The rule that the file breaks, or the system's answer.
    pub fn read(&self, path: &Path) -> Result<SigningKey, KeyError> {
        let io = |error| KeyError::Io {
            code: self.code,
            action: "reading",
            path: path.to_path_buf(),
            error,
        };
        let unusable = |rule: String, remedy: String| KeyError::Unusable {
            code: self.code,
            path: path.to_path_buf(),
            rule,
            remedy,
        };
        let facts = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let remedy = format!("make it with {}, or name the right one", self.keygen);
                return Err(unusable("there is no such file".to_owned(), remedy));
            }
            facts => facts.map_err(io)?,
        };
        if let Some((rule, remedy)) = self.fault(&facts) {
            return Err(unusable(rule, remedy));
        }
        let pem = fs::read_to_string(path).map_err(io)?;
        SigningKey::from_pkcs8_pem(&pem).map_err(|error| {
            let keygen = self.keygen;
            unusable(
                format!("it is not an Ed25519 key in PKCS#8 PEM ({error})"),
                format!("make one with {keygen} or openssl genpkey -algorithm ed25519"),
            )
        })
    }

    /// The rule that a file breaks before it is read, and what to do.
    fn fault(&self, facts: &fs::Metadata) -> Option<(String, String)> {
        let mode = facts.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Some((
                format!("a private key is for its owner alone, and the mode is {mode:04o}"),
                format!(
                    "if nobody else can have read it: chmod 600; otherwise make a new one with {}",
                    self.keygen
                ),
            ));
        }
        let (user, owner) = (rustix::process::geteuid().as_raw(), facts.uid());
        if owner != user && owner != 0 {
            return Some((
                format!("it belongs to user {owner}, and this process is user {user}"),
                format!("give it to {} (chown)", self.user),
            ));
        }
        (!facts.is_file() || facts.len() > FILE_BYTES_MAX).then(|| {
            (
                "a key file is a regular file of at most 16,384 bytes".to_owned(),
                format!("name the file that {} made", self.keygen),
            )
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

    const PURPOSE: Purpose = Purpose {
        code: "SOME_KEY",
        keygen: "some keygen",
        user: "somebody",
    };

    #[test]
    fn a_key_file_is_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.key");
        let refused = |told: &[&str]| {
            let refused = PURPOSE.read(&path).unwrap_err().to_string();
            let is_told = |part: &&str| refused.contains(*part);
            assert!(told.iter().all(is_told), "{refused}");
        };
        refused(&["SOME_KEY", "no such file", "some keygen"]);
        let made = PURPOSE.create(&path).unwrap();
        assert_eq!(PURPOSE.read(&path).unwrap(), made);
        let twice = PURPOSE.create(&path).unwrap_err().to_string();
        assert!(twice.contains("never written over"), "{twice}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        refused(&["0640", "chmod 600", "some keygen"]);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "no key").unwrap();
        refused(&["PKCS#8", "some keygen"]);
        fs::write(&path, vec![b' '; 20_000]).unwrap();
        refused(&["16,384"]);
    }
}
