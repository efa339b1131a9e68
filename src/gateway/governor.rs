//! The seam between the shell and the pipeline.
//!
//! Invariant: the shell calls `admit` once per request it could frame and then either `complete`
//! or (a panic, a process that stops) `abandon` once, and `refused_in_parsing` once per head it
//! refused. There are two governors: the worker's desk, which runs the pipeline, and the script
//! of the shell's own tests, which knows no contracts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::quota::Quotas;
use super::received::Fields;
use super::respond::Answer;
use crate::rulebook::DeprecationNotice;
use crate::units::Moment;

/// What the shell knows about a request when its head has arrived.
#[derive(Debug, Clone, Copy)]
pub struct HeadFacts<'a> {
    /// The number of the listener: its position in the settings.
    pub listener: u16,
    /// The worker that serves the connection.
    pub worker: usize,
    /// The address of the client's end of the connection.
    pub peer: Option<SocketAddr>,
    /// Whether `peer` is one of the trusted proxies, so that its forwarded-for fields are true.
    pub peer_trusted: bool,
    /// Who the client is by its certificate, which was verified; `None` without one.
    pub identity: Option<&'a str>,
    /// The method as received.
    pub method: &'a str,
    /// Path and query as received; of an absolute-form target the part behind the authority.
    pub raw_target: &'a [u8],
    /// Whether the target was received like that: not with an authority before it, and not `*`.
    pub origin_form: bool,
    /// The host the request is for: the Host field, or `:authority` in HTTP/2.
    pub host: &'a [u8],
    /// The fields as received.
    pub headers: Fields<'a>,
    /// Whether a body follows.
    pub has_body: bool,
    /// The name that the caller proved: by its certificate, or through a trusted proxy by the
    /// field that the settings name.
    pub caller: Option<&'a str>,
    /// When the head was complete.
    pub at: Moment,
}

/// A decision as text: 22 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecisionId([u8; 22]);

impl DecisionId {
    /// The id of the ASCII digits given.
    #[must_use]
    pub const fn new(digits: [u8; 22]) -> Self {
        Self(digits)
    }

    /// The digits as bytes, as a header value wants them.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The digits as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// What becomes of a request.
#[derive(Debug, Clone)]
pub enum Course {
    /// It goes to an upstream.
    Forward(Forward),
    /// The gateway answers by itself.
    Answer(Answer),
    /// The connection ends without an answer.
    Close,
}

/// How a request goes to its upstream.
#[derive(Debug, Clone)]
pub struct Forward {
    /// The number of the upstream group: its position in the settings.
    pub upstream: usize,
    /// Path and query to send instead of the received ones.
    pub path: Option<Bytes>,
    /// How long it waits for its turn before it is sent.
    pub hold: Duration,
    /// The quarantine case that it goes on under.
    pub case: Option<Box<str>>,
    /// How long each read from the upstream may take.
    pub timeout: Duration,
    /// Whether an idempotent request is sent once more when no connection could be made, or a
    /// reused one closed before a byte came back, as far as [`Governor::may_retry`] has budget.
    /// Without it only the second case counts, and always: that is a race of every keep-alive
    /// connection, which a client without a gateway would not have met.
    pub may_retry: bool,
    /// The most bytes of the request body; a longer one is answered 413.
    pub body_bytes_max: Option<u64>,
    /// Whether the contract is a stream: a call of gRPC may be silent in it.
    pub is_stream: bool,
    /// Whether a WebSocket handshake is passed on. Without it the `Upgrade` field is dropped.
    pub may_upgrade: bool,
    /// Whether fields are dropped by which a server may take another method or path than the
    /// ones that were judged.
    pub strict: bool,
}

/// Why a head was refused before it could be governed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ParseRefusal {
    /// It was not complete in time.
    HeadTimeout,
    /// It has too many bytes.
    HeadTooLarge,
    /// It has too many fields.
    TooManyFields,
    /// Its target is too long.
    TargetTooLong,
    /// Its first line is not `method SP target SP version`.
    RequestLine,
    /// A version that is not HTTP/1.0 or HTTP/1.1.
    Version,
    /// A field name or value with bytes that may not be there, or a folded line.
    Field,
    /// A line that does not end with CRLF.
    LineEnd,
    /// Host is missing, empty, doubled or not a host.
    Host,
    /// Content-Length is doubled, a list or not a number.
    ContentLength,
    /// Transfer-Encoding is anything but a single `chunked`, or stands in HTTP/1.0.
    TransferEncoding,
    /// Both Content-Length and Transfer-Encoding.
    LengthAndEncoding,
    /// Bytes in the target that no target may have.
    TargetBytes,
    /// A target that is not a path, or an address that disagrees with Host.
    TargetForm,
    /// CONNECT: the gateway is no tunnel.
    Connect,
    /// `Connection` names a field that says where the message ends, whom it is for or who sent it.
    Nomination,
    /// An expectation other than `100-continue`.
    Expectation,
    /// Content in a request whose method has none.
    BodyNotAllowed,
    /// `Max-Forwards: 0`: the client wants no other hop, and the gateway has no answer.
    MaxForwards,
    /// A stream of an HTTP/2 connection that broke the rules of its protocol.
    Http2Stream,
    /// An HTTP/2 connection that broke the rules of its protocol, or asked for too much.
    Http2Connection,
}

