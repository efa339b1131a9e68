//! What a connection counts while bytes move, and what it waits for.
//!
//! Invariant: bytes that move at once cost no look at a clock. Deliberately not here: what is too
//! slow.

use std::io;
use std::task::{Context, Poll};

use super::super::LINGER_BYTES_MAX;
use super::Conn;

impl Conn {
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
