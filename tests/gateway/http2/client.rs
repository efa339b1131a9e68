//! A client of HTTP/2 that keeps to the rules, and a server that does.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Request};

use crate::harness::PATIENCE;

/// Runs a test's conversation; it fails instead of hanging.
pub(super) fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, test).await.expect("in time") })
}

/// A connection; it is driven in the background.
pub(super) async fn connect(address: SocketAddr) -> SendRequest<Bytes> {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (send, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(async move {
        _ = connection.await;
    });
    send.ready().await.unwrap()
}

pub(super) fn get(uri: &str) -> Request<()> {
    Request::get(uri).body(()).unwrap()
}

pub(super) fn post(uri: &str) -> Request<()> {
    Request::post(uri).body(()).unwrap()
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) trailers: Option<HeaderMap>,
}

impl Answer {
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The rest of an answer.
    pub(super) async fn read(answer: http::Response<h2::RecvStream>) -> Result<Self, h2::Error> {
        let (head, mut stream) = answer.into_parts();
        let mut body = Vec::new();
        while let Some(piece) = stream.data().await {
            let piece = piece?;
            stream.flow_control().release_capacity(piece.len())?;
            body.extend_from_slice(&piece);
        }
        Ok(Self {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
            trailers: stream.trailers().await?,
        })
    }
}

/// Sends a request and reads its answer.
pub(super) async fn ask(
    client: &mut SendRequest<Bytes>,
    request: Request<()>,
    body: Option<&str>,
) -> Answer {
    try_ask(client, request, body).await.unwrap()
}

/// The same where the stream may be reset.
pub(super) async fn try_ask(
    client: &mut SendRequest<Bytes>,
    request: Request<()>,
    body: Option<&str>,
) -> Result<Answer, h2::Error> {
    let (answer, mut stream) = client.send_request(request, body.is_none())?;
    if let Some(body) = body {
        stream.send_data(Bytes::copy_from_slice(body.as_bytes()), true)?;
    }
    Answer::read(answer.await?).await
}
