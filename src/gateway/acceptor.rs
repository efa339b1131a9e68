//! Accepts the connections of one worker, each in a task of its own.
//!
//! Invariant: who was accepted is served, whatever else happens; a worker that may open no more
//! descriptors goes on accepting once it may. Pingora's own loop would hold room for a TLS handshake
//! of its making, 8 KiB, as long as each connection lasts. Deliberately not here: what is done with a
//! connection, and who waits in the kernel when nobody accepts any more (`queue`).

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use pingora::server::ShutdownWatch;
use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};
use tokio::task::{JoinSet, yield_now};

use super::accepted::Accepted;
use super::edge::{Arrival, Edge, Met};

/// After an accept that failed for want of something: somebody may give it back meanwhile.
const RETRY_AFTER: Duration = Duration::from_millis(100);
/// Connections that are accepted before others have their turn.
const AT_ONCE_MAX: usize = 128;

/// What connections of one listener find behind it, on one worker.
pub(crate) struct Entrance {
    pub(crate) edge: Arc<Edge>,
    /// The number of the listener.
    pub(crate) listener: u16,
    pub(crate) closing: ShutdownWatch,
}

/// The sockets of a worker that it accepts from.
pub(crate) struct Acceptor(Vec<(AsyncFd<TcpListener>, Arc<Entrance>)>);

impl Acceptor {
    /// Within the worker's runtime.
    ///
    /// # Errors
    /// When the runtime cannot watch a socket.
    pub(crate) fn new(sockets: Vec<(OwnedFd, Arc<Entrance>)>) -> io::Result<Self> {
        let watched = sockets.into_iter().map(|(socket, entrance)| {
            let socket = TcpListener::from(socket);
            socket.set_nonblocking(true)?;
            Ok((watch(socket)?, entrance))
        });
        watched.collect::<io::Result<_>>().map(Self)
    }

    /// Accepts until the gateway closes, and closes its sockets.
    pub(crate) async fn run(self) {
        let mut doors = JoinSet::new();
        for (listener, entrance) in self.0 {
            doors.spawn(accept_all(listener, entrance));
        }
        doors.join_all().await;
    }
}

/// The runtime's own listener hands over sockets that it watches already.
#[expect(
    deprecated,
    reason = "what replaces it is unsafe, for descriptors that may close; a listener's does not"
)]
fn watch(socket: TcpListener) -> io::Result<AsyncFd<TcpListener>> {
    AsyncFd::with_interest(socket, Interest::READABLE)
}

async fn accept_all(listener: AsyncFd<TcpListener>, entrance: Arc<Entrance>) {
    let mut closed = entrance.closing.clone();
    let mut has_failed = false;
    loop {
        let come = tokio::select! {
            biased;
            // An error means that nobody is left who could say so.
            _ = closed.wait_for(|closed| *closed) => return,
            come = listener.readable() => come,
        };
        let all = come.and_then(|mut come| accept_waiting(&mut come, &entrance, &mut has_failed));
        match all {
            Ok(true) => {}
            Ok(false) => yield_now().await,
            Err(error) => {
                // Of failures in a row the first is told.
                if !std::mem::replace(&mut has_failed, true) {
                    tracing::error!(event = "accept_failed", %error);
                }
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
    }
}

/// Serves those who wait; whether these were all.
fn accept_waiting(
    come: &mut AsyncFdReadyGuard<'_, TcpListener>,
    entrance: &Arc<Entrance>,
    has_failed: &mut bool,
) -> io::Result<bool> {
    for _ in 0..AT_ONCE_MAX {
        match come.try_io(|listener| accept(listener.get_ref())) {
            Ok(Ok((socket, peer))) => {
                *has_failed = false;
                _ = entrance.serve(socket, peer);
            }
            Ok(Err(error)) if is_of_connection(&error) => {}
            Ok(Err(error)) => return Err(error),
            // It would have to wait.
            Err(_) => return Ok(true),
        }
    }
    Ok(false)
}

/// The next one who waits, as a socket that does not block.
pub(crate) fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    #[cfg(target_os = "linux")]
    {
        use rustix::net::{SocketFlags, acceptfrom_with};
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (socket, peer) = acceptfrom_with(listener, flags)?;
        // Who has no address any more has gone.
        let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
        let peer = peer.ok_or(io::ErrorKind::ConnectionAborted)?;
        Ok((socket.into(), peer))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let (socket, peer) = listener.accept()?;
        socket.set_nonblocking(true)?;
        Ok((socket, peer))
    }
}

/// Whether the connection was gone before it could be accepted; the next one may not be.
fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted,
        NetworkDown, NetworkUnreachable, PermissionDenied,
    };
    // Linux hands on what the network said of the connection that is accepted, see accept(2).
    let kinds = [
        ConnectionAborted,
        ConnectionRefused,
        ConnectionReset,
        HostUnreachable,
        Interrupted,
        NetworkDown,
        NetworkUnreachable,
        PermissionDenied,
    ];
    kinds.contains(&error.kind())
}

impl Entrance {
    /// Serves a connection to its end; false where it was gone already.
    pub(crate) fn serve(self: &Arc<Self>, socket: TcpStream, peer: SocketAddr) -> bool {
        let Ok(stream) = Accepted::new(socket, peer) else {
            return false;
        };
        let entrance = Arc::clone(self);
        // Nothing that is needed at the beginning alone is part of what a connection holds.
        match self.edge.meet(stream, (self.listener, peer)) {
            Arrival::Met(met) => _ = tokio::spawn(async move { entrance.lead(met).await }),
            Arrival::Stranger(stranger) => {
                _ = tokio::spawn(async move {
                    let Entrance { edge, closing, .. } = &*entrance;
                    if let Some(met) = Box::pin(edge.introduced(stranger, closing)).await {
                        entrance.lead(met).await;
                    }
                });
            }
            Arrival::TurnedAway => {}
        }
        true
    }

    async fn lead(&self, met: Met) {
        self.edge.serve(met, &self.closing).await;
    }
}
