//! What a handshake of a listener is made with, and its exchange while connections run.
//!
//! A connection keeps what it began with; the next one takes what is in force then. Sessions that
//! can be resumed are kept with what they were made under, so none of them outlives a change of who
//! may come in.

use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwap;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{NoClientAuth, WebPkiClientVerifier};
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::facts::CertificateFacts;
use super::files::{ClientAuth, TlsFault, TlsFiles, read_certificates};
use super::names::ByName;

/// The one set of ciphers in this process, the same that upstream connections use.
#[must_use]
pub fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(tokio_rustls::rustls::crypto::ring::default_provider()));
    &PROVIDER
}

/// What the files of a listener came to.
#[derive(Debug, Clone)]
pub struct Material {
    config: Arc<ServerConfig>,
    certificates: Vec<CertificateFacts>,
}

impl Material {
    /// Reads all files of a listener. `http2` offers HTTP/2 beside HTTP/1.1.
    ///
    /// # Errors
    /// Every file that cannot be used.
    pub fn read(files: &TlsFiles, http2: bool) -> Result<Self, Vec<TlsFault>> {
        let mut faults = Vec::new();
        let mut by_name = ByName::default();
        let mut certificates = Vec::with_capacity(files.certificates.len());
        for pair in &files.certificates {
            let read = pair.read().and_then(|certified| {
                let first = certified.cert.first().map_or(&[][..], |der| der.as_ref());
                let facts = CertificateFacts::read(&pair.cert, first)?;
                Ok((certified, facts))
            });
            match read {
                Ok((certified, facts)) => {
                    by_name.add(certified, &facts.names);
                    certificates.push(facts);
                }
                Err(fault) => faults.push(fault),
            }
        }
        let verifier = verifier(files).map_err(|fault| faults.push(fault)).ok();
        let (Some(verifier), true) = (verifier, faults.is_empty()) else {
            return Err(faults);
        };
        let config = ServerConfig::builder_with_provider(Arc::clone(provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| own_fault(files, &error))?;
        let mut config = config
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(by_name));
        config.alpn_protocols = match http2 {
            true => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            false => vec![b"http/1.1".to_vec()],
        };
        Ok(Self {
            config: Arc::new(config),
            certificates,
        })
    }

    /// Its certificates, in the order of the files.
    #[must_use]
    pub fn certificates(&self) -> &[CertificateFacts] {
        &self.certificates
    }
}

/// The ring provider has both versions, so this is a fault of the program and not of a file.
fn own_fault(files: &TlsFiles, error: &dyn std::fmt::Display) -> Vec<TlsFault> {
    let path = files.certificates.first().map(|pair| pair.cert.as_path());
    let path = path.unwrap_or_else(|| std::path::Path::new("tls"));
    vec![TlsFault::new(path, error.to_string(), "report it")]
}

fn verifier(files: &TlsFiles) -> Result<Arc<dyn ClientCertVerifier>, TlsFault> {
    let (Some(path), ClientAuth::Optional | ClientAuth::Required) =
        (&files.client_ca, files.client_auth)
    else {
        return Ok(Arc::new(NoClientAuth));
    };
    let remedy = "name a file of the certificates of authorities as PEM";
    let fault = |error: &dyn std::fmt::Display| {
        TlsFault::new(path, format!("it names no authority ({error})"), remedy)
    };
    let mut roots = RootCertStore::empty();
    for authority in read_certificates(path)? {
        roots.add(authority).map_err(|error| fault(&error))?;
    }
    let provider = Arc::clone(provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let verifier = match files.client_auth {
        ClientAuth::Optional => verifier.allow_unauthenticated(),
        ClientAuth::None | ClientAuth::Required => verifier,
    };
    verifier.build().map_err(|error| fault(&error))
}

/// What the handshakes of one listener are made with now.
#[derive(Debug)]
pub struct ListenerTls(ArcSwap<ServerConfig>);

impl ListenerTls {
    /// Begins with this.
    #[must_use]
    pub fn new(material: &Material) -> Arc<Self> {
        Arc::new(Self(ArcSwap::new(Arc::clone(&material.config))))
    }

    /// From the next handshake on this holds.
    pub fn exchange(&self, material: &Material) {
        self.0.store(Arc::clone(&material.config));
    }

    /// What holds now.
    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        self.0.load_full()
    }
}
