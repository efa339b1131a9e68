//! gRPC through the real gateway, with a library at both ends: calls of all kinds, deadlines,
//! failures and limits, without TLS and with TLS on both sides.
//!
//! Deliberately not here: what single frames do; the gateway's own tests say that.

mod client;
mod server;
mod text;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use super::super::recorded::Recorded;
use super::super::{Context, Verdict};
use crate::site::{PATIENCE, Site};
use client::{Client, Kind, SILENT_MS};

/// Clients that call at once, each over a connection of its own.
const CLIENTS: u64 = 4;
/// Calls that the limit lets pass at once, and those that are made.
const BURST: u64 = 2;
const LIMITED: u64 = 6;
/// Calls that their server does not answer: more of them would open the contract's circuit.
const SILENT: u32 = 2;

/// Every call ends as it should, and is recorded once.
pub(super) fn calls(context: &Context) -> anyhow::Result<Verdict> {
    let mut pass = true;
    let mut figures = Vec::new();
    for is_secure in [false, true] {
        let (good, figure) = through(context, is_secure)?;
        pass &= good;
        figures.push(figure);
    }
    Ok(Verdict::new(pass, figures.join("; ")))
}

fn through(context: &Context, is_secure: bool) -> anyhow::Result<(bool, String)> {
    let tls = is_secure.then(certificates).transpose()?;
    let name = if is_secure { "TLS" } else { "h2c" };
    let site = site(&context.folder(&format!("grpc-{name}")), tls.as_deref())?;
    let mut gateway = site.start()?;
    let endpoint = endpoint(&site, tls.as_deref())?;
    let rounds = context.pick(20, 2_000);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut tally = runtime.block_on(async {
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            clients.push(tokio::spawn(all_kinds(endpoint.connect().await?, rounds)));
        }
        let mut sum = Tally::default();
        for client in clients {
            sum.add(client.await?);
        }
        let mut client = Client::new(endpoint.connect().await?);
        for _ in 0..SILENT {
            sum.call(&mut client, Kind::Silent).await;
        }
        sum.limited(Client::new(endpoint.connect().await?)).await;
        anyhow::Ok(sum)
    })?;
    drop(runtime);
    gateway.stop(PATIENCE)?;
    let recorded = Recorded::read(&site)?;
    let made = tally.made + LIMITED;
    let refused = recorded.by_us.get(&429).copied().unwrap_or(0);
    let pass = tally.wrong.is_empty()
        && tally.passed == BURST
        && refused == LIMITED - BURST
        && recorded.decisions == made
        && recorded.forwarded == made - refused
        && recorded.losses == 0;
    let mut figure = format!(
        "{name}: {} of {} calls of {} kinds as they should be, {} of {LIMITED} let pass by a limit of {BURST}, {} of {made} recorded",
        tally.made - tally.wrong_calls,
        tally.made,
        Kind::OFTEN.len() + 1,
        tally.passed,
        recorded.decisions,
    );
    tally.wrong.truncate(5);
    if !tally.wrong.is_empty() {
        write!(figure, "; wrong: {:?}", tally.wrong)?;
    }
    Ok((pass, figure))
}

/// What became of calls.
#[derive(Default)]
struct Tally {
    made: u64,
    wrong_calls: u64,
    wrong: Vec<String>,
    /// Calls that the limit let pass.
    passed: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.made += other.made;
        self.wrong_calls += other.wrong_calls;
        self.wrong.extend(other.wrong);
    }

    async fn call(&mut self, client: &mut Client, kind: Kind) {
        self.made += 1;
        if let Err(error) = client.call(kind).await {
            self.wrong_calls += 1;
            self.wrong.push(format!("{}: {error}", kind.name()));
        }
    }

    /// Calls more often than the contract lets pass.
    async fn limited(&mut self, mut client: Client) {
        for _ in 0..LIMITED {
            match client.limited().await {
                Ok(has_passed) => self.passed += u64::from(has_passed),
                Err(error) => self.wrong.push(format!("limited: {error}")),
            }
        }
    }
}

/// Calls of each kind in turn and the slow ones every 25 rounds.
async fn all_kinds(channel: Channel, rounds: u32) -> Tally {
    let mut client = Client::new(channel);
    let mut tally = Tally::default();
    for round in 0..rounds {
        for kind in Kind::OFTEN {
            if !kind.is_slow() || round % 25 == 0 {
                tally.call(&mut client, kind).await;
            }
        }
    }
    tally
}

/// Certificates that the tests of the gateway use.
fn certificates() -> anyhow::Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/support/tls");
    folder.canonicalize().context("find tests/support/tls")
}

/// A gateway that speaks HTTP/2 on both sides, with TLS on both or on none.
fn site(folder: &Path, tls: Option<&Path>) -> anyhow::Result<Site> {
    let server = server::start(tls)?;
    let site = Site::controlling(folder, server, &contracts())?;
    let bind = format!("{{ bind: \"{}\" }}", site.listen);
    let (listener, upstream) = match tls {
        None => (", h2c: true".to_owned(), String::new()),
        Some(tls) => {
            let path = |name: &str| tls.join(name).display().to_string();
            let (cert, key) = (path("good.pem"), path("good.key"));
            let ca = path("ca.pem");
            (
                format!(", tls: {{ certificates: [{{ cert: \"{cert}\", key: \"{key}\" }}] }}"),
                format!(", tls: {{ ca: \"{ca}\", server_name: orders.test }}"),
            )
        }
    };
    let listen = site.listen;
    site.amend(&bind, &format!("{{ bind: \"{listen}\"{listener} }}"))?;
    let servers = format!("servers: [\"{server}\"]");
    site.amend(&servers, &format!("{servers}, protocol: http2{upstream}"))?;
    // So many calls at once from one address are the point here.
    site.amend(
        "expose_headers:",
        "limits: { requests_per_connection: 10000000 }\nexpose_headers:",
    )?;
    Ok(site)
}

fn contracts() -> String {
    let mut text = "version: 1\ncontracts:\n".to_owned();
    let mut add = |id: &str, method: &str, keys: &str| {
        let endpoint = format!("POST /tidegate.Test/{method}");
        _ = writeln!(
            text,
            "  - {{id: {id}_v1, owner: me, endpoint: \"{endpoint}\"{keys}}}"
        );
    };
    add("calls", "{method}", "");
    add("silent", "Silent", &format!(", timeout_ms: {SILENT_MS}"));
    let limit = format!(", rate_limit_rpm: 1, burst: {BURST}");
    add("limited", "Limited", &limit);
    text
}

fn endpoint(site: &Site, tls: Option<&Path>) -> anyhow::Result<Endpoint> {
    let Some(folder) = tls else {
        return Ok(Endpoint::from_shared(format!("http://{}", site.listen))?);
    };
    let ca = Certificate::from_pem(std::fs::read(folder.join("ca.pem"))?);
    let tls = ClientTlsConfig::new()
        .ca_certificate(ca)
        .domain_name("orders.test");
    let endpoint = Endpoint::from_shared(format!("https://{}", site.listen))?;
    Ok(endpoint.tls_config(tls)?)
}
