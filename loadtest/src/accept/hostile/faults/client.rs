//! Clients that wait for an answer, and know whether it was whole.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::wire::{Connection, Framing};

/// How a request ended for its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// A whole answer; whether it is one of the gateway's own.
    Whole(u16, bool),
    /// A head, and a body that broke off: the client knows that it is not whole.
    Cut,
    /// A head, and a body that still came when the bound had passed.
    Dripping,
    /// No answer, or one that cannot be read.
    Unanswered,
    /// Nothing after the bound.
    Late,
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) target: &'a str,
    /// Bytes of a body; 0 = a GET.
    pub(super) body: usize,
    /// An answer later than this is late.
    pub(super) bound: Duration,
}

/// One answer, with its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answered {
    /// Whether what was asked may be sent to an upstream again: it had no body.
    pub(super) is_repeatable: bool,
    pub(super) ended: Ended,
    pub(super) body: Vec<u8>,
    pub(super) took: Duration,
}

/// As many requests at once, each on a connection of its own; the answers.
pub(super) fn many(
    to: SocketAddr,
    asks: impl IntoIterator<Item = Ask<'static>>,
) -> anyhow::Result<Vec<Answered>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut under_way = JoinSet::new();
        for ask in asks {
            under_way.spawn(one(to, ask));
        }
        Ok(under_way.join_all().await)
    })
}

/// One request, and its end.
pub(super) async fn one(to: SocketAddr, ask: Ask<'_>) -> Answered {
    let began = Instant::now();
    let mut body = Vec::new();
    let exchange = timeout(ask.bound, exchange(to, ask, &mut body)).await;
    let ended = match exchange {
        Ok(Ok(ended)) => ended,
        Ok(Err(_)) => Ended::Unanswered,
        Err(_) if body.is_empty() => Ended::Late,
        Err(_) => Ended::Dripping,
    };
    Answered {
        is_repeatable: ask.body == 0,
        ended,
        body,
        took: began.elapsed(),
    }
}

async fn exchange(to: SocketAddr, ask: Ask<'_>, body: &mut Vec<u8>) -> std::io::Result<Ended> {
    let mut connection = Connection::new(TcpStream::connect(to).await?)?;
    let method = if ask.body == 0 { "GET" } else { "POST" };
    let length = if ask.body == 0 {
        String::new()
    } else {
        format!("Content-Length: {}\r\n", ask.body)
    };
    let target = ask.target;
    let head = format!("{method} {target} HTTP/1.1\r\nHost: load\r\n{length}\r\n");
    // An answer may come before all of it was taken, and what is left is then nobody's.
    let sent = connection
        .send(&[head.as_bytes(), &vec![b'b'; ask.body]].concat())
        .await;
    let Some(head) = connection.response().await? else {
        sent?;
        return Ok(Ended::Unanswered);
    };
    let framing = head.response_framing(method)?;
    if connection.body(framing, Some(body)).await.is_err() {
        return Ok(Ended::Cut);
    }
    let own = head.header("content-type") == Some("application/problem+json");
    // A body that ends with the connection may have been cut: nobody could tell.
    Ok(match framing {
        Framing::Close => Ended::Cut,
        _ => Ended::Whole(head.status, own),
    })
}
