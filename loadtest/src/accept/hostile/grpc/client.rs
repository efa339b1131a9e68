//! Calls of a gRPC library, and whether what came back is what was said.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{Receiver, channel};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::tokio_stream::{self, Stream};
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status, Streaming};

use super::text::Text;

/// What the contract of `Silent` lets its server do.
pub(super) const SILENT_MS: u64 = 300;
/// What the client of `Patient` gives it.
const PATIENT: Duration = Duration::from_millis(200);
/// A message that no window holds at once.
const BIG_BYTES: usize = 1 << 20;

/// A kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Unary,
    /// One large message each way.
    Big,
    ServerStreaming,
    ClientStreaming,
    Conversation,
    /// A message, and then a failure in the trailers.
    Failing,
    /// A failure without any message.
    FailingAtOnce,
    Unknown,
    /// A server that does not answer, and the contract's deadline.
    Silent,
    /// The same, and the client's own deadline.
    Patient,
}

impl Kind {
    /// What may be called as often as one likes; a server that does not answer is soon let alone.
    pub(super) const OFTEN: [Self; 9] = [
        Self::Unary,
        Self::Big,
        Self::ServerStreaming,
        Self::ClientStreaming,
        Self::Conversation,
        Self::Failing,
        Self::FailingAtOnce,
        Self::Unknown,
        Self::Patient,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Unary => "unary",
            Self::Big => "1 MiB",
            Self::ServerStreaming => "server streaming",
            Self::ClientStreaming => "client streaming",
            Self::Conversation => "both streaming",
            Self::Failing => "failed in trailers",
            Self::FailingAtOnce => "failed at once",
            Self::Unknown => "unknown method",
            Self::Silent => "contract's deadline",
            Self::Patient => "client's deadline",
        }
    }

    /// Whether it takes its time, so that few are enough.
    pub(super) const fn is_slow(self) -> bool {
        matches!(self, Self::Big | Self::Patient)
    }
}

/// A client that calls one after another.
#[derive(Debug)]
pub(super) struct Client(Grpc<Channel>);

fn path(method: &str) -> PathAndQuery {
    let path = format!("/tidegate.Test/{method}");
    path.parse()
        .unwrap_or_else(|_| PathAndQuery::from_static("/"))
}

impl Client {
    pub(super) fn new(channel: Channel) -> Self {
        Self(Grpc::new(channel))
    }

    /// One call of that kind; what was wrong with it.
    pub(super) async fn call(&mut self, kind: Kind) -> Result<(), String> {
        if self.0.ready().await.is_err() {
            return Err("no connection".to_owned());
        }
        match kind {
            Kind::Unary => self.unary("Unary", "hello").await.and_then(said("hello")),
            Kind::Big => {
                let text = "x".repeat(BIG_BYTES);
                self.unary("Unary", &text).await.and_then(said(&text))
            }
            Kind::ServerStreaming => self.server_streaming().await,
            Kind::ClientStreaming => self.client_streaming().await,
            Kind::Conversation => self.conversation().await,
            Kind::Failing => self.failing().await,
            Kind::FailingAtOnce => is_told_so(&self.refused("FailAtOnce").await?),
            Kind::Unknown => code(&self.refused("Nothing").await?, &[Code::Unimplemented]),
            Kind::Silent => {
                let began = Instant::now();
                let status = self.refused("Silent").await?;
                if began.elapsed() < Duration::from_millis(SILENT_MS) {
                    let ms = began.elapsed().as_millis();
                    return Err(format!("after {ms} ms: {status}"));
                }
                code(&status, &[Code::DeadlineExceeded])
            }
            // The library calls it by either name, as it is seen by its client or its server.
            Kind::Patient => code(
                &self.refused("Patient").await?,
                &[Code::DeadlineExceeded, Code::Cancelled],
            ),
        }
    }

    /// One call that a limit may refuse; whether it passed.
    pub(super) async fn limited(&mut self) -> Result<bool, String> {
        self.0.ready().await.map_err(|error| error.to_string())?;
        let call = self
            .0
            .unary(request("hello".to_owned()), path("Limited"), Text);
        let Err(status) = call.await else {
            return Ok(true);
        };
        code(&status, &[Code::ResourceExhausted])?;
        let told = ["tidegate-decision-id", "grpc-retry-pushback-ms"];
        if told
            .iter()
            .all(|name| status.metadata().contains_key(*name))
        {
            Ok(false)
        } else {
            Err(format!("refused without {told:?}"))
        }
    }

