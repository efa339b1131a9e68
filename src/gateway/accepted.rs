//! A connection as it was accepted: the socket, and what was written and has not left yet.
//!
//! Invariant: an idle connection holds no buffer. What is written is held until it fills a segment or
//! is flushed, so that the head of an answer and a short body leave in one call; then the room for it
//! is given back. Reads go straight to the socket: the edge has a buffer of its own. Pingora's stream
//! would keep 1,460 bytes and six times the state for as long as the connection lasts.

mod socket;

use std::io::{self, IoSlice};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::RawFd;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use socket::Socket;

/// What is held at most: about one segment, so that nothing that could leave waits.
const HELD_BYTES_MAX: usize = 1_460;

/// A client's socket.
#[derive(Debug)]
pub(crate) struct Accepted {
    socket: Socket,
    /// Written, and not sent from `sent` on.
    held: Vec<u8>,
    sent: usize,
    peer: SocketAddr,
    /// What the full proxy asks for; the lane has no use for it.
    digest: OnceLock<Arc<SocketDigest>>,
}

impl Accepted {
    /// A socket that was accepted from `peer` and does not block; small answers leave at once (under
    /// Linux it has that from the socket that listens).
    ///
    /// # Errors
    /// When the connection is gone already.
    pub(crate) fn new(socket: TcpStream, peer: SocketAddr) -> io::Result<Self> {
        if cfg!(not(target_os = "linux")) {
            socket.set_nodelay(true)?;
        }
        Ok(Self {
            socket: Socket::new(socket),
            held: Vec::new(),
            sent: 0,
            peer,
            digest: OnceLock::new(),
        })
    }

    /// Whether the runtime tells when something comes: from the first wait on.
    pub(crate) const fn is_watched(&self) -> bool {
        self.socket.is_watched()
    }

    /// Reads what is there, and has nobody told of what comes later; `None` where nothing is.
    pub(crate) fn try_read(&self, room: &mut [u8]) -> io::Result<Option<usize>> {
        self.socket.try_read(room)
    }

    /// The number of the socket.
    pub(crate) fn raw(&self) -> RawFd {
        self.socket.raw()
    }

    /// What is known of the socket, for who asks as Pingora does.
    pub(crate) fn digest(&self) -> Arc<SocketDigest> {
        let digest = self.digest.get_or_init(|| {
            let digest = SocketDigest::from_raw_fd(self.raw());
            // A new one is empty.
            _ = digest.peer_addr.set(Some(self.peer.into()));
            Arc::new(digest)
        });
        Arc::clone(digest)
    }

    /// Sends bytes behind what is held, and holds nothing; how many of them went. `last` says that
    /// nothing follows them but the end.
    pub(crate) fn poll_give(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        last: bool,
    ) -> Poll<io::Result<usize>> {
        if last && self.held.is_empty() {
            return self.socket.poll_write_last(cx, bytes);
        }
        self.poll_send(cx, bytes)
    }

    fn hold(&mut self, bytes: &[u8]) {
        if self.held.capacity() == 0 {
            self.held.reserve_exact(HELD_BYTES_MAX);
        }
        self.held.extend_from_slice(bytes);
    }

    /// Sends what is held, and `behind` after it in the same call; how much of `behind` went.
    fn poll_send(&mut self, cx: &mut Context<'_>, behind: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let held = self.held.get(self.sent..).unwrap_or_default();
            let socket = &mut self.socket;
            let (waiting, went) = match (held.len(), behind.len()) {
                (0, 0) => return Poll::Ready(Ok(0)),
                (0, _) => return socket.poll_write(cx, behind),
                (waiting, 0) => (waiting, ready!(socket.poll_write(cx, held))?),
                (waiting, _) => {
                    let both = [IoSlice::new(held), IoSlice::new(behind)];
                    (waiting, ready!(socket.poll_write_vectored(cx, &both))?)
                }
            };
            if went == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            if went < waiting {
                self.sent += went;
                continue;
            }
            self.held.clear();
            self.sent = 0;
            if went > waiting || behind.is_empty() {
                return Poll::Ready(Ok(went - waiting));
            }
        }
    }

    /// Sends what is held, behind which nothing follows.
    fn poll_send_last(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(held @ [_, ..]) = self.held.get(self.sent..) {
            match ready!(self.socket.poll_write_last(cx, held))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                went => self.sent += went,
            }
        }
        self.held = Vec::new();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.socket.poll_read(cx, out)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if bytes.len() >= HELD_BYTES_MAX {
            return self.poll_send(cx, bytes);
        }
        if self.held.len() + bytes.len() > HELD_BYTES_MAX {
            ready!(self.poll_send(cx, &[]))?;
        }
        self.hold(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx, &[]))?;
        self.held = Vec::new();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send_last(cx))?;
        Poll::Ready(self.socket.end())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let total = pieces.iter().map(|piece| piece.len()).sum();
        if self.held.len() + total > HELD_BYTES_MAX {
            ready!(self.poll_send(cx, &[]))?;
        }
        if total >= HELD_BYTES_MAX {
            return self.socket.poll_write_vectored(cx, pieces);
        }
        for piece in pieces {
            self.hold(piece);
        }
        Poll::Ready(Ok(total))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

