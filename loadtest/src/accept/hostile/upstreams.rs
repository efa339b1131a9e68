//! Servers that flap, hang and show certificates that cannot be believed.

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pingora::tls::{ServerConfig, TlsAcceptor, load_certs_and_key_files, version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::{Context, Verdict};
use crate::ask::Client;
use crate::site::{Metrics, PATIENCE, Site, get};
use crate::standstill::Standstill;
use crate::upstream::{Failing, Upstream};

const CONTRACT: &str = "version: 1\ncontracts:\n  - {id: orders_v1, owner: me, endpoint: \"GET /api/orders\", rate_limit_rpm: 6000000, timeout_ms: 300, circuit_threshold: 1.0}\n";
/// Up and down once a second.
const HALF_A_CYCLE: Duration = Duration::from_millis(500);
/// How long the gateway may take to know its servers.
const WARM_UP: Duration = Duration::from_secs(2);
const CLIENTS: usize = 4;
/// Pauses between requests: about a thousand a second in all.
const PAUSE: Duration = Duration::from_millis(4);
/// Of requests after the warm-up, in percent.
const SUCCESS_MIN: f64 = 99.0;
/// The same of a reduced run. How often the bad servers are tried goes by the clock and how many requests
/// there are by the machine: a slow one has a larger share of bad ones. It stands against servers that are
/// not left out, with which half of the requests fail.
const SUCCESS_MIN_REDUCED: f64 = 90.0;
/// Within this all are back, and on a machine that is halted now and then, which has a server left out
/// for nothing.
const BACK_MAX: Duration = Duration::from_secs(5);
const BACK_MAX_REDUCED: Duration = Duration::from_secs(15);
/// Seconds of which one has to be without a failure when all are back.
const WHOLE_TRIES: (usize, usize) = (10, 1);
/// Half of the contract's timeout.
const HALT: Duration = Duration::from_millis(150);
/// Within this a server has read what the gateway wrote.
const READ: Duration = Duration::from_secs(5);

/// Accepts, reads and never answers.
struct BlackHole {
    address: SocketAddr,
    requests: Arc<AtomicU64>,
}

impl BlackHole {
    fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let requests = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = Arc::clone(&seen);
                std::thread::spawn(move || swallow(stream, &seen));
            }
        });
        Ok(Self { address, requests })
    }
}

fn swallow(mut stream: TcpStream, seen: &AtomicU64) {
    let mut head = Vec::new();
    let mut piece = [0; 4_096];
    let mut is_counted = false;
    while let Ok(read @ 1..) = stream.read(&mut piece) {
        head.extend(piece.iter().take(read));
        if !is_counted && head.windows(4).any(|four| four == b"\r\n\r\n") {
            is_counted = true;
            // What checks ask is none of the gateway's requests.
            seen.fetch_add(u64::from(head.starts_with(b"GET /api")), Ordering::SeqCst);
        }
    }
}

/// Statuses of requests, as clients got them.
#[derive(Default)]
struct Told {
    good: AtomicU64,
    other: AtomicU64,
}

impl Told {
    fn percent(&self) -> f64 {
        let good = self.good.load(Ordering::SeqCst) as f64;
        100.0 * good / (good + self.other.load(Ordering::SeqCst) as f64)
    }
}

/// Asks with several clients at once for so long.
fn ask(listen: SocketAddr, lasts: Duration) -> anyhow::Result<Told> {
    let told = Told::default();
    let end = Instant::now() + lasts;
    std::thread::scope(|scope| -> anyhow::Result<()> {
        let one = || -> anyhow::Result<()> {
            let mut client = Client::new(listen)?;
            for number in 0_u64.. {
                if Instant::now() >= end {
                    break;
                }
                // By its id a request is told from a check.
                let id = number.to_string();
                let ids = [("X-Request-Id", &*id)];
                let is_good = client.ask("GET", "/api/orders", &ids)?.status == 200;
                let count = if is_good { &told.good } else { &told.other };
                count.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(PAUSE);
            }
            Ok(())
        };
        let all: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(one)).collect();
        for one in all {
            one.join()
                .map_err(|_| anyhow::anyhow!("a client panicked"))??;
        }
        Ok(())
    })?;
    Ok(told)
}

