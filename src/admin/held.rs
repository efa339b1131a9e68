//! Accepts a bounded number of connections, and ends those on which nothing moves.
//!
//! Whoever opens connections and says nothing would otherwise keep operators out, and a stop
//! waiting.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Sleep, sleep, timeout};

/// Connections at once; the next one waits in the kernel.
pub(super) const CONNECTIONS_MAX: usize = 64;

/// How long a connection may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// How long to wait before accepting again when the descriptors are used up.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listener whose connections are [`Held`].
#[derive(Debug)]
pub(super) struct BoundedListener {
    listener: TcpListener,
    places: Arc<Semaphore>,
    door: Door,
}

impl BoundedListener {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self {
            listener,
            places: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            door: Door(Arc::new(watch::Sender::new(Entry::default()))),
        }
    }

    /// What closes it.
    pub(super) fn door(&self) -> Door {
        self.door.clone()
    }
}

/// Who comes in.
#[derive(Debug, Default)]
struct Entry {
    is_closed: bool,
    /// Connections that were accepted and have said nothing yet.
    unheard: usize,
}

/// Ends the accepting such that nobody goes unheard: the server closes a connection whose request it
/// has not begun to read, though it may be there already.
#[derive(Debug, Clone)]
pub(super) struct Door(Arc<watch::Sender<Entry>>);

impl Door {
    /// Nobody is accepted any more; returns when those who were have said something, at the latest
    /// after `patience`.
    pub(super) async fn close(&self, patience: Duration) {
        self.0.send_modify(|entry| entry.is_closed = true);
        let mut entries = self.0.subscribe();
        let all_heard = entries.wait_for(|entry| entry.unheard == 0);
        // Who says nothing for so long loses nothing.
        _ = timeout(patience, all_heard).await;
    }

    async fn closed(&self) {
        // The sender is ours, so there is no error.
        _ = self.0.subscribe().wait_for(|entry| entry.is_closed).await;
    }

    fn enter(&self) -> Unheard {
        self.0.send_modify(|entry| entry.unheard += 1);
        Unheard(self.clone())
    }
}

/// Counts one connection as long as it lives.
#[derive(Debug)]
struct Unheard(Door);

impl Drop for Unheard {
    fn drop(&mut self) {
        let door = &self.0.0;
        door.send_modify(|entry| entry.unheard = entry.unheard.saturating_sub(1));
    }
}

impl Listener for BoundedListener {
    type Io = Held;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Held, SocketAddr) {
        loop {
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
                // Only a closed semaphore refuses, and nobody closes this one.
                std::future::pending::<()>().await;
                continue;
            };
            let accepted = tokio::select! {
                biased;
                () = self.door.closed() => std::future::pending().await,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    return (Held::new(stream, place, self.door.enter()), peer);
                }
                Err(error) => {
                    tracing::warn!(%error, "the admin listener cannot accept");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that holds its place while it is open.
#[derive(Debug)]
pub(super) struct Held {
    stream: TcpStream,
    silence: Pin<Box<Sleep>>,
    /// Until it has said something.
    unheard: Option<Unheard>,
    _place: OwnedSemaphorePermit,
}

impl Held {
    fn new(stream: TcpStream, place: OwnedSemaphorePermit, unheard: Unheard) -> Self {
        Self {
            stream,
            silence: Box::pin(sleep(SILENCE_MAX)),
            unheard: Some(unheard),
            _place: place,
        }
    }

    /// Passes on what the stream said, unless it has been silent for too long.
    fn watch<T>(
        &mut self,
        context: &mut Context<'_>,
        moved: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if moved.is_ready() {
            self.silence.set(sleep(SILENCE_MAX));
            return moved;
        }
        ready!(self.silence.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Held {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let moved = Pin::new(&mut self.stream).poll_read(context, buffer);
        if moved.is_ready() {
            self.unheard = None;
        }
        self.watch(context, moved)
    }
}

impl AsyncWrite for Held {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let moved = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, moved)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future as _, poll_fn};
    use std::pin::pin;
    use std::task::Poll;
    use std::time::Duration;

    use axum::serve::Listener as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::BoundedListener;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_closing_door_waits_for_who_came_in_and_said_nothing_yet() {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let mut listener = BoundedListener::new(socket);
        let door = listener.door();
        let mut silent = TcpStream::connect(address).await.unwrap();
        let (mut held, _) = listener.accept().await;
        let _gone = TcpStream::connect(address).await.unwrap();
        drop(listener.accept().await);

        let mut closing = pin!(door.close(LONG));
        let first = poll_fn(|context| Poll::Ready(closing.as_mut().poll(context))).await;
        assert!(first.is_pending(), "one has said nothing yet");
        silent.write_all(b"G").await.unwrap();
        assert_eq!(held.read_u8().await.unwrap(), b'G');
        closing.await;

        let _late = TcpStream::connect(address).await.unwrap();
        let mut accepting = pin!(listener.accept());
        let later = poll_fn(|context| Poll::Ready(accepting.as_mut().poll(context))).await;
        assert!(later.is_pending(), "who comes later waits for another one");
    }
}