    async fn unary(&mut self, method: &str, text: &str) -> Result<Response<String>, String> {
        let call = self.0.unary(request(text.to_owned()), path(method), Text);
        call.await.map_err(|status| status.to_string())
    }

    /// A call that does not go well.
    async fn refused(&mut self, method: &str) -> Result<Status, String> {
        let mut request = request("hello".to_owned());
        if method == "Patient" {
            request.set_timeout(PATIENT);
        }
        match self.0.unary(request, path(method), Text).await {
            Ok(_) => Err("went well".to_owned()),
            Err(status) => Ok(status),
        }
    }

    async fn server_streaming(&mut self) -> Result<(), String> {
        let request = request("20".to_owned());
        let call = self.0.server_streaming(request, path("Count"), Text);
        let mut messages = served(call.await)?;
        for expected in 0..20 {
            expect(&mut messages, &expected.to_string()).await?;
        }
        expect_end(&mut messages).await
    }

    async fn client_streaming(&mut self) -> Result<(), String> {
        let numbers = tokio_stream::iter((1..=20).map(|n| n.to_string()));
        let call = self.0.client_streaming(request(numbers), path("Sum"), Text);
        let answer = call.await.map_err(|status| status.to_string());
        answer.and_then(said("210"))
    }

    /// Each message is answered before the next is sent.
    async fn conversation(&mut self) -> Result<(), String> {
        let (send, receive) = channel(1);
        send.send("0".to_owned()).await.map_err(|_| "gone")?;
        let call = self
            .0
            .streaming(request(Messages(receive)), path("Chat"), Text);
        let mut messages = served(call.await)?;
        expect(&mut messages, "0").await?;
        for n in 1..10 {
            send.send(n.to_string()).await.map_err(|_| "gone")?;
            expect(&mut messages, &n.to_string()).await?;
        }
        drop(send);
        expect_end(&mut messages).await
    }

    async fn failing(&mut self) -> Result<(), String> {
        let request = request("hello".to_owned());
        let call = self.0.server_streaming(request, path("Fail"), Text);
        let mut messages = served(call.await)?;
        expect(&mut messages, "one").await?;
        match messages.message().await {
            Err(status) => is_told_so(&status),
            other => Err(format!("no failure but {other:?}")),
        }
    }
}

/// Messages that are made while the call goes on.
struct Messages(Receiver<String>);

impl Stream for Messages {
    type Item = String;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<String>> {
        self.0.poll_recv(cx)
    }
}

fn request<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let asked = MetadataValue::from_static("as asked");
    request.metadata_mut().insert("x-asked", asked);
    request
}

fn served<T>(answer: Result<Response<T>, Status>) -> Result<T, String> {
    let answer = answer.map_err(|status| status.to_string())?;
    match answer.metadata().get("x-served") {
        Some(served) if served == "as asked" => Ok(answer.into_inner()),
        other => Err(format!("metadata {other:?}")),
    }
}

fn said(expected: &str) -> impl FnOnce(Response<String>) -> Result<(), String> {
    move |answer| match served(Ok(answer))? {
        text if text == expected => Ok(()),
        text => Err(format!("{} bytes that were not sent", text.len())),
    }
}

async fn expect(messages: &mut Streaming<String>, expected: &str) -> Result<(), String> {
    match messages.message().await {
        Ok(Some(text)) if text == expected => Ok(()),
        other => Err(format!("not {expected} but {other:?}")),
    }
}

async fn expect_end(messages: &mut Streaming<String>) -> Result<(), String> {
    match messages.message().await {
        Ok(None) => Ok(()),
        other => Err(format!("no end but {other:?}")),
    }
}

fn code(status: &Status, expected: &[Code]) -> Result<(), String> {
    if expected.contains(&status.code()) {
        Ok(())
    } else {
        Err(status.to_string())
    }
}

/// Whether all that the server said of its failure came.
fn is_told_so(status: &Status) -> Result<(), String> {
    code(status, &[Code::FailedPrecondition])?;
    let why = status.metadata().get("x-why").map(MetadataValue::as_bytes);
    let message = status.message();
    if message == super::server::FAILURE && status.details() == b"details" && why == Some(b"so") {
        Ok(())
    } else {
        Err(format!("{message:?} {why:?}"))
    }
}
