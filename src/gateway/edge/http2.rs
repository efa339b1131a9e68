//! Serves HTTP/2 on one connection: stream after stream, each handed to Pingora.
//!
//! Invariant: Pingora sees a stream only after its head has passed the same rules as one of
//! HTTP/1, and whatever a client does with its connection is bounded: frames (`frames`), streams,
//! requests, silence, age. A stop lets the streams that are open finish. Here is the round of a
//! connection; what it calls is in `accepting`, `deadlines` and `ending`. Deliberately not here: how
//! it was found out that the client speaks HTTP/2.

mod accepting;
mod active;
mod deadlines;
mod ending;
mod frames;
mod head;
mod purse;
mod scan;
mod stream;
mod taking;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use h2::Reason;
use h2::server::Connection as H2;
use pingora::Result;
use pingora::apps::HttpServerApp;
use pingora::protocols::http::v2::server::{H2Accept, HttpSession, handshake};
use pingora::protocols::{Digest, Stream};
use pingora::server::ShutdownWatch;
use tokio::time::Instant;

use super::Edge;
use super::alarm::Alarm;
use super::conn::Conn;
use super::reading::H2_PREFACE;
use crate::gateway::clock;
use crate::gateway::connection::Connection;
use crate::gateway::governor::{DecisionId, ParseRefusal, RefusedHead};
use active::Active;
pub(super) use frames::Frames;
use frames::Verdict;
use taking::Taking;

impl Edge {
    /// Serves streams until the connection ends.
    pub(super) async fn serve_http2(
        &self,
        mut conn: Box<Conn>,
        connection: &Arc<Connection>,
        shutdown: &ShutdownWatch,
    ) {
        let began = Instant::now();
        let frames = Frames::behind(H2_PREFACE.len());
        conn.begin_http2(frames.clone());
        let stream: Stream = conn;
        let handshake = handshake(stream, self.proxy.h2_options());
        let shaken = tokio::time::timeout(self.settings.timeouts.head, handshake).await;
        let Ok(Ok(streams)) = shaken else {
            return;
        };
        let serving = Serving {
            edge: self,
            connection,
            shutdown,
            frames,
            streams,
            digest: Arc::new(Digest::default()),
            active: Arc::default(),
            taking: Taking::new(&self.settings, began),
            requests: 0,
            rejected: 0,
            began,
            quiet_since: Some(began),
            is_leaving: false,
        };
        serving.run().await;
    }

    /// Counts and records a head that was refused, or a fault of the protocol; `status` is 0
    /// where nobody could be answered.
    fn note_refused(
        &self,
        connection: &Connection,
        reason: ParseRefusal,
        status: u16,
    ) -> DecisionId {
        self.governor.refused_in_parsing(&RefusedHead {
            reason,
            status,
            listener: connection.listener,
            worker: self.worker,
            peer: connection.peer,
            at: clock::now(),
        })
    }
}

/// One connection while it is served.
struct Serving<'a> {
    edge: &'a Edge,
    connection: &'a Arc<Connection>,
    shutdown: &'a ShutdownWatch,
    frames: Frames,
    streams: H2<Stream, Bytes>,
    digest: Arc<Digest>,
    active: Arc<Active>,
    /// How the client takes what it asked for.
    taking: Taking,
    requests: u32,
    /// Streams that Pingora has answered, while that is not reported.
    rejected: u32,
    began: Instant,
    /// Since when no stream is open.
    quiet_since: Option<Instant>,
    /// Whether the client was told to open no more streams.
    is_leaving: bool,
}

/// What happened on a connection.
#[allow(
    clippy::large_enum_variant,
    reason = "it lives for one match; a box would cost each request an allocation"
)]
enum Event {
    Accepted(Result<Option<H2Accept>>),
    Judged(Verdict),
    /// Something is to be reported, or looked after earlier than was known.
    Earlier,
}

impl Serving<'_> {
    async fn run(mut self) {
        let mut stopping = self.shutdown.clone();
        let mut stop = pin!(async move {
            // An error means the sender is gone, and with it everything else.
            _ = stopping.wait_for(|stopping| *stopping).await;
        });
        let mut is_stopping = false;
        let mut alarm = Alarm::default();
        loop {
            if self.quiet_since.is_none() && self.active.is_quiet() {
                self.quiet_since = Some(Instant::now());
            }
            let due = self.due();
            let active = Arc::clone(&self.active);
            let goes_on = tokio::select! {
                biased;
                () = stop.as_mut(), if !is_stopping => {
                    is_stopping = true;
                    self.leave();
                    true
                }
                event = self.next(due) => self.handle(event).await,
                () = active.all_ended() => true,
                () = alarm.ring_at(due) => self.ring().await,
            };
            self.report_faults();
            if !goes_on {
                return;
            }
        }
    }

    /// Drives the connection until something happens. Whatever is polled here can be dropped and
    /// polled again.
    async fn next(&mut self, due: Instant) -> Event {
        poll_fn(|cx| {
            let accepted = {
                let digest = Arc::clone(&self.digest);
                let accept = pin!(HttpSession::from_h2_conn(&mut self.streams, digest));
                accept.poll(cx)
            };
            let (verdict, has_unreported) = {
                let watch = self.frames.watch();
                (watch.verdict(), watch.has_unreported())
            };
            match (verdict, accepted) {
                // A stream that came together with what ends the connection is not served.
                (Some(verdict), Poll::Pending | Poll::Ready(Ok(Some(H2Accept::Session(_))))) => {
                    Poll::Ready(Event::Judged(verdict))
                }
                (_, Poll::Ready(accepted)) => Poll::Ready(Event::Accepted(accepted)),
                (None, Poll::Pending) if has_unreported || self.due() < due => {
                    Poll::Ready(Event::Earlier)
                }
                (None, Poll::Pending) => Poll::Pending,
            }
        })
        .await
    }

    /// Whether the connection goes on.
    async fn handle(&mut self, event: Event) -> bool {
        match event {
            Event::Accepted(Ok(Some(H2Accept::Session(session)))) => {
                self.accept(session);
                if self.requests > self.requests_max() {
                    return self.end(Reason::ENHANCE_YOUR_CALM).await;
                }
            }
            Event::Accepted(Ok(Some(H2Accept::Rejected))) => {
                // Pingora has answered; the frames tell when.
                self.rejected += 1;
            }
            Event::Accepted(Ok(None) | Err(_)) => {
                self.note_fault_of_connection();
                return false;
            }
            Event::Judged(Verdict::TooMuch) => return self.end(Reason::ENHANCE_YOUR_CALM).await,
            Event::Judged(Verdict::NoSettings) => return self.end(Reason::PROTOCOL_ERROR).await,
            Event::Earlier => {}
        }
        true
    }
}
