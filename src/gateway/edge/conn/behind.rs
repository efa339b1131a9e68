//! Behind a body: looking out for the end of the connection, and throwing away what still comes.
//!
//! Invariant: what a client sends ahead of its turn is kept up to a bound, and what comes after a
//! body that was cut is read up to another; neither is ever given to anybody as part of a request.

use std::io;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use super::super::LINGER_BYTES_MAX;
use super::Conn;

/// Bytes a client may send ahead of their turn; more wait in the kernel.
const AHEAD_BYTES_MAX: usize = 64 * 1024;

impl Conn {
    /// The body has passed: look out for the end of the connection, keep what comes early.
    pub(super) fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.ahead.len() < AHEAD_BYTES_MAX && !self.ended {
            match ready!(self.poll_fill(cx))? {
                0 if self.ahead.is_empty() => return Poll::Ready(Ok(())),
                0 => self.ended = true,
                _ => {}
            }
        }
        // With bytes of a next request in hand the end of the client's side says only that
        // nothing comes after them, so the request being served goes on.
        Poll::Pending
    }

    /// The same where the answer may be a change of protocol, and has to come in time.
    pub(super) fn poll_idle_in_time(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let idle = self.poll_idle(cx);
        match &mut self.switch {
            Some(switch) if idle.is_pending() => switch.poll_wait(cx),
            _ => idle,
        }
    }

    /// Throws away what still comes behind a malformed body: closing with unread bytes would
    /// reset the connection and take the answer away. Who calls this sets a time.
    pub(super) fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger_asked.swap(false, Ordering::Relaxed) {
            self.linger = LINGER_BYTES_MAX;
        }
        while self.linger > 0 {
            self.ahead.clear();
            match ready!(self.poll_fill(cx))? {
                0 => self.linger = 0,
                read => self.linger = self.linger.saturating_sub(read),
            }
        }
        Poll::Ready(Ok(()))
    }
}
