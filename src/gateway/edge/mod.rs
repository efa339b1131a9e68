//! The edge: the first code a client's bytes meet.
//!
//! Invariant: every request head is read here, under a deadline and within bounds, before
//! Pingora sees the same bytes; a head that is refused is answered, counted and recorded.
//! Deliberately not here: what a request deserves, and everything behind its head.

mod caps;
mod chunked;
mod conn;
mod head;
mod reading;

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use pingora::apps::{HttpServerApp, ServerApp};
use pingora::protocols::http::ServerSession;
use pingora::protocols::{Shutdown, Stream};
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use tokio::io::AsyncWriteExt;

pub use caps::Connections;
use conn::Conn;
use head::Framing;
use reading::{Alarm, Next};

use super::clock;
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

/// The two ends of a connection.
#[derive(Clone, Copy)]
struct Ends {
    peer: Option<SocketAddr>,
    listener: u16,
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
        let ends = self.ends(&stream);
        let permit = self
            .connections
            .admit(ends.peer.map(|peer| peer.ip()))
            .ok()?;
        let conn = Box::new(Conn::new(stream, permit));
        self.serve(conn, ends, shutdown).await;
        None
    }
}

impl Edge {
    async fn serve(&self, mut conn: Box<Conn>, ends: Ends, shutdown: &ShutdownWatch) {
        let mut stopping = shutdown.clone();
        let mut stop = pin!(async move {
            // An error means the sender is gone, and with it everything else.
            _ = stopping.wait_for(|stopping| *stopping).await;
        });
        let mut alarm = Alarm::new(self.settings.timeouts.head);
        let mut served = 0;
        loop {
            let bounds = (&self.settings.limits, &self.settings.timeouts);
            match reading::next(&mut conn, &mut alarm, &mut stop, bounds, served == 0).await {
                Next::Request { bytes, head } => {
                    conn.begin(head.framing, head.may_switch);
                    let last = self.is_last(served, shutdown);
                    let Some(back) = self.hand_over(conn, bytes, last, shutdown).await else {
                        return;
                    };
                    conn = back;
                    served += 1;
                }
                Next::Http2 if self.settings.h2c => {
                    conn.begin(Framing::Unframed, false);
                    self.proxy.process_new(conn, shutdown).await;
                    return;
                }
                Next::Http2 => return self.refuse(conn, ends, ParseRefusal::Version).await,
                Next::Refused(refusal) => return self.refuse(conn, ends, refusal).await,
                Next::Over => return,
            }
        }
    }

    fn is_last(&self, served: u32, shutdown: &ShutdownWatch) -> bool {
        served + 1 >= self.settings.limits.requests_per_connection_max || *shutdown.borrow()
    }

    /// Lets Pingora serve one request; `None` when the connection ends with it.
    async fn hand_over(
        &self,
        conn: Box<Conn>,
        head: BytesMut,
        last: bool,
        shutdown: &ShutdownWatch,
    ) -> Option<Box<Conn>> {
        let timeouts = &self.settings.timeouts;
        let mut session = ServerSession::new_http1(conn);
        session.set_pipelined_prefix(head);
        session.set_keepalive_reuses_remaining(last.then_some(0));
        session.set_read_timeout(Some(timeouts.body_read));
        session.set_write_timeout(Some(timeouts.client_write));
        session.set_total_drain_timeout(Some(timeouts.drain_body));
        let reused = self.proxy.process_new_http(session, shutdown).await?;
        let (stream, _) = reused.consume();
        let conn: Box<Conn> = stream.into_any().downcast().ok()?;
        conn.is_between_requests().then_some(conn)
    }

    /// Answers a head that was refused, and ends the connection.
    async fn refuse(&self, mut conn: Box<Conn>, ends: Ends, reason: ParseRefusal) {
        let answer = Answer::to_refusal(reason);
        let id = self.governor.refused_in_parsing(&RefusedHead {
            reason,
            status: answer.status,
            listener: ends.listener,
            worker: self.worker,
            peer: ends.peer,
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

    fn ends(&self, stream: &Stream) -> Ends {
        let digest = stream.get_socket_digest();
        let digest = digest.as_deref();
        let peer = digest.and_then(|socket| socket.peer_addr()?.as_inet().copied());
        let local = digest.and_then(|socket| socket.local_addr()?.as_inet());
        Ends {
            peer,
            listener: self.listeners.number(local),
        }
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
