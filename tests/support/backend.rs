//! A server behind the gateway that speaks TLS and HTTP/2, on loopback and a free port.
//!
//! It answers each request 200 `ok`, but for `/slow`, which it never answers, `/half`, whose answer
//! stands still in the middle, and `/trailers`, whose answer has some.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use pingora::tls::{
    RootCertStore, ServerConfig, TlsAcceptor, WebPkiClientVerifier, load_ca_file_into_store,
    load_certs_and_key_files, version,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A file of the certificates of the tests.
pub(crate) fn pem(name: &str) -> PathBuf {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("tests/support/tls").join(name)
}

/// How a server is secured.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Secure {
    /// The certificate: a name in `tests/support/tls`.
    pub(crate) certificate: &'static str,
    /// Whether clients need a certificate of `ca`.
    pub(crate) asks_for_client: bool,
    /// What it speaks, the first that both know.
    pub(crate) alpn: &'static [&'static str],
}

/// What a server saw of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) is_h2: bool,
    pub(crate) path: String,
    /// `Host` or `:authority`.
    pub(crate) host: String,
    /// The name in the handshake.
    pub(crate) sni: Option<String>,
    /// Which connection it came on.
    pub(crate) connection: usize,
}

pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Backend {
    /// With TLS.
    pub(crate) fn secure(secure: Secure) -> Self {
        Self::start(Some(acceptor(secure)))
    }

    /// HTTP/2 without TLS.
    pub(crate) fn h2c() -> Self {
        Self::start(None)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    fn start(acceptor: Option<TlsAcceptor>) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let notes = Arc::clone(&seen);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                for number in 0.. {
                    let (stream, _) = listener.accept().await.unwrap();
                    let (acceptor, notes) = (acceptor.clone(), Arc::clone(&notes));
                    tokio::spawn(meet(stream, acceptor, notes, number));
                }
            });
        });
        Self { address, seen }
    }
}

fn acceptor(secure: Secure) -> TlsAcceptor {
    pingora::tls::install_default_crypto_provider();
    let path = |end: &str| pem(&format!("{}.{end}", secure.certificate));
    let text = |path: PathBuf| path.to_str().unwrap().to_owned();
    let loaded = load_certs_and_key_files(&text(path("pem")), &text(path("key")));
    let (chain, key) = loaded.unwrap().unwrap();
    let builder = ServerConfig::builder_with_protocol_versions(&[&version::TLS12, &version::TLS13]);
    let builder = if secure.asks_for_client {
        let mut roots = RootCertStore::empty();
        load_ca_file_into_store(pem("ca.pem"), &mut roots).unwrap();
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build();
        builder.with_client_cert_verifier(verifier.unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let mut config = builder.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = secure
        .alpn
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    TlsAcceptor::from(Arc::new(config))
}

type Notes = Arc<Mutex<Vec<Seen>>>;

async fn meet(stream: TcpStream, acceptor: Option<TlsAcceptor>, notes: Notes, connection: usize) {
    let Some(acceptor) = acceptor else {
        return http2(stream, None, notes, connection).await;
    };
    // Whoever does not believe the certificate leaves.
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let facts = stream.get_ref().1;
    let sni = facts.server_name().map(str::to_owned);
    if facts.alpn_protocol() == Some(b"h2") {
        http2(stream, sni, notes, connection).await;
    } else {
        http1(stream, sni, notes, connection).await;
    }
}

async fn http1(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    sni: Option<String>,
    notes: Notes,
    connection: usize,
) {
    let mut pending = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = pending.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if !matches!(stream.read_buf(&mut pending).await, Ok(1..)) {
                return;
            }
        };
        let head: Vec<u8> = pending.drain(..end).collect();
        let head = String::from_utf8(head).unwrap();
        let path = head.split(' ').nth(1).unwrap().to_owned();
        let host = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("host")
                .then(|| value.trim().to_owned())
        });
        notes.lock().unwrap().push(Seen {
            is_h2: false,
            path: path.clone(),
            host: host.unwrap_or_default(),
            sni: sni.clone(),
            connection,
        });
        let answer = match &*path {
            "/slow" => return std::future::pending().await,
            "/half" => "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
            _ => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        };
        if stream.write_all(answer.as_bytes()).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}

async fn http2(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    sni: Option<String>,
    notes: Notes,
    connection: usize,
) {
    let Ok(mut session) = h2::server::handshake(stream).await else {
        return;
    };
    while let Some(Ok((request, mut respond))) = session.accept().await {
        let path = request.uri().path().to_owned();
        notes.lock().unwrap().push(Seen {
            is_h2: true,
            path: path.clone(),
            host: request
                .uri()
                .authority()
                .map(ToString::to_string)
                .unwrap_or_default(),
            sni: sni.clone(),
            connection,
        });
        tokio::spawn(async move {
            if path == "/slow" {
                return std::future::pending().await;
            }
            let mut answer = respond
                .send_response(http::Response::new(()), false)
                .unwrap();
            match &*path {
                "/half" => {
                    answer
                        .send_data(Bytes::from_static(b"half"), false)
                        .unwrap();
                    std::future::pending::<()>().await;
                }
                "/trailers" => {
                    answer.send_data(Bytes::from_static(b"ok"), false).unwrap();
                    let mut trailers = http::HeaderMap::new();
                    trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
                    answer.send_trailers(trailers).unwrap();
                }
                _ => answer.send_data(Bytes::from_static(b"ok"), true).unwrap(),
            }
        });
    }
}
