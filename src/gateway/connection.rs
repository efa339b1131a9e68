//! What is known of a client's connection for as long as it lasts.
//!
//! Invariant: it is known before the first request is read and never changes; each request of the
//! connection, over HTTP/1 and HTTP/2 alike, finds it through its task. Deliberately not here: the
//! bytes, and anything about a single request.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

tokio::task_local! {
    static CURRENT: Arc<Connection>;
}

/// A client's connection.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    /// The number of the listener that it came through.
    pub(crate) listener: u16,
    /// The client's end, as a trusted proxy tells it in a PROXY header where the listener asks for
    /// one; else that of the nearest proxy.
    pub(crate) peer: Option<SocketAddr>,
    /// Whether `peer` is one of the trusted proxies, so that its forwarded-for fields are true.
    pub(crate) peer_trusted: bool,
    /// Who the client is by its certificate, which was verified; see [`crate::tls::identity`].
    pub(crate) identity: Option<Box<str>>,
}

impl Connection {
    /// The connection that the current request came on; without one (which only a task that no
    /// edge started could be) nothing is known and nobody is trusted.
    pub(crate) fn current() -> Arc<Self> {
        CURRENT.try_with(Arc::clone).unwrap_or_default()
    }

    /// Runs what serves one of its requests.
    pub(crate) async fn serving<T>(self: &Arc<Self>, served: impl Future<Output = T>) -> T {
        CURRENT.scope(Arc::clone(self), served).await
    }
}
