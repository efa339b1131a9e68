//! One client connection as Pingora sees it: the stream behind a gate.
//!
//! Invariant: Pingora is given the bytes of the request it is serving and not one byte more;
//! what a client sends ahead stays in this buffer until its turn, so pipelined requests are
//! neither lost nor able to disturb the one before. Deliberately not here: reading heads.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use pingora::protocols::Stream;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

mod pace;
mod switch;
mod traits;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::LINGER_BYTES_MAX;
use super::caps::{Closed, Permit};
use super::chunked::Scanner;
use super::head::Framing;
use super::http2::Frames;
use crate::gateway::settings::{GatewaySettings, Timeouts};
use pace::Pace;
use switch::Switch;

/// Bytes a client may send ahead of their turn; more wait in the kernel.
const AHEAD_BYTES_MAX: usize = 64 * 1024;
/// Room made for each read.
const READ_BYTES: usize = 4 * 1024;

/// How much of what arrives belongs to the request being served.
#[derive(Debug)]
enum Gate {
    /// Everything: the protocol is no longer HTTP/1 (HTTP/2, or behind a 101).
    Open,
    /// So many bytes more; 0 when the body has passed.
    Length(u64),
    /// What the scanner says; `cleared` bytes at the front of the buffer have been scanned.
    Chunked { scanner: Scanner, cleared: usize },
}

/// A client connection.
#[derive(Debug)]
pub(super) struct Conn {
    inner: Stream,
    ahead: BytesMut,
    gate: Gate,
    ended: bool,
    held_back: bool,
    /// Whether a 101 in what is written next opens the gate.
    may_switch: bool,
    /// Bytes to throw away behind a body that is cut before the connection closes.
    linger: usize,
    linger_asked: AtomicBool,
    /// Where rates are kept: how fast bodies come, and answers are read.
    body_pace: Option<Pace>,
    answer_pace: Option<Pace>,
    /// What a request that asks for another protocol has beside it.
    switch: Option<Box<Switch>>,
    /// Who watches the frames of HTTP/2.
    frames: Option<Frames>,
    permit: Permit,
}

impl Conn {
    pub(super) fn new(inner: Stream, permit: Permit) -> Self {
        Self {
            inner,
            ahead: BytesMut::new(),
            gate: Gate::Length(0),
            ended: false,
            held_back: false,
            may_switch: false,
            linger: 0,
            linger_asked: AtomicBool::new(false),
            body_pace: None,
            answer_pace: None,
            switch: None,
            frames: None,
            permit,
        }
    }

    /// From here on the client has to keep the rates of the settings.
    pub(super) fn keep_rates(&mut self, settings: &GatewaySettings) {
        let (limits, timeouts) = (&settings.limits, &settings.timeouts);
        self.body_pace = Pace::of_bodies(limits, timeouts);
        self.answer_pace = Pace::of_answers(limits, timeouts);
    }

    /// How the connection is counted should it end now.
    pub(super) fn ends_as(&mut self, closed: Closed) {
        self.permit.ends_as(closed);
    }

    /// Whether the connection waits for the rest of a head.
    pub(super) fn is_reading_head(&mut self, is_reading: bool) {
        self.permit.is_reading_head(is_reading);
    }

    /// Should the connection be shut down, what still comes is read for a moment: whoever is in the
    /// middle of sending would otherwise lose the answer to a reset.
    pub(super) fn ask_to_linger(&self) {
        self.linger_asked.store(true, Ordering::Relaxed);
    }

    /// The upstream has so long to answer the handshake of this request.
    pub(super) fn answer_within(&self, within: Duration) {
        if let Some(switch) = &self.switch {
            switch.answer_within(within);
        }
    }

    /// What has arrived and belongs to no request yet.
    pub(super) fn ahead(&self) -> &[u8] {
        &self.ahead
    }

    /// Takes the first `len` bytes of what has arrived.
    pub(super) fn take(&mut self, len: usize) -> BytesMut {
        self.ahead.split_to(len.min(self.ahead.len()))
    }

    /// Gives back the memory for bytes to come, where none have.
    pub(super) fn release(&mut self) {
        if self.ahead.is_empty() {
            self.ahead = BytesMut::new();
        }
    }

