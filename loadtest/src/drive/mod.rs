//! A seeded, bounded closed loop: so many connections, so many requests, counted exactly.
//!
//! What the n-th request is depends on the seed and n alone, not on timing. A request counts
//! as sent when its complete head was written.

mod client;
mod mix;
mod tally;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use clap::Args;

pub use mix::Mix;
pub use tally::Tally;

/// What to send, and where.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Address of the server under load
    #[arg(long)]
    pub target: SocketAddr,
    /// Keep-alive connections, each with one request at a time
    #[arg(long, default_value_t = 64)]
    pub connections: u32,
    /// Requests in all, malformed ones and retries not counted
    #[arg(long, default_value_t = 10_000)]
    pub requests: u64,
    /// Which requests: echo, contracts, unknown, keys, mixed, faulty, or a JSON file of
    /// [{"weight": 1, "method": "GET", "path": "/x/{n}", "body_bytes": 0}]
    #[arg(long, default_value = "echo")]
    pub mix: String,
    /// How many generated contracts the mixes draw from
    #[arg(long, default_value_t = 1000)]
    pub contracts: u32,
    /// Seed of the run
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Share of requests whose connection is closed before the answer, 0 to 1
    #[arg(long, default_value_t = 0.0)]
    pub abort_share: f64,
    /// Malformed heads sent in addition, as a share of the requests, 0 to 1
    #[arg(long, default_value_t = 0.0)]
    pub malformed_share: f64,
    /// Send a GET once more after a 5xx or a lost answer
    #[arg(long)]
    pub retry: bool,
}

impl Options {
    /// Plain requests to `target`; the rest as on the command line.
    #[must_use]
    pub fn new(target: SocketAddr, mix: &str, requests: u64) -> Self {
        Self {
            target,
            connections: 64,
            requests,
            mix: mix.to_owned(),
            contracts: 1000,
            seed: 1,
            abort_share: 0.0,
            malformed_share: 0.0,
            retry: false,
        }
    }
}

/// What all connections of a run share; one thread, so plain cells do.
struct Shared {
    options: Options,
    mix: Mix,
    next: Cell<u64>,
    tally: RefCell<Tally>,
}

/// Runs to the end and returns the counts.
///
/// # Errors
/// When the mix cannot be read or the runtime cannot start. A server that does not answer is
/// not an error but a count.
pub fn run(options: &Options) -> anyhow::Result<Tally> {
    anyhow::ensure!(
        (0.0..=1.0).contains(&options.abort_share)
            && (0.0..=1.0).contains(&options.malformed_share),
        "--abort-share and --malformed-share are shares between 0 and 1"
    );
    let shared = Rc::new(Shared {
        options: options.clone(),
        mix: Mix::load(&options.mix, options.contracts)?,
        next: Cell::new(0),
        tally: RefCell::new(Tally::default()),
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = tokio::task::LocalSet::new();
    let began = Instant::now();
    local.block_on(&runtime, async {
        let loops: Vec<_> = (0..options.connections)
            .map(|_| tokio::task::spawn_local(client::work(Rc::clone(&shared))))
            .collect();
        for one in loops {
            // A panic in one loop is a fault of this program and must not look like a count.
            one.await?;
        }
        anyhow::Ok(())
    })?;
    let mut tally = shared.tally.take();
    tally.elapsed = began.elapsed();
    Ok(tally)
}
