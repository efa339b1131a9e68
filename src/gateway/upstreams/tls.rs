//! The files of a group's certificates: read at the start and whenever one of them changed.
//!
//! Invariant: what cannot be used is never put in force. At the start it is an error; later the
//! files that were read before stay, and the log says why. Pingora ends the process over
//! certificates that it cannot read, so each is read here first with the parser that it uses.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::{ArcSwap, Guard};
use pingora::protocols::tls::CaType;
use pingora::tls::{CertificateDer, ClientConfig, PrivateKeyDer, RootCertStore, version};
use pingora::utils::tls::{CertKey, WrappedX509, parse_x509};
use rustls_pki_types::pem::PemObject;

use crate::config::{ClientCertificate, UpstreamTls};

/// The most certificates of one file.
const CERTIFICATES_MAX: usize = 1_024;

/// A file of certificates that cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{path}: {reason}; {remedy}")]
pub struct TlsFileError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
    /// What to do.
    pub remedy: &'static str,
}

/// Why the files of an upstream could not be used now; `None` where they could.
#[must_use]
pub fn tls_file_fault(settings: &UpstreamTls) -> Option<TlsFileError> {
    read(settings, 0).err()
}

/// The certificates of one group.
#[derive(Debug)]
pub(super) struct TlsFiles {
    settings: UpstreamTls,
    current: ArcSwap<Certificates>,
    /// What the files looked like when they were last read.
    seen: Mutex<Vec<Stamp>>,
}

type Stamp = Option<(SystemTime, u64)>;

/// What the files say.
pub(super) struct Certificates {
    /// Counts the readings that came into force.
    pub(super) generation: u32,
    /// The authorities that are believed; `None` = those of the system.
    pub(super) ca: Option<Arc<CaType>>,
    /// Who the gateway says it is.
    pub(super) client: Option<Arc<CertKey>>,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key is nobody's business.
        out.debug_struct("Certificates")
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

impl TlsFiles {
    /// Reads the files.
    pub(super) fn open(settings: UpstreamTls) -> Result<Self, TlsFileError> {
        let seen = stamps(&settings);
        let certificates = read(&settings, 0)?;
        Ok(Self {
            settings,
            current: ArcSwap::from_pointee(certificates),
            seen: Mutex::new(seen),
        })
    }

    pub(super) const fn verifies(&self) -> bool {
        self.settings.verify
    }

    pub(super) fn current(&self) -> Guard<Arc<Certificates>> {
        self.current.load()
    }

    /// Reads the files again where one of them changed; connections made from then on use them.
    pub(super) fn refresh(&self, upstream: &str) {
        let now = stamps(&self.settings);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == now {
            return;
        }
        *seen = now;
        let generation = self.current.load().generation.wrapping_add(1);
        match read(&self.settings, generation) {
            Ok(certificates) => {
                self.current.store(Arc::new(certificates));
                tracing::info!(event = "upstream_certificates_reloaded", upstream);
            }
            Err(error) => {
                tracing::error!(event = "upstream_certificates_refused", upstream, %error);
            }
        }
    }
}

fn stamps(settings: &UpstreamTls) -> Vec<Stamp> {
    let client = settings.client.iter();
    let files = client.flat_map(|client| [&client.cert, &client.key]);
    let stamp = |path: &PathBuf| {
        let facts = std::fs::metadata(path).ok()?;
        Some((facts.modified().ok()?, facts.len()))
    };
    settings.ca.iter().chain(files).map(stamp).collect()
}

fn read(settings: &UpstreamTls, generation: u32) -> Result<Certificates, TlsFileError> {
    // Checking a key asks which algorithms there are.
    pingora::tls::install_default_crypto_provider();
    let ca = settings.ca.as_deref().map(read_authorities).transpose()?;
    let client = settings.client.as_ref().map(read_client).transpose()?;
    Ok(Certificates {
        generation,
        ca,
        client,
    })
}

fn read_authorities(path: &Path) -> Result<Arc<CaType>, TlsFileError> {
    let remedy = "name a PEM file of the authorities that sign the servers' certificates";
    let certificates = read_certificates(path, remedy)?;
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        let added = store.add(certificate.clone());
        added.map_err(|error| unusable(path, error, remedy))?;
    }
    let wrap = |der: CertificateDer<'_>| WrappedX509::new(der.to_vec(), parse_x509);
    Ok(certificates.into_iter().map(wrap).collect())
}

fn read_client(files: &ClientCertificate) -> Result<Arc<CertKey>, TlsFileError> {
    let remedy = "name a PEM file of the certificate, followed by those that signed it";
    let chain = read_certificates(&files.cert, remedy)?;
    let key_remedy = "name the PEM file of the certificate's private key";
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| unusable(&files.key, error, key_remedy))?;
    // rustls compares key and certificate.
    ClientConfig::builder_with_protocol_versions(&[&version::TLS12, &version::TLS13])
        .with_root_certificates(RootCertStore::empty())
        .with_client_auth_cert(chain.clone(), key.clone_key())
        .map_err(|error| unusable(&files.key, error, key_remedy))?;
    let chain = chain.iter().map(|der| der.to_vec()).collect();
    Ok(Arc::new(CertKey::new(chain, key.secret_der().to_vec())))
}

fn read_certificates(
    path: &Path,
    remedy: &'static str,
) -> Result<Vec<CertificateDer<'static>>, TlsFileError> {
    let read = CertificateDer::pem_file_iter(path)
        .and_then(|found| found.take(CERTIFICATES_MAX).collect::<Result<Vec<_>, _>>());
    let certificates = read.map_err(|error| unusable(path, error, remedy))?;
    if certificates.is_empty() {
        return Err(unusable(path, "there is no certificate in it", remedy));
    }
    for certificate in &certificates {
        x509_parser::parse_x509_certificate(certificate)
            .map_err(|error| unusable(path, error, remedy))?;
    }
    Ok(certificates)
}

fn unusable(path: &Path, reason: impl Display, remedy: &'static str) -> TlsFileError {
    TlsFileError {
        path: path.to_owned(),
        reason: reason.to_string(),
        remedy,
    }
}
