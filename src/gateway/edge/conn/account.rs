//! What a connection counts while bytes move, and what it waits for.
//!
//! Invariant: bytes that move at once cost no look at a clock. Deliberately not here: what is too
//! slow.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite as _;

use super::super::LINGER_BYTES_MAX;
use super::{Conn, Inner};

impl Conn {
    /// Sends what has been written. Where it is the last on a connection without TLS, the client is
    /// told so in the same segment; closing says nothing more then.
    pub(in crate::gateway) fn poll_sent(
        &mut self,
        cx: &mut Context<'_>,
        last: bool,
    ) -> Poll<io::Result<()>> {
        if !last || self.says_goodbye() {
            return Pin::new(self).poll_flush(cx);
        }
        let mut ended = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.held_back &= ended.is_pending();
        if matches!(&ended, Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::NotConnected)
        {
            // It was sent, and a client that has gone since needs no end.
            ended = Poll::Ready(Ok(()));
        }
        self.paced_write(cx, ended, |()| 0)
    }

    /// Sends bytes without holding them back for others; how many went. `last` says that nothing
    /// follows but [`Self::poll_sent`].
    pub(in crate::gateway) fn poll_give(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        last: bool,
    ) -> Poll<io::Result<usize>> {
        match &mut self.inner {
            Inner::Plain(socket) => {
                let written = socket.poll_give(cx, bytes, last);
                self.paced_write(cx, written, |bytes| *bytes)
            }
            Inner::Around(_) => Pin::new(self).poll_write(cx, bytes),
        }
    }

    /// Counts what has been written, or waits for the client to take it.
    pub(super) fn paced_write<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
        bytes: impl Fn(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        match (&written, &mut self.answer_pace) {
            (Poll::Ready(Ok(done)), pace) => {
                if let Some(pace) = pace {
                    pace.moved(bytes(done));
                }
                if let Some(switch) = &mut self.switch {
                    switch.moved();
                }
            }
            (Poll::Pending, Some(pace)) => return pace.poll_wait(cx),
            _ => {}
        }
        written
    }

    /// The same for bytes of a body that have been read, or are waited for.
    pub(super) fn paced_read<T>(
        &mut self,
        cx: &mut Context<'_>,
        read: Poll<io::Result<T>>,
        bytes: usize,
    ) -> Poll<io::Result<T>> {
        let Some(pace) = &mut self.body_pace else {
            return read;
        };
        if read.is_ready() {
            pace.moved(bytes);
            return read;
        }
        let waited = pace.poll_wait(cx);
        if waited.is_ready() {
            self.linger = LINGER_BYTES_MAX;
        }
        waited
    }

    pub(super) fn poll_fill_body(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let read = self.poll_fill(cx);
        let bytes = match &read {
            Poll::Ready(Ok(bytes)) => *bytes,
            _ => 0,
        };
        self.paced_read(cx, read, bytes)
    }
}