pub(super) fn flapping(context: &Context) -> anyhow::Result<Verdict> {
    let lasts = context.pick(Duration::from_secs(5), Duration::from_secs(60));
    let (steady, flaps, hole) = (Upstream::start()?, Upstream::start()?, BlackHole::start()?);
    // Everything fails while it is down, checks as well.
    flaps.health().watch("/");
    let site = Site::controlling(&context.folder("flapping"), steady.address(), CONTRACT)?;
    let alone = format!("servers: [\"{}\"]", steady.address());
    let all = format!(
        "servers: [\"{}\", \"{}\", \"{}\"], eject: {{failures: 3, base_ms: 500, max_percent: 67}}, \
         health: {{path: /healthz, interval_ms: 100, timeout_ms: 100, healthy: 2, unhealthy: 2}}",
        steady.address(),
        flaps.address(),
        hole.address
    );
    site.amend(&alone, &all)?;
    let mut gateway = site.start()?;
    let is_over = AtomicBool::new(false);
    let (first, later) = std::thread::scope(|scope| {
        scope.spawn(|| flap(&flaps, &is_over));
        let first = ask(site.listen, WARM_UP);
        let later = ask(site.listen, lasts);
        is_over.store(true, Ordering::SeqCst);
        (first, later)
    });
    let (first, later) = (first?, later?);
    let begun = Instant::now();
    let back = |metrics: &Metrics| {
        metrics.labelled("tidegate_upstream_servers", "state=\"healthy\"") >= 2.0
    };
    gateway.until(PATIENCE, || metrics(&site).is_ok_and(|it| back(&it)))?;
    let recovered = begun.elapsed();
    // A halt of the machine is longer than the contract's timeout, and fails what is under way: only
    // where one was seen is there another second.
    let (reduced, full) = WHOLE_TRIES;
    let mut wholes = Vec::new();
    for _ in 0..context.pick(reduced, full) {
        let machine = Standstill::watch(HALT);
        let whole = ask(site.listen, Duration::from_secs(1))?;
        let is_whole = whole.percent() >= 100.0;
        wholes.push(whole);
        if is_whole || machine.halts() == 0 {
            break;
        }
    }
    let counted = metrics(&site)?;
    let balance = Balance::of(&counted);
    gateway.stop(PATIENCE)?;
    let orders = |upstream: &Upstream| upstream.seen().requests - upstream.seen().without_id;
    let seen = || orders(&steady) + orders(&flaps) + hole.requests.load(Ordering::SeqCst);
    let begun = Instant::now();
    while !balance.is_even_with(seen()) && begun.elapsed() < READ {
        std::thread::sleep(Duration::from_millis(20));
    }
    let seen = seen();
    let is_even = balance.is_even_with(seen);
    let percents: Vec<f64> = wholes.iter().map(Told::percent).collect();
    let asked = [&first, &later]
        .into_iter()
        .chain(&wholes)
        .map(|told| told.good.load(Ordering::SeqCst) + told.other.load(Ordering::SeqCst))
        .sum::<u64>();
    let least = context.pick(SUCCESS_MIN_REDUCED, SUCCESS_MIN);
    let pass = later.percent() >= least
        && percents.last().is_some_and(|percent| *percent >= 100.0)
        && recovered < context.pick(BACK_MAX_REDUCED, BACK_MAX)
        && is_even
        && balance.forwarded == asked
        && balance.ejections > 0;
    Ok(Verdict::new(
        pass,
        format!(
            "of three servers one flaps at 1 Hz and one is a black hole: {:.2} % good in the first {} s, {:.3} % of {} after (at least {least} %), \
             both back {} ms after the flapping ended, then {percents:.1?} %; asked {asked}, forwarded {} + retries {} - never sent {} (unanswered {}), ejections {}, at the servers {}, counts balance: {}",
            first.percent(),
            WARM_UP.as_secs(),
            later.percent(),
            later.good.load(Ordering::SeqCst) + later.other.load(Ordering::SeqCst),
            recovered.as_millis(),
            balance.forwarded,
            balance.retries,
            balance.never_sent,
            balance.unanswered,
            balance.ejections,
            seen,
            is_even,
        ),
    ))
}

fn flap(upstream: &Upstream, is_over: &AtomicBool) {
    let failing = Failing {
        status: 503,
        after: Duration::ZERO,
    };
    while !is_over.load(Ordering::SeqCst) {
        upstream.health().fail(Some(failing));
        std::thread::sleep(HALF_A_CYCLE);
        upstream.health().fail(None);
        std::thread::sleep(HALF_A_CYCLE);
    }
}

fn metrics(site: &Site) -> anyhow::Result<Metrics> {
    Ok(Metrics::parse(&get(site.admin, "/metrics")?.1))
}

