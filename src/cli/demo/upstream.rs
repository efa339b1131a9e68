//! The API behind the gateway: quick, but slow in one place and failing in another at times.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// What the upstream is like just now.
#[derive(Debug, Default)]
pub(super) struct Mood {
    /// Payments cannot be made, and half of them cannot be read.
    pub(super) failing: AtomicBool,
    /// Reading a payment takes longer than its contract allows.
    pub(super) slow: AtomicBool,
    received: AtomicU64,
}

/// A running upstream; its thread ends with the process.
pub(super) struct Upstream {
    address: SocketAddr,
    mood: Arc<Mood>,
}

/// Longer than `payment_get_v1` promises.
const SLOW: Duration = Duration::from_millis(650);

impl Upstream {
    pub(super) fn start() -> Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let mood = Arc::new(Mood::default());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&mood));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("no runtime for the upstream")?;
        std::thread::Builder::new()
            .name("upstream".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    let listener = tokio::net::TcpListener::from_std(listener)?;
                    axum::serve(listener, router).await
                })
            })?;
        Ok(Self { address, mood })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn mood(&self) -> Arc<Mood> {
        Arc::clone(&self.mood)
    }

    /// Requests it got.
    pub(super) fn received(&self) -> u64 {
        self.mood.received.load(Ordering::Acquire)
    }
}

async fn answer(State(mood): State<Arc<Mood>>, request: Request) -> Response {
    mood.received.fetch_add(1, Ordering::AcqRel);
    let path = request.uri().path().to_owned();
    // The body is read to its end, so that the connection can be used again.
    let _ = axum::body::to_bytes(request.into_body(), 1 << 20).await;
    if mood.failing.load(Ordering::Acquire) {
        if path == "/api/v1/payments" {
            return (StatusCode::BAD_GATEWAY, "the bank is not to be had").into_response();
        }
        if path.starts_with("/api/v1/payments/") && path.ends_with(['0', '2', '4', '6', '8']) {
            return (
                StatusCode::INTERNAL_SERVER_ERROR,
                "no such page in the book",
            )
                .into_response();
        }
    }
    if path.starts_with("/api/v1/payments/") && mood.slow.load(Ordering::Acquire) {
        tokio::time::sleep(SLOW).await;
    }
    let body = format!("{{\"path\":\"{path}\",\"ok\":true}}\n");
    ([("content-type", "application/json")], body).into_response()
}
