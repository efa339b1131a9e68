//! One attempt: a request goes to its upstream and the answer to the client, over two sockets.
//!
//! Invariant: at any moment the client or the upstream is waited for, under one clock; a client that
//! leaves is noticed while its answer is waited for; what the client does not take at once is all that is held,
//! and nothing more is read before it has been taken. Deliberately not here: what follows from an end.

mod answer;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::Errand;
use super::answer::ClientBody;
use super::body::Relay;
use super::scratch;
use crate::gateway::clock;
use crate::gateway::common::Common;
use crate::gateway::edge::{Alarm, Conn};
use crate::gateway::failure;
use crate::gateway::governor::Failure;
use crate::units::Moment;

/// So long an answer is waited for before a client that has not been waited for yet is watched. To be
/// watched costs more than the look at a head, and most upstreams that are near have answered by then.
const WATCH_AFTER: Duration = Duration::from_millis(5);

/// How an attempt ended that did not come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// A kept connection was closed instead of taking the request: nobody has served it.
    Unserved(Failure),
    /// The upstream failed.
    Upstream(Failure),
    /// The client left, or was too slow.
    Client(Failure),
}

/// What the client has been told when an attempt has ended.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Told {
    /// The final status; 0 while there is none.
    pub(super) status: u16,
    /// Bytes of the body.
    pub(super) body_bytes: u64,
    /// Whether an interim answer has gone before.
    interim: bool,
}

/// One attempt.
pub(super) struct Crossing<'a> {
    pub(super) common: &'a Common,
    pub(super) errand: &'a mut Errand,
    pub(super) conn: &'a mut Conn,
    pub(super) alarm: &'a mut Alarm,
    pub(super) stream: &'a mut TcpStream,
    /// Whether the connection carried a request before.
    pub(super) is_reused: bool,
    pub(super) told: &'a mut Told,
    /// Whether the upstream's connection may carry another request.
    pub(super) upstream_keeps: bool,
    /// Bytes of the request that have gone.
    sent: usize,
    /// The clock of the wait that is going on.
    ends_by: Option<Instant>,
    /// When it is time to watch a client that nobody has watched before.
    watch_from: Option<Instant>,
    /// The front of a head whose end has not come.
    unread: BytesMut,
    body: Option<(Relay, ClientBody)>,
    /// What the client has not taken.
    out: BytesMut,
    /// When the piece was read that is being looked at, where a clock was read then.
    read_at: Option<Moment>,
    /// The upstream's fault, while the client takes what came before it.
    broken: Option<Broken>,
}

type Step<T> = Poll<Result<T, Broken>>;

impl<'a> Crossing<'a> {
    pub(super) fn new(
        common: &'a Common,
        errand: &'a mut Errand,
        (conn, alarm): (&'a mut Conn, &'a mut Alarm),
        (stream, is_reused): (&'a mut TcpStream, bool),
        told: &'a mut Told,
    ) -> Self {
        Self {
            common,
            errand,
            conn,
            alarm,
            stream,
            is_reused,
            told,
            upstream_keeps: false,
            sent: 0,
            ends_by: None,
            watch_from: None,
            unread: BytesMut::new(),
            body: None,
            out: BytesMut::new(),
            read_at: None,
            broken: None,
        }
    }

    /// Goes on until the answer has been given in full.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Step<()> {
        ready!(self.poll_send(cx))?;
        loop {
            ready!(self.poll_give(cx))?;
            if Self::is_complete(&self.body) {
                return self.poll_flush(cx);
            }
            if let Some(broken) = self.broken {
                return Poll::Ready(Err(broken));
            }
            match ready!(self.poll_take(cx)) {
                // What came before the fault is the client's.
                Err(broken @ Broken::Upstream(_)) => self.broken = Some(broken),
                other => other?,
            }
        }
    }

