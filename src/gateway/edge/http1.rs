//! Serves HTTP/1 on one connection: head after head, each handed to Pingora with its body.
//!
//! Invariant: Pingora sees one request at a time and only bytes that belong to it. Deliberately
//! not here: what a head may say (`head`) and how long it may take (`reading`).

use std::pin::pin;
use std::sync::Arc;

use bytes::BytesMut;
use pingora::apps::HttpServerApp;
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;

use super::Edge;
use super::caps::Closed;
use super::conn::Conn;
use super::reading::{self, Alarm, Next};
use crate::gateway::connection::Connection;
use crate::gateway::governor::ParseRefusal;
use crate::gateway::settings::Timeouts;
use crate::gateway::stop::LAST_REQUEST;

impl Edge {
    /// Serves requests until the connection ends.
    pub(super) async fn serve_http1(
        &self,
        mut conn: Box<Conn>,
        connection: &Arc<Connection>,
        shutdown: &ShutdownWatch,
    ) {
        let mut stopping = shutdown.clone();
        let mut stop = pin!(async move {
            // An error means the sender is gone, and with it everything else.
            _ = stopping.wait_for(|stopping| *stopping).await;
            // A request may be on its way; it is the last one then, and its answer says so.
            tokio::time::sleep(LAST_REQUEST).await;
        });
        let mut alarm = Alarm::new(self.settings.timeouts.head);
        let mut served = 0;
        loop {
            let bounds = (&self.settings.limits, &self.settings.timeouts);
            match reading::next(&mut conn, &mut alarm, &mut stop, bounds, served == 0).await {
                Next::Request { bytes, head } => {
                    let timeouts = &self.settings.timeouts;
                    conn.begin(head.framing, head.may_switch.then_some(timeouts));
                    conn.ends_as(Closed::Served);
                    let last = self.is_last(served, shutdown);
                    let request = self.hand_over(conn, bytes, last, shutdown);
                    let Some(back) = connection.serving(request).await else {
                        return;
                    };
                    conn = back;
                    served += 1;
                }
                Next::Http2 if self.settings.takes_h2c(connection.listener) => {
                    // Apart, as what is rare: an idle connection would hold room for it.
                    return Box::pin(self.serve_http2(conn, connection, shutdown)).await;
                }
                Next::Http2 => {
                    let refused = self.refuse(conn, connection, ParseRefusal::Version);
                    return Box::pin(refused).await;
                }
                Next::Refused(refusal) => {
                    return Box::pin(self.refuse(conn, connection, refusal)).await;
                }
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
        // Made in a call of its own: a session that is kept here while it is served would be part
        // of what an idle connection holds.
        let served = self
            .proxy
            .process_new_http(session(conn, head, last, timeouts), shutdown);
        let (stream, _) = served.await?.consume();
        let conn: Box<Conn> = stream.into_any().downcast().ok()?;
        conn.is_between_requests().then_some(conn)
    }
}

fn session(conn: Box<Conn>, head: BytesMut, last: bool, timeouts: &Timeouts) -> ServerSession {
    let mut session = ServerSession::new_http1(conn);
    session.set_pipelined_prefix(head);
    session.set_keepalive_reuses_remaining(last.then_some(0));
    session.set_read_timeout(Some(timeouts.body_read));
    session.set_write_timeout(Some(timeouts.client_write));
    session.set_total_drain_timeout(Some(timeouts.drain_body));
    session
}