impl ParseRefusal {
    /// The names of all refusals, in the order of their numbers.
    pub const NAMES: &'static [&'static str] = &[
        Self::HeadTimeout.name(),
        Self::HeadTooLarge.name(),
        Self::TooManyFields.name(),
        Self::TargetTooLong.name(),
        Self::RequestLine.name(),
        Self::Version.name(),
        Self::Field.name(),
        Self::LineEnd.name(),
        Self::Host.name(),
        Self::ContentLength.name(),
        Self::TransferEncoding.name(),
        Self::LengthAndEncoding.name(),
        Self::TargetBytes.name(),
        Self::TargetForm.name(),
        Self::Connect.name(),
        Self::Nomination.name(),
        Self::Expectation.name(),
        Self::BodyNotAllowed.name(),
        Self::MaxForwards.name(),
        Self::Http2Stream.name(),
        Self::Http2Connection.name(),
    ];

    /// The name in metrics and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HeadTimeout => "head_timeout",
            Self::HeadTooLarge => "head_too_large",
            Self::TooManyFields => "too_many_fields",
            Self::TargetTooLong => "target_too_long",
            Self::RequestLine => "request_line",
            Self::Version => "version",
            Self::Field => "field",
            Self::LineEnd => "line_end",
            Self::Host => "host",
            Self::ContentLength => "content_length",
            Self::TransferEncoding => "transfer_encoding",
            Self::LengthAndEncoding => "length_and_encoding",
            Self::TargetBytes => "target_bytes",
            Self::TargetForm => "target_form",
            Self::Connect => "connect",
            Self::Nomination => "nomination",
            Self::Expectation => "expectation",
            Self::BodyNotAllowed => "body_not_allowed",
            Self::MaxForwards => "max_forwards",
            Self::Http2Stream => "http2_stream",
            Self::Http2Connection => "http2_connection",
        }
    }
}

/// Whose head was refused, and how it was answered.
#[derive(Debug, Clone, Copy)]
pub struct RefusedHead {
    /// Why.
    pub reason: ParseRefusal,
    /// The status of the answer; 0 where nobody could be answered.
    pub status: u16,
    /// The number of the listener.
    pub listener: u16,
    /// The worker that served the connection.
    pub worker: usize,
    /// The address of the client's end of the connection.
    pub peer: Option<SocketAddr>,
    /// When.
    pub at: Moment,
}

/// What went wrong between the client, the gateway and the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// The upstream group has no address yet.
    NoAddress,
    /// No connection could be made.
    Connect,
    /// No connection was made in time.
    ConnectTimeout,
    /// The connection could not be secured.
    Tls,
    /// The request could not be written.
    Write,
    /// The upstream did not answer in time.
    Timeout,
    /// The upstream closed or reset the connection.
    Reset,
    /// The upstream's answer is not HTTP.
    Garbage,
    /// The client went away.
    ClientAbort,
    /// The client broke the framing of its body.
    BodyMalformed,
    /// The client sent its body too slowly, or not at all.
    BodyTooSlow,
    /// The body is longer than the contract lets it be.
    BodyTooLarge,
    /// The client read its answer too slowly, or not at all.
    AnswerTooSlow,
    /// Nothing moved in a tunnel for as long as it may.
    TunnelIdle,
    /// A tunnel had lasted as long as it may.
    TunnelAge,
    /// The request cannot be carried to an upstream as it is.
    NotForwardable,
    /// The gateway itself failed.
    Internal,
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy)]
pub struct Completion {
    /// When.
    pub at: Moment,
    /// When the upstream's answer had arrived in full; the client may take its time after that.
    pub upstream_ended_at: Option<Moment>,
    /// The status sent to the client; 0 when none was.
    pub status_sent: u16,
    /// The last final status received from an upstream; 0 when none was.
    pub upstream_status: u16,
    /// What went wrong, if anything.
    pub failure: Option<Failure>,
    /// Attempts to reach an upstream, 0 for an answer of our own.
    pub attempts: u8,
    /// Attempts whose request certainly never reached an upstream: no connection was made.
    pub never_sent: u8,
    /// Attempts on a kept connection that closed before a byte came back. Whether the upstream
    /// had read the request nobody on this side can know: mostly it had closed an idle
    /// connection, but it may have read and then reset.
    pub unanswered: u8,
    /// Bytes of the request body received.
    pub request_body_bytes: u64,
    /// Bytes of the response body sent.
    pub response_body_bytes: u64,
}

