//! What a connection stands on: a client's socket, or something around one.
//!
//! Nearly all connections are sockets, which lie in the connection itself and are called without a
//! table of functions. Deliberately not here: what is read and written.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pingora::protocols::{ALPN, Shutdown, SocketDigest, Stream, UniqueIDType};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::gateway::accepted::Accepted;

/// A stream of bytes.
#[derive(Debug)]
pub(in crate::gateway::edge) enum Inner {
    Plain(Accepted),
    /// TLS, or what was read before HTTP.
    Around(Stream),
}

impl Inner {
    pub(super) async fn shutdown(&mut self) {
        match self {
            Self::Plain(socket) => Shutdown::shutdown(socket).await,
            Self::Around(stream) => stream.shutdown().await,
        }
    }

    pub(super) fn id(&self) -> UniqueIDType {
        match self {
            Self::Plain(socket) => socket.raw(),
            Self::Around(stream) => stream.id(),
        }
    }

    pub(super) fn selected_alpn_proto(&self) -> Option<ALPN> {
        match self {
            Self::Plain(_) => None,
            Self::Around(stream) => stream.selected_alpn_proto(),
        }
    }

    pub(super) fn socket_digest(&self) -> Option<Arc<SocketDigest>> {
        match self {
            Self::Plain(socket) => Some(socket.digest()),
            Self::Around(stream) => stream.get_socket_digest(),
        }
    }
}

/// Calls the same on whichever it is.
macro_rules! on {
    ($inner:expr, $stream:ident => $call:expr) => {
        match $inner.get_mut() {
            Self::Plain(socket) => {
                let $stream = Pin::new(socket);
                $call
            }
            Self::Around(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
        }
    };
}

impl AsyncRead for Inner {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        on!(self, stream => stream.poll_read(cx, out))
    }
}

impl AsyncWrite for Inner {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        on!(self, stream => stream.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on!(self, stream => stream.poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on!(self, stream => stream.poll_write_vectored(cx, pieces))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_write_vectored(),
            Self::Around(stream) => stream.is_write_vectored(),
        }
    }
}
