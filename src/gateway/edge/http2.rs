//! Serves HTTP/2 on one connection: stream after stream, each handed to Pingora.
//!
//! Invariant: requests find their connection as over HTTP/1, and a stop lets the streams that are
//! open finish. Deliberately not here: how it was found out that the client speaks HTTP/2.

use std::pin::pin;
use std::sync::Arc;

use pingora::apps::HttpServerApp;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{H2Accept, HttpSession, handshake};
use pingora::protocols::{Digest, Stream};
use pingora::server::ShutdownWatch;

use super::Edge;
use super::conn::Conn;
use crate::gateway::connection::Connection;

impl Edge {
    /// Serves streams until the connection ends.
    pub(super) async fn serve_http2(
        &self,
        conn: Box<Conn>,
        connection: &Arc<Connection>,
        shutdown: &ShutdownWatch,
    ) {
        let digest = Arc::new(Digest::default());
        let stream: Stream = conn;
        let Ok(mut streams) = handshake(stream, self.proxy.h2_options()).await else {
            return;
        };
        let mut stopping = shutdown.clone();
        let mut stop = pin!(async move {
            // An error means the sender is gone, and with it everything else.
            _ = stopping.wait_for(|stopping| *stopping).await;
        });
        let mut is_stopping = false;
        loop {
            tokio::select! {
                accepted = HttpSession::from_h2_conn(&mut streams, Arc::clone(&digest)) => {
                    match accepted {
                        Ok(Some(H2Accept::Session(session))) => {
                            self.serve_stream(session, connection, shutdown);
                        }
                        Ok(Some(H2Accept::Rejected)) => {}
                        Ok(None) | Err(_) => return,
                    }
                }
                () = stop.as_mut(), if !is_stopping => {
                    is_stopping = true;
                    streams.graceful_shutdown();
                }
            }
        }
    }

    /// Serves one stream beside the others, on this worker.
    fn serve_stream(
        &self,
        session: HttpSession,
        connection: &Arc<Connection>,
        shutdown: &ShutdownWatch,
    ) {
        let proxy = Arc::clone(&self.proxy);
        let connection = Arc::clone(connection);
        let shutdown = shutdown.clone();
        tokio::spawn(async move {
            let session = ServerSession::new_http2(session);
            let served = proxy.process_new_http(session, &shutdown);
            connection.serving(served).await;
        });
    }
}
