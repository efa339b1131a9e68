//! An attacker's way through TLS, with the certificates that the tests of the gateway use.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// The name that the certificate is for.
const HOST: &str = "orders.test";

fn folder() -> anyhow::Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/support/tls");
    folder.canonicalize().context("find tests/support/tls")
}

/// What makes a listener one of TLS.
pub(super) fn keys() -> anyhow::Result<String> {
    let folder = folder()?;
    let (cert, key) = (folder.join("good.pem"), folder.join("good.key"));
    let (cert, key) = (cert.display(), key.display());
    Ok(format!(
        ", tls: {{ certificates: [{{ cert: \"{cert}\", key: \"{key}\" }}] }}"
    ))
}

/// Shakes hands and agrees on HTTP/2.
pub(super) fn over(
    mut stream: TcpStream,
) -> anyhow::Result<StreamOwned<ClientConnection, TcpStream>> {
    pingora::tls::install_default_crypto_provider();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder()?.join("ca.pem"))?)?;
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from(HOST)?;
    let mut session = ClientConnection::new(Arc::new(config), name)?;
    while session.is_handshaking() {
        session.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(session, stream))
}
