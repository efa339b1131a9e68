//! Who the kernel has let in and nobody has accepted yet, when a gateway stops.
//!
//! Closing a socket resets everybody in its queue, and their requests fail though nobody refused them. So
//! the queue is emptied first: each is met like any other, and its answer says that it is the last one.
//! Who arrives between the last look and the close, a moment of microseconds, is reset all the same.
//! Not here: a gateway that hands over, whose queues are emptied by its successor.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::Arc;

use pingora::apps::ServerApp as _;
use pingora::protocols::l4::stream::Stream as L4Stream;
use pingora::protocols::{GetSocketDigest as _, SocketDigest, Stream};
use pingora::server::ShutdownWatch;

use super::edge::Edge;

/// No more are taken from one queue: as many as it can hold, or a flood would put the stop off.
const MAX: usize = 4_096;

/// The sockets of a worker, kept beside those that accept.
pub(crate) struct Queues(Vec<TcpListener>);

impl Queues {
    pub(crate) fn new(sockets: Vec<OwnedFd>) -> Self {
        Self(sockets.into_iter().map(TcpListener::from).collect())
    }

    /// Serves whoever waits in them, and closes them; within the worker's runtime.
    pub(crate) fn empty(self, edge: &Arc<Edge>, closing: &ShutdownWatch) {
        let mut met = 0_usize;
        for listener in self.0 {
            for _ in 0..MAX {
                match listener.accept() {
                    Ok((stream, peer)) => met += usize::from(serve(edge, stream, peer, closing)),
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                    // None is left, or none can be had.
                    Err(_) => break,
                }
            }
        }
        if met > 0 {
            tracing::info!(event = "queue_emptied", connections = met);
        }
    }
}

/// False where the connection was gone already.
fn serve(edge: &Arc<Edge>, stream: TcpStream, peer: SocketAddr, closing: &ShutdownWatch) -> bool {
    let Ok(stream) = as_accepted(stream, peer) else {
        return false;
    };
    let (edge, closing) = (Arc::clone(edge), closing.clone());
    tokio::spawn(async move { edge.process_new(stream, &closing).await });
    true
}

/// As Pingora gives a connection that it has accepted.
fn as_accepted(stream: TcpStream, peer: SocketAddr) -> io::Result<Stream> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    let mut stream = L4Stream::from(tokio::net::TcpStream::from_std(stream)?);
    let digest = SocketDigest::from_raw_fd(stream.as_raw_fd());
    // A new one is empty.
    _ = digest.peer_addr.set(Some(peer.into()));
    stream.set_socket_digest(digest);
    Ok(Box::new(stream))
}
