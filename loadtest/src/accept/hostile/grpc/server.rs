//! A server of calls, made with a gRPC library.
//!
//! On the wire the four kinds of calls differ only in how many messages there are, so one kind
//! serves them all.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::task::{Context, Poll};

use tonic::body::Body;
use tonic::codegen::{BoxFuture, BoxStream, Service, http, tokio_stream};
use tonic::metadata::MetadataMap;
use tonic::server::{Grpc, StreamingService};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Code, Request, Response, Status, Streaming};

use super::text::Text;

/// What a failure says: blanks, signs and letters that `grpc-message` has to spell otherwise.
pub(super) const FAILURE: &str = "told so: 100 %, \u{fc}";

/// Starts one on a thread of its own, with TLS where it is given a certificate's folder.
pub(super) fn start(tls: Option<&Path>) -> anyhow::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let mut server = Server::builder();
    if let Some(folder) = tls {
        let read = |name: &str| std::fs::read(folder.join(name));
        let identity = Identity::from_pem(read("good.pem")?, read("good.key")?);
        server = server.tls_config(ServerTlsConfig::new().identity(identity))?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::spawn(move || {
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            server.serve_with_incoming(Calls, incoming).await?;
            anyhow::Ok(())
        })
    });
    Ok(address)
}

#[derive(Debug, Clone)]
struct Calls;

impl Service<http::Request<Body>> for Calls {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let path = request.uri().path();
        let method = path.rsplit('/').next().unwrap_or_default().to_owned();
        Box::pin(async move {
            let mut grpc = Grpc::new(Text);
            Ok(grpc.streaming(Method(method), request).await)
        })
    }
}

/// One method by its name.
struct Method(String);

impl StreamingService<String> for Method {
    type Response = String;
    type ResponseStream = BoxStream<String>;
    type Future = BoxFuture<Response<BoxStream<String>>, Status>;

    fn call(&mut self, request: Request<Streaming<String>>) -> Self::Future {
        let method = std::mem::take(&mut self.0);
        Box::pin(async move {
            let asked = request.metadata().get("x-asked").cloned();
            let messages = answer(&method, request.into_inner()).await?;
            let mut response = Response::new(messages);
            if let Some(asked) = asked {
                response.metadata_mut().insert("x-served", asked);
            }
            Ok(response)
        })
    }
}

async fn answer(method: &str, mut asked: Streaming<String>) -> Result<BoxStream<String>, Status> {
    let answers: Vec<Result<String, Status>> = match method {
        // Each message goes back as it comes.
        "Chat" => return Ok(Box::pin(asked)),
        "Unary" | "Limited" => vec![Ok(asked.message().await?.unwrap_or_default())],
        "Count" => {
            let text = asked.message().await?.unwrap_or_default();
            let most: u32 = text.parse().unwrap_or(0);
            (0..most).map(|n| Ok(n.to_string())).collect()
        }
        "Sum" => {
            let mut sum = 0_u64;
            while let Some(number) = asked.message().await? {
                sum += number.parse::<u64>().unwrap_or(0);
            }
            vec![Ok(sum.to_string())]
        }
        "Fail" => vec![Ok("one".to_owned()), Err(failure())],
        "FailAtOnce" => return Err(failure()),
        "Silent" | "Patient" => std::future::pending().await,
        _ => return Err(Status::unimplemented("no such method")),
    };
    Ok(Box::pin(tokio_stream::iter(answers)))
}

/// A failure with all that one may say.
fn failure() -> Status {
    let mut metadata = MetadataMap::new();
    metadata.insert("x-why", tonic::metadata::MetadataValue::from_static("so"));
    Status::with_details_and_metadata(
        Code::FailedPrecondition,
        FAILURE,
        b"details".as_slice().into(),
        metadata,
    )
}
