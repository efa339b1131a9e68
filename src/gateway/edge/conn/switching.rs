//! Where the protocol is not HTTP/1 any more: what opens the gate, and reading once it is open.
//!
//! Invariant: only a 101 that was asked for, or the preface of HTTP/2, opens the gate. Deliberately
//! not here: the deadlines of a tunnel.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

use super::super::LINGER_BYTES_MAX;
use super::super::caps::Closed;
use super::super::http2::Frames;
use super::Conn;
use super::gate::Gate;

impl Conn {
    /// Looks at the front of what Pingora writes, which is the head of an answer first: behind a
    /// 101 all bytes of the client belong to the new protocol, behind any final status nothing
    /// changes. Pingora writes a head at once and refuses a 101 that nobody asked for.
    pub(super) fn note_written(&mut self, front: &[u8]) {
        if !self.may_switch {
            return;
        }
        if front.starts_with(b"HTTP/1.1 101 ") {
            self.gate = Gate::Open;
            self.permit.ends_as(Closed::Tunnel);
            if let Some(switch) = &mut self.switch {
                switch.opened();
            }
        }
        let interim = front.starts_with(b"HTTP/1.1 1");
        self.may_switch = interim && !matches!(self.gate, Gate::Open);
        if !interim && let Some(switch) = &self.switch {
            switch.declined();
        }
    }

    /// Reads for a protocol that is not HTTP/1 any more: HTTP/2, whose frames are watched, or a
    /// tunnel, of which only the client and the upstream know anything.
    pub(super) fn poll_open(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.frames.as_ref().is_some_and(Frames::is_over) {
            // Who serves the connection ends it; what still comes is thrown away behind that.
            self.linger = LINGER_BYTES_MAX;
            return Poll::Pending;
        }
        let before = out.filled().len();
        let read = if self.ahead.is_empty() {
            Pin::new(&mut self.inner).poll_read(cx, out)
        } else {
            self.deliver(out, usize::MAX);
            Poll::Ready(Ok(()))
        };
        if let (Poll::Ready(Ok(())), Some(frames)) = (&read, &self.frames) {
            frames.read(out.filled().get(before..).unwrap_or_default());
        }
        match &mut self.switch {
            Some(switch) if read.is_pending() => switch.poll_wait(cx),
            Some(switch) => {
                switch.moved();
                read
            }
            None => read,
        }
    }
}
