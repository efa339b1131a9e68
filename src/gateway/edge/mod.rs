//! The edge: the first code a client's bytes meet.
//!
//! Invariant: every request head is read here, under a deadline and within bounds, before
//! Pingora sees the same bytes; a head that is refused is answered, counted and recorded.
//! Deliberately not here: what a request deserves, and everything behind its head.

mod caps;
mod chunked;
mod conn;
#[doc(hidden)]
pub mod fuzzing;
mod head;
mod http1;
mod http2;
mod meeting;
mod reading;

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::ServerApp;
use pingora::protocols::{Shutdown, Stream};
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use tokio::io::AsyncWriteExt;

pub use caps::Connections;
use conn::Conn;
use meeting::Protocol;

use super::clock;
use super::connection::Connection;
use super::governor::{Governor, ParseRefusal, RefusedHead};
use super::listener::Listeners;
use super::proxy::Hooks;
use super::respond::Answer;
use super::settings::GatewaySettings;

/// What is still read from a client whose request was refused, so that it sees the answer.
const LINGER_BYTES_MAX: usize = 64 * 1024;
pub(crate) const LINGER_MAX: Duration = Duration::from_secs(1);

/// The edge of one worker.
pub(crate) struct Edge {
    pub(crate) proxy: Arc<HttpProxy<Hooks>>,
    pub(crate) governor: Arc<dyn Governor>,
    pub(crate) settings: Arc<GatewaySettings>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) listeners: Listeners,
    pub(crate) worker: usize,
}

/// `cleanup` is not handed on to Pingora: it would make it drop requests whose heads have been
/// read already. Idle connections end here, by the shutdown watch.
#[async_trait]
impl ServerApp for Edge {
    async fn process_new(
        self: &Arc<Self>,
        stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        let met = self.meet(stream).await?;
        match met.protocol {
            Protocol::Http1 => self.serve_http1(met.conn, &met.connection, shutdown).await,
        }
        None
    }
}

impl Edge {
    /// Answers a head that was refused, and ends the connection.
    async fn refuse(&self, mut conn: Box<Conn>, connection: &Connection, reason: ParseRefusal) {
        let answer = Answer::to_refusal(reason);
        let id = self.governor.refused_in_parsing(&RefusedHead {
            reason,
            status: answer.status,
            listener: connection.listener,
            worker: self.worker,
            peer: connection.peer,
            at: clock::now(),
        });
        let wire = answer.closing_bytes(id);
        let mut told = pin!(async {
            conn.write_all(&wire).await?;
            conn.flush().await?;
            conn.shutdown().await
        });
        let told: Pin<&mut _> = told.as_mut();
        let told = tokio::time::timeout(self.settings.timeouts.client_write, told).await;
        if matches!(told, Ok(Ok(()))) {
            // Closing with unread bytes would reset the connection and take the answer away.
            _ = tokio::time::timeout(LINGER_MAX, linger(&mut conn)).await;
        }
        Shutdown::shutdown(conn.as_mut()).await;
    }
}

async fn linger(conn: &mut Conn) {
    let mut left = LINGER_BYTES_MAX;
    while left > 0 {
        let arrived = conn.ahead().len();
        drop(conn.take(arrived));
        match conn.fill().await {
            Ok(read @ 1..) => left = left.saturating_sub(read),
            Ok(0) | Err(_) => return,
        }
    }
}
