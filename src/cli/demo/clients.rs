//! The clients: well-behaved ones, and one of each kind that a gateway is for.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::upstream::Mood;

/// One way to behave.
struct Persona {
    /// The last byte of its address, 127.0.0.x.
    host: u8,
    pause: Duration,
    request: fn(u64) -> String,
    /// How often it asks again, at once, where the answer is a 5xx.
    retries: u8,
    /// Whether it says so: what nobody declares has to be seen.
    declares: bool,
}

impl Persona {
    /// Its request, which was sent so many times before.
    fn attempt(&self, number: u64, retries: u8) -> String {
        let request = (self.request)(number);
        if retries == 0 || !self.declares {
            return request;
        }
        request.replacen("\r\n", &format!("\r\nX-Retry-Count: {retries}\r\n"), 1)
    }
}

const MILLIS: fn(u64) -> Duration = Duration::from_millis;

/// Clients that ask again at once, one address each: one alone makes no storm.
const IMPATIENT: std::ops::Range<u8> = 41..61;

fn personas() -> Vec<Persona> {
    let persona = |host, pause, request| Persona {
        host,
        pause: MILLIS(pause),
        request,
        retries: 0,
        declares: false,
    };
    let impatient = IMPATIENT.map(|host| Persona {
        retries: 3,
        declares: host % 2 == 0,
        ..persona(host, 150, |n| get(&format!("/api/v1/payments/p{}", n % 10)))
    });
    let others = [
        persona(11, 12, |_| get("/api/v1/status")),
        persona(12, 9, |n| get(&format!("/api/v1/orders/{}", n % 500))),
        persona(13, 30, |n| {
            get(&format!("/api/v1/deployments/d{}?full=1", n % 40))
        }),
        persona(14, 60, |n| post("/api/v1/orders", n)),
        // Payments: their upstream fails for a while, and is slow for a while.
        persona(15, 25, |n| {
            let request = post("/api/v1/payments", n);
            // A shop for many merchants, each of whom has a limit of its own.
            request.replacen("\r\n", &format!("\r\nX-Merchant-Id: m{}\r\n", n % 40), 1)
        }),
        persona(16, 25, |n| get(&format!("/api/v1/payments/p{}", n % 90))),
        // One who looks for things that are not there, and one who uses wrong methods.
        persona(21, 90, |n| get(&format!("/admin/backup-{n}.zip"))),
        persona(22, 110, |n| match n % 3 {
            0 => head("DELETE", "/api/v1/status", ""),
            1 => get("/api/v1/../internal"),
            // No Host: no request at all.
            _ => "GET /api/v1/status HTTP/1.1\r\n\r\n".to_owned(),
        }),
        // One who exports all orders again and again.
        persona(23, 150, |_| get("/api/v1/orders/export")),
    ];
    others.into_iter().chain(impatient).collect()
}

fn get(target: &str) -> String {
    head("GET", target, "")
}

fn post(target: &str, number: u64) -> String {
    let body = format!("{{\"number\":{number}}}");
    let fields = format!("Content-Length: {}\r\n", body.len());
    head("POST", target, &fields) + &body
}

fn head(method: &str, target: &str, fields: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: demo.test\r\n{fields}\r\n")
}

/// What the clients sent and got.
#[derive(Debug, Default, Clone)]
pub(super) struct Sent {
    /// Complete heads sent whose answer was read.
    pub(super) requests: u64,
    /// Answers by status.
    pub(super) statuses: BTreeMap<u16, u64>,
    /// Answers without a decision id.
    pub(super) without_id: u64,
    /// Requests whose answer did not come.
    pub(super) broken: u64,
}

/// The running clients.
pub(super) struct Clients {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Sent>,
}

