//! One client connection as Pingora sees it: the stream behind a gate.
//!
//! Invariant: Pingora is given the bytes of the request it is serving and not one byte more;
//! what a client sends ahead stays in this buffer until its turn, so pipelined requests are
//! neither lost nor able to disturb the one before. Deliberately not here: reading heads.

use std::future::Future as _;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

mod account;
mod behind;
mod gate;
mod inner;
mod pace;
mod switch;
mod switching;
mod traits;

use super::caps::{Closed, Permit};
use super::chunked::Scanner;
use super::head::Framing;
use super::http2::Frames;
use crate::gateway::settings::{GatewaySettings, Timeouts};
use gate::Gate;
pub(super) use inner::Inner;
use pace::Pace;
use switch::Switch;

/// Room made for each read.
const READ_BYTES: usize = 4 * 1024;

/// A client connection.
#[derive(Debug)]
pub(in crate::gateway) struct Conn {
    inner: Inner,
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
    pub(super) fn new(inner: Inner, permit: Permit) -> Self {
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
    pub(in crate::gateway) fn ends_as(&mut self, closed: Closed) {
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

    /// Whether its protocol has words for its end; without TLS closing it says the same.
    pub(super) fn says_goodbye(&self) -> bool {
        matches!(self.inner, Inner::Around(_))
    }

    /// Whether the runtime tells when something comes; a socket of a client that has not been waited
    /// for yet is not watched.
    pub(in crate::gateway) fn is_watched(&self) -> bool {
        match &self.inner {
            Inner::Plain(socket) => socket.is_watched(),
            Inner::Around(_) => true,
        }
    }

    /// Throws away the first `len` bytes of what has arrived.
    pub(super) fn skip(&mut self, len: usize) {
        if len >= self.ahead.len() {
            // So its memory begins where it began.
            self.ahead.clear();
        } else {
            self.ahead.advance(len);
        }
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

    /// Sends what has been written and may still lie in the stream's buffer. Pingora does not
    /// flush an answer with a length before its end; but while it waits for the rest, it reads
    /// here, and a client must not wait for bytes that an upstream sent long ago.
    pub(in crate::gateway) fn send_held_back(&mut self, cx: &mut Context<'_>) {
        if self.held_back {
            // An error shows again at the next write, where somebody handles it.
            self.held_back = Pin::new(&mut self.inner).poll_flush(cx).is_pending();
        }
    }

    /// Reads into the buffer. Where nothing is in it yet, room is made only for bytes that have
    /// come: waiting for a client that says nothing holds no memory.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if !self.ahead.is_empty() {
            self.ahead.reserve(READ_BYTES);
            let read = std::pin::pin!(self.inner.read_buf(&mut self.ahead));
            return read.poll(cx);
        }
        let mut piece = [MaybeUninit::uninit(); READ_BYTES];
        let mut piece = ReadBuf::uninit(&mut piece);
        ready!(Pin::new(&mut self.inner).poll_read(cx, &mut piece))?;
        self.ahead.extend_from_slice(piece.filled());
        Poll::Ready(Ok(piece.filled().len()))
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
