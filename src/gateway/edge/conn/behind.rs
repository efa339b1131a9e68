//! Behind a body: looking out for the end of the connection, and throwing away what still comes.
//!
//! Invariant: what a client sends ahead of its turn is kept up to a bound, and what comes after a
//! body that was cut is read up to another; neither is ever given to anybody as part of a request.

use std::io;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use super::super::LINGER_BYTES_MAX;
use super::{Conn, Inner};

/// Bytes a client may send ahead of their turn; more wait in the kernel.
const AHEAD_BYTES_MAX: usize = 64 * 1024;

/// Read at once of what nobody announced.
const LOOK_BYTES: usize = 1_024;

impl Conn {
    /// The request has been read and its answer is waited for: what has been written goes out, and
    /// the end of the client shows.
    pub(in crate::gateway) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.send_held_back(cx);
        self.poll_idle(cx)
    }

    /// Whether the client has gone by now, for one that is not watched: asked once before its answer,
    /// so that it gets none where it would not have if it had been watched; and what it sent ahead is
    /// read, since unread bytes would take the answer away when the connection ends.
    pub(in crate::gateway) fn look(&mut self) -> io::Result<bool> {
        let Inner::Plain(socket) = &self.inner else {
            return Ok(false);
        };
        let mut piece = [0; LOOK_BYTES];
        while self.ahead.len() < AHEAD_BYTES_MAX && !self.ended {
            match socket.try_read(&mut piece)? {
                None => break,
                Some(0) if self.ahead.is_empty() => return Ok(true),
                Some(0) => self.ended = true,
                Some(read) => self
                    .ahead
                    .extend_from_slice(piece.get(..read).unwrap_or_default()),
            }
        }
        Ok(false)
    }

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
