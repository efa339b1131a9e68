//! Serves one stream of an HTTP/2 connection.
//!
//! Invariant: its head has passed the rules before Pingora sees it, a head that is refused is
//! answered on the stream and disturbs no other, and neither a body nor a reader may stand still
//! for ever. Deliberately not here: the connection.

use std::future::Future;
use std::sync::Arc;

use pingora::apps::HttpServerApp;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::HttpSession;
use pingora::server::ShutdownWatch;

use super::active::Guard;
use super::frames::Frames;
use super::head;
use crate::gateway::connection::Connection;
use crate::gateway::edge::Edge;
use crate::gateway::governor::ParseRefusal;
use crate::gateway::pace::{BodyProgress, Pace};
use crate::gateway::respond::{Answer, grpc};

impl Edge {
    /// What serves one stream beside the others, on this worker. Its head is judged at once.
    pub(super) fn serve_stream(
        &self,
        mut session: HttpSession,
        connection: &Arc<Connection>,
        shutdown: &ShutdownWatch,
        frames: &Frames,
        guard: Guard,
    ) -> impl Future<Output = ()> + Send + 'static {
        let timeouts = &self.settings.timeouts;
        session.set_write_timeout(Some(timeouts.client_write));
        session.set_total_drain_timeout(Some(timeouts.drain_body));
        let has_body = !session.is_body_empty();
        let request = session.req_header_mut();
        let joined = head::join_cookies(request).map_err(|_| ParseRefusal::Field);
        let checked = joined.and_then(|()| head::check(request, has_body, &self.settings.limits));
        let refused = checked.err().map(|reason| {
            frames.watch().note_fault();
            let answer = Answer::to_refusal(reason);
            let id = self.note_refused(connection, reason, answer.status);
            answer.message_to(session.req_header(), id)
        });
        let pace = Pace {
            standstill: timeouts.body_read,
            all: timeouts.body,
            bytes_per_second: self.settings.limits.body_rate_min,
            speaks_grpc: grpc::is_spoken(session.req_header()),
            grace: timeouts.rate_grace,
        };
        let proxy = Arc::clone(&self.proxy);
        let connection = Arc::clone(connection);
        let shutdown = shutdown.clone();
        let frames = frames.clone();
        async move {
            let _guard = guard;
            if let Some(message) = refused {
                // An error means that nobody is left to be told.
                if let Ok((head, body)) = message {
                    let is_all = body.is_empty();
                    if session
                        .write_response_header(Box::new(head), is_all)
                        .is_ok()
                        && !is_all
                    {
                        _ = session.write_body(body, true).await;
                    }
                }
                return;
            }
            let served = async {
                let session = ServerSession::new_http2(session);
                connection
                    .serving(proxy.process_new_http(session, &shutdown))
                    .await
            };
            if !has_body {
                served.await;
                return;
            }
            let body = Arc::new(BodyProgress::default());
            let under_way = || u64::from(frames.watch().partial_data());
            tokio::select! {
                biased;
                _ = body.serving(served) => {}
                // What is dropped here resets the stream, and its exchange is closed.
                () = pace.watch(&body, under_way) => {}
            }
        }
    }
}
