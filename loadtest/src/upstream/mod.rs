//! A counting upstream: it behaves as the path or the query says, and knows what reached it.
//!
//! One thread, one runtime. Counts are taken when a complete head was read, before the answer,
//! so that a request whose answer fails is counted all the same.

mod behaviour;
mod count;
mod gate;
mod health;
mod script;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::net::{TcpListener, TcpStream};

pub use behaviour::Behaviour;
pub use count::{Count, Seen};
pub use gate::Gate;
pub use health::{Failing, Health};
pub use script::{SCRIPTS, Script};

use gate::{Door, Gates, Met};

use crate::wire::{Connection, Head};

/// The answer of an ordinary GET.
const ORDINARY: &[u8] = b"{\"ok\":true,\"n\":1234567}";
/// The longest body that `/bytes/N` sends.
const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How long `/hang` stays silent.
const HANG: Duration = Duration::from_secs(600);

/// An upstream that runs in a thread of this process, and ends with it.
pub struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What all connections share.
#[derive(Default)]
struct Shared {
    count: Count,
    health: Health,
    gates: Gates,
}

impl Upstream {
    /// Listens on a free loopback port.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn start() -> anyhow::Result<Self> {
        Self::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    fn bind(address: SocketAddr) -> anyhow::Result<Self> {
        let listener =
            std::net::TcpListener::bind(address).with_context(|| format!("bind {address}"))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let served = Arc::clone(&shared);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name("upstream".into())
            .spawn(move || {
                runtime.block_on(async move {
                    match TcpListener::from_std(listener) {
                        Ok(listener) => accept(listener, served).await,
                        Err(error) => eprintln!("upstream: {error}"),
                    }
                });
            })?;
        Ok(Self { address, shared })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What reached it since the start or the last reset.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.shared.count.seen()
    }

    /// Counts from zero again.
    pub fn reset(&self) {
        self.shared.count.reset();
    }

    /// Changes how connections are met; those that are open end.
    pub fn gate(&self, gate: Gate) {
        self.shared.gates.set(gate);
    }

    /// Its health, to be changed while it runs.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.shared.health
    }
}

/// Runs an upstream until the process is ended.
///
/// # Errors
/// When the address cannot be bound.
pub fn serve_forever(bind: SocketAddr) -> anyhow::Result<()> {
    let upstream = Upstream::bind(bind)?;
    println!("upstream on {}", upstream.address());
    loop {
        std::thread::park();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let began = Instant::now();
    let mut door = match Door::new(listener) {
        Ok(door) => door,
        Err(error) => return eprintln!("upstream: {error}"),
    };
    loop {
        match shared.gates.meet(&mut door, began).await {
            Ok(Met::Served(stream)) => {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    let _kept = shared.gates.keep();
                    // How a connection ended is the peer's affair; the counts are what is judged.
                    tokio::select! {
                        ended = serve(stream, &shared) => drop(ended),
                        () = shared.gates.severed() => {}
                    }
                });
            }
            Ok(Met::Swallowed(stream)) => {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    let _kept = shared.gates.keep();
                    shared.gates.severed().await;
                    drop(stream);
                });
            }
            Ok(Met::Nothing) => {}
            // Descriptors may be used up for a moment; the loop must outlive that.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    let mut connection = Connection::new(stream)?;
    while let Some(head) = connection.request().await? {
        // A head that cannot be framed is no complete request and is not counted.
        let framing = head.request_framing()?;
        let behaviour = Behaviour::of(&head.target);
        if !matches!(behaviour, Behaviour::Count | Behaviour::Reset0) {
            shared.count.note(head.header("x-request-id"));
        }
        let failing = shared.health.arrived(&head.target);
        if let Behaviour::Fault(script) = behaviour {
            if !script.play(&mut connection, &head, framing).await? {
                break;
            }
            continue;
        }
        let mut body = Vec::new();
        if head.header("expect").is_some() {
            connection.send(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        connection.body(framing, Some(&mut body)).await?;
        let lives_on = match failing {
            Some(failing) => {
                tokio::time::sleep(failing.after).await;
                respond(&mut connection, &head, failing.status, ORDINARY).await?
            }
            None => answer(&mut connection, &head, behaviour, body, shared).await?,
        };
        if !lives_on || head.closes() {
            break;
        }
    }
    Ok(())
}

/// Answers one request; false when the connection ends with it.
async fn answer(
    connection: &mut Connection,
    head: &Head,
    behaviour: Behaviour,
    body: Vec<u8>,
    shared: &Shared,
) -> io::Result<bool> {
    let body = match behaviour {
        // A script was played before the body was read.
        Behaviour::Echo | Behaviour::Fault(_) if body.is_empty() => ORDINARY.to_vec(),
        Behaviour::Echo | Behaviour::Fault(_) => body,
        Behaviour::Status(status) => return respond(connection, head, status, ORDINARY).await,
        Behaviour::Slow(delay) => {
            tokio::time::sleep(delay).await;
            ORDINARY.to_vec()
        }
        Behaviour::Work(long) => {
            shared.health.work(long).await;
            ORDINARY.to_vec()
        }
        Behaviour::Head => as_text(head),
        Behaviour::Bytes(n) => vec![b'x'; usize::try_from(n.min(BYTES_MAX)).unwrap_or(0)],
        Behaviour::Chunked(n) => return respond_chunked(connection, head, n.min(BYTES_MAX)).await,
        Behaviour::Count => shared.count.seen().to_json().to_string().into_bytes(),
        Behaviour::Reset0 => {
            shared.count.reset();
            ORDINARY.to_vec()
        }
        Behaviour::Reset => {
            connection.reset_on_drop();
            return Ok(false);
        }
        Behaviour::Garbage => {
            connection
                .send(b"\x00\x01 this is not HTTP\r\n\r\n")
                .await?;
            return Ok(false);
        }
        Behaviour::Hang => {
            tokio::time::sleep(HANG).await;
            return Ok(false);
        }
    };
    respond(connection, head, 200, &body).await
}

/// A request's head as it came, but for the order of its fields, which has no meaning.
fn as_text(head: &Head) -> Vec<u8> {
    let mut lines: Vec<String> = head
        .headers()
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    lines.sort_unstable();
    format!("{} {}\n{}\n", head.method, head.target, lines.join("\n")).into_bytes()
}

async fn respond(
    connection: &mut Connection,
    head: &Head,
    status: u16,
    body: &[u8],
) -> io::Result<bool> {
    let bodiless = matches!(status, 204 | 304);
    let length = if bodiless {
        String::new()
    } else {
        format!("Content-Length: {}\r\n", body.len())
    };
    let mut message =
        format!("HTTP/1.1 {status} Answer\r\nContent-Type: application/json\r\n{length}\r\n")
            .into_bytes();
    if head.method != "HEAD" && !bodiless {
        message.extend_from_slice(body);
    }
    connection.send(&message).await?;
    Ok(true)
}

async fn respond_chunked(connection: &mut Connection, head: &Head, mut n: u64) -> io::Result<bool> {
    connection
        .send(b"HTTP/1.1 200 Answer\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await?;
    if head.method == "HEAD" {
        return Ok(true);
    }
    while n > 0 {
        let part = n.min(1000);
        let chunk = "x".repeat(usize::try_from(part).unwrap_or(0));
        connection
            .send(format!("{part:x}\r\n{chunk}\r\n").as_bytes())
            .await?;
        n -= part;
    }
    connection.send(b"0\r\n\r\n").await?;
    Ok(true)
}