/// What a response tells its client about the decision, where the operator wants that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposed {
    /// The contract of the path; none for an unknown one.
    pub contract: Option<String>,
    /// The decision's name.
    pub decision: &'static str,
    /// The score, basis points.
    pub risk_bp: u16,
}

/// One request between its decision and its end.
#[derive(Debug)]
pub struct Exchange {
    course: Course,
    id: DecisionId,
    ticket: u64,
    exposed: Option<Box<Exposed>>,
    quotas: Quotas,
    notice: Option<Arc<DeprecationNotice>>,
}

impl Exchange {
    /// The exchange of a decision; `ticket` is whatever its governor finds it by.
    #[must_use]
    pub const fn new(course: Course, id: DecisionId, ticket: u64) -> Self {
        Self {
            course,
            id,
            ticket,
            exposed: None,
            quotas: Quotas {
                contract: None,
                client: None,
                address: None,
            },
            notice: None,
        }
    }

    /// The same exchange, with the limits that its response tells of.
    #[must_use]
    pub const fn telling(mut self, quotas: Quotas) -> Self {
        self.quotas = quotas;
        self
    }

    /// The limits that the response tells of.
    #[must_use]
    pub const fn quotas(&self) -> Quotas {
        self.quotas
    }

    /// The same exchange, with what its response tells of a deprecation.
    #[must_use]
    pub fn noticing(mut self, notice: Option<Arc<DeprecationNotice>>) -> Self {
        self.notice = notice;
        self
    }

    /// What the response tells of a deprecation.
    #[must_use]
    pub fn notice(&self) -> Option<&DeprecationNotice> {
        self.notice.as_deref()
    }

    /// The same exchange, with what its response tells.
    #[must_use]
    pub fn exposing(mut self, exposed: Option<Box<Exposed>>) -> Self {
        self.exposed = exposed;
        self
    }

    /// What the response tells about the decision.
    #[must_use]
    pub fn exposed(&self) -> Option<&Exposed> {
        self.exposed.as_deref()
    }

    /// What becomes of the request.
    #[must_use]
    pub const fn course(&self) -> &Course {
        &self.course
    }

    /// The id of the decision.
    #[must_use]
    pub const fn decision_id(&self) -> DecisionId {
        self.id
    }

    /// What its governor finds it by.
    #[must_use]
    pub const fn ticket(&self) -> u64 {
        self.ticket
    }
}

/// Decides about requests of one worker. All calls come from that
/// worker's thread.
pub trait Governor: Send + Sync {
    /// Decides about one request.
    fn admit(&self, facts: &HeadFacts<'_>) -> Exchange;

    /// Notes that a request that waited for its turn is sent on now. One that never is (its client
    /// left, a hook panicked) is closed like any other.
    fn turn_came(&self, exchange: &Exchange, at: Moment);

    /// Whether the request may be sent once more, and takes that from the budget of its upstream.
    fn may_retry(&self, exchange: &Exchange, at: Moment) -> bool;

    /// Notes that the upstream asked for fewer requests, and for how long.
    fn pushed_back(&self, exchange: &Exchange, at: Moment, quiet: Duration);

    /// Notes that the request's body has been read to its end; only where there is one.
    fn body_read(&self, exchange: &Exchange, at: Moment);

    /// Notes that the final response head has arrived from the upstream.
    fn head_received(&self, exchange: &Exchange, at: Moment, status: u16);

    /// Closes an exchange that came to its end.
    fn complete(&self, exchange: Exchange, completion: Completion);

    /// Closes an exchange that did not.
    fn abandon(&self, exchange: Exchange);

    /// Notes a head that was refused, and gives the refusal an id.
    fn refused_in_parsing(&self, refused: &RefusedHead) -> DecisionId;

    /// Looks after requests that take long; called every 100 ms.
    fn tick(&self, now: Moment);
}
