//! What happens on a connection before its first request: who it is, and which protocol it speaks.
//!
//! Invariant: a connection is counted before anything is read from it. Deliberately not here:
//! requests.

use std::sync::Arc;

use pingora::protocols::Stream;

use super::Edge;
use super::conn::Conn;
use crate::gateway::connection::Connection;

/// What a connection speaks, as far as it is known before its first byte of HTTP.
pub(super) enum Protocol {
    /// HTTP/1, or HTTP/2 where its preface comes first.
    Http1,
}

/// A connection that requests may come on.
pub(super) struct Met {
    pub(super) conn: Box<Conn>,
    pub(super) connection: Arc<Connection>,
    pub(super) protocol: Protocol,
}

impl Edge {
    /// Meets a new connection; `None` where it is not let in.
    pub(super) async fn meet(&self, stream: Stream) -> Option<Met> {
        let connection = self.connection_of(&stream);
        let address = connection.peer.map(|peer| peer.ip());
        let permit = self.connections.admit(address).ok()?;
        Some(Met {
            conn: Box::new(Conn::new(stream, permit)),
            connection: Arc::new(connection),
            protocol: Protocol::Http1,
        })
    }

    fn connection_of(&self, stream: &Stream) -> Connection {
        let digest = stream.get_socket_digest();
        let digest = digest.as_deref();
        let peer = digest.and_then(|socket| socket.peer_addr()?.as_inet().copied());
        let local = digest.and_then(|socket| socket.local_addr()?.as_inet());
        Connection {
            listener: self.listeners.number(local),
            peer,
            peer_trusted: peer.is_some_and(|peer| self.settings.trusts(peer)),
        }
    }
}
