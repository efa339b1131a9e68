//! The files of a listener, and what can be wrong with them.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{Error, InconsistentKeys};

use super::server::provider;

/// A chain or a list of authorities takes some tens of kilobytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What a listener shows and asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// At least one; the first is shown where a client names none, or an unknown one.
    pub certificates: Vec<CertificateFiles>,
    /// Who signs certificates of clients, as PEM; there wherever clients are asked for one.
    pub client_ca: Option<PathBuf>,
    /// Whether clients are asked for a certificate.
    pub client_auth: ClientAuth,
}

/// A certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain as PEM, the certificate of the listener first.
    pub cert: PathBuf,
    /// Its private key as PEM: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// Whether clients are asked for a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientAuth {
    /// No.
    #[default]
    None,
    /// Yes, and one that has none is served all the same; one that shows a bad one is not.
    Optional,
    /// Yes, and nobody is served without.
    Required,
}

impl ClientAuth {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::None, Self::Optional, Self::Required];

    /// The name in files.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Optional => "optional",
            Self::Required => "required",
        }
    }
}

/// A file that cannot be used: place, rule and remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {rule}; {remedy}", path.display())]
pub struct TlsFault {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub rule: String,
    /// What to do.
    pub remedy: &'static str,
}

impl TlsFault {
    pub(super) fn new(path: &Path, rule: impl Into<String>, remedy: &'static str) -> Self {
        Self {
            path: path.to_owned(),
            rule: rule.into(),
            remedy,
        }
    }
}

impl TlsFiles {
    /// Every file, for those who watch them.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let pairs = self.certificates.iter();
        let pairs = pairs.flat_map(|pair| [pair.cert.as_path(), pair.key.as_path()]);
        pairs.chain(self.client_ca.as_deref())
    }

    /// Keys that others than their owner can read: each file and its mode. A missing file is no
    /// finding here.
    #[must_use]
    pub fn exposed_keys(&self) -> Vec<(&Path, u32)> {
        let exposed = |pair: &CertificateFiles| {
            let facts = fs::metadata(&pair.key).ok()?;
            let mode = facts.permissions().mode() & 0o777;
            (mode & 0o077 != 0).then_some(mode)
        };
        let pairs = self.certificates.iter();
        pairs
            .filter_map(|pair| Some((pair.key.as_path(), exposed(pair)?)))
            .collect()
    }
}

impl CertificateFiles {
    /// Reads both and holds them against each other.
    pub(super) fn read(&self) -> Result<CertifiedKey, TlsFault> {
        let chain = read_certificates(&self.cert)?;
        let bytes = read(&self.key)?;
        let key = PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| {
            let rule = format!("it holds no private key as PEM ({error})");
            let remedy = "name the key of the certificate, as PKCS#8, PKCS#1 or SEC1 in PEM, without a passphrase";
            TlsFault::new(&self.key, rule, remedy)
        })?;
        let key = provider().key_provider.load_private_key(key);
        let key = key.map_err(|error| {
            let rule = format!("its key cannot be used ({error})");
            let remedy = "use a key of RSA (2048 bits or more), ECDSA (P-256, P-384) or Ed25519";
            TlsFault::new(&self.key, rule, remedy)
        })?;
        let certified = CertifiedKey::new(chain, Arc::clone(&key));
        match certified.keys_match() {
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
            Err(Error::InconsistentKeys(_)) => {
                let cert = self.cert.display();
                let rule = format!("it is not the key of the certificate in {cert}");
                let remedy = "put the key in place that the certificate was made for; the certificate of the listener comes first in its file";
                Err(TlsFault::new(&self.key, rule, remedy))
            }
            Err(error) => Err(not_a_certificate(&self.cert, &error)),
        }
    }
}

fn not_a_certificate(path: &Path, error: &dyn std::fmt::Display) -> TlsFault {
    let rule = format!("it holds something that is no certificate ({error})");
    TlsFault::new(path, rule, "name a file of X.509 certificates as PEM")
}

/// Every certificate of a file; at least one.
pub(super) fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let bytes = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|error| not_a_certificate(path, &error))?;
    if found.is_empty() {
        let remedy = "name a file of X.509 certificates as PEM";
        return Err(TlsFault::new(
            path,
            "it holds no certificate as PEM",
            remedy,
        ));
    }
    Ok(found)
}

fn read(path: &Path) -> Result<Vec<u8>, TlsFault> {
    let remedy = "check the path and its permissions";
    let unreadable = |error: std::io::Error| TlsFault::new(path, error.to_string(), remedy);
    // Asked before opening: opening a named pipe would wait for a writer.
    let facts = fs::metadata(path).map_err(unreadable)?;
    if !facts.is_file() {
        return Err(TlsFault::new(path, "this is not a regular file", remedy));
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let remedy = "keep only the certificates that are needed";
        return Err(TlsFault::new(path, "the file has more than 1 MiB", remedy));
    }
    Ok(bytes)
}