    /// Waits for more bytes; 0 means the client has ended its side.
    pub(super) async fn fill(&mut self) -> io::Result<usize> {
        if self.ended {
            return Ok(0);
        }
        std::future::poll_fn(|cx| self.poll_fill(cx)).await
    }

    /// Opens the gate for the body of the next request. `may_switch` says that its answer may be
    /// a change of protocol, and how long that may last.
    pub(super) fn begin(&mut self, framing: Framing, may_switch: Option<&Timeouts>) {
        self.may_switch = may_switch.is_some();
        self.switch = may_switch.map(|timeouts| Box::new(Switch::new(timeouts)));
        if let Some(pace) = &mut self.body_pace {
            pace.begin();
        }
        if let Some(pace) = &mut self.answer_pace {
            pace.begin();
        }
        self.gate = match framing {
            Framing::Length(len) => Gate::Length(len),
            Framing::Chunked => Gate::Chunked {
                scanner: Scanner::new(),
                cleared: 0,
            },
            Framing::Unframed => Gate::Open,
        };
    }

    /// Opens the gate for good: from here on the client speaks HTTP/2, and `frames` sees it all.
    pub(super) fn begin_http2(&mut self, frames: Frames) {
        self.begin(Framing::Unframed, None);
        self.ends_as(Closed::Http2);
        self.frames = Some(frames);
    }

    /// Whether the request has been read to its end and another may follow.
    pub(super) fn is_between_requests(&self) -> bool {
        match &self.gate {
            Gate::Open => false,
            Gate::Length(left) => *left == 0,
            Gate::Chunked { scanner, cleared } => scanner.is_done() && *cleared == 0,
        }
    }

    /// Looks at the front of what Pingora writes, which is the head of an answer first: behind a
    /// 101 all bytes of the client belong to the new protocol, behind any final status nothing
    /// changes. Pingora writes a head at once and refuses a 101 that nobody asked for.
    fn note_written(&mut self, front: &[u8]) {
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

    /// Counts what has been written, or waits for the client to take it.
    fn paced_write<T>(
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
    fn paced_read<T>(
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

    /// The body has passed: look out for the end of the connection, keep what comes early.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
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
    fn poll_idle_in_time(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let idle = self.poll_idle(cx);
        match &mut self.switch {
            Some(switch) if idle.is_pending() => switch.poll_wait(cx),
            _ => idle,
        }
    }

    /// Reads for a protocol that is not HTTP/1 any more: HTTP/2, whose frames are watched, or a
    /// tunnel, of which only the client and the upstream know anything.
    fn poll_open(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
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

    /// Sends what has been written and may still lie in the stream's buffer. Pingora does not
    /// flush an answer with a length before its end; but while it waits for the rest, it reads
    /// here, and a client must not wait for bytes that an upstream sent long ago.
    fn send_held_back(&mut self, cx: &mut Context<'_>) {
        if self.held_back {
            // An error shows again at the next write, where somebody handles it.
            self.held_back = Pin::new(&mut self.inner).poll_flush(cx).is_pending();
        }
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.ahead.reserve(READ_BYTES);
        let read = std::pin::pin!(self.inner.read_buf(&mut self.ahead));
        read.poll(cx)
    }

    fn poll_fill_body(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let read = self.poll_fill(cx);
        let bytes = match &read {
            Poll::Ready(Ok(bytes)) => *bytes,
            _ => 0,
        };
        self.paced_read(cx, read, bytes)
    }

    /// Throws away what still comes behind a malformed body: closing with unread bytes would
    /// reset the connection and take the answer away. Who calls this sets a time.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
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

    fn deliver(&mut self, out: &mut ReadBuf<'_>, most: usize) -> usize {
        let step = most.min(self.ahead.len()).min(out.remaining());
        out.put_slice(self.ahead.get(..step).unwrap_or_default());
        self.ahead.advance(step);
        step
    }

    fn poll_length(
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

    fn poll_chunked(
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

impl AsyncRead for Conn {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.send_held_back(cx);
        match this.gate {
            Gate::Open => this.poll_open(cx, out),
            Gate::Length(0) => this.poll_idle_in_time(cx),
            Gate::Length(left) => this.poll_length(cx, out, left),
            Gate::Chunked { .. } => this.poll_chunked(cx, out),
        }
    }
}
