//! `GET /metrics`: the text of a scrape, sent while it is written.
//!
//! With thousands of contracts it is megabytes long, so it never lies in memory as a whole: a few
//! pieces wait for whoever reads, and the writer waits for him. It is written on a thread for
//! handlers that take long, so that the listener answers others meanwhile. Whoever reads too
//! slowly gets an answer that is visibly cut off, and the thread is free again.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::thread;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use http_body::Frame;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::admin::state::AdminState;
use crate::telemetry::CONTENT_TYPE;

/// Pieces that wait for whoever reads.
const WAITING_MAX: usize = 8;
/// How often somebody looks whether there is room for another piece.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// So often in one scrape, some ten seconds; Prometheus gives up after as long by default.
const LOOKS_MAX: u32 = 10_000;

/// A piece, or the end.
type Piece = Option<Bytes>;

pub(super) async fn metrics(State(state): State<Arc<AdminState>>) -> Response {
    let (pieces, mut written) = channel(WAITING_MAX);
    tokio::task::spawn_blocking(move || write(&state, &pieces));
    // What fits into one piece goes out whole, with its length.
    let first = written.recv().await.flatten().unwrap_or_default();
    let body = match written.recv().await {
        Some(None) => Body::from(first),
        second => Body::new(Pieces {
            ahead: [Some(Some(first)), second],
            written,
        }),
    };
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], body).into_response()
}

fn write(state: &AdminState, pieces: &Sender<Piece>) {
    let parts = &state.parts;
    let rulebook = parts.registry.active().load_full();
    let (mut is_read, mut looks) = (true, LOOKS_MAX);
    let mut out = |piece: String| {
        is_read = is_read && send(pieces, Some(piece.into()), &mut looks);
    };
    let ledger = parts.ledger.snapshot();
    parts.telemetry.render_to(&rulebook, &ledger, &mut out);
    if is_read {
        send(pieces, None, &mut looks);
    }
}

/// Whether somebody still reads.
fn send(pieces: &Sender<Piece>, mut piece: Piece, looks: &mut u32) -> bool {
    loop {
        match pieces.try_send(piece) {
            Ok(()) => return true,
            Err(TrySendError::Full(again)) if *looks > 0 => piece = again,
            Err(_) => return false,
        }
        *looks -= 1;
        thread::sleep(LOOK_EVERY);
    }
}

/// The body: pieces that were taken already, then those that are being written.
struct Pieces {
    ahead: [Option<Piece>; 2],
    written: Receiver<Piece>,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let ahead = self.ahead.iter_mut().find_map(Option::take);
        let next = match ahead {
            Some(piece) => Some(piece),
            None => ready!(self.written.poll_recv(context)),
        };
        Poll::Ready(match next {
            Some(Some(piece)) => Some(Ok(Frame::data(piece))),
            Some(None) => None,
            None => Some(Err(io::ErrorKind::TimedOut.into())),
        })
    }
}
