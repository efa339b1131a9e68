//! One client that asks one request after the other, from a loopback address of its choice.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::wire::{Connection, Framing, Head};

/// A server that stays silent for so long has lost the request.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came back.
#[derive(Debug, Default)]
pub struct Reply {
    /// 0 where the connection was closed without an answer.
    pub status: u16,
    /// The head of the answer.
    pub head: Head,
    /// Its body.
    pub body: Vec<u8>,
    /// From the first byte sent to the last one received.
    pub took: Duration,
}

impl Reply {
    /// A header that holds a number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        self.head.header(name)?.parse().ok()
    }

    /// The headers that the answer of another server can have too: those that belong to the
    /// connection or to the clock are left out. Sorted, for the order has no meaning.
    #[must_use]
    pub fn lasting_headers(&self) -> Vec<String> {
        let all = self.head.headers().iter();
        let lasting =
            all.filter(|(n, _)| !matches!(n.as_str(), "connection" | "keep-alive" | "date"));
        let mut lines: Vec<String> = lasting.map(|(n, v)| format!("{n}: {v}")).collect();
        lines.sort_unstable();
        lines
    }
}

/// A client with one kept connection.
pub struct Client {
    runtime: Runtime,
    from: Ipv4Addr,
    target: SocketAddr,
    held: Option<Connection>,
}

impl Client {
    /// A client at 127.0.0.1.
    ///
    /// # Errors
    /// When no runtime can be made.
    pub fn new(target: SocketAddr) -> anyhow::Result<Self> {
        Self::at(Ipv4Addr::LOCALHOST, target)
    }

    /// A client at a loopback address.
    ///
    /// # Errors
    /// When no runtime can be made.
    pub fn at(from: Ipv4Addr, target: SocketAddr) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok(Self {
            runtime,
            from,
            target,
            held: None,
        })
    }

    /// Sends a request without a body and waits for its answer.
    ///
    /// # Errors
    /// When no connection comes about, the answer breaks off, or nothing comes for 30 s.
    pub fn ask(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<Reply> {
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: load\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += "\r\n";
        let began = Instant::now();
        let (from, to) = (self.from, self.target);
        let held = self.held.take();
        let exchange = async {
            let mut connection = match held {
                Some(connection) => connection,
                None => Connection::new(connect(from, to).await?)?,
            };
            connection.send(head.as_bytes()).await?;
            let Some(head) = connection.response().await? else {
                return anyhow::Ok((Reply::default(), None));
            };
            let framing = head.response_framing(method)?;
            let mut body = Vec::new();
            connection.body(framing, Some(&mut body)).await?;
            let keep = !head.closes() && framing != Framing::Close;
            let reply = Reply {
                status: head.status,
                head,
                body,
                took: Duration::ZERO,
            };
            Ok((reply, keep.then_some(connection)))
        };
        let whole = async { timeout(PATIENCE, exchange).await };
        let done = self.runtime.block_on(whole).context("no answer in 30 s")?;
        let (reply, held) = done.with_context(|| format!("{method} {target}"))?;
        self.held = held;
        Ok(Reply {
            took: began.elapsed(),
            ..reply
        })
    }

    /// A GET.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub fn get(&mut self, target: &str) -> anyhow::Result<Reply> {
        self.ask("GET", target, &[])
    }
}

/// Connects from a loopback address.
///
/// # Errors
/// When the system refuses.
pub async fn connect(from: Ipv4Addr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if from != Ipv4Addr::LOCALHOST {
        socket.bind(SocketAddr::new(IpAddr::V4(from), 0))?;
    }
    socket.connect(to).await
}
