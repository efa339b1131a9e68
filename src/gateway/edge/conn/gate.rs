//! The gate: which of the bytes that arrive belong to the request being served.
//!
//! Invariant: behind the last byte of a body nothing is given away until the next request begins.
//! Deliberately not here: what comes where the protocol is not HTTP/1 any more.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use tokio::io::{AsyncRead, ReadBuf};

use super::super::LINGER_BYTES_MAX;
use super::super::chunked::Scanner;
use super::Conn;

/// How much of what arrives belongs to the request being served.
#[derive(Debug)]
pub(super) enum Gate {
    /// Everything: the protocol is no longer HTTP/1 (HTTP/2, or behind a 101).
    Open,
    /// So many bytes more; 0 when the body has passed.
    Length(u64),
    /// What the scanner says; `cleared` bytes at the front of the buffer have been scanned.
    Chunked { scanner: Scanner, cleared: usize },
}

impl Conn {
    pub(super) fn deliver(&mut self, out: &mut ReadBuf<'_>, most: usize) -> usize {
        let step = most.min(self.ahead.len()).min(out.remaining());
        out.put_slice(self.ahead.get(..step).unwrap_or_default());
        self.ahead.advance(step);
        step
    }

    pub(super) fn poll_length(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
        left: u64,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() && left >= out.remaining() as u64 {
            // The reader has no room for more than is left, so it can read for itself.
            let before = out.filled().len();
            let read = Pin::new(&mut self.inner).poll_read(cx, out);
            let bytes = out.filled().len() - before;
            ready!(self.paced_read(cx, read, bytes))?;
            self.gate = Gate::Length(left - bytes as u64);
            return Poll::Ready(Ok(()));
        }
        if self.ahead.is_empty() && ready!(self.poll_fill_body(cx))? == 0 {
            return Poll::Ready(Ok(()));
        }
        let step = self.deliver(out, usize::try_from(left).unwrap_or(usize::MAX));
        self.gate = Gate::Length(left - step as u64);
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_chunked(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let Gate::Chunked { scanner, cleared } = &mut self.gate else {
                return Poll::Ready(Ok(()));
            };
            if *cleared > 0 {
                let most = *cleared;
                let step = self.deliver(out, most);
                if let Gate::Chunked { cleared, .. } = &mut self.gate {
                    *cleared -= step;
                }
                return Poll::Ready(Ok(()));
            }
            if scanner.is_done() {
                return self.poll_idle_in_time(cx);
            }
            if self.ahead.is_empty() {
                if ready!(self.poll_fill_body(cx))? == 0 {
                    return Poll::Ready(Ok(()));
                }
            } else {
                let Ok(passed) = scanner.advance(&self.ahead) else {
                    self.linger = LINGER_BYTES_MAX;
                    let malformed = io::ErrorKind::InvalidData;
                    return Poll::Ready(Err(io::Error::new(malformed, "malformed chunked body")));
                };
                *cleared = passed;
            }
        }
    }
}