    /// Sends the request.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Step<()> {
        while let Some(rest) = self.errand.wire.get(self.sent..).filter(|r| !r.is_empty()) {
            match Pin::new(&mut *self.stream).poll_write(cx, rest) {
                Poll::Ready(Ok(written @ 1..)) => {
                    self.sent += written;
                    self.ends_by = None;
                }
                Poll::Ready(_) if self.is_reused && self.sent == 0 => {
                    return Poll::Ready(Err(Broken::Unserved(Failure::Write)));
                }
                Poll::Ready(_) => return Poll::Ready(Err(Broken::Upstream(Failure::Write))),
                Poll::Pending => {
                    let within = self.common.settings.timeouts.upstream_write;
                    ready!(self.poll_deadline(cx, within));
                    return Poll::Ready(Err(Broken::Upstream(Failure::Write)));
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Gives the client what it has not taken.
    fn poll_give(&mut self, cx: &mut Context<'_>) -> Step<()> {
        while !self.out.is_empty() {
            let written = match Self::is_complete(&self.body) {
                true => self.conn.poll_give(cx, &self.out, !self.errand.asked.keeps),
                false => Pin::new(&mut *self.conn).poll_write(cx, &self.out),
            };
            let written = ready!(self.poll_client(cx, written))?;
            if written == 0 {
                return Poll::Ready(Err(Broken::Client(Failure::ClientAbort)));
            }
            self.out.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Whether nothing more comes for the client: what more would come fills a segment with what
    /// there is.
    fn is_complete(body: &Option<(Relay, ClientBody)>) -> bool {
        body.as_ref().is_some_and(|(body, _)| body.is_complete())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Step<()> {
        let flushed = self.conn.poll_sent(cx, !self.errand.asked.keeps);
        self.poll_client(cx, flushed)
    }

    /// What came of a write to the client, or of waiting for it.
    fn poll_client<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Step<T> {
        match written {
            Poll::Ready(Ok(written)) => {
                self.ends_by = None;
                Poll::Ready(Ok(written))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(client_broke(&error))),
            Poll::Pending => {
                ready!(self.poll_deadline(cx, self.common.settings.timeouts.client_write));
                Poll::Ready(Err(Broken::Client(Failure::AnswerTooSlow)))
            }
        }
    }

    /// Takes the next piece from the upstream.
    fn poll_take(&mut self, cx: &mut Context<'_>) -> Step<()> {
        scratch::with(|scratch| {
            let mut room = scratch.room();
            self.read_at = None;
            match Pin::new(&mut *self.stream).poll_read(cx, &mut room) {
                Poll::Ready(Ok(())) => {
                    let read = room.filled().len();
                    self.ends_by = None;
                    if read == 0 {
                        return Poll::Ready(self.upstream_ended());
                    }
                    match self.body {
                        None => {
                            self.look()?;
                            self.poll_head(cx, scratch, read)
                        }
                        Some(_) => self.poll_body(cx, scratch.read(read)),
                    }
                }
                Poll::Ready(Err(_)) => Poll::Ready(Err(self.upstream_broke())),
                Poll::Pending => self.poll_upstream(cx),
            }
        })
    }

    /// Waits for the upstream, and looks out for the end of the client.
    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Step<()> {
        let timeout = self.errand.passage.forward().map(|forward| forward.timeout);
        let timeout = timeout.unwrap_or_default();
        if !self.conn.is_watched() {
            self.conn.send_held_back(cx);
            let from = *self.watch_from.get_or_insert_with(|| {
                // No later than the upstream has to have answered.
                Instant::now() + WATCH_AFTER.min(timeout)
            });
            ready!(self.alarm.poll_past(cx, from));
        }
        if let Poll::Ready(gone) = self.conn.poll_gone(cx) {
            let gone = gone.err().map(|error| client_broke(&error));
            return Poll::Ready(Err(gone.unwrap_or(Broken::Client(Failure::ClientAbort))));
        }
        ready!(self.poll_deadline(cx, timeout));
        Poll::Ready(Err(Broken::Upstream(Failure::Timeout)))
    }

    /// Looks after a client that nobody watches before its answer goes on.
    fn look(&mut self) -> Result<(), Broken> {
        if self.conn.is_watched() {
            return Ok(());
        }
        match self.conn.look() {
            Ok(false) => Ok(()),
            Ok(true) => Err(Broken::Client(Failure::ClientAbort)),
            Err(error) => Err(client_broke(&error)),
        }
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>, within: Duration) -> Poll<()> {
        let ends_by = *self.ends_by.get_or_insert_with(|| Instant::now() + within);
        self.alarm.poll_past(cx, ends_by)
    }

    /// The upstream closed its side.
    fn upstream_ended(&mut self) -> Result<(), Broken> {
        match &mut self.body {
            None => Err(self.upstream_broke()),
            Some((body, client)) => {
                body.ended().map_err(|_| Broken::Upstream(Failure::Reset))?;
                client.end(&mut self.out);
                self.upstream_keeps = false;
                self.errand.passage.upstream_ended_at = Some(clock::now());
                Ok(())
            }
        }
    }

    /// The upstream's connection broke. One that was kept did so instead of taking the request, if
    /// nothing has come of it.
    fn upstream_broke(&self) -> Broken {
        let nothing_told = self.told.status == 0 && !self.told.interim;
        if self.is_reused && self.body.is_none() && nothing_told {
            Broken::Unserved(Failure::Reset)
        } else {
            Broken::Upstream(Failure::Reset)
        }
    }
}

fn client_broke(error: &io::Error) -> Broken {
    Broken::Client(failure::of_client_io(error))
}
