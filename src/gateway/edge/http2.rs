//! Serves HTTP/2 on one connection: stream after stream, each handed to Pingora.
//!
//! Invariant: Pingora sees a stream only after its head has passed the same rules as one of
//! HTTP/1, and whatever a client does with its connection is bounded: frames (`frames`), streams,
//! requests, silence, age. A stop lets the streams that are open finish. Deliberately not here: how
//! it was found out that the client speaks HTTP/2.

mod active;
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
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::server::Connection as H2;
use pingora::Result;
use pingora::apps::HttpServerApp;
use pingora::protocols::http::v2::server::{H2Accept, HttpSession, handshake};
use pingora::protocols::{Digest, Stream};
use pingora::server::ShutdownWatch;
use tokio::time::Instant;

use super::caps::{Full, StreamPermit};
use super::conn::Conn;
use super::reading::{Alarm, H2_PREFACE};
use super::{Edge, LINGER_MAX};
use crate::gateway::clock;
use crate::gateway::connection::Connection;
use crate::gateway::governor::{DecisionId, ParseRefusal, RefusedHead};
use active::Active;
pub(super) use frames::Frames;
use frames::{Verdict, head_deadline};
use taking::Taking;

/// Requests that may come behind the last one that a client was told of, in multiples of the
/// streams it may have open: it cannot have heard of that yet.
const LATE_ROUNDS: u32 = 10;

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
        let mut alarm = Alarm::new(self.edge.settings.timeouts.head);
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

    fn accept(&mut self, mut session: HttpSession) {
        self.requests = self.requests.saturating_add(1);
        if self.frames.is_over() {
            // What came in front of it ends the connection.
            return;
        }
        if let Ok(permit) = self.place() {
            self.quiet_since = None;
            let guard = Active::enter(&self.active, permit);
            let served = self.edge.serve_stream(
                session,
                self.connection,
                self.shutdown,
                &self.frames,
                guard,
            );
            tokio::spawn(self.taking.holding(served));
        } else {
            // It was not looked at, so the client may send it again.
            session.shutdown_with_reason(Reason::REFUSED_STREAM);
        }
        if self.requests == self.edge.settings.limits.requests_per_connection_max {
            self.leave();
        }
    }

    /// The place of one more stream; the first of a connection has that of the connection.
    fn place(&self) -> Result<Option<StreamPermit>, Full> {
        if self.active.is_quiet() {
            return Ok(None);
        }
        let address = self.connection.peer.map(|peer| peer.ip());
        self.edge.connections.admit_stream(address).map(Some)
    }

    /// More than this comes only from a client that was told to go and does not.
    fn requests_max(&self) -> u32 {
        let limits = &self.edge.settings.limits;
        let late = limits.h2_streams_max.saturating_mul(LATE_ROUNDS);
        limits.requests_per_connection_max.saturating_add(late)
    }

    /// When the connection must be looked after, whatever happens.
    fn due(&self) -> Instant {
        let timeouts = &self.edge.settings.timeouts;
        let head = head_deadline(&self.frames.watch(), self.began, timeouts.head);
        let quiet = self.quiet_since.map(|since| since + timeouts.idle);
        let age = (!self.is_leaving).then(|| self.began + timeouts.age);
        let far = || Instant::now() + Duration::from_secs(24 * 3_600);
        let taking = self.quiet_since.is_none().then(|| self.taking.look_at());
        let due = [head, quiet, age, taking].into_iter().flatten().min();
        due.unwrap_or_else(far)
    }

    /// A deadline has passed, or is no longer one.
    async fn ring(&mut self) -> bool {
        let now = Instant::now();
        let timeouts = &self.edge.settings.timeouts;
        let (settled, head, taken) = {
            let watch = self.frames.watch();
            let head = head_deadline(&watch, self.began, timeouts.head);
            (watch.is_settled(), head, watch.data_sent())
        };
        if head.is_some_and(|head| head <= now) {
            if !settled {
                return self.end(Reason::SETTINGS_TIMEOUT).await;
            }
            let reason = ParseRefusal::HeadTimeout;
            self.edge.note_refused(self.connection, reason, 0);
            return self.end(Reason::ENHANCE_YOUR_CALM).await;
        }
        if self
            .quiet_since
            .is_some_and(|since| since + timeouts.idle <= now)
        {
            return self.end(Reason::NO_ERROR).await;
        }
        if self.taking.look(now, taken) {
            return self.end(Reason::ENHANCE_YOUR_CALM).await;
        }
        if now >= self.began + timeouts.age {
            self.leave();
        }
        true
    }

    /// Tells the client to open no more streams; those that are open go on.
    fn leave(&mut self) {
        if !self.is_leaving {
            self.is_leaving = true;
            self.streams.graceful_shutdown();
        }
    }

    /// Ends the connection with all that is on it, and waits a moment for the client to hear why.
    async fn end(&mut self, reason: Reason) -> bool {
        self.streams.abrupt_shutdown(reason);
        let ended = async {
            loop {
                let digest = Arc::clone(&self.digest);
                match HttpSession::from_h2_conn(&mut self.streams, digest).await {
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => return,
                }
            }
        };
        _ = tokio::time::timeout(LINGER_MAX, ended).await;
        self.note_fault_of_connection();
        false
    }

    fn note_fault_of_connection(&mut self) {
        self.report_faults();
        if self.frames.watch().take_gone_away() {
            let reason = ParseRefusal::Http2Connection;
            self.edge.note_refused(self.connection, reason, 0);
        }
    }

    /// Counts and records what was refused out of sight. Pingora answers with a status alone where
    /// Host disagrees with the authority or both are missing, `h2` where the list of fields is far
    /// too large.
    fn report_faults(&mut self) {
        let faults = self.frames.watch().take_unreported();
        for _ in 0..faults.reset {
            let reason = ParseRefusal::Http2Stream;
            self.edge.note_refused(self.connection, reason, 0);
        }
        for _ in 0..faults.bare {
            let (reason, status) = if self.rejected > 0 {
                self.rejected -= 1;
                (ParseRefusal::Host, 400)
            } else {
                (ParseRefusal::HeadTooLarge, 431)
            };
            self.edge.note_refused(self.connection, reason, status);
        }
    }
}
