//! The secret that client identities are hashed with: 16 bytes, made at the first start.

use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Why the secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ClientKeyError {
    /// The system refuses.
    #[error("client key {path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Not sixteen bytes.
    #[error(
        "client key {path} has {length} bytes instead of 16; delete it to make a new one (clients then get new names in records)"
    )]
    Length {
        /// The file.
        path: PathBuf,
        /// How many bytes it has.
        length: usize,
    },
    /// Others can read it.
    #[error("client key {path} can be read by others (mode {mode:o}); run: chmod 600 {path}")]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
}

/// The secret of a state directory.
#[derive(Clone)]
pub(super) struct ClientKeyFile {
    secret: [u8; 16],
}

impl ClientKeyFile {
    /// Reads the file, or makes it.
    pub(super) fn open(path: &Path) -> Result<Self, ClientKeyError> {
        let io = |error| ClientKeyError::Io {
            path: path.to_owned(),
            error,
        };
        match std::fs::File::open(path) {
            Ok(file) => Self::read(path, file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::make(path).map_err(io),
            Err(error) => Err(io(error)),
        }
    }

    /// Checks the file where there is one; makes nothing.
    pub(super) fn check(path: &Path) -> Result<(), ClientKeyError> {
        match std::fs::File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(ClientKeyError::Io {
                path: path.to_owned(),
                error,
            }),
            Ok(file) => Self::read(path, file).map(|_| ()),
        }
    }

    fn read(path: &Path, mut file: std::fs::File) -> Result<Self, ClientKeyError> {
        let io = |error| ClientKeyError::Io {
            path: path.to_owned(),
            error,
        };
        let path = path.to_owned();
        let mode = file.metadata().map_err(io)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(ClientKeyError::Mode { path, mode });
        }
        let mut bytes = Vec::new();
        Read::by_ref(&mut file)
            .take(64)
            .read_to_end(&mut bytes)
            .map_err(io)?;
        let length = bytes.len();
        match bytes.try_into() {
            Ok(secret) => Ok(Self { secret }),
            Err(_) => Err(ClientKeyError::Length { path, length }),
        }
    }

    /// Whole or not at all: written under another name, then renamed.
    fn make(path: &Path) -> io::Result<Self> {
        let mut secret = [0; 16];
        getrandom::fill(&mut secret).map_err(io::Error::other)?;
        let unfinished = path.with_extension("new");
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)?;
        file.write_all(&secret)?;
        file.sync_all()?;
        std::fs::rename(&unfinished, path)?;
        Ok(Self { secret })
    }

    pub(super) const fn secret(&self) -> [u8; 16] {
        self.secret
    }

    /// Names the secret without telling it: the first 16 hex digits of its SHA-256.
    pub(super) fn id(&self) -> String {
        let digest = Sha256::digest(self.secret);
        hex::encode(digest.get(..8).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::{ClientKeyError, ClientKeyFile};

    #[test]
    fn the_key_is_made_once_and_kept_secret() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("client.key");
        let made = ClientKeyFile::open(&path).expect("a new key");
        let read = ClientKeyFile::open(&path).expect("the same key");
        assert_eq!(made.secret(), read.secret());
        let mode = std::fs::metadata(&path)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(made.id().len(), 16);
    }

    #[test]
    fn a_key_that_others_can_read_or_of_another_length_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("client.key");
        std::fs::write(&path, [1; 16]).expect("written");
        let permissions = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(&path, permissions).expect("set");
        assert!(matches!(
            ClientKeyFile::open(&path),
            Err(ClientKeyError::Mode { mode: 0o644, .. })
        ));
        let permissions = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&path, permissions).expect("set");
        std::fs::write(&path, [1; 15]).expect("written");
        assert!(matches!(
            ClientKeyFile::open(&path),
            Err(ClientKeyError::Length { length: 15, .. })
        ));
    }
}
