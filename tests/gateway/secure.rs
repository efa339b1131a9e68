//! Certificates and a TLS client for tests.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, KeyPair, SanType};
use tidegate::gateway::settings::{GatewaySettings, ListenerSettings};
use tidegate::tls::{CertificateFiles, ClientAuth, ListenerTls, Material, TlsFiles, provider};
use tokio_rustls::rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName,
};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};

use crate::harness::{PATIENCE, settings};

/// Somebody who signs certificates, and a folder to put them in.
pub(crate) struct Authority {
    certificate: Certificate,
    key: KeyPair,
    folder: tempfile::TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "tests");
        let key = KeyPair::generate().unwrap();
        Self {
            certificate: params.self_signed(&key).unwrap(),
            key,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn signed(&self, params: &CertificateParams) -> (Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let signed = params.clone();
        let signed = signed
            .signed_by(&key, &self.certificate, &self.key)
            .unwrap();
        (signed, key)
    }

    /// A new certificate for `host`, in files of that name.
    pub(crate) fn server(&self, host: &str) -> CertificateFiles {
        self.server_until(host, 2_100)
    }

    /// The same; good until the first day of a year.
    pub(crate) fn server_until(&self, host: &str, year: i32) -> CertificateFiles {
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let (certificate, key) = self.signed(&params);
        let name = host.replace('*', "any");
        let files = CertificateFiles {
            cert: self.path(&format!("{name}.pem")),
            key: self.path(&format!("{name}.key")),
        };
        std::fs::write(&files.cert, certificate.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }

    /// What a listener with certificates for these hosts has.
    pub(crate) fn files(&self, hosts: &[&str]) -> TlsFiles {
        TlsFiles {
            certificates: hosts.iter().map(|host| self.server(host)).collect(),
            client_ca: None,
            client_auth: ClientAuth::None,
        }
    }

    /// The same; clients are asked for a certificate of this authority.
    pub(crate) fn files_asking(&self, auth: ClientAuth) -> TlsFiles {
        let ca = self.path("ca.pem");
        std::fs::write(&ca, self.certificate.pem()).unwrap();
        TlsFiles {
            client_ca: Some(ca),
            client_auth: auth,
            ..self.files(&["localhost"])
        }
    }

    /// A client that trusts this authority and knows these protocols.
    pub(crate) fn client(&self, alpn: &[&str]) -> ClientConfig {
        self.client_of(alpn, None)
    }

    /// The same with a certificate for that URI, signed by `signer`.
    pub(crate) fn client_with(&self, signer: &Self, uri: &str) -> ClientConfig {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
        let (certificate, key) = signer.signed(&params);
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        self.client_of(&[], Some((certificate.der().clone(), key.into())))
    }

    /// The same in one version of TLS alone.
    pub(crate) fn client_speaking(
        &self,
        version: &'static SupportedProtocolVersion,
    ) -> ClientConfig {
        let builder = ClientConfig::builder_with_provider(Arc::clone(provider()));
        let builder = builder.with_protocol_versions(&[version]).unwrap();
        builder
            .with_root_certificates(self.roots())
            .with_no_client_auth()
    }

    fn client_of(
        &self,
        alpn: &[&str],
        own: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
    ) -> ClientConfig {
        let builder = ClientConfig::builder_with_provider(Arc::clone(provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(self.roots());
        let mut config = match own {
            Some((certificate, key)) => builder
                .with_client_auth_cert(vec![certificate], key)
                .unwrap(),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        roots
    }
}

/// A listener with these files, and what its handshakes are made with.
pub(crate) fn secured(
    upstream: SocketAddr,
    files: &TlsFiles,
) -> (GatewaySettings, Arc<ListenerTls>) {
    let material = Material::read(files, true).unwrap();
    let tls = ListenerTls::new(&material);
    let mut settings = settings(&[upstream]);
    settings.listeners[0] = ListenerSettings {
        tls: Some(Arc::clone(&tls)),
        h2c: false,
        ..ListenerSettings::plain("127.0.0.1:0".parse().unwrap())
    };
    (settings, tls)
}

/// A client behind TLS.
pub(crate) struct Secure(pub(crate) StreamOwned<ClientConnection, TcpStream>);

impl Secure {
    /// Connects and shakes hands.
    pub(crate) fn connect(
        address: SocketAddr,
        config: &ClientConfig,
        host: &str,
    ) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        Self::over(stream, config, host)
    }

    /// Shakes hands on a connection.
    pub(crate) fn over(
        stream: TcpStream,
        config: &ClientConfig,
        host: &str,
    ) -> std::io::Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let session = ClientConnection::new(Arc::new(config.clone()), name).unwrap();
        let mut stream = StreamOwned::new(session, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self(stream))
    }

    /// What was agreed on.
    pub(crate) fn protocol(&self) -> Option<&str> {
        let agreed = self.0.conn.alpn_protocol();
        agreed.map(|name| std::str::from_utf8(name).unwrap())
    }

    /// The certificate that was shown.
    pub(crate) fn shown(&self) -> Vec<u8> {
        self.0.conn.peer_certificates().unwrap()[0].to_vec()
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).unwrap();
        self.0.flush().unwrap();
    }

    /// Sends a GET and reads the body `ok`.
    pub(crate) fn get(&mut self, path: &str) -> std::io::Result<u16> {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
        self.status()
    }

    /// The status of an answer with the body `ok`, or without any.
    pub(crate) fn status(&mut self) -> std::io::Result<u16> {
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\nok") && !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte)?;
            answer.push(byte[0]);
            if answer.ends_with(b"\r\n\r\n")
                && answer
                    .windows(17)
                    .any(|w| w.eq_ignore_ascii_case(b"content-length: 2"))
            {
                let mut body = [0; 2];
                self.0.read_exact(&mut body)?;
                break;
            }
        }
        Ok(std::str::from_utf8(&answer[9..12])
            .unwrap()
            .parse()
            .unwrap())
    }

    /// Whether the other side says that it is done, which is not the same as going away.
    pub(crate) fn is_told_the_end(&mut self) -> bool {
        self.0
            .read_to_end(&mut Vec::new())
            .is_ok_and(|read| read == 0)
    }
}