/// What the gateway says that it sent.
struct Balance {
    forwarded: u64,
    retries: u64,
    never_sent: u64,
    unanswered: u64,
    ejections: u64,
}

impl Balance {
    fn of(metrics: &Metrics) -> Self {
        Self {
            forwarded: metrics.sum("tidegate_forwarded_total"),
            retries: metrics.sum("tidegate_upstream_retries_total"),
            never_sent: metrics.sum("tidegate_upstream_never_sent_total"),
            unanswered: metrics.sum("tidegate_upstream_unanswered_total"),
            ejections: metrics.sum("tidegate_upstream_ejections_total"),
        }
    }

    /// Whether all that was sent on came somewhere, less at most what was not answered.
    fn is_even_with(&self, seen: u64) -> bool {
        let sent = self.forwarded + self.retries - self.never_sent;
        seen <= sent && sent - seen <= self.unanswered
    }
}

/// What a server shows, what the gateway is told to expect, and what comes of it.
const MATRIX: [(&str, &str, u16); 8] = [
    ("good", "{ca: CA, server_name: orders.test}", 200),
    ("good", "{ca: CA}", 200),
    ("good", "{ca: CA, server_name: payments.test}", 502),
    ("good", "{server_name: orders.test}", 502),
    ("wrong_name", "{ca: CA}", 502),
    ("unknown_ca", "{ca: CA}", 502),
    ("expired", "{ca: CA}", 502),
    ("expired", "{verify: false}", 200),
];

pub(super) fn certificates(context: &Context) -> anyhow::Result<Verdict> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/support/tls");
    let mut right = 0;
    let mut wrong = Vec::new();
    for (number, (shown, expected, status)) in MATRIX.into_iter().enumerate() {
        let server = secure(&folder, shown)?;
        let folder_of = context.folder(&format!("certificates-{number}"));
        let site = Site::controlling(&folder_of, server, CONTRACT)?;
        let ca = folder.join("ca.pem").canonicalize()?;
        let tls = expected.replace("CA", &format!("\"{}\"", ca.display()));
        let servers = format!("servers: [\"{server}\"]");
        site.amend(&servers, &format!("{servers}, tls: {tls}"))?;
        site.amend("version: 1\n", "version: 1\nenvironment: sandbox\n")?;
        let mut gateway = site.start()?;
        let reply = Client::new(site.listen)?.get("/api/orders")?;
        gateway.stop(PATIENCE)?;
        let told = reply.head.header("proxy-status").unwrap_or_default();
        let errors = site
            .decisions()?
            .first()
            .map(|it| it["error_count"].clone());
        let is_refused = told.contains("tls_protocol_error") && errors == Some(1.into());
        if reply.status == status && is_refused == (status == 502) {
            right += 1;
        } else {
            wrong.push(format!(
                "{shown} {expected}: {} {told} {errors:?}",
                reply.status
            ));
        }
    }
    Ok(Verdict::new(
        wrong.is_empty(),
        format!(
            "{right} of {} certificates believed or refused as they should, refusals told as tls_protocol_error and recorded; wrong: {wrong:?}",
            MATRIX.len()
        ),
    ))
}

/// A server of HTTP/1.1 over TLS that answers every request.
fn secure(folder: &std::path::Path, certificate: &str) -> anyhow::Result<SocketAddr> {
    pingora::tls::install_default_crypto_provider();
    let path = |end: &str| {
        let path = folder.join(format!("{certificate}.{end}"));
        path.display().to_string()
    };
    let loaded = load_certs_and_key_files(&path("pem"), &path("key"));
    let loaded = loaded.map_err(|error| anyhow::anyhow!("{error}"))?;
    let (chain, key) = loaded.ok_or_else(|| anyhow::anyhow!("no certificate {certificate}"))?;
    let config = ServerConfig::builder_with_protocol_versions(&[&version::TLS12, &version::TLS13])
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::spawn(move || {
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            loop {
                let (stream, _) = listener.accept().await?;
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // Whoever does not believe the certificate leaves.
                    let mut stream = acceptor.accept(stream).await?;
                    let mut piece = [0; 4_096];
                    while stream.read(&mut piece).await? > 0 {
                        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                        stream.write_all(answer).await?;
                        stream.flush().await?;
                    }
                    std::io::Result::Ok(())
                });
            }
            #[allow(unreachable_code)]
            std::io::Result::Ok(())
        })
    });
    Ok(address)
}
