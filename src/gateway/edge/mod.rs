//! The edge: the first code a client's bytes meet.
//!
//! Invariant: every request head is read here, under a deadline and within bounds, before
//! Pingora sees the same bytes; a head that is refused is answered, counted and recorded.
//! Deliberately not here: what a request deserves, and everything behind its head.

mod alarm;
mod caps;
mod chunked;
mod conn;
mod cut;
#[doc(hidden)]
pub mod fuzzing;
mod handshakes;
mod head;
mod http1;
mod http2;
mod meeting;
mod proxy_protocol;
mod reading;
mod secured;
mod stopping;
mod told;

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use pingora::protocols::{Shutdown, Stream};
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use tokio::io::AsyncWriteExt;

pub(super) use alarm::Alarm;
pub use caps::{Closed, Connections, Counts};
pub(super) use conn::Conn;
pub(crate) use cut::Cut;
pub use handshakes::{Handshakes, ProxyRefusal, TlsEnd};
pub(super) use head::{Framing, Parsed};
#[cfg(test)]
pub(super) use head::{parse, slots};
use meeting::Protocol;
pub(crate) use meeting::{Arrival, Met};

use super::clock;
use super::connection::Connection;
use super::governor::{Governor, ParseRefusal, RefusedHead};
use super::lane::Lane;
use super::listener::Listeners;
use super::proxy::Hooks;
use super::respond::Answer;
use super::settings::{GatewaySettings, Limits};

/// What is still read from a client whose request was refused, so that it sees the answer.
const LINGER_BYTES_MAX: usize = 64 * 1024;
pub(crate) const LINGER_MAX: Duration = Duration::from_secs(1);

/// Reads the request head at the front of `bytes` as the edge does: its length, or `None` while it
/// is not complete. For measuring, and for tests that make up heads.
///
/// # Errors
///
/// Why the head would be refused.
pub fn head_len(bytes: &[u8], limits: &Limits) -> Result<Option<usize>, ParseRefusal> {
    Ok(head::read(bytes, limits)?.map(|head| head.len))
}

/// The edge of one worker.
#[derive(Clone)]
pub(crate) struct Edge {
    pub(crate) proxy: Arc<HttpProxy<Hooks>>,
    /// Where ordinary requests go; `None` where it is switched off.
    pub(crate) lane: Option<Lane>,
    pub(crate) governor: Arc<dyn Governor>,
    pub(crate) settings: Arc<GatewaySettings>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) listeners: Listeners,
    pub(crate) worker: usize,
}

/// The upstream has so long to answer the handshake of the request on `stream`.
pub(crate) fn answer_handshake_within(stream: &Stream, within: Duration) {
    if let Some(conn) = stream.as_any().downcast_ref::<Conn>() {
        conn.answer_within(within);
    }
}

/// When `stream` is shut down, what its client still sends is read for a moment.
pub(crate) fn linger_at_the_end(stream: &Stream) {
    if let Some(conn) = stream.as_any().downcast_ref::<Conn>() {
        conn.ask_to_linger();
    }
}

impl Edge {
    /// Serves a connection to its end.
    pub(crate) async fn serve(&self, mut met: Met, shutdown: &ShutdownWatch) {
        met.conn.keep_rates(&self.settings);
        match met.protocol {
            Protocol::Http1 => self.serve_http1(met.conn, &met.connection, shutdown).await,
            Protocol::Http2 => {
                // Apart, so that a connection of HTTP/1 holds no room for it.
                Box::pin(self.serve_http2(met.conn, &met.connection, shutdown)).await;
            }
        }
    }

    /// Answers a head that was refused, and ends the connection.
    async fn refuse(&self, mut conn: Box<Conn>, connection: &Connection, reason: ParseRefusal) {
        let answer = Answer::to_refusal(reason);
        conn.ends_as(Closed::RefusedInParsing);
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
        _ = tokio::time::timeout(LINGER_MAX, Shutdown::shutdown(conn.as_mut())).await;
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
