//! Serves HTTP/1 on one connection: head after head, each carried by the lane or handed to Pingora
//! with its body.
//!
//! Invariant: Pingora sees one request at a time and only bytes that belong to it. Deliberately
//! not here: what a head may say (`head`) and how long it may take (`reading`).

use std::pin::pin;
use std::sync::Arc;

use bytes::BytesMut;
use pingora::apps::HttpServerApp;
use pingora::protocols::Shutdown;
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use tokio::time::Instant;

use super::alarm::Alarm;
use super::caps::Closed;
use super::conn::Conn;
use super::head::{Framing, Parsed};
use super::reading::{self, Next};
use super::stopping::{Stopping, after_the_stop};
use super::{Edge, LINGER_MAX};
use crate::gateway::connection::Connection;
use crate::gateway::governor::ParseRefusal;
use crate::gateway::lane::{Errand, Shown};
use crate::gateway::passage::Passage;
use crate::gateway::settings::Timeouts;

impl Edge {
    /// Serves requests until the connection ends.
    pub(super) async fn serve_http1(
        &self,
        mut conn: Box<Conn>,
        connection: &Arc<Connection>,
        shutdown: &ShutdownWatch,
    ) {
        let stop = pin!(after_the_stop(shutdown.clone()));
        let mut stop = Stopping::new(stop, shutdown);
        let mut alarm = Alarm::default();
        let mut served = 0;
        loop {
            let bounds = (&self.settings.limits, &self.settings.timeouts);
            let mut decided = None;
            let show = |parsed: &Parsed<'_, '_>, behind: &[u8]| match self
                .lane
                .as_ref()?
                .show(parsed, behind, connection)
            {
                Shown::Left => None,
                Shown::Taken(body, errand) => Some((body, errand)),
                Shown::Decided(passage) => {
                    decided = Some(passage);
                    None
                }
            };
            let first = served == 0;
            let next = reading::next(&mut conn, &mut alarm, &mut stop, bounds, first, show);
            match next.await {
                Next::Taken(errand) => {
                    let last = self.is_last(served, stop.has_begun());
                    if !self.drive(&mut conn, errand, &mut alarm, last).await {
                        return end(conn, &mut alarm).await;
                    }
                    served += 1;
                }
                Next::Request { bytes, head } => {
                    let timeouts = &self.settings.timeouts;
                    conn.begin(head.framing, head.may_switch.then_some(timeouts));
                    conn.ends_as(Closed::Served);
                    let last = self.is_last(served, stop.has_begun());
                    let request = self.hand_over(conn, bytes, last, shutdown);
                    // Apart, so that a connection of the lane holds no room for the full proxy.
                    let request = Box::pin(connection.serving(request));
                    let Some(back) = Passage::handing(decided, request).await else {
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

    fn is_last(&self, served: u32, stops: bool) -> bool {
        stops || served + 1 >= self.settings.limits.requests_per_connection_max
    }

    /// Lets the lane serve one request; whether another one may follow.
    async fn drive(
        &self,
        conn: &mut Conn,
        mut errand: Box<Errand>,
        alarm: &mut Alarm,
        last: bool,
    ) -> bool {
        conn.begin(Framing::Length(0), None);
        conn.ends_as(Closed::Served);
        match &self.lane {
            Some(lane) => lane.serve(&mut errand, conn, alarm, last).await,
            None => false,
        }
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

/// Ends a connection. Whoever does not read does not hold it: what is held goes with it then.
async fn end(mut conn: Box<Conn>, alarm: &mut Alarm) {
    if conn.says_goodbye() {
        let no_longer = Instant::now() + LINGER_MAX;
        tokio::select! {
            biased;
            () = Shutdown::shutdown(conn.as_mut()) => {}
            () = alarm.ring_at(no_longer) => {}
        }
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