impl Clients {
    pub(super) fn start(
        gateway: SocketAddr,
        mood: Arc<Mood>,
        run_for: Option<Duration>,
    ) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let ending = Arc::clone(&stop);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("no runtime for the clients")?;
        // Without an end the upstream's phases repeat every half minute.
        let span = run_for.unwrap_or(Duration::from_secs(30));
        let thread = std::thread::Builder::new()
            .name("clients".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    let local = tokio::task::LocalSet::new();
                    local.run_until(drive(gateway, mood, span, ending)).await
                })
            })?;
        Ok(Self { stop, thread })
    }

    /// Lets every client finish its request and adds up what they saw.
    pub(super) fn stop(self) -> Sent {
        self.stop.store(true, Ordering::Release);
        self.thread.join().unwrap_or_default()
    }
}

async fn drive(
    gateway: SocketAddr,
    mood: Arc<Mood>,
    span: Duration,
    stop: Arc<AtomicBool>,
) -> Sent {
    let running: Vec<_> = personas()
        .into_iter()
        .map(|persona| tokio::task::spawn_local(behave(gateway, persona, Arc::clone(&stop))))
        .collect();
    let started = Instant::now();
    while !stop.load(Ordering::Acquire) {
        let tenth = started.elapsed().as_millis() * 10 / span.as_millis().max(1) % 10;
        mood.failing
            .store((2..4).contains(&tenth), Ordering::Release);
        mood.slow.store((6..8).contains(&tenth), Ordering::Release);
        tokio::time::sleep(MILLIS(50)).await;
    }
    let mut all = Sent::default();
    for client in running {
        let sent = client.await.unwrap_or_default();
        all.requests += sent.requests;
        all.without_id += sent.without_id;
        all.broken += sent.broken;
        for (status, count) in sent.statuses {
            *all.statuses.entry(status).or_default() += count;
        }
    }
    all
}

async fn behave(gateway: SocketAddr, persona: Persona, stop: Arc<AtomicBool>) -> Sent {
    let mut sent = Sent::default();
    let mut connection = None;
    let mut number = 0;
    let mut retries = 0;
    while !stop.load(Ordering::Acquire) {
        let request = persona.attempt(number, retries);
        let mut pause = persona.pause;
        match exchange(gateway, persona.host, &mut connection, &request).await {
            Ok(answer) => {
                sent.requests += 1;
                *sent.statuses.entry(answer.status).or_default() += 1;
                sent.without_id += u64::from(!answer.has_id);
                if answer.closes {
                    connection = None;
                }
                if answer.status >= 500 && retries < persona.retries {
                    // The same request again, and soon.
                    retries += 1;
                    pause /= 10;
                } else {
                    retries = 0;
                    number += 1;
                }
            }
            Err(_) => {
                sent.broken += 1;
                connection = None;
                retries = 0;
                number += 1;
            }
        }
        tokio::time::sleep(pause).await;
    }
    sent
}

struct Answer {
    status: u16,
    has_id: bool,
    closes: bool,
}

async fn exchange(
    gateway: SocketAddr,
    host: u8,
    connection: &mut Option<TcpStream>,
    request: &str,
) -> Result<Answer> {
    let stream = match connection {
        Some(stream) => stream,
        None => {
            let socket = TcpSocket::new_v4()?;
            // Every client has an address of its own; all of 127.0.0.0/8 is this machine.
            socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), 0)))?;
            connection.insert(socket.connect(gateway).await?)
        }
    };
    stream.write_all(request.as_bytes()).await?;
    let mut read = Vec::with_capacity(1024);
    let head_end = loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        anyhow::ensure!(stream.read_buf(&mut read).await? > 0, "closed in the head");
    };
    let head = String::from_utf8_lossy(read.get(..head_end).unwrap_or_default()).to_lowercase();
    let field = |name: &str| {
        let line = head.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().to_owned())
    };
    let length: usize = field("content-length:").context("no length")?.parse()?;
    while read.len() < head_end + length {
        anyhow::ensure!(stream.read_buf(&mut read).await? > 0, "closed in the body");
    }
    let status = head.get(9..12).context("no status")?.parse()?;
    Ok(Answer {
        status,
        has_id: field("tidegate-decision-id:").is_some(),
        closes: field("connection:").as_deref() == Some("close"),
    })
}