impl Drop for Accepted {
    fn drop(&mut self) {
        // Nobody is left to wait: what the socket does not take now is lost.
        if let Some(held @ [_, ..]) = self.held.get(self.sent..) {
            let _ = self.socket.try_write(held);
        }
    }
}

#[async_trait]
impl Shutdown for Accepted {
    async fn shutdown(&mut self) {
        // An error means that the client is gone.
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}

impl UniqueID for Accepted {
    fn id(&self) -> UniqueIDType {
        self.raw()
    }
}

impl Ssl for Accepted {}

#[async_trait]
impl Peek for Accepted {}

impl GetTimingDigest for Accepted {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Accepted {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Accepted {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(self.digest())
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::IoSlice;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::{Accepted, HELD_BYTES_MAX};

    async fn pair() -> (TcpStream, Accepted) {
        let (client, server, _) = pair_and_witness().await;
        (client, server)
    }

    /// A pair, and one more hand on the socket that was accepted: it sees what has arrived without
    /// the runtime's help.
    async fn pair_and_witness() -> (TcpStream, Accepted, std::net::TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).await.unwrap();
        let (socket, peer) = listener.accept().await.unwrap();
        let socket = socket.into_std().unwrap();
        let witness = socket.try_clone().unwrap();
        (client, Accepted::new(socket, peer).unwrap(), witness)
    }

    #[tokio::test]
    async fn what_is_written_arrives_in_order_whatever_the_pieces() {
        let sizes = [1, 700, 758, 1, 1_459, 1_460, 3, 200_000, 5, 1_461, 2];
        let (mut client, mut server) = pair().await;
        let expected: Vec<u8> = (0..sizes.iter().sum::<usize>())
            .map(|n| (n % 251) as u8)
            .collect();
        let all = expected.clone();
        let writer = tokio::spawn(async move {
            let mut rest = all.as_slice();
            for (n, size) in sizes.into_iter().enumerate() {
                let (mut piece, behind) = rest.split_at(size);
                rest = behind;
                while n % 2 == 0 && !piece.is_empty() {
                    let halves = piece.split_at(piece.len() / 2);
                    let halves = [IoSlice::new(halves.0), IoSlice::new(halves.1)];
                    let went = server.write_vectored(&halves).await.unwrap();
                    piece = &piece[went..];
                }
                server.write_all(piece).await.unwrap();
            }
            server.shutdown().await.unwrap();
        });
        let mut came = Vec::new();
        client.read_to_end(&mut came).await.unwrap();
        writer.await.unwrap();
        assert!(came == expected, "{} of {}", came.len(), expected.len());
    }

    #[tokio::test]
    async fn a_flushed_connection_holds_nothing() {
        let (mut client, mut server) = pair().await;
        server.write_all(b"head").await.unwrap();
        assert_eq!(server.held.capacity(), HELD_BYTES_MAX, "not sent yet");
        server.write_all(b" and body").await.unwrap();
        server.flush().await.unwrap();
        assert_eq!(server.held.capacity(), 0);
        let mut came = [0; 13];
        client.read_exact(&mut came).await.unwrap();
        assert_eq!(&came, b"head and body");
    }

    #[tokio::test]
    async fn what_is_held_leaves_with_the_connection() {
        let (mut client, mut server) = pair().await;
        server.write_all(b"last words").await.unwrap();
        drop(server);
        let mut came = String::new();
        client.read_to_string(&mut came).await.unwrap();
        assert_eq!(came, "last words");
    }

    #[tokio::test]
    async fn the_runtime_watches_whom_it_waits_for() {
        let (mut client, mut server, witness) = pair_and_witness().await;
        client.write_all(b"first").await.unwrap();
        let mut came = [0; 5];
        // All of it is there, so nobody waits.
        while !matches!(witness.peek(&mut came), Ok(5)) {
            std::thread::yield_now();
        }
        server.read_exact(&mut came).await.unwrap();
        server.write_all(b"answer").await.unwrap();
        server.flush().await.unwrap();
        assert!(!server.is_watched());
        let waits = tokio::spawn(async move {
            server.read_exact(&mut came).await.unwrap();
            (server.is_watched(), came)
        });
        let mut answer = [0; 6];
        client.read_exact(&mut answer).await.unwrap();
        // The other task has its turn, and waits, before this is sent.
        tokio::task::yield_now().await;
        client.write_all(b"later").await.unwrap();
        assert_eq!(waits.await.unwrap(), (true, *b"later"));
    }

    #[tokio::test]
    async fn last_bytes_arrive_with_the_end_whatever_was_not_read() {
        for (held, given) in [
            ("", "all of it"),
            ("one part", " and another"),
            ("held", ""),
        ] {
            let (mut client, mut server) = pair().await;
            client.write_all(b"a request, and more").await.unwrap();
            let mut came = [0; 9];
            server.read_exact(&mut came).await.unwrap();
            server.write_all(held.as_bytes()).await.unwrap();
            let went = poll_fn(|cx| server.poll_give(cx, given.as_bytes(), true));
            assert_eq!(went.await.unwrap(), given.len());
            server.shutdown().await.unwrap();
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.unwrap();
            assert_eq!(answer, format!("{held}{given}").as_bytes());
            // Now what was not read resets the connection, as it may.
            drop(server);
        }
    }

    #[test]
    fn it_is_small() {
        assert!(
            size_of::<Accepted>() <= 128,
            "{} bytes",
            size_of::<Accepted>()
        );
    }
}
